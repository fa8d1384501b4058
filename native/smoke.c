/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Does this kernel take the object, and do with it what another kernel did? One static program, so that it runs on
 * a guest which holds nothing else. It knows no map and no struct of the engine: everything comes from a script.
 *
 *	smoke OBJECT                             load and verify; print what the verifier said
 *	smoke OBJECT SCRIPT                      then load it again with tables of other sizes, and repeat a recorded run
 *	smoke OBJECT SCRIPT DEVICE PEER          and send its last frames over the veth pair DEVICE, PEER
 *
 * It stays on one CPU: the hook counts packets of a feed that come in on another one.
 *
 * Output: "smoke NAME VALUE" lines, the last one "smoke result pass". The first difference is told on stderr, exit 1.
 *
 * A script is a list of records in host byte order: u32 operation, u32 number of fields, then each field as u32
 * length and bytes. Written by tools/kernel_matrix/script.py.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <fcntl.h>
#include <net/if.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>

#include "privileges.h"
#include "tap.h"

enum operation {
	OP_RODATA = 1, /* map, value: before the load */
	OP_SIZE, /* map, u32 bytes of a value, u32 elements: before the load */
	OP_WRITE, /* hash map, key, value */
	OP_DELETE, /* hash map, key */
	OP_POKE, /* array, u64 offset, bytes: an array is one image, its elements 8 bytes aligned */
	OP_RUN, /* frame, u32 verdict, frame afterwards (empty: not compared) */
	OP_WIRE, /* the same, over the wire: a frame sent back is compared, any other verdict sends none */
	OP_EXPECT, /* map, ignored ranges of an element, then the whole of it. Array: u64 offset and bytes of each stretch
		    * that is not zero, in order (per-CPU: sums of the 64-bit words); hash: key and value of each element */
	OP_FOLLOW, /* array in shared memory, then u64 offset and bytes of each stretch that is not as at the last OP_FOLLOW of
		    * this map (at the first: not zero): all of it must be as recorded */
	OP_EVENTS, /* ring, ignored ranges, then every record since the last OP_EVENTS of this ring */
};

#define MAX_FIELDS 200000
#define MAX_FRAME 4096
#define MAX_PROGRAMS 16
#define MAX_RINGS 4
#define MAX_FOLLOWED 8
#define TAP_RING (1u << 20)
#define TAP_ROOM (1u << 16)
#define CLASS_AT 30 /* first byte of the destination address */
#define CLASS_E 0xf0
#define STATS_LOG (1u << 20)
#define REFUSAL_LOG (16u << 20) /* of a refused path only: the verifier drops what it found good */
#define REFUSAL_LINES 40
#define LINE 64u
#define WIRE_TIMEOUT_MS 3000
#define SILENCE_MS 20
#define STATS_ONLY 4 /* BPF_LOG_STATS of the kernel's bpf_verifier.h */
#define FULL_LOG 1

struct field {
	const unsigned char *bytes;
	uint32_t length;
};

struct record {
	uint32_t operation;
	uint32_t count;
	const struct field *fields;
	unsigned long number; /* in the script, from 1 */
};

struct ring {
	char name[64];
	struct ring_buffer *buffer;
};

/* An array that is compared whole again and again: its memory, and what has to be there. */
struct followed {
	const struct bpf_map *map;
	unsigned char *image, *recorded;
	size_t size;
};

static struct bpf_object *object;
static struct bpf_program *hook; /* the program of section "xdp" */
static struct field fields[MAX_FIELDS];
static struct ring rings[MAX_RINGS];
static struct followed followed[MAX_FOLLOWED];
static unsigned long frames, wired, trades, comparisons, tapped;
static struct hft_tap *tap; /* NULL: this kernel has none */

/* The open OP_EVENTS, for the ring's callback. */
static const struct record *awaited;
static uint32_t arrived;

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fputs("smoke: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static void print_hex(const char *who, const unsigned char *bytes, uint32_t length)
{
	fprintf(stderr, "smoke:   %-8s (%u bytes) ", who, length);
	for (uint32_t i = 0; i < length; i++)
		fprintf(stderr, "%02x", bytes[i]);
	fputc('\n', stderr);
}

static uint32_t u32_at(struct field field, uint32_t offset)
{
	uint32_t value;

	if (field.length < offset + sizeof(value))
		fail("a field of the script is too short; record it again");
	memcpy(&value, field.bytes + offset, sizeof(value));
	return value;
}

static uint64_t u64_of(struct field field)
{
	uint64_t value;

	if (field.length != sizeof(value))
		fail("a field of the script is no offset; record it again");
	memcpy(&value, field.bytes, sizeof(value));
	return value;
}

/* A field as a string: maps are named. */
static const char *text(struct field field)
{
	static char name[64];

	if (field.length >= sizeof(name))
		fail("a map name of %u bytes in the script; record it again", field.length);
	memcpy(name, field.bytes, field.length);
	name[field.length] = '\0';
	return name;
}

static bool ignored(struct field ranges, uint32_t offset)
{
	for (uint32_t i = 0; i < ranges.length; i += 8) {
		uint32_t start = u32_at(ranges, i), length = u32_at(ranges, i + 4);

		if (offset >= start && offset - start < length)
			return true;
	}
	return false;
}

/* Byte for byte, but for the ignored ranges; the first difference ends the run. */
static void same(const struct record *record, const char *what, struct field expected, const unsigned char *actual,
		 uint32_t length, struct field ranges)
{
	uint32_t i = 0, shorter = length < expected.length ? length : expected.length;

	while (i < shorter && (actual[i] == expected.bytes[i] || ignored(ranges, i)))
		i++;
	if (i == length && i == expected.length)
		return;
	fprintf(stderr, "smoke: record %lu, after %lu frames: %s differs at byte %u\n", record->number, frames, what,
		i);
	print_hex("recorded", expected.bytes, expected.length);
	print_hex("here", actual, length);
	exit(1);
}

static double milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Maps */

static struct bpf_map *map_named(struct field name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, text(name));

	if (!map)
		fail("the object has no map %s: script and object are of different builds; record it again",
		     text(name));
	return map;
}

static bool is_array(const struct bpf_map *map)
{
	return bpf_map__type(map) == BPF_MAP_TYPE_ARRAY || bpf_map__type(map) == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static bool is_shared(const struct bpf_map *map)
{
	return bpf_map__type(map) == BPF_MAP_TYPE_ARRAY && (bpf_map__map_flags(map) & BPF_F_MMAPABLE);
}

/* Elements of an array lie this far apart in its image. */
static uint32_t stride(const struct bpf_map *map)
{
	return (bpf_map__value_size(map) + 7) & ~7u;
}

/* Element i of an array; of a per-CPU one the sum of every 64-bit word over the CPUs. */
static void read_element(const struct bpf_map *map, uint32_t i, unsigned char *value)
{
	size_t cpus = bpf_map__type(map) == BPF_MAP_TYPE_ARRAY ? 1 : (size_t)libbpf_num_possible_cpus();
	size_t words = stride(map) / 8;
	uint64_t *all = calloc(cpus, stride(map)), *sums = (uint64_t *)value;

	if (!all || bpf_map_lookup_elem(bpf_map__fd(map), &i, all))
		fail("cannot read map %s[%u]: %s", bpf_map__name(map), i, strerror(errno));
	memset(value, 0, stride(map));
	for (size_t word = 0; word < words * cpus; word++)
		sums[word % words] += all[word];
	free(all);
}

/* Every element of an array, one after the other: the memory itself if it can be shared, else a copy. */
static unsigned char *open_image(const struct bpf_map *map, size_t *size)
{
	unsigned char *image;

	*size = (size_t)stride(map) * bpf_map__max_entries(map);
	if (is_shared(map)) {
		image = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
		if (image == MAP_FAILED)
			fail("cannot map %s: %s", bpf_map__name(map), strerror(errno));
		return image;
	}
	image = calloc(1, *size);
	if (!image)
		fail("out of memory");
	for (uint32_t i = 0; i < bpf_map__max_entries(map); i++)
		read_element(map, i, image + (size_t)i * stride(map));
	return image;
}

static void close_image(const struct bpf_map *map, unsigned char *image, size_t size)
{
	if (is_shared(map))
		munmap(image, size);
	else
		free(image);
}

static void write_map(const struct record *record)
{
	struct bpf_map *map = map_named(record->fields[0]);

	if (record->fields[1].length != bpf_map__key_size(map) || record->fields[2].length != bpf_map__value_size(map))
		fail("map %s has keys of %u and values of %u bytes, the script %u and %u: record it again",
		     bpf_map__name(map), bpf_map__key_size(map), bpf_map__value_size(map), record->fields[1].length,
		     record->fields[2].length);
	if (bpf_map_update_elem(bpf_map__fd(map), record->fields[1].bytes, record->fields[2].bytes, BPF_ANY))
		fail("record %lu: cannot write map %s: %s", record->number, bpf_map__name(map), strerror(errno));
}

static void delete_element(const struct record *record)
{
	struct bpf_map *map = map_named(record->fields[0]);

	if (record->fields[1].length != bpf_map__key_size(map))
		fail("map %s has keys of %u bytes, the script %u: record it again", bpf_map__name(map),
		     bpf_map__key_size(map), record->fields[1].length);
	if (bpf_map_delete_elem(bpf_map__fd(map), record->fields[1].bytes))
		fail("record %lu: cannot delete from map %s: %s", record->number, bpf_map__name(map), strerror(errno));
}

/* Bytes of an array, wherever they lie in it. */
static void poke_array(const struct record *record)
{
	struct bpf_map *map = map_named(record->fields[0]);
	uint64_t offset = u64_of(record->fields[1]), length = record->fields[2].length;
	unsigned char *image;
	size_t size;

	image = open_image(map, &size);
	if (offset > size || length > size - offset)
		fail("map %s has %zu bytes, the script wants more: record it again", bpf_map__name(map), size);
	memcpy(image + offset, record->fields[2].bytes, length);
	for (uint64_t i = offset / stride(map); !is_shared(map) && i * stride(map) < offset + length; i++) {
		uint32_t key = (uint32_t)i;

		if (bpf_map_update_elem(bpf_map__fd(map), &key, image + i * stride(map), BPF_ANY))
			fail("record %lu: cannot write map %s: %s", record->number, bpf_map__name(map),
			     strerror(errno));
	}
	close_image(map, image, size);
}

/* One stretch of an array's image: `recorded` bytes, or zeros when that is NULL. */
static void same_stretch(const struct record *record, const struct bpf_map *map, const unsigned char *image,
			 size_t from, size_t until, const unsigned char *recorded)
{
	static const unsigned char zeros[4096];
	size_t step;

	for (size_t at = from; at < until; at += step) {
		const unsigned char *expected = recorded ? recorded + (at - from) : zeros;

		step = until - at < sizeof(zeros) ? until - at : sizeof(zeros);
		if (!memcmp(image + at, expected, step))
			continue;
		for (size_t i = at; i < at + step; i++) {
			size_t element = i / stride(map), offset = i % stride(map), shown;

			if (image[i] == expected[i - at] || ignored(record->fields[1], (uint32_t)offset))
				continue;
			fprintf(stderr, "smoke: record %lu, after %lu frames: map %s[%zu] differs at byte %zu\n",
				record->number, frames, bpf_map__name(map), element, offset);
			shown = at + step - i < 64 ? at + step - i : 64;
			print_hex("recorded", expected + (i - at), (uint32_t)shown);
			print_hex("here", image + i, (uint32_t)shown);
			exit(1);
		}
	}
}

static void expect_array(const struct record *record, const struct bpf_map *map)
{
	size_t size, at = 0;
	unsigned char *image = open_image(map, &size);

	for (uint32_t i = 2; i + 1 < record->count; i += 2) {
		uint64_t offset = u64_of(record->fields[i]), length = record->fields[i + 1].length;

		if (offset < at || offset > size || length > size - offset)
			fail("map %s has %zu bytes, the script more: record it again", bpf_map__name(map), size);
		same_stretch(record, map, image, at, offset, NULL);
		same_stretch(record, map, image, offset, offset + length, record->fields[i + 1].bytes);
		at = offset + length;
	}
	same_stretch(record, map, image, at, size, NULL);
	close_image(map, image, size);
}

static void expect_hash(const struct record *record, const struct bpf_map *map)
{
	uint32_t size = bpf_map__value_size(map), present = 0, recorded = (record->count - 2) / 2;
	unsigned char *value = calloc(1, size), key[256];
	const void *from = NULL;

	if (!value || bpf_map__key_size(map) > sizeof(key))
		fail("cannot compare map %s: its keys are too large", bpf_map__name(map));
	for (uint32_t i = 2; i + 1 < record->count; i += 2) {
		if (bpf_map_lookup_elem(bpf_map__fd(map), record->fields[i].bytes, value)) {
			print_hex("key", record->fields[i].bytes, record->fields[i].length);
			fail("record %lu: map %s misses this key", record->number, bpf_map__name(map));
		}
		same(record, bpf_map__name(map), record->fields[i + 1], value, size, record->fields[1]);
	}
	for (; !bpf_map_get_next_key(bpf_map__fd(map), from, key); from = key)
		present++;
	if (present != recorded)
		fail("record %lu: map %s has %u elements here, %u in the record", record->number, bpf_map__name(map),
		     present, recorded);
	free(value);
}

static void expect_map(const struct record *record)
{
	const struct bpf_map *map = map_named(record->fields[0]);

	if (is_array(map))
		expect_array(record, map);
	else
		expect_hash(record, map);
}

static struct followed *followed_map(const struct record *record)
{
	const struct bpf_map *map = map_named(record->fields[0]);
	struct followed *one = followed;

	while (one < followed + MAX_FOLLOWED && one->map && one->map != map)
		one++;
	if (one == followed + MAX_FOLLOWED)
		fail("more than %d maps are followed: raise MAX_FOLLOWED in native/smoke.c", MAX_FOLLOWED);
	if (!one->map) {
		if (!is_shared(map))
			fail("map %s cannot be followed: its memory is not shared", bpf_map__name(map));
		one->map = map;
		one->image = open_image(map, &one->size);
		one->recorded = calloc(1, one->size);
		if (!one->recorded)
			fail("out of memory");
	}
	return one;
}

static void follow_map(const struct record *record)
{
	struct followed *one = followed_map(record);
	const char *name = bpf_map__name(one->map);
	size_t at = 0, line;

	for (uint32_t i = 1; i + 1 < record->count; i += 2) {
		uint64_t offset = u64_of(record->fields[i]), length = record->fields[i + 1].length;

		if (offset > one->size || length > one->size - offset)
			fail("map %s has %zu bytes, the script wants more: record it again", name, one->size);
		memcpy(one->recorded + offset, record->fields[i + 1].bytes, length);
	}
	comparisons++;
	if (!memcmp(one->image, one->recorded, one->size))
		return;
	while (one->image[at] == one->recorded[at])
		at++;
	line = at & ~(size_t)(LINE - 1);
	fprintf(stderr, "smoke: record %lu, after %lu frames: map %s differs at byte %zu, in the line at %zu\n",
		record->number, frames, name, at, line);
	print_hex("recorded", one->recorded + line, (uint32_t)(one->size - line < LINE ? one->size - line : LINE));
	print_hex("here", one->image + line, (uint32_t)(one->size - line < LINE ? one->size - line : LINE));
	exit(1);
}

/* Events */

static int event_came(void *context, void *data, size_t length)
{
	const struct ring *ring = context;
	char what[160];

	snprintf(what, sizeof(what), "event %u of ring %s", arrived, ring->name);
	if (arrived + 2 >= awaited->count) {
		fprintf(stderr, "smoke: record %lu, after %lu frames: %s is not in the record\n", awaited->number,
			frames, what);
		print_hex("here", data, (uint32_t)length);
		exit(1);
	}
	same(awaited, what, awaited->fields[arrived + 2], data, (uint32_t)length, awaited->fields[1]);
	arrived++;
	return 0;
}

static void expect_events(const struct record *record)
{
	struct bpf_map *map = map_named(record->fields[0]);
	struct ring *ring = rings;

	while (ring < rings + MAX_RINGS && ring->buffer && strcmp(ring->name, bpf_map__name(map)))
		ring++;
	if (ring == rings + MAX_RINGS)
		fail("more than %d event rings: raise MAX_RINGS in native/smoke.c", MAX_RINGS);
	if (!ring->buffer) {
		snprintf(ring->name, sizeof(ring->name), "%s", bpf_map__name(map));
		ring->buffer = ring_buffer__new(bpf_map__fd(map), event_came, ring, NULL);
		if (!ring->buffer)
			fail("cannot read ring %s: %s", ring->name, strerror(errno));
	}
	awaited = record;
	arrived = 0;
	ring_buffer__consume(ring->buffer);
	if (arrived + 2 != record->count)
		fail("record %lu, after %lu frames: %u events here, %u in the record", record->number, frames, arrived,
		     record->count - 2);
}

/* Frames */

static const char *verdict_name(uint32_t verdict)
{
	static const char *const names[] = { "ABORTED", "DROP", "PASS", "TX", "REDIRECT" };

	return verdict < sizeof(names) / sizeof(names[0]) ? names[verdict] : "unknown";
}

static void open_tap(void)
{
	static char log[1u << 16];
	int error, flows = bpf_object__find_map_fd_by_name(object, "flows");

	tap = hft_tap_open(bpf_program__fd(hook), bpf_program__name(hook), flows,
			   HFT_TAP_EVERY_WAY | HFT_TAP_OF_EVERYONE, HFT_TAP_MOST, TAP_RING, log, sizeof(log), &error);
	if (!tap)
		printf("smoke untapped %s\n", strerror(-error));
}

/* The next frame that was tapped must be this one. */
static void next_tapped(const struct record *record, const unsigned char **at, const unsigned char *end, uint32_t way,
			struct field frame)
{
	struct hft_tap_frame head;
	uint32_t captured = frame.length < HFT_TAP_MOST ? frame.length : HFT_TAP_MOST;

	if (*at + sizeof(head) > end)
		fail("record %lu: a frame was not tapped", record->number);
	memcpy(&head, *at, sizeof(head));
	if (head.way != way || head.length != frame.length || head.captured != captured ||
	    memcmp(*at + sizeof(head), frame.bytes, captured))
		fail("record %lu: way %u, %u of %u bytes were tapped, or others; %u, %u were there", record->number,
		     head.way, head.captured, head.length, way, frame.length);
	*at += (sizeof(head) + captured + 7) / 8 * 8;
	tapped++;
}

/* What came and what left, byte by byte; of a command only what left (its destination is of class E). */
static void check_tap(const struct record *record, uint32_t verdict, struct field left)
{
	static const uint32_t ways[] = { HFT_TAP_ABORTED, HFT_TAP_CONSUMED, HFT_TAP_PASSED, HFT_TAP_ANSWERED };
	static unsigned char out[TAP_ROOM];
	const unsigned char *at = out, *end;
	struct field came = record->fields[0];
	int bytes = hft_tap_drain(tap, out, sizeof(out));

	if (bytes < 0 || hft_tap_lost(tap))
		fail("record %lu: the tap: %s, %llu lost", record->number, strerror(-bytes), hft_tap_lost(tap));
	end = out + bytes;
	if (came.length <= CLASS_AT || came.bytes[CLASS_AT] < CLASS_E)
		next_tapped(record, &at, end, ways[verdict], came);
	if (verdict == XDP_TX)
		next_tapped(record, &at, end, HFT_TAP_SENT, left);
	if (at != end)
		fail("record %lu: %ld bytes more were tapped than frames were there", record->number, (long)(end - at));
}

static void run_frame(const struct record *record)
{
	static unsigned char out[MAX_FRAME];
	uint32_t expected = u32_at(record->fields[1], 0);
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = record->fields[0].bytes,
		    .data_size_in = record->fields[0].length, .data_out = out, .data_size_out = sizeof(out),
		    .repeat = 1);

	if (bpf_prog_test_run_opts(bpf_program__fd(hook), &options))
		fail("record %lu: the kernel does not run the frame: %s", record->number, strerror(errno));
	frames++;
	if (options.retval != expected) {
		fprintf(stderr, "smoke: record %lu, frame %lu: verdict XDP_%s, recorded XDP_%s\n", record->number,
			frames, verdict_name(options.retval), verdict_name(expected));
		print_hex("frame", record->fields[0].bytes, record->fields[0].length);
		exit(1);
	}
	if (expected == XDP_TX)
		trades++;
	if (record->fields[2].length)
		same(record, "the frame", record->fields[2], out, options.data_size_out, (struct field){ 0 });
	if (tap)
		check_tap(record, expected, (struct field){ .bytes = out, .length = options.data_size_out });
}

static int attach(int program, const char *device)
{
	int error, index = (int)if_nametoindex(device);

	if (!index)
		fail("there is no device %s", device);
	error = bpf_xdp_attach(index, program, XDP_FLAGS_DRV_MODE, NULL);
	if (error)
		fail("cannot attach to %s in native mode: %s", device, strerror(-error));
	return index;
}

/* XDP_TX on veth needs a program on the peer: its NAPI takes the frames. This one passes them. */
static int load_pass(void)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "smoke_pass", "Dual BSD/GPL", program, 2, NULL);

	if (fd < 0)
		fail("the kernel refuses a program that only passes frames: %s", strerror(errno));
	return fd;
}

static int open_wire(const char *device, const char *peer, int pass)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	attach(bpf_program__fd(hook), device);
	address.sll_ifindex = attach(pass, peer);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)))
		fail("cannot open a packet socket on %s: %s", peer, strerror(errno));
	return fd;
}

static void wire_frame(const struct record *record, int wire)
{
	bool answered = u32_at(record->fields[1], 0) == XDP_TX;
	struct pollfd readable = { .fd = wire, .events = POLLIN };
	unsigned char in[MAX_FRAME];
	ssize_t length;

	if (send(wire, record->fields[0].bytes, record->fields[0].length, 0) != (ssize_t)record->fields[0].length)
		fail("record %lu: cannot send a frame over the wire: %s", record->number, strerror(errno));
	frames++;
	wired++;
	if (!poll(&readable, 1, answered ? WIRE_TIMEOUT_MS : SILENCE_MS)) {
		if (answered)
			fail("record %lu: no frame came back over the wire within %d ms", record->number,
			     WIRE_TIMEOUT_MS);
		return;
	}
	length = recv(wire, in, sizeof(in), 0);
	if (length < 0)
		fail("record %lu: cannot receive from the wire: %s", record->number, strerror(errno));
	if (!answered) {
		print_hex("here", in, (uint32_t)length);
		fail("record %lu: a frame came back over the wire, none did in the record", record->number);
	}
	trades++;
	same(record, "the frame on the wire", record->fields[2], in, (uint32_t)length, (struct field){ 0 });
}

/* Load */

static void load_rodata(const struct record *record)
{
	struct bpf_map *map = map_named(record->fields[0]);
	int error = bpf_map__set_initial_value(map, record->fields[1].bytes, record->fields[1].length);

	if (error)
		fail("cannot set %s (%u bytes): %s; record the script again", bpf_map__name(map),
		     record->fields[1].length, strerror(-error));
}

/*
 * As native/engine.c does: libbpf 1.1 takes the size of a global array from the object, so one of another size is made here and put
 * in its place. libbpf unmaps by what it believes the size to be, so such an object is never closed: the process ends with it.
 */
static void replace_array(struct bpf_map *map, uint32_t value_size)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	int error,
		fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, bpf_map__name(map), sizeof(uint32_t), value_size, 1, &options);

	if (fd < 0)
		fail("cannot make map %s of %u bytes: %s", bpf_map__name(map), value_size, strerror(errno));
	error = bpf_map__reuse_fd(map, fd);
	if (error)
		fail("cannot put a map of %u bytes in the place of %s: %s", value_size, bpf_map__name(map),
		     strerror(-error));
	close(fd);
}

static void size_map(const struct record *record)
{
	struct bpf_map *map = map_named(record->fields[0]);
	uint32_t value_size = u32_at(record->fields[1], 0), elements = u32_at(record->fields[2], 0);
	int error;

	if (value_size != bpf_map__value_size(map)) {
		if (elements != 1 || bpf_map__max_entries(map) != 1)
			fail("values of map %s have %u bytes, in the script %u: record it again", bpf_map__name(map),
			     bpf_map__value_size(map), value_size);
		replace_array(map, value_size);
		return;
	}
	error = bpf_map__set_max_entries(map, elements);
	if (error)
		fail("cannot give map %s %u elements: %s", bpf_map__name(map), elements, strerror(-error));
}

/* Who calls whom, in the verifier's own numbering: subprograms in the order of their instructions. */
static void print_calls(const struct bpf_program *program)
{
	const struct bpf_insn *code = bpf_program__insns(program);
	size_t count = bpf_program__insn_cnt(program);
	uint32_t *number = calloc(count + 1, sizeof(*number)), at = 0;

	if (!number)
		fail("out of memory");
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < count; i++) {
			bool call = code[i].code == (BPF_JMP | BPF_CALL) && code[i].src_reg == BPF_PSEUDO_CALL;
			bool pointer =
				code[i].code == (BPF_LD | BPF_IMM | BPF_DW) && code[i].src_reg == BPF_PSEUDO_FUNC;
			size_t target = i + 1 + (size_t)(long)code[i].imm;

			if (pass)
				at = number[i] ? number[i] : at;
			if ((!call && !pointer) || target >= count)
				continue;
			if (pass)
				printf(" %u>%u", at, number[target]);
			else
				number[target] = 1;
		}
		for (size_t i = 0, last = 0; !pass && i < count; i++)
			if (number[i])
				number[i] = (uint32_t)++last;
	}
	free(number);
}

/* The line of a log that starts with `start`, without that start; NULL if there is none. */
static const char *log_line(const char *log, const char *start)
{
	static char line[4096];
	const char *found = strstr(log, start);

	if (!found)
		return NULL;
	found += strlen(start);
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(found, "\n"), found);
	return line;
}

static void print_program(const struct bpf_program *program, const char *log)
{
	struct bpf_prog_info info = { 0 };
	uint32_t length = sizeof(info);
	const char *line;

	printf("smoke program %s %s\n", bpf_program__section_name(program), bpf_program__name(program));
	if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length))
		fail("cannot ask for the program's figures: %s", strerror(errno));
	printf("smoke verified_insns %u\n", info.verified_insns);
	printf("smoke xlated_bytes %u\n", info.xlated_prog_len);
	printf("smoke jited_bytes %u\n", info.jited_prog_len);
	line = log_line(log, "verification time ");
	if (line)
		printf("smoke verification_us %s\n", line);
	line = log_line(log, "stack depth ");
	if (line)
		printf("smoke stack %s\n", line);
	line = log_line(log, "processed ");
	if (line)
		printf("smoke processed %s\n", line);
	printf("smoke calls");
	print_calls(program);
	putchar('\n');
}

static bool is_xdp(const struct bpf_program *program)
{
	return !strcmp(bpf_program__section_name(program), "xdp");
}

/* Open the object with a verifier log for each program, and what the script fixes before the load. */
static void open_object(const char *path, const struct record *records, size_t count, uint32_t level, char **logs,
			uint32_t size)
{
	struct bpf_program *program;
	size_t i = 0;

	object = bpf_object__open_file(path, NULL);
	if (!object)
		fail("cannot open %s: %s; build it with `make`", path, strerror(errno));
	hook = NULL;
	bpf_object__for_each_program(program, object)
	{
		if (i == MAX_PROGRAMS)
			fail("more than %d programs: raise MAX_PROGRAMS in native/smoke.c", MAX_PROGRAMS);
		logs[i] = calloc(1, size);
		if (!logs[i] || bpf_program__set_log_buf(program, logs[i], size))
			fail("out of memory");
		bpf_program__set_log_level(program, level);
		if (!hook && is_xdp(program))
			hook = program;
		i++;
	}
	if (!hook)
		fail("%s has no program in section \"xdp\"", path);
	for (i = 0; i < count; i++) {
		if (records[i].operation == OP_RODATA)
			load_rodata(&records[i]);
		if (records[i].operation == OP_SIZE)
			size_map(&records[i]);
	}
}

/* The last lines of the log, as they tell what the kernel refused. */
static void print_tail(const char *log)
{
	const char *at = log + strlen(log);

	for (int lines = 0; at > log; at--)
		if (at[-1] == '\n' && ++lines > REFUSAL_LINES)
			break;
	fputs(at, stderr);
}

/* Once more with the whole log: the first load asks for statistics only, which say nothing of a refusal. */
__attribute__((noreturn)) static void refused(const char *path, const struct record *records, size_t count, int error)
{
	char *logs[MAX_PROGRAMS] = { 0 };
	int last = MAX_PROGRAMS - 1;

	open_object(path, records, count, FULL_LOG, logs, REFUSAL_LOG); /* the first one stays open: replace_array() */
	if (!bpf_object__load(object))
		fail("the kernel refused %s (%s) and then took it", path, strerror(-error));
	fflush(stdout);
	while (last > 0 && (!logs[last] || !logs[last][0])) /* libbpf stops at the program that is refused */
		last--;
	if (logs[last])
		print_tail(logs[last]);
	fail("the kernel refused %s: %s", path, strerror(-error));
}

/* `how`: "bare" with what the object itself says, "sized" with what the script does. */
static void load_object(const char *path, const char *how, const struct record *records, size_t count)
{
	char *logs[MAX_PROGRAMS] = { 0 };
	struct bpf_program *program;
	double start;
	int error;
	size_t i = 0;

	open_object(path, records, count, STATS_ONLY, logs, STATS_LOG);
	start = milliseconds();
	error = bpf_object__load(object);
	if (error)
		refused(path, records, count, error);
	printf("smoke load %s\nsmoke load_ms %.1f\n", how, milliseconds() - start);
	bpf_object__for_each_program(program, object)
	{
		print_program(program, logs[i]);
		free(logs[i++]);
	}
	fflush(stdout);
}

/* Script */

static const unsigned char *read_script(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *memory;

	if (fd < 0 || fstat(fd, &status) || !status.st_size)
		fail("cannot read the script %s: %s", path, strerror(errno));
	*size = (size_t)status.st_size;
	memory = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (memory == MAP_FAILED)
		fail("cannot read the script %s: %s", path, strerror(errno));
	close(fd);
	return memory;
}

static uint32_t take(const unsigned char *script, size_t size, size_t *at)
{
	uint32_t value;

	if (size - *at < sizeof(value))
		fail("the script ends inside a record; record it again");
	memcpy(&value, script + *at, sizeof(value));
	*at += sizeof(value);
	return value;
}

/* Every record of the script; their fields point into it. */
static struct record *parse(const unsigned char *script, size_t size, size_t *count)
{
	static const uint32_t least[] = {
		[OP_RODATA] = 2, [OP_SIZE] = 3, [OP_WRITE] = 3,	 [OP_DELETE] = 2, [OP_POKE] = 3,
		[OP_RUN] = 3,	 [OP_WIRE] = 3, [OP_EXPECT] = 2, [OP_FOLLOW] = 1, [OP_EVENTS] = 2,
	};
	struct record *records = NULL;
	size_t at = 0, room = 0, used = 0;

	for (*count = 0; at < size; (*count)++) {
		struct record *record;

		if (*count == room) {
			room = room ? 2 * room : 1024;
			records = realloc(records, room * sizeof(*records));
			if (!records)
				fail("out of memory");
		}
		record = &records[*count];
		record->operation = take(script, size, &at);
		record->count = take(script, size, &at);
		record->number = *count + 1;
		record->fields = fields + used;
		if (record->operation < OP_RODATA || record->operation > OP_EVENTS ||
		    record->count < least[record->operation])
			fail("record %zu of the script is none that this program knows; record it again", *count + 1);
		if (record->count > MAX_FIELDS - used)
			fail("the script is too long: record fewer frames, or raise MAX_FIELDS in native/smoke.c");
		for (uint32_t i = 0; i < record->count; i++, used++) {
			fields[used].length = take(script, size, &at);
			fields[used].bytes = script + at;
			if (fields[used].length > size - at)
				fail("the script ends inside a record; record it again");
			at += fields[used].length;
		}
	}
	return records;
}

/* From here on as `turbo-hft run` once it is attached: whatever this kernel asks capabilities for is found out by what follows. */
static void give_up_capabilities(unsigned long long keep)
{
	int error = hft_give_up_capabilities(keep);

	if (error)
		fail("cannot give up capabilities: %s", strerror(-error));
}

static void play(const struct record *records, size_t count, const char *device, const char *peer)
{
	int wire = -1, pass = device ? load_pass() : -1;

	if (count)
		open_tap();
	give_up_capabilities(device ? 1ULL << CAP_NET_ADMIN | 1ULL << CAP_NET_RAW : 0);
	for (size_t i = 0; i < count; i++) {
		const struct record *record = &records[i];

		switch (record->operation) {
		case OP_WRITE:
			write_map(record);
			break;
		case OP_DELETE:
			delete_element(record);
			break;
		case OP_POKE:
			poke_array(record);
			break;
		case OP_WIRE:
			if (!device) {
				run_frame(record);
				break;
			}
			/* Frames of the wire are looked at on the wire. */
			hft_tap_close(tap);
			tap = NULL;
			if (wire < 0) {
				wire = open_wire(device, peer, pass);
				give_up_capabilities(0);
			}
			wire_frame(record, wire);
			break;
		case OP_RUN:
			run_frame(record);
			break;
		case OP_EXPECT:
			expect_map(record);
			break;
		case OP_FOLLOW:
			follow_map(record);
			break;
		case OP_EVENTS:
			expect_events(record);
			break;
		}
	}
	printf("smoke frames %lu\nsmoke wire_frames %lu\nsmoke order_frames %lu\nsmoke comparisons %lu\nsmoke tapped %lu\n",
	       frames, wired, trades, comparisons, tapped);
}

static void stay_on_one_cpu(void)
{
	cpu_set_t cpus;
	int first = 0;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		fail("cannot ask for the CPUs of this process: %s", strerror(errno));
	while (first < CPU_SETSIZE - 1 && !CPU_ISSET(first, &cpus))
		first++;
	CPU_ZERO(&cpus);
	CPU_SET(first, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		fail("cannot stay on CPU %d: %s", first, strerror(errno));
}

int main(int argc, char **argv)
{
	struct record *records = NULL;
	size_t size, count = 0;
	struct utsname system;

	if (argc < 2 || argc > 5 || argc == 4)
		fail("usage: smoke OBJECT [SCRIPT [DEVICE PEER]]");
	stay_on_one_cpu();
	if (!uname(&system))
		printf("smoke release %s\n", system.release);
	load_object(argv[1], "bare", NULL, 0);
	if (argc > 2) {
		const unsigned char *script = read_script(argv[2], &size);

		records = parse(script, size, &count);
		bpf_object__close(object);
		load_object(argv[1], "sized", records, count);
	}
	play(records, count, argc > 4 ? argv[3] : NULL, argc > 4 ? argv[4] : NULL);
	puts("smoke result pass");
	return 0;
}

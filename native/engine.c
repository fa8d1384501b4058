/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Load, attach and find the program; read and write its maps; run frames through it. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "hft/limits.h"
#include "hft/abi.h"
#include "hft/layout.h"
#include "xdp_hft.skel.h"

#include "hft.h"

#define STATE_READ_TRIES 100000
#define ETHERNET_BYTES 14
#define IPV4_BYTES 20
#define UDP_BYTES 8

/* The tables of the fast path are global arrays of the program, each in a section, and so a map, of its own. */
enum { BOOKS, LOCATES, ORDERS, SPILL, LEVELS, LADDER, FLAT_TABLES };

struct hft_object {
	struct xdp_hft *skeleton;
	int flat[FLAT_TABLES];
};

/* libbpf reports through one global callback: what it says while a thread loads goes to that thread's buffer. */
static _Thread_local char *log_at;
static _Thread_local size_t log_left;

static int log_line(enum libbpf_print_level level, const char *format, va_list arguments)
{
	int written;

	if (level == LIBBPF_DEBUG || !log_at)
		return 0;
	written = vsnprintf(log_at, log_left, format, arguments);
	if (written > 0) {
		size_t step = (size_t)written < log_left ? (size_t)written : log_left - 1;

		log_at += step;
		log_left -= step;
	}
	return written;
}

/* The hook masks and bounds its indexes by `config`: the maps must be as large as it says. */
static int size_maps(const struct xdp_hft *skeleton, const struct hft_config *config)
{
	const struct {
		struct bpf_map *map;
		__u64 entries;
	} sizes[] = {
		{ skeleton->maps.symbol_params, config->symbols },
		{ skeleton->maps.symbol_limits, 2ULL * config->symbols },
		{ skeleton->maps.memory, config->symbols },
		{ skeleton->maps.symbol_state, config->symbols },
		{ skeleton->maps.symbol_names, config->symbols },
		{ skeleton->maps.auctions, config->symbols },
		{ skeleton->maps.kept, config->feeds * (config->kept_mask + 1ULL) },
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int error = sizes[i].entries == (__u32)sizes[i].entries
				    ? bpf_map__set_max_entries(sizes[i].map, sizes[i].entries)
				    : -E2BIG;

		if (error)
			return error;
	}
	return 0;
}

/* A one-element map; MMAPABLE, so that user space reads it in place. */
static int make_table(const char *name, __u64 bytes)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	int fd;

	if (bytes > INT_MAX)
		return -E2BIG;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(__u32), bytes, 1, &options);
	return fd < 0 ? -errno : fd;
}

/*
 * libbpf 1.1 takes the size of a global array from the object. So larger ones are made here and put in their place for the load;
 * afterwards maps of the old size take theirs, because libbpf unmaps by what it believes the size to be.
 */
static int swap_tables(struct hft_object *object, const struct hft_config *config, int loading)
{
	const struct xdp_hft *skeleton = object->skeleton;
	const struct {
		struct bpf_map *map;
		__u64 bytes;
		__u64 bare;
	} tables[FLAT_TABLES] = {
		[BOOKS] = { skeleton->maps.data_books, config->symbols * sizeof(struct hft_book),
			    HFT_DEFAULT_SYMBOLS * sizeof(struct hft_book) },
		[LOCATES] = { skeleton->maps.data_locates, config->feeds * HFT_LOCATES * sizeof(__u16),
			      HFT_DEFAULT_FEEDS * HFT_LOCATES * sizeof(__u16) },
		[ORDERS] = { skeleton->maps.data_orders, (config->order_mask + 1ULL) * sizeof(struct hft_bucket),
			     HFT_DEFAULT_ORDER_BUCKETS * sizeof(struct hft_bucket) },
		[SPILL] = { skeleton->maps.data_spill, (config->spill_mask + 1ULL) * sizeof(struct hft_bucket),
			    HFT_DEFAULT_SPILL_BUCKETS * sizeof(struct hft_bucket) },
		[LEVELS] = { skeleton->maps.data_levels, (config->level_mask + 1ULL) * sizeof(struct hft_level_block),
			     HFT_DEFAULT_LEVEL_BLOCKS * sizeof(struct hft_level_block) },
		[LADDER] = { skeleton->maps.data_ladder, (config->ladder_mask + 1ULL) * sizeof(struct hft_bucket),
			     HFT_DEFAULT_LADDER_BUCKETS * sizeof(struct hft_bucket) },
	};

	for (int i = 0; i < FLAT_TABLES; i++) {
		const char *name = bpf_map__name(tables[i].map);
		int fd = make_table(name, loading ? tables[i].bytes : tables[i].bare), error;

		if (fd < 0)
			return fd;
		error = bpf_map__reuse_fd(tables[i].map, fd);
		if (loading && !error)
			object->flat[i] = fd;
		else
			close(fd);
		if (error)
			return error;
	}
	return 0;
}

static int load_skeleton(struct hft_object *object, const struct hft_config *config)
{
	struct xdp_hft *skeleton = object->skeleton;
	int error, restored;

	skeleton->rodata_config->config = *config;
	skeleton->rodata_config->config.abi_version = HFT_ABI_VERSION;
	error = size_maps(skeleton, config);
	if (error)
		return error;
	error = swap_tables(object, config, 1);
	if (!error)
		error = bpf_object__load(skeleton->obj);
	restored = swap_tables(object, config, 0);
	return error ?: restored;
}

struct hft_object *hft_load(const struct hft_config *config, char *log, size_t log_size, int *error)
{
	struct hft_object *object = calloc(1, sizeof(*object));

	if (!object) {
		*error = -ENOMEM;
		return NULL;
	}
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(log_line);
	log_at = log;
	log_left = log_size;
	if (log_size)
		log[0] = '\0';
	memset(object->flat, -1, sizeof(object->flat));
	object->skeleton = xdp_hft__open();
	*error = object->skeleton ? load_skeleton(object, config) : -errno;
	log_at = NULL;
	if (*error) {
		hft_unload(object);
		return NULL;
	}
	return object;
}

void hft_unload(struct hft_object *object)
{
	if (!object)
		return;
	for (int i = 0; i < FLAT_TABLES; i++)
		if (object->flat[i] >= 0)
			close(object->flat[i]);
	xdp_hft__destroy(object->skeleton);
	free(object);
}

int hft_program_fd(const struct hft_object *object)
{
	return bpf_program__fd(object->skeleton->progs.xdp_hft);
}

int hft_map_fd(const struct hft_object *object, const char *name)
{
	static const char *const flat[FLAT_TABLES] = {
		[BOOKS] = ".data.books", [LOCATES] = ".data.locates", [ORDERS] = ".data.orders",
		[SPILL] = ".data.spill", [LEVELS] = ".data.levels",   [LADDER] = ".data.ladder",
	};

	for (int i = 0; i < FLAT_TABLES; i++)
		if (!strcmp(name, flat[i]))
			return object->flat[i];
	return bpf_object__find_map_fd_by_name(object->skeleton->obj, name);
}

int hft_attach(int program_fd, int ifindex, unsigned int flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
	int fd = bpf_link_create(program_fd, ifindex, BPF_XDP, &options);

	return fd < 0 ? -errno : fd;
}

int hft_query(int ifindex, unsigned int *program_id, unsigned int *flags)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, options);
	int error = bpf_xdp_query(ifindex, 0, &options);

	if (error)
		return error;
	if (options.drv_prog_id) {
		*program_id = options.drv_prog_id;
		*flags = XDP_FLAGS_DRV_MODE;
	} else if (options.skb_prog_id) {
		*program_id = options.skb_prog_id;
		*flags = XDP_FLAGS_SKB_MODE;
	} else {
		return -ENOENT;
	}
	return 0;
}

int hft_program_by_id(unsigned int program_id)
{
	int fd = bpf_prog_get_fd_by_id(program_id);

	return fd < 0 ? -errno : fd;
}

int hft_map_of_program(int program_fd, const char *name)
{
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info), ids[64];

	info.nr_map_ids = sizeof(ids) / sizeof(ids[0]);
	info.map_ids = (__u64)(unsigned long)ids;
	if (bpf_obj_get_info_by_fd(program_fd, &info, &length))
		return -errno;
	for (__u32 i = 0; i < info.nr_map_ids && i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct bpf_map_info map = {};
		int fd = bpf_map_get_fd_by_id(ids[i]);

		if (fd < 0)
			return -errno;
		length = sizeof(map);
		if (!bpf_obj_get_info_by_fd(fd, &map, &length) && !strcmp(map.name, name))
			return fd;
		close(fd);
	}
	return -ENOENT;
}

int hft_map_shape(int map_fd, struct hft_map_shape *shape)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(map_fd, &info, &length))
		return -errno;
	shape->type = info.type;
	shape->key_size = info.key_size;
	shape->value_size = info.value_size;
	shape->max_entries = info.max_entries;
	return 0;
}

int hft_map_read(int map_fd, const void *key, void *value)
{
	return bpf_map_lookup_elem(map_fd, key, value) ? -errno : 0;
}

int hft_map_write(int map_fd, const void *key, const void *value)
{
	return bpf_map_update_elem(map_fd, key, value, BPF_ANY) ? -errno : 0;
}

int hft_map_delete(int map_fd, const void *key)
{
	return bpf_map_delete_elem(map_fd, key) ? -errno : 0;
}

int hft_map_next_key(int map_fd, const void *key, void *next_key)
{
	return bpf_map_get_next_key(map_fd, key, next_key) ? -errno : 0;
}

int hft_possible_cpus(void)
{
	return libbpf_num_possible_cpus();
}

void *hft_map_share(int map_fd, size_t length, int writable, int *error)
{
	void *memory = mmap(NULL, length, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, map_fd, 0);

	if (memory == MAP_FAILED) {
		*error = -errno;
		return NULL;
	}
	return memory;
}

int hft_state_read(const struct hft_book *book, const struct hft_symbol_state *state, struct hft_book *book_copy,
		   struct hft_symbol_state *state_copy)
{
	for (int i = 0; i < STATE_READ_TRIES; i++) {
		__u32 before = __atomic_load_n(&book->version, __ATOMIC_ACQUIRE);

		if (before & 1)
			continue;
		memcpy(book_copy, book, sizeof(*book_copy));
		memcpy(state_copy, state, sizeof(*state_copy));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&book->version, __ATOMIC_RELAXED) == before)
			return 0;
	}
	return -EAGAIN;
}

/* Is it a message of a symbol, whole? No others are kept because a symbol is in quarantine. */
static int is_symbol_message(const struct hft_kept *message)
{
	static const unsigned char lengths[256] = {
		['H'] = 25, ['Y'] = 20, ['K'] = 28, ['J'] = 35, ['h'] = 21, ['P'] = 44, ['Q'] = 40,
		['A'] = 36, ['F'] = 40, ['E'] = 31, ['C'] = 36, ['X'] = 23, ['D'] = 19, ['U'] = 35,
	};

	return message->length && message->length == lengths[message->msg[0]];
}

unsigned int hft_kept_scan(const struct hft_kept *kept, const struct hft_kept_scan *scan, unsigned long long *sequence,
			   struct hft_kept *found, unsigned int room, unsigned long long *overwritten)
{
	const struct hft_kept *ring = kept + (size_t)scan->feed * ((size_t)scan->mask + 1);
	unsigned int count = 0;

	for (; *sequence < scan->end && count < room; ++*sequence) {
		const struct hft_kept *place = ring + (*sequence & scan->mask);
		__u64 wanted = hft_kept_tag(scan->generation, *sequence);
		__u64 tag = __atomic_load_n(&place->tag, __ATOMIC_ACQUIRE);
		struct hft_kept *copy = &found[count];

		if (tag == wanted) {
			memcpy(copy, place, sizeof(*copy));
			__atomic_thread_fence(__ATOMIC_ACQUIRE);
			tag = __atomic_load_n(&place->tag, __ATOMIC_RELAXED);
		}
		if (tag != wanted) {
			/* a later message of the session in its place: this one may have been there before */
			*overwritten += tag > wanted;
			continue;
		}
		copy->tag = *sequence;
		if (is_symbol_message(copy) && scan->locates[copy->msg[1] << 8 | copy->msg[2]])
			count++;
	}
	return count;
}

int hft_test_run(int program_fd, const void *frame, unsigned int length, void *out, unsigned int *out_length,
		 unsigned int repeat, unsigned int *verdict, unsigned int *duration_ns)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = length, .data_out = out,
		    .data_size_out = *out_length, .repeat = repeat);

	if (bpf_prog_test_run_opts(program_fd, &options))
		return -errno;
	*out_length = options.data_size_out;
	*verdict = options.retval;
	*duration_ns = options.duration;
	return 0;
}

/* One's complement sum of the IPv4 header, as a checksum; network byte order in and out. */
static __u16 ipv4_checksum(const unsigned char *header)
{
	__u32 sum = 0;

	for (int i = 0; i < IPV4_BYTES; i += 2)
		sum += header[i] << 8 | header[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static void put_be16(unsigned char *at, __u16 value)
{
	at[0] = value >> 8;
	at[1] = value;
}

/* Run `length` bytes of payload behind headers whose lengths and checksums are set here; the verdict or -errno. */
static int run_datagram(int program_fd, unsigned char *frame, unsigned int headers_len, const void *payload,
			unsigned int length)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = headers_len + length);
	unsigned char *udp = frame + headers_len - UDP_BYTES, *ipv4 = udp - IPV4_BYTES;

	if (length > HFT_MAX_FRAME - headers_len)
		return -EMSGSIZE;
	memcpy(frame + headers_len, payload, length);
	put_be16(ipv4 + 2, IPV4_BYTES + UDP_BYTES + length);
	put_be16(ipv4 + 10, 0);
	put_be16(ipv4 + 10, ipv4_checksum(ipv4));
	put_be16(udp + 4, UDP_BYTES + length);
	put_be16(udp + 6, 0);
	return bpf_prog_test_run_opts(program_fd, &options) ? -errno : (int)options.retval;
}

static int take_headers(unsigned char *frame, const void *headers, unsigned int headers_len)
{
	if (headers_len < ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES || headers_len > HFT_MAX_HEADERS)
		return -EINVAL;
	memcpy(frame, headers, headers_len);
	return 0;
}

int hft_inject(int program_fd, const void *headers, unsigned int headers_len, const void *payload, unsigned int length)
{
	unsigned char frame[HFT_MAX_FRAME];
	int error = take_headers(frame, headers, headers_len);

	return error ? error : run_datagram(program_fd, frame, headers_len, payload, length);
}

int hft_run_packets(int program_fd, const void *headers, unsigned int headers_len, const void *packets,
		    unsigned int count, size_t size, unsigned int *done)
{
	const unsigned char *at = packets, *end = at + size;
	unsigned char frame[HFT_MAX_FRAME];
	int result = take_headers(frame, headers, headers_len);

	*done = 0;
	while (result >= 0 && *done < count) {
		__u32 length;

		if ((size_t)(end - at) < sizeof(length))
			return -EINVAL;
		memcpy(&length, at, sizeof(length));
		at += sizeof(length);
		if ((size_t)(end - at) < length)
			return -EINVAL;
		result = run_datagram(program_fd, frame, headers_len, at, length);
		at += length;
		*done += result >= 0;
	}
	return result < 0 ? result : 0;
}

/* `verdict`, whatever the frame: two instructions. */
static int load_constant(const char *name, int verdict)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, name, "Dual BSD/GPL", program, 2, NULL);

	return fd < 0 ? -errno : fd;
}

int hft_load_pass(void)
{
	return load_constant("hft_pass", XDP_PASS);
}

int hft_load_echo(void)
{
	return load_constant("hft_echo", XDP_TX);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ns/message of the loaded program: every packet is run through it once (BPF_PROG_TEST_RUN), the kernel's own run-time statistics
 * are the clock. Their two clock reads a packet are part of the figure; the system call around each run is not, but it takes its
 * share of the caches.
 *
 * hook FILE BOOK prelude=N per_packet=N track=N empty=0|1 config=HEX
 *
 * `config` is a struct hft_config. `track` symbols of the directory are asked for, evenly spread. `empty`: two instructions run
 * in the program's place.
 */
#include <errno.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/if_link.h>
#include <linux/types.h>

#include "hft/limits.h"
#include "hft/abi.h"
#include "hft.h"

#include "packets.h"

#define IPV4_AT 14
#define UDP_AT 34
#define HEADERS 42
#define FEED_ADDRESS "239.77.0.1"
#define FEED_PORT 26477
#define LOG_BYTES (1 << 20)

static uint8_t frame[HEADERS + MAX_PAYLOAD];

static void die(const char *what, int error)
{
	fprintf(stderr, "hook: %s: %s\n", what, strerror(-error));
	exit(1);
}

static uint32_t checksum(const uint8_t *at, uint32_t length, uint64_t sum)
{
	for (uint32_t i = 0; i + 1 < length; i += 2)
		sum += framed_length(at + i);
	if (length & 1)
		sum += (uint32_t)at[length - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static void headers_init(void)
{
	memcpy(frame, "\x01\x00\x5e\x4d\x00\x01\x02\x00\x00\x00\x77\x02\x08\x00\x45\x00", IPV4_AT + 2);
	frame[IPV4_AT + 8] = 16; /* time to live */
	frame[IPV4_AT + 9] = 17; /* UDP */
	memcpy(frame + IPV4_AT + 12, "\x0a\x4d\x00\x02\xef\x4d\x00\x01", 8);
	put_number(frame + UDP_AT, 40000, 2);
	put_number(frame + UDP_AT + 2, FEED_PORT, 2);
}

/* Lengths and checksums for `payload` bytes; the frame's length. */
static uint32_t headers_finish(uint32_t payload, bool checksums)
{
	uint32_t udp = HEADERS - UDP_AT + payload, pseudo = 17 + udp;

	put_number(frame + IPV4_AT + 2, UDP_AT - IPV4_AT + udp, 2);
	put_number(frame + IPV4_AT + 10, 0, 2);
	put_number(frame + IPV4_AT + 10, checksum(frame + IPV4_AT, UDP_AT - IPV4_AT, 0), 2);
	put_number(frame + UDP_AT + 4, udp, 2);
	put_number(frame + UDP_AT + 6, 0, 2);
	if (checksums) {
		for (int i = 0; i < 4; i++)
			pseudo += framed_length(frame + IPV4_AT + 12 + 2 * i);
		put_number(frame + UDP_AT + 6, checksum(frame + UDP_AT, udp, pseudo) ?: 0xffff, 2);
	}
	return HEADERS + payload;
}

/* The feed, and slots for `track` of its symbols. */
static void configure(struct hft_object *object, const struct workload *day, struct hft_book *books, uint32_t track)
{
	struct hft_flow_key key = { .addr_be = inet_addr(FEED_ADDRESS), .port_be = htons(FEED_PORT) };
	struct hft_flow flow = { .role = HFT_ROLE_FEED };
	int names = hft_map_fd(object, "symbol_names"), error;
	uint32_t slot = 0, number = 0;

	error = hft_map_write(hft_map_fd(object, "flows"), &key, &flow);
	if (error)
		die("flow", error);
	for_each_listing(day, at)
	{
		struct hft_name_key name = {};

		if (slot == track || number++ % (day->listed / track))
			continue;
		memcpy(name.name, listing_name(day, at), sizeof(name.name));
		memcpy(books[slot].name, name.name, sizeof(name.name));
		error = hft_map_write(names, &name, &slot);
		if (error)
			die("symbol", error);
		slot++;
	}
}

static uint64_t run_time_ns(int program, uint64_t *runs)
{
	struct bpf_prog_info info = {};
	uint32_t length = sizeof(info);

	if (bpf_obj_get_info_by_fd(program, &info, &length))
		die("program", -errno);
	*runs = info.run_cnt;
	return info.run_time_ns;
}

int main(int count, char **words)
{
	static char log[LOG_BYTES];
	uint64_t before = 0, after, runs_before = 0, runs, sequence = 1;
	struct hft_feed_state states[HFT_MAX_FEEDS];
	struct hft_config config;
	struct hft_object *object;
	struct hft_stats stats;
	struct hft_book *books;
	struct workload day;
	uint32_t per_packet, track, unsound = 0;
	int error, program, statistics, zero = 0;
	FILE *file;

	if (count != 8) {
		fprintf(stderr, "usage: hook FILE BOOK prelude=N per_packet=N track=N empty=0|1 config=HEX\n");
		return 2;
	}
	per_packet = number_of(words, "per_packet");
	track = number_of(words, "track");
	bytes_of(words, "config", &config, sizeof(config));
	day = workload_open(words[1], number_of(words, "prelude"));
	if (track > config.symbols || track > day.listed)
		die("track", -EINVAL);

	object = hft_load(&config, &(struct hft_source){}, log, sizeof(log), &error);
	if (!object) {
		fputs(log, stderr);
		die("the program does not load", error);
	}
	books = hft_map_share(hft_map_fd(object, ".data.books"), config.symbols * sizeof(*books), 1, &error);
	if (!books)
		die("books", error);
	configure(object, &day, books, track);
	program = number_of(words, "empty") ? hft_load_constant(XDP_PASS) : hft_program_fd(object);
	if (program < 0)
		die("empty program", program);
	headers_init();
	statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (statistics < 0)
		die("run-time statistics", -errno);

	for (size_t at = 0; at < day.size;) {
		LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .repeat = 1);

		if (at == day.timed_from)
			before = run_time_ns(program, &runs_before);
		options.data_size_in = headers_finish(packet_next(&day, &at, &sequence, per_packet, frame + HEADERS),
						      config.verify_checksums);
		if (bpf_prog_test_run_opts(program, &options))
			die("test run", -errno);
	}
	after = run_time_ns(program, &runs);
	close(statistics);

	error = hft_map_read(hft_map_fd(object, ".data.feeds"), &zero, states)
			?: hft_map_read(hft_map_fd(object, ".data.tallies"), &zero, &stats);
	if (error)
		die("results", error);
	file = book_create(words[2]);
	for (uint32_t slot = 0; slot < track; slot++) {
		const struct hft_book *book = &books[slot];

		unsound += book->health != HFT_BOOK_OK;
		book_line(file, book->name, book->best_e4[HFT_BUY], book->best_e4[HFT_SELL], book->book_orders);
	}
	book_close_file(file);
	printf("{\"ns\": %.3f, \"packets\": %" PRIu64 ", \"messages\": %" PRIu64 ", \"unhandled\": %" PRIu64
	       ", \"quarantined\": %" PRIu64 ", \"unsound\": %" PRIu32 ", \"untracked\": %" PRIu64 "}\n",
	       (double)(after - before) / day.messages, runs - runs_before, day.messages,
	       sequence - (uint64_t)states[0].expected_seq, (uint64_t)stats.counter[HFT_C_BOOK_QUARANTINES], unsound,
	       (uint64_t)stats.counter[HFT_C_BOOK_UNTRACKED]);
	hft_unload(object);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hook's own headers compiled by the host's compiler: what the same code costs outside the kernel, without the JIT, the
 * verifier's wishes and a clock around each packet. Each packet is put together where it is read, about what its copy
 * costs the hook.
 *
 * native FILE BOOK prelude=N per_packet=N config=HEX
 *
 * `config` is a struct hft_config; all symbols of the directory are asked for.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <linux/types.h>

#include "packets.h"

/* What the kernel and libbpf provide, as far as these headers use it. */
#define SEC(name)
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
enum { BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_RINGBUF };
enum { BPF_F_MMAPABLE = 1, BPF_RB_NO_WAKEUP = 1 };
enum { XDP_DROP = 1, XDP_PASS, XDP_TX };
struct xdp_md {
	const uint8_t *payload;
	uint32_t length;
};
static void *bpf_map_lookup_elem(void *map, const void *key);
static void *bpf_ringbuf_reserve(void *map, uint64_t size, uint64_t flags);
#define bpf_ringbuf_submit(event, flags) ((void)(event))
#define bpf_ktime_get_ns cpu_ns
#define bpf_get_smp_processor_id() 0

static inline __attribute__((always_inline)) long bpf_loop(uint32_t rounds, long (*step)(uint32_t, void *),
							   void *context, uint64_t flags)
{
	(void)flags;
	for (uint32_t i = 0; i < rounds; i++)
		if (step(i, context))
			return i + 1;
	return rounds;
}

#include "hft/limits.h"
/* Tables as large as any day needs; config says how much of them is used. */
#undef HFT_DEFAULT_SYMBOLS
#undef HFT_DEFAULT_ORDER_BUCKETS
#undef HFT_DEFAULT_SPILL_BUCKETS
#undef HFT_DEFAULT_LEVEL_BLOCKS
#undef HFT_DEFAULT_LADDER_BUCKETS
#define HFT_DEFAULT_SYMBOLS HFT_MAX_SYMBOLS
#define HFT_DEFAULT_ORDER_BUCKETS (1 << 21)
#define HFT_DEFAULT_SPILL_BUCKETS (1 << 21)
#define HFT_DEFAULT_LEVEL_BLOCKS (1 << 21)
#define HFT_DEFAULT_LADDER_BUCKETS (1 << 21)
#include "hft/abi.h"
#include "hft/compat.bpf.h"
static struct hft_config config;
#include "hft/layout.h"
#include "hft/maps.bpf.h"
#include "hft/stats.bpf.h"
#include "hft/cursor.bpf.h"
#include "hft/event.bpf.h"
#include "hft/table.bpf.h"
#include "hft/ladder.bpf.h"
#include "hft/levels.bpf.h"
#include "hft/book.bpf.h"
#include "hft/market.bpf.h"

/* No symbol is armed or held: nothing is asked, nothing reaches the exit. */
static void symbol_touch(struct hft_book *book, uint32_t slot, uint64_t feed_seq)
{
	(void)book;
	(void)slot;
	(void)feed_seq;
}
static uint64_t feed_now(const struct hft_feed_state *feed)
{
	return feed->seen_ns;
}
#define packet_begin() ((void)0)
#define order_flush(ctx) XDP_DROP

#include "hft/kept.bpf.h"
#include "hft/itch.bpf.h"
#include "hft/feed.bpf.h"

static struct {
	struct hft_name_key key;
	uint32_t slot;
} names[HFT_DEFAULT_SYMBOLS];
static uint32_t named;

static void *bpf_map_lookup_elem(void *map, const void *key)
{
	static uint8_t element[4096];

	if (map != &symbol_names)
		return element;
	for (uint32_t i = 0; i < named; i++)
		if (!memcmp(&names[i].key, key, sizeof(names[i].key)))
			return &names[i].slot;
	return NULL;
}

static void *bpf_ringbuf_reserve(void *map, uint64_t size, uint64_t flags)
{
	(void)map;
	(void)size;
	(void)flags;
	return NULL;
}

/* The kernel's maps are there before the first packet: no page of these may be missing either. */
static void populate(void *table, size_t size, size_t bytes)
{
	if (bytes > size) {
		fprintf(stderr, "native: %zu bytes for a table of which %zu are compiled in\n", bytes, size);
		exit(1);
	}
	memset(table, 1, bytes);
	memset(table, 0, bytes);
}

int main(int count, char **words)
{
	uint64_t before = 0, after, sequence = 1;
	uint32_t per_packet, unsound = 0;
	struct workload day;
	FILE *file;

	if (count != 6) {
		fprintf(stderr, "usage: native FILE BOOK prelude=N per_packet=N config=HEX\n");
		return 2;
	}
	per_packet = number_of(words, "per_packet");
	bytes_of(words, "config", &config, sizeof(config));
	day = workload_open(words[1], number_of(words, "prelude"));
	if (day.listed > config.symbols) {
		fprintf(stderr, "native: %" PRIu32 " symbols are listed\n", day.listed);
		return 1;
	}
	populate(book_orders, sizeof(book_orders), (config.order_mask + 1ULL) * sizeof(book_orders[0]));
	populate(order_spill, sizeof(order_spill), (config.spill_mask + 1ULL) * sizeof(order_spill[0]));
	populate(book_levels, sizeof(book_levels), (config.level_mask + 1ULL) * sizeof(book_levels[0]));
	populate(book_ladder, sizeof(book_ladder), (config.ladder_mask + 1ULL) * sizeof(book_ladder[0]));
	populate(books, sizeof(books), config.symbols * sizeof(books[0]));
	for_each_listing(&day, at)
	{
		memcpy(names[named].key.name, listing_name(&day, at), sizeof(names[named].key.name));
		memcpy(books[named].name, names[named].key.name, sizeof(books[named].name));
		names[named].slot = named;
		named++;
	}

	for (size_t at = 0; at < day.size;) {
		if (at == day.timed_from)
			before = cpu_ns();
		rx_len = packet_next(&day, &at, &sequence, per_packet, rx);
		feed_packet(NULL, 0, HFT_LINE_A);
	}
	after = cpu_ns();

	file = book_create(words[2]);
	for (uint32_t slot = 0; slot < named; slot++) {
		const struct hft_book *book = &books[slot];

		unsound += book->health != HFT_BOOK_OK;
		book_line(file, book->name, book->best_e4[HFT_BUY], book->best_e4[HFT_SELL], book->book_orders);
	}
	book_close_file(file);
	printf("{\"ns\": %.3f, \"messages\": %" PRIu64 ", \"unhandled\": %" PRIu64 ", \"quarantined\": %" PRIu64
	       ", \"unsound\": %" PRIu32 ", \"untracked\": %" PRIu64 "}\n",
	       (double)(after - before) / day.messages, day.messages, sequence - (uint64_t)feeds[0].expected_seq,
	       (uint64_t)tallies.counter[HFT_C_BOOK_QUARANTINES], unsound,
	       (uint64_t)tallies.counter[HFT_C_BOOK_UNTRACKED]);
	return 0;
}

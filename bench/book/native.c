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
#include "hook_shim.h"
#include "packets.h"

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
	uint32_t per_packet, named = 0, unsound = 0;
	struct hft_name_key name = {};
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
	if (shim_open(&symbol_names)) {
		fprintf(stderr, "native: no memory for the names\n");
		return 1;
	}
	for_each_listing(&day, at)
	{
		memcpy(name.name, listing_name(&day, at), sizeof(name.name));
		memcpy(books[named].name, name.name, sizeof(books[named].name));
		shim_hash_put(&symbol_names, &name, &named);
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

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writes a day for the book benchmark, and the book it ends with, by the reference book, which shares no code with any contestant.
 *
 * generate FILE BOOK symbols=N live=N messages=N seed=N
 */
#include <linux/types.h>

#include "hft/limits.h"
#include "hft/abi.h"

#include "workload.h"

#include "hft.h"
#include "market.h"
#include "reference.h"

#define BUFFER (64u << 20)
#define MOST_AT_ONCE (1u << 20)

static uint8_t buffer[BUFFER];

static void die(const char *what, int64_t error)
{
	fprintf(stderr, "generate: %s: %s\n", what, strerror(-error));
	exit(1);
}

/* Into the file, and into the reference book. */
static void put(FILE *file, struct hft_reference *reference, int64_t bytes)
{
	if (bytes < 0)
		die("market", bytes);
	if (fwrite(buffer, 1, bytes, file) != (size_t)bytes) {
		perror("generate");
		exit(1);
	}
	for (int64_t at = 0; at < bytes; at += FRAMING + framed_length(buffer + at)) {
		int error = hft_reference_apply(reference, buffer + at + FRAMING, framed_length(buffer + at));

		if (error < 0)
			die("reference book", error);
	}
}

static uint32_t best(const struct hft_reference *reference, uint32_t locate, uint32_t side)
{
	uint32_t count;
	const struct hft_level *levels = hft_reference_side(reference, locate, side, &count);

	return count ? levels[0].price_e4 : 0;
}

int main(int count, char **words)
{
	struct hft_market_config config;
	struct hft_market_stats stats;
	struct hft_reference *reference;
	struct hft_market *market;
	uint64_t wanted, made, prelude;
	struct workload day;
	int64_t bytes;
	FILE *file;
	int error;

	if (count != 7) {
		fprintf(stderr, "usage: generate FILE BOOK symbols=N live=N messages=N seed=N\n");
		return 2;
	}
	hft_market_defaults(&config, 0);
	config.symbols = number_of(words, "symbols");
	config.live_orders = number_of(words, "live");
	config.seed = number_of(words, "seed");
	wanted = number_of(words, "messages");
	market = hft_market_create(&config, &error);
	if (!market)
		die("market", error);
	reference = hft_reference_create(&error);
	if (!reference)
		die("reference book", error);
	file = book_create(words[1]);
	put(file, reference, hft_market_open(market, buffer, BUFFER));
	while ((bytes = hft_market_seed(market, buffer, BUFFER, MOST_AT_ONCE, &made)) > 0)
		put(file, reference, bytes);
	hft_market_stats(market, &stats);
	prelude = stats.messages;
	for (; wanted; wanted -= made) {
		bytes = hft_market_next(market, buffer, BUFFER, wanted < MOST_AT_ONCE ? wanted : MOST_AT_ONCE, &made);
		put(file, reference, bytes);
	}
	book_close_file(file);

	hft_market_stats(market, &stats);
	day = workload_open(words[1], prelude);
	file = book_create(words[2]);
	for_each_listing(&day, at)
	{
		uint32_t locate = listing_locate(&day, at);

		book_line(file, listing_name(&day, at), best(reference, locate, HFT_BUY),
			  best(reference, locate, HFT_SELL), hft_reference_orders(reference, locate));
	}
	book_close_file(file);
	printf("{\"prelude\": %" PRIu64 ", \"bytes\": %zu, \"live\": %" PRIu64 ", \"last_ref\": %" PRIu64 "}\n",
	       prelude, day.size, stats.live, stats.last_ref);
	hft_reference_destroy(reference);
	hft_market_destroy(market);
	return 0;
}

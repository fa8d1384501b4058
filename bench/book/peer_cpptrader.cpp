// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// CppTrader (github: chronoxor) on the same day: its ITCH handler and the market manager of its example
// market_manager_optimized_aggressive.cpp, with 32 KB reads. Built against a checkout of it that the user names, and the
// stand-ins for CppCommon in cppcommon/. Its table of orders, 300 million there, is as long as the day's references need;
// nothing else differs.
//
// peer_cpptrader FILE BOOK prelude=N orders=N
#include "workload.h"

#include "cppcommon/main_only.h"
#include "trader/providers/nasdaq/itch_handler.h"

#include <algorithm>
#include <memory>
#include <vector>

namespace
{
constexpr size_t READ_BYTES = 32768;
size_t orders_wanted;

size_t at_most_wanted(size_t size)
{
	return std::min(size, std::max<size_t>(orders_wanted, 10000)); // it asks for 10,000 books too
}
} // namespace

#define resize(size) resize(at_most_wanted(size))
#define main example_main
#include "performance/market_manager_optimized_aggressive.cpp"
#undef main
#undef resize

// The library's one source file that is needed.
#include "source/trader/providers/nasdaq/itch_handler.cpp"

namespace
{
// Reads from `fd` up to `end` and handles it; bytes handled so far.
size_t process(MyITCHHandler &handler, int fd, size_t from, size_t end)
{
	static uint8_t buffer[READ_BYTES];

	while (from < end) {
		ssize_t size = read(fd, buffer, std::min(sizeof(buffer), end - from));

		if (size <= 0 || !handler.Process(buffer, size))
			break;
		from += size;
	}
	return from;
}

// A type that it does not know, which says nothing about a book, is walked over and counted apart.
size_t handled(const MyITCHHandler &handler)
{
	return handler.messages() + handler.errors();
}

// Best price of a side; its levels are sorted, the best last, prices of offers negative.
uint32_t best(const Level *level)
{
	return level ? uint32_t(abs(level->Price)) : 0;
}
} // namespace

int main(int count, char **words)
{
	if (count != 5) {
		fprintf(stderr, "usage: peer_cpptrader FILE BOOK prelude=N orders=N\n");
		return 2;
	}
	struct workload day = workload_open(words[1], number_of(words, "prelude")); // so that the file is in memory
	orders_wanted = number_of(words, "orders") + 1;
	MarketManagerOptimized market;
	MyITCHHandler handler(market);
	int fd = open(words[1], O_RDONLY);
	size_t at = process(handler, fd, 0, day.timed_from);
	size_t messages = handled(handler);
	uint64_t before = cpu_ns();
	process(handler, fd, at, day.size);
	uint64_t after = cpu_ns();
	messages = handled(handler) - messages;

	FILE *file = book_create(words[2]);
	for_each_listing(&day, listing)
	{
		const OrderBook *book = market.GetOrderBook(listing_locate(&day, listing));

		book_line(file, listing_name(&day, listing), best(book->best_bid()), best(book->best_ask()), -1);
	}
	book_close_file(file);
	printf("{\"ns\": %.3f, \"messages\": %zu, \"unhandled\": %" PRIu64 ", \"reading_ns\": %.3f}\n",
	       double(after - before) / day.messages, messages, day.messages - messages,
	       reading_ns(&day, words[1], READ_BYTES));
	return 0;
}

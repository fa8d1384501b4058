// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// itch-order-book (github: charles-cooper) on the same day: its parser, its book, its buffered reader with 32 KB reads.
// Built against a checkout of it that the user names. Its table of orders is as long as the day's references need.
//
// peer_itch_order_book FILE BOOK prelude=N orders=N
#include <cassert>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <endian.h>
#include <fcntl.h>
#include <limits>
#include <memory>
#include <type_traits>

#include "bufferedreader.h"
#include "itch.h"
#include "order_book.h"

#include "workload.h"

namespace
{
constexpr unsigned READ_BYTES = 32768;

template <itch_t code> itch_message<code> take(buf_t &buffer)
{
	buffer.advance(2);
	buffer.ensure(netlen<code>);
	auto message = itch_message<code>::parse(buffer.get(0));
	buffer.advance(netlen<code>);
	return message;
}

sprice_t price_of(price_t price, BUY_SELL side)
{
	auto value = static_cast<int32_t>(price);
	return sprice_t(side == BUY_SELL::SELL ? -value : value);
}

bool step(buf_t &buffer)
{
	if (!is_ok(buffer.ensure(3)))
		return false;
	switch (itch_t(*buffer.get(2))) {
	case itch_t::ADD_ORDER: {
		auto m = take<itch_t::ADD_ORDER>(buffer);
		order_book::add_order(order_id_t(m.oid), book_id_t(m.stock_locate), price_of(m.price, m.buy), m.qty);
		return true;
	}
	case itch_t::ADD_ORDER_MPID: {
		auto m = take<itch_t::ADD_ORDER_MPID>(buffer).add_msg;
		order_book::add_order(order_id_t(m.oid), book_id_t(m.stock_locate), price_of(m.price, m.buy), m.qty);
		return true;
	}
	case itch_t::EXECUTE_ORDER: {
		auto m = take<itch_t::EXECUTE_ORDER>(buffer);
		order_book::execute_order(order_id_t(m.oid), m.qty);
		return true;
	}
	case itch_t::EXECUTE_ORDER_WITH_PRICE: {
		auto m = take<itch_t::EXECUTE_ORDER_WITH_PRICE>(buffer).exec;
		order_book::execute_order(order_id_t(m.oid), m.qty);
		return true;
	}
	case itch_t::REDUCE_ORDER: {
		auto m = take<itch_t::REDUCE_ORDER>(buffer);
		order_book::cancel_order(order_id_t(m.oid), m.qty);
		return true;
	}
	case itch_t::DELETE_ORDER: {
		auto m = take<itch_t::DELETE_ORDER>(buffer);
		order_book::delete_order(order_id_t(m.oid));
		return true;
	}
	case itch_t::REPLACE_ORDER: {
		auto m = take<itch_t::REPLACE_ORDER>(buffer);
		order_book::replace_order(order_id_t(m.oid), order_id_t(m.new_order_id), m.new_qty,
					  price_of(m.new_price, BUY_SELL::BUY));
		return true;
	}
	default: {
		uint32_t length = framed_length(reinterpret_cast<const uint8_t *>(buffer.get(0)));
		buffer.advance(2);
		buffer.ensure(length);
		buffer.advance(length);
		return true;
	}
	}
}
// Best price of a side; its levels are sorted, the best last, prices of offers negative.
uint32_t best(const order_book::sorted_levels_t &levels)
{
	return levels.empty() ? 0 : uint32_t(abs(int32_t(levels.back().m_price)));
}
} // namespace

int main(int count, char **words)
{
	if (count != 5) {
		fprintf(stderr, "usage: peer_itch_order_book FILE BOOK prelude=N orders=N\n");
		return 2;
	}
	uint64_t prelude = number_of(words, "prelude"), messages = 0;
	struct workload day = workload_open(words[1], prelude); // so that the file is in memory
	order_book::oid_map.reserve(order_id_t(number_of(words, "orders")));
	buf_t buffer(READ_BYTES);
	buffer.fd = open(words[1], O_RDONLY);
	for (uint64_t i = 0; i < prelude; i++)
		step(buffer);
	uint64_t before = cpu_ns();
	while (step(buffer))
		messages++;
	uint64_t after = cpu_ns();

	FILE *file = book_create(words[2]);
	for_each_listing(&day, at)
	{
		const order_book &book = order_book::s_books[listing_locate(&day, at)];

		book_line(file, listing_name(&day, at), best(book.m_bids), best(book.m_offers), -1);
	}
	book_close_file(file);
	printf("{\"ns\": %.3f, \"messages\": %" PRIu64 ", \"unhandled\": %" PRIu64 ", \"reading_ns\": %.3f}\n",
	       double(after - before) / day.messages, messages, day.messages - messages,
	       reading_ns(&day, words[1], READ_BYTES));
	return 0;
}

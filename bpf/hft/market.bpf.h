/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * MARKET: the state that decides whether a symbol may be traded at all, and what is printed beside the book. Rule 3. Comes
 * seldom, so it stays out of the way of the messages that do not.
 */
#ifndef HFT_MARKET_BPF_H
#define HFT_MARKET_BPF_H

#define ITCH_BODY 11
#define ITCH_STATE 19
#define ITCH_HALT_REASON 21
#define ITCH_OPERATIONAL_ACTION 20
#define ITCH_TRADE_SHARES 20
#define ITCH_TRADE_STOCK 24
#define ITCH_TRADE_PRICE 32
#define ITCH_CROSS_STOCK 19
#define ITCH_CROSS_PRICE 27
#define ITCH_CROSS_TYPE 39

/* An S or W that cannot be read may be the one that stops the market: nothing trades until a good one says otherwise. */
hft_inline void market_unreadable(struct hft_feed_state *feed, __u8 type)
{
	if (type == 'S')
		feed->phase = HFT_PHASE_NONE;
	else if (type == 'W')
		feed->breaker = '?';
}

/* S, W, V: the feed's own. Returns 0 or the counter that names what was wrong. */
hft_inline __u32 market_wide(struct hft_feed_state *feed, const __u8 *msg, __u8 type)
{
	__u8 code = msg[ITCH_BODY];

	if (type == 'V') {
		feed->breaker_level_e8[0] = load_be64(msg + ITCH_BODY);
		feed->breaker_level_e8[1] = load_be64(msg + ITCH_BODY + 8);
		feed->breaker_level_e8[2] = load_be64(msg + ITCH_BODY + 16);
		return 0;
	}
	if (type == 'W') {
		if (code < '1' || code > '3') {
			market_unreadable(feed, type);
			return HFT_C_ITCH_BAD_FIELD;
		}
		feed->breaker = code;
		return 0;
	}
	switch (code) {
	case 'O':
		feed->phase = HFT_PHASE_MESSAGES;
		return 0;
	case 'S':
		feed->phase = HFT_PHASE_SYSTEM;
		return 0;
	case 'Q':
		feed->phase = HFT_PHASE_MARKET;
		return 0;
	case 'M':
		feed->phase = HFT_PHASE_AFTER;
		return 0;
	case 'E':
		feed->phase = HFT_PHASE_CLOSED;
		return 0;
	case 'C':
		feed->phase = HFT_PHASE_ENDED;
		return 0;
	default:
		market_unreadable(feed, type);
		return HFT_C_ITCH_BAD_FIELD;
	}
}

hft_inline __u32 trading_action(struct hft_book *book, const __u8 *msg)
{
	__u8 state = msg[ITCH_STATE];

	if (state != 'H' && state != 'P' && state != 'Q' && state != 'T')
		return HFT_C_ITCH_BAD_FIELD;
	if (state != 'T')
		book->cross_pending = 0;
	else if (book->trading_state && book->trading_state != 'T')
		book->cross_pending = 1;
	book->trading_state = state;
	*(__u32 *)book->halt_reason = *(const __u32 *)(msg + ITCH_HALT_REASON);
	return 0;
}

hft_inline __u32 operational_halt(struct hft_book *book, const __u8 *msg)
{
	__u8 action = msg[ITCH_OPERATIONAL_ACTION];

	if (msg[ITCH_STATE] != 'Q')
		return 0;
	if (action != 'H' && action != 'T')
		return HFT_C_ITCH_BAD_FIELD;
	book->operational_halt = action == 'H';
	return 0;
}

hft_inline __u32 cross_trade(struct hft_book *book, const __u8 *msg)
{
	__u64 shares = load_be64(msg + ITCH_BODY);
	__u32 price_e4 = load_be32(msg + ITCH_CROSS_PRICE);

	if (shares > HFT_MAX_LEVEL_QTY || price_e4 > HFT_ITCH_MAX_PRICE_E4 || (shares && !price_e4))
		return HFT_C_ITCH_BAD_FIELD;
	book->cross_type = msg[ITCH_CROSS_TYPE];
	book->cross_pending = 0;
	if (shares)
		print_trade(book, msg, price_e4, shares);
	return 0;
}

/* H Y K J h P Q of a symbol; `offset` of the message in rx. Returns 0 or the counter that names what was wrong. */
hft_inline __u32 market_apply(__u32 slot, __u32 offset, __u8 type)
{
	const __u8 *msg = rx_at(offset);
	struct hft_book *book = book_at(slot);
	struct hft_auction *auction = hft_at(auctions, slot);
	__u32 stock = type == 'P' ? ITCH_TRADE_STOCK : type == 'Q' ? ITCH_CROSS_STOCK : ITCH_BODY;

	if (!auction)
		return HFT_C_ITCH_BAD_FIELD;
	if (load_raw64(rx_at(offset + stock)) != load_raw64(book->name))
		return HFT_C_ITCH_BAD_FIELD;
	switch (type) {
	case 'H':
		return trading_action(book, msg);
	case 'h':
		return operational_halt(book, msg);
	case 'Y':
		if (msg[ITCH_STATE] < '0' || msg[ITCH_STATE] > '2')
			return HFT_C_ITCH_BAD_FIELD;
		book->reg_sho = msg[ITCH_STATE];
		return 0;
	case 'P':
		if (!load_be32(msg + ITCH_TRADE_SHARES) || !is_price(load_be32(msg + ITCH_TRADE_PRICE)))
			return HFT_C_ITCH_BAD_FIELD;
		print_trade(book, msg, load_be32(msg + ITCH_TRADE_PRICE), load_be32(msg + ITCH_TRADE_SHARES));
		return 0;
	case 'Q':
		return cross_trade(book, msg);
	case 'K':
		auction->ipo_release_s = load_be32(msg + 19);
		auction->ipo_qualifier = msg[23];
		auction->ipo_price_e4 = load_be32(msg + 24);
		return 0;
	default: /* J */
		auction->luld_reference_e4 = load_be32(msg + 19);
		auction->luld_upper_e4 = load_be32(msg + 23);
		auction->luld_lower_e4 = load_be32(msg + 27);
		auction->luld_extension = load_be32(msg + 31);
		return 0;
	}
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* MESSAGE: ITCH 5.0. All 23 types by exact length; book messages go on to the book, then the strategy. Rules 3 to 5. */
#ifndef HFT_ITCH_BPF_H
#define HFT_ITCH_BPF_H

/* length | counter << 8; 0 = no such type */

static const __u16 itch_types[128] = {
	['S'] = 12 | HFT_ITCH_S << 8, ['R'] = 39 | HFT_ITCH_R << 8, ['H'] = 25 | HFT_ITCH_H << 8,
	['Y'] = 20 | HFT_ITCH_Y << 8, ['L'] = 26 | HFT_ITCH_L << 8, ['V'] = 35 | HFT_ITCH_V << 8,
	['W'] = 12 | HFT_ITCH_W << 8, ['K'] = 28 | HFT_ITCH_K << 8, ['J'] = 35 | HFT_ITCH_J << 8,
	['h'] = 21 | HFT_ITCH_h << 8, ['A'] = 36 | HFT_ITCH_A << 8, ['F'] = 40 | HFT_ITCH_F << 8,
	['E'] = 31 | HFT_ITCH_E << 8, ['C'] = 36 | HFT_ITCH_C << 8, ['X'] = 23 | HFT_ITCH_X << 8,
	['D'] = 19 | HFT_ITCH_D << 8, ['U'] = 35 | HFT_ITCH_U << 8, ['P'] = 44 | HFT_ITCH_P << 8,
	['Q'] = 40 | HFT_ITCH_Q << 8, ['B'] = 19 | HFT_ITCH_B << 8, ['I'] = 50 | HFT_ITCH_I << 8,
	['N'] = 20 | HFT_ITCH_N << 8, ['O'] = 48 | HFT_ITCH_O << 8,
};

#define ITCH_LOCATE 1
#define ITCH_TIMESTAMP 5
#define ITCH_BODY 11
#define ITCH_ADD_SIDE 19
#define ITCH_ADD_SHARES 20
#define ITCH_ADD_STOCK 24
#define ITCH_ADD_PRICE 32
#define ITCH_REDUCE_SHARES 19
#define ITCH_REPLACE_NEW_REF 19
#define ITCH_REPLACE_SHARES 27
#define ITCH_REPLACE_PRICE 31

hft_inline bool is_book_type(__u8 type)
{
	return type == 'A' || type == 'F' || type == 'E' || type == 'C' || type == 'X' || type == 'D' || type == 'U';
}

/* What a locate is bound to: slot + 1, or 0. */
hft_inline __u32 slot_of(const __u64 *binding)
{
	return binding && *binding <= HFT_MAX_SYMBOLS ? *binding : 0;
}

/* The book of this symbol may be wrong: it stops trading, alone. */
hft_inline void book_suspect(__u32 slot, __u64 feed_seq)
{
	struct hft_symbol_state *state = hft_at(symbol_state, slot);
	struct hft_feed_state *feed = hft_the(feed_state);
	struct hft_event *event;

	if (!state || !feed || state->health == HFT_BOOK_SUSPECT)
		return;
	state->health = HFT_BOOK_SUSPECT;
	event = event_begin(HFT_EVENT_BOOK_SUSPECT, slot);
	if (!event)
		return;
	event->feed_seq = feed_seq;
	event->exchange_ns = feed->exchange_ns;
	event_end(event);
}

/* R: today's locate of a symbol. */
hft_inline void stock_directory(const __u8 *msg, __u16 locate, __u64 feed_seq)
{
	__u64 name = load_raw64(msg + ITCH_BODY);
	__u32 *named = bpf_map_lookup_elem(&symbol_names, &name);
	__u64 *binding = hft_at(locate_slot, locate);
	struct hft_symbol_state *state = NULL;
	__u32 bound = slot_of(binding), slot = 0;

	if (!binding)
		return;
	if (named && *named < HFT_MAX_SYMBOLS) {
		slot = *named + 1;
		state = hft_at(symbol_state, *named);
	}
	if (slot == bound) {
		if (!slot)
			*binding = HFT_LOCATE_CLOSED;
		return;
	}
	if (slot && !*binding && locate && state && !state->locate) {
		*binding = slot;
		state->locate = locate;
		return;
	}
	count(HFT_C_ITCH_BAD_FIELD);
	if (bound)
		book_suspect(bound - 1, feed_seq);
	if (slot)
		book_suspect(slot - 1, feed_seq);
}

/* Apply one book message to its slot: 0, or the counter that names what was wrong. */
hft_inline __u32 book_message(const __u8 *msg, __u8 type, __u32 slot, const struct hft_symbol_params *params)
{
	__u64 ref = load_be64(msg + ITCH_BODY);
	__u32 shares, price_e4;
	__u8 side;

	switch (type) {
	case 'A':
	case 'F':
		side = msg[ITCH_ADD_SIDE];
		shares = load_be32(msg + ITCH_ADD_SHARES);
		price_e4 = load_be32(msg + ITCH_ADD_PRICE);
		if ((side != 'B' && side != 'S') || !shares || !price_e4 || price_e4 > HFT_ITCH_MAX_PRICE_E4 ||
		    load_raw64(msg + ITCH_ADD_STOCK) != load_raw64(params->name))
			return HFT_C_ITCH_BAD_FIELD;
		return book_add(slot, side == 'B' ? HFT_BUY : HFT_SELL, ref, price_e4, shares);
	case 'E':
	case 'C':
	case 'X':
		return book_reduce(slot, ref, load_be32(msg + ITCH_REDUCE_SHARES));
	case 'D':
		return book_delete(slot, ref);
	default:
		return book_replace(slot, ref, load_be64(msg + ITCH_REPLACE_NEW_REF),
				    load_be32(msg + ITCH_REPLACE_PRICE), load_be32(msg + ITCH_REPLACE_SHARES));
	}
}

/* One ITCH message: `length` bytes at `offset` of rx, number `feed_seq` of the session. */
hft_global int itch_message(__u32 offset, __u32 length, __u64 feed_seq)
{
	const __u8 *msg = rx_at(offset);
	__u8 type = length ? msg[0] : 0;
	__u16 known = type < 128 ? itch_types[type & 127] : 0;
	struct hft_feed_state *feed = hft_the(feed_state);
	struct hft_symbol_params *params;
	struct hft_symbol_state *state;
	struct intent intent;
	__u32 bound, slot, failed;
	__u64 exchange_ns, *binding;
	__u16 locate;

	if (!feed)
		return 0;
	if (!known) {
		count(HFT_C_ITCH_UNKNOWN_TYPE);
		return 0;
	}
	locate = load_be16(msg + ITCH_LOCATE);
	if (length != (known & 0xff)) {
		count(HFT_C_ITCH_BAD_LENGTH);
		bound = length >= 3 && is_book_type(type) ? slot_of(hft_at(locate_slot, locate)) : 0;
		if (bound)
			book_suspect(bound - 1, feed_seq);
		return 0;
	}
	count_itch(known >> 8);
	exchange_ns = load_be48(msg + ITCH_TIMESTAMP);
	feed->exchange_ns = exchange_ns;
	if (type == 'R')
		stock_directory(msg, locate, feed_seq);
	if (!is_book_type(type))
		return 0;

	binding = hft_at(locate_slot, locate);
	bound = slot_of(binding);
	if (!bound) {
		count(HFT_C_BOOK_UNTRACKED);
		if (binding && !*binding)
			*binding = HFT_LOCATE_CLOSED;
		return 0;
	}
	slot = bound - 1;
	params = hft_at(symbol_params, slot);
	state = hft_at(symbol_state, slot);
	if (!params || !state)
		return 0;

	state_open(state);
	failed = book_message(msg, type, slot, params);
	if (!failed) {
		state->exchange_ns = exchange_ns;
		state->book_messages++;
		position_mark(state);
	}
	state_close(state);
	if (failed) {
		count_named(failed);
		book_suspect(slot, feed_seq);
		return 0;
	}

	switch (strategy_threshold(slot, params, state, &intent)) {
	case STRATEGY_WAIT_IN_FLIGHT:
		count(HFT_C_WAIT_IN_FLIGHT);
		break;
	case STRATEGY_WAIT_LIMIT:
		count(HFT_C_WAIT_LIMIT);
		break;
	case STRATEGY_INTENT:
		trigger_note(slot, feed_seq, exchange_ns);
		break;
	}
	return 0;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * MESSAGE: ITCH 5.0. All 23 types by exact length. What a message is about decides where it goes: the feed's own state, a
 * symbol's market state, its book and then the strategy; or, for a symbol in quarantine, to the kept ones. Rule 3.
 */
#ifndef HFT_ITCH_BPF_H
#define HFT_ITCH_BPF_H

/* Type -> length | counter << 8 | what it is about; 0 = no such type. */
#define ABOUT_UNKNOWN 0
#define ABOUT_BOOK (1 << 16)
#define ABOUT_MARKET (2 << 16) /* of a symbol */
#define ABOUT_FEED (3 << 16)
#define ABOUT_DIRECTORY (4 << 16)
#define ABOUT_NOTHING (5 << 16)
#define ABOUT_MASK (7 << 16)
#define ITCH_TYPE(letter, length, about) [#letter[0]] = (length) | HFT_ITCH_##letter << 8 | ABOUT_##about

static const __u32 itch_types[256] = {
	ITCH_TYPE(S, 12, FEED),	   ITCH_TYPE(R, 39, DIRECTORY), ITCH_TYPE(H, 25, MARKET),  ITCH_TYPE(Y, 20, MARKET),
	ITCH_TYPE(L, 26, NOTHING), ITCH_TYPE(V, 35, FEED),	ITCH_TYPE(W, 12, FEED),	   ITCH_TYPE(K, 28, MARKET),
	ITCH_TYPE(J, 35, MARKET),  ITCH_TYPE(h, 21, MARKET),	ITCH_TYPE(A, 36, BOOK),	   ITCH_TYPE(F, 40, BOOK),
	ITCH_TYPE(E, 31, BOOK),	   ITCH_TYPE(C, 36, BOOK),	ITCH_TYPE(X, 23, BOOK),	   ITCH_TYPE(D, 19, BOOK),
	ITCH_TYPE(U, 35, BOOK),	   ITCH_TYPE(P, 44, MARKET),	ITCH_TYPE(Q, 40, MARKET),  ITCH_TYPE(B, 19, NOTHING),
	ITCH_TYPE(I, 50, NOTHING), ITCH_TYPE(N, 20, NOTHING),	ITCH_TYPE(O, 48, NOTHING),
};

#define ITCH_LOCATE 1

/* While the messages of a command are read: the slot + 1 they are for. 0 = none. */
static __u32 install_slot HFT_STATE;

hft_inline __u16 *locate_entry(__u16 locate)
{
	return hft_element(locates, packet_feed * HFT_LOCATES + locate, config.feeds * HFT_LOCATES);
}

/* What a locate is bound to: slot + 1, or 0. */
hft_inline __u32 bound_slot(const __u16 *entry)
{
	__u32 slot = *entry;

	return slot == HFT_LOCATE_CLOSED ? 0 : slot;
}

/* The book of this symbol may be wrong: it stops trading, alone. Rule 3. */
hft_global int book_quarantine(__u32 slot, __u32 doubt, __u64 feed_seq)
{
	struct hft_book *book = book_at(slot);
	struct hft_feed_state *feed = feed_at(packet_feed);
	struct hft_event *event;

	if (book->health == HFT_BOOK_OK) {
		book->since_seq = feed_seq + 1;
		book->kept_seq = 0;
	} else {
		/* Whatever is installed next must know of this message. */
		if (book->since_seq < feed_seq + 1)
			book->since_seq = feed_seq + 1;
		if (book->health == HFT_BOOK_QUARANTINED)
			return 0;
		if (doubt != HFT_DOUBT_FULL)
			doubt = HFT_DOUBT_SNAPSHOT;
	}
	book->doubt = doubt;
	book->health = HFT_BOOK_QUARANTINED;
	count(HFT_C_BOOK_QUARANTINES);
	event = event_begin(HFT_EVENT_BOOK_QUARANTINED, slot);
	if (!event)
		return 0;
	event->reason = book->doubt;
	event->feed_seq = feed_seq;
	event->exchange_ns = feed->exchange_ns;
	event_end(event);
	return 0;
}

hft_inline __u32 doubt_of(__u32 counter)
{
	switch (counter) {
	case HFT_C_BOOK_UNKNOWN_REF:
		return HFT_DOUBT_UNKNOWN_REF;
	case HFT_C_BOOK_DUPLICATE_REF:
		return HFT_DOUBT_DUPLICATE_REF;
	case HFT_C_BOOK_OVER_REDUCE:
		return HFT_DOUBT_OVER_REDUCE;
	case HFT_C_BOOK_FULL:
		return HFT_DOUBT_FULL;
	case HFT_C_BOOK_CROSSED:
		return HFT_DOUBT_CROSSED;
	case HFT_C_ITCH_BAD_LENGTH:
		return HFT_DOUBT_LENGTH;
	default:
		return HFT_DOUBT_FIELD;
	}
}

/* Evidence of a wrong book: counted, and the symbol is quarantined. */
hft_global int book_doubt(__u32 slot, __u32 counter, __u64 feed_seq)
{
	count_named(counter);
	return book_quarantine(slot, doubt_of(counter), feed_seq);
}

/* R: today's locate of a symbol. */
hft_global int stock_directory(__u32 offset, __u64 feed_seq)
{
	const __u8 *msg = rx_at(offset);
	struct hft_name_key name = { .feed = packet_feed };
	__u16 locate = load_be16(msg + ITCH_LOCATE);
	__u16 *entry = locate_entry(locate);
	struct hft_book *book = NULL;
	__u32 bound = bound_slot(entry), slot = 0, *named;

	*(__u64 *)name.name = load_raw64(msg + ITCH_BODY);
	named = bpf_map_lookup_elem(&symbol_names, &name);
	if (named && *named < config.symbols) {
		slot = *named + 1;
		book = book_at(*named);
	}
	if (slot == bound) {
		if (!slot && !*entry)
			*entry = HFT_LOCATE_CLOSED;
		return 0;
	}
	if (slot && !bound && locate && book && !book->locate) {
		bool late = *entry != 0 || feed_at(packet_feed)->gave_up;

		*entry = slot;
		book->locate = locate;
		if (late)
			book_quarantine(slot - 1, HFT_DOUBT_LATE, feed_seq);
		return 0;
	}
	count(HFT_C_ITCH_BAD_FIELD);
	if (bound)
		book_quarantine(bound - 1, HFT_DOUBT_FIELD, feed_seq);
	if (slot)
		book_quarantine(slot - 1, HFT_DOUBT_FIELD, feed_seq);
	return 0;
}

/* The message of a symbol in quarantine: kept under its number, to be replayed onto the snapshot. */
hft_global int book_keep(__u32 slot, __u32 offset, __u32 length, __u64 feed_seq)
{
	struct hft_book *book = book_at(slot);

	count(HFT_C_BOOK_KEPT);
	book->kept_seq = feed_seq;
	kept_store(offset, length, feed_seq);
	return 0;
}

/*
 * The book is crossed, or was: has it been for too long in continuous trading? Rule 4. Seldom called: a book that is not
 * crossed and was not before needs no look at the phase.
 */
hft_inline int book_crossed(__u32 slot, __u64 feed_seq, __u64 exchange_ns)
{
	struct hft_feed_state *feed = feed_at(packet_feed);
	struct hft_book *book = book_at(slot);

	if (book->health != HFT_BOOK_OK)
		return 0;
	if (!book_is_crossed(book) || !config.crossed_ns || feed->phase != HFT_PHASE_MARKET ||
	    book->trading_state != 'T' || book->cross_pending) {
		book->crossed_ns = 0;
		book->crossed = 0;
		return 0;
	}
	if (!book->crossed_ns)
		book->crossed_ns = exchange_ns ?: 1;
	book->crossed = 1;
	if (exchange_ns >= book->crossed_ns && exchange_ns - book->crossed_ns >= config.crossed_ns)
		book_doubt(slot, HFT_C_BOOK_CROSSED, feed_seq);
	return 0;
}

/* What follows an applied book message of a symbol that is crossed, or armed, or held. */
hft_global int book_watch(__u32 slot, __u64 feed_seq, __u64 exchange_ns)
{
	struct hft_book *book = book_at(slot);

	if (book_is_crossed(book) || book->crossed)
		book_crossed(slot, feed_seq, exchange_ns);
	if (book->health == HFT_BOOK_OK && (book->armed || book->holds))
		symbol_touch(book, slot, feed_seq);
	return 0;
}

/* health, armed, holds and crossed at once. */
hft_inline __u32 book_attention(const struct hft_book *book)
{
	return *(const volatile __u32 *)&book->health;
}

/* A message that must not be, of a book that is open: it stays as it is. */
hft_global int book_refuse(__u32 slot, __u32 counter, __u64 feed_seq)
{
	book_close(book_at(slot));
	return book_doubt(slot, counter, feed_seq);
}

/* What surrounds the change of a book by a message: its version, its time, and what follows from it. */
hft_inline void book_done(struct hft_book *book, __u32 slot, __u32 failed, __u64 feed_seq, const __u8 *msg)
{
	if (failed) {
		book_refuse(slot, failed, feed_seq);
		return;
	}
	book->exchange_ns = load_be48(msg + ITCH_TIMESTAMP);
	book->book_messages++;
	book_close(book);
	if (book_attention(book) || book_is_crossed(book))
		book_watch(slot, feed_seq, load_be48(msg + ITCH_TIMESTAMP));
}

/* Kept, because the symbol is in quarantine and this is no part of its snapshot? */
hft_inline bool book_kept(const struct hft_book *book, __u32 slot, __u32 offset, __u64 feed_seq)
{
	if (book->health == HFT_BOOK_OK || install_slot == slot + 1)
		return false;
	book_keep(slot, offset, itch_types[*rx_at(offset)] & 0xff, feed_seq);
	return true;
}

/* One book message of a symbol that is asked for: `apply` is the function of its type. */
#define BOOK_APPLY(apply, slot, offset, msg, feed_seq)                                  \
	({                                                                              \
		struct hft_book *book_ = book_at(slot);                                 \
                                                                                        \
		if (!book_kept(book_, slot, offset, feed_seq)) {                        \
			book_open(book_);                                               \
			book_done(book_, slot, apply(book_, slot, msg), feed_seq, msg); \
		}                                                                       \
	})

hft_inline __u32 book_change(struct hft_book *book, __u32 slot, const __u8 *msg)
{
	switch (msg[0]) {
	case 'U':
		return book_replace(book, slot, msg);
	case 'A':
	case 'F':
		return book_add(book, slot, msg);
	default:
		return book_reduce(book, slot, msg);
	}
}

/* A F E C X D U */
hft_global int book_message(__u32 slot, __u32 offset, __u64 feed_seq)
{
	const __u8 *msg = rx_at(offset);

	BOOK_APPLY(book_change, slot, offset, msg, feed_seq);
	return 0;
}

/* H Y K J h P Q of a symbol that is asked for. */
hft_global int market_message(__u32 slot, __u32 offset, __u64 feed_seq)
{
	const __u8 *msg = rx_at(offset);
	struct hft_book *book = book_at(slot);
	__u32 failed;

	if (book_kept(book, slot, offset, feed_seq))
		return 0;
	book_open(book);
	failed = market_apply(slot, offset, msg[0]);
	book_close(book);
	return failed ? book_doubt(slot, failed, feed_seq) : 0;
}

/* Everything that is not about a book. */
hft_global int other_message(__u32 offset, __u64 feed_seq)
{
	const __u8 *msg = rx_at(offset);
	__u32 bound;

	switch (itch_types[msg[0]] & ABOUT_MASK) {
	case ABOUT_MARKET:
		bound = bound_slot(locate_entry(load_be16(msg + ITCH_LOCATE)));
		return bound ? market_message(bound - 1, offset, feed_seq) : 0;
	case ABOUT_FEED:
		if (market_wide(feed_at(packet_feed), msg, msg[0]))
			count(HFT_C_ITCH_BAD_FIELD);
		return 0;
	case ABOUT_DIRECTORY:
		return stock_directory(offset, feed_seq);
	default:
		return 0;
	}
}

/* Of no known type, or of the wrong length for its type. */
hft_global int odd_message(__u32 offset, __u32 length, __u64 feed_seq)
{
	const __u8 *msg = rx_at(offset);
	__u32 about = length ? itch_types[msg[0]] & ABOUT_MASK : ABOUT_UNKNOWN, bound;

	count(about == ABOUT_UNKNOWN ? HFT_C_ITCH_UNKNOWN_TYPE : HFT_C_ITCH_BAD_LENGTH);
	if (about == ABOUT_FEED)
		market_unreadable(feed_at(packet_feed), msg[0]);
	if ((about != ABOUT_BOOK && about != ABOUT_MARKET) || length < 3)
		return 0;
	bound = bound_slot(locate_entry(load_be16(msg + ITCH_LOCATE)));
	return bound ? book_quarantine(bound - 1, HFT_DOUBT_LENGTH, feed_seq) : 0;
}

/*
 * What a message will look for, if it is about a book: its order. All of a packet are asked for before the first is handled, so that the
 * memory brings them at the same time and not one after the other. Any bytes do, they are masked.
 */
hft_inline void itch_foresee(const __u8 *msg)
{
	(void)*(volatile __u64 *)order_bucket(load_be64(msg + ITCH_REF))->key;
}

/* What every message tells: its type, its time. Returns what it is about, ABOUT_UNKNOWN for one that is done with. */
hft_inline __u32 itch_known(__u32 offset, const __u8 *msg, __u32 length, __u64 feed_seq)
{
	__u32 known = itch_types[msg[0]];

	if (!length || (known & 0xff) != length) {
		odd_message(offset, length, feed_seq);
		return ABOUT_UNKNOWN;
	}
	count_itch(known >> 8 & 0xff);
	feed_at(packet_feed)->exchange_ns = load_be48(msg + ITCH_TIMESTAMP);
	return known & ABOUT_MASK;
}

/* The slot of a book message, or HFT_MAX_SYMBOLS when nobody asked for its symbol. */
hft_inline __u32 book_slot(const __u8 *msg)
{
	__u16 *entry = locate_entry(load_be16(msg + ITCH_LOCATE));
	__u32 slot = *entry;

	if (slot - 1 < HFT_MAX_SYMBOLS)
		return slot - 1;
	count(HFT_C_BOOK_UNTRACKED);
	if (!slot)
		*entry = HFT_LOCATE_CLOSED;
	return HFT_MAX_SYMBOLS;
}

/*
 * One ITCH message: `length` bytes at `offset` of rx, where `msg` points to, number `feed_seq` of the session. Inlined into the loop over
 * a packet: what nobody asked for costs no call, nor do A and D, which make up the day.
 */
hft_inline void itch_message(__u32 offset, const __u8 *msg, __u32 length, __u64 feed_seq)
{
	__u32 about = itch_known(offset, msg, length, feed_seq), slot;

	if (about != ABOUT_BOOK) {
		if (about != ABOUT_UNKNOWN)
			other_message(offset, feed_seq);
		return;
	}
	slot = book_slot(msg);
	if (slot == HFT_MAX_SYMBOLS)
		return;
	if (msg[0] == 'D')
		BOOK_APPLY(book_delete, slot, offset, msg, feed_seq);
	else if (msg[0] == 'A')
		BOOK_APPLY(book_add, slot, offset, msg, feed_seq);
	else
		book_message(slot, offset, feed_seq);
}

/* The same for one that was kept. */
hft_inline void itch_kept(__u32 length, __u64 feed_seq)
{
	const __u8 *msg = rx + HFT_RX_SCRATCH;
	__u32 about = itch_known(HFT_RX_SCRATCH, msg, length, feed_seq), slot;

	if (about != ABOUT_BOOK) {
		if (about != ABOUT_UNKNOWN)
			other_message(HFT_RX_SCRATCH, feed_seq);
		return;
	}
	slot = book_slot(msg);
	if (slot != HFT_MAX_SYMBOLS)
		book_message(slot, HFT_RX_SCRATCH, feed_seq);
}

/* The same for a message of a command, which is for slot install_slot - 1 and no other. Rule 10. */
hft_inline int install_message(__u32 offset, __u32 length, __u64 feed_seq)
{
	const __u8 *msg = rx_at(offset);
	__u32 known = length ? itch_types[msg[0]] : ABOUT_UNKNOWN, about = known & ABOUT_MASK, slot = install_slot - 1;

	if (about == ABOUT_UNKNOWN) {
		count(HFT_C_ITCH_UNKNOWN_TYPE);
		return book_quarantine(slot, HFT_DOUBT_SNAPSHOT, feed_seq);
	}
	if ((known & 0xff) != length)
		return book_doubt(slot, HFT_C_ITCH_BAD_LENGTH, feed_seq);
	count_itch(known >> 8 & 0xff);
	if (about != ABOUT_BOOK && about != ABOUT_MARKET)
		return 0;
	if (bound_slot(locate_entry(load_be16(msg + ITCH_LOCATE))) != install_slot)
		return book_doubt(slot, HFT_C_ITCH_BAD_FIELD, feed_seq);
	if (about == ABOUT_MARKET)
		return market_message(slot, offset, feed_seq);
	book_message(slot, offset, feed_seq);
	return 0;
}

/* And for a message of a command that is for no symbol: R S V W. */
hft_global int install_common(__u32 offset, __u32 length, __u64 feed_seq)
{
	const __u8 *msg = rx_at(offset);
	__u32 known = length ? itch_types[msg[0]] : ABOUT_UNKNOWN, about = known & ABOUT_MASK;

	if (about == ABOUT_UNKNOWN) {
		count(HFT_C_ITCH_UNKNOWN_TYPE);
		return 0;
	}
	if ((known & 0xff) != length) {
		count(HFT_C_ITCH_BAD_LENGTH);
		return 0;
	}
	count_itch(known >> 8 & 0xff);
	return about == ABOUT_FEED || about == ABOUT_DIRECTORY ? other_message(offset, feed_seq) : 0;
}

#endif

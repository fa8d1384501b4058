/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * COMMANDS: what user space has the program do to feeds and books. Rule 10. They come as frames that user space runs through the
 * program, so a book has one writer and one implementation; a nonce that only user space can read tells them from the wire's.
 */
#ifndef HFT_COMMAND_BPF_H
#define HFT_COMMAND_BPF_H

/* The command under work, copied out of rx, because messages replayed later pass through there too. */
static struct hft_command command HFT_STATE;

/* SWEEP: one bucket of a table. */

hft_inline bool slot_is_clearing(__u32 slot)
{
	return book_at(slot)->health == HFT_BOOK_CLEARING;
}

#define KEY_OF_ORDER(entry) ((entry) & ((1ULL << HFT_ORDER_KEY_BITS) - 1))

static long sweep_orders(__u32 index, void *first)
{
	struct hft_bucket *bucket = hft_element(book_orders, *(__u32 *)first + index, config.order_mask + 1);

	hft_rolled for (__u32 i = 0; i < HFT_BUCKET_SLOTS; i++)
	{
		__u64 way = hft_masked(i, HFT_BUCKET_SLOTS), key = bucket->key[way];

		if (bucket->value[way] && slot_is_clearing(hft_key_slot(key)))
			order_leave(KEY_OF_ORDER(key), way);
	}
	return 0;
}

static long sweep_spill(__u32 index, void *first)
{
	__u32 at = (*(__u32 *)first + index) & config.spill_mask;

	hft_rolled for (__u32 way = 0; way < HFT_BUCKET_SLOTS; way++)
	{
		struct hft_bucket *bucket = hft_element(order_spill, at, config.spill_mask + 1);
		__u64 key = bucket->key[hft_masked(way, HFT_BUCKET_SLOTS)];

		if (bucket->value[hft_masked(way, HFT_BUCKET_SLOTS)] && slot_is_clearing(hft_key_slot(key)))
			order_leave(KEY_OF_ORDER(key), (__s64)(at + 1) * HFT_BUCKET_SLOTS + way);
	}
	return 0;
}

static long sweep_ladder(__u32 index, void *first)
{
	__u32 at = *(__u32 *)first + index;

	hft_rolled for (__u32 way = 0; way < HFT_BUCKET_SLOTS; way++)
	{
		struct hft_bucket *bucket = hft_element(book_ladder, at, config.ladder_mask + 1);
		__u64 key = bucket->key[hft_masked(way, HFT_BUCKET_SLOTS)];

		if (bucket->value[hft_masked(way, HFT_BUCKET_SLOTS)] && slot_is_clearing(hft_key_slot(key)))
			table_remove(book_ladder, ladder_home(key & ((1ULL << HFT_LADDER_KEY_BITS) - 1)),
				     config.ladder_mask, (__s64)(at & config.ladder_mask) * HFT_BUCKET_SLOTS + way);
	}
	return 0;
}

static long sweep_levels(__u32 index, void *first)
{
	__u32 at = (*(__u32 *)first + index) & config.level_mask;
	struct hft_level_block *block = hft_element(book_levels, at, config.level_mask + 1);

	if (!(block->tag & HFT_TAG_USED) || !slot_is_clearing(hft_tag_slot(block->tag)))
		return 0;
	for (__u32 i = 0; i < HFT_BLOCK_LEVELS; i++)
		block->cell[i] = 0;
	block_free(block, block->tag & ~HFT_TAG_SPILL_MASK, at);
	return 0;
}

hft_global int command_sweep(__u64 table, __u32 first, __u32 many)
{
	if (many > HFT_MAX_SWEEP)
		return -1;
	switch (table) {
	case HFT_TABLE_ORDERS:
		bpf_loop(many, sweep_orders, &first, 0);
		return 0;
	case HFT_TABLE_LEVELS:
		bpf_loop(many, sweep_levels, &first, 0);
		return 0;
	case HFT_TABLE_LADDER:
		bpf_loop(many, sweep_ladder, &first, 0);
		return 0;
	case HFT_TABLE_SPILL:
		bpf_loop(many, sweep_spill, &first, 0);
		return 0;
	default:
		return -1;
	}
}

/* INSTALL, REPLAY: the messages behind the command, for one slot or for none. */
#define NO_SLOT 0xffffffffu

static long install_block(__u32 index, void *unused)
{
	__u32 at = walk.offset, length = load_be16(rx_at(at));

	(void)index;
	(void)unused;
	walk.offset = at + 2 + length;
	if (!install_slot) {
		install_common(at + 2, length, command.sequence);
		return 0;
	}
	if (book_at(install_slot - 1)->health != HFT_BOOK_INSTALLING)
		return 1;
	install_message(at + 2, length, command.sequence);
	return 0;
}

hft_inline void book_empty(struct hft_book *book)
{
	book_open(book);
	for (__u32 i = 0; i < HFT_RING; i++) {
		*(volatile __u64 *)&book->window[HFT_BUY].cell[i] = 0;
		*(volatile __u64 *)&book->window[HFT_SELL].cell[i] = 0;
	}
	__builtin_memset(book->held, 0, sizeof(book->held));
	__builtin_memset(book->behind_e4, 0, sizeof(book->behind_e4));
	__builtin_memset(book->behind_level, 0, sizeof(book->behind_level));
	__builtin_memset(book->best_e4, 0, sizeof(book->best_e4));
	book->book_orders = 0;
	book->crossed_ns = 0;
	book->crossed = 0;
	book->cross_pending = 0;
	book->trading_state = 0; /* the snapshot tells, and no cross is pending because of it */
	book_close(book);
}

hft_inline int command_install(__u32 slot)
{
	walk.offset = sizeof(struct hft_command);
	install_slot = slot + 1; /* 0 for NO_SLOT */
	bpf_loop(command.blocks, install_block, NULL, 0);
	install_slot = 0;
	return slot == NO_SLOT || book_at(slot)->health == HFT_BOOK_INSTALLING ? 0 : -1;
}

/* RELEASE: the book is whole; it trades again. */
hft_inline int book_release(struct hft_book *book, __u32 slot, __u64 sequence)
{
	struct hft_event *event;

	book->health = HFT_BOOK_OK;
	book->doubt = HFT_DOUBT_NONE;
	count(HFT_C_BOOK_RESTORES);
	event = event_begin(HFT_EVENT_BOOK_RESTORED, slot);
	if (!event)
		return 0;
	event->exchange_ns = feed_at(packet_feed)->exchange_ns;
	event->feed_seq = sequence;
	event_end(event);
	return 0;
}

/* ABANDON: every symbol of the feed misses something below `sequence`. */
static long abandon_slot(__u32 index, void *arg)
{
	struct hft_book *book = book_at(index);

	(void)arg;
	if (!load_raw64(book->name) || book->feed != packet_feed)
		return 0;
	if (book->health == HFT_BOOK_OK) {
		book_quarantine(index, HFT_DOUBT_GAP, command.sequence - 1);
	} else {
		book->health = HFT_BOOK_QUARANTINED;
		book->doubt = HFT_DOUBT_GAP;
		book->since_seq = command.sequence;
		book->kept_seq = 0;
	}
	return 0;
}

/* ROLLOVER: nothing of a symbol's old day holds any more, but our own trading. */
static long rollover_slot(__u32 index, void *arg)
{
	struct hft_book *book = book_at(index);
	struct hft_auction *auction = hft_at(auctions, index);

	(void)arg;
	if (!auction)
		return 1;
	if (!load_raw64(book->name) || book->feed != packet_feed)
		return 0;
	book_open(book);
	book->health = HFT_BOOK_CLEARING;
	book->doubt = HFT_DOUBT_REQUESTED;
	book->since_seq = 1;
	book->kept_seq = 0;
	book->locate = 0;
	book->trading_state = 0;
	*(__u32 *)book->halt_reason = 0;
	book->operational_halt = 0;
	book->cross_pending = 0;
	book->reg_sho = 0;
	book->cross_type = 0;
	book->last_e4 = 0;
	book->last_qty = 0;
	book->last_ns = 0;
	book->volume = 0;
	book->notional_e4 = 0;
	book->notional_high = 0;
	book_close(book);
	__builtin_memset(auction, 0, sizeof(*auction));
	return 0;
}

static long free_locate(__u32 index, void *arg)
{
	(void)arg;
	*locate_entry(index) = 0;
	return 0;
}

hft_inline int feed_rollover(struct hft_feed_state *feed)
{
	const __u8 *name = rx + sizeof(struct hft_command) + 2;
	__u32 nothing = 0;

	if (command.blocks != 1 || load_be16(rx + sizeof(struct hft_command)) != sizeof(feed->session))
		return -1;
	count(HFT_C_FEED_ROLLOVERS);
	feed->generation++;
	__builtin_memcpy(feed->session, name, sizeof(feed->session));
	feed->phase = HFT_PHASE_NONE;
	feed->breaker = 0;
	feed->health = HFT_FEED_IDLE;
	feed->expected_seq = 0;
	feed->highest_seq = 0;
	feed->exchange_ns = 0;
	feed->seen_ns = 0;
	feed->hold_since_ns = 0;
	feed->gave_up = 0;
	__builtin_memset(feed->breaker_level_e8, 0, sizeof(feed->breaker_level_e8));
	__builtin_memset(feed->line_next, 0, sizeof(feed->line_next));
	bpf_loop(HFT_LOCATES, free_locate, &nothing, 0);
	bpf_loop(config.symbols, rollover_slot, &nothing, 0);
	return 0;
}

hft_inline int feed_abandon(struct hft_feed_state *feed)
{
	__u64 expected = feed->expected_seq ?: 1;
	__u32 nothing = 0;

	if ((feed->health != HFT_FEED_HOLD && feed->health != HFT_FEED_GAP) || command.sequence <= expected ||
	    command.sequence > feed->highest_seq)
		return -1;
	count_many(HFT_C_FEED_MISSED, command.sequence - expected);
	feed->missed += command.sequence - expected;
	feed->gave_up = 1;
	bpf_loop(config.symbols, abandon_slot, &nothing, 0);
	return feed_settle(command.sequence);
}

/* Everything that concerns a whole feed. */
hft_inline int command_feed(void)
{
	struct hft_feed_state *feed = feed_at(packet_feed);

	switch (command.op) {
	case HFT_OP_POKE:
		return feed->expected_seq ? feed_settle(feed->expected_seq) : -1;
	case HFT_OP_SWEEP:
		return command_sweep(command.sequence, command.first, command.count);
	case HFT_OP_ABANDON:
		return feed_abandon(feed);
	case HFT_OP_ROLLOVER:
		return feed_rollover(feed);
	default:
		return -1;
	}
}

/* What has to hold before the messages of an INSTALL or REPLAY are read. */
hft_inline int install_ready(struct hft_book *book)
{
	if (command.op == HFT_OP_INSTALL && book->health == HFT_BOOK_CLEARING) {
		if (command.sequence < book->since_seq)
			return -1;
		book_empty(book);
		book->health = HFT_BOOK_INSTALLING;
	}
	return book->health == HFT_BOOK_INSTALLING ? 0 : -1;
}

hft_inline bool slot_is_of_feed(__u32 slot)
{
	const struct hft_book *book = book_at(slot);

	return slot < config.symbols && load_raw64(book->name) && book->feed == packet_feed;
}

/* Everything that concerns one symbol, or with INSTALL none. */
hft_inline int command_symbol(__u32 slot)
{
	struct hft_feed_state *feed = feed_at(packet_feed);
	struct hft_book *book = book_at(slot);
	__u64 expected = feed->expected_seq ?: 1;

	if (slot == NO_SLOT && command.op == HFT_OP_INSTALL) {
		command.sequence = expected - 1;
	} else {
		if (!slot_is_of_feed(slot))
			return -1;
		switch (command.op) {
		case HFT_OP_QUARANTINE:
			return book->health == HFT_BOOK_OK ? book_quarantine(slot, HFT_DOUBT_REQUESTED, expected - 1)
							   : -1;
		case HFT_OP_BEGIN:
			if (book->health == HFT_BOOK_OK)
				return -1;
			book_open(book); /* a reader of its depth must not mistake what the sweep leaves for it */
			book->health = HFT_BOOK_CLEARING;
			book_close(book);
			return 0;
		case HFT_OP_RELEASE:
			if (book->health != HFT_BOOK_INSTALLING || book->kept_seq >= command.sequence ||
			    command.sequence > expected)
				return -1;
			return book_release(book, slot, command.sequence);
		case HFT_OP_INSTALL:
		case HFT_OP_REPLAY:
			if (install_ready(book))
				return -1;
			break;
		default:
			return -1;
		}
	}
	return command_install(slot);
}

/* ORDER, LOST, REARM, TRUST: what a person wants of orders. */

#define INTENT_AT (sizeof(struct hft_command) + 2)

/* An order by hand: pending like a strategy's, and through the same gate. 0 if it is pending now. */
hft_inline int command_order(void)
{
	struct hft_feed_state *feed = feed_at(packet_feed);
	struct pending *one = &pending[0];

	if (command.blocks != 1 || load_be16(rx + sizeof(struct hft_command)) != sizeof(struct hft_intent))
		return -1;
	one->slot = command.slot;
	one->strategy = HFT_STRATEGY_MANUAL;
	one->shadow = 0;
	__builtin_memcpy(&one->intent, rx + INTENT_AT, sizeof(one->intent));
	one->feed_seq = (feed->expected_seq ?: 1) - 1;
	one->exchange_ns = feed->exchange_ns;
	one->epoch = *(const volatile __u64 *)&control.epoch;
	decide_ns = feed_now(feed);
	pending_len = 1;
	pending_real = 1;
	return 0;
}

hft_inline int command_lost(void)
{
	const struct hft_session_state *session = &session_state;

	if (session->health != HFT_SESSION_UP || session->expected_seq < session->highest_seq || !command.sequence ||
	    command.sequence > 0xffffffff)
		return -1;
	return order_lost((__u32)command.sequence);
}

hft_inline int command_rearm(void)
{
	struct hft_symbol_state *state = state_at(command.slot);
	struct hft_account *account = the_account();
	__u64 strategy = command.first;

	hft_opaque(strategy);
	switch (command.sequence) {
	case HFT_LATCH_EXECUTIONS:
		if (strategy >= HFT_STRATEGIES)
			return -1;
		account->strategy[strategy].executions = 0;
		account->strategy[strategy].latched = 0;
		return 0;
	case HFT_LATCH_LOSS:
		account->loss_latched = 0;
		return 0;
	case HFT_LATCH_SYMBOL_LOSS:
		book_open(book_at(command.slot));
		state->loss_latched = 0;
		book_close(book_at(command.slot));
		return 0;
	default:
		return -1;
	}
}

hft_inline int command_trust(void)
{
	const volatile struct hft_control *live = &control;
	struct hft_session_state *session = &session_state;

	if (session->health != HFT_SESSION_SUSPECT || live->kill == HFT_ACTIVE || live->kill == HFT_REDUCING)
		return -1;
	session->health = HFT_SESSION_UP;
	return 0;
}

/* Everything that concerns our orders. */
hft_global int command_orders(void)
{
	if ((command.op == HFT_OP_ORDER || (command.op == HFT_OP_REARM && command.sequence == HFT_LATCH_SYMBOL_LOSS)) &&
	    !slot_is_of_feed(command.slot))
		return -1;
	switch (command.op) {
	case HFT_OP_ORDER:
		return command_order();
	case HFT_OP_LOST:
		return command_lost();
	case HFT_OP_REARM:
		return command_rearm();
	case HFT_OP_TRUST:
		return command_trust();
	default:
		return -1;
	}
}

hft_inline int command_packet(struct xdp_md *ctx)
{
	const __u64 *nonce = hft_the(command_nonce);
	int failed, verdict = XDP_DROP;

	__builtin_memcpy(&command, rx, sizeof(command));
	if (rx_len < sizeof(command) || !nonce || !*nonce || command.nonce != *nonce || command.feed >= config.feeds ||
	    command.blocks > HFT_MAX_BLOCKS || !blocks_fill(sizeof(command), command.blocks)) {
		count(HFT_C_COMMANDS_REFUSED);
		return XDP_PASS;
	}
	packet_feed = command.feed;
	packet_begin();
	if (command.op >= HFT_OP_ORDER)
		failed = command_orders();
	else if (command.op == HFT_OP_POKE || command.op == HFT_OP_SWEEP || command.op == HFT_OP_ABANDON ||
		 command.op == HFT_OP_ROLLOVER)
		failed = command_feed();
	else
		failed = command_symbol(command.slot);
	if (!failed && pending_len) {
		verdict = pending_flush(ctx);
		failed = verdict != XDP_TX && !(config.transport == HFT_TRANSPORT_SOUPBINTCP && CLAUSE(wire_handed));
	}
	count(failed ? HFT_C_COMMANDS_REFUSED : HFT_C_COMMANDS);
	return failed ? XDP_ABORTED : verdict;
}

#endif

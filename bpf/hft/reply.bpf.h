/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* REPLIES: UFO sequence, order state, position. Rule 8. Every reply packet goes on to user space as well. */
#ifndef HFT_REPLY_BPF_H
#define HFT_REPLY_BPF_H

#define UFO_SEQUENCED_HEADER 7
#define UFO_LOGIN_ACCEPTED 15
#define UFO_LOGIN_REJECTED 2
#define UFO_END_OF_SESSION 5

/* Orders and positions are no longer certain: nothing trades until a person has looked. */
hft_inline void session_suspect(struct hft_session_state *session, __u32 sequence)
{
	struct hft_event *event;

	if (session->health == HFT_SESSION_SUSPECT)
		return;
	session->health = HFT_SESSION_SUSPECT;
	event = event_begin(HFT_EVENT_SESSION_SUSPECT, HFT_NO_SYMBOL);
	if (!event)
		return;
	event->exchange_ns = session->exchange_ns;
	event->feed_seq = sequence;
	event_end(event);
}

hft_inline void session_ended(struct hft_session_state *session)
{
	struct hft_event *event;

	if (session->health != HFT_SESSION_UP && session->health != HFT_SESSION_RECOVERING)
		return;
	session->health = HFT_SESSION_ENDED;
	event = event_begin(HFT_EVENT_SESSION_ENDED, HFT_NO_SYMBOL);
	if (!event)
		return;
	event->exchange_ns = session->exchange_ns;
	event_end(event);
}

/* What a reply meets: the order it names, the one whose place that takes, and the symbol. */
struct reply_target {
	struct hft_working *order;
	struct hft_working *old; /* REPLACED: the original */
	struct hft_execution *trade; /* BROKEN */
	struct hft_symbol_state *state;
	struct hft_account *account;
	struct hft_book *book;
};

hft_inline __u32 letter_side(__u32 letter)
{
	return letter == 'B' ? HFT_BUY : HFT_SELL;
}

hft_inline bool is_trade_price(__u64 price_e4)
{
	return price_e4 && price_e4 <= HFT_ITCH_MAX_PRICE_E4;
}

/* The same side and symbol as we sent? */
hft_inline bool reply_fits(const struct reply *reply, const struct reply_target *at)
{
	return letter_side(reply->side) == at->order->side && reply->name == load_raw64(at->book->name);
}

/* Does the order's state allow this reply? Rule 8, second table. */
hft_inline bool reply_allowed(const struct reply *reply, const struct reply_target *at)
{
	const struct hft_working *order = at->order;
	bool live = order->state == HFT_ORDER_LIVE;
	__u64 executed; /* of the original since the replacement left */

	switch (reply->kind) {
	case REPLY_ACCEPTED:
		return order->state == HFT_ORDER_SENT && !order->other_ref && reply->qty == order->qty &&
		       reply_fits(reply, at);
	case REPLY_REPLACED:
		if (order->state != HFT_ORDER_SENT || !at->old || order->other_ref != reply->other_ref)
			return false;
		executed = at->old->chain_qty + at->old->filled_qty - order->chain_qty;
		return at->old->state == HFT_ORDER_LIVE && reply->qty && reply->qty + executed <= order->qty &&
		       is_trade_price(reply->price_e4) && reply_fits(reply, at);
	case REPLY_EXECUTED:
		return live && reply->qty && reply->qty <= order->open_qty && is_trade_price(reply->price_e4);
	case REPLY_CANCELED:
		return live && reply->qty && reply->qty <= order->open_qty;
	case REPLY_REJECTED:
		return order->state == HFT_ORDER_SENT;
	case REPLY_BROKEN:
		return at->trade;
	case REPLY_CANCEL_PENDING:
	case REPLY_CANCEL_REJECTED:
		return live;
	case REPLY_PRIORITY:
		return live && is_trade_price(reply->price_e4);
	case REPLY_MODIFIED:
		return live && reply->qty && reply->qty <= order->open_qty && letter_side(reply->side) == order->side;
	case REPLY_RESTATED:
		return order_is_open(order);
	default:
		return false;
	}
}

/* Open shares are given back; an order without any has ended. */
hft_inline void order_gives_back(const struct reply_target *at, __u32 qty)
{
	at->state->canceled_qty += qty;
	at->order->open_qty -= qty;
	if (at->order->open_qty)
		order_recount(at->order, at->state, at->account);
	else
		order_ends(at->order, at->state, at->account, HFT_ORDER_CANCELED);
}

hft_inline void reply_replaced(struct reply *reply, const struct reply_target *at)
{
	struct hft_working *order = at->order, *old = at->old;

	hft_opaque(old); /* LLVM knows from reply_allowed that it is there; the verifier wants to see it */
	if (!old)
		return;
	order->chain_qty = old->chain_qty + old->filled_qty;
	at->state->canceled_qty += old->open_qty;
	order_ends(old, at->state, at->account, HFT_ORDER_REPLACED);
	old->other_ref = order->user_ref;
	order->state = HFT_ORDER_LIVE;
	order->other_ref = 0;
	order->open_qty = reply->qty;
	order->price_e4 = (__u32)reply->price_e4;
	order->order_ref = reply->order_ref;
	order_recount(order, at->state, at->account);
}

hft_inline void reply_rejected(struct reply *reply, const struct reply_target *at)
{
	struct hft_working *order = at->order;

	reply->qty = order->qty;
	if (order->other_ref)
		order_unfollowed(working_at(order->other_ref), order);
	else
		at->state->canceled_qty += order->open_qty;
	order_ends(order, at->state, at->account, HFT_ORDER_REJECTED);
}

hft_inline void reply_executed(const struct reply *reply, const struct reply_target *at)
{
	struct hft_execution *trade = hft_at(executions, at->account->executions & (HFT_MAX_EXECUTIONS - 1));
	struct hft_working *order = at->order;

	if (!trade)
		return;
	trade->match_number = reply->match_number;
	trade->user_ref = order->user_ref;
	trade->qty = reply->qty;
	trade->price_e4 = (__u32)reply->price_e4;
	trade->flag = reply->reason;
	at->account->executions++;
	at->account->strategy[hft_masked(order->strategy, HFT_STRATEGIES)].executions++;
	order->open_qty -= reply->qty;
	order->filled_qty += reply->qty;
	order->filled_e4 += reply->price_e4 * reply->qty;
	if (order->open_qty)
		order_recount(order, at->state, at->account);
	else
		order_ends(order, at->state, at->account, HFT_ORDER_FILLED);
	position_trade(at->book, at->state, at->account, order->side, trade, 1);
}

hft_inline void reply_broken(struct reply *reply, const struct reply_target *at)
{
	struct hft_execution *trade = at->trade;

	hft_opaque(trade); /* as above */
	if (!trade)
		return;
	reply->qty = trade->qty;
	reply->price_e4 = trade->price_e4;
	position_trade(at->book, at->state, at->account, at->order->side, trade, -1);
	at->state->broken++;
	trade->qty = 0;
}

/* Apply an allowed reply; returns the kind of its event. reply->qty becomes what the event says. */
hft_inline __u32 reply_apply(struct reply *reply, const struct reply_target *at)
{
	struct hft_working *order = at->order;

	switch (reply->kind) {
	case REPLY_ACCEPTED:
		order->state = HFT_ORDER_LIVE;
		order->order_ref = reply->order_ref;
		if (reply->reason == 'D')
			order_gives_back(at, order->open_qty);
		return HFT_EVENT_ACCEPTED;
	case REPLY_REPLACED:
		reply_replaced(reply, at);
		if (reply->reason == 'D')
			order_gives_back(at, order->open_qty);
		return HFT_EVENT_REPLACED;
	case REPLY_EXECUTED:
		reply_executed(reply, at);
		return HFT_EVENT_EXECUTED;
	case REPLY_CANCELED:
		order_gives_back(at, reply->qty);
		return HFT_EVENT_CANCELED;
	case REPLY_REJECTED:
		reply_rejected(reply, at);
		return HFT_EVENT_REJECTED;
	case REPLY_BROKEN:
		reply_broken(reply, at);
		return HFT_EVENT_BROKEN;
	case REPLY_CANCEL_PENDING:
		order->pending |= HFT_PENDING_LATER;
		return HFT_EVENT_CANCEL_PENDING;
	case REPLY_CANCEL_REJECTED:
		order->pending &= ~(HFT_PENDING_CANCEL | HFT_PENDING_LATER);
		return HFT_EVENT_CANCEL_REJECTED;
	case REPLY_PRIORITY:
		order->price_e4 = (__u32)reply->price_e4;
		order->order_ref = reply->order_ref;
		order_recount(order, at->state, at->account);
		return HFT_EVENT_PRIORITY;
	case REPLY_MODIFIED:
		order->short_sale = reply->side == 'T' || reply->side == 'E';
		reply->qty = order->open_qty - reply->qty;
		if (reply->qty)
			order_gives_back(at, reply->qty);
		return HFT_EVENT_MODIFIED;
	default:
		return HFT_EVENT_RESTATED;
	}
}

/* The newest execution of that number and order that is not broken yet; the walk goes back from the newest. */
struct trade_search {
	__u64 match_number;
	__u32 user_ref;
	__u32 found; /* place + 1 */
	__u64 newest;
};

static long trade_look(__u32 index, void *arg)
{
	struct trade_search *search = arg;
	__u32 place = (search->newest - index) & (HFT_MAX_EXECUTIONS - 1);
	const struct hft_execution *trade = hft_at(executions, place);

	if (!trade || !trade->qty || trade->match_number != search->match_number || trade->user_ref != search->user_ref)
		return 0;
	search->found = place + 1;
	return 1;
}

hft_inline struct hft_execution *trade_find(const struct reply *reply, const struct hft_account *account)
{
	struct trade_search search = {
		.match_number = reply->match_number,
		.user_ref = reply->user_ref,
		.newest = account->executions - 1,
	};

	bpf_loop(at_most(account->executions, HFT_MAX_EXECUTIONS), trade_look, &search, 0);
	return search.found ? hft_at(executions, search.found - 1) : NULL;
}

static struct reply reply HFT_STATE; /* the one under work */

/* While the day is read again: is this an order that we sent in an earlier life? Then it is taken in. Rule 8, "Recovering". */
hft_global int reply_adopt(void)
{
	struct hft_session_state *session = &session_state;
	const struct hft_control *live = &control;
	struct hft_account *account = the_account();
	struct hft_working *order = working_at(reply.user_ref), *old = working_at(reply.other_ref);
	struct hft_name_key name = {};
	struct hft_symbol_state *state;
	__u32 *slot = NULL, index;

	if (session->health != HFT_SESSION_RECOVERING || !reply.user_ref || reply.user_ref == 0xffffffff ||
	    order_is_open(order) || !reply.qty || !is_trade_price(reply.price_e4))
		return -1;
	*(__u64 *)name.name = reply.name;
	hft_rolled for (__u32 feed = 0; feed < HFT_MAX_FEEDS && !slot; feed++)
	{
		name.feed = feed;
		slot = bpf_map_lookup_elem(&symbol_names, &name);
	}
	if (!slot || *slot >= config.symbols)
		return -1;
	index = *slot;
	if (reply.kind == REPLY_REPLACED &&
	    (old->user_ref != reply.other_ref || old->symbol != index || old->state != HFT_ORDER_LIVE || old->pending ||
	     old->side != letter_side(reply.side)))
		return -1;
	state = state_at(index);
	if (state->open_orders >= HFT_MAX_OPEN)
		return -1;
	book_open(book_at(index));
	order_begins(order, reply.user_ref, index, letter_side(reply.side), (__u32)reply.price_e4, reply.qty);
	order->strategy = HFT_STRATEGY_MANUAL;
	order->epoch = live->epoch;
	order->short_sale = reply.side == 'T' || reply.side == 'E';
	if (reply.kind == REPLY_REPLACED)
		order_follows(order, old, state, account);
	else
		order_recount(order, state, account);
	order_opens(order, state, account);
	state->orders_sent++;
	book_close(book_at(index));
	account->strategy[HFT_STRATEGY_MANUAL].orders_sent++;
	session->orders_sent++;
	if (reply.user_ref >= next_user_ref(session))
		session->next_user_ref = reply.user_ref + 1;
	return 0;
}

/* The order that the reply names, or NULL. */
hft_inline struct hft_working *reply_order(void)
{
	struct hft_working *order = working_at(reply.user_ref);
	bool adoptable = reply.kind == REPLY_ACCEPTED || reply.kind == REPLY_REPLACED;

	if (reply.kind == REPLY_UNREADABLE_REF || !reply.user_ref)
		return NULL;
	if (order->user_ref != reply.user_ref && (!adoptable || reply_adopt()))
		return NULL;
	return order->user_ref == reply.user_ref ? order : NULL;
}

hft_inline void reply_event(__u32 kind, const struct hft_working *order, __u32 sequence)
{
	struct hft_event *event = event_begin(kind, order->symbol);
	bool trade = kind == HFT_EVENT_EXECUTED || kind == HFT_EVENT_BROKEN;

	if (!event)
		return;
	event->exchange_ns = reply.exchange_ns;
	event->feed_seq = sequence;
	event->reason = reply.reason;
	event->side = order->side;
	event->user_ref = reply.user_ref;
	event->price_e4 = trade ? (__u32)reply.price_e4 : order->price_e4;
	event->qty = reply.qty;
	event->match_number = reply.match_number;
	event->open_qty = order->open_qty;
	event->strategy = order->strategy;
	event->other_ref = reply.other_ref;
	event_end(event);
}

/* Apply the reply under work to the order it names: 0, or -1 if that is not allowed. */
hft_global int reply_to_order(__u32 sequence)
{
	struct reply_target at = { .order = reply_order(), .account = the_account() };
	__u32 kind, follower, strategy;

	if (!at.order)
		return HFT_C_REPLY_UNKNOWN_REF;
	at.state = state_at(at.order->symbol);
	at.book = book_at(at.order->symbol);
	if (reply.kind == REPLY_REPLACED) {
		at.old = working_at(reply.other_ref);
		if (!reply.other_ref || at.old->user_ref != reply.other_ref)
			at.old = NULL;
	}
	if (reply.kind == REPLY_BROKEN)
		at.trade = trade_find(&reply, at.account);
	if (!reply_allowed(&reply, &at))
		return HFT_C_REPLY_BAD_STATE;
	strategy = at.order->strategy;
	follower = at.order->other_ref;
	book_open(at.book);
	kind = reply_apply(&reply, &at);
	book_close(at.book);
	reply_event(kind, at.order, sequence);
	if (kind == HFT_EVENT_EXECUTED || kind == HFT_EVENT_BROKEN)
		latches_check(at.order->symbol, kind == HFT_EVENT_EXECUTED ? strategy : HFT_STRATEGIES);
	/* An original that has ended takes its replacement with it: the exchange will not carry that out any more. */
	if (follower && (at.order->state == HFT_ORDER_FILLED || at.order->state == HFT_ORDER_CANCELED))
		order_lost(follower);
	return 0;
}

/* Decode one OUCH message, `length` bytes at `offset` of rx, into `reply`. */
hft_global int reply_decode(__u32 offset, __u32 length)
{
	const struct hft_template *template = &order_template;
	const __u8 *msg = rx_at(offset);

	__builtin_memset(&reply, 0, sizeof(reply));
	if (!length)
		return 0;
	if (template->protocol == HFT_OUCH50)
		ouch50_decode(msg, length, &reply);
	else if (template->protocol == HFT_OUCH42)
		ouch42_decode(msg, length, template, &reply);
	return 0;
}

/* One OUCH message. */
hft_global int reply_message(__u32 offset, __u32 length, __u32 sequence)
{
	struct hft_session_state *session = &session_state;
	struct hft_event *event;
	__u32 wrong;

	reply_decode(offset, length);
	switch (reply.kind) {
	case REPLY_UNHANDLED:
		count(HFT_C_REPLY_UNHANDLED);
		return 0;
	case REPLY_IN_DOUBT:
		count(HFT_C_REPLY_UNHANDLED);
		session_suspect(session, sequence);
		return 0;
	case REPLY_BAD_LENGTH:
		count(HFT_C_REPLY_BAD_LENGTH);
		if (*rx_at(offset) != 'S')
			session_suspect(session, sequence);
		return 0;
	case REPLY_SYSTEM:
		event = event_begin(HFT_EVENT_SYSTEM, HFT_NO_SYMBOL);
		if (!event)
			return 0;
		event->exchange_ns = reply.exchange_ns;
		event->feed_seq = sequence;
		event->reason = reply.reason;
		event_end(event);
		return 0;
	}
	session->exchange_ns = reply.exchange_ns;
	wrong = reply_to_order(sequence);
	if (!wrong)
		return 0;
	if (wrong == HFT_C_REPLY_UNKNOWN_REF && reply.kind == REPLY_REJECTED &&
	    session->health == HFT_SESSION_RECOVERING) {
		count(HFT_C_REPLY_UNHANDLED); /* of an earlier life, and of no consequence */
		return 0;
	}
	count_named(wrong);
	session_suspect(session, sequence);
	return 0;
}

struct reply_walk {
	__u32 offset;
	__u32 sequence;
	__u32 expected;
	__u32 pad0;
};

static long reply_block(__u32 index, void *arg)
{
	struct reply_walk *walk = arg;
	__u32 offset = walk->offset, length = load_be16(rx_at(offset));

	(void)index;
	walk->offset = offset + 2 + length;
	if (walk->sequence >= walk->expected)
		reply_message(offset + 2, length, walk->sequence);
	else
		count(HFT_C_REPLY_DUPLICATES);
	walk->sequence++;
	return 0;
}

hft_inline void reply_sequenced(struct hft_session_state *session)
{
	struct reply_walk walk = { .offset = UFO_SEQUENCED_HEADER };
	__u32 sequence, messages;

	sequence = load_be32(rx + 1);
	messages = load_be16(rx + 5);
	if (rx_len < UFO_SEQUENCED_HEADER || !sequence || messages > HFT_MAX_REPLIES ||
	    (__u64)sequence + messages > 0xffffffff || !blocks_fill(UFO_SEQUENCED_HEADER, messages)) {
		count(HFT_C_REPLY_MALFORMED);
		return;
	}
	if (!session->expected_seq) {
		count(HFT_C_REPLY_GAPS);
		return;
	}
	if (sequence + messages > session->highest_seq)
		session->highest_seq = sequence + messages;
	if (sequence > session->expected_seq) {
		count(HFT_C_REPLY_GAPS);
		return;
	}
	walk.sequence = sequence;
	walk.expected = session->expected_seq;
	bpf_loop(messages, reply_block, &walk, 0);
	if (sequence + messages > session->expected_seq)
		session->expected_seq = sequence + messages;
	if (session->health == HFT_SESSION_RECOVERING && session->expected_seq >= session->highest_seq)
		session->health = HFT_SESSION_UP;
}

hft_inline void reply_login_accepted(struct hft_session_state *session)
{
	__u32 sequence = load_be32(rx + 11);

	if (rx_len != UFO_LOGIN_ACCEPTED || !sequence) {
		count(HFT_C_REPLY_MALFORMED);
		return;
	}
	count(HFT_C_REPLY_CONTROL);
	if (session->health == HFT_SESSION_DOWN) {
		__builtin_memcpy(session->session, rx + 1, 10);
		session->expected_seq = session->recover ? 1 : sequence;
		session->highest_seq = sequence;
		session->health = session->recover && sequence > 1 ? HFT_SESSION_RECOVERING : HFT_SESSION_UP;
	} else if (__builtin_memcmp(session->session, rx + 1, 10)) {
		count(HFT_C_REPLY_WRONG_SESSION);
		session_ended(session);
	} else if (sequence > session->highest_seq) {
		session->highest_seq = sequence;
	}
}

/* Every reply packet passes on: user space keeps the session alive and asks again for what is missing. */
hft_inline int reply_packet(void)
{
	struct hft_session_state *session = &session_state;

	count(HFT_C_REPLY_PACKETS);
	if (rx_len && rx[0] == 'S') {
		reply_sequenced(session);
	} else if (rx_len && rx[0] == 'A') {
		reply_login_accepted(session);
	} else if (rx_len == UFO_LOGIN_REJECTED && rx[0] == 'J') {
		count(HFT_C_REPLY_CONTROL);
	} else if (rx_len == UFO_END_OF_SESSION && rx[0] == 'E') {
		count(HFT_C_REPLY_CONTROL);
		session_ended(session);
	} else {
		count(HFT_C_REPLY_MALFORMED);
	}
	return XDP_PASS;
}

#endif

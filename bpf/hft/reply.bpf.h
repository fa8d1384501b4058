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

	if (session->health != HFT_SESSION_UP)
		return;
	session->health = HFT_SESSION_ENDED;
	event = event_begin(HFT_EVENT_SESSION_ENDED, HFT_NO_SYMBOL);
	if (!event)
		return;
	event->exchange_ns = session->exchange_ns;
	event_end(event);
}

/* Does the order's state allow this reply? Rule 8, second table. */
hft_inline bool reply_allowed(const struct reply *reply, const struct hft_working *order)
{
	switch (reply->kind) {
	case REPLY_ACCEPTED:
		return order->state == HFT_ORDER_SENT && reply->qty == order->qty;
	case REPLY_EXECUTED:
		return order->state == HFT_ORDER_LIVE && reply->qty && reply->qty <= order->open_qty &&
		       reply->price_e4 && reply->price_e4 <= HFT_ITCH_MAX_PRICE_E4;
	case REPLY_CANCELED:
		return order->state == HFT_ORDER_LIVE && reply->qty && reply->qty <= order->open_qty;
	case REPLY_REJECTED:
		return order->state == HFT_ORDER_SENT;
	default:
		return false;
	}
}

/* Apply an allowed reply; returns the kind of its event. */
hft_inline __u32 reply_apply(struct reply *reply, struct hft_working *order, struct hft_book *book,
			     struct hft_symbol_state *state)
{
	__u32 kind = HFT_EVENT_ACCEPTED;

	switch (reply->kind) {
	case REPLY_ACCEPTED:
		order->state = HFT_ORDER_LIVE;
		if (reply->reason == 'D') {
			order->state = HFT_ORDER_CANCELED;
			state->canceled_qty += order->open_qty;
			order->open_qty = 0;
		}
		break;
	case REPLY_EXECUTED:
		kind = HFT_EVENT_EXECUTED;
		order->open_qty -= reply->qty;
		order->filled_qty += reply->qty;
		order->filled_e4 += reply->price_e4 * reply->qty;
		if (!order->open_qty)
			order->state = HFT_ORDER_FILLED;
		position_fill(book, state, order->side, reply->qty, (__u32)reply->price_e4);
		break;
	case REPLY_CANCELED:
		kind = HFT_EVENT_CANCELED;
		order->open_qty -= reply->qty;
		state->canceled_qty += reply->qty;
		if (!order->open_qty)
			order->state = HFT_ORDER_CANCELED;
		break;
	default:
		kind = HFT_EVENT_REJECTED;
		reply->qty = order->open_qty;
		order->state = HFT_ORDER_REJECTED;
		state->canceled_qty += order->open_qty;
		order->open_qty = 0;
		break;
	}
	if (order->state == HFT_ORDER_LIVE) {
		state->working_qty = order->open_qty;
	} else {
		state->working_ref = 0;
		state->working_qty = 0;
		state->working_side = 0;
	}
	return kind;
}

/* One OUCH message: `length` bytes at `offset` of rx. */
hft_global int reply_message(__u32 offset, __u32 length, __u32 sequence)
{
	struct hft_session_state *session = hft_the(session_state);
	struct hft_template *template = hft_the(order_template);
	const __u8 *msg = rx_at(offset);
	struct hft_symbol_state *state;
	struct hft_book *book;
	struct hft_working *order;
	struct hft_event *event;
	struct reply reply = {};
	__u32 kind;

	if (!session || !template)
		return 0;
	if (length && template->protocol == HFT_OUCH50)
		ouch50_decode(msg, length, &reply);
	else if (length && template->protocol == HFT_OUCH42)
		ouch42_decode(msg, length, template, &reply);

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
		session_suspect(session, sequence);
		return 0;
	}
	session->exchange_ns = reply.exchange_ns;
	order = hft_at(working, reply.user_ref & (HFT_MAX_WORKING - 1));
	if (reply.kind == REPLY_UNREADABLE_REF || !reply.user_ref || !order || order->user_ref != reply.user_ref) {
		count(HFT_C_REPLY_UNKNOWN_REF);
		session_suspect(session, sequence);
		return 0;
	}
	state = hft_at(symbol_state, order->symbol);
	book = book_at(order->symbol);
	if (!state || !reply_allowed(&reply, order)) {
		count(HFT_C_REPLY_BAD_STATE);
		session_suspect(session, sequence);
		return 0;
	}
	book_open(book);
	kind = reply_apply(&reply, order, book, state);
	book_close(book);

	event = event_begin(kind, order->symbol);
	if (!event)
		return 0;
	event->exchange_ns = reply.exchange_ns;
	event->feed_seq = sequence;
	event->reason = reply.reason;
	event->side = order->side;
	event->user_ref = reply.user_ref;
	event->price_e4 = kind == HFT_EVENT_EXECUTED ? (__u32)reply.price_e4 : order->price_e4;
	event->qty = reply.qty;
	event->match_number = reply.match_number;
	event->open_qty = order->open_qty;
	event_end(event);
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
		session->expected_seq = sequence;
		session->highest_seq = sequence;
		session->health = HFT_SESSION_UP;
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
	struct hft_session_state *session = hft_the(session_state);

	if (!session)
		return XDP_PASS;
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

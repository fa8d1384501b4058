/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ORDER: the one exit. Puts every pending intent through the gate, patches what passes into the template's message, and turns the
 * frame that came in into the order frame. Rule 7.
 */
#ifndef HFT_ORDER_BPF_H
#define HFT_ORDER_BPF_H

/* Offsets inside one upstream message: length prefix 2, UFO 'U' 1, then the OUCH message. */
#define UP_OUCH 3
#define OUCH50_REF (UP_OUCH + 1) /* ENTER, CANCEL; of a REPLACE the order that goes */
#define OUCH50_SIDE (UP_OUCH + 5)
#define OUCH50_QTY (UP_OUCH + 6)
#define OUCH50_SYMBOL (UP_OUCH + 10)
#define OUCH50_PRICE (UP_OUCH + 18)
#define OUCH50_TIF (UP_OUCH + 26)
#define OUCH50_NEW_REF (UP_OUCH + 5)
#define OUCH50_NEW_QTY (UP_OUCH + 9)
#define OUCH50_NEW_PRICE (UP_OUCH + 13)
#define OUCH50_NEW_TIF (UP_OUCH + 21)
#define OUCH50_CANCEL_QTY (UP_OUCH + 5)
#define OUCH42_TOKEN_REF (UP_OUCH + 7) /* the last 8 of the token's 14 characters */
#define OUCH42_SIDE (UP_OUCH + 15)
#define OUCH42_QTY (UP_OUCH + 16)
#define OUCH42_SYMBOL (UP_OUCH + 20)
#define OUCH42_PRICE (UP_OUCH + 28)
#define OUCH42_TIF (UP_OUCH + 32)
#define OUCH42_NEW_TOKEN_REF (UP_OUCH + 21)
#define OUCH42_NEW_QTY (UP_OUCH + 29)
#define OUCH42_NEW_PRICE (UP_OUCH + 33)
#define OUCH42_NEW_TIF (UP_OUCH + 37)
#define OUCH42_CANCEL_QTY (UP_OUCH + 15)

#define IPV4_HEADER 20
#define IPV4_UDP_BYTES 28
#define HFT_TX_BYTES 512 /* power of two above headers and a full packet */
#define HFT_MAX_ETHERNET 32 /* power of two above an Ethernet header with two tags */

#define OUCH42_DAY 99998 /* until the end of market hours */

static __u32 tx_len HFT_STATE; /* bytes of the messages in the frame */
static __u32 tx_room HFT_STATE; /* bytes of messages that the frame can hold */
static __u32 tx_messages HFT_STATE;
static __u32 tx_first_ref HFT_STATE; /* UserRefNum of the first */
static __u32 wire_taken HFT_STATE; /* 1 = the connection is ours until the frame is done; SoupBinTCP only */
static __u32 wire_handed HFT_STATE; /* 1 = what passed was handed to user space; SoupBinTCP only */
static __u64 tx_sum HFT_STATE; /* of the messages, as the Internet checksum sums */

/*
 * A message that is being written into the frame. Each of its bytes is stored once, and summed up as it is: a sum over the finished
 * frame would wait for stores of other sizes than its loads.
 */
struct message {
	__u8 *to;
	const __u8 *end; /* of the frame */
	const __u8 *from; /* the template's */
	__u64 sum;
};

/* At an odd offset a byte is the other one of its 16-bit word. */
#define SUM_AT(k, value) ((__u64)(value) << ((k) & 1) * 8)

hft_inline void put8(struct message *msg, __u32 k, __u8 value)
{
	msg->to[k] = value;
	msg->sum += SUM_AT(k, value);
}

hft_inline void put16(struct message *msg, __u32 k, __u16 value)
{
	*(__u16 *)(msg->to + k) = value;
	msg->sum += SUM_AT(k, value);
}

hft_inline void put32(struct message *msg, __u32 k, __u32 value)
{
	*(__u32 *)(msg->to + k) = value;
	msg->sum += SUM_AT(k, value);
}

hft_inline void put64(struct message *msg, __u32 k, __u64 value)
{
	put32(msg, k, (__u32)value);
	put32(msg, k + 4, (__u32)(value >> 32));
}

#define put_be32(msg, k, value) put32(msg, k, __builtin_bswap32(value))
#define put_be64(msg, k, value) put64(msg, k, __builtin_bswap64(value))

/* What the template says stays, from one offset to another. */
hft_inline void keep(struct message *msg, __u32 k, __u32 end)
{
	for (; k + 4 <= end; k += 4)
		put32(msg, k, *(const __u32 *)(msg->from + k));
	if (k + 2 <= end) {
		put16(msg, k, *(const __u16 *)(msg->from + k));
		k += 2;
	}
	if (k < end)
		put8(msg, k, msg->from[k]);
}

/* UserRefNum as 8 upper-case hexadecimal characters. */
hft_inline __u64 hex8(__u32 value)
{
	__u64 text = 0;

	for (int i = 0; i < 8; i++) {
		__u64 digit = (value >> (28 - 4 * i)) & 0xf;

		text |= (digit < 10 ? '0' + digit : 'A' - 10 + digit) << (8 * i);
	}
	return text;
}

hft_inline __u8 side_letter(__u32 side, __u32 short_sale)
{
	if (side == HFT_BUY)
		return 'B';
	return short_sale ? 'T' : 'S';
}

hft_inline bool write_ouch50(struct message *msg, const struct pending *sent, const struct hft_symbol_params *params,
			     __u32 done)
{
	const struct hft_intent *intent = &sent->intent;
	__u8 tif = intent->tif == HFT_TIF_IOC ? '3' : '0';

	switch (intent->action) {
	case HFT_ACTION_ENTER:
		if (msg->to + HFT_OUCH50_ENTER > msg->end)
			return false;
		keep(msg, 0, OUCH50_REF);
		put_be32(msg, OUCH50_REF, sent->user_ref);
		put8(msg, OUCH50_SIDE, side_letter(intent->side, sent->short_sale));
		put_be32(msg, OUCH50_QTY, intent->qty);
		put64(msg, OUCH50_SYMBOL, load_raw64(params->name));
		put_be64(msg, OUCH50_PRICE, (__u64)intent->price_e4);
		put8(msg, OUCH50_TIF, intent->tif ? tif : msg->from[OUCH50_TIF]);
		keep(msg, OUCH50_TIF + 1, HFT_OUCH50_ENTER);
		return true;
	case HFT_ACTION_REPLACE:
		if (msg->to + HFT_OUCH50_REPLACE > msg->end)
			return false;
		keep(msg, 0, OUCH50_REF);
		put_be32(msg, OUCH50_REF, intent->ref);
		put_be32(msg, OUCH50_NEW_REF, sent->user_ref);
		put_be32(msg, OUCH50_NEW_QTY, done + intent->qty);
		put_be64(msg, OUCH50_NEW_PRICE, (__u64)intent->price_e4);
		put8(msg, OUCH50_NEW_TIF, intent->tif ? tif : msg->from[OUCH50_NEW_TIF]);
		keep(msg, OUCH50_NEW_TIF + 1, HFT_OUCH50_REPLACE);
		return true;
	default:
		if (msg->to + HFT_OUCH50_CANCEL > msg->end)
			return false;
		keep(msg, 0, OUCH50_REF);
		put_be32(msg, OUCH50_REF, intent->ref);
		put_be32(msg, OUCH50_CANCEL_QTY, 0);
		return true;
	}
}

hft_inline bool write_ouch42(struct message *msg, const struct pending *sent, const struct hft_symbol_params *params,
			     __u32 done)
{
	const struct hft_intent *intent = &sent->intent;
	__u32 tif = __builtin_bswap32(intent->tif == HFT_TIF_IOC ? 0 : OUCH42_DAY);

	switch (intent->action) {
	case HFT_ACTION_ENTER:
		if (msg->to + HFT_OUCH42_ENTER > msg->end)
			return false;
		keep(msg, 0, OUCH42_TOKEN_REF);
		put64(msg, OUCH42_TOKEN_REF, hex8(sent->user_ref));
		put8(msg, OUCH42_SIDE, side_letter(intent->side, sent->short_sale));
		put_be32(msg, OUCH42_QTY, intent->qty);
		put64(msg, OUCH42_SYMBOL, load_raw64(params->name));
		put_be32(msg, OUCH42_PRICE, intent->price_e4);
		put32(msg, OUCH42_TIF, intent->tif ? tif : *(const __u32 *)(msg->from + OUCH42_TIF));
		keep(msg, OUCH42_TIF + 4, HFT_OUCH42_ENTER);
		return true;
	case HFT_ACTION_REPLACE:
		if (msg->to + HFT_OUCH42_REPLACE > msg->end)
			return false;
		keep(msg, 0, OUCH42_TOKEN_REF);
		put64(msg, OUCH42_TOKEN_REF, hex8(intent->ref));
		keep(msg, OUCH42_TOKEN_REF + 8, OUCH42_NEW_TOKEN_REF);
		put64(msg, OUCH42_NEW_TOKEN_REF, hex8(sent->user_ref));
		put_be32(msg, OUCH42_NEW_QTY, done + intent->qty);
		put_be32(msg, OUCH42_NEW_PRICE, intent->price_e4);
		put32(msg, OUCH42_NEW_TIF, intent->tif ? tif : *(const __u32 *)(msg->from + OUCH42_NEW_TIF));
		keep(msg, OUCH42_NEW_TIF + 4, HFT_OUCH42_REPLACE);
		return true;
	default:
		if (msg->to + HFT_OUCH42_CANCEL > msg->end)
			return false;
		keep(msg, 0, OUCH42_TOKEN_REF);
		put64(msg, OUCH42_TOKEN_REF, hex8(intent->ref));
		put_be32(msg, OUCH42_CANCEL_QTY, 0);
		return true;
	}
}

/* Write the message of a pending intent that passed behind those that are in the frame already. */
hft_global int order_write(struct xdp_md *ctx, __u32 index)
{
	const struct pending *sent = &pending[hft_masked(index, HFT_MAX_PENDING)];
	const struct hft_symbol_params *params = params_at(sent->slot);
	const struct hft_working *old = working_at(sent->intent.ref);
	const struct hft_template *template = &order_template;
	__u64 action = hft_masked(sent->intent.action, 4);
	struct message msg = {
		.to = (void *)(long)ctx->data + hft_masked(template->headers_len + tx_len, HFT_TX_BYTES),
		.end = (void *)(long)ctx->data_end,
		.from = template->msg[action],
	};
	__u32 done = old->chain_qty + old->filled_qty;
	bool written = template->protocol == HFT_OUCH50 ? write_ouch50(&msg, sent, params, done)
							: write_ouch42(&msg, sent, params, done);

	if (!written)
		return 0; /* cannot happen: the gate has seen that there is room */
	if (!tx_messages)
		tx_first_ref = sent->user_ref;
	tx_messages++;
	tx_sum += SUM_AT(tx_len, msg.sum);
	tx_len += template->msg_len[action];
	return 0;
}

/* A message counts against the throttles. */
hft_inline void throttles_take(const struct pending *sent, struct hft_symbol_state *state, struct hft_account *account)
{
	const struct hft_symbol_limits *symbol = symbol_limits_of(sent->epoch, sent->slot);
	const struct hft_limits *limits = limits_of(sent->epoch);
	__u64 strategy = hft_masked(sent->strategy, HFT_STRATEGIES);
	struct hft_strategy_state *own = &account->strategy[strategy];

	state->tat_ns = throttle_next(state->tat_ns, decide_ns, symbol->interval_ns);
	own->tat_ns = throttle_next(own->tat_ns, decide_ns, limits->strategy[strategy].interval_ns);
	account->tat_ns = throttle_next(account->tat_ns, decide_ns, limits->account.interval_ns);
}

/* What passed the gate is recorded before anything else can happen: from here on it counts as sent. */
hft_global int order_commit(__u32 index)
{
	struct pending *sent = &pending[hft_masked(index, HFT_MAX_PENDING)];
	struct hft_session_state *session = &session_state;
	struct hft_symbol_state *state = state_at(sent->slot);
	struct hft_account *account = the_account();
	struct hft_working *order, *old = working_at(sent->intent.ref);
	struct hft_book *book = book_at(sent->slot);
	const struct hft_intent *intent = &sent->intent;
	struct hft_recent *recent;

	if (intent->action == HFT_ACTION_CANCEL) {
		sent->user_ref = intent->ref;
		old->pending |= HFT_PENDING_CANCEL;
		count(HFT_C_CANCELS);
		return 0;
	}
	sent->user_ref = next_user_ref(session);
	session->next_user_ref = sent->user_ref + 1;
	order = working_at(sent->user_ref);
	book_open(book);
	order_begins(order, sent->user_ref, sent->slot, intent->side, intent->price_e4, intent->qty);
	order->strategy = sent->strategy;
	order->epoch = sent->epoch;
	if (intent->action == HFT_ACTION_REPLACE)
		order_follows(order, old, state, account);
	else
		order_recount(order, state, account);
	order->short_sale = sent->short_sale;
	order_opens(order, state, account);
	recent = &state->recent[hft_masked(state->recent_head, HFT_RECENT)];
	recent->sent_ns = decide_ns;
	recent->price_e4 = intent->price_e4;
	recent->qty_side = intent->qty << 1 | intent->side;
	state->recent_head++;
	throttles_take(sent, state, account);
	state->orders_sent++;
	book_close(book);
	account->strategy[hft_masked(sent->strategy, HFT_STRATEGIES)].orders_sent++;
	session->orders_sent++;
	count(HFT_C_ORDERS);
	return 0;
}

/* The headers in front of the messages; the frame's length, 0 if it does not hold them. The template's own lengths and sums are left out. */
hft_inline __u32 frame_finish(struct xdp_md *ctx, const struct hft_template *template)
{
	__u8 *frame = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 at = hft_masked(template->headers_len - IPV4_UDP_BYTES, HFT_MAX_ETHERNET);
	const __u8 *from = template->headers + at;
	__u8 *ip = frame + at, *udp = ip + 20;
	__u16 check, udp_len = bpf_htons(UDP_HEADER + tx_len);
	__u32 total = bpf_htons(IPV4_UDP_BYTES + tx_len), id = bpf_htons(tx_first_ref & 0xffff);
	__u64 sum;

	if (frame + 42 > end || ip + IPV4_UDP_BYTES > end)
		return 0;
	__builtin_memcpy(frame, template->headers, 22);
	__builtin_memcpy(ip, from, 24);
	*(__u16 *)(ip + 2) = total;
	*(__u16 *)(ip + 4) = id;
	sum = (__u64) * (const __u16 *)from + total + id + *(const __u16 *)(from + 6) + *(const __u16 *)(from + 8) +
	      *(const __u32 *)(from + 12) + *(const __u32 *)(from + 16);
	*(__u16 *)(ip + 10) = ~fold(sum);
	*(__u16 *)(udp + 4) = udp_len;
	sum = tx_sum + *(const __u32 *)(from + 12) + *(const __u32 *)(from + 16) + *(const __u32 *)(from + 20) +
	      bpf_htons(IPV4_PROTOCOL_UDP) + 2 * (__u64)udp_len;
	check = ~fold(sum);
	*(__u16 *)(udp + 6) = check ?: 0xffff;
	return template->headers_len + tx_len;
}

_Static_assert(HFT_MAX_HEADERS + HFT_MAX_ORDERS_PER_PACKET * HFT_OUCH42_ENTER < HFT_TX_BYTES, "a full packet");

/* The same of a TCP segment, on the connection as wire_take found it. */
hft_inline __u32 segment_finish(struct xdp_md *ctx, const struct hft_template *template)
{
	__u32 tcp_len = TCP_HEADER + (wire.timestamps ? TCP_TIMESTAMPS : 0);
	__u8 *frame = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 at = hft_masked(template->headers_len - IPV4_HEADER - tcp_len, HFT_MAX_ETHERNET);
	const __u8 *from = template->headers + at;
	__u8 *ip = frame + at, *tcp = ip + IPV4_HEADER;
	__u32 total = bpf_htons(IPV4_HEADER + tcp_len + tx_len), id = bpf_htons(tx_first_ref & 0xffff);
	__u32 seq = bpf_htonl(moment.seq), ack = bpf_htonl(moment.ack);
	__u32 flags = bpf_htonl(tcp_len / 4 << 28 | (TCP_ACK | TCP_PSH) << 16 | moment.window);
	__u64 sum;

	if (frame + 22 > end || tcp + TCP_HEADER + TCP_TIMESTAMPS > end)
		return 0;
	__builtin_memcpy(frame, template->headers, 22);
	__builtin_memcpy(ip, from, 24);
	*(__u16 *)(ip + 2) = total;
	*(__u16 *)(ip + 4) = id;
	sum = (__u64) * (const __u16 *)from + total + id + *(const __u16 *)(from + 6) + *(const __u16 *)(from + 8) +
	      *(const __u32 *)(from + 12) + *(const __u32 *)(from + 16);
	*(__u16 *)(ip + 10) = ~fold(sum);
	*(__u32 *)(tcp + 4) = seq;
	*(__u32 *)(tcp + 8) = ack;
	*(__u32 *)(tcp + 12) = flags;
	sum = tx_sum + *(const __u32 *)(from + 12) + *(const __u32 *)(from + 16) + *(const __u32 *)(from + 20) +
	      bpf_htons(IPV4_PROTOCOL_TCP) + bpf_htons(tcp_len + tx_len) + seq + ack + flags;
	if (wire.timestamps) {
		__u32 tsval = bpf_htonl((__u32)(bpf_ktime_get_ns() / NS_PER_TCP_TICK) + moment.tsoffset);
		__u32 tsecr = bpf_htonl(moment.ts_recent);

		*(__u32 *)(tcp + TCP_HEADER) = TCP_TIMESTAMPS_BEGIN;
		*(__u32 *)(tcp + TCP_HEADER + 4) = tsval;
		*(__u32 *)(tcp + TCP_HEADER + 8) = tsecr;
		sum += (__u64)TCP_TIMESTAMPS_BEGIN + tsval + tsecr;
	}
	*(__u32 *)(tcp + 16) = (__u16)~fold(sum);
	return template->headers_len + tx_len;
}

/* Does one more message of that action fit the frame? */
hft_inline bool message_fits(__u32 action)
{
	const struct hft_template *template = &order_template;

	return tx_messages < HFT_MAX_ORDERS_PER_PACKET && tx_len + template->msg_len[hft_masked(action, 4)] <= tx_room;
}

/* Pending intent `index`: latches, gate, and if it passes the message. */
hft_global int order_decide(struct xdp_md *ctx, __u32 index)
{
	struct pending *one = &pending[hft_masked(index, HFT_MAX_PENDING)];

	one->user_ref = 0;
	one->short_sale = 0;
	count(one->shadow ? HFT_C_SHADOW_INTENTS : HFT_C_INTENTS);
	latches_check(one->slot, one->strategy);
	one->reason = risk_gate(index, one->shadow || message_fits(one->intent.action));
	if (one->shadow)
		return 0;
	if (one->reason) {
		count_refusal(one->reason);
		return 0;
	}
	order_commit(index);
	order_write(ctx, index);
	if (cancels_wait())
		one->reason = cancels_wait(); /* of what passed: why it does not leave from here */
	return 0;
}

hft_inline __u32 decision_kind(const struct pending *one)
{
	if (one->shadow)
		return HFT_EVENT_SHADOW;
	if (!one->user_ref)
		return HFT_EVENT_REFUSED;
	return one->intent.action == HFT_ACTION_CANCEL ? HFT_EVENT_CANCEL_SENT : HFT_EVENT_ORDER;
}

/* The event of pending intent `index`. */
hft_global int order_report(__u32 index, __u64 hook_ns)
{
	const struct pending *one = &pending[hft_masked(index, HFT_MAX_PENDING)];
	const struct hft_working *order = working_at(one->user_ref);
	__u32 kind = decision_kind(one);
	struct hft_event *event;

	event = event_begin(kind, one->slot);
	if (!event)
		return 0;
	event->epoch = one->epoch;
	event->exchange_ns = one->exchange_ns;
	event->feed_seq = one->feed_seq;
	event->reason = one->reason;
	event->strategy = one->strategy;
	event->user_ref = one->user_ref;
	event->side = one->intent.side;
	event->price_e4 = one->intent.price_e4;
	event->qty = one->intent.qty;
	event->other_ref = one->intent.action == HFT_ACTION_ENTER ? 0 : one->intent.ref;
	if (kind == HFT_EVENT_ORDER) {
		event->open_qty = one->intent.qty;
	} else if (kind == HFT_EVENT_CANCEL_SENT) {
		event->other_ref = 0;
		event->side = order->side;
		event->price_e4 = order->price_e4;
		event->qty = order->open_qty;
		event->open_qty = order->open_qty;
	}
	event->hook_ns = (__u32)at_most(hook_ns, 0xffffffff);
	event_end(event);
	return 0;
}

hft_inline bool frame_cut(struct xdp_md *ctx, __u32 length, __u32 frame_len)
{
	return length && (length == frame_len || !bpf_xdp_adjust_tail(ctx, (int)length - (int)frame_len));
}

/* Finish the frame and cut it to size; the tick it carried has been read. On a connection it counts from the moment it is reported. */
hft_inline bool frame_send(struct xdp_md *ctx, const struct hft_template *template, __u32 frame_len)
{
	if (config.transport != HFT_TRANSPORT_SOUPBINTCP)
		return frame_cut(ctx, frame_finish(ctx, template), frame_len);
	return frame_cut(ctx, segment_finish(ctx, template), frame_len) &&
	       !wire_commit(ctx, template->headers_len, tx_len);
}

/* Take the connection for what is pending, if it can be had: the gate refuses with the reason if not. */
hft_inline void frame_reserve(struct xdp_md *ctx)
{
	if (config.transport != HFT_TRANSPORT_SOUPBINTCP)
		return;
	wire_taken = 0;
	wire_handed = 0;
	wire_refusal = tx_room && pending_real ? wire_take(ctx) : HFT_REASON_NONE;
	if (!wire_refusal && tx_room && pending_real) {
		wire_taken = 1;
		tx_room = at_most(tx_room, moment.room);
	}
	wire_waits = wire_may_wait(wire_refusal) ? wire_refusal : HFT_REASON_NONE;
}

/* Only cancels have passed, and the hook cannot send: they go to user space. */
hft_inline bool frame_hand_over(struct xdp_md *ctx, const struct hft_template *template)
{
	if (CLAUSE(!cancels_wait()))
		return false;
	wire_handed = !wire_hand_over(ctx, template->headers_len, tx_len);
	return true;
}

/* Nothing left, or it could not be written: the connection is free again. */
hft_inline void frame_release(void)
{
	if (config.transport == HFT_TRANSPORT_SOUPBINTCP && wire_taken)
		wire_give();
}

/*
 * Taken in 64 bits and at once: in 32 bits LLVM may spill half a packet pointer, which no verifier accepts.
 */
hft_inline __u32 frame_bytes(struct xdp_md *ctx)
{
	__u64 bytes = (void *)(long)ctx->data_end - (void *)(long)ctx->data;

	hft_opaque(bytes);
	return bytes;
}

/*
 * Make the frame long enough for all that is pending, or for as much of it as the driver has room for; its length then. Before anything is
 * committed: a driver that has no room must find no order already sent.
 */
hft_inline __u32 frame_grow(struct xdp_md *ctx, const struct hft_template *template, __u32 frame_len)
{
	__u32 many = at_most(pending_real, HFT_MAX_ORDERS_PER_PACKET);

	/* Counted upwards to a constant: 6.1 does not see that a loop ends which counts a variable down. */
	hft_rolled for (__u32 less = 0; less < HFT_MAX_ORDERS_PER_PACKET && less < many; less++)
	{
		__u32 wanted = template->headers_len + (many - less) * template->msg_len[HFT_ACTION_ENTER];

		if (wanted <= frame_len)
			return frame_len;
		if (!bpf_xdp_adjust_tail(ctx, wanted - frame_len))
			return wanted;
	}
	return frame_len;
}

/*
 * Everything that is pending: XDP_TX with the messages in the frame, or XDP_DROP when nothing left.
 */
hft_inline int pending_flush(struct xdp_md *ctx)
{
	struct hft_template *template = &order_template;
	__u32 frame_len = frame_bytes(ctx);
	int verdict = XDP_DROP;
	__u64 hook_ns;

	tx_len = 0;
	tx_messages = 0;
	tx_sum = 0;
	if (template_ready(template))
		frame_len = frame_grow(ctx, template, frame_len);
	tx_room = frame_len > template->headers_len ? frame_len - template->headers_len : 0;
	frame_reserve(ctx);

	hft_rolled for (__u32 i = 0; i < HFT_MAX_PENDING && i < pending_len; i++) order_decide(ctx, i);
	/* A frame that cannot be cut or written was never sent; its orders stay in flight, so nothing repeats. */
	if (tx_messages && !frame_hand_over(ctx, template) && frame_send(ctx, template, frame_len)) {
		count(HFT_C_ORDER_FRAMES);
		verdict = XDP_TX;
	} else {
		frame_release();
	}
	hook_ns = bpf_ktime_get_ns() - entry_ns;
	observe(tx_messages ? HFT_HIST_ORDER : HFT_HIST_REFUSED, hook_ns);
	hft_rolled for (__u32 i = 0; i < HFT_MAX_PENDING && i < pending_len; i++) order_report(i, hook_ns);
	return verdict;
}

/* After the last message of a feed packet: the symbols it touched are looked at, on the books as it left them. */
hft_inline int order_flush(struct xdp_md *ctx)
{
	if (!touched_len)
		return XDP_DROP;
	decide_ns = feed_now(feed_at(packet_feed));
	hft_rolled for (__u32 i = 0; i < HFT_MAX_TOUCHED && i < touched_len; i++) symbol_settle(i);
	return pending_len ? pending_flush(ctx) : XDP_DROP;
}

#endif

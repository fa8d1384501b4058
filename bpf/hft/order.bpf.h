/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ORDER: the one exit. Asks the strategy once more about each symbol that triggered, puts every intent through the
 * gate, patches those that pass into the template, and turns the tick's own frame into the order frame. Rule 7.
 */
#ifndef HFT_ORDER_BPF_H
#define HFT_ORDER_BPF_H

#define HFT_TX_BYTES 1024 /* power of two above headers and a full batch */

/* Offsets inside one upstream message: length prefix 2, UFO 'U' 1, then the OUCH message. */
#define UP_OUCH 3
#define OUCH50_USER_REF (UP_OUCH + 1)
#define OUCH50_SIDE (UP_OUCH + 5)
#define OUCH50_QTY (UP_OUCH + 6)
#define OUCH50_SYMBOL (UP_OUCH + 10)
#define OUCH50_PRICE (UP_OUCH + 18)
#define OUCH42_TOKEN_REF (UP_OUCH + 7) /* the last 8 of the token's 14 characters */
#define OUCH42_SIDE (UP_OUCH + 15)
#define OUCH42_QTY (UP_OUCH + 16)
#define OUCH42_SYMBOL (UP_OUCH + 20)
#define OUCH42_PRICE (UP_OUCH + 28)

/* The symbols that triggered in this packet, in order of their first trigger. */
struct trigger {
	__u32 slot;
	__u32 reason; /* of the gate */
	__u32 side;
	__u32 price_e4;
	__u32 qty;
	__u32 user_ref; /* 0 = did not leave */
	__u64 feed_seq;
	__u64 exchange_ns;
	__u64 epoch; /* read before the decision: an epoch at or above a halt's proves that the halt was seen */
	__u32 decided; /* 0: the packet itself undid it */
	__u32 pad0;
};

static struct trigger batch[HFT_MAX_ORDERS_PER_PACKET];
static __u32 batch_len;
static __u8 tx[HFT_TX_BYTES];

#define store_be16(p, v) (*(__u16 *)(p) = __builtin_bswap16(v))
#define store_be32(p, v) (*(__u32 *)(p) = __builtin_bswap32(v))
#define store_be64(p, v) (*(__u64 *)(p) = __builtin_bswap64(v))

/* Note that the strategy wants to act on a symbol; the decision falls when the packet is read to its end. */
hft_inline void trigger_note(__u32 slot, __u64 feed_seq, __u64 exchange_ns)
{
	__u32 i;

	hft_rolled for (i = 0; i < HFT_MAX_ORDERS_PER_PACKET; i++)
	{
		if (i >= batch_len)
			break;
		if (batch[i].slot == slot)
			goto renew;
	}
	if (i >= HFT_MAX_ORDERS_PER_PACKET) {
		count(HFT_C_TRIGGERS_DROPPED);
		return;
	}
	batch_len = i + 1;
	batch[i].slot = slot;
renew:
	batch[i].feed_seq = feed_seq;
	batch[i].exchange_ns = exchange_ns;
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

/* Write message number `index` of the datagram. */
hft_inline void order_write(const struct hft_template *template, __u32 index, const struct trigger *order,
			    const struct hft_symbol_params *params)
{
	__u8 *msg = tx + hft_masked(template->headers_len + index * template->msg_len, HFT_TX_BYTES / 2);

	__builtin_memcpy(msg, template->msg, sizeof(template->msg));
	if (template->protocol == HFT_OUCH50) {
		store_be32(msg + OUCH50_USER_REF, order->user_ref);
		msg[OUCH50_SIDE] = order->side == HFT_BUY ? 'B' : 'S';
		store_be32(msg + OUCH50_QTY, order->qty);
		__builtin_memcpy(msg + OUCH50_SYMBOL, params->name, 8);
		store_be64(msg + OUCH50_PRICE, (__u64)order->price_e4);
	} else {
		*(__u64 *)(msg + OUCH42_TOKEN_REF) = hex8(order->user_ref);
		msg[OUCH42_SIDE] = order->side == HFT_BUY ? 'B' : 'S';
		store_be32(msg + OUCH42_QTY, order->qty);
		__builtin_memcpy(msg + OUCH42_SYMBOL, params->name, 8);
		store_be32(msg + OUCH42_PRICE, order->price_e4);
	}
}

/* An order that passed the gate is recorded before anything else can happen: from here on it counts as sent. */
hft_inline void order_commit(struct trigger *order, struct hft_book *book, struct hft_symbol_state *state,
			     struct hft_session_state *session, __u64 now)
{
	__u32 ref = next_user_ref(session);
	struct hft_working *slot = hft_at(working, ref & (HFT_MAX_WORKING - 1));
	__u64 *time = hft_at(order_times, session->order_head & (HFT_MAX_ORDERS_PER_SECOND - 1));

	order->user_ref = ref;
	session->next_user_ref = ref + 1;
	session->order_head++;
	if (time)
		*time = now;
	if (slot) {
		slot->user_ref = ref;
		slot->state = HFT_ORDER_SENT;
		slot->symbol = order->slot;
		slot->side = order->side;
		slot->price_e4 = order->price_e4;
		slot->qty = order->qty;
		slot->open_qty = order->qty;
		slot->filled_qty = 0;
		slot->sent_ns = entry_ns;
		slot->filled_e4 = 0;
	}
	book_open(book);
	state->working_ref = ref;
	state->working_qty = order->qty;
	state->working_side = order->side;
	state->orders_sent++;
	book_close(book);
	count(HFT_C_ORDERS);
}

/* Headers of a datagram with `orders` messages; returns the frame's length. */
hft_inline __u32 frame_finish(const struct hft_template *template, __u32 orders, __u32 first_ref)
{
	__u32 headers = template->headers_len, payload = orders * template->msg_len;
	__u64 length = headers + payload, summed;
	__u8 *ip, *udp;
	__u64 sum = 0;
	__u32 check;

	__builtin_memcpy(tx, template->headers,
			 42); /* up to 50: what the memcpy of the messages left is filled below */
	if (headers > 42)
		__builtin_memcpy(tx + 42, template->headers + 42, 4);
	if (headers > 46)
		__builtin_memcpy(tx + 46, template->headers + 46, 4);
	ip = tx + hft_masked(headers - 28, 64);
	udp = ip + 20;

	store_be16(ip + 2, 28 + payload);
	store_be16(ip + 4, first_ref & 0xffff);
	*(__u16 *)(ip + 10) = 0;
	for (int i = 0; i < 20; i += 2)
		sum += *(__u16 *)(ip + i);
	*(__u16 *)(ip + 10) = ~fold(sum);

	store_be16(udp + 4, 8 + payload);
	*(__u16 *)(udp + 6) = 0;
	/* the sum reads whole words: nothing may stand behind the last message */
	__builtin_memset(tx + hft_masked(length, HFT_TX_BYTES / 2), 0, 4);
	summed = (payload + 8 + 3) & ~3U;
	hft_opaque(summed);
	summed &= HFT_CSUM_CHUNK - 1;
	sum = (__u32)bpf_csum_diff(NULL, 0, (__be32 *)udp, summed, 0);
	sum += *(__u16 *)(ip + 12) + *(__u16 *)(ip + 14) + *(__u16 *)(ip + 16) + *(__u16 *)(ip + 18);
	sum += bpf_htons(IPV4_PROTOCOL_UDP) + *(__u16 *)(udp + 4);
	check = (__u16)~fold(sum);
	*(__u16 *)(udp + 6) = check ?: 0xffff;
	return length;
}

_Static_assert(HFT_MAX_ORDERS_PER_PACKET *HFT_OUCH42_UPSTREAM + 8 <= HFT_CSUM_CHUNK - 4,
	       "one checksum call an order frame");
_Static_assert(50 + HFT_MAX_ORDERS_PER_PACKET * HFT_OUCH42_UPSTREAM < HFT_TX_BYTES / 2,
	       "the buffer holds a full batch");

/*
 * Decide trigger `index`: ask the strategy on the book as the packet left it, then the gate; an order that passes
 * becomes message `orders` of the datagram. Returns 1 if it did. A function of its own, so that the verifier walks the
 * gate once and not once a trigger.
 */
hft_global int order_decide(__u32 index, __u32 orders, __u64 now, __u32 room)
{
	struct trigger *order = &batch[hft_masked(index, HFT_MAX_ORDERS_PER_PACKET)];
	struct hft_template *template = hft_the(order_template);
	struct hft_session_state *session = hft_the(session_state);
	struct hft_symbol_params *params = hft_at(symbol_params, order->slot);
	struct hft_symbol_state *state = hft_at(symbol_state, order->slot);
	struct hft_book *book = book_at(order->slot);
	const volatile struct hft_control *live = hft_the(control);
	struct intent intent;

	order->decided = 0;
	order->user_ref = 0;
	if (!template || !session || !params || !state || !live)
		return 0;
	order->epoch = live->epoch;
	if (strategy_threshold(order->slot, params, book, state, &intent) != STRATEGY_INTENT) {
		count(HFT_C_TRIGGERS_STALE);
		return 0;
	}
	count(HFT_C_TRIGGERS);
	order->decided = 1;
	order->side = intent.side;
	order->price_e4 = intent.price_e4;
	order->qty = intent.qty;
	order->reason = risk_gate(&intent, params, book, state, now, room);
	if (order->reason) {
		count_refusal(order->reason);
		return 0;
	}
	order_commit(order, book, state, session, now);
	order_write(template, orders, order, params);
	return 1;
}

/* The event of trigger `index`. */
hft_global int order_report(__u32 index, __u64 hook_ns)
{
	const struct trigger *order = &batch[hft_masked(index, HFT_MAX_ORDERS_PER_PACKET)];
	struct hft_event *event;

	if (!order->decided)
		return 0;
	event = event_begin(order->user_ref ? HFT_EVENT_ORDER : HFT_EVENT_REFUSED, order->slot);
	if (!event)
		return 0;
	event->epoch = order->epoch;
	event->exchange_ns = order->exchange_ns;
	event->feed_seq = order->feed_seq;
	event->reason = order->reason;
	event->side = order->side;
	event->user_ref = order->user_ref;
	event->price_e4 = order->price_e4;
	event->qty = order->qty;
	event->open_qty = order->user_ref ? order->qty : 0;
	event->hook_ns = (__u32)at_most(hook_ns, 0xffffffff);
	event_end(event);
	return 0;
}

/* Cut the frame to size and write the orders into it; the tick it carried has been read. */
hft_inline bool frame_send(struct xdp_md *ctx, __u64 length, __u32 frame_len)
{
	length = hft_length(length, HFT_TX_BYTES / 2);
	if (length != frame_len && bpf_xdp_adjust_tail(ctx, (int)length - (int)frame_len))
		return false;
	return !bpf_xdp_store_bytes(ctx, 0, tx, length);
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

/* After the last message of a feed packet: XDP_TX with the orders in the frame, or XDP_DROP. */
hft_inline int order_flush(struct xdp_md *ctx)
{
	struct hft_template *template = hft_the(order_template);
	struct hft_feed_state *feed = feed_at(packet_feed);
	__u32 frame_len = frame_bytes(ctx), orders = 0, decisions = 0, first_ref = 0, wanted;
	int verdict = XDP_DROP;
	bool room = true;
	__u64 now, hook_ns;

	if (!batch_len || !template)
		return XDP_DROP;
	now = feed_now(feed);
	/* Grow before anything is committed: a driver that has no room must find no order already sent. */
	wanted = template->headers_len + batch_len * template->msg_len;
	if (template_ready(template) && wanted > frame_len) {
		room = !bpf_xdp_adjust_tail(ctx, wanted - frame_len);
		frame_len = room ? wanted : frame_len;
	}

	hft_rolled for (__u32 i = 0; i < HFT_MAX_ORDERS_PER_PACKET && i < batch_len; i++)
	{
		if (order_decide(i, orders, now, room)) {
			first_ref = first_ref ?: batch[i].user_ref;
			orders++;
		}
		decisions += batch[i].decided;
	}
	/* A frame that cannot be cut or written was never sent; its orders stay in flight, so nothing repeats. */
	if (orders && frame_send(ctx, frame_finish(template, orders, first_ref), frame_len)) {
		count(HFT_C_ORDER_FRAMES);
		verdict = XDP_TX;
	}
	if (!decisions)
		return verdict;

	hook_ns = bpf_ktime_get_ns() - entry_ns;
	observe(orders ? HFT_HIST_ORDER : HFT_HIST_REFUSED, hook_ns);
	hft_rolled for (__u32 i = 0; i < HFT_MAX_ORDERS_PER_PACKET && i < batch_len; i++) order_report(i, hook_ns);
	return verdict;
}

#endif

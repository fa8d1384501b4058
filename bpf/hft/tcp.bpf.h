/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP: delegated sends. The connection is the kernel's; the hook sends segments on it, and user space merges them into the kernel's
 * connection afterwards (docs/delegated-send.md, which numbers the guards below). Writes no frame that goes out but the acknowledgement
 * number of one that came in: the one exit is ORDER.
 */
#ifndef HFT_TCP_BPF_H
#define HFT_TCP_BPF_H

#define IPV4_PROTOCOL_TCP 6
#define TCP_HEADER 20
#define TCP_TIMESTAMPS 12 /* two NOPs and the option */
#define TCP_TIMESTAMPS_BEGIN bpf_htonl(0x0101080a)
#define TCP_FLAGS_AT 13
#define TCP_FIN 0x01
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_STATE_ESTABLISHED 1
#define TCP_CA_STATE_RECOVERY 3 /* and 4, loss */
#define TCP_WINDOW_MOST 0xffff
#define NS_PER_TCP_TICK 1000000
#define THIS_NAMESPACE ((__u64) - 1) /* BPF_F_CURRENT_NETNS */

/* The connection at the moment of a send. */
struct wire_moment {
	__u32 seq;
	__u32 ack;
	__u32 window; /* as on the wire, host order */
	__u32 tsoffset;
	__u32 ts_recent;
	__u32 room; /* bytes that the peer's window has left */
};

static struct wire_moment moment HFT_STATE;

#define wire_word() (*(volatile __u64 *)&wire.word)

hft_inline __u32 word_seq(__u64 word)
{
	return word >> HFT_WIRE_SEQ_SHIFT;
}

hft_inline __u32 word_unmerged(__u64 word)
{
	return (word >> HFT_WIRE_UNMERGED_SHIFT) & 0xff;
}

/* The window that we tell the peer: never less than it was told before, rounded up as the kernel does. */
hft_inline __u32 window_told(const struct tcp_sock *tcp, __u32 ack)
{
	__u32 edge = tcp->rcv_wup + tcp->rcv_wnd, shift = wire.rcv_wscale & 15, window = edge - ack;

	if ((__s32)window < 0)
		return 0;
	window = (window + (1U << shift) - 1) >> shift;
	return window < TCP_WINDOW_MOST ? window : TCP_WINDOW_MOST;
}

/* Something is missing at the peer, or being sent again. Without SACK the state stays when all is there again, until more is sent. */
hft_inline bool in_recovery(const struct tcp_sock *tcp)
{
	return CLAUSE(tcp->sacked_out || tcp->lost_out || tcp->retrans_out) ||
	       CLAUSE(tcp->snd_una != tcp->snd_nxt &&
		      BPF_CORE_READ_BITFIELD(&tcp->inet_conn, icsk_ca_state) >= TCP_CA_STATE_RECOVERY);
}

/* Does the kernel's connection stand where the word says? All that it was given is sent, up to where the hook goes on. */
hft_inline bool out_of_step(const struct tcp_sock *tcp, __u64 word)
{
	__u32 seq = word_seq(word), unmerged = word_unmerged(word);

	if (!unmerged)
		return CLAUSE(tcp->write_seq != seq);
	return CLAUSE(seq - tcp->write_seq > unmerged * (__u32)sizeof(wire.send[0].bytes));
}

hft_inline __u32 moment_take(const struct tcp_sock *tcp, __u64 word)
{
	__u32 seq = word_seq(word);
	__s32 room = tcp->snd_una + tcp->snd_wnd - seq;

	if (GUARD(STATE, CLAUSE(tcp->inet_conn.icsk_inet.sk.__sk_common.skc_state != TCP_STATE_ESTABLISHED)) ||
	    GUARD(STEP, out_of_step(tcp, word)))
		return HFT_REASON_WIRE_DOWN;
	if (GUARD(UNSENT, CLAUSE(!word_unmerged(word) && tcp->snd_nxt != tcp->write_seq)))
		return HFT_REASON_WIRE_BUSY;
	if (GUARD(RECOVERY, in_recovery(tcp)))
		return HFT_REASON_WIRE_RECOVERY;
	if (GUARD(WINDOW, CLAUSE(room < (__s32)order_template.msg_len[HFT_ACTION_ENTER])))
		return HFT_REASON_WIRE_WINDOW;
	moment.room = room;
	moment.seq = seq;
	moment.ack = tcp->rcv_nxt;
	moment.window = window_told(tcp, moment.ack);
	moment.tsoffset = tcp->tsoffset;
	moment.ts_recent = tcp->rx_opt.ts_recent;
	return HFT_REASON_NONE;
}

hft_inline __u32 moment_look(struct xdp_md *ctx, __u64 word)
{
	struct bpf_sock *found;
	struct tcp_sock *tcp;
	__u32 reason = HFT_REASON_WIRE_DOWN;

	found = bpf_skc_lookup_tcp(ctx, (void *)&wire.remote_addr_be, 12, THIS_NAMESPACE, 0);
	if (!found)
		return reason;
	tcp = bpf_skc_to_tcp_sock(found);
	if (tcp)
		reason = moment_take(tcp, word);
	bpf_sk_release(found);
	return reason;
}

/* The hook's, unless somebody changed it meanwhile; that sends were merged does no harm. */
hft_inline __u32 word_fire(__u64 word)
{
	for (int i = 0; i < 4; i++) {
		__u64 now = __sync_val_compare_and_swap(&wire.word, word, word | HFT_WIRE_FIRING);

		if (now == word)
			return HFT_REASON_NONE;
		if ((now & HFT_WIRE_FLAGS) != HFT_WIRE_ARMED || word_seq(now) != word_seq(word))
			break;
		word = now;
	}
	return HFT_REASON_WIRE_BUSY;
}

/* User space has it, or something waits for user space that has to leave first. */
hft_inline bool word_is_busy(__u64 word)
{
	return !CLAUSE(word & HFT_WIRE_CLOSED) &&
	       (CLAUSE(word & HFT_WIRE_HELD) || (!CLAUSE(!(word & HFT_WIRE_ARMED)) && CLAUSE(word & HFT_WIRE_WAITING)));
}

/* User space has taken it since the word was read, and may have written: the connection does not stand there any more. */
hft_inline bool word_moved(__u64 word)
{
	__u64 now = wire_word();

	return word_is_busy(now) || ((now & HFT_WIRE_FLAGS) == HFT_WIRE_ARMED && word_seq(now) != word_seq(word));
}

/*
 * Take the wire for what is about to be decided: HFT_REASON_NONE, and wire_give or wire_commit must follow; or why not. The place of the
 * report, send[fired], is free as long as fewer than HFT_MAX_UNMERGED wait to be merged.
 */
hft_global int wire_take(struct xdp_md *ctx)
{
	__u64 word = wire_word();
	__u32 reason;

	if (GUARD(OWNER, CLAUSE((word & HFT_WIRE_FLAGS) != HFT_WIRE_ARMED)))
		return word_is_busy(word) ? HFT_REASON_WIRE_BUSY : HFT_REASON_WIRE_DOWN;
	if (GUARD(LEASE, CLAUSE(decide_ns >= *(const volatile __u64 *)&control.lease_until_ns)))
		return HFT_REASON_LEASE;
	if (GUARD(BOUND, CLAUSE(word_unmerged(word) >= HFT_MAX_UNMERGED)))
		return HFT_REASON_WIRE_UNMERGED;
	reason = moment_look(ctx, word);
	if (reason == HFT_REASON_WIRE_DOWN)
		return word_moved(word) ? HFT_REASON_WIRE_BUSY : reason;
	return reason ?: word_fire(word);
}

/* Nothing left. */
hft_inline void wire_give(void)
{
	__sync_fetch_and_and(&wire.word, ~(__u64)HFT_WIRE_FIRING);
}

/*
 * `length` bytes behind the headers leave: report them, then move the word. 0, or -1 if the frame does not hold them; then nothing
 * leaves, and the word stays.
 */
hft_global int wire_commit(struct xdp_md *ctx, __u32 offset, __u32 length)
{
	struct hft_send *send = &wire.send[hft_masked(wire.fired, HFT_MAX_UNMERGED)];

	if (!length || length > sizeof(send->bytes) ||
	    bpf_xdp_load_bytes(ctx, offset, send->bytes, hft_length(length, sizeof(send->bytes))))
		return -1;
	send->seq = moment.seq;
	send->length = length;
	wire.fired++;
	__sync_fetch_and_add(&wire.word,
			     ((__u64)length << HFT_WIRE_SEQ_SHIFT) + (1 << HFT_WIRE_UNMERGED_SHIFT) - HFT_WIRE_FIRING);
	count(HFT_C_WIRE_SENDS);
	return 0;
}

/*
 * May cancels wait for user space to send them, as the hook cannot for this reason? Not on a connection that is lost, not without a
 * lease, and there must be a place.
 */
hft_inline bool wire_may_wait(__u32 reason)
{
	bool passes = CLAUSE(reason == HFT_REASON_WIRE_BUSY) || CLAUSE(reason == HFT_REASON_WIRE_UNMERGED) ||
		      CLAUSE(reason == HFT_REASON_WIRE_WINDOW) || CLAUSE(reason == HFT_REASON_WIRE_RECOVERY);

	if (CLAUSE(!passes))
		return false;
	return !GUARD(LEASE, CLAUSE(decide_ns >= *(const volatile __u64 *)&control.lease_until_ns)) &&
	       !CLAUSE(wire.handed - *(const volatile __u64 *)&wire.handed_sent >= HFT_MAX_WAITING);
}

/* `length` bytes of cancels behind the headers go to user space: 0, or -1 if the frame does not hold them. The flag comes last. */
hft_global int wire_hand_over(struct xdp_md *ctx, __u32 offset, __u32 length)
{
	struct hft_waiting *waiting = &wire.waiting[hft_masked(wire.handed, HFT_MAX_WAITING)];

	if (!length || length > sizeof(waiting->bytes) ||
	    bpf_xdp_load_bytes(ctx, offset, waiting->bytes, hft_length(length, sizeof(waiting->bytes))))
		return -1;
	waiting->handed_ns = entry_ns;
	waiting->left_ns = 0;
	waiting->reason = wire_waits;
	waiting->length = length;
	hft_store_fence(&wire.handed);
	*(volatile __u64 *)&wire.handed = wire.handed + 1;
	if (GUARD(WAITING, true))
		__sync_fetch_and_or(&wire.word, HFT_WIRE_WAITING);
	return 0;
}

/* A segment that came in. */
struct segment {
	__u32 end; /* of the peer's next byte */
	__u32 ack;
	__u32 window;
	__u32 tsval;
	__u32 tsecr;
};

/* Keep the newest acknowledgement that was held back. When two CPUs come at once the second one's is lost: the peer repeats itself. */
hft_inline void ack_keep(const struct segment *segment)
{
	__u64 version = *(volatile __u64 *)&wire.held_version;

	if (CLAUSE(version & 1) || __sync_val_compare_and_swap(&wire.held_version, version, version + 1) != version)
		return;
	wire.held_ack = segment->ack;
	wire.held_seq = segment->end;
	wire.held_window = segment->window;
	wire.held_tsval = segment->tsval;
	wire.held_tsecr = segment->tsecr;
	__sync_fetch_and_add(&wire.held_version, 1);
}

/* RFC 1624: a checksum, after one 32-bit word changed. */
hft_inline __u16 sum_changed(__u16 sum, __u32 from, __u32 to)
{
	return ~fold((__u64)(__u16)~sum + (__u32)~from + to);
}

#define HFT_MOST_SEGMENT 1536 /* longer ones are taken for spoiled: their acknowledgement comes again */

/*
 * Is the checksum of the segment right that lies at `offset` of the frame, `length` bytes behind `ip`'s addresses? What a spoiled one
 * says must not be said again in a sound one. A function of its own, or the verifier would walk all that follows once for each length.
 */
hft_global int segment_is_sound(struct xdp_md *ctx, __u32 offset, __u32 length)
{
	const __u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const __u8 *from = data + hft_masked(offset, 128), *last = from + hft_masked(length - 8, 2048);
	__u64 left = length % 8 * 8, word, sum;
	__u32 at = 0;

	if (length < TCP_HEADER || CLAUSE(length > HFT_MOST_SEGMENT))
		return 0;
	sum = (__u64)wire.remote_addr_be + wire.local_addr_be + bpf_htons(IPV4_PROTOCOL_TCP) + bpf_htons(length);
	hft_rolled for (; at < HFT_MOST_SEGMENT && at + 8 <= length; at += 8)
	{
		if (from + at + 8 > end)
			return 0;
		sum += (__u64) * (const volatile __u32 *)(from + at) + *(const volatile __u32 *)(from + at + 4);
	}
	if (left) {
		if (last + 8 > end)
			return 0;
		word = *(const __u64 *)last >> (64 - left);
		sum += (__u32)word;
		sum += word >> 32;
	}
	return !CLAUSE(fold(sum) != 0xffff);
}

/* Does it acknowledge what the kernel's connection does not know of yet? What was never sent is the kernel's to judge. */
hft_inline bool ack_is_early(__u32 ack, __u32 merged)
{
	__u64 word = wire_word();

	return GUARD(ACK, !CLAUSE(!word_unmerged(word)) && !CLAUSE((__s32)(ack - merged) <= 0) &&
				  !CLAUSE((__s32)(ack - word_seq(word)) > 0));
}

/* What tcp_arrives says of a segment in one word: 1 = of the connection, and where its payload is. */
#define SEGMENT_OURS 1
#define SEGMENT_TCP(described) ((described) >> 1 & 0x7f) /* the header's offset in the frame */
#define SEGMENT_OFFSET(described) ((described) >> 8 & 0xff) /* the payload's */
#define SEGMENT_LENGTH(described) ((described) >> 16) /* and its bytes */

/* The TCP header at `offset`, of which `length` bytes with their payload are in the frame. */
hft_global int segment_arrives(struct xdp_md *ctx, __u32 offset, __u32 length)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, *tcp = data + hft_masked(offset, 128);
	__u32 header, flags, described, merged = *(volatile __u32 *)&wire.merged_seq, from, to = bpf_htonl(merged);
	struct segment segment = {};
	bool early, closes;

	if (tcp + TCP_HEADER > end)
		return SEGMENT_OURS;
	header = (tcp[12] >> 4) * 4;
	flags = tcp[TCP_FLAGS_AT];
	if (CLAUSE(header < TCP_HEADER) || CLAUSE(header > length))
		return SEGMENT_OURS;
	described = SEGMENT_OURS | offset << 1 | (offset + header) << 8 | (length - header) << 16;
	segment.end = load_be32(tcp + 4) + length - header + (flags & TCP_FIN);
	segment.ack = load_be32(tcp + 8);
	segment.window = load_be16(tcp + 14);
	early = !CLAUSE(!(flags & TCP_ACK)) && ack_is_early(segment.ack, merged);
	closes = GUARD(CLOSE, CLAUSE(flags & TCP_FIN) || CLAUSE(flags & TCP_RST));
	if ((CLAUSE(early) || CLAUSE(closes)) && !segment_is_sound(ctx, offset, length))
		return SEGMENT_OURS; /* the kernel drops it */
	if (closes) {
		__sync_fetch_and_or(&wire.word, HFT_WIRE_CLOSED);
		count_outside(HFT_C_WIRE_CLOSES);
	}
	if (!early)
		return described;
	if (header >= TCP_HEADER + TCP_TIMESTAMPS && tcp + TCP_HEADER + TCP_TIMESTAMPS <= end &&
	    *(__u32 *)(tcp + TCP_HEADER) == TCP_TIMESTAMPS_BEGIN) {
		segment.tsval = load_be32(tcp + TCP_HEADER + 4);
		segment.tsecr = load_be32(tcp + TCP_HEADER + 8);
	}
	from = *(__u32 *)(tcp + 8);
	*(__u16 *)(tcp + 16) = sum_changed(*(__u16 *)(tcp + 16), from, to);
	*(__u32 *)(tcp + 8) = to;
	ack_keep(&segment);
	count_outside(HFT_C_WIRE_ACKS_HELD);
	return described;
}

/* A frame that is nobody's among the flows: is it of the connection? 0 = no. It goes on to the kernel in any case. */
hft_global int tcp_arrives(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, *ip, *tcp;
	__u32 offset = 14, ihl, total;
	__u16 type;

	if (data + 14 > end || !wire.remote_addr_be)
		return 0;
	type = *(__u16 *)(data + 12);
	for (int tag = 0; tag < 2; tag++) {
		if (type != bpf_htons(ETHERTYPE_8021Q) && type != bpf_htons(ETHERTYPE_8021AD))
			break;
		if (data + offset + 4 > end)
			return 0;
		type = *(__u16 *)(data + offset + 2);
		offset += 4;
	}
	ip = data + offset;
	if (CLAUSE(type != bpf_htons(ETHERTYPE_IPV4)) || ip + 20 > end || CLAUSE(*ip >> 4 != 4) ||
	    CLAUSE(ip[9] != IPV4_PROTOCOL_TCP))
		return 0;
	ihl = (*ip & 0xf) * 4;
	total = load_be16(ip + 2);
	if (CLAUSE(ihl < 20) || CLAUSE(*(__u16 *)(ip + 6) & bpf_htons(IPV4_FRAGMENT_BITS)) ||
	    CLAUSE(total < ihl + TCP_HEADER) || CLAUSE(*(__u32 *)(ip + 12) != wire.remote_addr_be) ||
	    CLAUSE(*(__u32 *)(ip + 16) != wire.local_addr_be))
		return 0;
	tcp = ip + ihl;
	if (tcp + TCP_HEADER > end || CLAUSE(*(__u16 *)tcp != wire.remote_port_be) ||
	    CLAUSE(*(__u16 *)(tcp + 2) != wire.local_port_be))
		return 0;
	count_outside(HFT_C_WIRE_PACKETS);
	return segment_arrives(ctx, tcp - data, total - ihl);
}

#endif

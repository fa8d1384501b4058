/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SOUP: replies in the TCP stream of order entry. A segment that goes on right where the last one ended, and holds whole packets and nothing
 * else, is applied here, ahead of the kernel. Every other one is left to user space, which reads the whole stream from the socket and
 * hands on what it finds (rule 8); a reply counts once either way, by its number.
 */
#ifndef HFT_SOUP_BPF_H
#define HFT_SOUP_BPF_H

#define SOUP_HEADER 3 /* length, type */
#define SOUP_MOST_PACKETS 512 /* that a segment of HFT_MOST_SEGMENT bytes can hold */

_Static_assert(SOUP_MOST_PACKETS *SOUP_HEADER >= HFT_MOST_SEGMENT, "every packet of it is looked at");

struct soup_walk {
	__u32 offset;
	__u32 number; /* of the next reply */
	__u32 replies;
	__u32 bad;
};

/* In memory and not on the stack, whose every value the verifier would follow from packet to packet. */
static struct soup_walk soup_walk HFT_STATE;

static long soup_check(__u32 index, void *unused)
{
	struct soup_walk *walk = &soup_walk;
	__u32 offset = walk->offset, length = load_be16(rx_at(offset)), type = *rx_at(offset + 2);

	(void)index;
	(void)unused;
	if (offset == rx_len)
		return 1;
	walk->offset = offset + 2 + length;
	/* One clause: without one of its parts another refuses. */
	if (CLAUSE(offset + SOUP_HEADER > rx_len || !length || walk->offset > rx_len) ||
	    CLAUSE(type != 'S' && type != 'H')) {
		walk->bad = 1;
		return 1;
	}
	walk->replies += type == 'S';
	return 0;
}

static long soup_apply(__u32 index, void *unused)
{
	struct soup_walk *walk = &soup_walk;
	__u32 offset = walk->offset, length = load_be16(rx_at(offset));

	(void)index;
	(void)unused;
	if (offset >= rx_len)
		return 1;
	walk->offset = offset + 2 + length;
	if (*rx_at(offset + 2) == 'S')
		reply_message(offset + SOUP_HEADER, length - 1, walk->number++);
	return 0;
}

hft_inline bool soup_goes_on(__u64 at, __u32 seq, __u32 number)
{
	return !CLAUSE(!number) && !CLAUSE(at != ((__u64)seq << 32 | number));
}

/* `length` bytes of the stream at `offset` of the frame, from TCP sequence `seq` on. Inside the engine. 0 = applied. */
hft_inline int soup_segment(struct xdp_md *ctx, __u32 offset, __u32 length, __u32 seq)
{
	struct hft_session_state *session = &session_state;
	__u32 expected = session->expected_seq;
	struct soup_walk *walk = &soup_walk;

	if (CLAUSE(session->health != HFT_SESSION_UP) || CLAUSE(session->highest_seq > expected) ||
	    length > HFT_MOST_SEGMENT ||
	    (!soup_goes_on(wire.reply_next, seq, expected) &&
	     !soup_goes_on(*(volatile __u64 *)&wire.reply_sync, seq, expected)))
		return -1;
	if (bpf_xdp_load_bytes(ctx, offset, rx, hft_length(length, HFT_RX_BYTES)))
		return -1;
	rx_len = length;
	__builtin_memset(walk, 0, sizeof(*walk));
	walk->number = expected;
	bpf_loop(SOUP_MOST_PACKETS + 1, soup_check, NULL, 0);
	if (CLAUSE(walk->bad) || walk->offset != length || CLAUSE(expected + walk->replies < expected))
		return -1;
	walk->offset = 0;
	bpf_loop(SOUP_MOST_PACKETS, soup_apply, NULL, 0);
	session->expected_seq = session->highest_seq = walk->number;
	wire.reply_next = (__u64)(seq + length) << 32 | walk->number;
	count_many(HFT_C_WIRE_REPLIES, walk->replies);
	return 0;
}

/* A segment of the connection with payload, as tcp_arrives described it. A function of its own: its stack is not there otherwise. */
hft_global int soup_entered(struct xdp_md *ctx, __u32 described)
{
	__u32 offset = SEGMENT_OFFSET(described), length = SEGMENT_LENGTH(described), tcp = SEGMENT_TCP(described);
	const __u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const __u8 *header = data + hft_masked(tcp, 128);

	if (header + TCP_HEADER > end)
		return 0;
	count(HFT_C_REPLY_PACKETS);
	if (CLAUSE(!segment_is_sound(ctx, tcp, offset - tcp + length)) ||
	    soup_segment(ctx, offset, length, load_be32(header + 4)))
		count(HFT_C_WIRE_REPLIES_LEFT);
	return 0;
}

#endif

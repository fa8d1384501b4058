/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* FEED: MoldUDP64. Each message is handled once, in order; a gap stops trading. Rule 2. */
#ifndef HFT_FEED_BPF_H
#define HFT_FEED_BPF_H

#define MOLD_HEADER 20
#define MOLD_END_OF_SESSION 0xffff
#define MOLD_MAX_SEQUENCE (1ULL << 62)

struct feed_walk {
	__u32 offset;
	__u32 pad0;
	__u64 sequence;
	__u64 expected;
};

static long feed_block(__u32 index, void *arg)
{
	struct feed_walk *walk = arg;
	__u32 offset = walk->offset, length = load_be16(rx_at(offset));

	(void)index;
	walk->offset = offset + 2 + length;
	if (walk->sequence >= walk->expected)
		itch_message(offset + 2, length, walk->sequence);
	walk->sequence++;
	return 0;
}

/* Messages expected..sequence-1 never came: the books miss them, so nothing trades on this feed any more. */
hft_inline void feed_gap(struct hft_feed_state *feed, __u64 expected, __u64 sequence)
{
	struct hft_event *event;

	count(HFT_C_FEED_GAPS);
	count_many(HFT_C_FEED_MISSED, sequence - expected);
	feed->gaps++;
	feed->missed += sequence - expected;
	if (feed->health != HFT_FEED_ENDED)
		feed->health = HFT_FEED_STALE;
	event = event_begin(HFT_EVENT_FEED_STALE, HFT_NO_SYMBOL);
	if (!event)
		return;
	event->exchange_ns = feed->exchange_ns;
	event->feed_seq = expected;
	event->qty = (__u32)at_most(sequence - expected, 0xffffffff);
	event_end(event);
}

hft_inline void feed_end(struct hft_feed_state *feed, __u64 expected)
{
	struct hft_event *event;

	count(HFT_C_FEED_END_OF_SESSION);
	if (feed->health == HFT_FEED_ENDED)
		return;
	feed->health = HFT_FEED_ENDED;
	event = event_begin(HFT_EVENT_FEED_ENDED, HFT_NO_SYMBOL);
	if (!event)
		return;
	event->exchange_ns = feed->exchange_ns;
	event->feed_seq = expected;
	event_end(event);
}

/* The first good packet locks the feed to its session. */
hft_inline bool feed_session_ok(struct hft_feed_state *feed)
{
	if (!feed->expected_seq)
		__builtin_memcpy(feed->session, rx, 10);
	return !__builtin_memcmp(feed->session, rx, 10);
}

hft_inline int feed_packet(struct xdp_md *ctx)
{
	struct hft_feed_state *feed = hft_the(feed_state);
	struct feed_walk walk = { .offset = MOLD_HEADER };
	__u64 sequence, expected, next;
	__u32 messages;

	if (!feed)
		return XDP_PASS;
	count(HFT_C_FEED_PACKETS);
	batch_len = 0;
	sequence = load_be64(rx + 10);
	messages = load_be16(rx + 18);
	if (messages == MOLD_END_OF_SESSION || rx_len < MOLD_HEADER) {
		if (rx_len != MOLD_HEADER)
			goto malformed;
	} else if (messages > HFT_MAX_BLOCKS || !blocks_fill(MOLD_HEADER, messages)) {
		goto malformed;
	}
	if (!sequence || sequence > MOLD_MAX_SEQUENCE)
		goto malformed;
	if (!feed_session_ok(feed)) {
		count(HFT_C_FEED_WRONG_SESSION);
		return XDP_PASS;
	}

	expected = feed->expected_seq ?: 1;
	if (sequence > expected) {
		feed_gap(feed, expected, sequence);
		expected = sequence;
	} else if (feed->health == HFT_FEED_IDLE) {
		feed->health = HFT_FEED_LIVE;
	}
	feed->expected_seq = expected;
	if (messages == MOLD_END_OF_SESSION) {
		feed_end(feed, expected);
		return XDP_DROP;
	}
	if (!messages) {
		count(HFT_C_FEED_HEARTBEATS);
		return XDP_DROP;
	}

	next = sequence + messages;
	count_many(HFT_C_FEED_DUPLICATES, at_most(expected - sequence, messages));
	if (next <= expected)
		return XDP_DROP;
	count_many(HFT_C_FEED_MESSAGES, next - expected);
	walk.sequence = sequence;
	walk.expected = expected;
	bpf_loop(messages, feed_block, &walk, 0);
	feed->expected_seq = next;
	return order_flush(ctx);

malformed:
	count(HFT_C_FEED_MALFORMED);
	return XDP_PASS;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * FEED: MoldUDP64. Every message is handled once and in order, whichever line brings it first; nothing is applied across a
 * gap. What comes too early is kept and handled when its turn has come. Rule 2.
 */
#ifndef HFT_FEED_BPF_H
#define HFT_FEED_BPF_H

#define MOLD_HEADER 20
#define MOLD_END_OF_SESSION 0xffff
#define MOLD_MAX_SEQUENCE (1ULL << 62)

/* The packet being read. In memory and not on the stack: the verifier forgets what memory holds, and is done in one round. */
static struct {
	__u64 sequence; /* of its first message */
	__u64 expected;
	__u64 fresh; /* messages that were kept */
	__u64 again; /* that had been kept before */
	__u32 offset; /* of the next block */
} walk HFT_STATE;

/* A message ahead of the expected one. */
hft_global int feed_ahead(__u32 offset, __u32 length, __u64 sequence)
{
	struct hft_feed_state *feed = feed_at(packet_feed);
	__u64 exchange_ns;

	if (sequence - walk.expected > config.kept_mask) {
		count(HFT_C_FEED_NOT_KEPT);
		return 0;
	}
	if (kept_has(feed, sequence)) {
		walk.again++;
		return 0;
	}
	kept_store(offset, length, sequence);
	walk.fresh++;
	exchange_ns = load_be48(rx_at(offset) + ITCH_TIMESTAMP);
	if (length >= ITCH_TIMESTAMP_END && exchange_ns > feed->seen_ns)
		feed->seen_ns = exchange_ns;
	return 0;
}

/*
 * Do the blocks of a packet fill it exactly? The first look at it, before anything is applied. Offsets only grow, so where the last one
 * ends tells of all: a block that went over the end takes the rest with it.
 */
static struct {
	__u32 offset;
	__u32 left; /* blocks */
	__u32 foresees; /* whether to ask the memory for what the messages will look for */
	__u32 untracked; /* HFT_C_BOOK_UNTRACKED after the packet before, its low bits */
} scan HFT_STATE;

static long scan_blocks(__u32 index, void *unused)
{
	__u32 offset = scan.offset, blocks = at_most(scan.left, HFT_CHUNK), foresees = scan.foresees;

	(void)index;
	(void)unused;
	hft_rolled for (__u32 i = 0; i < blocks; i++)
	{
		const __u8 *block = rx_at(offset);

		if (foresees)
			itch_foresee(block + 2);
		offset += 2 + load_be16(block);
	}
	scan.offset = offset;
	scan.left -= blocks;
	return 0;
}

hft_inline bool feed_blocks_fill(__u32 blocks)
{
	if (blocks == 1)
		return MOLD_HEADER + 2 + load_be16(rx + MOLD_HEADER) == rx_len;
	scan.offset = MOLD_HEADER;
	scan.left = blocks;
	bpf_loop((blocks + HFT_CHUNK - 1) / HFT_CHUNK, scan_blocks, NULL, 0);
	return scan.offset == rx_len;
}

/* It pays to look ahead when most messages are about symbols that are asked for. The packet before tells: feeds come one by one. */
hft_inline void feed_learn(__u64 messages)
{
	__u32 untracked = tallies.counter[HFT_C_BOOK_UNTRACKED];

	scan.foresees = 2 * (untracked - scan.untracked) < messages;
	scan.untracked = untracked;
}

/* A message of a packet; those before the expected one are stepped over. */
static long handle_block(__u32 index, void *unused)
{
	__u32 at = walk.offset, length;
	const __u8 *block = rx_at(at);
	__u64 sequence = walk.sequence + index;

	(void)unused;
	length = load_be16(block);
	walk.offset = at + 2 + length;
	if (sequence >= walk.expected)
		itch_message(at + 2, block + 2, length, sequence);
	return 0;
}

/* The messages of a packet that is ahead. */
static long keep_block(__u32 index, void *unused)
{
	__u32 at = walk.offset, length = load_be16(rx_at(at));

	(void)unused;
	walk.offset = at + 2 + length;
	feed_ahead(at + 2, length, walk.sequence + index);
	return 0;
}

static long drain_step(__u32 index, void *unused)
{
	__u64 expected = walk.expected;

	(void)index;
	(void)unused;
	if (!kept_has(feed_at(packet_feed), expected))
		return 1;
	itch_kept(kept_load(expected), expected);
	walk.expected = expected + 1;
	return 0;
}

hft_inline void feed_event(const struct hft_feed_state *feed, __u32 kind, __u64 sequence, __u64 many)
{
	struct hft_event *event = event_begin(kind, HFT_NO_SYMBOL);

	if (!event)
		return;
	event->exchange_ns = feed->exchange_ns;
	event->feed_seq = sequence;
	event->qty = (__u32)at_most(many, 0xffffffff);
	event_end(event);
}

/*
 * After the messages of a packet, or on a poke: handle what was kept and has its turn now, then say how the feed stands.
 * `expected` is the expected sequence after the packet's own messages. Rules 2.7 and 2.8.
 */
hft_global int feed_settle(__u64 expected)
{
	struct hft_feed_state *feed = feed_at(packet_feed);
	__u64 now, own = expected;

	if (feed->highest_seq > expected) {
		walk.expected = expected;
		bpf_loop(HFT_DRAIN, drain_step, NULL, 0);
		count_many(HFT_C_FEED_MESSAGES, walk.expected - expected);
		expected = walk.expected;
	}
	feed->expected_seq = expected;
	if (feed->exchange_ns > feed->seen_ns)
		feed->seen_ns = feed->exchange_ns;
	if (expected == feed->highest_seq) {
		feed->hold_since_ns = 0;
		if (feed->health == HFT_FEED_GAP)
			feed_event(feed, HFT_EVENT_FEED_LIVE, expected, 0);
		if (feed->health != HFT_FEED_ENDED)
			feed->health = HFT_FEED_LIVE;
		return 0;
	}
	now = feed_now(feed);
	if (!feed->hold_since_ns) {
		count(HFT_C_FEED_HOLDS);
		feed->hold_since_ns = now ?: 1;
		if (feed->health != HFT_FEED_ENDED)
			feed->health = HFT_FEED_HOLD;
	} else if (expected != own) {
		/* A hole was filled, and this is another. A feed that only goes on, far from what was announced, still waits for it. */
		feed->hold_since_ns = now ?: 1;
	}
	if (feed->health == HFT_FEED_HOLD && now >= feed->hold_since_ns &&
	    now - feed->hold_since_ns >= config.hold_ns) {
		feed->health = HFT_FEED_GAP;
		feed->gaps++;
		count(HFT_C_FEED_GAPS);
		feed_event(feed, HFT_EVENT_FEED_GAP, expected, feed->highest_seq - expected);
	}
	return 0;
}

/* The first good packet locks the feed to its session. */
hft_inline bool feed_session_ok(struct hft_feed_state *feed)
{
	if (!feed->expected_seq && !*(__u64 *)feed->session && !*(__u16 *)(feed->session + 8))
		__builtin_memcpy(feed->session, rx, 10);
	return !__builtin_memcmp(feed->session, rx, 10);
}

/* Two CPUs in one feed are safe (one is inside at a time) but slow, and they reorder. */
hft_inline void feed_cpu(struct hft_feed_state *feed)
{
	__u32 cpu = bpf_get_smp_processor_id() + 1;

	if (feed->cpu == cpu)
		return;
	if (feed->cpu)
		count(HFT_C_FEED_SECOND_CPU);
	feed->cpu = cpu;
}

hft_inline int feed_packet(struct xdp_md *ctx, __u32 feed_index, __u32 line)
{
	struct hft_feed_state *feed = feed_at(feed_index);
	__u64 sequence, expected, next, fresh = 0, old = 0;
	__u32 messages;

	packet_feed = feed_index;
	count(HFT_C_FEED_PACKETS);
	packet_begin();
	sequence = load_be64(rx + 10);
	messages = load_be16(rx + 18);
	if (messages == MOLD_END_OF_SESSION || !messages || rx_len < MOLD_HEADER) {
		if (rx_len != MOLD_HEADER)
			goto malformed;
	} else if (messages > HFT_MAX_BLOCKS || !feed_blocks_fill(messages)) {
		goto malformed;
	}
	if (!sequence || sequence > MOLD_MAX_SEQUENCE)
		goto malformed;
	if (!feed_session_ok(feed)) {
		count(HFT_C_FEED_WRONG_SESSION);
		return XDP_PASS;
	}
	if (line != HFT_LINE_REREQUEST)
		feed_cpu(feed);

	expected = feed->expected_seq ?: 1;
	next = messages == MOLD_END_OF_SESSION ? sequence : sequence + messages;
	line = hft_masked(line, 4);
	if (line >= HFT_LINES)
		return XDP_PASS;
	if (next > feed->highest_seq)
		feed->highest_seq = next;
	if (next > feed->line_next[line])
		feed->line_next[line] = next;

	walk.sequence = sequence;
	walk.expected = expected;
	walk.offset = MOLD_HEADER;
	if (sequence > expected) {
		walk.fresh = 0;
		walk.again = 0;
		bpf_loop(next - sequence, keep_block, NULL, 0);
		fresh = walk.fresh;
		old = walk.again;
		count_many(HFT_C_FEED_KEPT, fresh);
	} else {
		old = at_most(expected - sequence, next - sequence);
		if (next > expected) {
			fresh = next - expected;
			bpf_loop(messages, handle_block, NULL, 0);
			feed_learn(fresh);
			count_many(HFT_C_FEED_MESSAGES, fresh);
		}
	}
	count_many(HFT_C_FEED_DUPLICATES, old);
	feed->first[line] += fresh;
	feed->late[line] += old;
	feed_settle(sequence > expected ? expected : expected + fresh);

	if (!messages)
		count(HFT_C_FEED_HEARTBEATS);
	if (messages == MOLD_END_OF_SESSION) {
		count(HFT_C_FEED_END_OF_SESSION);
		if (feed->expected_seq == feed->highest_seq && feed->health != HFT_FEED_ENDED) {
			feed->health = HFT_FEED_ENDED;
			feed_event(feed, HFT_EVENT_FEED_ENDED, feed->expected_seq, 0);
		}
	}
	return order_flush(ctx);

malformed:
	count(HFT_C_FEED_MALFORMED);
	return XDP_PASS;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * KEPT: messages that came before their time. A ring for each feed, a cache line a message, placed by sequence number, so that
 * overlaps and duplicates fall into place by themselves. Rule 2.
 */
#ifndef HFT_KEPT_BPF_H
#define HFT_KEPT_BPF_H

#define HFT_KEPT_BYTES 54

hft_inline struct hft_kept *kept_at(__u64 sequence)
{
	return hft_at(kept, packet_feed * (config.kept_mask + 1) + ((__u32)sequence & config.kept_mask));
}

/* Write message `sequence`, `length` bytes at `offset` of rx, into its place. The tag last: a reader that finds it, reads it whole. */
hft_global int kept_store(__u32 offset, __u32 length, __u64 sequence)
{
	struct hft_feed_state *feed = feed_at(packet_feed);
	struct hft_kept *place = kept_at(sequence);
	const __u8 *msg = rx_at(offset);

	if (!place)
		return 0;
	*(volatile __u64 *)&place->tag = ~0ULL; /* later than any: a reader counts it as overwritten */
	hft_store_fence(&place->tag);
	place->length = length;
	for (__u32 i = 0; i < 48; i += 8)
		*(__u64 *)(place->msg + i) = load_raw64(msg + i);
	*(__u32 *)(place->msg + 48) = *(const __u32 *)(msg + 48);
	*(__u16 *)(place->msg + 52) = *(const __u16 *)(msg + 52);
	hft_store_fence(&place->tag);
	*(volatile __u64 *)&place->tag = hft_kept_tag(feed->generation, sequence);
	return 0;
}

hft_inline bool kept_has(const struct hft_feed_state *feed, __u64 sequence)
{
	const struct hft_kept *place = kept_at(sequence);

	return place && place->tag == hft_kept_tag(feed->generation, sequence);
}

/* Copy message `sequence` to the scratch end of rx; its length. The caller has asked kept_has. */
hft_inline __u32 kept_load(__u64 sequence)
{
	const struct hft_kept *place = kept_at(sequence);

	if (!place)
		return 0;
	for (__u32 i = 0; i < 48; i += 8)
		*(__u64 *)(rx + HFT_RX_SCRATCH + i) = load_raw64(place->msg + i);
	*(__u32 *)(rx + HFT_RX_SCRATCH + 48) = *(const __u32 *)(place->msg + 48);
	*(__u16 *)(rx + HFT_RX_SCRATCH + 52) = *(const __u16 *)(place->msg + 52);
	return place->length;
}

#endif

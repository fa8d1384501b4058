/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* WIRE: Ethernet, 802.1Q, IPv4, UDP, flow table, checksums. Rule 1. Touches no state but counters. */
#ifndef HFT_WIRE_BPF_H
#define HFT_WIRE_BPF_H

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_8021Q 0x8100
#define ETHERTYPE_8021AD 0x88a8
#define IPV4_PROTOCOL_UDP 17
#define IPV4_FRAGMENT_BITS 0x3fff /* more-fragments flag and offset */
#define UDP_HEADER 8

struct wire_view {
	__u32 role; /* enum hft_role */
	__u16 feed; /* of a FEED flow */
	__u16 line; /* enum hft_line */
	__u32 payload; /* offset of the UDP payload in the frame */
	__u32 length; /* its bytes */
	__u64 udp_sum; /* pseudo header and UDP header, unfolded; 0 = the sender gave no checksum */
};

hft_inline __u32 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* One's-complement sum of `length` bytes of a buffer; the bytes up to the next multiple of 4 must be zero. */
#define HFT_CSUM_CHUNK 512 /* the most bpf_csum_diff takes */

/* In memory and not on the stack, of which a chain of calls has 512 bytes in all. */
static __u64 csum_total HFT_STATE;

static long csum_chunk(__u32 index, void *unused)
{
	__u32 offset = index * HFT_CSUM_CHUNK;
	__u64 left = (__u64)rx_len - offset;

	(void)unused;
	if (offset >= rx_len)
		return 1;
	if (left > HFT_CSUM_CHUNK)
		left = HFT_CSUM_CHUNK;
	hft_opaque(left);
	left = (left + 3) & 0x3fc;
	if (left > HFT_CSUM_CHUNK)
		return 1;
	csum_total += (__u32)bpf_csum_diff(NULL, 0, (__be32 *)rx_at(offset), left, 0);
	return 0;
}

/* Why a frame is not for us: the counter to raise; 0 (HFT_C_FRAMES) = it is, and *view says what. */
hft_inline __u32 wire_parse(struct xdp_md *ctx, struct wire_view *view)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct hft_flow_key key = {};
	struct hft_flow *flow;
	struct udphdr *udp;
	struct iphdr *ip;
	__u32 ihl, total, offset = sizeof(*eth);
	__u64 sum;
	__u16 type;

	if ((void *)(eth + 1) > end)
		return HFT_C_NOT_OURS;
	type = eth->h_proto;
	for (int tag = 0; tag < 2; tag++) {
		if (type != bpf_htons(ETHERTYPE_8021Q) && type != bpf_htons(ETHERTYPE_8021AD))
			break;
		if (data + offset + 4 > end)
			return HFT_C_NOT_OURS;
		type = *(__u16 *)(data + offset + 2);
		offset += 4;
	}
	if (type != bpf_htons(ETHERTYPE_IPV4))
		return HFT_C_NOT_OURS;

	ip = data + offset;
	if ((void *)(ip + 1) > end)
		return HFT_C_TRUNCATED;
	ihl = (*(__u8 *)ip & 0xf) * 4;
	if ((*(__u8 *)ip >> 4) != 4 || ihl < sizeof(*ip))
		return HFT_C_NOT_OURS;
	if (ip->protocol != IPV4_PROTOCOL_UDP)
		return HFT_C_NOT_OURS;
	if (ip->frag_off & bpf_htons(IPV4_FRAGMENT_BITS))
		return HFT_C_FRAGMENTS;
	total = bpf_ntohs(ip->tot_len);
	if (total < ihl + UDP_HEADER || (__u64)(end - (void *)ip) < total)
		return HFT_C_TRUNCATED;

	udp = (void *)ip + ihl;
	if ((void *)(udp + 1) > end)
		return HFT_C_TRUNCATED;
	view->length = bpf_ntohs(udp->len);
	if (view->length < UDP_HEADER || view->length > total - ihl || view->length > HFT_MAX_FRAME)
		return HFT_C_TRUNCATED;

	key.addr_be = ip->daddr;
	key.port_be = udp->dest;
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow ||
	    (flow->role != HFT_ROLE_FEED && flow->role != HFT_ROLE_ORDER_ENTRY && flow->role != HFT_ROLE_COMMAND))
		return HFT_C_NOT_OURS;
	if (flow->role == HFT_ROLE_FEED && (flow->feed >= config.feeds || flow->line >= HFT_LINES))
		return HFT_C_NOT_OURS;
	if ((flow->peer_addr_be && flow->peer_addr_be != ip->saddr) ||
	    (flow->peer_port_be && flow->peer_port_be != udp->source))
		return HFT_C_WRONG_PEER;

	view->role = flow->role;
	view->feed = flow->feed;
	view->line = flow->line;
	view->payload = offset + ihl + UDP_HEADER;
	view->length -= UDP_HEADER;
	view->udp_sum = !udp->check ? 0
				    : (__u64)ip->saddr + ip->daddr + bpf_htons(IPV4_PROTOCOL_UDP) +
					      2 * (__u64)udp->len + udp->source + udp->dest + udp->check;
	if (!config.verify_checksums)
		return 0;

	sum = 0;
	for (int word = 0; word < 15; word++) {
		__u32 *at = (void *)ip + word * 4;

		hft_opaque(at); /* or LLVM proves the bound that the verifier wants to see checked */
		if (word * 4 >= (int)ihl || (void *)(at + 1) > end)
			break;
		sum += *at;
	}
	if (fold(sum) != 0xffff)
		return HFT_C_BAD_CHECKSUM;
	return 0;
}

#define HFT_DIRECT_BYTES 256 /* up to here a loop of our own is faster than the kernel's copy and sum: a few messages */

/* Eight bytes of a packet go to `to`; the sum of their halves, each read by itself: LLVM makes a multiplication of a shift and a mask. */
hft_inline __u64 word_copy(__u8 *to, const __u8 *from)
{
	*(__u64 *)to = *(const __u64 *)from;
	return (__u64) * (const volatile __u32 *)from + *(const volatile __u32 *)(from + 4);
}

/*
 * Copy a short payload into rx and add it to csum_total on the way: 0, or -1 if the frame is shorter than it said. What is left of less
 * than eight bytes is read as the last eight of the payload, headers included: behind it the frame may have ended. A function of its own,
 * or the verifier would walk all that follows once for each length.
 */
hft_global int wire_copy(struct xdp_md *ctx, __u32 offset, __u32 length)
{
	const __u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const __u8 *from = data + hft_masked(offset, 256), *last = data + hft_masked(offset + length - 8, 512);
	__u64 left = length % 8 * 8, sum = csum_total, word;
	__u32 at = 0;

	hft_rolled for (; at < HFT_DIRECT_BYTES && at + 32 <= length; at += 32)
	{
		if (from + at + 32 > end)
			return -1;
		sum += word_copy(rx + at, from + at);
		sum += word_copy(rx + at + 8, from + at + 8);
		sum += word_copy(rx + at + 16, from + at + 16);
		sum += word_copy(rx + at + 24, from + at + 24);
	}
	hft_rolled for (; at < HFT_DIRECT_BYTES && at + 8 <= length; at += 8)
	{
		if (from + at + 8 > end)
			return -1;
		sum += word_copy(rx + at, from + at);
	}
	if (left) {
		if (last + 8 > end)
			return -1;
		word = *(const __u64 *)last >> (64 - left);
		*(__u64 *)(rx + at) = word;
		sum += (__u32)word;
		hft_opaque(word);
		sum += word >> 32;
	}
	csum_total = sum;
	return 0;
}

/*
 * Copy the payload into rx and check the UDP checksum on the way: 0, or the counter that says why not. Runs inside the
 * engine, because rx has one owner.
 */
hft_inline __u32 wire_load(struct xdp_md *ctx, const struct wire_view *view)
{
	rx_len = view->length;
	csum_total = view->udp_sum;
	if (view->length <= HFT_DIRECT_BYTES) {
		if (wire_copy(ctx, view->payload, view->length))
			return HFT_C_TRUNCATED;
	} else {
		if (bpf_xdp_load_bytes(ctx, view->payload, rx, hft_length(view->length, HFT_RX_BYTES)))
			return HFT_C_TRUNCATED;
		__builtin_memset((void *)rx_at(view->length), 0, 4);
		if (config.verify_checksums && view->udp_sum)
			bpf_loop(HFT_RX_BYTES / HFT_CSUM_CHUNK, csum_chunk, NULL, 0);
	}
	if (config.verify_checksums && view->udp_sum && fold(csum_total) != 0xffff)
		return HFT_C_BAD_CHECKSUM;
	return 0;
}

#endif

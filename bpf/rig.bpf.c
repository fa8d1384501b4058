// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the exchange of the latency lab has on its own end of a wire: one program that takes the orders off it with the time they came, and
 * one that notes when a packet of the feed left. No part of the engine.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "rig.h"

#define TC_ACT_OK 0
#define FLOW_AT 26 /* addresses and ports, behind each other in IPv4 without options */
#define SEQUENCE_AT 52 /* of a MoldUDP64 packet */

/* Fixed at load. */
const volatile struct {
	__u8 orders[12]; /* addresses and ports of what is taken */
	__u8 feed[12]; /* and of what is stamped */
} flow;

/* Written by the rig: nothing is taken before a run begins, so that logins reach their socket. */
__u32 taking;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, HFT_RIG_RING_BYTES);
} taken SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HFT_RIG_STAMPS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} stamps SEC(".maps");

static __always_inline int is_flow(const void *at, const volatile __u8 *wanted)
{
	/* Volatile, or it is what the object file has: zeroes. */
	const volatile __u32 *want = (const volatile __u32 *)wanted;
	const __u32 *have = at;

	return have[0] == want[0] && have[1] == want[1] && have[2] == want[2];
}

SEC("xdp")
int rig_take(struct xdp_md *ctx)
{
	__u64 now = bpf_ktime_get_ns();
	__u64 length = ctx->data_end - ctx->data;
	void *data = (void *)(long)ctx->data;
	struct hft_rig_taken *record;

	if (!taking || data + FLOW_AT + 2 + sizeof(flow.orders) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	if (!is_flow(data + FLOW_AT, flow.orders))
		return XDP_PASS;
	record = bpf_ringbuf_reserve(&taken, sizeof(*record), 0);
	if (!record)
		return XDP_DROP;
	record->ns = now;
	record->length = length;
	asm volatile("" : "+r"(length));
	length = (length - 1) & (HFT_RIG_FRAME_BYTES - 1);
	if (bpf_xdp_load_bytes(ctx, 0, record->frame, length + 1))
		record->length = 0;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return XDP_DROP;
}

SEC("tc")
int rig_stamp(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	__u64 *stamp;
	__u32 key;

	if (data + SEQUENCE_AT + 8 > (void *)(long)skb->data_end || !is_flow(data + FLOW_AT, flow.feed))
		return TC_ACT_OK;
	key = bpf_ntohl(*(__u32 *)(data + SEQUENCE_AT + 4)) & (HFT_RIG_STAMPS - 1);
	stamp = bpf_map_lookup_elem(&stamps, &key);
	if (stamp)
		*stamp = bpf_ktime_get_ns();
	return TC_ACT_OK;
}

char _license[] SEC("license") = "Dual BSD/GPL";

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Around the engine's program, while somebody taps: what came is copied aside at its entry, because an order is written over it, and given
 * out at its exit, when it is known what became of it. The engine's program has no part in it and pays nothing when nobody taps.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "hft/limits.h"
#include "hft/abi.h"
#include "tap.h"

#define VLAN_ETHERTYPE 0x8100
#define IPV4_ETHERTYPE 0x0800
#define UDP_PROTOCOL 17

/* Of the kernel's, whatever else is in it. */
struct xdp_buff {
	void *data;
	void *data_end;
} __attribute__((preserve_access_index));

struct copy {
	const void *of; /* the frame that lies here; NULL = none */
	struct hft_tap_frame head;
	__u8 bytes[HFT_TAP_MOST];
};

/* Fixed at load. */
const volatile __u32 wanted; /* HFT_TAP_* */
const volatile __u32 snaplen;

__u64 lost;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} tapped SEC(".maps");

/* The frame that came, and the one that leaves. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct copy);
} copies SEC(".maps");

/* The engine's own, put in its place before the load. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct hft_flow_key);
	__type(value, struct hft_flow);
} flows SEC(".maps");

static __always_inline struct copy *copy_of(__u32 number)
{
	return bpf_map_lookup_elem(&copies, &number);
}

static __always_inline int take(struct copy *copy, struct xdp_buff *frame)
{
	void *data = frame->data;
	__u64 length = frame->data_end - data;
	__u32 captured = length < snaplen ? length : snaplen;

	copy->head.time_ns = bpf_ktime_get_ns();
	copy->head.length = length;
	if (captured > HFT_TAP_MOST)
		captured = HFT_TAP_MOST;
	copy->head.captured = captured;
	return bpf_probe_read_kernel(copy->bytes, captured, data);
}

/* Whose a frame is, by where it goes; HFT_TAP_OF_*. */
static __always_inline __u32 whose_is(struct xdp_buff *frame)
{
	__u8 head[64] = {};
	__u64 length = frame->data_end - frame->data;
	struct hft_flow_key key = {};
	struct hft_flow *flow;
	__u32 at = 12, ip_bytes;

	if (length > sizeof(head))
		length = sizeof(head);
	if (bpf_probe_read_kernel(head, length, frame->data))
		return HFT_TAP_OF_OTHERS;
	if (head[at] == (VLAN_ETHERTYPE >> 8) && head[at + 1] == (VLAN_ETHERTYPE & 0xff))
		at += 4;
	if (head[at] != (IPV4_ETHERTYPE >> 8) || head[at + 1] != (IPV4_ETHERTYPE & 0xff))
		return HFT_TAP_OF_OTHERS;
	at += 2;
	ip_bytes = (head[at] & 15) * 4;
	if (head[at + 9] != UDP_PROTOCOL || at + ip_bytes + 4 > sizeof(head))
		return HFT_TAP_OF_OTHERS;
	__builtin_memcpy(&key.addr_be, &head[at + 16], sizeof(key.addr_be));
	at = (at + ip_bytes + 2) & (sizeof(head) - 1);
	key.port_be = head[at] | head[(at + 1) & (sizeof(head) - 1)] << 8;
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		return HFT_TAP_OF_OTHERS;
	switch (flow->role) {
	case HFT_ROLE_FEED:
		return HFT_TAP_OF_FEED;
	case HFT_ROLE_ORDER_ENTRY:
		return HFT_TAP_OF_REPLIES;
	case HFT_ROLE_COMMAND:
		return HFT_TAP_OF_COMMANDS;
	default:
		return HFT_TAP_OF_OTHERS;
	}
}

static __always_inline void give(struct copy *copy, __u32 way, __u32 whose)
{
	__u64 bytes = copy->head.captured;

	if (!(wanted & way))
		return;
	copy->head.way = way;
	copy->head.whose = whose;
	if (bytes > HFT_TAP_MOST)
		return;
	/* Nobody is woken: that would be an interrupt on this CPU. */
	if (bpf_ringbuf_output(&tapped, &copy->head, sizeof(copy->head) + bytes, BPF_RB_NO_WAKEUP))
		__sync_fetch_and_add(&lost, 1);
}

SEC("fentry")
int BPF_PROG(tap_entry, struct xdp_buff *frame)
{
	struct copy *copy = copy_of(0);
	__u32 whose = whose_is(frame);

	(void)ctx;
	if (!copy)
		return 0;
	copy->of = NULL;
	if (!(wanted & whose))
		return 0;
	if (take(copy, frame)) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	copy->head.whose = whose;
	copy->of = frame;
	return 0;
}

static __always_inline __u32 way_of(int verdict)
{
	switch (verdict) {
	case XDP_DROP:
		return HFT_TAP_CONSUMED;
	case XDP_PASS:
		return HFT_TAP_PASSED;
	case XDP_TX:
	case XDP_REDIRECT:
		return HFT_TAP_ANSWERED;
	default:
		return HFT_TAP_ABORTED;
	}
}

SEC("fexit")
int BPF_PROG(tap_exit, struct xdp_buff *frame, int verdict)
{
	struct copy *came = copy_of(0), *left = copy_of(1);
	__u32 way = way_of(verdict), whose;

	(void)ctx;
	/* Another frame's, if one interrupted this one. */
	if (!came || !left || came->of != frame)
		return 0;
	came->of = NULL;
	whose = came->head.whose;
	if (whose != HFT_TAP_OF_COMMANDS)
		give(came, way, whose);
	if (way != HFT_TAP_ANSWERED || !(wanted & HFT_TAP_SENT))
		return 0;
	if (take(left, frame))
		__sync_fetch_and_add(&lost, 1);
	else
		give(left, HFT_TAP_SENT, whose);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

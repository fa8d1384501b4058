// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a peer of the latency lab that lives on AF_XDP has in the driver: the feed's and order entry's datagrams go to its socket, all else
 * to the stack. No part of the engine.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define ETHERTYPE_IPV4 0x0800
#define IPV4_PROTOCOL_UDP 17
#define IPV4_WORDS 0x45 /* version 4, no options */

/* Fixed at load. */
const volatile struct {
	__u32 addr_be;
	__u32 port_be;
} wanted[2];

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} peer_sockets SEC(".maps");

SEC("xdp")
int xdp_peer(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);

	if ((void *)(udp + 1) > end || eth->h_proto != bpf_htons(ETHERTYPE_IPV4) || *(__u8 *)ip != IPV4_WORDS ||
	    ip->protocol != IPV4_PROTOCOL_UDP)
		return XDP_PASS;
	for (int i = 0; i < 2; i++)
		if (ip->daddr == wanted[i].addr_be && udp->dest == wanted[i].port_be)
			return bpf_redirect_map(&peer_sockets, ctx->rx_queue_index, XDP_PASS);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What leaves the kernel's own TCP while sends of the hook are not merged into it: an acknowledgement, FIN or RST that it numbers as if
 * they had never happened gets the number of the wire. Without it the peer takes a FIN for an old one, and does not see that we are gone.
 * On the egress of the interface (clsact); it lives on when the process that attached it has died.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "hft/limits.h"
#include "hft/abi.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_8021Q 0x8100
#define ETHERTYPE_8021AD 0x88a8
#define IPV4_PROTOCOL_TCP 6
#define TCP_HEADER 20
#define TC_NEXT (-1) /* TC_ACT_UNSPEC: whatever else is there decides */

/* The engine's, put in the place of this one at load. */
struct hft_tcp_wire wire SEC(".data.wire") __attribute__((aligned(64)));

/* Raise the sequence of a segment without payload at `tcp`, if it lies among those that the hook sent meanwhile. */
static __always_inline void raise_seq(struct __sk_buff *skb, const __u8 *tcp, __u32 offset)
{
	__u64 word = *(volatile __u64 *)&wire.word;
	__u32 merged = *(volatile __u32 *)&wire.merged_seq, ahead = (word >> HFT_WIRE_SEQ_SHIFT) - merged;
	__u32 from = *(const __u32 *)(tcp + 4), to = bpf_htonl(word >> HFT_WIRE_SEQ_SHIFT);

	if (!(word >> HFT_WIRE_UNMERGED_SHIFT & 0xff) || bpf_ntohl(from) - merged >= ahead)
		return;
	bpf_l4_csum_replace(skb, offset + 16, from, to, sizeof(to));
	bpf_skb_store_bytes(skb, offset + 4, &to, sizeof(to), 0);
}

SEC("tc")
int hft_egress(struct __sk_buff *skb)
{
	const __u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end, *ip, *tcp;
	__u32 offset = 14, ihl;
	__u16 type;

	if (data + 14 > end)
		return TC_NEXT;
	type = *(const __u16 *)(data + 12);
	for (int tag = 0; tag < 2; tag++) {
		if (type != bpf_htons(ETHERTYPE_8021Q) && type != bpf_htons(ETHERTYPE_8021AD))
			break;
		if (data + offset + 4 > end)
			return TC_NEXT;
		type = *(const __u16 *)(data + offset + 2);
		offset += 4;
	}
	ip = data + offset;
	if (type != bpf_htons(ETHERTYPE_IPV4) || ip + 20 > end || ip[9] != IPV4_PROTOCOL_TCP)
		return TC_NEXT;
	ihl = (*ip & 0xf) * 4;
	tcp = ip + ihl;
	if (ihl < 20 || tcp + TCP_HEADER > end || *(const __u32 *)(ip + 12) != wire.local_addr_be ||
	    *(const __u32 *)(ip + 16) != wire.remote_addr_be || *(const __u16 *)tcp != wire.local_port_be ||
	    *(const __u16 *)(tcp + 2) != wire.remote_port_be)
		return TC_NEXT;
	if (bpf_ntohs(*(const __u16 *)(ip + 2)) == ihl + (tcp[12] >> 4) * 4)
		raise_seq(skb, tcp, offset + ihl);
	return TC_NEXT;
}

char _license[] SEC("license") = "Dual BSD/GPL";

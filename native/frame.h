/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An Ethernet frame with IPv4 without options and UDP: where things are, its lengths and checksums (RFC 791, 768, 1071). */
#ifndef HFT_NATIVE_FRAME_H
#define HFT_NATIVE_FRAME_H

#include <stdint.h>
#include <string.h>

#include "bytes.h"

enum {
	IPV4_BYTES = 20,
	UDP_BYTES = 8,
	IPV4_LENGTH = 2, /* these from the beginning of the IPv4 header */
	IPV4_CHECKSUM = 10,
	IPV4_ADDRESSES = 12, /* both, and right behind them the ports */
	UDP_LENGTH = IPV4_BYTES + 4,
	UDP_CHECKSUM = IPV4_BYTES + 6,

	ETHERNET_BYTES = 14, /* without 802.1Q */
	FRAME_HEADERS = ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES,
};

/* One's complement sum, in the machine's byte order: a sum is the same in either. */
static inline uint64_t frame_sum(const uint8_t *at, uint32_t length, uint64_t sum)
{
	uint32_t word;

	for (; length >= sizeof(word); at += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum += word;
	}
	word = 0;
	memcpy(&word, at, length);
	return sum + word;
}

/* The checksum as it lies in memory; of a sum over its own right checksum: 0. */
static inline uint16_t frame_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static inline uint16_t frame_ipv4_checksum(const uint8_t *ipv4)
{
	return frame_fold(frame_sum(ipv4, IPV4_BYTES, 0));
}

/* Over addresses, UDP header and payload, which lie behind each other, and the rest of the pseudo header. */
static inline uint16_t frame_udp_checksum(const uint8_t *ipv4)
{
	uint32_t length = (uint32_t)get_be(ipv4 + UDP_LENGTH, 2);
	uint8_t pseudo[4] = { 0, 17, ipv4[UDP_LENGTH], ipv4[UDP_LENGTH + 1] };

	return frame_fold(frame_sum(ipv4 + IPV4_ADDRESSES, IPV4_BYTES - IPV4_ADDRESSES + length,
				    frame_sum(pseudo, sizeof(pseudo), 0)));
}

/* Lengths for `payload` bytes behind the UDP header, and the IPv4 checksum; the UDP one says that there is none. */
static inline void frame_set_lengths(uint8_t *ipv4, uint32_t payload)
{
	uint16_t sum;

	put_be(ipv4 + IPV4_LENGTH, IPV4_BYTES + UDP_BYTES + payload, 2);
	put_be(ipv4 + IPV4_CHECKSUM, 0, 2);
	sum = frame_ipv4_checksum(ipv4);
	memcpy(ipv4 + IPV4_CHECKSUM, &sum, sizeof(sum));
	put_be(ipv4 + UDP_LENGTH, UDP_BYTES + payload, 2);
	put_be(ipv4 + UDP_CHECKSUM, 0, 2);
}

/* The UDP checksum anew: after the payload was written or patched. */
static inline void frame_seal(uint8_t *ipv4)
{
	uint16_t sum;

	put_be(ipv4 + UDP_CHECKSUM, 0, 2);
	sum = frame_udp_checksum(ipv4);
	if (!sum)
		sum = 0xffff; /* 0 would say that there is none */
	memcpy(ipv4 + UDP_CHECKSUM, &sum, sizeof(sum));
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An Ethernet frame with IPv4 without options and UDP: where things are, and its checksums (RFC 1071). */
#ifndef HFT_RIG_FRAME_H
#define HFT_RIG_FRAME_H

#include <stdint.h>

enum {
	FRAME_IPV4 = 14,
	FRAME_FLOW = FRAME_IPV4 + 12, /* both addresses, and right behind them the ports */
	FRAME_UDP = FRAME_IPV4 + 20,
	FRAME_UDP_LENGTH = FRAME_UDP + 4,
	FRAME_UDP_CHECKSUM = FRAME_UDP + 6,
	FRAME_PAYLOAD = FRAME_UDP + 8,
};

static inline uint32_t frame_be16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

/* Of words that contain their own right checksum: 0. */
static inline uint16_t frame_checksum(const uint8_t *data, uint32_t length, uint32_t sum)
{
	for (; length > 1; data += 2, length -= 2)
		sum += frame_be16(data);
	if (length)
		sum += (uint32_t)data[0] << 8;
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	return (uint16_t)~sum;
}

/* Over addresses, UDP header and payload, which lie behind each other, and the rest of the pseudo header. */
static inline uint16_t frame_udp_checksum(const uint8_t *frame)
{
	uint32_t udp_length = frame_be16(frame + FRAME_UDP_LENGTH);

	return frame_checksum(frame + FRAME_FLOW, FRAME_UDP - FRAME_FLOW + udp_length, 17 + udp_length);
}

#endif

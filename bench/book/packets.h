/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The day as MoldUDP64 packets, made while it runs. */
#ifndef BENCH_PACKETS_H
#define BENCH_PACKETS_H

#include "workload.h"

#define MOLD_HEADER_BYTES 20
#define MAX_PAYLOAD 1472 /* of an Ethernet frame of 1500 bytes */
#define PRELUDE_PER_PACKET 20

static inline void put_number(uint8_t *at, uint64_t value, int bytes)
{
	while (bytes--)
		*at++ = value >> (8 * bytes);
}

/*
 * The packet that begins at *at of the day: up to `most` messages (PRELUDE_PER_PACKET before the timed part, which begins with a
 * packet of its own), fewer where the next would not fit. Bytes of payload; *at and *sequence move on.
 */
static inline uint32_t packet_next(const struct workload *day, size_t *at, uint64_t *sequence, uint32_t most,
				   uint8_t *payload)
{
	size_t end = *at < day->timed_from ? day->timed_from : day->size;
	uint32_t length = MOLD_HEADER_BYTES, count = 0;

	if (*at < day->timed_from)
		most = PRELUDE_PER_PACKET;
	while (*at < end && count < most) {
		uint32_t step = FRAMING + framed_length(day->bytes + *at);

		if (length + step > MAX_PAYLOAD)
			break;
		memcpy(payload + length, day->bytes + *at, step);
		length += step;
		*at += step;
		count++;
	}
	memcpy(payload, "BENCH00001", 10);
	put_number(payload + 10, *sequence, 8);
	put_number(payload + 18, count, 2);
	*sequence += count;
	return length;
}

#endif

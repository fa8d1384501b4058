/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Big-endian numbers of any width, as ITCH and OUCH have them. */
#ifndef HFT_NATIVE_BYTES_H
#define HFT_NATIVE_BYTES_H

#include <stdint.h>

static inline uint64_t get_be(const uint8_t *at, unsigned int bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | *at++;
	return value;
}

static inline void put_be(uint8_t *at, uint64_t value, unsigned int bytes)
{
	while (bytes--) {
		at[bytes] = (uint8_t)value;
		value >>= 8;
	}
}

#endif

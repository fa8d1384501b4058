/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Why C: an event has its own checksum so that damage is located to the event and not to a batch of thousands. One by one from
 * Python that costs more than everything else the recorder does.
 */
#include <linux/types.h>
#include <string.h>

#include <zlib.h>

#include "hft/limits.h"
#include "hft/abi.h"

#include "journal.h"

_Static_assert(HFT_JOURNAL_CELL == sizeof(struct hft_event) + 4, "a cell is an event and its checksum");

void hft_journal_pack(const struct hft_event *events, unsigned int count, unsigned char *cells)
{
	for (unsigned int i = 0; i < count; i++) {
		unsigned char *at = cells + (size_t)i * HFT_JOURNAL_CELL;
		unsigned long sum = crc32(0, (const unsigned char *)&events[i], sizeof(events[i]));

		memcpy(at, &events[i], sizeof(events[i]));
		for (unsigned int byte = 0; byte < 4; byte++)
			at[sizeof(events[i]) + byte] = (unsigned char)(sum >> (8 * byte));
	}
}

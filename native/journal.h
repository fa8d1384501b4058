/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Events as the journal keeps them (docs/journal.md): each behind the other, each followed by its own checksum. */

#define HFT_JOURNAL_CELL 132 /* struct hft_event, then the CRC-32 of it, little-endian */

/* Fill `cells` with `count` events; it has room for HFT_JOURNAL_CELL bytes each. */
void hft_journal_pack(const struct hft_event *events, unsigned int count, unsigned char *cells);

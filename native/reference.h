/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A book to hold the hook's against: every order in a chained table, every side of a symbol a sorted array of levels. Slow,
 * obvious, written from the ITCH 5.0 specification, and sharing no code with the hook.
 *
 * Read by gcc and by cffi: declarations only. It follows one session of one feed, whose messages must be valid.
 */
#ifndef HFT_REFERENCE_H
#define HFT_REFERENCE_H

struct hft_reference;

/* NULL and *error = -ENOMEM. */
struct hft_reference *hft_reference_create(int *error);
void hft_reference_destroy(struct hft_reference *reference);

/*
 * Follow the next message. The locate whose book it changed, 0 when it changed none. -EBADMSG for one that no book can
 * follow (an order that does not live, more shares than it has, a reference that lives), which changes nothing; -ENOMEM.
 */
int hft_reference_apply(struct hft_reference *reference, const uint8_t *message, uint32_t length);

/* All levels of a side (enum hft_side), best first, until the next message; *count of them. */
const struct hft_level *hft_reference_side(const struct hft_reference *reference, uint32_t locate, uint32_t side,
					   uint32_t *count);

/* Live orders of a symbol; of all symbols for locate 0. */
uint32_t hft_reference_orders(const struct hft_reference *reference, uint32_t locate);

/*
 * The market as it stands, in BinaryFILE framing: system events, the newest last; then of each symbol its directory entry, its
 * states (H, Y, h) and an Add Order for each live order, with the shares it has left, oldest first. Bytes written;
 * -ENOSPC when `room` is too small.
 */
int64_t hft_reference_snapshot(const struct hft_reference *reference, uint8_t *buffer, uint64_t room);

#endif

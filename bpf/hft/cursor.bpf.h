/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The datagram under work. Its payload is copied once out of the packet: one helper call buys
 * that no message parser meets a packet pointer, so each is checked by the verifier once, on every kernel, and the
 * packet may be resized while its messages are still being read. Only the CPU inside the engine touches this.
 */
#ifndef HFT_CURSOR_BPF_H
#define HFT_CURSOR_BPF_H

#define HFT_RX_BYTES 4096 /* power of two above HFT_MAX_FRAME */
#define HFT_RX_SLACK 512 /* the longest read at any offset: a checksum chunk */

#define HFT_RX_SCRATCH (HFT_RX_BYTES - 64) /* a kept message is put here to be handled */

_Static_assert(HFT_RX_SCRATCH > HFT_MAX_FRAME, "every frame fits the buffer");

static __u8 rx[HFT_RX_BYTES + HFT_RX_SLACK] HFT_STATE;
static __u32 rx_len HFT_STATE; /* payload bytes in rx */
static __u64 entry_ns HFT_STATE; /* monotonic clock at packet entry */

hft_inline __u64 at_most(__u64 value, __u64 bound)
{
	return value < bound ? value : bound;
}

/* Big-endian loads at a constant distance k from a variable offset. */
hft_inline const __u8 *rx_at(__u32 offset)
{
	return rx + hft_masked(offset, HFT_RX_BYTES);
}

#define load_be16(p) __builtin_bswap16(*(const __u16 *)(p))
#define load_be32(p) __builtin_bswap32(*(const __u32 *)(p))
#define load_be64(p) __builtin_bswap64(*(const __u64 *)(p))
#define load_raw64(p) (*(const __u64 *)(p))

/* ITCH's 48-bit time stamp. The two bytes behind it are read and dropped: rx goes on that far. */
#define load_be48(p) (load_be64(p) >> 16)

/* Do `blocks` length-prefixed blocks from `offset` on fill the payload exactly? */
struct block_walk {
	__u32 offset;
	__u32 bad;
};

static long check_block(__u32 index, void *arg)
{
	struct block_walk *walk = arg;
	__u32 offset = walk->offset;

	(void)index;
	if (offset + 2 > rx_len) {
		walk->bad = 1;
		return 1;
	}
	offset += 2 + load_be16(rx_at(offset));
	if (offset > rx_len) {
		walk->bad = 1;
		return 1;
	}
	walk->offset = offset;
	return 0;
}

hft_inline bool blocks_fill(__u32 offset, __u32 blocks)
{
	struct block_walk walk = { .offset = offset };

	bpf_loop(blocks, check_block, &walk, 0);
	return !walk.bad && walk.offset == rx_len;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every bound of the engine, by name. A full table is a counted, visible state, never a silent drop:
 * beside each bound stands what happens at it.
 */
#ifndef HFT_LIMITS_H
#define HFT_LIMITS_H

/* Symbols the engine tracks. Others cost the parse and one cold load. At the bound: Python refuses to add. */
#define HFT_MAX_SYMBOLS 256

/* Entries of the flow table (address, port -> role). At the bound: Python refuses to add. */
#define HFT_MAX_FLOWS 64

/* ITCH stock locate codes: all of u16. */
#define HFT_LOCATES 65536

/* A locate whose symbol cannot be tracked any more today: its book would miss what has passed. */
#define HFT_LOCATE_CLOSED 65535

/* Longest Ethernet frame that is parsed; veth and most drivers refuse a linear XDP program above this. */
#define HFT_MAX_FRAME 3520

/*
 * MoldUDP64 blocks in one packet: (3520 - 42 - 20) / 2 zero-length ones fit the longest frame.
 * At the bound: the packet is malformed (counted), nothing of it is applied.
 */
#define HFT_MAX_BLOCKS 1729

/* Orders decided from one packet. At the bound: counted as triggers_dropped; the next tick triggers again. */
#define HFT_MAX_ORDERS_PER_PACKET 8

/* Sequenced OUCH replies in one UFO datagram. At the bound: malformed (counted), nothing applied. */
#define HFT_MAX_REPLIES 256

/* Our own orders, by the low bits of UserRefNum. At the bound: risk refuses with WORKING_FULL. */
#define HFT_MAX_WORKING 4096

/* Largest orders-per-second limit that the exact one-second window can enforce. Python refuses more. */
#define HFT_MAX_ORDERS_PER_SECOND 1024

/*
 * Hash tables of the book: buckets of HFT_BUCKET_SLOTS, powers of two. Small, so that they stay near the CPU. A key lives
 * in its home bucket or in one of the next HFT_PROBE - 1. At the bound: the symbol's book is marked suspect and stops trading.
 */
#define HFT_BUCKET_SLOTS 6
#define HFT_PROBE 8
#define HFT_ORDER_BUCKETS 16384
#define HFT_LEVEL_BUCKETS 4096
#define HFT_LADDER_BUCKETS 8192

/* A price has 31 bits, the ladder takes 6 a step. */
#define HFT_LADDER_BITS 6
#define HFT_LADDER_DEPTH 6

/* OUCH: 1..999,999 shares an order; at most $199,999.99. */
/* ITCH: at most $200,000.0000. */
#define HFT_ITCH_MAX_PRICE_E4 2000000000

#define HFT_OUCH_MAX_QTY 999999
#define HFT_OUCH_MAX_PRICE_E4 0x7735939C

/* Shares of one position. Keeps remainder * quantity of the average-cost division inside 63 bits. */
#define HFT_MAX_POSITION 1000000000

/* Bytes of the event ring. At the bound: the record is lost, counted as events_lost. Trading goes on. */
#define HFT_RING_BYTES (1 << 22)

/* log2 buckets of a latency histogram: bucket i counts 2^i <= ns < 2^(i+1), the last one all above. */
#define HFT_HIST_BUCKETS 32

/* Tries to enter the engine while another CPU is inside. At the bound: the packet passes, counted. */
#define HFT_ENTER_SPINS 4096

#define HFT_MAX_HEADERS 64 /* Ethernet + two 802.1Q tags + IPv4 + UDP of the order template */
#define HFT_MAX_ORDER_MSG 64 /* length prefix + UFO type + OUCH Enter Order */

#ifndef HFT_CFFI
_Static_assert((HFT_MAX_WORKING & (HFT_MAX_WORKING - 1)) == 0, "working orders are indexed by a mask");
_Static_assert((HFT_MAX_ORDERS_PER_SECOND & (HFT_MAX_ORDERS_PER_SECOND - 1)) == 0, "the rate ring is masked");
_Static_assert((HFT_MAX_SYMBOLS & (HFT_MAX_SYMBOLS - 1)) == 0, "symbol indexes are masked");
_Static_assert((HFT_ORDER_BUCKETS & (HFT_ORDER_BUCKETS - 1)) == 0, "buckets are masked");
_Static_assert(HFT_LADDER_BITS *HFT_LADDER_DEPTH >= 31, "the ladder spans every ITCH price");
_Static_assert(HFT_MAX_ORDERS_PER_PACKET *HFT_MAX_ORDER_MSG + HFT_MAX_HEADERS < 1500,
	       "all orders of one packet fit one datagram");
#endif

#endif

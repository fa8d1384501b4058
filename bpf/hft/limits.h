/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every bound of the engine, by name. A full table is a counted, visible state, never a silent drop:
 * beside each bound stands what happens at it.
 */
#ifndef HFT_LIMITS_H
#define HFT_LIMITS_H

/*
 * Symbols an engine can track; how many it does is fixed at load (config.symbols, a power of two). Others cost the parse. At
 * the bound: Python refuses to add.
 */
#define HFT_MAX_SYMBOLS 16384
#define HFT_DEFAULT_SYMBOLS 256

/* MoldUDP64 feeds of one engine. At the bound: Python refuses to configure. */
#define HFT_MAX_FEEDS 4
#define HFT_DEFAULT_FEEDS 1

/* Entries of the flow table (address, port -> role). At the bound: Python refuses to add. */
#define HFT_MAX_FLOWS 64

/* ITCH stock locate codes: all of u16. */
#define HFT_LOCATES 65536

/* A locate that had book messages, or a directory entry, before anybody asked for its symbol. */
#define HFT_LOCATE_CLOSED 65535

/* Longest Ethernet frame that is parsed; veth and most drivers refuse a linear XDP program above this. */
#define HFT_MAX_FRAME 3520

/*
 * MoldUDP64 blocks in one packet: (3520 - 42 - 20) / 2 zero-length ones fit the longest frame.
 * At the bound: the packet is malformed (counted), nothing of it is applied.
 */
#define HFT_MAX_BLOCKS 1729

/* Blocks of a packet that are counted in one go, between two rounds of bpf_loop. Not a bound. */
#define HFT_CHUNK 32

/* Messages (orders, replacements, cancels) sent on one packet. At the bound: risk refuses with NO_ROOM. */
#define HFT_MAX_ORDERS_PER_PACKET 8

/* Symbols that one packet touches and whose strategy is asked. At the bound: counted as triggers_dropped; the next tick asks again. */
#define HFT_MAX_TOUCHED 256

/* Intents of one packet, those of shadows included. At the bound: as above. */
#define HFT_MAX_PENDING 32

/*
 * What is left for a strategy that is linked in, of the 512 bytes and eight calls that the kernel lets the whole chain have: bytes
 * of stack of the deepest chain of its functions, each rounded up to 32, and how deep its own calls may go below
 * hft_user_strategy. At the bound: the verifier refuses it, and the one before stays.
 */
#define HFT_USER_STACK 256
#define HFT_USER_CALLS 3

/* Intents of one signal: what stands behind is not looked at. */
#define HFT_MAX_INTENTS 4

/* Our own open orders in one symbol, whatever max_open_orders says. At the bound: risk refuses with OPEN_ORDERS. */
#define HFT_MAX_OPEN 8

/* Orders of a symbol that a duplicate is looked for among. At the bound: an older one is not seen. */
#define HFT_RECENT 8

/* Executions that are remembered so that they can be broken. At the bound: a break of an older one makes order entry suspect. */
#define HFT_MAX_EXECUTIONS 16384

/* Sequenced OUCH replies in one UFO datagram. At the bound: malformed (counted), nothing applied. */
#define HFT_MAX_REPLIES 256

/* Our own orders, by the low bits of UserRefNum. At the bound: risk refuses with WORKING_FULL. */
#define HFT_MAX_WORKING 4096

/*
 * The book's tables, sized at load; these are the sizes of a bare load. Powers of two. A key lives in its home bucket or in one
 * of the next HFT_PROBE - 1; an order in its way, in another of its bucket or, so looked for, in the spill. At the bound: the
 * symbol is quarantined (doubt FULL), counted as book_full.
 */
#define HFT_BUCKET_SLOTS 4
#define HFT_PROBE 8
#define HFT_DEFAULT_ORDER_BUCKETS 8192
#define HFT_DEFAULT_SPILL_BUCKETS 8192
#define HFT_DEFAULT_LEVEL_BLOCKS 4096
#define HFT_DEFAULT_LADDER_BUCKETS 2048

/* Blocks of levels are looked for at this many places. At the bound: as above. */
#define HFT_LEVEL_PROBE 32

/*
 * Neighbouring prices of a side that lie beside the symbol. Not a bound: what is further from the touch is in book_levels. A window is
 * laid with the best price HFT_HEADROOM places behind its beginning, and laid anew when that is further than HFT_WORN behind it.
 */
#define HFT_WINDOW 63
#define HFT_RING 64 /* cells of a window */
#define HFT_HEADROOM 16
#define HFT_WORN 40

/* Neighbouring prices in one block of book_levels. */
#define HFT_BLOCK_LEVELS 7

/* A block number has 29 bits, the ladder takes 6 a step. */
#define HFT_LADDER_BITS 6
#define HFT_LADDER_DEPTH 5

/* NASDAQ's references of a day stay far below 2^44. At the bound: bad field, the symbol is quarantined. */
#define HFT_MAX_REF ((1ULL << 44) - 1)

/* Shares at one price. At the bound: the symbol is quarantined (doubt FULL), counted as book_full. */
#define HFT_MAX_LEVEL_QTY ((1ULL << 40) - 1)

/*
 * Messages kept for each feed while one before them is missing, or while their symbol is in quarantine: by the low bits of the
 * sequence. Sized at load. At the bound: those too far ahead are counted as feed_not_kept and asked for again; those of a
 * quarantined symbol overwrite the oldest, and the symbol waits for another snapshot.
 */
#define HFT_DEFAULT_KEPT 16384

/* Kept messages applied on one packet, so that a packet's time is bounded. At the bound: the next packet or poke goes on. */
#define HFT_DRAIN 512

/*
 * Buckets of a table that one SWEEP command looks at: no more than what another CPU's packet waits for in HFT_ENTER_SPINS. At the
 * bound: the command is refused.
 */
#define HFT_MAX_SWEEP 512

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

/*
 * Segments that the hook sent on a TCP connection and that are not merged into the kernel's yet. At the bound: risk refuses with
 * WIRE_UNMERGED.
 */
#define HFT_MAX_UNMERGED 64

/* Segments of cancels that the hook could not send, and that user space has not sent yet. At the bound: refused, as without this way. */
#define HFT_MAX_WAITING 64

/* The word that owns a TCP connection: struct hft_tcp_wire. */
#define HFT_WIRE_ARMED 1 /* the hook may send */
#define HFT_WIRE_FIRING 2 /* it is doing so */
#define HFT_WIRE_HELD 4 /* user space is sending */
#define HFT_WIRE_CLOSED 8 /* FIN or RST of the peer came, or the connection failed: for good */
#define HFT_WIRE_WAITING 16 /* cancels wait for user space to send them: nothing newer leaves before */
#define HFT_WIRE_FLAGS 0xff
#define HFT_WIRE_UNMERGED_SHIFT 8 /* eight bits */
#define HFT_WIRE_SEQ_SHIFT 32

#define HFT_MAX_HEADERS 80 /* Ethernet + two 802.1Q tags + IPv4 + TCP with time stamps of the order template */
#define HFT_MAX_ORDER_MSG 64 /* length prefix + UFO type + OUCH message */

#ifndef HFT_CFFI
_Static_assert((HFT_MAX_UNMERGED & (HFT_MAX_UNMERGED - 1)) == 0 && HFT_MAX_UNMERGED < 256,
	       "sends are indexed by a mask, and counted in eight bits");
_Static_assert((HFT_MAX_WAITING & (HFT_MAX_WAITING - 1)) == 0, "what waits is indexed by a mask");
_Static_assert((HFT_MAX_WORKING & (HFT_MAX_WORKING - 1)) == 0, "working orders are indexed by a mask");
_Static_assert((HFT_DEFAULT_SYMBOLS & (HFT_DEFAULT_SYMBOLS - 1)) == 0, "slots are masked");
_Static_assert((HFT_DEFAULT_ORDER_BUCKETS & (HFT_DEFAULT_ORDER_BUCKETS - 1)) == 0, "buckets are masked");
_Static_assert(HFT_LADDER_BITS *HFT_LADDER_DEPTH >= 29, "the ladder spans every block of prices");
_Static_assert(HFT_MAX_SYMBOLS <= 1 << 14, "a slot has 14 bits in the keys of the book's tables");
_Static_assert(HFT_MAX_ORDERS_PER_PACKET *HFT_MAX_ORDER_MSG + HFT_MAX_HEADERS < 1500,
	       "all orders of one packet fit one datagram");
#endif

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map. Three kinds: written by user space (control, params, flows, names, template), written by the hook
 * (state, book, working), and out-going (events, stats). The mmapable ones are read and written without a system call.
 * A name is at most 15 characters: the kernel keeps no more, and a running engine is found again by these names.
 */
#ifndef HFT_MAPS_BPF_H
#define HFT_MAPS_BPF_H

_Static_assert(sizeof(struct hft_bucket) == 128, "a bucket is two cache lines");
_Static_assert(sizeof(struct hft_event) == 128, "an event is two cache lines");
_Static_assert(sizeof(struct hft_symbol_params) == 128, "two cache lines");
_Static_assert(sizeof(struct hft_symbol_state) == 192, "three cache lines");
_Static_assert(sizeof(((struct hft_bucket *)0)->key) == 8 * HFT_BUCKET_SLOTS, "abi.h and limits.h agree on the slots");

#define HFT_ARRAY(name_, value_, entries_, flags_) \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);  \
		__uint(max_entries, entries_);     \
		__uint(map_flags, flags_);         \
		__type(key, __u32);                \
		__type(value, value_);             \
	} name_ SEC(".maps")

/* Global kill switch, epoch and order rate: user space writes, the hook reads. */
HFT_ARRAY(control, struct hft_control, 1, BPF_F_MMAPABLE);

/* Targets and limits of each symbol: user space writes, the hook reads. */
HFT_ARRAY(symbol_params, struct hft_symbol_params, HFT_MAX_SYMBOLS, BPF_F_MMAPABLE);

/* The order frame, complete, made by user space. */
HFT_ARRAY(order_template, struct hft_template, 1, BPF_F_MMAPABLE);

/* Top of book, position and P&L of each symbol. */
HFT_ARRAY(symbol_state, struct hft_symbol_state, HFT_MAX_SYMBOLS, BPF_F_MMAPABLE);

/* MoldUDP64 sequence state. */
HFT_ARRAY(feed_state, struct hft_feed_state, 1, BPF_F_MMAPABLE);

/* Order-entry session: UFO sequence, UserRefNum. */
HFT_ARRAY(session_state, struct hft_session_state, 1, BPF_F_MMAPABLE);

/* Our own orders, by the low bits of UserRefNum. */
HFT_ARRAY(working, struct hft_working, HFT_MAX_WORKING, BPF_F_MMAPABLE);

/* When the last orders left, ns: the exact one-second window of the rate limit. */
HFT_ARRAY(order_times, __u64, HFT_MAX_ORDERS_PER_SECOND, BPF_F_MMAPABLE);

/* Stock locate -> symbol slot + 1; 0 = nothing seen yet; HFT_LOCATE_CLOSED = seen, and nobody had asked for it. */
HFT_ARRAY(locate_slot, __u64, HFT_LOCATES, BPF_F_MMAPABLE);

/* The book: orders by reference, price levels, and the bitmap ladder that finds the next best level. */
HFT_ARRAY(book_orders, struct hft_bucket, HFT_ORDER_BUCKETS, BPF_F_MMAPABLE);
HFT_ARRAY(book_levels, struct hft_bucket, HFT_LEVEL_BUCKETS, BPF_F_MMAPABLE);
HFT_ARRAY(book_ladder, struct hft_bucket, HFT_LADDER_BUCKETS, BPF_F_MMAPABLE);

/* (address, port) -> role. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HFT_MAX_FLOWS);
	__type(key, struct hft_flow_key);
	__type(value, struct hft_flow);
} flows SEC(".maps");

/* Eight bytes of stock name -> symbol slot. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HFT_MAX_SYMBOLS);
	__type(key, __u64);
	__type(value, __u32);
} symbol_names SEC(".maps");

/* One record per decision and per reply. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, HFT_RING_BYTES);
} events SEC(".maps");

/* Counters, summed by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hft_stats);
} stats SEC(".maps");

/* log2 histograms of the hook's own time, one entry per enum hft_histogram_kind. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HFT_HISTS);
	__type(key, __u32);
	__type(value, struct hft_histogram);
} histograms SEC(".maps");

/* Types that no map names, so that the object's BTF tells the whole contract. */
struct hft_contract {
	struct hft_event event;
	enum hft_role role;
	enum hft_kill kill;
	enum hft_side side;
	enum hft_protocol protocol;
	enum hft_clock clock;
	enum hft_feed_health feed_health;
	enum hft_book_health book_health;
	enum hft_session_health session_health;
	enum hft_order_state order_state;
	enum hft_reason reason;
	enum hft_event_kind event_kind;
	enum hft_counter counter;
	enum hft_itch itch;
	enum hft_histogram_kind histogram_kind;
};

const struct hft_contract *hft_contract __attribute__((unused));

/* The only element of a one-element array; the verifier wants to see NULL handled. */
#define hft_the(map)                                 \
	({                                           \
		__u32 zero_ = 0;                     \
		bpf_map_lookup_elem(&(map), &zero_); \
	})

/* Element i of an array map. */
#define hft_at(map, i)                                \
	({                                            \
		__u32 index_ = (i);                   \
		bpf_map_lookup_elem(&(map), &index_); \
	})

#endif

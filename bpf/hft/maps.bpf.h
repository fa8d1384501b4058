/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map. Three kinds: written by user space (control, params, flows, names, template), written by the hook
 * (state, book, working), and out-going (events, stats). The mmapable ones are read and written without a system call.
 * A name is at most 15 characters: the kernel keeps no more, and a running engine is found again by these names.
 */
#ifndef HFT_MAPS_BPF_H
#define HFT_MAPS_BPF_H

_Static_assert(sizeof(struct hft_bucket) == 64, "a bucket is a cache line");
_Static_assert(sizeof(struct hft_level_block) == 64, "a block is a cache line");
_Static_assert(__builtin_offsetof(struct hft_book, locate) == 64, "what every message touches is a cache line");
_Static_assert(__builtin_offsetof(struct hft_book, window) == 128, "and what few do another");
_Static_assert(sizeof(struct hft_book) == 1216, "a book is nineteen cache lines");
_Static_assert(sizeof(struct hft_kept) == 64, "a kept message is a cache line");
_Static_assert(sizeof(struct hft_event) == 128, "an event is two cache lines");
_Static_assert(sizeof(struct hft_control) == 128, "two cache lines");
_Static_assert(sizeof(struct hft_symbol_params) == 192, "three cache lines");
_Static_assert(sizeof(struct hft_symbol_limits) == 128, "two cache lines");
_Static_assert(sizeof(struct hft_symbol_state) == 320, "five cache lines");
_Static_assert(sizeof(struct hft_memory) == 64, "a cache line");
_Static_assert(sizeof(struct hft_working) == 128, "two cache lines");
_Static_assert(sizeof(struct hft_send) == 576, "nine cache lines");
_Static_assert(sizeof(((struct hft_tcp_wire *)0)->send) == HFT_MAX_UNMERGED * sizeof(struct hft_send), "one each");
_Static_assert(__builtin_offsetof(struct hft_tcp_wire, send) == 256, "who writes what has lines of its own");
_Static_assert(sizeof(struct hft_feed_state) == 256, "four cache lines");
_Static_assert(sizeof(((struct hft_bucket *)0)->key) == 8 * HFT_BUCKET_SLOTS, "abi.h and limits.h agree on the ways");
_Static_assert(sizeof(struct hft_window) == 8 * HFT_RING, "and on the places of a window");
_Static_assert(sizeof(((struct hft_level_block *)0)->cell) == 8 * HFT_BLOCK_LEVELS, "and of a block");

#ifndef HFT_ARRAY /* native/hook_shim.h has its own */
#define HFT_ARRAY(name_, value_, entries_, flags_) \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);  \
		__uint(max_entries, entries_);     \
		__uint(map_flags, flags_);         \
		__type(key, __u32);                \
		__type(value, value_);             \
	} name_ SEC(".maps")
#endif

/* Fee of a share, 1/100,000,000 dollar, by liquidity flag: user space writes, the hook reads. Negative = we are paid. */
HFT_ARRAY(fees, __s64, 256, BPF_F_MMAPABLE);

/* What makes a command authentic: user space writes a random number, 0 = no commands. */
HFT_ARRAY(command_nonce, __u64, 1, BPF_F_MMAPABLE);

/* Our newest executions. */
HFT_ARRAY(executions, struct hft_execution, HFT_MAX_EXECUTIONS, BPF_F_MMAPABLE);

/* LULD collar and IPO release of each symbol. */
HFT_ARRAY(auctions, struct hft_auction, HFT_DEFAULT_SYMBOLS, BPF_F_MMAPABLE);

/* Messages that wait for an earlier one, or for their symbol's snapshot: a ring for each feed. Sized at load. */
HFT_ARRAY(kept, struct hft_kept, HFT_DEFAULT_FEEDS *HFT_DEFAULT_KEPT, BPF_F_MMAPABLE);

/* (address, port) -> role. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HFT_MAX_FLOWS);
	__type(key, struct hft_flow_key);
	__type(value, struct hft_flow);
} flows SEC(".maps");

/* A feed's stock name -> slot. Sized at load (config.symbols). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HFT_DEFAULT_SYMBOLS);
	__type(key, struct hft_name_key);
	__type(value, __u32);
} symbol_names SEC(".maps");

/* One record per decision and per reply. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, HFT_RING_BYTES);
} events SEC(".maps");

/*
 * The tables of the fast path. Global arrays and not maps that are looked up: the address of an element is an addition away, it is never
 * NULL, and a function that is verified by itself finds it as cheaply as its caller did. Each is a
 * map of its own all the same, of one element, which the loader makes as large as config says; an index is masked by the very same
 * words, which the verifier knows. The sizes here are those of a bare load.
 */
#define HFT_TABLE(section) SEC(".data." section) __attribute__((aligned(64)))

/* MoldUDP64 sequence state and market phase of each feed. */
struct hft_feed_state feeds[HFT_MAX_FEEDS] HFT_TABLE("feeds");

/* Kill switches, lease, epoch: user space writes, the hook reads. */
struct hft_control control HFT_TABLE("control");

/* The two sets of limits, of which the epoch chooses one, and the same for each symbol: user space writes, the hook reads. */
struct hft_limits limits[2] HFT_TABLE("limits");
struct hft_symbol_limits symbol_limits[2 * HFT_DEFAULT_SYMBOLS] HFT_TABLE("bounds");

/* Kill switch and strategies of each symbol: user space writes, the hook reads. */
struct hft_symbol_params symbol_params[HFT_DEFAULT_SYMBOLS] HFT_TABLE("symbols");

/* The order frame, complete, made by user space. */
struct hft_template order_template HFT_TABLE("template");

/* The TCP connection of order entry, if it is one: both write, each its own part. */
struct hft_tcp_wire wire HFT_TABLE("wire");

/* Order-entry session: UFO sequence, UserRefNum. */
struct hft_session_state session_state HFT_TABLE("session");

/* Our position, orders and P&L in each symbol, and of all symbols and of each strategy. */
struct hft_symbol_state symbol_state[HFT_DEFAULT_SYMBOLS] HFT_TABLE("state");
struct hft_account account HFT_TABLE("account");

/* Our own orders, by the low bits of UserRefNum. */
struct hft_working working[HFT_MAX_WORKING] HFT_TABLE("working");

/* What the strategies remember of each symbol. */
struct hft_memory memory[HFT_DEFAULT_SYMBOLS] HFT_TABLE("memory");

/* Book and market of each symbol. */
struct hft_book books[HFT_DEFAULT_SYMBOLS] HFT_TABLE("books");

/* Feed << 16 | stock locate -> slot + 1; 0 = nothing seen yet, HFT_LOCATE_CLOSED = seen, and nobody had asked for it. */
__u16 locates[HFT_DEFAULT_FEEDS * HFT_LOCATES] HFT_TABLE("locates");

/*
 * The book: orders by reference, those for which their place there is taken, levels away from the touch, and the ladder that finds
 * the next of them.
 */
struct hft_bucket book_orders[HFT_DEFAULT_ORDER_BUCKETS] HFT_TABLE("orders");
struct hft_bucket order_spill[HFT_DEFAULT_SPILL_BUCKETS] HFT_TABLE("spill");
struct hft_level_block book_levels[HFT_DEFAULT_LEVEL_BLOCKS] HFT_TABLE("levels");
struct hft_bucket book_ladder[HFT_DEFAULT_LADDER_BUCKETS] HFT_TABLE("ladder");

/* Counters of what happens inside the engine, where one CPU is at a time. */
struct hft_stats tallies HFT_TABLE("tallies");

/* Element of a table of `size` elements, a power of two. */
#define hft_element(table, index, size)            \
	({                                         \
		__u64 element_ = (index);          \
		hft_opaque(element_);              \
		&(table)[element_ & ((size) - 1)]; \
	})

/* Counters of what happens outside it. */
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
	struct hft_command command;
	struct hft_signal signal;
	struct hft_intents intents;
	enum hft_role role;
	enum hft_kill kill;
	enum hft_strategy strategy;
	enum hft_action action;
	enum hft_tif tif;
	enum hft_wait wait;
	enum hft_mark mark;
	enum hft_price_reference price_reference;
	enum hft_latch latch;
	enum hft_pending pending;
	enum hft_side side;
	enum hft_protocol protocol;
	enum hft_transport transport;
	enum hft_clock clock;
	enum hft_feed_health feed_health;
	enum hft_book_health book_health;
	enum hft_doubt doubt;
	enum hft_phase phase;
	enum hft_line line;
	enum hft_command_op command_op;
	enum hft_table table;
	enum hft_session_health session_health;
	enum hft_order_state order_state;
	enum hft_reason reason;
	enum hft_event_kind event_kind;
	enum hft_counter counter;
	enum hft_itch itch;
	enum hft_histogram_kind histogram_kind;
};

const struct hft_contract *hft_contract HFT_STATE;

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

/* (A function, because a local variable would hide the name.) */
hft_inline struct hft_account *the_account(void)
{
	return &account;
}

hft_inline struct hft_symbol_params *params_at(__u32 slot)
{
	return hft_element(symbol_params, slot, config.symbols);
}

hft_inline struct hft_symbol_state *state_at(__u32 slot)
{
	return hft_element(symbol_state, slot, config.symbols);
}

hft_inline struct hft_memory *memory_at(__u32 slot)
{
	return hft_element(memory, slot, config.symbols);
}

hft_inline struct hft_working *working_at(__u32 ref)
{
	return hft_element(working, ref, HFT_MAX_WORKING);
}

hft_inline struct hft_feed_state *feed_at(__u32 feed)
{
	return hft_element(feeds, feed, HFT_MAX_FEEDS);
}

hft_inline struct hft_book *book_at(__u32 slot)
{
	return hft_element(books, slot, config.symbols);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events: the record of every decision. Never wakes the reader: a wake-up is an interrupt on this very CPU (8 us),
 * so readers poll the ring, which costs the hook nothing.
 */
#ifndef HFT_EVENT_BPF_H
#define HFT_EVENT_BPF_H

#define HFT_NO_SYMBOL 0xffffffffu

/* Reserve a record and fill what every record has; the caller fills the rest and submits. NULL: lost, and counted. */
hft_inline struct hft_event *event_begin(__u32 kind, __u32 symbol)
{
	struct hft_event *event;
	__u64 id;

	/* The id moves whether or not the record fits: a hole in the ids is a lost record. */
	id = ++session_state.event_id;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count(HFT_C_EVENTS_LOST);
		return NULL;
	}
	count(HFT_C_EVENTS);
	__builtin_memset(event, 0, sizeof(*event));
	event->id = id;
	event->local_ns = entry_ns;
	event->epoch = control.epoch;
	event->kind = kind;
	event->symbol = symbol;
	if (symbol < config.symbols) {
		const struct hft_symbol_state *state = state_at(symbol);
		const struct hft_book *book = book_at(symbol);

		event->bid_e4 = book->best_e4[HFT_BUY];
		event->ask_e4 = book->best_e4[HFT_SELL];
		event->position = state->position;
		event->realized_e4 = state->realized_e4;
		event->fees_e8 = state->fees_e8;
	}
	return event;
}

hft_inline void event_end(struct hft_event *event)
{
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* STRATEGY: who is asked about a symbol, and where their intents go. Rule 5. */
#ifndef HFT_STRATEGY_BPF_H
#define HFT_STRATEGY_BPF_H

/*
 * Yours: an object that is linked in at load replaces this (strategy_api.h). It is handed its signal and its intents and nothing else, so
 * the verifier itself keeps it away from the packet and from the gate.
 */
__weak hft_global int hft_user_strategy(const struct hft_signal *told, struct hft_intents *wanted)
{
	(void)told;
	if (wanted)
		wanted->count = 0;
	return 0;
}

hft_inline void strategy_ask(__u32 slot, __u32 strategy)
{
	intents.count = 0;
	intents.wait = HFT_WAIT_NONE;
	signal.strategy = strategy;
	switch (strategy) {
	case HFT_STRATEGY_THRESHOLD:
		ask_threshold(slot);
		break;
	case HFT_STRATEGY_IMBALANCE:
		ask_imbalance(slot);
		break;
	case HFT_STRATEGY_MOMENTUM:
		ask_momentum(slot);
		break;
	case HFT_STRATEGY_QUOTER:
		ask_quoter(slot);
		break;
	case HFT_STRATEGY_USER:
		hft_user_strategy(&signal, &intents);
		break;
	}
}

/* What was wanted joins the packet's pending intents. Was anything? */
hft_inline bool intents_take(const struct hft_book *book, __u32 slot, __u32 strategy, __u32 shadow)
{
	bool any = false;

	hft_rolled for (__u32 i = 0; i < HFT_MAX_INTENTS; i++)
	{
		const struct hft_intent *intent = &intents.intent[hft_masked(i, HFT_MAX_INTENTS)];
		struct pending *one;

		if (i >= intents.count)
			break;
		if (intent->action == HFT_ACTION_NONE)
			continue;
		any = true;
		if (pending_len >= HFT_MAX_PENDING) {
			count(HFT_C_TRIGGERS_DROPPED);
			continue;
		}
		one = &pending[hft_masked(pending_len, HFT_MAX_PENDING)];
		pending_len++;
		pending_real += !shadow;
		one->slot = slot;
		one->strategy = strategy;
		one->shadow = shadow;
		one->intent = *intent;
		one->feed_seq = book->touched_seq;
		one->exchange_ns = book->exchange_ns;
		one->epoch = asked_epoch;
	}
	return any;
}

/* A plug-in may have scribbled over its signal: each strategy gets a fresh one. */
hft_global int symbol_ask(__u32 slot, __u32 strategy, __u32 shadow)
{
	const struct hft_book *book = book_at(slot);

	signal_read(slot);
	strategy_ask(slot, strategy);
	if (intents_take(book, slot, strategy, shadow) || shadow)
		return 0;
	if (intents.wait == HFT_WAIT_IN_FLIGHT)
		count(HFT_C_WAIT_IN_FLIGHT);
	else if (intents.wait == HFT_WAIT_LIMIT)
		count(HFT_C_WAIT_LIMIT);
	return 0;
}

hft_inline bool is_strategy(__u64 strategy)
{
	return strategy - HFT_STRATEGY_THRESHOLD <= HFT_STRATEGY_USER - HFT_STRATEGY_THRESHOLD;
}

hft_inline void strategies_ask(__u32 slot, struct hft_book *book, const struct hft_symbol_params *params)
{
	/* Once: user space may store others meanwhile; the epoch first, so that the gate sees that it did. */
	__u64 strategy, shadow;

	asked_epoch = *(const volatile __u64 *)&control.epoch;
	strategy = *(const volatile __u64 *)&params->strategy;
	shadow = *(const volatile __u64 *)&params->shadow;
	touch_read(book);
	if (is_strategy(strategy)) {
		count(HFT_C_SIGNALS);
		symbol_ask(slot, strategy, 0);
	}
	if (shadow) {
		hft_rolled for (__u32 other = HFT_STRATEGY_THRESHOLD; other <= HFT_STRATEGY_USER; other++)
		{
			if (other == strategy || !(shadow >> other & 1))
				continue;
			count(HFT_C_SHADOW_SIGNALS);
			symbol_ask(slot, other, 1);
		}
	}
	memory_at(slot)->touch = touch;
}

/* One of the symbols that the packet touched: mark its position, ask its strategies. */
hft_global int symbol_settle(__u32 index)
{
	__u32 slot = touched[hft_masked(index, HFT_MAX_TOUCHED)];
	const struct hft_symbol_params *params = params_at(slot);
	struct hft_symbol_state *state = state_at(slot);
	struct hft_account *account = the_account();
	struct hft_book *book = book_at(slot);

	if (book->health != HFT_BOOK_OK)
		return 0;
	if (book->holds) {
		book_open(book);
		account_without(account, state);
		position_mark(book, state);
		account_with(account, state);
		book_close(book);
		latches_check(slot, HFT_STRATEGIES);
	}
	if (book->armed)
		strategies_ask(slot, book, params);
	return 0;
}

#endif

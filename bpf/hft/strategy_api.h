/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a strategy of yours is written against: this header, and no other.
 *
 *	#include <hft/strategy_api.h>
 *
 *	HFT_PARAMS struct {
 *		__u32 qty;
 *	} params = { .qty = 100 };
 *
 *	int hft_user_strategy(const struct hft_signal *signal, struct hft_intents *intents)
 *	{
 *		if (!signal || !intents)
 *			return 0;
 *		if (signal->after.price_e4[HFT_SELL] && !signal->open_orders)
 *			hft_enter(intents, HFT_BUY, signal->after.price_e4[HFT_SELL], params.qty, HFT_TIF_IOC);
 *		return 0;
 *	}
 *
 *	clang -O2 -g -target bpf -mcpu=v3 -I$(turbo-hft strategy header-dir) -c mine.c -o mine.o
 *
 * The function is called for each symbol whose strategy is USER, after a packet that touched its book, and for each that has USER
 * in shadow. What it wants goes through the gate like everything else. Both pointers have to be checked: the verifier checks the
 * function for whatever arguments there could be. docs/strategies.md tells the rest.
 */
#ifndef HFT_STRATEGY_API_H
#define HFT_STRATEGY_API_H

/* As <linux/types.h> and vmlinux.h have them; so neither is needed, and both may be there. */
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;

#include "limits.h"
#include "abi.h"

#define hft_api static inline __attribute__((always_inline, unused))

/*
 * The parameters: one struct, in a map of its own that Python writes while the strategy runs (engine.user.params). Fields may be
 * integers, bool, enums, arrays and structs of these. Volatile, because a value may change between two reads: read each once a call.
 */
#define HFT_PARAMS __attribute__((section(".data.params"), used)) volatile

/* The version of the contract goes into the object, where the loader looks for it. */
#define HFT_STRATEGY_ABI 5
#define HFT_STRATEGY_TAG_(version) "hft_abi_" #version
#define HFT_STRATEGY_TAG(version) HFT_STRATEGY_TAG_(version)
_Static_assert(HFT_STRATEGY_ABI == HFT_ABI_VERSION, "strategy_api.h and abi.h are of one version");

/*
 * Yours. `signal` is a copy: what you write there goes nowhere. `intents` comes empty. What is returned is not looked at.
 */
__attribute__((btf_decl_tag(HFT_STRATEGY_TAG(HFT_STRATEGY_ABI)))) int hft_user_strategy(const struct hft_signal *signal,
											struct hft_intents *intents);

/* The next free intent, or none: at most HFT_MAX_INTENTS count. */
hft_api struct hft_intent *hft_next_intent(struct hft_intents *intents)
{
	__u64 at = intents->count;

	if (at >= HFT_MAX_INTENTS)
		return (struct hft_intent *)0;
	intents->count = at + 1;
	/* LLVM would drop the AND, and the verifier of Linux 6.1 may have lost the bound by then. */
	asm volatile("" : "+r"(at));
	return &intents->intent[at & (HFT_MAX_INTENTS - 1)];
}

/* A new order. 1, or 0 if HFT_MAX_INTENTS are wanted already. */
hft_api int hft_enter(struct hft_intents *intents, __u32 side, __u32 price_e4, __u32 qty, __u32 tif)
{
	struct hft_intent *intent = hft_next_intent(intents);

	if (!intent)
		return 0;
	intent->action = HFT_ACTION_ENTER;
	intent->side = side;
	intent->price_e4 = price_e4;
	intent->qty = qty;
	intent->ref = 0;
	intent->tif = tif;
	return 1;
}

/* An open order of ours (signal->own[side], LIVE and with nothing pending) by one of this price and open quantity. */
hft_api int hft_replace(struct hft_intents *intents, __u32 side, __u32 ref, __u32 price_e4, __u32 qty, __u32 tif)
{
	struct hft_intent *intent = hft_next_intent(intents);

	if (!intent)
		return 0;
	intent->action = HFT_ACTION_REPLACE;
	intent->side = side;
	intent->price_e4 = price_e4;
	intent->qty = qty;
	intent->ref = ref;
	intent->tif = tif;
	return 1;
}

/* All that is open of an order of ours. */
hft_api int hft_cancel(struct hft_intents *intents, __u32 ref)
{
	struct hft_intent *intent = hft_next_intent(intents);

	if (!intent)
		return 0;
	intent->action = HFT_ACTION_CANCEL;
	intent->side = 0;
	intent->price_e4 = 0;
	intent->qty = 0;
	intent->ref = ref;
	intent->tif = 0;
	return 1;
}

/* Nothing now, and why: counted (wait_in_flight, wait_limit) when there are no intents. */
hft_api void hft_wait_for(struct hft_intents *intents, __u32 wait)
{
	intents->wait = wait;
}

/* Can our order of that side be replaced or cancelled now? */
hft_api int hft_can_change(const struct hft_own *own)
{
	return own->ref && own->state == HFT_ORDER_LIVE && !own->pending;
}

/* Shares of an order that the position limits leave room for. The gate looks again. */
hft_api __u32 hft_within_room(const struct hft_signal *signal, __u32 side, __u32 qty)
{
	__u64 room = signal->room[side == HFT_SELL];

	return room < qty ? (__u32)room : qty;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * RISK: the one gate. Fail-closed: a map nobody wrote refuses everything. Rule 6. Reads, and writes nothing.
 * The kill words come last, because nothing may come between them and the write of the order.
 */
#ifndef HFT_RISK_BPF_H
#define HFT_RISK_BPF_H

#define HFT_ONE_SECOND_NS 1000000000ULL
#define HFT_OUCH50_UPSTREAM 50 /* length prefix 2, UFO 'U' 1, Enter Order 47 */
#define HFT_OUCH42_UPSTREAM 52 /* 2, 1, 49 */

hft_inline bool template_ready(const struct hft_template *template)
{
	if (template->headers_len != 42 && template->headers_len != 46 && template->headers_len != 50)
		return false;
	return (template->protocol == HFT_OUCH50 && template->msg_len == HFT_OUCH50_UPSTREAM) ||
	       (template->protocol == HFT_OUCH42 && template->msg_len == HFT_OUCH42_UPSTREAM);
}

hft_inline __u64 absolute(__s64 value)
{
	return value < 0 ? -value : value;
}

/* Nearer to zero without crossing it: the one way to trade out of a position that is above its limit. */
hft_inline bool only_reduces(__s64 before, __s64 after)
{
	return (before > 0 && after >= 0 && after < before) || (before < 0 && after <= 0 && after > before);
}

/* Did the n-th last order, n being the limit, leave within the last second? Exact for every window of a second. */
hft_inline bool rate_exceeded(const struct hft_control *live, const struct hft_session_state *session, __u64 now)
{
	__u64 limit = at_most(live->max_orders_per_second, HFT_MAX_ORDERS_PER_SECOND);
	__u64 *time;

	if (!limit)
		return true;
	if (session->order_head < limit)
		return false;
	time = hft_at(order_times, (session->order_head - limit) & (HFT_MAX_ORDERS_PER_SECOND - 1));
	return !time || now < *time + HFT_ONE_SECOND_NS; /* so that a clock that went back refuses */
}

/* The gate's clock for what a feed decides. */
hft_inline __u64 feed_now(const struct hft_feed_state *feed)
{
	return config.clock == HFT_CLOCK_FEED ? feed->seen_ns : entry_ns;
}

hft_inline __u32 next_user_ref(const struct hft_session_state *session)
{
	return session->next_user_ref ?: 1;
}

hft_inline __u32 risk_gate(const struct intent *intent, const struct hft_symbol_params *params,
			   const struct hft_book *book, const struct hft_symbol_state *state, __u64 now, bool room)
{
	const volatile struct hft_control *live = hft_the(control);
	struct hft_template *template = hft_the(order_template);
	struct hft_session_state *session = hft_the(session_state);
	struct hft_feed_state *feed = feed_at(book->feed);
	struct hft_working *slot;
	__s64 after;

	if (!live || !template || !session || !template_ready(template))
		return HFT_REASON_NOT_CONFIGURED;
	if (session->health != HFT_SESSION_UP)
		return HFT_REASON_SESSION_DOWN;
	if (feed->health != HFT_FEED_LIVE)
		return HFT_REASON_FEED_NOT_LIVE;
	if (book->health != HFT_BOOK_OK)
		return HFT_REASON_BOOK_QUARANTINED;
	if (feed->phase != HFT_PHASE_MARKET || feed->breaker)
		return HFT_REASON_MARKET_CLOSED;
	if (book->trading_state != 'T' || book->operational_halt)
		return HFT_REASON_NOT_TRADING;
	if (book_is_crossed(book))
		return HFT_REASON_BOOK_CROSSED;
	if (state->working_ref)
		return HFT_REASON_IN_FLIGHT;
	if (!intent->qty || intent->qty > HFT_OUCH_MAX_QTY)
		return HFT_REASON_QTY_RANGE;
	if (!intent->price_e4 || intent->price_e4 > HFT_OUCH_MAX_PRICE_E4)
		return HFT_REASON_PRICE_RANGE;
	if (intent->qty > params->max_order_qty)
		return HFT_REASON_MAX_ORDER_QTY;
	if ((__u64)intent->price_e4 * intent->qty > params->max_notional_e4)
		return HFT_REASON_MAX_NOTIONAL;
	after = intent->side == HFT_BUY ? state->position + intent->qty : state->position - intent->qty;
	if (absolute(after) > at_most(params->max_position, HFT_MAX_POSITION) && !only_reduces(state->position, after))
		return HFT_REASON_MAX_POSITION;
	if (intent->side == HFT_SELL && intent->qty > state->position)
		return HFT_REASON_SHORT_SALE;
	if (rate_exceeded((const struct hft_control *)live, session, now))
		return HFT_REASON_ORDER_RATE;
	slot = hft_at(working, next_user_ref(session) & (HFT_MAX_WORKING - 1));
	if (!slot || slot->state == HFT_ORDER_SENT || slot->state == HFT_ORDER_LIVE)
		return HFT_REASON_WORKING_FULL;
	if (next_user_ref(session) == 0xffffffff)
		return HFT_REASON_REFS_EXHAUSTED;
	if (!room)
		return HFT_REASON_NO_ROOM;
	if (*(const volatile __u64 *)&params->kill != HFT_ACTIVE)
		return HFT_REASON_HALTED_SYMBOL;
	if (live->kill != HFT_ACTIVE)
		return HFT_REASON_HALTED_GLOBAL;
	return HFT_REASON_NONE;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * RISK: the one gate. Fail-closed: a map nobody wrote refuses everything. Rule 6. Reads, and writes nothing. The checks stand in
 * the order of enum hft_reason, and each clause of them can be taken out alone (clause.h). Epoch, kill words and lease come last, because nothing may come between them and the write of the order.
 */
#ifndef HFT_RISK_BPF_H
#define HFT_RISK_BPF_H

#define HFT_OUCH50_ENTER 50 /* length prefix 2, UFO 'U' 1, Enter Order 47 */
#define HFT_OUCH50_REPLACE 43
#define HFT_OUCH50_CANCEL 12
#define HFT_OUCH42_ENTER 52
#define HFT_OUCH42_REPLACE 50
#define HFT_OUCH42_CANCEL 22

static __u32 wire_refusal HFT_STATE; /* why nothing can leave on the connection now; SoupBinTCP only */
static __u32 wire_waits
	HFT_STATE; /* the same, if cancels may wait for user space to send them; 0 = they may not, or need not */

hft_inline __u32 wire_refuses(void)
{
	return config.transport == HFT_TRANSPORT_SOUPBINTCP ? wire_refusal : HFT_REASON_NONE;
}

/* Why the cancels of this packet go by user space. */
hft_inline __u32 cancels_wait(void)
{
	return config.transport == HFT_TRANSPORT_SOUPBINTCP ? wire_waits : HFT_REASON_NONE;
}

/* What the checks look at. `old_*`: of the order that is to be replaced, otherwise 0. */
struct gate {
	const struct pending *asked;
	const struct hft_symbol_params *params;
	const struct hft_symbol_limits *symbol;
	const struct hft_limits *limits;
	const struct hft_strategy_limits *strategy;
	const struct hft_symbol_state *state;
	const struct hft_account *account;
	const struct hft_book *book;
	const struct hft_feed_state *feed;
	__u32 side;
	__u32 price_e4;
	__u64 qty;
	__u64 notional_e4;
	__s64 opens[2]; /* shares of open orders, without the one that is to be replaced */
	__u32 old_done; /* executed of its chain */
	__u32 old_short; /* it is marked as a short sale */
	__u64 old_e4;
	__u32 replaces; /* 1 = REPLACE */
	__u32 reduces; /* 1 = brings the position towards zero, and not beyond it */
	__u32 is_short; /* 1 = sells what is not held */
	__u32 room; /* 1 = the message fits the frame */
};

#define RISK_REFUSE(reason, refuses)                \
	do {                                        \
		if (refuses)                        \
			return HFT_REASON_##reason; \
	} while (0)
#define RISK_CHECK(reason, refuses) RISK_REFUSE(reason, CLAUSE(refuses))
#define RISK_LAST_CHECK(reason, refuses) RISK_REFUSE(reason, LAST_CLAUSE(refuses))

/* Ethernet with up to two tags, IPv4, and the header of the transport. */
hft_inline bool headers_fit(__u32 length)
{
	if (config.transport == HFT_TRANSPORT_SOUPBINTCP)
		length -= wire.timestamps ? 24 : 12;
	return length == 42 || length == 46 || length == 50;
}

hft_inline bool template_ready(const struct hft_template *template)
{
	const __u32 *length = template->msg_len;

	if (!headers_fit(template->headers_len))
		return false;
	if (template->protocol == HFT_OUCH50)
		return length[HFT_ACTION_ENTER] == HFT_OUCH50_ENTER &&
		       length[HFT_ACTION_REPLACE] == HFT_OUCH50_REPLACE &&
		       length[HFT_ACTION_CANCEL] == HFT_OUCH50_CANCEL;
	return template->protocol == HFT_OUCH42 && length[HFT_ACTION_ENTER] == HFT_OUCH42_ENTER &&
	       length[HFT_ACTION_REPLACE] == HFT_OUCH42_REPLACE && length[HFT_ACTION_CANCEL] == HFT_OUCH42_CANCEL;
}

hft_inline __u32 next_user_ref(const struct hft_session_state *session)
{
	return session->next_user_ref ?: 1;
}

hft_inline bool not_configured(void)
{
	return !template_ready(&order_template);
}

/* Order entry in doubt lets nothing new through; what is there can still be taken down. */
hft_inline bool session_down(__u32 action)
{
	const struct hft_session_state *session = &session_state;

	return session->health != HFT_SESSION_UP &&
	       !(action == HFT_ACTION_CANCEL && session->health == HFT_SESSION_SUSPECT);
}

/* The order that an intent names can be changed now; NULL if there is none, or it cannot. */
hft_inline const struct hft_working *order_to_change(const struct pending *asked)
{
	__u32 ref = asked->intent.ref;
	const struct hft_working *old = working_at(ref);

	if (!ref)
		return NULL;
	if (CLAUSE(old->user_ref != ref) || CLAUSE(old->symbol != asked->slot) ||
	    CLAUSE(old->state != HFT_ORDER_LIVE) || CLAUSE(old->pending))
		return NULL;
	return old;
}

hft_inline bool bad_intent(const struct pending *asked, const struct hft_working *old)
{
	const struct hft_intent *intent = &asked->intent;

	switch (intent->action) {
	case HFT_ACTION_ENTER:
		return CLAUSE(intent->side > HFT_SELL) || CLAUSE(intent->tif > HFT_TIF_DAY);
	case HFT_ACTION_REPLACE:
		return CLAUSE(intent->tif > HFT_TIF_DAY) || CLAUSE(!old) || (old && CLAUSE(old->side != intent->side));
	case HFT_ACTION_CANCEL:
		return !old;
	default:
		return true;
	}
}

hft_inline bool market_closed(const struct gate *gate)
{
	return CLAUSE(gate->feed->phase != HFT_PHASE_MARKET) || CLAUSE(gate->feed->breaker);
}

hft_inline bool not_trading(const struct gate *gate)
{
	return CLAUSE(gate->book->trading_state != 'T') || CLAUSE(gate->book->operational_halt);
}

hft_inline bool qty_range(const struct gate *gate)
{
	return CLAUSE(!gate->qty) || CLAUSE(gate->old_done + gate->qty > HFT_OUCH_MAX_QTY);
}

hft_inline bool price_range(const struct gate *gate)
{
	return CLAUSE(!gate->price_e4) || CLAUSE(gate->price_e4 > HFT_OUCH_MAX_PRICE_E4);
}

hft_inline bool max_order_qty(const struct gate *gate)
{
	return CLAUSE(gate->qty > gate->limits->account.max_order_qty) ||
	       CLAUSE(gate->qty > gate->strategy->max_order_qty) || CLAUSE(gate->qty > gate->symbol->max_order_qty);
}

hft_inline bool max_notional(const struct gate *gate)
{
	return CLAUSE(gate->notional_e4 > gate->limits->account.max_notional_e4) ||
	       CLAUSE(gate->notional_e4 > gate->strategy->max_notional_e4) ||
	       CLAUSE(gate->notional_e4 > gate->symbol->max_notional_e4);
}

/* A fresh price to compare with; 0 = none. */
hft_inline __u64 reference_price(const struct gate *gate)
{
	__u64 price = 0, at = 0, now = gate->feed->exchange_ns;

	if (gate->symbol->reference == HFT_REFERENCE_LAST) {
		price = gate->book->last_e4;
		at = gate->book->last_ns;
	} else if (gate->symbol->reference == HFT_REFERENCE_MID) {
		__u64 bid_e4 = gate->book->best_e4[HFT_BUY], ask_e4 = gate->book->best_e4[HFT_SELL];

		price = bid_e4 && ask_e4 ? (bid_e4 + ask_e4) / 2 : 0;
		at = gate->book->exchange_ns;
	}
	if (CLAUSE(at > now) || CLAUSE(now - at > gate->symbol->reference_age_ns))
		return 0;
	return price;
}

hft_inline bool outside_collar(const struct gate *gate, __u64 reference_e4)
{
	__u64 apart = absolute((__s64)gate->price_e4 - (__s64)reference_e4);

	return apart * HFT_PPM > reference_e4 * at_most(gate->symbol->collar_ppm, 0xffffffff);
}

hft_inline bool short_sale(const struct gate *gate)
{
	return gate->is_short && (CLAUSE(gate->symbol->short_ok != 1) || CLAUSE(gate->replaces && !gate->old_short));
}

/* Rule 201: after a fall of 10 % a short sale must stand above the best bid. */
hft_inline bool short_price(const struct gate *gate)
{
	return gate->is_short && (CLAUSE(gate->book->reg_sho == '1') || CLAUSE(gate->book->reg_sho == '2')) &&
	       gate->price_e4 <= gate->book->best_e4[HFT_BUY];
}

hft_inline bool max_long(const struct gate *gate)
{
	return gate->side == HFT_BUY && gate->state->position + gate->opens[HFT_BUY] + (__s64)gate->qty >
						(__s64)at_most(gate->symbol->max_long, HFT_MAX_POSITION);
}

hft_inline bool max_short(const struct gate *gate)
{
	return gate->is_short && -(gate->state->position - gate->opens[HFT_SELL] - (__s64)gate->qty) >
					 (__s64)at_most(gate->symbol->max_short, HFT_MAX_POSITION);
}

hft_inline bool gross_exposure(const struct gate *gate)
{
	const struct hft_account *account = gate->account;

	return !gate->reduces && account->gross_e4 + account->open_e4[HFT_BUY] + account->open_e4[HFT_SELL] -
						 gate->old_e4 + gate->notional_e4 >
					 gate->limits->account.max_gross_e4;
}

hft_inline bool net_exposure(const struct gate *gate)
{
	__s64 net = gate->side == HFT_BUY ? gate->account->net_e4 : -gate->account->net_e4;
	__s64 open = gate->account->open_e4[hft_masked(gate->side, 2)];

	return !gate->reduces && net + open - (__s64)gate->old_e4 + (__s64)gate->notional_e4 >
					 (__s64)at_most(gate->limits->account.max_net_e4, MOST_SIGNED);
}

/* A replacement has a place of its own until it is answered; but it is no further order. */
hft_inline bool open_orders(const struct gate *gate)
{
	__u64 strategy = hft_masked(gate->asked->strategy, HFT_STRATEGIES);

	if (CLAUSE(gate->state->open_orders >= HFT_MAX_OPEN))
		return true;
	return !gate->replaces &&
	       (CLAUSE(gate->state->open_orders >= gate->symbol->max_open_orders) ||
		CLAUSE(gate->account->strategy[strategy].open_orders >= gate->strategy->max_open_orders) ||
		CLAUSE(gate->account->open_orders >= gate->limits->account.max_open_orders));
}

/* Would it meet an order of our own? */
hft_inline bool self_trade(const struct gate *gate)
{
	if (!gate->state->open_orders)
		return false;
	hft_rolled for (__u32 i = 0; i < HFT_MAX_OPEN; i++)
	{
		__u32 ref = gate->state->open_ref[i];
		const struct hft_working *other = working_at(ref);

		if (!ref || other->side == gate->side)
			continue;
		if (gate->side == HFT_BUY ? gate->price_e4 >= other->price_e4 : gate->price_e4 <= other->price_e4)
			return true;
	}
	return false;
}

hft_inline bool duplicate(const struct gate *gate)
{
	__u64 within = gate->limits->account.duplicate_ns;

	if (!within)
		return false;
	hft_rolled for (__u32 i = 0; i < HFT_RECENT; i++)
	{
		const struct hft_recent *sent = &gate->state->recent[i];

		if (sent->sent_ns && sent->price_e4 == gate->price_e4 &&
		    sent->qty_side == ((__u32)gate->qty << 1 | gate->side) &&
		    (decide_ns < sent->sent_ns || decide_ns - sent->sent_ns < within))
			return true;
	}
	return false;
}

hft_inline bool loss_limit(const struct gate *gate)
{
	return !gate->reduces && (CLAUSE(gate->state->loss_latched) || CLAUSE(gate->account->loss_latched));
}

hft_inline bool executions_latched(const struct gate *gate)
{
	return gate->account->strategy[hft_masked(gate->asked->strategy, HFT_STRATEGIES)].latched;
}

hft_inline bool rate_symbol(const struct gate *gate)
{
	return throttled(gate->state->tat_ns, decide_ns, gate->symbol->interval_ns, gate->symbol->burst);
}

hft_inline bool rate_strategy(const struct gate *gate)
{
	__u64 strategy = hft_masked(gate->asked->strategy, HFT_STRATEGIES);

	return throttled(gate->account->strategy[strategy].tat_ns, decide_ns, gate->strategy->interval_ns,
			 gate->strategy->burst);
}

hft_inline bool rate(const struct gate *gate)
{
	return throttled(gate->account->tat_ns, decide_ns, gate->limits->account.interval_ns,
			 gate->limits->account.burst);
}

hft_inline bool working_full(const struct hft_session_state *session)
{
	return order_is_open(working_at(next_user_ref(session)));
}

hft_inline bool may_only_reduce(__u64 kill, const struct gate *gate)
{
	return kill == HFT_REDUCING && !gate->reduces;
}

hft_inline bool halted(__u64 kill)
{
	return kill != HFT_ACTIVE && kill != HFT_REDUCING;
}

/* The last look, at what user space may change at any moment. */
hft_inline __u32 gate_live(const struct gate *gate)
{
	const volatile struct hft_control *live = &control;
	__u64 symbol = *(const volatile __u64 *)&gate->params->kill, strategy, all;

	/* In this order: who stores sets the one, then stores, moves the other, and clears the one. */
	RISK_CHECK(LIMITS_CHANGED, CLAUSE(live->changing) || CLAUSE(live->epoch != gate->asked->epoch));
	strategy = live->strategy_kill[hft_masked(gate->asked->strategy, HFT_STRATEGIES)];
	all = live->kill;
	RISK_CHECK(REDUCING, CLAUSE(may_only_reduce(symbol, gate)) || CLAUSE(may_only_reduce(strategy, gate)) ||
				     CLAUSE(may_only_reduce(all, gate)));
	RISK_CHECK(HALTED_SYMBOL, halted(symbol));
	RISK_CHECK(HALTED_STRATEGY, halted(strategy));
	RISK_LAST_CHECK(HALTED_GLOBAL, halted(live->kill));
	RISK_CHECK(LEASE, decide_ns >= live->lease_until_ns);
	return HFT_REASON_NONE;
}

hft_inline __u32 gate_order(const struct gate *gate)
{
	const struct hft_session_state *session = &session_state;
	__u64 reference_e4;

	RISK_CHECK(FEED_NOT_LIVE, gate->feed->health != HFT_FEED_LIVE);
	RISK_CHECK(BOOK_QUARANTINED, gate->book->health != HFT_BOOK_OK);
	RISK_CHECK(MARKET_CLOSED, market_closed(gate));
	RISK_CHECK(NOT_TRADING, not_trading(gate));
	RISK_CHECK(BOOK_CROSSED, book_is_crossed(gate->book));
	RISK_CHECK(RESTRICTED, gate->symbol->restricted);
	RISK_CHECK(QTY_RANGE, qty_range(gate));
	RISK_CHECK(PRICE_RANGE, price_range(gate));
	RISK_CHECK(MAX_ORDER_QTY, max_order_qty(gate));
	RISK_CHECK(MAX_NOTIONAL, max_notional(gate));
	reference_e4 = reference_price(gate);
	RISK_CHECK(NO_REFERENCE, !reference_e4);
	RISK_CHECK(COLLAR, outside_collar(gate, reference_e4));
	RISK_CHECK(SHORT_SALE, short_sale(gate));
	RISK_CHECK(SHORT_PRICE, short_price(gate));
	RISK_CHECK(MAX_LONG, max_long(gate));
	RISK_CHECK(MAX_SHORT, max_short(gate));
	RISK_CHECK(GROSS_EXPOSURE, gross_exposure(gate));
	RISK_CHECK(NET_EXPOSURE, net_exposure(gate));
	RISK_CHECK(OPEN_ORDERS, open_orders(gate));
	RISK_CHECK(SELF_TRADE, self_trade(gate));
	RISK_CHECK(DUPLICATE, duplicate(gate));
	RISK_CHECK(LOSS_LIMIT, loss_limit(gate));
	RISK_CHECK(EXECUTIONS, executions_latched(gate));
	RISK_CHECK(RATE_SYMBOL, rate_symbol(gate));
	RISK_CHECK(RATE_STRATEGY, rate_strategy(gate));
	RISK_CHECK(RATE, rate(gate));
	RISK_CHECK(WORKING_FULL, working_full(session));
	RISK_CHECK(REFS_EXHAUSTED, next_user_ref(session) == 0xffffffff);
	RISK_CHECK(NO_ROOM, !gate->room);
	if (CLAUSE(wire_refuses()))
		return wire_refuses();
	return gate_live(gate);
}

/* What the order is, beside what there is already. */
hft_inline void gate_measure(struct gate *gate, const struct hft_working *old)
{
	const struct hft_intent *intent = &gate->asked->intent;
	__s64 position = gate->state->position, qty = intent->qty, after;

	gate->side = intent->side;
	gate->price_e4 = intent->price_e4;
	gate->qty = intent->qty;
	gate->notional_e4 = (__u64)intent->price_e4 * intent->qty;
	gate->opens[HFT_BUY] = gate->state->open_qty[HFT_BUY];
	gate->opens[HFT_SELL] = gate->state->open_qty[HFT_SELL];
	gate->replaces = intent->action == HFT_ACTION_REPLACE;
	if (gate->replaces && old) {
		gate->opens[hft_masked(old->side, 2)] -= old->counted_qty;
		gate->old_done = old->chain_qty + old->filled_qty;
		gate->old_short = old->short_sale;
		gate->old_e4 = old->counted_e4;
	}
	if (intent->side == HFT_BUY) {
		gate->reduces = position < 0 && position + gate->opens[HFT_BUY] + qty <= 0;
	} else {
		after = position - gate->opens[HFT_SELL];
		gate->reduces = position > 0 && after - qty >= 0;
		gate->is_short = qty > (after > 0 ? after : 0);
	}
}

/*
 * Why pending intent `index` may not leave, or HFT_REASON_NONE. `room`: does its message fit the frame? Whether it would be a short
 * sale is left in the intent's entry. A function of its own, so that the verifier walks it once.
 */
hft_global int risk_gate(__u32 index, __u32 room)
{
	struct pending *asked = &pending[hft_masked(index, HFT_MAX_PENDING)];
	struct gate gate = { .asked = asked, .room = room };
	const struct hft_working *old = NULL;
	__u64 strategy = hft_masked(asked->strategy, HFT_STRATEGIES);

	hft_opaque(room); /* used whatever the build: the verifier refuses a function with an argument that is not */
	RISK_CHECK(NOT_CONFIGURED, not_configured());
	RISK_CHECK(SESSION_DOWN, session_down(asked->intent.action));
	if (asked->intent.action == HFT_ACTION_REPLACE || asked->intent.action == HFT_ACTION_CANCEL)
		old = order_to_change(asked);
	RISK_CHECK(BAD_INTENT, bad_intent(asked, old));
	if (asked->intent.action == HFT_ACTION_CANCEL) {
		RISK_CHECK(NO_ROOM, !room);
		return CLAUSE(wire_refuses()) && !CLAUSE(cancels_wait()) ? wire_refuses() : HFT_REASON_NONE;
	}
	gate.params = params_at(asked->slot);
	gate.state = state_at(asked->slot);
	gate.account = the_account();
	gate.limits = limits_of(asked->epoch);
	gate.symbol = symbol_limits_of(asked->epoch, asked->slot);
	gate.strategy = &gate.limits->strategy[strategy];
	gate.book = book_at(asked->slot);
	gate.feed = feed_at(gate.book->feed);
	gate_measure(&gate, old);
	asked->short_sale = gate.is_short || gate.old_short;
	return gate_order(&gate);
}

#endif

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Turbo-HFT: market data becomes an order inside the NIC driver hook.
 *
 * The pipeline reads top-down: WIRE -> FEED -> MESSAGE -> BOOK -> STRATEGY -> RISK -> ORDER -> OUT, and EVENT beside
 * it; replies come back through REPLY into order state and position. One header a stage, in that order. docs/rules.md
 * says what each must do; python/turbo_hft/model/ does the same, readably.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#ifndef NULL
#define NULL ((void *)0)
#endif
typedef _Bool bool;
#define true 1
#define false 0

#include "hft/limits.h"
#include "hft/abi.h"
#include "hft/compat.bpf.h"
#include "hft/clause.h"
#include "hft/guard.h"
#include "hft/config.bpf.h"
#include "hft/layout.h"
#include "hft/maps.bpf.h"
#include "hft/stats.bpf.h"
#include "hft/cursor.bpf.h"
#include "hft/event.bpf.h"
#include "hft/wire.bpf.h"
#include "hft/table.bpf.h"
#include "hft/ladder.bpf.h"
#include "hft/levels.bpf.h"
#include "hft/book.bpf.h"
#include "hft/market.bpf.h"
#include "hft/position.bpf.h"
#include "hft/working.bpf.h"
#include "hft/signal.bpf.h"
#include "hft/threshold.bpf.h"
#include "hft/imbalance.bpf.h"
#include "hft/momentum.bpf.h"
#include "hft/quoter.bpf.h"
#include "hft/strategy.bpf.h"
#include "hft/throttle.bpf.h"
#include "hft/risk.bpf.h"
#include "hft/sock.bpf.h"
#include "hft/tcp.bpf.h"
#include "hft/order.bpf.h"
#include "hft/kept.bpf.h"
#include "hft/itch.bpf.h"
#include "hft/feed.bpf.h"
#include "hft/command.bpf.h"
#include "hft/ouch.bpf.h"
#include "hft/reply.bpf.h"
#include "hft/soup.bpf.h"

/*
 * One CPU inside at a time. In native mode a queue is polled by one CPU and this never waits; generic mode and several
 * queues can bring two. Waiting is bounded, and a packet that waited in vain is passed on unhandled: the feed then
 * shows a gap and stops trading, which is the safe side.
 */
static __u32 engine_busy HFT_STATE;

static long try_enter(__u32 index, void *entered)
{
	(void)index;
	if (__sync_lock_test_and_set(&engine_busy, 1))
		return 0;
	*(__u32 *)entered = 1;
	return 1;
}

static __always_inline bool engine_enter(void)
{
	__u32 entered = 0;

	if (!__sync_lock_test_and_set(&engine_busy, 1))
		return true;
	bpf_loop(HFT_ENTER_SPINS, try_enter, &entered, 0);
	return entered;
}

static __always_inline void engine_leave(void)
{
	hft_store_fence(&engine_busy);
	*(volatile __u32 *)&engine_busy = 0;
}

/* A function of its own: what it needs of the stack is not there while a book changes. */
hft_global int reply_entered(void)
{
	return reply_packet();
}

/* Of the connection that orders leave on? What it carries is read here if the engine is free; the kernel gets it in any case. */
static __always_inline bool connection_packet(struct xdp_md *ctx)
{
	__u32 described = tcp_arrives(ctx);

	if (!described || !SEGMENT_LENGTH(described))
		return described;
	if (!engine_enter()) {
		count_outside(HFT_C_WIRE_REPLIES_LEFT);
		return true;
	}
	entry_ns = bpf_ktime_get_ns();
	soup_entered(ctx, described);
	if (config.time_all)
		observe(HFT_HIST_REPLY, bpf_ktime_get_ns() - entry_ns);
	engine_leave();
	return true;
}

SEC("xdp")
int xdp_hft(struct xdp_md *ctx)
{
	struct wire_view view = {};
	__u32 not_ours;
	int verdict;

	count_outside(HFT_C_FRAMES);
	not_ours = wire_parse(ctx, &view);
	if (not_ours) {
		if (config.transport != HFT_TRANSPORT_SOUPBINTCP || not_ours != HFT_C_NOT_OURS ||
		    !connection_packet(ctx))
			count_outside(not_ours);
		return XDP_PASS;
	}
	if (!engine_enter()) {
		count_outside(HFT_C_CONTENDED);
		return XDP_PASS;
	}
	entry_ns = bpf_ktime_get_ns();
	not_ours = wire_load(ctx, &view);
	if (not_ours) {
		count_named(not_ours);
		verdict = XDP_PASS;
	} else if (view.role == HFT_ROLE_FEED) {
		verdict = feed_packet(ctx, view.feed, view.line);
		if (config.time_all && !pending_len)
			observe(HFT_HIST_FEED, bpf_ktime_get_ns() - entry_ns);
	} else if (view.role == HFT_ROLE_COMMAND) {
		verdict = command_packet(ctx);
	} else {
		verdict = reply_entered();
		if (config.time_all)
			observe(HFT_HIST_REPLY, bpf_ktime_get_ns() - entry_ns);
	}
	engine_leave();
	return verdict;
}

char _license[] SEC("license") = "Dual BSD/GPL";

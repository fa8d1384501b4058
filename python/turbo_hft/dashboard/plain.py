"""The view as plain lines: for a pipe, a log, a dumb terminal."""

from __future__ import annotations

from turbo_hft.dashboard import text
from turbo_hft.dashboard.view import View


def plain_lines(view: View) -> list[str]:
    """A block of lines without any control character: state, feed and session, a line per symbol, latency, trouble."""
    feeds, session, totals, latency = view.feeds, view.session, view.totals, view.latency
    state = text.engine_state(view)
    lines = [
        f"{text.wall(feeds[0].exchange_ns)} {view.interface or 'not attached'} {state}"
        f" | feed {feeds[0].health} {text.feed_state(feeds[0])}, {view.messages_per_s}/s"
        f" | orders {session.health} {session.session or '-'}"
        + (f", {session.replies_missing} replies missing" if session.replies_missing else "")
    ]
    lines += [f"  feed {feed.number} {feed.health} {text.feed_state(feed)}" for feed in feeds[1:]]
    if len(view.symbols) < view.tracked:
        lines.append(f"  books    {view.tracked} tracked: {text.books(view.books)}; those that do something follow")
    for row in view.symbols:
        lines.append(
            f"  {row.name:<8} bid {text.price(row.bid_e4)} x {row.bid_qty} ask {text.price(row.ask_e4)} x {row.ask_qty}"
            f" | buy<= {text.price(row.buy_below_e4)} sell>= {text.price(row.sell_above_e4)}"
            f" | pos {row.position} avg {text.price(row.average_cost_e4)} realized {text.cents(row.realized_e4)}"
            f" unrealized {text.cents(row.unrealized_e4)} net {text.cents(row.pnl_e4)}"
            f" | orders {row.orders} fills {row.fills} open {text.open_orders(row.open)} | {text.symbol_state(row)}"
        )
    lines.append(
        f"  total    orders {totals.orders} fills {totals.fills} refused {totals.refused}"
        f" | bought {totals.bought_qty} sold {totals.sold_qty}"
        f" | realized {text.cents(totals.realized_e4)} unrealized {text.cents(totals.unrealized_e4)}"
        f" fees {text.cents(totals.fees_e8 // 10_000)} net {text.cents(totals.pnl_e4)}"
        f" | gross {text.cents(totals.gross_e4)} net {text.cents(totals.net_e4)}"
        f" | hook p50 <{text.duration(latency.p50_ns)} p99 <{text.duration(latency.p99_ns)} ({latency.count})"
    )
    lines += [f"  strategy {text.strategy(row)}" for row in view.strategies]
    trouble = {**{f"refused {name}": count for name, count in view.refusals.items()}, **notable(view)}
    if trouble:
        lines.append("  " + ", ".join(f"{name} {count}" for name, count in trouble.items()))
    return lines


def notable(view: View) -> dict[str, int]:
    """Counters that are normally zero."""
    return {name: count for name, count in view.counters.items() if name not in ORDINARY}


ORDINARY = frozenset(
    ("frames", "feed_packets", "feed_messages", "signals", "wait_in_flight", "wait_limit", "orders", "events")
)

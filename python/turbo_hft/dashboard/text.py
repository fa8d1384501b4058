"""Values of the view as short strings; shared by every way of drawing."""

from __future__ import annotations

from collections.abc import Mapping

from turbo_hft.dashboard.view import EventRow, FeedView, OpenView, StrategyRow, SymbolRow, View
from turbo_hft.wire.price import format_money_e4, format_price_e4

_SECOND_NS = 1_000_000_000


def price(price_e4: int | None) -> str:
    """Dollars, or a dash for none."""
    return "-" if price_e4 is None else format_price_e4(price_e4)


def cents(amount_e4: int) -> str:
    """A signed sum with thousands separators, cut to cents towards zero: the exact one is in JSON."""
    sign = "-" if amount_e4 < 0 else ""
    whole = abs(amount_e4) // 100 * 100
    return (sign if whole else "") + format_money_e4(whole)


def wall(exchange_ns: int) -> str:
    """Time of day of an exchange time stamp: HH:MM:SS.mmm."""
    seconds, rest = divmod(exchange_ns, _SECOND_NS)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest // 1_000_000:03d}"


def utc(utc_ns: int) -> str:
    """Time of day, UTC: HH:MM:SS."""
    seconds = utc_ns // _SECOND_NS % 86_400
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def duration(value_ns: int | None) -> str:
    """Nanoseconds in the largest unit that keeps three digits: 950 ns, 2.05 us, 1.3 ms."""
    if value_ns is None:
        return "-"
    if value_ns < 1_000:
        return f"{value_ns} ns"
    if value_ns < 1_000_000:
        return f"{value_ns / 1_000:.3g} us"
    return f"{value_ns / 1_000_000:.3g} ms"


def engine_state(view: View) -> str:
    """Does it trade, in capitals, and if not why."""
    if not view.configured:
        return "NOT CONFIGURED"
    if view.state == "halted":
        return "HALTED"
    if view.lease_s == 0:
        return "LEASE LAPSED"
    word = "REDUCING" if view.state == "reducing" else "TRADING"
    return f"{word} (LOSS LIMIT)" if view.latched else word


def open_orders(orders: OpenView | None) -> str:
    """The open orders of a symbol."""
    if orders is None:
        return "-"
    words = [f"{side} {qty}" for side, qty in (("buy", orders.buy_qty), ("sell", orders.sell_qty)) if qty]
    return f"{orders.orders}: {' '.join(words) or '0'}"


def strategy(row: StrategyRow) -> str:
    """One strategy as one line."""
    latched = ", LATCHED" if row.latched else ""
    return (
        f"{row.name:<9} {row.state}{latched}, {row.orders:,} orders, {row.open_orders} open, "
        f"{row.executions:,} executions"
    )


def symbol_state(row: SymbolRow) -> str:
    """Our book, the exchange's market where it does not trade, and whether a person stopped it here."""
    words = [f"{row.health} ({row.doubt})" if row.health == "quarantined" else row.health]
    if row.trading != "trading":
        words.append(f"market {row.trading.replace('_', ' ')}")
    if row.state != "active":
        words.append(row.state)
    if row.latched:
        words.append("loss limit")
    return ", ".join(words)


def feed_state(feed: FeedView) -> str:
    """Where a feed stands, behind its health: session, phase, next sequence, what is missing and what was."""
    missing = f", {feed.missing:,} missing" if feed.missing else ""
    return (
        f"{feed.session or '-'} {feed.phase} seq {feed.expected_seq:,}{missing}, "
        f"{feed.gaps} gaps, {feed.missed:,} missed"
    )


def books(counts: Mapping[str, int]) -> str:
    """How many books are in which state."""
    return ", ".join(f"{count:,} {health}" for health, count in counts.items()) or "none"


def event(row: EventRow) -> str:
    """One event as one line."""
    order = f"{row.qty} @ {price(row.price_e4)} #{row.user_ref}"
    match row.kind:
        case "order":
            detail = f"{row.side} {order} after {duration(row.hook_ns)}"
        case "refused":
            times = f" ({row.repeats} times)" if row.repeats > 1 else ""
            detail = f"{row.side} {row.qty} @ {price(row.price_e4)}: {row.reason}{times}"
        case "accepted":
            detail = f"{row.side} {order}"
        case "executed":
            detail = f"{row.side} {order} -> position {row.position}, realized {cents(row.realized_e4)}"
        case "shadow":
            times = f" ({row.repeats} times)" if row.repeats > 1 else ""
            would = f"no: {row.reason}" if row.reason else "would have left"
            detail = f"{row.strategy} {row.side} {row.qty} @ {price(row.price_e4)}: {would}{times}"
        case "replaced":
            detail = f"{row.side} {order} in place of #{row.other_ref}"
        case "broken":
            detail = f"{row.side} {order} taken back -> position {row.position}"
        case "cancel_sent":
            detail = f"{row.side} {order}{f', by user space: {row.reason}' if row.reason else ''}"
        case "cancel_pending" | "cancel_rejected" | "priority" | "modified" | "restated" | "lost":
            detail = f"{row.side} {order}"
        case "latched":
            detail = f"{row.reason}{'' if row.strategy == 'none' else f' of {row.strategy}'}"
        case "system":
            detail = f"code {row.reason}"
        case "canceled" | "rejected":
            detail = f"{row.side} {row.qty} #{row.user_ref}, code {row.reason}"
        case "feed_gap":
            detail = f"{row.qty} messages missing from sequence {row.feed_seq}"
        case "book_quarantined":
            detail = f"at sequence {row.feed_seq}: {row.reason}"
        case _:
            detail = f"at sequence {row.feed_seq}"
    return f"{wall(row.exchange_ns)} {row.kind:<9} {row.symbol + ' ' if row.symbol else ''}{detail}"

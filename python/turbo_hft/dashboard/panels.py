"""The parts of the terminal's picture, each as lines of a given width and height. No state, no terminal handling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.text import Text

from turbo_hft.dashboard import text
from turbo_hft.dashboard.plain import ORDINARY, notable
from turbo_hft.dashboard.plot import Mark, plot
from turbo_hft.dashboard.view import FillRow, LimitUse, OrderRow, SymbolRow, View

_GOOD = {"live", "up", "ok"}
_EVENT_STYLE = {
    "order": "cyan",
    "executed": "green",
    "accepted": "default",
    "canceled": "yellow",
    "refused": "magenta",
    "rejected": "red",
}
_NEAR, _AT = 0.5, 0.9  # parts of a limit from which on it is shown in another colour
_BAR = 10
_ROOMY = 60  # columns from which on a limit has a bar


@dataclass(frozen=True, slots=True)
class Frame:
    """What a part is drawn from: the picture, the name of the selected symbol, and how far the log is turned back."""

    view: View
    selected: str | None
    back: int = 0

    @property
    def row(self) -> SymbolRow | None:
        """The selected symbol's."""
        watched = self.view.watched
        if watched is not None and watched.symbol.name == self.selected:
            return watched.symbol
        return next((row for row in self.view.symbols if row.name == self.selected), None)


def head(view: View) -> list[Text]:
    """Three lines that are always there: may it trade, the feed, order entry."""
    word = text.engine_state(view)
    state = Text(f" {word} ", style="bold black on green" if word == "TRADING" else "bold white on red")
    feeds, session = view.feeds, view.session
    title = Text.assemble(("Turbo-HFT ", "bold"), state, " ", view.interface or "not attached")
    if view.interface and not view.attached:
        title.append(" (detached)", style="bold red")
    title.append(f"  {text.wall(feeds[0].exchange_ns)}  epoch {view.epoch}  P&L ")
    title.append_text(_money(view.totals.pnl_e4))
    if view.lease_s is not None:
        title.append(f"  lease {view.lease_s:.1f} s", style="default" if view.lease_s else "bold red")
    feed = feeds[0]
    more = f", {len(feeds) - 1} more feeds" if len(feeds) > 1 else ""
    wire = Text.assemble(
        "feed ",
        _health(feed.health),
        (f" {text.feed_state(feed)}", "red" if feed.gaps else "default"),
        f", {view.messages_per_s:,} msg/s{more}",
    )
    if bad := [each for each in feeds[1:] if each.health not in _GOOD]:
        wire.append("; " + ", ".join(f"feed {each.number} {each.health}" for each in bad), style="bold red")
    entry = Text.assemble(
        "order entry ",
        _health(session.health),
        f" {session.session or '-'}, {view.totals.orders:,} orders, {view.totals.fills:,} fills, "
        f"{view.totals.refused:,} refused",
    )
    if session.replies_missing:
        entry.append(f", {session.replies_missing} replies missing", style="red")
    if view.recorder is not None and (view.recorder.problem or view.recorder.lost or view.recorder.behind):
        entry.append("; recorder in trouble, see risk", style="bold red")
    return [title, wire, entry]


def symbols(frame: Frame, width: int, height: int) -> list[Text]:
    """A line a symbol, as many columns as fit, the selected one in sight."""
    view = frame.view
    chosen = list(_COLUMNS)
    while len(chosen) > _FEWEST:
        table = _table(view.symbols, chosen)
        if sum(_widths(table)) + 2 * len(chosen) <= width:
            break
        chosen.remove(max(chosen, key=lambda column: column.rank))
    lines = _lines(_table(view.symbols, chosen), [column.left for column in chosen])
    first, rows = lines[0], lines[1:]
    names = [row.name for row in view.symbols]
    at = names.index(frame.selected) if frame.selected in names else -1
    more = len(view.symbols) < view.tracked
    room = max(1, height - 1 - more)
    start = max(0, min(at - room // 2, len(rows) - room))
    if at >= 0:
        rows[at] = Text.assemble((f"{rows[at].plain:<{width}}", "reverse"))
    shown = [first, *rows[start : start + room]]
    if more:
        left = view.tracked - len(view.symbols)
        shown.append(Text(f"and {left:,} more, books in all: {text.books(view.books)}", style="dim"))
    return shown[:height]


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    rank: int  # the higher, the sooner it is left away
    left: bool = False

    def cell(self, row: SymbolRow) -> Text:
        match self.title:
            case "symbol":
                return Text(row.name, style="bold")
            case "bid":
                return Text(text.price(row.bid_e4), style="blue")
            case "b.size":
                return Text(f"{row.bid_qty:,}")
            case "ask":
                return Text(text.price(row.ask_e4), style="yellow")
            case "a.size":
                return Text(f"{row.ask_qty:,}")
            case "buy <=":
                return Text(text.price(row.buy_below_e4))
            case "sell >=":
                return Text(text.price(row.sell_above_e4))
            case "pos":
                return Text(f"{row.position:,}")
            case "P&L":
                return _money(row.pnl_e4)
            case "open":
                return Text(text.open_orders(row.open))
            case _:
                return _state(row)


_COLUMNS = (
    _Column("symbol", 0, left=True),
    _Column("bid", 1),
    _Column("b.size", 7),
    _Column("ask", 1),
    _Column("a.size", 8),
    _Column("buy <=", 5),
    _Column("sell >=", 6),
    _Column("pos", 1),
    _Column("P&L", 1),
    _Column("state", 3, left=True),
    _Column("open", 9, left=True),
)
_FEWEST = 5


def _table(rows: Sequence[SymbolRow], columns: Sequence[_Column]) -> list[list[Text]]:
    heads = [Text(column.title, style="bold dim") for column in columns]
    return [heads, *([column.cell(row) for column in columns] for row in rows)]


def _widths(table: Sequence[Sequence[Text]]) -> list[int]:
    return [max(cell.cell_len for cell in column) for column in zip(*table, strict=True)]


def _lines(table: Sequence[Sequence[Text]], left: Sequence[bool]) -> list[Text]:
    widths = _widths(table)
    lines = []
    for cells in table:
        line = Text()
        for cell, width, is_left in zip(cells, widths, left, strict=True):
            pad = " " * (width - cell.cell_len)
            line.append_text(Text.assemble(cell, pad, "  ") if is_left else Text.assemble(pad, cell, "  "))
        line.rstrip()
        lines.append(line)
    return lines


def book(frame: Frame, width: int, height: int) -> list[Text]:
    """The selected symbol: levels of both sides, our own orders marked, what it is told, what we have of it."""
    row, watched = frame.row, frame.view.watched
    if row is None:
        return [Text("no symbol", style="dim")]
    told = Text(
        f"buy <= {text.price(row.buy_below_e4)}  sell >= {text.price(row.sell_above_e4)}  {row.strategy or '-'}"
    )
    have = Text.assemble(f"pos {row.position:,} avg {text.price(row.average_cost_e4)}  P&L ", _money(row.pnl_e4))
    opened = Text.assemble(f"open {text.open_orders(row.open)}  ", _state(row))
    below = [told, have, opened]
    bids, asks = ((), ()) if watched is None else (watched.bids, watched.asks)
    half = max(8, (width - 1) // 2)
    lines = []
    room = max(1, height - len(below))
    for i in range(min(room, max(len(bids), len(asks), 1))):
        bid = f"{_qty(bids[i].qty, bids[i].ours)} {text.price(bids[i].price_e4):>8}" if i < len(bids) else ""
        ask = f"{text.price(asks[i].price_e4):<8} {_qty(asks[i].qty, asks[i].ours)}" if i < len(asks) else ""
        mine = (i < len(bids) and bids[i].ours, i < len(asks) and asks[i].ours)
        lines.append(
            Text.assemble(
                (f"{bid:>{half}}", "bold blue" if mine[0] else "blue"),
                "|",
                (ask, "bold yellow" if mine[1] else "yellow"),
            )
        )
    return [*lines, *below][:height]


def _qty(qty: int, ours: int) -> str:
    return f"{qty:,}{'*' if ours else ''}"


def pnl(frame: Frame, width: int, height: int) -> list[Text]:
    """The day's profit and loss over time."""
    curve, totals = frame.view.pnl, frame.view.totals
    now = Text.assemble(
        "net ",
        _money(totals.pnl_e4),
        f"  realized {text.cents(totals.realized_e4)}  unrealized {text.cents(totals.unrealized_e4)}"
        f"  fees {text.cents(totals.fees_e8 // 10_000)}",
    )
    drawn = plot(curve.utc_ns, [(curve.low_e4, curve.high_e4)], width, max(1, height - 2))
    lines = [Text(line, style="green" if totals.pnl_e4 >= 0 else "red") for line in drawn.lines]
    return [now, *lines, _axis(curve.utc_ns, f"{text.cents(drawn.low)} to {text.cents(drawn.high)}")][:height]


def price(frame: Frame, width: int, height: int) -> list[Text]:
    """Bid and offer of the selected symbol over time, with our fills on them: B bought, S sold."""
    watched = frame.view.watched
    if watched is None or not watched.prices.utc_ns:
        return [Text("no price yet", style="dim")]
    curve = watched.prices
    marks = [Mark(fill.utc_ns, fill.price_e4, fill.side[0].upper()) for fill in watched.fills]
    drawn = plot(
        curve.utc_ns,
        [(curve.low_e4, curve.bid_e4), (curve.ask_e4, curve.high_e4)],
        width,
        max(1, height - 1),
        marks,
    )
    lines = [Text(line, style="cyan") for line in drawn.lines]
    for line, column in drawn.marked:
        bought = lines[line].plain[column] == "B"
        lines[line].stylize("bold green" if bought else "bold red", column, column + 1)
    return [*lines, _axis(curve.utc_ns, f"{text.price(drawn.low)} to {text.price(drawn.high)}")][:height]


def _axis(times: Sequence[int], values: str) -> Text:
    span_s = (times[-1] - times[0]) / 1e9 if times else 0
    span = (
        f"{span_s:.0f} s" if span_s < 120 else f"{span_s / 60:.0f} min" if span_s < 7200 else f"{span_s / 3600:.1f} h"
    )
    return Text(f"{values}, last {span}", style="dim")


def latency(frame: Frame, width: int, height: int) -> list[Text]:
    """The hook's own time from packet to order: percentiles and every bucket."""
    found = frame.view.latency
    if not found.count:
        return [Text("no order yet", style="dim")]
    percentiles = "  ".join(
        f"{name} < {text.duration(value)}"
        for name, value in (
            ("p50", found.p50_ns),
            ("p90", found.p90_ns),
            ("p99", found.p99_ns),
            ("p99.9", found.p999_ns),
        )
    )
    lines = [Text(line) for line in _wrapped(percentiles.split("  "), width)]
    top, counts = max(found.buckets), [f"{count:,}" for count in found.buckets]
    room = max(1, width - 12 - max(map(len, counts)))
    kept = max(1, height - len(lines))
    for i, count in list(enumerate(found.buckets))[:kept]:
        bar = "#" * max(1 if count else 0, count * room // top)
        label = f"< {text.duration(2 << (found.first_exponent + i))}"
        lines.append(Text.assemble(f"{label:<10} ", (f"{bar:<{room}}", "cyan"), f" {counts[i]}"))
    return lines[:height]


def orders(frame: Frame, width: int, height: int) -> list[Text]:
    """Working orders, the newest first."""
    del width
    view = frame.view
    rows = list(reversed(view.orders))
    if not rows:
        return [Text("none is working", style="dim")]
    lines = [Text(_order(row)) for row in rows[:height]]
    left = view.totals.open_orders - len(lines)
    if left > 0:
        lines = [*lines[: height - 1], Text(f"and {view.totals.open_orders - height + 1:,} more", style="dim")]
    return lines


def _order(row: OrderRow) -> str:
    pending = f" ({', '.join(row.pending)} pending)" if row.pending else ""
    age = "" if row.age_s is None else f" {row.age_s:.1f} s"
    short = " short" if row.short_sale else ""
    return (
        f"#{row.user_ref} {row.symbol} {row.side}{short} {row.open_qty:,} of {row.qty:,} @ {text.price(row.price_e4)} "
        f"{row.state}{pending} {row.strategy}{age}"
    )


def fills(frame: Frame, width: int, height: int) -> list[Text]:
    """Our executions, the newest first."""
    del width
    rows = list(reversed(frame.view.fills))[:height]
    if not rows:
        return [Text("none yet", style="dim")]
    return [Text(_fill(row), style="green" if row.side == "buy" else "yellow") for row in rows]


def _fill(row: FillRow) -> str:
    when = text.wall(row.exchange_ns) if row.exact else f"{text.utc(row.utc_ns)} UTC"
    after = "" if row.position is None else f" -> {row.position:,}"
    average = "" if row.exact else " on average"
    return f"{when} {row.symbol} {row.side} {row.qty:,} @ {text.price(row.price_e4)}{average} #{row.user_ref}{after}"


def risk(frame: Frame, width: int, height: int) -> list[Text]:
    """What keeps orders back, or will: switches, latches, lease, limits used, recorder, refusals."""
    view = frame.view
    lease = "for ever" if view.lease_s is None else f"{view.lease_s:.1f} s left"
    latch = ", LOSS LATCHED" if view.latched else ""
    lines = [Text(f"all orders: {view.state}{latch}; lease {lease}", style="default" if _free(view) else "bold red")]
    for each in view.strategies:
        free = each.state == "active" and not each.latched
        lines.append(Text(f"strategy {text.strategy(each)}", style="dim" if free else "bold red"))
    held = [row for row in view.symbols if row.state != "active" or row.latched]
    if held:
        lines.append(
            Text("held: " + ", ".join(f"{row.name} {text.symbol_state(row)}" for row in held), style="bold red")
        )
    uses = [*view.limits, *(view.watched.limits if view.watched is not None else ())]
    lines += [_use(use, width) for use in uses]
    if (recorder := view.recorder) is not None:
        bad = recorder.lost or recorder.unrecorded or recorder.behind or recorder.problem
        words = f"recorder: {recorder.recorded:,} events, {recorder.lost:,} lost, {recorder.unrecorded:,} unrecorded"
        words += ", BEHIND" if recorder.behind else ""
        words += f", {recorder.problem}" if recorder.problem else ""
        lines.append(Text(words, style="bold red" if bad else "dim"))
    refused = [f"{name} {count:,}" for name, count in view.refusals.items()]
    lines += [Text(line, style="magenta") for line in _wrapped(["refused:", *refused] if refused else [], width)]
    return lines[:height]


def _free(view: View) -> bool:
    return view.state == "active" and not view.latched and view.lease_s != 0


def _use(use: LimitUse, width: int) -> Text:
    share = use.used / use.limit if use.limit else 1.0 if use.used else 0.0
    style = "bold red" if share >= _AT else "yellow" if share >= _NEAR else "default"
    bar = "#" * min(_BAR, round(share * _BAR))
    shown = [text.cents(value) if use.unit == "usd_e4" else f"{value:,}" for value in (use.used, use.limit)]
    if width < _ROOMY:
        whose = use.whose.removeprefix("strategy ")
        return Text(f"{whose} {use.name} {share:.0%} of {shown[1]}", style=style)
    return Text(f"{use.whose} {use.name} [{bar:.<{_BAR}}] {shown[0]} of {shown[1]}", style=style)


def feeds(frame: Frame, width: int, height: int) -> list[Text]:
    """Feeds, order entry, and every counter that is normally zero."""
    view = frame.view
    lines = []
    for feed in view.feeds:
        quiet = "" if feed.quiet_s is None else f", quiet for {feed.quiet_s:.1f} s"
        lines.append(Text.assemble(f"feed {feed.number} ", _health(feed.health), f" {text.feed_state(feed)}{quiet}"))
        a, b, again = (*feed.first, 0, 0, 0)[:3]
        lines.append(Text(f"  first by line A {a:,}, line B {b:,}, re-request {again:,}", style="dim"))
    session = view.session
    lines.append(Text.assemble("order entry ", _health(session.health), f" next order #{session.next_user_ref:,}"))
    lines.append(Text(f"books: {text.books(view.books)}"))
    ordinary = [f"{name} {count:,}" for name, count in view.counters.items() if name in ORDINARY]
    trouble = [f"{name} {count:,}" for name, count in notable(view).items()]
    lines += [Text(line, style="magenta") for line in _wrapped(trouble, width)]
    lines += [Text(line, style="dim") for line in _wrapped(ordinary, width)]
    return lines[:height]


def events(frame: Frame, width: int, height: int) -> list[Text]:
    """The newest events, oldest first."""
    del width
    view = frame.view
    if not view.events and not view.reads_events:
        return [Text("another process reads the events; see its output, or its journal", style="dim")]
    end = max(min(height, len(view.events)), len(view.events) - frame.back)
    newest = view.events[max(0, end - height) : end]
    return [Text(text.event(row), style=_EVENT_STYLE.get(row.kind, "bold red")) for row in newest]


def _health(name: str) -> Text:
    return Text(name, style="bold green" if name in _GOOD else "bold red")


def _money(amount_e4: int) -> Text:
    return Text(text.cents(amount_e4), style="green" if amount_e4 > 0 else "red" if amount_e4 < 0 else "default")


def _state(row: SymbolRow) -> Text:
    style = "green" if row.trading == "trading" else "yellow"
    free = row.health == "ok" and row.state == "active" and not row.latched
    return Text(text.symbol_state(row), style=style if free else "bold red")


def _wrapped(words: Iterable[str], width: int) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 2 + len(word) <= width:
            lines[-1] += f"  {word}"
        else:
            lines.append(word)
    return lines

"""The view drawn with rich, for 80 columns and 24 lines upwards. No state, no terminal handling: see `live`."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console, Group
from rich.text import Text

from turbo_hft.dashboard import text
from turbo_hft.dashboard.plain import ORDINARY, notable
from turbo_hft.dashboard.view import EventRow, SymbolRow, View
from turbo_hft.errors import ConfigError

MIN_WIDTH, MIN_HEIGHT = 80, 24
_WIDE = 132
_LEAST_EVENTS = 3
_COUNTER_LINES = 2
_WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_GOOD = {"live", "up", "ok"}
_EVENT_STYLE = {
    "order": "cyan",
    "executed": "green",
    "accepted": "default",
    "canceled": "yellow",
    "refused": "magenta",
    "rejected": "red",
}


def render(view: View, width: int, height: int = MIN_HEIGHT, *, ascii_only: bool = False, keys: bool = False) -> Group:
    """The picture: lines of at most `width` columns, as many as `height` when there are events to fill them.

    At least 80 x 24 are assumed. `ascii_only` is for terminals without UTF-8; `keys` adds the line that explains
    the keys.
    """
    width, height = max(width, MIN_WIDTH), max(height, MIN_HEIGHT)
    wide = width >= _WIDE
    head = [*_header(view), Text()]
    tail = [*_latency(view, ascii_only=ascii_only), *_counters(view, width)]
    if keys:
        tail.append(Text("h halt   d reduce only   r resume   q quit", style="dim"))
    lines_each = 1 if wide else 2
    room = height - len(head) - len(tail) - 2  # an empty line on both sides of the events
    shown = view.symbols[: max(1, (room - 2 - _LEAST_EVENTS) // lines_each)]
    body = _symbols(shown, wide=wide)
    body += [Text(f"strategy {text.strategy(row)}", style="dim") for row in view.strategies]
    if len(shown) < view.tracked:
        more = f"and {view.tracked - len(shown):,} more symbols, books in all: {text.books(view.books)}"
        body.append(Text(more, style="dim"))
    events = _events(view.events, room - len(body))
    lines = [*head, *body, Text(), *events, Text(), *tail]
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="crop" if ascii_only else "ellipsis")
    return Group(*lines)


def export_svg(view: View, path: Path, *, width: int = 100, height: int = 30) -> None:
    """Write the picture as an SVG, for a README. Raises ConfigError when the file cannot be written."""
    # Its own stream and fixed colours: a picture must not depend on the terminal that makes it.
    console = Console(
        record=True,
        width=width,
        height=height,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
    )
    console.print(render(view, width, height))
    # Without the web fonts that rich links: the picture must not fetch anything when it is looked at.
    picture = _WEB_FONT.sub("", console.export_svg(title="turbo-hft dashboard"))
    try:
        path.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write the picture {path}: {error.strerror}; name a writable file") from error


def _health(name: str) -> Text:
    return Text(name, style="bold green" if name in _GOOD else "bold red")


def _header(view: View) -> list[Text]:
    word = text.engine_state(view)
    state = Text(f" {word} ", style="bold black on green" if word == "TRADING" else "bold white on red")
    feeds, session = view.feeds, view.session
    title = Text.assemble(("Turbo-HFT ", "bold"), state, " ", view.interface or "not attached")
    if view.interface and not view.attached:
        title.append(" (detached)", style="bold red")
    title.append(f"  {text.wall(feeds[0].exchange_ns)}  epoch {view.epoch}  P&L ")
    title.append_text(_money(view.totals.pnl_e4))
    wires = [
        Text.assemble(
            f"feed {feed.number} " if feed.number else "feed ",
            _health(feed.health),
            (f" {text.feed_state(feed)}", "red" if feed.gaps else "default"),
            "" if feed.number else f", {view.messages_per_s:,} msg/s",
        )
        for feed in feeds
    ]
    entry = Text.assemble(
        "order entry ",
        _health(session.health),
        f" {session.session or '-'}, {view.totals.orders:,} orders, {view.totals.fills:,} fills, "
        f"{view.totals.refused:,} refused",
    )
    if session.replies_missing:
        entry.append(f", {session.replies_missing} replies missing", style="red")
    return [title, *wires, entry]


def _money(amount_e4: int) -> Text:
    return Text(text.cents(amount_e4), style="green" if amount_e4 > 0 else "red" if amount_e4 < 0 else "default")


_NARROW_COLUMNS = ("symbol", "bid", "size", "ask", "size", "buy <=", "sell >=", "pos", "P&L")
_WIDE_COLUMNS = ("avg cost", "realized", "unrealized", "open", "state")


def _symbols(rows: tuple[SymbolRow, ...], *, wide: bool) -> list[Text]:
    """A head and one line a symbol; in a narrow terminal a second one with what does not fit beside the prices."""
    head = [Text(name, style="bold dim") for name in (_NARROW_COLUMNS + _WIDE_COLUMNS if wide else _NARROW_COLUMNS)]
    table = [head] + [_cells(row, wide=wide) for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(*table, strict=True)]
    lines = []
    for index, cells in enumerate(table):
        line = Text()
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            left = column == 0 or column >= len(_NARROW_COLUMNS) + 3
            pad = " " * (width - cell.cell_len)
            line.append_text(Text.assemble(cell, pad, "  ") if left else Text.assemble(pad, cell, "  "))
        line.rstrip()
        lines.append(line)
        if index and not wide:
            lines.append(_second_line(rows[index - 1]))
    return lines


def _cells(row: SymbolRow, *, wide: bool) -> list[Text]:
    cells = [
        Text(row.name, style="bold"),
        Text(text.price(row.bid_e4), style="blue"),
        Text(f"{row.bid_qty:,}"),
        Text(text.price(row.ask_e4), style="yellow"),
        Text(f"{row.ask_qty:,}"),
        Text(text.price(row.buy_below_e4)),
        Text(text.price(row.sell_above_e4)),
        Text(f"{row.position:,}"),
        _money(row.pnl_e4),
    ]
    if wide:
        cells += [
            Text(text.price(row.average_cost_e4)),
            _money(row.realized_e4),
            _money(row.unrealized_e4),
            Text(text.open_orders(row.open)),
            _state(row),
        ]
    return cells


def _second_line(row: SymbolRow) -> Text:
    return Text.assemble(
        "  ",
        _state(row),
        f"  avg {text.price(row.average_cost_e4)}  realized ",
        _money(row.realized_e4),
        "  unrealized ",
        _money(row.unrealized_e4),
        f"  open {text.open_orders(row.open)}",
    )


def _state(row: SymbolRow) -> Text:
    style = "green" if row.trading == "trading" else "yellow"
    free = row.health == "ok" and row.state == "active" and not row.latched
    return Text(text.symbol_state(row), style=style if free else "bold red")


def _latency(view: View, *, ascii_only: bool) -> list[Text]:
    latency = view.latency
    if not latency.count:
        return [Text("hook latency: no order yet", style="dim")]
    spark = text.sparkline(latency.buckets, ascii_only=ascii_only)
    low, high = 1 << latency.first_exponent, 1 << (latency.first_exponent + len(latency.buckets))
    line = Text.assemble(
        "hook, packet to order: p50 < ",
        (text.duration(latency.p50_ns), "bold"),
        ", p99 < ",
        (text.duration(latency.p99_ns), "bold"),
        f"   {text.duration(low)} ",
        (spark, "cyan"),
        f" {text.duration(high)}",
    )
    return [line]


def _counters(view: View, width: int) -> list[Text]:
    ordinary = [f"{name} {count:,}" for name, count in view.counters.items() if name in ORDINARY]
    trouble = [f"refused: {name} {count:,}" for name, count in view.refusals.items()]
    trouble += [f"{name} {count:,}" for name, count in notable(view).items()]
    return [
        Text(line, style=style)
        for words, style in ((ordinary, "dim"), (trouble, "magenta"))
        for line in _wrapped(words, width)[:_COUNTER_LINES]
    ]


def _wrapped(words: list[str], width: int) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 2 + len(word) <= width:
            lines[-1] += f"  {word}"
        else:
            lines.append(word)
    return lines


def _events(events: tuple[EventRow, ...], room: int) -> list[Text]:
    newest = events[max(0, len(events) - max(room, 0)) :]
    return [Text(text.event(row), style=_EVENT_STYLE.get(row.kind, "bold red")) for row in newest]

"""Draw docs/pipeline.svg: what a frame meets in the hook, the memory beside it, and who shares that.

Plain SVG with a style sheet of its own, so that it is legible on light and on dark ground.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

from turbo_hft import abi

_WIDTH, _HEIGHT = 1000, 840
_LEFT, _MIDDLE, _RIGHT = 24, 372, 720  # the three columns
_WIDE = 256
_TOP, _STEP, _TALL = 148, 52, 40
_ROW = 20

_STYLE = """\
    svg { background: #ffffff; }
    text { font: 13px system-ui, sans-serif; fill: #1f2328; }
    .name { font-weight: 600; }
    .small { font-size: 12px; fill: #59636e; }
    .title { font-size: 14px; font-weight: 600; }
    .box { fill: #f6f8fa; stroke: #818b98; }
    .gate { fill: #fff1e5; stroke: #bc4c00; }
    .memory { fill: #ddf4ff; stroke: #0969da; }
    .ground { fill: none; stroke: #d1d9e0; stroke-dasharray: 4 4; }
    .way { fill: none; stroke: #59636e; stroke-width: 1.6; }
    .tip { fill: #59636e; }
    @media (prefers-color-scheme: dark) {
      svg { background: #0d1117; }
      text { fill: #f0f6fc; }
      .small { fill: #9198a1; }
      .box { fill: #151b23; stroke: #656c76; }
      .gate { fill: #3d2107; stroke: #db6d28; }
      .memory { fill: #0c2d4d; stroke: #4493f8; }
      .ground { stroke: #3d444d; }
      .way { stroke: #9198a1; }
      .tip { fill: #9198a1; }
    }"""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the hook; `told` and `kept`: the memory it reads and writes, as (map, what is in it)."""

    name: str
    about: str
    kind: str = "box"
    told: str = ""
    kept: str = ""


STAGES = (
    Stage(
        "WIRE",
        "Ethernet, VLAN, IPv4, UDP: whose is it?",
        told="flows: address, port → role",
    ),
    Stage(
        "FEED",
        "MoldUDP64: lines A and B, order, gaps",
        kept="feeds, kept: sequences, what waits",
    ),
    Stage(
        "MESSAGE",
        "ITCH 5.0, by exact length",
        told="symbol_names: who is tracked",
        kept="locates, auctions: ITCH's words",
    ),
    Stage(
        "BOOK",
        "orders, levels, best bid and offer",
        kept="books: with their orders, levels, ladder",
    ),
    Stage(
        "STRATEGY",
        "built in, or yours in C",
        told="symbol_params: targets, parameters",
        kept="memory: what it saw before",
    ),
    Stage(
        "RISK",
        "the one gate, {reasons} reasons to refuse",
        "gate",
        told="limits, control: two sets, by epoch; kill, lease",
    ),
    Stage(
        "ORDER",
        "OUCH in UFO, in the tick's own frame",
        told="order_template: the frame, made ready",
        kept="working, session_state: our orders",
    ),
    Stage(
        "OUT",
        "XDP_TX: out again as it came",
    ),
    Stage(
        "EVENT",
        "one record a decision, sent or refused",
        kept="events: the ring; stats beside it",
    ),
    Stage(
        "REPLY",
        "the way back: OUCH replies, in order",
        told="fees: by liquidity flag",
        kept="symbol_state, account: position, P&L",
    ),
)
BELOW = (
    ("control", "CLI, config file, your Python:", "one store, next packet"),
    ("order entry", "login, missing replies,", "lost orders, halts"),
    ("recovery", "re-requests, snapshots,", "sessions"),
    ("readers", "journal, dashboard, why:", "one drains the ring"),
)

_ABOUT_USERS = (
    "User space: processes that come and go. None of them is on the way from tick to order; with the engine pinned,",
    "books, orders and positions outlive them all, and orders stop when nobody renews the lease.",
)


def text() -> str:
    """The picture."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        'role="img" aria-labelledby="title about">',
        '  <title id="title">The way of a frame through the hook, and the memory beside it</title>',
        '  <desc id="about">A frame from the exchange passes the stages of the XDP program from top to bottom and '
        "leaves as an order. On the left the memory that user space writes, on the right the memory that the hook "
        "writes, below the processes of user space that share both.</desc>",
        f"  <style>\n{_STYLE}\n  </style>",
        '  <defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>',
        *_above(),
        *(part for at, stage in enumerate(STAGES) for part in _stage(_TOP + at * _STEP, stage, at)),
        *_below(_TOP + len(STAGES) * _STEP + 26),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _above() -> list[str]:
    bottom = _TOP + len(STAGES) * _STEP
    return [
        _box(_MIDDLE, 12, "box", "exchange", "ITCH in, OUCH out and its replies", _TALL),
        _box(_MIDDLE, 72, "box", "driver of the network card", "the program runs here, before the stack", _TALL),
        _way(_MIDDLE + 90, 12 + _TALL, _MIDDLE + 90, 71),
        _way(_MIDDLE + 90, 72 + _TALL, _MIDDLE + 90, _TOP - 1),
        f'  <path class="way" marker-end="url(#tip)" d="M{_MIDDLE + _WIDE} {_TOP + 7 * _STEP + 20}h16V{72 + 20}h-15"/>',
        f'  <path class="way" marker-end="url(#tip)" d="M{_MIDDLE + 180} 72V{12 + _TALL + 1}"/>',
        _text(_MIDDLE + 188, 67, "orders", "small"),
        _text(_MIDDLE + 98, 67, "ticks, replies", "small"),
        f'  <rect class="ground" x="{_MIDDLE - 10}" y="{_TOP - 12}" width="{_WIDE + 20}" '
        f'height="{bottom - _TOP + 12}" rx="8"/>',
        _text(_LEFT, 40, "Memory that user space writes", "title"),
        _text(_LEFT, 40 + _ROW, "targets, limits, switches: the hook only reads it;", "small"),
        _text(_LEFT, 40 + 2 * _ROW, "a change is one aligned store, or one epoch", "small"),
        _text(_RIGHT, 40, "Memory that the hook writes", "title"),
        _text(_RIGHT, 40 + _ROW, "books, orders, positions, events: user space", "small"),
        _text(_RIGHT, 40 + 2 * _ROW, "reads it in place, without a system call", "small"),
    ]


def _stage(y: int, stage: Stage, at: int) -> list[str]:
    parts = [_box(_MIDDLE, y, stage.kind, stage.name, stage.about.format(reasons=len(abi.reasons()) - 1), _TALL)]
    if at + 2 < len(STAGES):
        parts.append(_way(_MIDDLE + 30, y + _TALL, _MIDDLE + 30, y + _STEP - 1))
    for x, said in ((_LEFT, stage.told), (_RIGHT, stage.kept)):
        if said:
            name, _, about = said.partition(": ")
            parts.append(_box(x, y, "memory", name, about, _TALL))
    if stage.told:
        parts.append(_way(_LEFT + _WIDE, y + 20, _MIDDLE - 1, y + 20))
    if stage.kept:
        parts.append(_way(_MIDDLE + _WIDE, y + 28, _RIGHT - 1, y + 28))
    return parts


def _below(y: int) -> list[str]:
    wide = (_RIGHT + _WIDE - _LEFT - 3 * 16) // 4
    parts = [
        f'  <path class="way" marker-end="url(#tip)" d="M{_LEFT + 60} {y}V{_TOP + 9 * _STEP + _TALL + 2}"/>',
        f'  <path class="way" marker-end="url(#tip)" d="M{_RIGHT + _WIDE - 60} {_TOP + 9 * _STEP + _TALL}V{y - 1}"/>',
        _text(_LEFT + 68, y - 14, "writes", "small"),
        _text(_RIGHT + _WIDE - 52, y - 14, "reads", "small"),
    ]
    for at, (name, *about) in enumerate(BELOW):
        x = _LEFT + at * (wide + 16)
        parts.append(f'  <rect class="box" x="{x}" y="{y}" width="{wide}" height="72" rx="6"/>')
        parts.append(_text(x + 12, y + 22, name, "name"))
        parts += [_text(x + 12, y + 22 + (line + 1) * 18, words, "small") for line, words in enumerate(about)]
    for line, words in enumerate(_ABOUT_USERS):
        parts.append(_text(_LEFT, y + 98 + 18 * line, words, "small"))
    return parts


def _box(x: int, y: int, kind: str, name: str, about: str, tall: int) -> str:
    shape = f'  <rect class="{kind}" x="{x}" y="{y}" width="{_WIDE}" height="{tall}" rx="6"/>\n'
    return shape + _text(x + 10, y + 16, name, "name") + "\n" + _text(x + 10, y + 32, about, "small")


def _text(x: int, y: int, words: str, kind: str) -> str:
    return f'  <text class="{kind}" x="{x}" y="{y}">{escape(words)}</text>'


def _way(x: int, y: int, to_x: int, to_y: int) -> str:
    return f'  <path class="way" marker-end="url(#tip)" d="M{x} {y}L{to_x} {to_y}"/>'

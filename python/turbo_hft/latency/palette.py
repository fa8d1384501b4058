"""Colours that people with any kind of colour vision tell apart (Okabe and Ito, 2008), and a dash beside each."""

from __future__ import annotations

from collections.abc import Sequence

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A7F00")
_DASHES = ("-", "--", ":", "-.")
_MARKS = ("o", "s", "^", "D", "v", "P", "X")
ENGINE = "#000000"
FLOOR = "#888888"


class Style:
    """How one responder is drawn, the same in every picture of a report."""

    __slots__ = ("colour", "dash", "mark", "width")

    def __init__(self, colour: str, dash: str, mark: str, width: float) -> None:
        self.colour, self.dash, self.mark, self.width = colour, dash, mark, width


def styles(names: Sequence[str], *, engine: str, floor: str) -> dict[str, Style]:
    """One for each, by their order; the engine black and bold, the floor grey."""
    found: dict[str, Style] = {}
    for name in names:
        place = len(found.keys() - {engine, floor})
        if name == engine:
            found[name] = Style(ENGINE, "-", "o", 2.4)
        elif name == floor:
            found[name] = Style(FLOOR, "-", "o", 1.2)
        else:
            dash = _DASHES[place // len(_COLOURS) % len(_DASHES)]
            found[name] = Style(_COLOURS[place % len(_COLOURS)], dash, _MARKS[place % len(_MARKS)], 1.6)
    return found

"""A curve in characters: braille dots, two by four a character. Pure: columns in, lines out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row from the top, by column
_BLANK = 0x2800
_HOLE_NS = 5_000_000_000  # a time without points that is longer than this,
_HOLE_TIMES = 4  # and so much longer than those beside it, is left empty


@dataclass(frozen=True, slots=True)
class Mark:
    """A character on the curve, at a time and a value."""

    at_ns: int
    value: int
    character: str


@dataclass(frozen=True, slots=True)
class Plot:
    """`lines`, the top one first, of equal length; `marked`: (line, column) of the marks; the axis' ends."""

    lines: tuple[str, ...]
    marked: frozenset[tuple[int, int]]
    low: int
    high: int


def plot(
    times: Sequence[int],
    bands: Sequence[tuple[Sequence[int | None], Sequence[int | None]]],
    width: int,
    height: int,
    marks: Iterable[Mark] = (),
) -> Plot:
    """`bands`: of each curve the lowest and the highest values at `times` (the same ones for a plain line).

    The axis goes over all values and marks that are on it; a flat curve lies in the middle.
    """
    columns, rows = 2 * max(1, width), 4 * max(1, height)
    first, last = (times[0], times[-1]) if times else (0, 0)
    marks = [mark for mark in marks if first <= mark.at_ns <= last] if times else []
    known = [value for band in bands for side in band for value in side if value is not None]
    known += [mark.value for mark in marks]
    low, high = (min(known), max(known)) if known else (0, 0)

    def x_of(at_ns: int) -> int:
        return (at_ns - first) * (columns - 1) // (last - first) if last > first else columns - 1

    def y_of(value: int) -> int:
        return (high - value) * (rows - 1) // (high - low) if high > low else rows // 2

    holes = _holes(times)
    cells = [[0] * max(1, width) for _ in range(max(1, height))]
    for lows, highs in bands:
        before: tuple[int, int, int] | None = None
        for index, (at_ns, bottom, top) in enumerate(zip(times, lows, highs, strict=True)):
            if bottom is None or top is None:
                before = None
                continue
            x, y_top, y_bottom = x_of(at_ns), y_of(top), y_of(bottom)
            for y in range(y_top, y_bottom + 1):
                _set(cells, x, y)
            if before is not None and not holes[index]:
                _join(cells, before, (x, y_top, y_bottom))
            before = x, y_top, y_bottom
    texts = [[chr(_BLANK + cell) if cell else " " for cell in row] for row in cells]
    marked = set()
    for mark in marks:
        line, column = y_of(mark.value) // 4, x_of(mark.at_ns) // 2
        texts[line][column] = mark.character
        marked.add((line, column))
    return Plot(tuple("".join(row) for row in texts), frozenset(marked), low, high)


def _holes(times: Sequence[int]) -> list[bool]:
    """Of each time: did nobody look between the one before and it? Points stand closer together the newer they are."""
    steps = [after - before for before, after in itertools.pairwise(times)]
    found = [False] if times else []
    for index, step in enumerate(steps):
        beside = max(steps[max(0, index - 1) : index] + steps[index + 1 : index + 2], default=step)
        found.append(step > _HOLE_NS and step > _HOLE_TIMES * beside)
    return found


def _join(cells: list[list[int]], before: tuple[int, int, int], now: tuple[int, int, int]) -> None:
    """Steps, as prices and sums move: level until the next point, then up or down to it."""
    x0, top0, bottom0 = before
    x1, top1, bottom1 = now
    for x in range(x0 + 1, x1 + 1):
        _set(cells, x, top0)
    for y in range(min(bottom0, top1), max(top0, bottom1) + 1):
        if (bottom0 < y < top1) or (bottom1 < y < top0):
            _set(cells, x1, y)


def _set(cells: list[list[int]], x: int, y: int) -> None:
    cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]

"""A curve that goes on for a day in a bounded number of points: the newest ones close together, older ones thinned out.

A thinned point keeps the lowest and the highest of what it stands for, so that no extreme is lost from the picture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

_S = 1_000_000_000
# How long a point of each tier stands for, and how many there are; the last one's time doubles when it is full.
_TIERS = ((_S // 4, 160), (4 * _S, 160), (60 * _S, 240))
MOST_POINTS = sum(most for _, most in _TIERS)
"""So many points there are at most; a day of 24 hours has them a quarter of a second to eight minutes apart."""


@dataclass(frozen=True, slots=True)
class Point:
    """What was seen from `begin_ns` to `utc_ns`: the newest `values`, and the lowest and highest of all of them."""

    begin_ns: int
    utc_ns: int
    values: tuple[int | None, ...]
    low: int
    high: int


def _merged(older: Point, newer: Point) -> Point:
    low, high = min(older.low, newer.low), max(older.high, newer.high)
    return Point(older.begin_ns, newer.utc_ns, newer.values, low, high)


class _Tier:
    """Points of about one length."""

    def __init__(self, span_ns: int, most: int) -> None:
        self.span_ns = span_ns
        self.most = most
        self.points: deque[Point] = deque()

    def add(self, point: Point) -> Point | None:
        """Take a point in; the oldest one if there is no room for it any more."""
        if self.points and point.utc_ns - self.points[-1].begin_ns < self.span_ns:
            self.points[-1] = _merged(self.points[-1], point)
        else:
            self.points.append(point)
        return self.points.popleft() if len(self.points) > self.most else None

    def keep(self, point: Point) -> None:
        """Take a point in, and make room for it if there is none: half as many points, each for twice as long."""
        while (oldest := self.add(point)) is not None:
            self.points.appendleft(oldest)
            point = self.points.pop()
            self._thin()

    def _thin(self) -> None:
        points, self.span_ns = list(self.points), 2 * self.span_ns
        pairs = zip(points[::2], points[1::2], strict=False)
        self.points = deque(_merged(older, newer) for older, newer in pairs)
        if len(points) % 2:
            self.points.append(points[-1])


class History:
    """A curve of one or more values over time (ns since 1970, UTC)."""

    def __init__(self) -> None:
        self._tiers = [_Tier(span_ns, most) for span_ns, most in _TIERS]

    def add(self, utc_ns: int, values: tuple[int | None, ...], low: int, high: int) -> None:
        """Note what is now. Of values that come faster than four times a second the newest are kept, and the extremes.

        A clock that was set back begins a new curve.
        """
        newest = self._tiers[0].points[-1].utc_ns if self._tiers[0].points else utc_ns
        if utc_ns < newest:
            self._tiers = [_Tier(span_ns, most) for span_ns, most in _TIERS]
        point = Point(utc_ns, utc_ns, values, low, high)
        for tier in self._tiers[:-1]:
            fallen = tier.add(point)
            if fallen is None:
                return
            point = fallen
        self._tiers[-1].keep(point)

    def __iter__(self) -> Iterator[Point]:
        """All points, oldest first."""
        for tier in reversed(self._tiers):
            yield from tier.points

    def __len__(self) -> int:
        return sum(len(tier.points) for tier in self._tiers)

"""Books restored because a person asked for it, in whatever process: once, and then it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from turbo_hft.engine import Engine
from turbo_hft.errors import RecoveryError
from turbo_hft.recovery.feed import FeedRecovery
from turbo_hft.recovery.lock import FeedLock
from turbo_hft.recovery.resync import Outcome
from turbo_hft.recovery.snapshot import Fetcher, Glimpse

_PAUSE_S = 0.005


@dataclass(frozen=True, slots=True)
class Resynced:
    """What became of one symbol. `by`: ``us``, or ``service`` when the feed has a `Recovery` that was left to it.
    `sequence`: the feed's message from which its book is traded again, 0 if that is not known. `why` it is not ok."""

    symbol: str
    feed: int
    ok: bool
    by: str
    sequence: int
    took_ms: float
    why: str


def resync(
    engine: Engine,
    glimpse: Glimpse,
    names: Collection[str] | None,
    *,
    timeout_s: float,
    stop: Callable[[], bool] = lambda: False,
) -> list[Resynced]:
    """Doubt and restore the books of these symbols; with None all that are not ok, or were never listed.

    With None a gap of a feed that nobody fills is given up, too. Returns when all is done, after `timeout_s` seconds,
    or when `stop` says so. Raises ConfigError for a symbol that is not tracked.
    """
    wanted = None if names is None else [engine.symbols[name] for name in names]
    feeds = range(engine.program.config.feeds) if wanted is None else sorted({symbol.feed for symbol in wanted})
    end = time.monotonic() + timeout_s
    results: list[Resynced] = []
    for feed in feeds:
        slots = None if wanted is None else {symbol.index for symbol in wanted if symbol.feed == feed}
        results += _of_feed(engine, feed, glimpse, slots, end, stop)
    return results


def _of_feed(
    engine: Engine, feed: int, glimpse: Glimpse, slots: set[int] | None, end: float, stop: Callable[[], bool]
) -> list[Resynced]:
    begun = time.monotonic()
    try:
        lock = FeedLock(engine, feed)
    except RecoveryError:
        lock = None  # somebody looks after this feed already: doubt the books, and see how they come back
    fetcher = Fetcher(glimpse, timeout_s=max(1.0, end - begun))
    try:
        course = None
        if lock is not None:
            # Nobody is asked for what is missing, but the other line is given the time that an answer would take.
            course = FeedRecovery(engine, feed, ask=lambda _: None, snapshots=fetcher, only=slots)
        concerned = set(_listless(engine, feed)) if slots is None else set(slots)
        for slot in concerned:
            engine.resync(engine.symbols.book(slot).name)
        done: dict[int, float] = {}
        while time.monotonic() < end and not stop():
            pause_s = _PAUSE_S if course is None else course.step() / 1e9
            doubtful = {book.slot for book in engine.symbols.doubtful(feed)}
            if slots is None:
                concerned |= doubtful  # a gap that is given up concerns them all
            done |= dict.fromkeys(concerned - doubtful - done.keys(), time.monotonic())
            if not concerned & doubtful and (slots is not None or engine.feeds[feed].health not in ("hold", "gap")):
                break
            time.sleep(min(pause_s, _PAUSE_S))
        return [_result(engine, course, feed, slot, done.get(slot), begun) for slot in sorted(concerned)]
    finally:
        fetcher.close()
        if lock is not None:
            lock.close()


def _listless(engine: Engine, feed: int) -> list[int]:
    """Symbols that will not be listed any more unless a snapshot does it."""
    if engine.feeds[feed].health != "live":
        return []
    return [book.slot for book in engine.symbols.books(feed) if book.health == "ok" and not book.locate]


def _result(
    engine: Engine, course: FeedRecovery | None, feed: int, slot: int, done: float | None, begun: float
) -> Resynced:
    book, health = engine.symbols.book(slot), engine.feeds[feed].health
    last = None if course is None else course.results.get(slot)
    why = "" if last is None or last.outcome is Outcome.RESTORED else last.why
    if book.health != "ok" and not why:
        trouble = "" if course is None else course.status().trouble
        why = trouble or f"the book is {book.health}, doubt {book.doubt}; the feed is in state {health}"
    return Resynced(
        book.name,
        feed,
        book.health == "ok",
        "service" if course is None else "us",
        last.sequence if last is not None and book.health == "ok" else 0,
        round(((done or time.monotonic()) - begun) * 1000, 1),
        "" if book.health == "ok" else why,
    )

"""Put another build of the engine's program in force under traffic.

Before it gets the maps: can it carry the state over (`carry`), and does it do what an engine must (`selfcheck`)? Once
the link holds it: are packets counted on, has no kind of error begun, are feeds and order entry as they were? If not,
the link holds the program of before again. The swap itself is one of the kernel's: a packet meets the one or the other.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turbo_hft import abi
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, TurboHftError, UpgradeError
from turbo_hft.program import Successor, engine_object
from turbo_hft.upgrade import carry, selfcheck
from turbo_hft.user_strategy import btf as types
from turbo_hft.user_strategy import objects

MOST_BYTES = 16 << 20
_FLOW_S = 0.2
_STEP_S = 0.01
_FOREIGN = bytes(60)
_PASS = 2
_SHOWN = 6
_MOST_REASON = 4000  # characters, for the journal

# Counters of what is wrong with frames or messages, not with the line they came by.
_ERRORS = (
    *("truncated", "bad_checksum", "feed_malformed", "itch_unknown_type", "itch_bad_length", "itch_bad_field"),
    *("book_unknown_ref", "book_duplicate_ref", "book_over_reduce", "book_full", "reply_malformed"),
    *("reply_unknown_ref", "reply_unhandled", "reply_bad_length", "reply_bad_state", "commands_refused"),
)


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What came of it. `frames`: seen by the new program while it was watched; `checked_s`, `took_s`: the checks
    before, and everything."""

    generation: int
    program_id: int
    sha256: str
    before_sha256: str
    frames: int
    checked_s: float
    took_s: float


def read(path: str | Path) -> bytes:
    """An object file. Raises ConfigError."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the object {path}: {error.strerror}.") from None
    if len(data) > MOST_BYTES:
        raise ConfigError(f"the object {path} has more than {MOST_BYTES >> 20} MB: that is no engine.")
    return data


def check(engine: Engine, built: bytes) -> None:
    """Everything that can be said of a build before it is in force. Raises UpgradeError."""
    new = carry.read(built)
    if new.abi != abi.VERSION:
        raise UpgradeError(
            f"the object speaks ABI version {new.abi}, the program that runs {abi.VERSION}: its state cannot be "
            "carried over. End the engine and start it anew with the package that the object belongs to."
        )
    found = carry.differences(types.parse(engine.program.btf()), new.btf, linked=bool(engine.user.size))
    if found:
        more = f" (and {len(found) - _SHOWN} more)" if len(found) > _SHOWN else ""
        raise UpgradeError(
            f"the state of the program that runs cannot be carried over: {'; '.join(found[:_SHOWN])}{more}. End the "
            "engine and start it anew with this build.",
            tuple(found),
        )
    selfcheck.check(built)


def upgrade(
    engine: Engine,
    built: bytes | None = None,
    strategy: str | Path | None = None,
    *,
    watch_s: float = 0.5,
    watch: Callable[[Successor], None] | None = None,
) -> Upgraded:
    """Put a build (that inside this package) in force. `strategy`: the user's object that is linked in, which a program
    with one cannot do without. `watch` looks at the new program beside the checks of this module.

    Raises UpgradeError, LoadError, ConfigError, AttachError: the program of before is in force then. A recorder notes
    that it was begun and what came of it.
    """
    built = engine_object() if built is None else built
    sha256, before = hashlib.sha256(built).hexdigest(), engine.user.now.engine_sha256
    steps: list[str] = []

    def tell(outcome: str, **about: Any) -> None:
        engine.report("upgrade", outcome=outcome, sha256=sha256, before_sha256=before, **about)

    tell("begun")
    try:
        done = _upgrade(engine, built, strategy, watch_s, watch, steps)
    except BaseException as error:
        tell("rolled back" if steps else "refused", reason=(str(error) or type(error).__name__)[:_MOST_REASON])
        raise
    tell("in force", generation=done.generation, program_id=done.program_id)
    return done


def _upgrade(
    engine: Engine,
    built: bytes,
    strategy: str | Path | None,
    watch_s: float,
    watch: Callable[[Successor], None] | None,
    steps: list[str],
) -> Upgraded:
    """`steps`: whether the link held the new program for a while."""
    began = time.monotonic()
    user = None if strategy is None else objects.read(strategy)
    engine.user.need_object(None if user is None else user.data)
    check(engine, built)
    checked = time.monotonic()
    was = engine.user.now.engine_sha256
    look = _Watch(engine, watch_s)

    def watching(successor: Successor) -> None:
        steps.append("in force")
        look(successor)
        if watch is not None:
            watch(successor)

    done = engine.user.swap(
        "" if user is None else user.name,
        None if user is None else user.data,
        keep_params=True,
        built=built,
        watch=watching,
    )
    return Upgraded(
        generation=done.number,
        program_id=done.program_id,
        sha256=hashlib.sha256(built).hexdigest(),
        before_sha256=was,
        frames=look.frames,
        checked_s=checked - began,
        took_s=time.monotonic() - began,
    )


class _Watch:
    """What has to go on as before, once a new program is in force."""

    def __init__(self, engine: Engine, seconds: float) -> None:
        self._engine = engine
        self._seconds = seconds
        self.frames = 0
        first = engine.counters()
        time.sleep(_FLOW_S)
        self._before = engine.counters()
        self._flows = self._before["feed_packets"] > first["feed_packets"]
        self._live = [feed.health == "live" for feed in engine.feeds]
        self._session = engine.session.health

    def __call__(self, successor: Successor) -> None:
        wrong = self._foreign(successor)
        start, end = self._engine.counters(), time.monotonic() + self._seconds
        while not wrong and time.monotonic() < end:
            time.sleep(_STEP_S)
            wrong = self._errors()
        now = self._engine.counters()
        self.frames = now["frames"] - start["frames"]
        if not wrong and self._flows and now["feed_packets"] == start["feed_packets"]:
            wrong = [f"the feed's packets came until now, and none was counted in {self._seconds:g} s"]
        if wrong:
            raise UpgradeError(
                f"the new program was in force, and was taken out again: {'; '.join(wrong)}.", tuple(wrong)
            )

    def _foreign(self, successor: Successor) -> list[str]:
        """A frame of our own, which needs no traffic: passed on, and counted in the maps that are shared."""
        before = self._engine.counters()
        try:
            verdict, frame = successor.run(_FOREIGN)
        except TurboHftError as error:
            return [str(error)]
        if (verdict, frame) != (_PASS, _FOREIGN):
            return [f"a foreign frame was not passed on (verdict {verdict})"]
        after = self._engine.counters()
        return [f"it does not count {name}" for name in ("frames", "not_ours") if after[name] - before[name] < 1]

    def _errors(self) -> list[str]:
        now = self._engine.counters()
        wrong = [f"{name} began to count" for name in _ERRORS if now[name] and not self._before[name]]
        for number, (feed, live) in enumerate(zip(self._engine.feeds, self._live, strict=True)):
            if live and feed.health not in ("live", "hold", "ended"):
                wrong.append(f"feed {number} was live and is {feed.health}")
        health = self._engine.session.health
        if health != self._session and health not in ("up", "ended"):
            wrong.append(f"order entry was {self._session} and is {health}")
        return wrong

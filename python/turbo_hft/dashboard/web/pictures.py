"""Pictures of the engine for all who look: one collection an interval for everybody, and none while nobody looks.

A picture is kept as JSON in sections, each with a version. Who looks is sent the sections that are newer than what he
has, and of lists that grow at their end (logs) the rows that are: so a picture is put into words once, however many
look, and one who is slow gets the newest picture next, never a queue of old ones.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from turbo_hft.dashboard.web.exposition import WebCounts
from turbo_hft.errors import TurboHftError

Collect = Callable[[str | None], Mapping[str, object]]
MOST_CLIENTS = 64
MOST_WATCHED = 8
_HEAVY_S = 1.0


class Busy(TurboHftError):
    """More look already than there is room for."""


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False, default=str).encode()


class _Log:
    """A list that grows at its end and loses rows at its beginning: JSON text of each row, and since which picture."""

    def __init__(self) -> None:
        self.start = 0  # rows that have been lost, the last of them in picture `moved`
        self.moved = 0
        self.rows: list[tuple[int, bytes]] = []

    def take(self, values: Sequence[object], number: int) -> None:
        """How it is in picture `number`. The last row that it had may have changed."""
        texts = [_json(value) for value in values]
        lost = next((gone for gone in range(len(self.rows)) if self._goes_on(gone, texts)), len(self.rows))
        kept = self.rows[lost:]
        if lost:
            self.start, self.moved = self.start + lost, number
        self.rows = [
            (kept[i][0] if i < len(kept) and kept[i][1] == text else number, text) for i, text in enumerate(texts)
        ]

    def _goes_on(self, gone: int, texts: list[bytes]) -> bool:
        """Is this the same list after it has lost so many rows?"""
        kept = self.rows[gone:]
        return len(kept) <= len(texts) and all(row[1] == text for row, text in zip(kept[:-1], texts, strict=False))

    def since(self, number: int) -> bytes | None:
        """Where it begins, from which row on it is new, and these rows; None if it is as it was."""
        first = next((i for i, (at, _) in enumerate(self.rows) if at > number), len(self.rows))
        if first == len(self.rows) and self.moved <= number:
            return None
        rows = b",".join(text for _, text in self.rows[first:])
        return b'{"start":%d,"from":%d,"rows":[%s]}' % (self.start, self.start + first, rows)


class _Sections:
    """The newest picture of those who watch one symbol: version and JSON text of each section, and the logs."""

    def __init__(self, heavy: frozenset[str], logs: frozenset[str]) -> None:
        self.number = 0
        self.texts: dict[str, tuple[int, bytes]] = {}
        self.logs: dict[str, _Log] = {name: _Log() for name in logs}
        self._heavy, self._heavy_due = heavy, 0.0

    def take(self, values: Mapping[str, object], now_s: float) -> None:
        """A picture more. Heavy sections move once a second."""
        self.number += 1
        light_only = now_s < self._heavy_due
        if not light_only:
            self._heavy_due = now_s + _HEAVY_S
        for name in self.texts.keys() - values.keys():
            del self.texts[name]
        for name, value in values.items():
            if name in self.logs and isinstance(value, (list, tuple)):
                self.logs[name].take(value, self.number)
                continue
            if light_only and name in self._heavy and name in self.texts:
                continue
            text = _json(value)
            if name not in self.texts or self.texts[name][1] != text:
                self.texts[name] = (self.number, text)

    def since(self, number: int) -> bytes:
        """What has changed since picture `number`, and all names, as one event of a stream."""
        newer = [b"%s:%s" % (_json(name), text) for name, (at, text) in self.texts.items() if at > number]
        grown = [(name, log.since(number)) for name, log in self.logs.items()]
        logs = [b"%s:%s" % (_json(name), text) for name, text in grown if text is not None]
        names = _json(sorted(self.texts))
        changed = b'"changed":{%s},"logs":{%s}' % (b",".join(newer), b",".join(logs))
        return b'data: {"number":%d,"names":%s,%s}\n\n' % (self.number, names, changed)


class Pictures:
    """Give it what collects (it is called in a thread, one call at a time) and follow."""

    def __init__(
        self,
        collect: Collect,
        counts: WebCounts,
        *,
        interval_s: float = 0.25,
        heavy: frozenset[str] = frozenset(),
        logs: frozenset[str] = frozenset(),
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._collect, self._counts, self._interval_s, self._log = collect, counts, interval_s, log
        self._heavy, self._logs = heavy, logs
        self._watched: Counter[str | None] = Counter()
        self._pictures: dict[str | None, _Sections] = {}
        self._moved = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._closed = False

    async def follow(self, watch: str | None, welcome: Callable[[], bool]) -> AsyncGenerator[bytes, None]:
        """Events of a stream, for as long as the one who looks is `welcome`. Raises Busy before the first."""
        if self._counts.clients >= MOST_CLIENTS:
            raise Busy(f"{MOST_CLIENTS} pages are open already: close one.")
        if watch not in self._watched and len(self._watched) >= MOST_WATCHED:
            raise Busy(f"{MOST_WATCHED} different symbols are being watched already: watch one of them.")
        self._counts.clients += 1
        self._watched[watch] += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep_collecting())
        try:
            seen = 0
            while await self._newer(watch, seen, welcome):
                picture = self._pictures[watch]
                text, seen = picture.since(seen), picture.number
                yield text
        finally:
            self._counts.clients -= 1
            self._watched[watch] -= 1
            if not self._watched[watch]:
                del self._watched[watch]
                self._pictures.pop(watch, None)

    async def _newer(self, watch: str | None, seen: int, welcome: Callable[[], bool]) -> bool:
        """Wait for a picture after the one of number `seen`; False when there is to be none."""

        def over() -> bool:
            return self._closed or not welcome()

        async with self._moved:
            await self._moved.wait_for(lambda: over() or self._number(watch) > seen)
            return not over()

    def _number(self, watch: str | None) -> int:
        return self._pictures[watch].number if watch in self._pictures else 0

    async def close(self) -> None:
        """Everybody's stream ends."""
        self._closed = True
        await self._tell()
        if self._task is not None:
            await self._task
        self._thread.shutdown()

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def _keep_collecting(self) -> None:
        while self._watched and not self._closed:
            begun = time.monotonic()
            for watch in list(self._watched):
                values = await asyncio.get_running_loop().run_in_executor(self._thread, self._values, watch)
                if watch in self._watched:
                    sections = self._pictures.setdefault(watch, _Sections(self._heavy, self._logs))
                    try:
                        sections.take(values, begun)
                    except ValueError as error:  # a figure that JSON has no word for
                        sections.take({"problem": f"the picture cannot be sent: {error}."}, begun)
            self._counts.collections += 1
            await self._tell()
            await asyncio.sleep(max(0.01, self._interval_s - (time.monotonic() - begun)))

    def _values(self, watch: str | None) -> Mapping[str, Any]:
        try:
            return self._collect(watch)
        except TurboHftError as error:
            return {"problem": str(error)}
        except Exception as error:  # a picture that cannot be made must not end all those that could be
            self._log(f"a picture failed: {type(error).__name__}: {error}")
            return {"problem": f"the picture could not be made ({type(error).__name__}: {error})."}

"""Pictures of the engine for all who look: one collection an interval for everybody, and none while nobody looks.

A picture is kept as JSON in sections, each with a version. Who looks is sent the sections that are newer than what he
has: so a picture is put into words once, however many look, and one who is slow gets the newest picture next, never a
queue of old ones.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from turbo_hft.errors import TurboHftError
from turbo_hft.metrics import WebCounts

Collect = Callable[[str | None], Mapping[str, object]]
MOST_CLIENTS = 64
MOST_WATCHED = 8
_HEAVY_S = 1.0


class Busy(TurboHftError):
    """More look already than there is room for."""


class _Sections:
    """The newest picture of those who watch one symbol: version and JSON text of each section."""

    def __init__(self, heavy: frozenset[str]) -> None:
        self.number = 0
        self.texts: dict[str, tuple[int, bytes]] = {}
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
            if light_only and name in self._heavy and name in self.texts:
                continue
            text = json.dumps(value, separators=(",", ":"), allow_nan=False, default=str).encode()
            if name not in self.texts or self.texts[name][1] != text:
                self.texts[name] = (self.number, text)

    def since(self, number: int) -> bytes:
        """What has changed since picture `number`, and all names, as one event of a stream."""
        newer = [b"%s:%s" % (json.dumps(name).encode(), text) for name, (at, text) in self.texts.items() if at > number]
        names = json.dumps(sorted(self.texts)).encode()
        return b'data: {"number":%d,"names":%s,"changed":{%s}}\n\n' % (self.number, names, b",".join(newer))


class Pictures:
    """Give it what collects (it is called in a thread, one call at a time) and follow."""

    def __init__(
        self,
        collect: Collect,
        counts: WebCounts,
        *,
        interval_s: float = 0.25,
        heavy: frozenset[str] = frozenset(),
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._collect, self._counts, self._interval_s, self._heavy, self._log = collect, counts, interval_s, heavy, log
        self._watched: Counter[str | None] = Counter()
        self._pictures: dict[str | None, _Sections] = {}
        self._moved = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._closed = False

    async def follow(self, watch: str | None, welcome: Callable[[], bool]) -> AsyncIterator[bytes]:
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
                    self._pictures.setdefault(watch, _Sections(self._heavy)).take(values, begun)
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

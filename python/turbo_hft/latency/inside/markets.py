"""A whole market's flow (native/market.c) into an engine that tracks it, packet by packet, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from turbo_hft._native import ffi
from turbo_hft.exchange.market import MarketConfig, MarketFlow
from turbo_hft.latency.inside.hook_rig import SESSION, Frames, InsideError, Runs, bare_engine, map_bytes
from turbo_hft.strategies import Trading

_SEED = 20190130
_PER_PACKET = 20
_DOUBTS = ("book_quarantines", "feed_gaps", "feed_malformed", "bad_checksum")


class Market(Frames):
    """One market, one engine that tracks the most active `asked` of its symbols (None = all), everything seeded.

    `ns_a_message` and `timed` go on from where the day stands. A context manager. Raises CapabilityError, LoadError.
    """

    def __init__(
        self,
        symbols: int,
        live: int,
        *,
        asked: int | None = None,
        armed: int = 0,
        shadows: Sequence[Trading] = (),
    ) -> None:
        self.symbols, self.live, self.armed, self.shadows = symbols, live, armed, len(shadows)
        self._flow = MarketFlow(MarketConfig(seed=_SEED, symbols=symbols, live_orders=live, stub_share=0.0))
        names = [self._flow.symbol(rank).name for rank in range(symbols if asked is None else asked)]
        # Resting orders move around the number that was asked for, and references collide.
        self.engine = bare_engine(names, armed=armed, shadows=shadows, orders=max(4096, 2 * live))
        try:
            super().__init__(self.engine.program.fd)
            self._seed()
        except BaseException:
            self.engine.close()
            raise

    def _seed(self) -> None:
        for packet in self._flow.packets(SESSION, messages_per_packet=_PER_PACKET, limit=0):
            self._run(len(packet).to_bytes(4, "little") + packet)
        self.sequence = self._flow.stats().messages + 1

    def _run(self, packets: bytes, *, timed: bool = False, total: Any = None) -> Runs | None:
        return self.packets(packets, timed=timed, total=total)

    def total(self, messages: int, per_packet: int = _PER_PACKET) -> Any:
        """Play on so many messages or a few less; ``struct hft_inside_total``."""
        total = ffi.new("struct hft_inside_total *")
        for packets in self._next(messages, per_packet):
            self._run(packets, total=total)
        self._check()
        return total

    def ns_a_message(self, messages: int, per_packet: int = _PER_PACKET) -> float:
        """Of the hook's own time."""
        total = self.total(messages, per_packet)
        return float(total.hook_ns / total.messages)

    def timed(self, messages: int, per_packet: int) -> list[float]:
        """ns a message of the hook's own time, packet by packet, of those with just so many messages."""
        each: list[float] = []
        for packets in self._next(messages, per_packet):
            runs = self._run(packets, timed=True)
            assert runs is not None
            each += [ns / per_packet for ns, n in zip(runs.hook_ns(), _counts(packets), strict=True) if n == per_packet]
        self._check()
        return each

    def _next(self, messages: int, per_packet: int) -> Any:
        end = self.sequence + messages
        while self.sequence + per_packet <= end:
            left = (end - self.sequence) // per_packet
            packets, self.sequence = self._flow.packed(SESSION, self.sequence, per_packet, left)
            yield packets

    def _check(self) -> None:
        """Raises InsideError if the engine did not keep every book."""
        counters = self.engine.counters()
        wrong = {name: counters[name] for name in _DOUBTS if counters[name]}
        if wrong or self.engine.feed.expected_seq != self.sequence:
            raise InsideError(
                f"the market of {self.symbols} symbols was not handled whole ({wrong}, feed {self.engine.feed}): "
                "its cost would be another's"
            )

    def map_mib(self) -> float:
        """Memory of the engine's maps, MiB."""
        return map_bytes(self.engine) / (1 << 20)

    def __enter__(self) -> Market:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.close()


def _counts(packets: bytes) -> list[int]:
    """Messages of each packet."""
    counts, at = [], 0
    while at < len(packets):
        length = int.from_bytes(packets[at : at + 4], "little")
        counts.append(int.from_bytes(packets[at + 22 : at + 24], "big"))
        at += 4 + length
    return counts

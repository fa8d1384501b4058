"""Does the lease stop orders when the control process is killed, stopped, or hangs? As often as it takes to believe it.

A child keeps the lease of a loaded program as a control process does. Its parent sends it market data without pause,
every packet of which makes an order leave, ends the child in the middle, and goes on until well after the lease. Each
order is held against the lease to the nanosecond: none may leave in a packet that began when it had lapsed.

    python -m turbo_hft.testing.lease_trial --times 1000
"""

from __future__ import annotations

import argparse
import math
import os
import select
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.testing.hook import Verdict
from turbo_hft.testing.scenario import stock_directory
from turbo_hft.testing.trial import FEED, SESSION, feed_headers, reply_headers
from turbo_hft.testing.wide import SYMBOL, widen
from turbo_hft.wire import itch50, moldudp64, ouch50, ufo

KINDS = ("killed", "stopped", "hung")
_NAME, _LOCATE = "AAPL", 1
_BID_E4, _ASK_E4 = 1_631_900, 1_632_000
_READY = b"+"
_BEAT_S = 0.001
_TRIES = 1000
_AFTER = 0.5  # of a lease, that is waited after it
_ENDS = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP, "hung": signal.SIGUSR1}


@dataclass(frozen=True, slots=True)
class Stop:
    """One trial. `last_ns`: from the end of the control process to the end of the last packet that made an order.
    `late`: orders in packets that began when the lease had lapsed; `before`, `after`: packets on both sides."""

    kind: str
    last_ns: int
    late: int
    before: int
    after: int


class LeaseTrial:
    """A loaded program whose one symbol buys on every tick. A context manager."""

    def __init__(self, lease_s: float) -> None:
        self.lease_s = lease_s
        self.engine = Engine.load(symbols=4)
        self.engine.configure(SESSION, FEED)
        widen(self.engine)
        self.engine.lease.seconds = lease_s
        self.engine.symbols.add(_NAME, buy_below="163.20", base_qty=1, cap_qty=1, **SYMBOL)
        self._sequence = self._replies = self._ref = 1
        self._clock = 34_200_000_000_000
        self._feed, self._entry = feed_headers("a"), reply_headers()
        self.engine.program.inject(self._entry, ufo.LoginAccepted("ORDERS", 1).encode())
        self._market(
            itch50.SystemEvent(stock_locate=0, event_code="Q", **self._stamp()).encode(),
            stock_directory(_NAME, _LOCATE, self._stamp()),
            itch50.StockTradingAction(_LOCATE, 0, self._clock, _NAME, "T", "", "").encode(),
            self._rest("B", _BID_E4),
        )

    def _stamp(self) -> dict[str, int]:
        self._clock += 1000
        return {"tracking_number": 0, "timestamp": self._clock}

    def _rest(self, side: str, price_e4: int) -> bytes:
        self._ref += 1
        return itch50.AddOrder(
            stock_locate=_LOCATE, order_ref=self._ref, side=side, shares=1, stock=_NAME, price=price_e4, **self._stamp()
        ).encode()

    def _market(self, *messages: bytes) -> int:
        payload = moldudp64.Packet("DAY", self._sequence, messages).encode()
        self._sequence += len(messages)
        return self.engine.program.inject(self._feed, payload)

    def _tick(self) -> bool:
        """An offer comes and goes: did an order leave? It is answered, so that the next may."""
        payload = self._rest("S", _ASK_E4)
        gone = itch50.OrderDelete(stock_locate=_LOCATE, order_ref=self._ref, **self._stamp()).encode()
        left = self._market(payload) == Verdict.TX
        self._market(gone)
        if left:
            ref = self.engine.session.next_user_ref - 1
            accepted = ouch50.Accepted(
                self._clock, ref, "B", 1, _NAME, _ASK_E4, "3", "Y", ref, "P", "N", "N", "L", ""
            ).encode()
            canceled = ouch50.Canceled(self._clock, ref, 1, "I").encode()
            self.engine.program.inject(self._entry, ufo.Sequenced(self._replies, (accepted, canceled)).encode())
            self._replies += 2
        return left

    def run(self, kind: str) -> Stop:
        """One trial. Raises TurboHftError if the control process or the market did not do their part."""
        ready, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ready)
            _control_process(self.engine, kind, told)
        os.close(told)
        try:
            if not select.select([ready], [], [], 10)[0] or os.read(ready, 1) != _READY:
                raise TurboHftError("the control process did not begin")
            self._resume()
            return self._watch(kind, child)
        finally:
            os.close(ready)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            self.engine.halt()
            self.engine.lease.lapse()

    def _resume(self) -> None:
        """On a busy machine a child that beats may just have been kept from it."""
        for _ in range(_TRIES):
            try:
                return self.engine.resume()
            except ConfigError:
                time.sleep(_BEAT_S)
        raise TurboHftError(
            f"the control process does not keep a lease of {self.lease_s} s: is the machine overloaded?"
        )

    def _watch(self, kind: str, child: int) -> Stop:
        ticks: list[tuple[int, int, bool]] = []  # (began, ended, an order left)
        self._until(ticks, time.monotonic_ns() + int(self.lease_s * 0.25e9))
        if not any(left for _, _, left in ticks):
            raise TurboHftError(f"no order left before the control process was {kind}: {self.engine.refusals()}")
        os.kill(child, _ENDS[kind])
        ended = time.monotonic_ns()
        self._until(ticks, ended + int(self.lease_s * (1 + _AFTER) * 1e9))
        lapsed = self.engine.lease.until_ns
        after = [left for began, _, left in ticks if began >= lapsed]
        orders = [end for _, end, left in ticks if left]
        return Stop(kind, orders[-1] - ended, sum(after), len(orders), len(after))

    def _until(self, ticks: list[tuple[int, int, bool]], end: int) -> None:
        while (began := time.monotonic_ns()) < end:
            left = self._tick()
            ticks.append((began, time.monotonic_ns(), left))

    def __enter__(self) -> LeaseTrial:
        return self

    def __exit__(self, *error: object) -> None:
        self.engine.close()


def _control_process(engine: Engine, kind: str, told: int) -> None:
    """The child: keeps the lease until its end comes, and never returns."""
    try:
        if kind == "hung":
            # A thread renews, but only for a loop that goes round; the signal makes the loop hang.
            signal.signal(signal.SIGUSR1, lambda *_: time.sleep(3600))
            with engine.lease.keep(patience_s=engine.lease.seconds) as keeper:
                _loop(keeper.beat, told)
        _loop(engine.lease.beat, told)
    finally:
        os._exit(1)


def _loop(beat: Callable[[], None], told: int) -> None:
    beat()
    os.write(told, _READY)
    while True:
        beat()
        time.sleep(_BEAT_S)


def report(stops: Sequence[Stop], lease_s: float) -> str:
    """How long after its control process an engine went on, by the way that ended."""
    lines = [f"lease {lease_s * 1e3:g} ms; from the end of the control process to its last order:"]
    for kind in KINDS:
        times = sorted(stop.last_ns / 1e6 for stop in stops if stop.kind == kind)
        if times:
            p99 = times[min(len(times) - 1, math.ceil(len(times) * 0.99) - 1)]
            lines.append(
                f"  {kind:<8} {len(times):>5} times: p50 {statistics.median(times):.3f} ms, p99 {p99:.3f} ms, "
                f"max {times[-1]:.3f} ms"
            )
    late, orders = sum(stop.late for stop in stops), sum(stop.before for stop in stops)
    after = sum(stop.after for stop in stops)
    lines.append(f"  {orders:,} orders; {after:,} packets after the lease, orders in them: {late}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 if no order left too late."""
    parser = argparse.ArgumentParser(
        prog="python -m turbo_hft.testing.lease_trial",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--times", type=int, default=1000, metavar="N", help="of each kind (default %(default)s)")
    parser.add_argument("--lease", type=float, default=0.02, metavar="S", help="seconds (default %(default)s)")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this one; may be given several times")
    options: Any = parser.parse_args(arguments)
    stops = []
    with LeaseTrial(options.lease) as trial:
        for _ in range(options.times):
            stops += [trial.run(kind) for kind in options.kind or KINDS]
    print(report(stops, options.lease))
    return 1 if any(stop.late for stop in stops) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Orders on a live TCP connection over lines of every kind, on whatever kernel this is: `python -m wire_lines --help`.

One line of JSON for each line that was traded on. tools/kernel_matrix/orders.py runs it here and in guests.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import wire_rig as rigs
import wire_victim
from turbo_hft.lab import Lab
from turbo_hft.wire import soupbintcp
from wire_crash import crash
from wire_rig import WireRig

NUMBER = 87
LEAST_BEFORE_KILL = 5
STALLED_S = 0.9  # seconds between two merges: what is killed within the first of them has merged nothing
USERNAME, PASSWORD = "HFT001", "SECRET"
# An order must be able to overtake one that left some ticks before it, and a guest is slow.
DELAY_US = {"netem": 20_000, "forwarder": 300}
PPM_OF_PERCENT = 10_000
SILENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Faults:
    """Per cent of the segments, each way."""

    loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0


def log_in(rig: WireRig) -> None:
    """The client's login over the connection, and the peer's answer."""
    request = soupbintcp.LoginRequest(USERNAME, PASSWORD)
    rig.send(request.encode())
    rig.peer.await_bytes(len(request.encode()))
    decoder = soupbintcp.Decoder()
    decoder.feed(bytes(rig.peer.stream))
    (asked,) = decoder
    assert asked == request, f"the peer got {asked}"
    answer = soupbintcp.LoginAccepted(rigs.SESSION, 1).encode()
    rig.peer.said += rig.peer.socket.send(answer)

    def heard() -> bool:
        rig.hear()
        return len(rig.heard) >= len(answer)

    rigs.wait_for(heard, "the login is not answered")
    assert rig.heard == answer
    rig.connection.arm()


def _result(rig: WireRig, orders: int, refused: int) -> dict[str, Any]:
    """All has come and is what was meant, or AssertionError; and the figures."""
    rig.agree()
    rig.connection.disarm()
    status, counters = rig.connection.status, rig.engine.counters()
    assert status.fired == status.merged == counters["wire_sends"] == counters["orders"] == orders
    assert not status.unmerged and not status.error
    return {
        "ticks": orders + refused,
        "orders": orders,
        "by_the_hook": counters["wire_sends"],
        "ordinary": status.sent,
        "bytes": len(rig.peer.stream),
        "identical": rig.peer.stream == rig.expected,
        "acks_held": counters["wire_acks_held"],
        "replies_by_the_hook": counters["wire_replies"],
        "retransmits": status.total_retransmits,
    }


def clean(orders: int) -> dict[str, Any]:
    """A line on which nothing goes wrong; ordinary sends now and then."""
    with rigs.wire_rig(NUMBER) as rig:
        rig.open()
        log_in(rig)
        return _result(rig, orders, rigs.trade(rig, orders))


def replies(orders: int) -> dict[str, Any]:
    """The same, but each order is ended by the exchange's answer in the stream, which the hook takes."""
    with rigs.wire_rig(NUMBER) as rig:
        rig.open()
        log_in(rig)
        reader = rigs.Reader(rig)
        refused = 0
        for number in range(1, orders + 1):
            while not rig.fire(answer=False, over=False):
                refused += 1
            rig.peer.await_bytes(len(rig.expected))
            rig.peer.socket.send(rigs.sequenced(number))
            rigs.wait_for(lambda: reader.read() >= 0 and not rig.engine.orders.open(), "an answer is lost")
            if number % rigs.ORDINARY_EVERY == 0:
                rig.send()
        rigs.wait_for(lambda: reader.read() >= 0 and reader.number == orders + 1, "not all answers were read")
        result = _result(rig, orders, refused)
        assert result["replies_by_the_hook"] > orders // 2, "the hook took hardly any answer"
        return result


@contextmanager
def _behind(faults: Faults, netem: bool) -> Iterator[tuple[WireRig, Callable[[], dict[str, int]]]]:
    """A rig behind a bad line, and what counts its faults."""
    if netem:
        settings: dict[str, float] = {"loss": faults.loss, "duplicate": faults.duplicate}
        if faults.reorder:
            settings |= {"prob_reorder": faults.reorder, "delay": DELAY_US["netem"]}
        with rigs.netem_rig(NUMBER, **settings) as (rig, line):
            yield rig, lambda: {"lost": line.lost(), **line.heard()}
        return
    ppm = {
        name: round(value * PPM_OF_PERCENT)
        for name, value in (("lost_ppm", faults.loss), ("late_ppm", faults.reorder), ("doubled_ppm", faults.duplicate))
    }
    delay = {"late_ns": DELAY_US["forwarder"] * 1000}
    with rigs.adverse_rig(NUMBER, random.randrange(1 << 32), **ppm, **delay) as (rig, forwarder):
        yield (
            rig,
            lambda: {
                name: sum(forwarder.counts[count])
                for name, count in (("lost", "lost"), ("overtaken", "late"), ("doubled", "doubled"))
            },
        )


def bad(orders: int, faults: Faults, *, netem: bool) -> dict[str, Any]:
    """A line that loses, overtakes and doubles."""
    with _behind(faults, netem) as (rig, counts):
        rig.open()
        log_in(rig)
        refused = rigs.trade(rig, orders)
        return _result(rig, orders, refused) | counts()


def kill(poll_s: float) -> dict[str, Any]:
    """SIGKILL for a process that trades: the peer sees whole orders, each once, and a FIN."""
    raised = Lab(f"hft_wire{NUMBER}", f"hftw{NUMBER}a", f"hftw{NUMBER}b", f"10.79.{NUMBER}.0/24")
    with raised:
        end = crash(raised, "--poll-s", str(poll_s), after_s=random.uniform(0.5, 0.8))
    assert end.orders >= LEAST_BEFORE_KILL, f"only {end.orders} orders had left"
    assert not end.reset, "the peer saw a RST"
    return {"orders": end.orders, "by_the_hook": end.orders, "end": "FIN"}


def faults_of(text: str) -> Faults:
    """`loss=1,reorder=0.1`. Raises argparse.ArgumentTypeError."""
    try:
        return Faults(**{name: float(value) for name, _, value in (part.partition("=") for part in text.split(","))})
    except (TypeError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r}: write it like loss=1,reorder=0.1,duplicate=5") from None


def run(line: str, orders: int, *, netem: bool) -> dict[str, Any]:
    """Trade on that line. Raises AssertionError unless the peer got what was meant."""
    by_name: dict[str, Callable[[], dict[str, Any]]] = {
        "clean": lambda: clean(orders),
        "replies": lambda: replies(orders),
        "kill": lambda: kill(20e-6),
        "kill-unmerged": lambda: kill(STALLED_S),
    }
    began = time.monotonic()
    found = by_name[line]() if line in by_name else bad(orders, faults_of(line), netem=netem)
    means = "" if line in by_name else "netem" if netem else "forwarder"
    return {"line": line, "by": means, **found, "seconds": round(time.monotonic() - began, 2)}


def loaded() -> list[str]:
    """Every file of a module that was imported, by the process that is killed too."""
    files = {getattr(module, "__file__", None) for module in sys.modules.values()} | {wire_victim.__file__}
    return sorted(os.path.abspath(name) for name in files if name)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "lines", nargs="+", help="clean, replies, kill, kill-unmerged, or per cents such as loss=1,reorder=1"
    )
    parser.add_argument("--orders", type=int, default=300, help="on each (300)")
    parser.add_argument("--no-netem", action="store_true", help="bad lines by native/rig/forward.c instead")
    parser.add_argument("--wait-s", type=float, default=rigs.WAIT_S, help="patience with anything (20)")
    parser.add_argument("--files", action="store_true", help="at the end, every file of a module that was imported")
    args = parser.parse_args()
    rigs.WAIT_S = args.wait_s
    print("wire " + json.dumps({"release": os.uname().release}), flush=True)
    for line in args.lines:
        print("wire " + json.dumps(run(line, args.orders, netem=not args.no_netem)), flush=True)
    if args.files:
        print("wire " + json.dumps({"files": loaded()}), flush=True)


if __name__ == "__main__":
    main()

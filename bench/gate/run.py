"""What the gate costs, check by check: builds of the program without one of them, side by side with the whole.

An order by hand meets every check and is refused by the last (all orders are halted), so nothing changes and the same
frame can be run again and again: command, gate, event. One order of ours is open, and one was sent within the window
of duplicates. The difference between the whole program and one without a
check is that check's cost; between it and one without the gate, the gate's. Caches and branch predictors are warm, as
they are after a few ticks; the first order after a pause pays for its cold lines beside this.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import platform
import struct
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles

from turbo_hft import abi, lab_feed, lab_session
from turbo_hft._native import ffi, lib
from turbo_hft.latency import placement
from turbo_hft.latency.machine import cpu_model
from turbo_hft.program import use_engine_object
from turbo_hft.testing import Hook, Verdict
from turbo_hft.testing.scenario import stock_directory
from turbo_hft.testing.wide import SYMBOL, widen
from turbo_hft.wire import blocks, itch50, ufo
from turbo_hft.wire.frame import udp_frame
from turbo_hft.wire.moldudp64 import Packet

from tools.clauses import ROOT, WHOLE, WITHOUT_GATE, ClauseError, build, clauses

CPU = placement.CONTROL_CPU
TESTS = [ROOT / "tests" / "kernel" / name for name in ("test_gate.py", "test_delegated_guards.py")]
BEGIN, END = "<!-- gate cost: begin -->", "<!-- gate cost: end -->"
BID_E4, ASK_E4 = 1_631_000, 1_632_000
EXPECTED_NS = 60
_COMMAND = struct.Struct("<QIIIIQII")
_LAST = "HALTED_GLOBAL"


@dataclass(frozen=True, slots=True)
class Cost:
    """ns an order: median, and the quartiles over the repetitions."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Cost:
        """Of at least two."""
        low, middle, high = quantiles(samples, n=4, method="inclusive")
        return cls(middle, low, high)


class Contestant:
    """A build, loaded, with an order that passes every check but the last."""

    def __init__(self, hook: Hook) -> None:
        self.hook = hook
        self.sequence = 1
        self.clock = 34_200_000_000_000
        engine = hook.engine
        widen(engine)
        engine.configure(lab_session(), lab_feed())
        engine.symbols.add("AAPL", **SYMBOL)
        self._market(
            itch50.SystemEvent(stock_locate=0, event_code="Q", **self._stamp()).encode(),
            stock_directory("AAPL", 1, self._stamp()),
            itch50.StockTradingAction(
                stock_locate=1, stock="AAPL", trading_state="T", reserved="", reason="", **self._stamp()
            ).encode(),
            self._rest(1, "B", BID_E4),
            self._rest(2, "S", ASK_E4),
        )
        session = lab_session()
        self._run(session.remote, session.local, ufo.LoginAccepted("ORDERS", 1).encode())
        engine.lease.forever()
        # One order is open, and one is remembered, so that what looks for such finds some.
        engine.limits.duplicate_window_s = 1
        engine.resume()
        self.hook.run(self._order(50, BID_E4 - 1000))
        engine.halt()
        self.frame = self._order(100, BID_E4)

    def _stamp(self) -> dict[str, int]:
        self.clock += 1000
        return {"tracking_number": 0, "timestamp": self.clock}

    def _rest(self, ref: int, side: str, price_e4: int) -> bytes:
        values = {"stock_locate": 1, "order_ref": ref, "shares": 1000, "price": price_e4}
        return itch50.AddOrder(side=side, stock="AAPL", **values, **self._stamp()).encode()

    def _market(self, *messages: bytes) -> None:
        feed = lab_feed()
        self._run((str(feed.source), 1), (feed.group, feed.port), Packet("BENCH", self.sequence, messages).encode())
        self.sequence += len(messages)

    def _run(self, source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> None:
        session = lab_session()
        self.hook.run(
            udp_frame(
                src_mac=session.remote_mac, dst_mac=session.local_mac, src=source, dst=destination, payload=payload
            )
        )

    def _order(self, qty: int, price_e4: int) -> bytes:
        engine = self.hook.engine
        intent = ffi.new("struct hft_intent *")
        intent.action, intent.side, intent.price_e4, intent.qty = lib.HFT_ACTION_ENTER, lib.HFT_BUY, price_e4, qty
        header = _COMMAND.pack(engine.command_nonce, lib.HFT_OP_ORDER, 0, 0, 1, 0, 0, 0)
        at = next(at for at, flow in engine.flow_table() if flow.role == lib.HFT_ROLE_COMMAND)
        mac = "02:00:00:00:00:00"
        payload = header + blocks.join((bytes(ffi.buffer(intent)),))
        return udp_frame(src_mac=mac, dst_mac=mac, src=("240.0.0.0", 1), dst=at, payload=payload)

    def check(self) -> None:
        """Is it refused by the last check?"""
        before = self.hook.engine.refusals()[_LAST.lower()]
        verdict = self.hook.run(self.frame).verdict
        if verdict != Verdict.ABORTED or self.hook.engine.refusals()[_LAST.lower()] != before + 1:
            raise ClauseError(f"the order was not refused by the last check: {self.hook.engine.refusals()}")

    def sample(self, runs: int) -> float:
        """ns an order."""
        begin = time.thread_time_ns()  # so that another process's turn does not count
        self.hook.run(self.frame, repeat=runs)
        return (time.thread_time_ns() - begin) / runs


def measure(runs: int, repetitions: int, *, show: bool) -> dict[str, Cost]:
    """ns by reason, "gate" for all of them, "order" for the whole frame. Builds take turns."""
    checks = {clause.reason: clause.number for clause in clauses() if clause.reason}
    mutants = {"whole": WHOLE, "none": WITHOUT_GATE, **{name: n for name, n in checks.items() if name != _LAST}}
    samples: dict[str, list[float]] = {name: [] for name in mutants}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turbo-hft-gate-")))
        contestants = {}
        for place, (name, number) in enumerate(mutants.items()):
            if show:
                print(f"\rbuild {place + 1} of {len(mutants)}", end="", file=sys.stderr)
            use_engine_object(build(number, folder).read_bytes())
            stack.callback(use_engine_object, None)
            contestants[name] = Contestant(stack.enter_context(Hook(symbols=16, orders=256, levels=128, kept=64)))
            contestants[name].check()
        order = list(contestants)
        for repetition in range(repetitions):
            if show:
                print(f"\rrepetition {repetition + 1} of {repetitions}", end="", file=sys.stderr)
            for name in order if repetition % 2 == 0 else reversed(order):
                samples[name].append(contestants[name].sample(runs))
    if show:
        print(file=sys.stderr)
    whole = samples["whole"]
    costs = {"order": Cost.of(whole), "gate": _less(whole, samples["none"])}
    return costs | {name: _less(whole, samples[name]) for name in mutants if name not in ("whole", "none")}


def _less(whole: Sequence[float], without: Sequence[float]) -> Cost:
    return Cost.of([first - second for first, second in zip(whole, without, strict=True)])


def tests_of() -> dict[str, list[str]]:
    """Reason -> the tests that name it."""
    found: dict[str, list[str]] = {}
    reasons = [name.removeprefix("HFT_REASON_") for name in dir(lib) if name.startswith("HFT_REASON_")]
    for path in TESTS:
        text = path.read_text()
        lines = text.splitlines()
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and (path is not TESTS[0] or node.name.startswith("test_")):
                first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
                body = "\n".join(lines[first - 1 : node.end_lineno])
                quoted = body.replace("Reason.", '"').replace(
                    'f"HALTED_', '"HALTED_SYMBOL" "HALTED_STRATEGY" "HALTED_GLOBAL" "'
                )
                for reason in reasons:
                    if f'"{reason}"' in quoted or f'"{reason}]' in quoted or f'"{reason.lower()}"' in quoted:
                        name = node.name if node.name.startswith("test_") else f"test_it_holds[{node.name}]"
                        found.setdefault(reason, []).append(name)
    return found


def table(costs: dict[str, Cost], rig: str) -> str:
    """Markdown: every reason, its tests and its cost."""
    tests = tests_of()
    rows = ["| reason | test | ns, median (middle half) |", "|---|---|---:|"]
    for name in map(str.upper, abi.reasons().values()):
        seen = "<br>".join(f"`{test}`" for test in tests.get(name, []))
        if name in costs:
            cost = costs[name]
            rows.append(f"| `{name}` | {seen} | {cost.median:.1f} ({cost.low:.1f}–{cost.high:.1f}) |")
        elif name == _LAST:
            rows.append(f"| `{name}` | {seen} | in every build |")
    gate, order = costs["gate"], costs["order"]
    summary = (
        f"The whole gate: **{gate.median:.1f} ns** ({gate.low:.1f}–{gate.high:.1f}) of {order.median:.0f} ns for the "
        "frame of an order by hand, its command and its event included. Single checks overlap in the processor, so "
        "they do not add up to it; a negative figure is noise and code that happened to lie better."
    )
    return "\n".join([*rows, "", summary, "", rig])


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="bench.gate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20_000, metavar="N", help="orders a repetition (20,000)")
    parser.add_argument("--repetitions", type=int, default=41, metavar="N", help="of every build, in turns (41)")
    parser.add_argument("--document", type=Path, metavar="FILE", help=f"put the table between {BEGIN} and {END}")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    args = parser.parse_args()
    os.sched_setaffinity(0, {CPU})
    try:
        costs = measure(args.runs, args.repetitions, show=sys.stderr.isatty())
    except ClauseError as error:
        print(f"bench.gate: {error}", file=sys.stderr)
        return 1
    rig = (
        f"Rig: Linux {platform.release()}, {cpu_model()}, CPU {CPU}; {args.repetitions} repetitions of "
        f"{args.runs:,} orders a build, builds in turns."
    )
    if args.json:
        print(json.dumps({name: asdict(c) for name, c in costs.items()}))
    else:
        print(table(costs, rig))
    if args.document:
        text = args.document.read_text()
        before, rest = text.split(BEGIN, 1)
        args.document.write_text(f"{before}{BEGIN}\n{table(costs, rig)}\n{END}{rest.split(END, 1)[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

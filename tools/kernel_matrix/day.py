"""The run that every kernel repeats: some days in small, with faults and what mends them, and a trade over the wire."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turbo_hft import FeedAddress, abi, lab_session
from turbo_hft._native import ffi, lib
from turbo_hft.limits import SymbolLimitSettings
from turbo_hft.program import LoadSettings
from turbo_hft.testing import RunResult, Verdict, trial
from turbo_hft.testing.scenario import Scenario
from turbo_hft.testing.wide import SYMBOL, widen
from turbo_hft.wire import ufo
from turbo_hft.wire.frame import udp_frame
from turbo_hft.wire.moldudp64 import Packet

from tools.kernel_matrix.errors import MatrixError
from tools.kernel_matrix.recorder import RecordingHook, span

VECTORS = Path(__file__).resolve().parents[2] / "tests" / "golden" / "vectors.json"

SYMBOLS = {"AAPL": 13, "MSFT": 14, "ZVZZT": 15, "LATER": 16}
TRACKED_LATE = "LATER"
SOURCE_PORT = 40000
SESSION = lab_session()
FEED = trial.FEED
SECOND_FEED = FeedAddress("239.79.0.1", 26477, "10.77.0.2")
assert FEED.rerequest is not None
FEED_FLOW = ((str(FEED.source), SOURCE_PORT), (FEED.group, FEED.port))
LINE_B = ((str(FEED.source_b), SOURCE_PORT), (str(FEED.group_b), FEED.port))
SECOND_FLOW = ((str(SECOND_FEED.source), SOURCE_PORT), (SECOND_FEED.group, SECOND_FEED.port))
REPLIES = (SESSION.remote, SESSION.local)
COMMANDER = ("240.0.0.0", 1)
MACS = (SESSION.remote_mac, SESSION.local_mac)

# Small tables, so that they run full, and rings that go round.
SETTINGS: LoadSettings = {"clock": "feed", "symbols": 16, "feeds": 2, "orders": 256, "levels": 128, "kept": 64}

# Tables of the books, as commands number them.
TABLES = tuple(abi.names("hft_table", "HFT_TABLE_").values())
# The books, whole, after every frame: the levels near the touch, those away from it, their orders, what finds them.
FOLLOWED = (".data.books", *(f".data.{table}" for table in TABLES))
# What the monotonic clock stamped, the times it measured, and the CPU that a frame met.
_FEED_BYTES, (_CPU_AT, _CPU_BYTES) = ffi.sizeof("struct hft_feed_state"), span("hft_feed_state", "cpu")
_ORDER_BYTES, (_SENT_AT, _SENT_BYTES) = ffi.sizeof("struct hft_working"), span("hft_working", "sent_ns")
IGNORED = {
    "events": [span("hft_event", "local_ns"), span("hft_event", "hook_ns")],
    ".data.working": [(order * _ORDER_BYTES + _SENT_AT, _SENT_BYTES) for order in range(lib.HFT_MAX_WORKING)],
    ".data.feeds": [(feed * _FEED_BYTES + _CPU_AT, _CPU_BYTES) for feed in range(lib.HFT_MAX_FEEDS)],
}
# Whole maps that no other run repeats: measured times, and what the hook keeps of the frame at hand, with its time.
UNREPEATABLE = ("histograms", ".bss", ".data.engine")

# Kinds of Scenario.several, as often as they stand here.
TRADING = ("data",) * 14 + ("reply",) * 10 + ("line_b",) * 5 + ("rerequest",) * 4 + ("market", "quiet", "control")
RECOVERY = ("resync",) * 4 + ("market", "pile", "abandon", "command")
# A day soon comes to a state in which nothing trades any more: so there are many, and each is short.
DAYS = 60
ACTIONS = 110
WIRE_SEARCH = 500  # actions; the last day has to trade on the wire
LIMITS: SymbolLimitSettings = {**SYMBOL, "max_order_qty": 500, "max_long": 100_000}


@dataclass(frozen=True, slots=True)
class Plan:
    """How a day goes: what share of it is wrong on purpose, whether books are deep, and what happens."""

    faults: float
    deep: bool
    kinds: tuple[str, ...]


def plan(number: int) -> Plan:
    """Of a day, from 1. The last one is without faults: it trades on the wire."""
    last = number == DAYS
    faults = 0.0 if last else (0.0, 0.005, 0.02, 0.0, 0.1)[number % 5]
    return Plan(faults, not last and number % 2 == 0, TRADING if last or number % 3 == 0 else TRADING + RECOVERY)


# What must have happened, or the run proves too little: counters of the hook, and what Day counts.
NEEDED = (
    *("orders", "fills", "fills on the wire"),
    *("feed_holds", "feed_gaps", "feed_kept", "feed_missed", "feed_rollovers", "first by line b", "first by rerequest"),
    *("book_quarantines", "book_kept", "book_restores", "commands", "commands_refused", "doubt gap", "doubt full"),
    *("doubt field", "doubt late", "doubt unknown_ref", "doubt requested", "doubt snapshot"),
    *("windows forward", "windows back", "far levels", "spilled orders", "levels of a side", "golden messages"),
    *(f"itch {kind}" for kind in "SRHYLVWKJhAFECXDUPQBINO"),
)
LEAST_LEVELS = 20


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a script holds. `did`: how often what happened, on this machine's kernel."""

    frames: int
    order_frames: int
    did: dict[str, int]


class Day:
    """One configured engine and what its exchange does. Everything follows from the number of the day."""

    def __init__(self, hook: RecordingHook, number: int, did: Counter[str]) -> None:
        hook.reset()
        self.hook = hook
        self.engine = hook.engine
        self.plan = plan(number)
        self.rng = random.Random(number)
        self.did = did
        self.frames = self.order_frames = 0
        self._windows: dict[tuple[int, int], int] = {}
        self._configure()
        loaded = self.engine.program.config
        self.commands = next(at for at, flow in self.engine.flow_table() if flow.role == lib.HFT_ROLE_COMMAND)
        self.scenario = Scenario(
            dict(SYMBOLS),
            FEED_FLOW,
            REPLIES,
            MACS,
            faults=self.plan.faults,
            salt=number,
            line_b=LINE_B,
            rerequest=FEED.rerequest,
            commands=(COMMANDER, self.commands),
            nonce=self.engine.command_nonce,
            buckets=tuple(getattr(loaded, f"{table.removesuffix('s')}_mask") + 1 for table in TABLES),
            kept_mask=loaded.kept_mask,
            deep=self.plan.deep,
        )
        for action in ("login", "directory"):
            self.step(action)

    def _configure(self) -> None:
        self.engine.configure(SESSION, (FEED, SECOND_FEED))
        for name in SYMBOLS:
            if name != TRACKED_LATE:
                self._track(name)
        widen(self.engine)
        self.engine.lease.forever()
        self.engine.resume()

    def _track(self, name: str) -> None:
        self.engine.symbols.add(
            name,
            buy_below=self.rng.choice(("163.00", "163.05", "163.20")),
            sell_above=self.rng.choice((None, "163.21")),
            step_qty=self.rng.choice((0, 10)),
            **LIMITS,
        )

    def step(self, kind: str = "") -> list[RunResult]:
        """The next action; an order is answered by later replies. Now and then Python turns a knob before it."""
        draw = self.rng.random()
        if draw < 0.02:
            self.engine.symbols["AAPL"].buy_below = self.rng.choice(("162.95", "163.05", "163.20"))
        elif draw < 0.03 and TRACKED_LATE not in self.engine.symbols:
            self._track(TRACKED_LATE)
        action = kind or self.rng.choice(self.plan.kinds)
        return [self.run(frame) for frame in self.scenario.several(action, self.rng.randrange(2**32))]

    def run(self, frame: bytes) -> RunResult:
        """One frame, and what it did to the books."""
        result = self.hook.run(frame)
        self.frames += 1
        if result.verdict == Verdict.TX:
            self.order_frames += 1
            self.scenario.observe(result.frame)
        self._watch()
        return result

    def _watch(self) -> None:
        """Windows follow the best price: what is left behind leaves them, what is near again comes back."""
        for view in self.engine.symbols:
            book = self.engine.symbols._books[view.index]
            for side in (lib.HFT_BUY, lib.HFT_SELL):
                first = book.window_e4[side]
                before = self._windows.get((view.index, side), first)
                self._windows[view.index, side] = first
                self.did["windows forward"] += first > before if side == lib.HFT_BUY else first < before
                self.did["windows back"] += first < before if side == lib.HFT_BUY else first > before

    def end(self) -> None:
        """Everything that the day left behind: the books' depth, and what came by which line first."""
        feed = self.engine.feed
        for line, first in zip(("a", "b", "rerequest"), feed.first, strict=True):
            self.did[f"first by line {line}" if line != "rerequest" else "first by rerequest"] += first
        for view in self.engine.symbols:
            depth = view.depth(10_000)
            self.did["levels of a side"] = max(self.did["levels of a side"], len(depth.bids), len(depth.asks))
        blocks, size = self.hook.state["book_levels"]
        each = ffi.sizeof("struct hft_level_block")
        self.did["far levels"] += sum(bool(cell) for i in range(size // each) for cell in blocks[i].cell)
        spill, size = self.hook.state["order_spill"]
        self.did["spilled orders"] += sum(
            value != 0 for i in range(size // ffi.sizeof("struct hft_bucket")) for value in spill[i].value
        )
        self.did["fills"] += self.fills
        for event in self.engine.events:
            self.did[f"doubt {event.reason}" if event.kind == "book_quarantined" else f"event {event.kind}"] += 1
        self.hook.expect(but=UNREPEATABLE)

    @property
    def fills(self) -> int:
        """Executions of our orders today."""
        return sum(int(self.engine.symbols._states[view.index].fills) for view in self.engine.symbols)

    def golden(self) -> None:
        """Every message of the golden vectors: as it is, on a feed that has nothing else, and on that of the books."""
        vectors: dict[str, Any] = json.loads(VECTORS.read_text())
        for payload in vectors["moldudp64"].values():
            self.run(_datagram(SECOND_FLOW, bytes.fromhex(payload)))
        itch = [bytes.fromhex(vector["hex"]) for vector in vectors["itch50"].values()]
        locate = SYMBOLS["AAPL"].to_bytes(2, "big")
        of_aapl = [message[:1] + locate + message[3:] for message in itch]
        for messages in (itch, of_aapl, *([message] for message in itch)):
            self.run(_datagram(FEED_FLOW, Packet(self.scenario.session, self._next_seq(), tuple(messages)).encode()))
        for vector in vectors["ouch50"].values():
            replies = ufo.Sequenced(self.engine.session.expected_seq, (bytes.fromhex(vector["hex"]),))
            self.run(_datagram(REPLIES, replies.encode()))
        self.did["golden messages"] += 3 * len(itch) + len(vectors["ouch50"])

    def _next_seq(self) -> int:
        return self.engine.feed.expected_seq

    def trade_on_the_wire(self) -> None:
        """A trade, then what else may come by a wire: line B, and a command from somebody who does not know the nonce.
        Raises MatrixError when the day gives no trade."""
        self.hook.on_wire = True
        before = self.fills
        self._until(lambda results: any(result.verdict == Verdict.TX for result in results))
        self._until(lambda _: self.fills > before)
        self.did["fills on the wire"] += self.fills - before
        self.step("line_b")
        self.run(self._forged())
        self.step("quiet")
        self.hook.on_wire = False

    def _until(self, done: Callable[[list[RunResult]], bool]) -> None:
        if not any(done(self.step(self.rng.choice(("data", "reply")))) for _ in range(WIRE_SEARCH)):
            raise MatrixError(f"{WIRE_SEARCH} frames of the last day gave no trade: change DAYS.")

    def _forged(self) -> bytes:
        command = ffi.new("struct hft_command *", {"nonce": self.engine.command_nonce ^ 1, "op": lib.HFT_OP_QUARANTINE})
        return _datagram((COMMANDER, self.commands), bytes(ffi.buffer(command)))


def _datagram(flow: tuple[tuple[str, int], tuple[str, int]], payload: bytes) -> bytes:
    return udp_frame(src_mac=MACS[0], dst_mac=MACS[1], src=flow[0], dst=flow[1], payload=payload)


def _counts(hook: RecordingHook) -> Counter[str]:
    counts = Counter(hook.engine.counters())
    counts.update({f"itch {name}": value for name, value in hook.engine.itch_counts().items()})
    counts.update({f"refused {name}": value for name, value in hook.engine.refusals().items()})
    return counts


@contextmanager
def one_cpu() -> Iterator[None]:
    """The hook counts packets of a feed that come in on another CPU than the one before."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def record(path: Path) -> Recorded:
    """Run the days on this machine's kernel, write the script, say what is in it."""
    frames = order_frames = 0
    did: Counter[str] = Counter()
    with one_cpu(), RecordingHook(IGNORED, FOLLOWED, **SETTINGS) as hook:
        before = _counts(hook)
        for number in range(1, DAYS + 1):
            day = Day(hook, number, did)
            for _ in range(ACTIONS):
                day.step()
            if number == DAYS:
                day.trade_on_the_wire()
                day.golden()
            day.end()
            frames += day.frames
            order_frames += day.order_frames
        did.update(_counts(hook) - before)
        hook.save(path)
    _judge(did)
    return Recorded(frames, order_frames, {name: count for name, count in sorted(did.items()) if count})


def _judge(did: Counter[str]) -> None:
    missing = [name for name in NEEDED if not did[name]]
    if missing:
        raise MatrixError(f"the recorded run never had {', '.join(missing)}: that proves too little; change DAYS.")
    if did["levels of a side"] < LEAST_LEVELS:
        raise MatrixError(f"at most {did['levels of a side']} levels a side were recorded: too few; change DAYS.")

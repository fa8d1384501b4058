"""The measuring loop on a wire that is two sockets: what is late is counted from the time that it was due."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace

import pytest
from turbo_hft._native import ffi, lib
from turbo_hft.errors import ConfigError, ExchangeError
from turbo_hft.lab import LabAddresses
from turbo_hft.latency.loads import CLOSED, many_symbols, open_loop, opening, prepare
from turbo_hft.latency.results import Load
from turbo_hft.latency.rigs import flows
from turbo_hft.latency.script import Script, ScriptBuilder, check_orders
from turbo_hft.latency.threshold import Threshold
from turbo_hft.latency.trial import Arrays
from turbo_hft.latency.work import Work

ADDRESSES = LabAddresses()


@pytest.mark.parametrize(
    "load", [CLOSED, open_loop(1_000), open_loop(500, 20), opening(38)], ids=lambda load: load.title
)
def test_a_script_is_in_order_and_its_triggers_can_be_told_apart(load: Load) -> None:
    work, script = prepare(load, ADDRESSES, 300, warmup=10)
    steps = list(script.steps)
    assert [one.due_ns for one in steps] == sorted(one.due_ns for one in steps)
    numbers = [one.trigger for one in steps if one.trigger != lib.HFT_SCRIPT_NO_TRIGGER]
    assert numbers == list(range(len(script.triggers)))
    assert len({one.symbol for one in work.armed} | set(work.kept)) == len(work.armed) + len(work.kept)
    keys = [script.keys[at : at + 16] for at in range(0, len(script.keys), 16)]
    window = 256 if not script.closed else 64
    for at in range(max(1, len(keys) - window)):
        assert len(set(keys[at : at + window])) == len(keys[at : at + window])
    sequence = 1
    for place, one in enumerate(steps):
        frame = bytes(script.frames[one.offset : one.offset + one.length])
        assert int.from_bytes(frame[52:60], "big") == sequence
        count = int.from_bytes(frame[60:62], "big")
        prelude = place < script.opening or load.kind == "burst"
        assert 0 < count <= (60 if prelude else load.messages_per_packet)
        sequence += count
    assert sequence == script.messages + 1


class Echoing:
    """The other end: it sends every frame back, and stalls once."""

    def __init__(self, stall_at: int, stall_s: float) -> None:
        self.near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for one in (self.near, self.far):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.near.setblocking(False)
        self._stall = (stall_at, stall_s)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        number = 0
        while frame := self.far.recv(2048):
            if number == self._stall[0]:
                time.sleep(self._stall[1])
            number += 1
            self.far.send(frame)

    def __enter__(self) -> Echoing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.near.close()
        self._thread.join()
        self.far.close()


def echoed(script: Script, stall_at: int, stall_s: float) -> Arrays:
    error = ffi.new("int *")
    with Echoing(stall_at, stall_s) as other:
        wire = lib.hft_wire_tap(other.near.fileno(), flows(ADDRESSES, echo=True), error)
        arrays = Arrays(script)
        native = arrays.native(wire, ADDRESSES, 1, echo=True)
        native.timeout_ns = 1_000_000_000
        assert lib.hft_script_run(native) == 0
        arrays.keep.append(native)
        lib.hft_wire_close(wire)
    return arrays


def test_who_stalls_pays_for_everything_that_was_due_meanwhile() -> None:
    """A stall of 40 ms at 1,000 packets a second: a loop that waited for its answer would have seen one slow packet."""
    builder = ScriptBuilder(ADDRESSES, many_symbols(4, 0))
    for number in range(120):
        tick, _, trigger = builder.tick(number % 4)
        builder.packet(number * 1_000_000, [tick], trigger)
    script = builder.done(warmup=0, closed=False)
    arrays = echoed(script, script.opening + 20, 0.04)
    found = arrays.run(arrays.keep[-1], script, None, "")
    slow = sorted(value for value in found.rtt_ns() if value > 5_000_000)
    assert len(found.rtt_ns()) == 120
    assert 25 <= len(slow) <= 60 and slow[-1] >= 39_000_000
    assert found.due_ns[1] - found.due_ns[0] == 1_000_000, "the schedule is kept, whatever comes back"


def test_every_byte_of_an_order_counts() -> None:
    _, script = prepare(CLOSED, ADDRESSES, 1, warmup=1)
    good = script.triggers[0].order(1)
    second = script.triggers[1].order(2)
    assert check_orders(script, (good, second)) == 2
    assert check_orders(script, (b"", second)) == 1, "the first came late, or never"
    for position in range(len(good)):
        bad = bytes([*good[:position], good[position] ^ 1, *good[position + 1 :]])
        with pytest.raises(ExchangeError, match="trigger 0"):
            check_orders(script, (bad, second))


def test_what_cannot_be_sent_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="twice"):
        ScriptBuilder(ADDRESSES, Work((Threshold(),), ("AAPL",)))
    builder = ScriptBuilder(ADDRESSES, Work((Threshold(), replace(Threshold(), symbol="MSFT"))))
    with pytest.raises(ConfigError, match="a packet holds"):
        builder.packet(0, [bytes(36)] * 50)
    with pytest.raises(ConfigError, match="to warm up"):
        builder.done(warmup=1, closed=True)
    with pytest.raises(ConfigError, match="at least one"):
        prepare(open_loop(0), ADDRESSES, 10)

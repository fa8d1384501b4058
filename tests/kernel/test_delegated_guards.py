"""The invariants of delegated sends (docs/delegated-send.md): each holds, and is missed in a build without its guard.

`make wire-guards` leaves out every one of them; here it is some, as compiling takes seconds.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import wire_rig as wire_rig_module
from ouch_replies import accepted
from this_run import lots
from turbo_hft._native import lib
from turbo_hft.errors import ConfigError, ExchangeError, OrderRefused
from turbo_hft.program import use_engine_object
from turbo_hft.wire import ufo
from wire_builds import hook_without, native_without, opened
from wire_cancels import cancel_of, canceled, hold, live_order
from wire_rig import HEARTBEAT, WireRig, adverse_rig, wait_for, wire_rig

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

SAMPLE = int(os.environ.get("WIRE_GUARDS", "1"))
STALLED_S = 0.2  # between two merges: long enough that a test's next steps come before
NUMBER = 3


@dataclass(frozen=True)
class Build:
    """A build under test; None is the package's own."""

    hook: bytes | None = None
    native: object = None

    @contextmanager
    def rig(self, *, poll_s: float = 20e-6, **settings: object) -> Iterator[WireRig]:
        """An open rig of that build, armed."""
        use_engine_object(self.hook)
        try:
            with wire_rig(NUMBER, **settings) as rig:
                rig.open(native=self.native, poll_s=poll_s)
                rig.connection.arm()
                if poll_s == STALLED_S:  # begin right behind a look of the merging thread
                    assert rig.fire(answer=False)
                    wait_for(lambda: rig.connection.status.merged == 1, "not merged")
                yield rig
        finally:
            use_engine_object(None)


# 1. One owner of the wire's next byte


def the_hook_sends_only_when_armed(build: Build) -> None:
    with build.rig() as rig:
        rig.connection.disarm()
        assert not rig.fire()
        assert rig.refused("wire_down") == 1
        rig.wire.word |= lib.HFT_WIRE_HELD
        assert not rig.fire()
        assert rig.refused("wire_busy") == 1
        rig.wire.word &= ~lib.HFT_WIRE_HELD


def an_ordinary_send_waits_for_the_merge(build: Build) -> None:
    with build.rig(poll_s=STALLED_S) as rig:
        assert rig.fire(answer=False)
        assert rig.connection.status.unmerged == 1, "merged already: the test shows nothing"
        rig.send()
        rig.agree()


def a_write_behind_the_hooks_back_stops_it(build: Build) -> None:
    with build.rig() as rig:
        assert rig.fire()
        wait_for(lambda: not rig.connection.status.unmerged, "not merged")
        rig.socket.send(HEARTBEAT)
        rig.expected += HEARTBEAT
        assert not rig.fire()
        assert rig.refused("wire_down") == 1
        rig.agree()


def a_fin_of_the_peer_ends_it_at_once(build: Build) -> None:
    with build.rig() as rig:
        rig.peer.socket.shutdown(socket.SHUT_WR)
        wait_for(lambda: "closed" in rig.connection.status.flags, "the FIN was not seen")
        assert not rig.fire(answer=False)
        with pytest.raises(ExchangeError):
            rig.connection.send(HEARTBEAT)


def nothing_newer_leaves_while_a_cancel_waits(build: Build) -> None:
    with build.rig(poll_s=STALLED_S) as rig:
        ref = live_order(rig)
        rig.wire.word |= lib.HFT_WIRE_HELD
        rig.engine.orders.cancel(ref)
        rig.wire.word &= ~lib.HFT_WIRE_HELD
        rig.expected += cancel_of(ref)
        canceled(rig, ref)
        assert not rig.fire(answer=False), "it overtook the cancel"
        assert rig.refused("wire_busy") == 1
        rig.agree()
        wait_for(lambda: "armed" in rig.connection.status.flags, "not armed again")
        assert rig.fire()
        rig.agree()


# 2. Armed only when all is sent, and between messages


def what_the_kernel_has_not_sent_holds_the_hook_back(build: Build) -> None:
    with build.rig(receive_buffer=4096) as rig:
        block = HEARTBEAT * 20_000
        rig.send(block)  # far more than the peer's window
        assert "held" in rig.connection.status.flags
        assert not rig.fire(answer=False)
        assert rig.refused("wire_busy") == 1
        rig.agree()
        wait_for(lambda: "armed" in rig.connection.status.flags, "not armed again")
        assert rig.fire()
        rig.agree()


def half_a_packet_is_not_sent(build: Build) -> None:
    with build.rig() as rig:
        for half in (b"", HEARTBEAT[:2], HEARTBEAT + b"\0", b"\0\0", b"\0\2R"):
            with pytest.raises(ConfigError):
                rig.connection.send(half)
                rig.expected += half
        assert rig.fire()
        rig.agree()


# 3 and 5. A place for the report is there before anything is sent; what is sent does not change any more


def no_more_leave_than_reports_have_places(build: Build) -> None:
    with build.rig(poll_s=STALLED_S) as rig:
        left = [rig.fire(answer=False) for _ in range(lib.HFT_MAX_UNMERGED + 20)]
        assert left == [True] * lib.HFT_MAX_UNMERGED + [False] * 20
        assert rig.refused("wire_unmerged") == 20
        wait_for(lambda: not rig.connection.status.unmerged, "not merged")
        assert rig.fire()
        rig.agree()


def what_is_merged_is_what_was_sent() -> None:
    """The hook's own segment is lost, so the peer gets the bytes from the kernel: those that were merged."""
    with adverse_rig(NUMBER, 1) as (rig, line):
        rig.open()
        rig.connection.arm()
        for _ in range(5):
            assert rig.fire()
        rig.agree()
        line.change(lost_ppm=(1_000_000, 0))
        assert rig.fire(answer=False)
        wait_for(lambda: rig.connection.status.merged == rig.connection.status.fired, "not merged")
        wait_for(lambda: line.counts["lost"][0] > 0, "the line has not lost it")
        line.change(lost_ppm=0)
        rig.agree()
        assert rig.connection.status.total_retransmits > 0


# 4. No acknowledgement above what the kernel has sent reaches it


def a_reply_that_acknowledges_too_early_is_heard_all_the_same(build: Build) -> None:
    with build.rig(poll_s=STALLED_S) as rig:
        assert rig.fire(answer=False)
        rig.peer.answer()
        wait_for(lambda: rig.engine.counters()["wire_packets"] > 0, "the reply did not come")
        assert rig.connection.status.unmerged == 1, "merged already: the test shows nothing"
        time.sleep(0.01)
        assert rig.connection.recv() is not None
        rig.agree()


def what_was_held_back_is_said_again(build: Build) -> None:
    with build.rig(poll_s=0.02) as rig:
        assert rig.fire(answer=False)
        rig.peer.answer()
        wait_for(lambda: rig.connection.status.merged == 1, "not merged")
        wait_for(lambda: rig.connection.status.unacknowledged == 0, "the acknowledgement is lost")
        assert rig.connection.status.acks_delivered >= 1


# 5. Never past the peer's window


def nothing_leaves_that_the_peer_has_no_room_for(build: Build) -> None:
    with build.rig(receive_buffer=2048) as rig:
        left, window = 0, rig.connection.status.send_window
        for _ in range(2000):
            fired = rig.fire(answer=False)
            left += fired
            if not fired and rig.refused("wire_window"):
                break
            wait_for(lambda: not rig.connection.status.unmerged, "not merged")
        assert rig.refused("wire_window"), f"{left} orders left, and the window was never full"
        assert len(rig.expected) < 2 * window  # it opens a little as the peer acknowledges
        rig.agree()
        wait_for(rig.fire, "the window does not open again")
        rig.agree()


# 6. Merged in order; no room is no error


def a_report_out_of_order_is_never_merged(build: Build) -> None:
    with build.rig(poll_s=STALLED_S) as rig:
        first = rig.wire.fired
        assert rig.fire(answer=False)
        assert rig.fire(answer=False)
        send = rig.wire.send
        send[first].seq, send[first + 1].seq = send[first + 1].seq, send[first].seq
        wait_for(lambda: bool(rig.connection.status.error), "it was merged")
        assert rig.connection.status.error == os.strerror(errno.EPROTO)
        assert "closed" in rig.connection.status.flags
        assert not rig.fire(answer=False)
        with pytest.raises(ExchangeError):
            rig.connection.close()


def a_full_send_buffer_is_waited_for() -> None:
    with adverse_rig(NUMBER, 1) as (rig, line):
        rig.open()
        rig.connection.arm()
        assert rig.fire()
        rig.agree()
        rig.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        line.change(lost_ppm=(0, 1_000_000))  # nothing is acknowledged
        while rig.connection.status.retries == 0:
            rig.fire(answer=False)
            assert rig.connection.status.fired < 1000, "the send buffer is never full"
        line.change(lost_ppm=0)
        wait_for(lambda: not rig.connection.status.unmerged, "not merged")
        rig.agree()


# 7. When not to send


def without_a_lease_not_even_a_cancel_leaves(build: Build) -> None:
    with build.rig() as rig:
        price = rig.ticks.price()
        assert rig.fire(answer=False, over=False)
        order = rig.ticks.threshold.order(1, price)
        reply = accepted(
            order.user_ref_num, order.side, order.quantity, order.price, tif=order.tif, symbol=order.symbol
        )
        rig.engine.hear(ufo.Sequenced(1, (reply.encode(),)).encode())
        rig.engine.lease.lapse()
        with pytest.raises(OrderRefused, match="lease"):
            rig.engine.orders.cancel(1)


def what_waits_is_not_sent_without_a_lease(build: Build) -> None:
    with build.rig() as rig:
        ref = live_order(rig)
        with hold(rig):
            rig.engine.orders.cancel(ref)
            rig.engine.lease.lapse()
        time.sleep(0.02)
        rig.agree()
        rig.engine.lease.forever()
        rig.expected += cancel_of(ref)
        rig.agree()


def a_connection_that_is_not_established_is_not_sent_on(build: Build) -> None:
    """The FIN came while the hook did not look: it has only the kernel's word for it."""
    with build.rig() as rig:
        rig.peer.socket.shutdown(socket.SHUT_WR)
        wait_for(lambda: "closed" in rig.connection.status.flags, "the FIN was not seen")
        rig.wire.word &= ~lib.HFT_WIRE_CLOSED
        assert "armed" in rig.connection.status.flags
        assert not rig.fire(answer=False)
        assert rig.refused("wire_down") == 1


def nothing_leaves_behind_a_hole(build: Build) -> None:
    use_engine_object(build.hook)
    try:
        with adverse_rig(NUMBER, 1) as (rig, line):
            rig.open(native=build.native)
            rig.connection.arm()
            assert rig.fire()
            rig.agree()
            line.change(lost_ppm=(1_000_000, 0))
            assert rig.fire(answer=False)
            wait_for(lambda: rig.connection.status.retransmits > 0, "the kernel does not miss it")
            assert not rig.fire(answer=False)
            assert rig.refused("wire_recovery") == 1
            line.change(lost_ppm=0)
            wait_for(lambda: rig.connection.status.congestion == "open", "it does not recover")
            wait_for(rig.fire, "nothing leaves any more")
            rig.agree()
    finally:
        use_engine_object(None)


@dataclass(frozen=True)
class Guard:
    """What holds, and which guards have to be gone in the hook and in user space for it to be missed."""

    holds: Callable[[Build], None]
    hook: tuple[str, ...] = ()
    native: tuple[str, ...] = ()


GUARDS = [
    Guard(the_hook_sends_only_when_armed, hook=("OWNER",)),
    Guard(an_ordinary_send_waits_for_the_merge, native=("OWNER",)),
    Guard(nothing_newer_leaves_while_a_cancel_waits, hook=("WAITING",)),
    Guard(a_write_behind_the_hooks_back_stops_it, hook=("STEP",)),
    Guard(a_fin_of_the_peer_ends_it_at_once, hook=("CLOSE",)),
    Guard(what_the_kernel_has_not_sent_holds_the_hook_back, hook=("UNSENT", "WINDOW"), native=("UNSENT",)),
    Guard(half_a_packet_is_not_sent, native=("WHOLE",)),
    Guard(no_more_leave_than_reports_have_places, hook=("BOUND",)),
    Guard(a_reply_that_acknowledges_too_early_is_heard_all_the_same, hook=("ACK",)),
    Guard(what_was_held_back_is_said_again, hook=("ACK",)),
    Guard(nothing_leaves_that_the_peer_has_no_room_for, hook=("WINDOW",)),
    Guard(a_report_out_of_order_is_never_merged, native=("ORDER",)),
    Guard(without_a_lease_not_even_a_cancel_leaves, hook=("LEASE",)),
    Guard(what_waits_is_not_sent_without_a_lease, native=("LEASE",)),
    Guard(a_connection_that_is_not_established_is_not_sent_on, hook=("STATE",)),
    Guard(nothing_leaves_behind_a_hole, hook=("RECOVERY",)),
]


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.holds.__name__)
def test_it_holds(guard: Guard) -> None:
    guard.holds(Build())


def test_what_is_merged_is_what_was_sent() -> None:
    what_is_merged_is_what_was_sent()


def test_a_full_send_buffer_is_waited_for() -> None:
    a_full_send_buffer_is_waited_for()


@pytest.mark.skipif(shutil.which("clang-19") is None and shutil.which("clang") is None, reason="needs clang")
@pytest.mark.parametrize("guard", lots().sample(GUARDS, min(SAMPLE, len(GUARDS))), ids=lambda one: one.holds.__name__)
def test_it_is_missed_without_its_guard(guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_rig_module, "WAIT_S", 4)
    build = Build(
        hook_without(tmp_path, *guard.hook) if guard.hook else None,
        opened(native_without(tmp_path, *guard.native)) if guard.native else None,
    )
    with pytest.raises((AssertionError, ExchangeError, pytest.fail.Exception)):
        guard.holds(build)

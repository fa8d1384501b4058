"""Bad lines and unusual connections: the stream at the peer stays the one that was meant."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import threading
import time
from pathlib import Path

import pytest
from this_run import some_seeds
from turbo_hft import netns
from turbo_hft.errors import OrderRefused
from wire_crash import orders_of
from wire_rig import WireRig, adverse_rig, trade, wait_for, wire_rig

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

ORDERS = int(os.environ.get("WIRE_BAD_ORDERS", "500"))
SEEDS = int(os.environ.get("WIRE_SEEDS", "1"))
NUMBER = 5
ORDER_BYTES = 50
OTHERWISE_BAD = {"doubled_ppm": 20_000, "late_ppm": 20_000, "late_ns": 500_000}
LINES = {f"loss-{ppm / 10_000:g}%": {"lost_ppm": ppm} | OTHERWISE_BAD for ppm in (1_000, 10_000, 50_000)}


@pytest.mark.parametrize("seed", some_seeds(SEEDS))
@pytest.mark.parametrize("line", LINES)
def test_a_bad_line(line: str, seed: int) -> None:
    with adverse_rig(NUMBER, seed, **LINES[line]) as (rig, bad):
        rig.open()
        rig.connection.arm()
        trade(rig, ORDERS)
        rig.agree()
        rig.connection.disarm()
        assert rig.connection.status.merged == ORDERS
        assert any(sum(bad.counts[what]) for what in ("lost", "late", "doubled")), "the line was a good one"


@pytest.mark.parametrize("switch", ["tcp_timestamps", "tcp_sack", "tcp_window_scaling"])
def test_a_peer_without(switch: str) -> None:
    with adverse_rig(NUMBER, 7, lost_ppm=10_000) as (rig, _):
        netns.run_in(rig.exchange, lambda: Path(f"/proc/sys/net/ipv4/{switch}").write_text("0\n"))
        rig.open()
        assert bool(rig.wire.timestamps) == (switch != "tcp_timestamps")
        rig.connection.arm()
        trade(rig, ORDERS // 3)
        rig.agree()


def test_the_sequence_passes_its_end() -> None:
    """Connections whose first byte is a few orders before 2^32."""
    with wire_rig(NUMBER) as rig:
        rig.open(pair=seeded_pair(rig, 2**32 - 1234))
        assert rig.connection.status.seq == 2**32 - 1234
        rig.connection.arm()
        trade(rig, 100)
        rig.agree()
        assert rig.connection.status.seq < 2**31


def seeded_pair(rig: WireRig, seq: int) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection without a handshake (TCP_REPAIR), its sequences given."""
    at = rig.lab
    ours = _half((at.host_address, 26_000), (at.exchange_address, 26_001), seq, seq + 77)
    theirs = netns.run_in(
        rig.exchange, lambda: _half((at.exchange_address, 26_001), (at.host_address, 26_000), seq + 77, seq)
    )
    for sock in (ours, theirs):
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, -1)
        sock.setblocking(False)
    return ours, theirs


_TCP_REPAIR, _TCP_REPAIR_QUEUE, _TCP_QUEUE_SEQ, _TCP_REPAIR_OPTIONS, _TCP_REPAIR_WINDOW = 19, 20, 21, 22, 29
_RECEIVE, _SEND = 1, 2
_MSS, _WINDOW = 2, 3
_WINDOW_BYTES = 60_000


def _half(local: tuple[str, int], remote: tuple[str, int], send_seq: int, receive_seq: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    for queue, seq in ((_SEND, send_seq), (_RECEIVE, receive_seq)):
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR_QUEUE, queue)
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_QUEUE_SEQ, struct.pack("I", seq % 2**32))
    sock.bind(local)
    sock.connect(remote)
    options = struct.pack("IIII", _MSS, 1400, _WINDOW, 0)
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR_OPTIONS, options)
    window = struct.pack("IIIII", receive_seq % 2**32, _WINDOW_BYTES, _WINDOW_BYTES, _WINDOW_BYTES, receive_seq % 2**32)
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR_WINDOW, window)
    return sock


def test_two_cpus_send_at_once() -> None:
    """Ticks on one, orders by hand on another, each through the hook: one stream."""
    with wire_rig(NUMBER) as rig:
        rig.open()
        rig.connection.arm()
        by_hand: list[int] = []
        stop = threading.Event()
        last_cpu = (os.cpu_count() or 1) - 1

        def hand() -> None:
            os.sched_setaffinity(0, {last_cpu})
            for cents in itertools.cycle(range(50)):
                if stop.is_set():
                    return
                try:
                    by_hand.append(rig.engine.orders.enter("AAPL", "buy", 7, f"163.{cents:02}"))
                except OrderRefused as error:  # of those that may be for a moment
                    assert error.reason in ("open_orders", "duplicate", "wire_busy", "wire_unmerged"), error

        def seen() -> int:
            rig.peer.answer()
            whole = len(rig.peer.stream) // ORDER_BYTES
            for number in range(rig.user_ref + 1, whole + 1):
                rig.reject(number)
            rig.user_ref = whole
            rig.hear()
            return whole

        rig.ticks.tick()  # so that there is a bid and an offer for the collar to be around
        thread = threading.Thread(target=hand)
        thread.start()
        try:
            os.sched_setaffinity(0, {0})
            for _ in range(ORDERS):
                rig.ticks.tick()
                seen()
                time.sleep(0)  # Python's lock: the other thread's turn
        finally:
            stop.set()
            thread.join()
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
        sent = rig.engine.session.orders_sent
        wait_for(lambda: seen() == sent, "not all arrived")
        assert orders_of(bytes(rig.peer.stream)) == sent == rig.engine.counters()["wire_sends"]
        assert len(by_hand) > 20, "hardly anything left by hand"
        assert sent - len(by_hand) > 20, "hardly anything left on a tick"
        refs = [
            int.from_bytes(rig.peer.stream[at + 4 : at + 8], "big") for at in range(0, sent * ORDER_BYTES, ORDER_BYTES)
        ]
        assert set(by_hand) < set(refs)

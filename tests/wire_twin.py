"""Hook and model side by side on a TCP connection (rule 11): the kernel's socket is read before each frame, and is an
input of the model."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from lone_socket import LoneSocket
from turbo_hft._native import ffi, lib
from turbo_hft.addresses import OrderSession
from turbo_hft.model.connection import Endpoint, Send, Socket, Waiting
from turbo_hft.model.engine import Outcome
from turbo_hft.model.names import MAX_UNMERGED, MAX_WAITING, MAX_WORKING, EventKind, OrderState, Reason, WireFlag
from turbo_hft.testing import Hook, RunResult, Verdict
from twin import SESSION, Twin, equal

NS_PER_MS = 1_000_000
TSVAL = 24
"""Of a TCP header with time stamps."""


class UnsettledError(Exception):
    """The kernel's own timers changed the connection while the hook looked at it: nothing can be compared."""


class WireTwin(Twin):
    """A twin whose orders leave on `lone`; the word is the hook's to send, and stands where the kernel does."""

    def __init__(self, hook: Hook, lone: LoneSocket, session: OrderSession = SESSION) -> None:
        self.over_tcp = replace(session, transport="soupbintcp")
        super().__init__(hook, self.over_tcp)
        self.stored: Any = self.engine.wire[0][0]
        self.connect(lone)

    def connect(self, lone: LoneSocket) -> None:
        """From now on it is this connection."""
        self.lone = lone
        kill = self.model.control.kill
        self.set_control(kill=lib.HFT_HALTED)
        session = replace(self.over_tcp, local=lone.local, remote=lone.remote)
        self.engine.connected(session, timestamps=lone.timestamps)
        self.set_control(kill=kill)
        self._good_template = bytes(ffi.buffer(self.engine._template, ffi.sizeof("struct hft_template")))
        self._copy_template()
        self.set_wire(timestamps=int(lone.timestamps), rcv_wscale=lone.scale)
        self.set_names(lone.remote, lone.local)
        self.align()

    # Both sides at once

    def set_wire(self, **words: int) -> None:
        """Store words that have the same name on both sides."""
        for name, value in words.items():
            setattr(self.stored, name, value)
            setattr(self.model.wire, name, value)

    def set_names(self, remote: Endpoint | None, local: Endpoint) -> None:
        """What the connection is called; None: there is none."""
        wire = self.stored
        self.model.wire.remote, self.model.wire.local = remote, local
        wire.remote_addr_be = address_be(remote[0]) if remote else 0
        wire.remote_port_be = port_be(remote[1]) if remote else 0
        wire.local_addr_be, wire.local_port_be = address_be(local[0]), port_be(local[1])

    def set_word(self, seq: int, unmerged: int = 0, flags: int = WireFlag.ARMED) -> None:
        """The word that owns the wire."""
        wire = self.model.wire
        wire.seq, wire.unmerged, wire.flags = seq, unmerged, flags
        self.stored.word = word_of(seq, unmerged, flags)

    def set_sync(self, seq: int, number: int) -> None:
        """How far user space has read."""
        self.model.wire.reply_sync = seq, number
        self.stored.reply_sync = seq << 32 | number

    def set_held_version(self, version: int) -> None:
        """Odd: somebody is writing what is held."""
        self.stored.held_version = self.model.wire.held.version = version

    def merge(self) -> None:
        """As the merging thread does: the kernel gets what the hook has sent, if it stands where that begins."""
        wire = self.model.wire
        for place in range(wire.fired - wire.unmerged, wire.fired):
            send = wire.send.get(place % MAX_UNMERGED)
            if send is None or not self.lone.merge(send.seq, send.data):
                break
            self.set_wire(merged_seq=(send.seq + len(send.data)) % 2**32)
            self.set_word(wire.seq, wire.unmerged - 1, wire.flags)

    def align(self) -> None:
        """All is merged, and the hook may send from where the kernel stands, if nothing waits to be sent before."""
        state, wire = self.lone.state(), self.model.wire
        self.set_wire(merged_seq=state.write_seq)
        waits = wire.handed != wire.handed_sent
        self.set_word(state.write_seq, flags=WireFlag.ARMED | (WireFlag.WAITING if waits else 0))

    def send_waiting(self) -> list[bytes]:
        """What waits is sent by user space in the ordinary way, once all is merged, with a lease. What was sent."""
        wire, sent = self.model.wire, []
        lease = self.model.control.lease_until_ns > self.model.feeds[0].seen_ns
        if wire.unmerged or wire.flags != WireFlag.ARMED | WireFlag.WAITING or not lease:
            return []
        if self.lone.state().write_seq != wire.seq:
            return []
        while wire.handed_sent != wire.handed:
            place = wire.handed_sent % MAX_WAITING
            waiting = wire.waiting.get(place)
            if waiting is not None and not waiting.left_ns:  # else the test has made it up
                if self.lone.write(waiting.data) != len(waiting.data):
                    break
                waiting.left_ns = self.stored.waiting[place].left_ns = time.monotonic_ns()
                sent.append(waiting.data)
            self.set_wire(handed_sent=(wire.handed_sent + 1) % 2**64)
        self.align()
        return sent

    def accept(self, ref: int) -> None:
        """An order that was sent is live."""
        order = self.model.working[ref % MAX_WORKING]
        assert (order.user_ref, order.state) == (ref, OrderState.SENT)
        order.state = OrderState.LIVE
        self.hook.state["working"][0][ref % MAX_WORKING].state = OrderState.LIVE

    # Frames

    def packet(self, frame: bytes) -> Outcome:
        """As `Twin.packet`, and the wire. Raises UnsettledError when the kernel interfered."""
        outcome = super().packet(frame)
        self.compare_wire()
        handed = [event.reason for event in outcome.events if event.kind == EventKind.CANCEL_SENT and event.reason]
        self._reached.update(f"handed {Reason(reason).name.lower()}" for reason in handed[:1])
        self._reached["handed together"] += len(handed) > 1
        refused = [event for event in outcome.events if event.kind == EventKind.REFUSED and event.reason in handed]
        self._reached["handed, and others refused"] += bool(handed and refused)
        return outcome

    def run(self, frame: bytes) -> RunResult:
        """The hook's part, between two looks at the kernel's socket."""
        before = self.lone.state()
        self._begin_ns = time.monotonic_ns()
        result = super().run(frame)
        self._end_ns = time.monotonic_ns()
        if self.lone.state() != before:
            stream = self.engine.events
            while lib.hft_ring_drain(stream._ring, stream._records, 4096):
                pass  # of this frame: nobody reads them, and the next run begins without
            raise UnsettledError
        self.model.sockets = {(self.lone.remote, self.lone.local): before}
        return result

    def clock_ns(self, result: RunResult) -> int:
        """The clock that the frame tells, if it is one that the hook can have read."""
        handed = self.stored.handed
        if handed != self.model.wire.handed:
            at = int(self.stored.waiting[(handed - 1) % MAX_WAITING].handed_ns)
            assert self._begin_ns <= at <= self._end_ns, f"handed over at {at}, not {self._begin_ns} to {self._end_ns}"
            return at
        if result.verdict != Verdict.TX or not self.lone.timestamps:
            return self._begin_ns
        at = self.model.template.headers_len - 32 + TSVAL
        tsval = int.from_bytes(result.frame[at : at + 4])
        (socket,) = self.model.sockets.values()
        first, last = self._begin_ns // NS_PER_MS, self._end_ns // NS_PER_MS
        told = [ms for ms in range(first, last + 1) if (ms + socket.tsoffset) % 2**32 == tsval]
        assert told, f"TSval {tsval} is not of {first} to {last} ms, offset {socket.tsoffset}"
        return told[0] * NS_PER_MS

    def compare_wire(self) -> None:
        """Every word of the connection, and the reports."""
        stored, wire = self.stored, self.model.wire
        held = wire.held
        equal(
            "wire",
            {
                "word": stored.word,
                "merged_seq": stored.merged_seq,
                "fired": stored.fired,
                "handed": stored.handed,
                "handed_sent": stored.handed_sent,
                "reply_next": (stored.reply_next >> 32, stored.reply_next % 2**32),
                "held_version": stored.held_version,
                "held_ack": stored.held_ack,
                "held_seq": stored.held_seq,
                "held_window": stored.held_window,
                "held_tsval": stored.held_tsval,
                "held_tsecr": stored.held_tsecr,
            },
            {
                "word": word_of(wire.seq, wire.unmerged, wire.flags),
                "merged_seq": wire.merged_seq,
                "fired": wire.fired,
                "handed": wire.handed,
                "handed_sent": wire.handed_sent,
                "reply_next": wire.reply_next,
                "held_version": held.version,
                "held_ack": held.ack,
                "held_seq": held.seq,
                "held_window": held.window,
                "held_tsval": held.tsval,
                "held_tsecr": held.tsecr,
            },
        )
        for place, send in wire.send.items():
            report = stored.send[place]
            assert Send(report.seq, bytes(ffi.buffer(report.bytes, report.length))) == send, f"report {place}"
        for place, waiting in wire.waiting.items():
            one = stored.waiting[place]
            data = bytes(ffi.buffer(one.bytes, one.length))
            equal(f"waiting {place}", Waiting(one.handed_ns, one.reason, data, one.left_ns), waiting)

    def compare_state(self) -> None:
        """As `Twin.compare_state`; places that nothing was sent or handed over from are empty."""
        super().compare_state()
        self.compare_wire()
        wire, stored = self.model.wire, self.stored
        for places, used in ((stored.send, wire.send.keys()), (stored.waiting, wire.waiting.keys())):
            for place in set(range(len(places))) - used:
                one = ffi.addressof(places, place)
                assert not any(bytes(ffi.buffer(one))), f"{ffi.typeof(one).cname} {place} is not empty"

    @property
    def socket(self) -> Socket:
        """The kernel's socket, now."""
        return self.lone.state()


def word_of(seq: int, unmerged: int, flags: int) -> int:
    """``word`` of ``struct hft_tcp_wire``."""
    return int(seq << lib.HFT_WIRE_SEQ_SHIFT | unmerged << lib.HFT_WIRE_UNMERGED_SHIFT | flags)


def address_be(address: str) -> int:
    """As the wire has it, stored as it is."""
    return int.from_bytes(bytes(map(int, address.split("."))), "little")


def port_be(port: int) -> int:
    """The same of a port."""
    return int.from_bytes(port.to_bytes(2, "big"), "little")

"""A real, established TCP connection of the kernel's whose peer is the test, in a network namespace of its own.

TCP_REPAIR makes the connection without a handshake, in any state wanted; what the peer says is a segment that the test
writes, and what the kernel says to the peer goes nowhere. `LoneSocket.state` reads what the hook will find in it.
"""

from __future__ import annotations

import ctypes
import os
import random
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import ioctl
from pathlib import Path

from turbo_hft.model.connection import Endpoint, Socket, ahead
from turbo_hft.wire.frame import TCP_ACK, checksum

LOCAL, REMOTE = "10.77.0.1", "10.77.0.2"

# linux/tcp.h, linux/sockios.h, linux/sched.h
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, TCP_REPAIR_OPTIONS, TCP_TIMESTAMP, TCP_REPAIR_WINDOW = (
    19,
    20,
    21,
    22,
    24,
    29,
)
REPAIR_ON, REPAIR_OFF = 1, -1  # without a window probe
RECV_QUEUE, SEND_QUEUE = 1, 2
OPTION_MSS, OPTION_WSCALE, OPTION_SACK, OPTION_TIMESTAMPS = 2, 3, 4, 8
SIOCOUTQ, SIOCOUTQNSD = 0x5411, 0x894B
CLONE_NEWNET = 0x40000000
ACKNOWLEDGE_LATE, ACKNOWLEDGE_NOW = 0, 1  # of TCP_QUICKACK
ESTABLISHED = 1

MSS = 1000
NS_PER_MS = 1_000_000
_SET_UP = (
    "link set lo up",
    f"address add {LOCAL}/32 dev lo",
    # Out by the loopback, where no socket has that address: away. What is not acknowledged is not sent again soon.
    f"route add {REMOTE}/32 dev lo src {LOCAL} rto_min 100s",
)
_SETTINGS = {"tcp_early_retrans": "0", "tcp_timestamps": "1"}


@contextmanager
def own_namespace() -> Iterator[None]:
    """This thread has a namespace of its own meanwhile, in which `LOCAL` is here and `REMOTE` is nowhere."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        for command in _SET_UP:
            subprocess.run(["ip", *command.split()], check=True)
        for name, value in _SETTINGS.items():
            Path(f"/proc/sys/net/ipv4/{name}").write_text(value)
        yield
    finally:
        assert libc.setns(before, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        os.close(before)


class LoneSocket:
    """One connection. `window`: bytes that the peer takes first; what the kernel itself has to say is lost.

    `ts_recent`: of the peer's time stamps, the one that the kernel has to say back.
    """

    def __init__(self, rng: random.Random, *, timestamps: bool, sack: bool, window: int, near_wrap: bool) -> None:
        self.timestamps = timestamps
        self.scale, self.peer_scale = rng.choice((0, 1, 7)), rng.choice((0, 2))
        start = 2**32 - 2000 if near_wrap else rng.randrange(2**32)
        self.peer_seq = rng.randrange(2**32) if not near_wrap else 2**32 - 300
        self.tsval, self.ts_recent = 1000, 0
        self.raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._repair(REPAIR_ON)
        for queue, sequence in ((SEND_QUEUE, start), (RECV_QUEUE, self.peer_seq)):
            self._set(TCP_REPAIR_QUEUE, queue)
            self.socket.setsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ, struct.pack("=I", sequence))
        self.socket.bind((LOCAL, 0))
        self.remote: Endpoint = (REMOTE, 26450)
        self.socket.connect(self.remote)
        self.local: Endpoint = self.socket.getsockname()
        options = [(OPTION_MSS, MSS), (OPTION_WSCALE, self.peer_scale | self.scale << 16)]
        options += [(OPTION_SACK, 0)] * sack + [(OPTION_TIMESTAMPS, 0)] * timestamps
        packed = b"".join(struct.pack("=II", *option) for option in options)
        self.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_OPTIONS, packed)
        told = rng.choice((1000, 29_200, 65_535, 500_000))
        state = struct.pack("=5I", self.peer_seq, window, max(window, 1), told, self.peer_seq)
        self.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_WINDOW, state)
        # Even: newer kernels take an odd one for a clock in microseconds.
        self.socket.setsockopt(socket.IPPROTO_TCP, TCP_TIMESTAMP, struct.pack("=I", rng.randrange(0, 2**32, 2)))
        self.tsoffset = self._tsoffset()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._repair(REPAIR_OFF)
        self.socket.setblocking(False)
        self._set(socket.TCP_QUICKACK, ACKNOWLEDGE_LATE)

    def _set(self, option: int, value: int) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, option, value)

    def _repair(self, how: int) -> None:
        self._set(TCP_REPAIR, how)

    def _u32(self, option: int) -> int:
        return self.socket.getsockopt(socket.IPPROTO_TCP, option) % 2**32

    def _outstanding(self, request: int) -> int:
        (value,) = struct.unpack("=i", ioctl(self.socket.fileno(), request, bytes(4)))
        return int(value)

    def _queue(self, queue: int) -> int:
        self._set(TCP_REPAIR_QUEUE, queue)
        return self._u32(TCP_QUEUE_SEQ)

    def state(self) -> Socket:
        """What the kernel has of it now."""
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        if info[0] != ESTABLISHED:
            return Socket(established=False)
        sacked, lost, retransmitted = struct.unpack_from("=III", info, 28)
        self._repair(REPAIR_ON)
        try:
            window = self.socket.getsockopt(socket.IPPROTO_TCP, TCP_REPAIR_WINDOW, 20)
            _, snd_wnd, _, rcv_wnd, rcv_wup = struct.unpack("=5I", window)
            write_seq, rcv_nxt = self._queue(SEND_QUEUE), self._queue(RECV_QUEUE)
        finally:
            self._repair(REPAIR_OFF)
        return Socket(
            write_seq=write_seq,
            snd_nxt=(write_seq - self._outstanding(SIOCOUTQNSD)) % 2**32,
            snd_una=(write_seq - self._outstanding(SIOCOUTQ)) % 2**32,
            snd_wnd=snd_wnd,
            rcv_nxt=rcv_nxt,
            rcv_wup=rcv_wup,
            rcv_wnd=rcv_wnd,
            sacked_out=sacked,
            lost_out=lost,
            retrans_out=retransmitted,
            congestion=info[1],
            tsoffset=self.tsoffset,
            ts_recent=self.ts_recent,
        )

    def _tsoffset(self) -> int:
        """The kernel says it with the clock added, a newer one with the lowest bit taken away: so it is read in an even
        and in an odd millisecond, each time from beginning to end in the same one."""
        found: dict[int, int] = {}
        while len(found) < 2:
            before = time.monotonic_ns() // NS_PER_MS
            value = self._u32(TCP_TIMESTAMP)
            if time.monotonic_ns() // NS_PER_MS == before:
                found[before % 2] = (value - before) % 2**32
        one, other = found.values()
        return one if ahead(one, other) >= 0 else other

    # What we do

    def write(self, data: bytes) -> int:
        """As an application writes, as much as the kernel has room for: it sends what windows allow. Bytes taken."""
        try:
            return self.socket.send(data)
        except (BlockingIOError, BrokenPipeError, ConnectionError):
            return 0

    def merge(self, seq: int, data: bytes) -> bool:
        """As the merging thread writes: queued as sent already. False if the connection does not stand at `seq`."""
        state = self.state()
        if not state.established or state.write_seq != seq or state.snd_nxt != seq:
            return False
        self._repair(REPAIR_ON)
        self._set(TCP_REPAIR_QUEUE, SEND_QUEUE)
        with suppress(BlockingIOError):  # no room
            assert self.socket.send(data) == len(data)
            state.write_seq += len(data)
        self._repair(REPAIR_OFF)
        return state.write_seq != seq

    def shut(self) -> None:
        """We send FIN."""
        self.socket.shutdown(socket.SHUT_WR)

    def read(self) -> bytes:
        """What the peer said."""
        try:
            return self.socket.recv(1 << 16)
        except (BlockingIOError, ConnectionError):
            return b""

    # What the peer does

    def say(
        self,
        payload: bytes = b"",
        *,
        ack: int,
        flags: int = TCP_ACK,
        window: int = 10_000,
        sack: tuple[int, int] | None = None,
    ) -> None:
        """A segment of the peer's, in order, right into the kernel. `window` in bytes; `sack`: (from, to)."""
        self.tsval += 7
        self.deliver(self.segment(payload, ack=ack, flags=flags, window=window, sack=sack), self.tsval)

    def segment(
        self, payload: bytes, *, ack: int, flags: int, window: int, sack: tuple[int, int] | None = None
    ) -> bytes:
        """IPv4 and TCP of it."""
        options = b""
        if self.timestamps:
            options += b"\1\1\x08\x0a" + struct.pack(">II", self.tsval, 0)
        if sack is not None:
            options += b"\1\1\x05\x0a" + struct.pack(">II", *sack)
        length = 20 + len(options) + len(payload)
        scaled = min(window >> self.peer_scale, 0xFFFF)
        ports = self.remote[1], self.local[1]
        offset = (20 + len(options)) // 4 << 4
        tcp = bytearray(struct.pack(">HHIIBBHHH", *ports, self.state_seq(), ack, offset, flags, scaled, 0, 0) + options)
        pseudo = socket.inet_aton(REMOTE) + socket.inet_aton(LOCAL) + struct.pack(">HH", 6, length)
        struct.pack_into(">H", tcp, 16, checksum(pseudo + tcp + payload))
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, 6, 0)
        return ip + socket.inet_aton(REMOTE) + socket.inet_aton(LOCAL) + bytes(tcp) + payload

    def state_seq(self) -> int:
        """Of the peer's next byte, as the kernel expects it."""
        return self.state().rcv_nxt

    def deliver(self, packet: bytes, tsval: int) -> None:
        """An IPv4 packet of the peer's into the kernel; of the connection's, in order, with that time stamp."""
        self.read()
        for how in (ACKNOWLEDGE_NOW, ACKNOWLEDGE_LATE):
            self._set(socket.TCP_QUICKACK, how)
        before = self.state()
        # The time stamp of a segment behind what was acknowledged is not taken.
        if before.established and self.timestamps and before.rcv_wup == before.rcv_nxt:
            self.ts_recent = tsval
        self.raw.sendto(packet, (LOCAL, 0))

    def close(self) -> None:
        """Away, without a word."""
        with suppress(OSError):
            self._repair(REPAIR_ON)
        self.socket.close()
        self.raw.close()

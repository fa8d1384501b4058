"""The TCP connection that orders leave on (rule 11): what hook and user space share of it, and what the kernel has.

TCP sequences are words of 32 bits that wrap; `ahead` is how one of them stands to another.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Endpoint = tuple[str, int]
"""Address (dotted) and port."""


def ahead(sequence: int, of: int) -> int:
    """How far one sequence is ahead of another, negative when it is behind; -2^31 to 2^31 - 1."""
    return (sequence - of + 2**31) % 2**32 - 2**31


@dataclass
class Socket:
    """The kernel's connection at the moment of a packet: an input of the model, which the kernel decides about.

    Fields are named as in ``struct tcp_sock``. Windows are in bytes; ``tsoffset`` and ``ts_recent`` in ms, of the time
    stamp option; ``congestion`` is a `Congestion`.
    """

    established: bool = True
    write_seq: int = 0
    snd_nxt: int = 0
    snd_una: int = 0
    snd_wnd: int = 0
    rcv_nxt: int = 0
    rcv_wup: int = 0
    rcv_wnd: int = 0
    sacked_out: int = 0
    lost_out: int = 0
    retrans_out: int = 0
    congestion: int = 0
    tsoffset: int = 0
    ts_recent: int = 0


@dataclass
class Send:
    """The report of a send: the TCP sequence of its first byte, and what left."""

    seq: int
    data: bytes


@dataclass
class Waiting:
    """Cancels that were handed over to user space: why, when (ns of the monotonic clock), and their messages.

    ``left_ns``: when user space sent them, 0 = not yet.
    """

    handed_ns: int
    reason: int
    data: bytes
    left_ns: int = 0


@dataclass
class Held:
    """The newest acknowledgement that was held back. ``seq``: of the peer's next byte; ``window`` as on the wire;
    ``tsval`` and ``tsecr``: of its time stamp option, both 0 = none. Odd ``version``: it is being written."""

    version: int = 0
    ack: int = 0
    seq: int = 0
    window: int = 0
    tsval: int = 0
    tsecr: int = 0


@dataclass
class Wire:
    """``struct hft_tcp_wire``, its ``word`` in three: next sequence, sends that are not merged, bits of `WireFlag`.

    ``remote`` and ``local`` as what comes in has them; None: there is no connection. ``reply_sync`` and ``reply_next``:
    (TCP sequence, number of the next reply), where user space and the hook have read up to. By place: ``send``
    and ``waiting``. ``handed``: how often cancels were handed over; ``handed_sent``: how many of these are sent.
    """

    seq: int = 0
    unmerged: int = 0
    flags: int = 0
    remote: Endpoint | None = None
    local: Endpoint = ("0.0.0.0", 0)
    merged_seq: int = 0
    timestamps: int = 0
    rcv_wscale: int = 0
    reply_sync: tuple[int, int] = (0, 0)
    reply_next: tuple[int, int] = (0, 0)
    fired: int = 0
    held: Held = field(default_factory=Held)
    send: dict[int, Send] = field(default_factory=dict)
    handed: int = 0
    handed_sent: int = 0
    waiting: dict[int, Waiting] = field(default_factory=dict)

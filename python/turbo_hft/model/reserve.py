"""Rule 11, before the gate: can the connection be had for what a packet wants to send? If not, may its cancels go by
user space? `refusal` and `may_wait` only look."""

from __future__ import annotations

from .connection import Socket, Wire, ahead
from .names import MAX_UNMERGED, MAX_WAITING, SEND_BYTES, Action, Congestion, Reason, Transport, WireFlag
from .risk import template_ready
from .state import ModelState

PASSING = (Reason.WIRE_BUSY, Reason.WIRE_UNMERGED, Reason.WIRE_WINDOW, Reason.WIRE_RECOVERY)
"""What keeps the hook from sending for a while, on a connection that is there."""


def reserve(model: ModelState) -> None:
    """Once for a packet, when an intent of it could leave: what the gate will say behind `NO_ROOM`, and the room."""
    work = model.work
    wanted = [decision for decision in work.pending if not decision.shadow]
    if model.config.transport != Transport.SOUPBINTCP or not wanted or not template_ready(model):
        return
    now_ns = model.now_ns(model.params[wanted[0].slot].feed)
    work.wire_refusal = refusal(model, now_ns)
    work.wire_waits = may_wait(model, work.wire_refusal, now_ns)
    if work.wire_refusal == Reason.NONE:
        work.wire_room = window_left(model.wire, the_socket(model))


def refusal(model: ModelState, now_ns: int) -> Reason:
    """The first thing that refuses, or ``Reason.NONE``: then the connection is taken."""
    wire = model.wire
    if wire.flags != WireFlag.ARMED:
        waits = WireFlag.ARMED | WireFlag.WAITING
        held = wire.flags & WireFlag.HELD or wire.flags & waits == waits
        return Reason.WIRE_BUSY if held and not wire.flags & WireFlag.CLOSED else Reason.WIRE_DOWN
    if now_ns >= model.control.lease_until_ns:
        return Reason.LEASE
    if wire.unmerged >= MAX_UNMERGED:
        return Reason.WIRE_UNMERGED
    socket = the_socket(model)
    if not socket.established or not in_step(wire, socket):
        return Reason.WIRE_DOWN
    if wire.unmerged == 0 and socket.snd_nxt != socket.write_seq:
        return Reason.WIRE_BUSY
    if in_recovery(socket):
        return Reason.WIRE_RECOVERY
    if window_left(wire, socket) < model.template.msg_len[Action.ENTER]:
        return Reason.WIRE_WINDOW
    return Reason.NONE


def may_wait(model: ModelState, reason: Reason, now_ns: int) -> bool:
    """May cancels that cannot leave for that reason wait for user space to send them? There must be a place."""
    wire = model.wire
    place = (wire.handed - wire.handed_sent) % 2**64 < MAX_WAITING
    return reason in PASSING and now_ns < model.control.lease_until_ns and place


def the_socket(model: ModelState) -> Socket:
    """The kernel's socket of the connection's addresses; one that is not established if there is none."""
    wire = model.wire
    if wire.remote is None:
        return Socket(established=False)
    return model.sockets.get((wire.remote, wire.local), Socket(established=False))


def in_step(wire: Wire, socket: Socket) -> bool:
    """Does it end where the word goes on? What is not merged yet it may be short of."""
    short = (wire.seq - socket.write_seq) % 2**32
    return short == 0 if wire.unmerged == 0 else short <= wire.unmerged * SEND_BYTES


def in_recovery(socket: Socket) -> bool:
    """Is something missing at the peer, or being sent again?"""
    if socket.sacked_out or socket.lost_out or socket.retrans_out:
        return True
    return socket.congestion in (Congestion.RECOVERY, Congestion.LOSS) and socket.snd_una != socket.snd_nxt


def window_left(wire: Wire, socket: Socket) -> int:
    """Bytes that the peer has room for behind what is sent; negative when it took its window back."""
    return ahead(socket.snd_una + socket.snd_wnd, wire.seq)

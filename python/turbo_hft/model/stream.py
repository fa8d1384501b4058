"""Rule 11, TCP that comes in: an acknowledgement that is early, the end of the connection, replies in its stream."""

from __future__ import annotations

from . import reply
from .connection import ahead
from .names import U32_MAX, SessionHealth, WireFlag
from .segment import ACK, FIN, RST, Segment, read_segment
from .state import ModelState
from .wire import u16


def handle(model: ModelState, frame: bytes) -> bytes | None:
    """A frame that is of no flow: what passes on to the kernel, or None if it is not of the connection either."""
    segment = read_segment(frame, model.wire)
    if segment is None:
        return None
    model.count("wire_packets")
    if not segment.has_shape:
        return frame
    early, closes = is_early(model, segment), bool(segment.flags & (FIN | RST))
    if (early or closes) and not segment.is_sound:
        return frame
    if closes:
        model.wire.flags |= WireFlag.CLOSED
        model.count("wire_closes")
    if early:
        hold(model, segment)
        frame = segment.acknowledging(model.wire.merged_seq)
    if segment.payload_len:
        model.count("reply_packets")
        if not (segment.is_sound and replies(model, segment)):
            model.count("wire_replies_left")
    return frame


def is_early(model: ModelState, segment: Segment) -> bool:
    """Does it acknowledge what the hook has sent and the kernel does not know of yet?"""
    wire = model.wire
    if not segment.flags & ACK or wire.unmerged == 0:
        return False
    return ahead(segment.ack, wire.merged_seq) > 0 and ahead(segment.ack, wire.seq) <= 0


def hold(model: ModelState, segment: Segment) -> None:
    """Keep what it says, to say it again later; unless what was kept before is being written."""
    model.count("wire_acks_held")
    held = model.wire.held
    if held.version % 2 == 1:
        return
    held.version += 2
    held.ack, held.seq, held.window = segment.ack, segment.end, u16(segment.tcp, 14)
    held.tsval, held.tsecr = segment.timestamps


def replies(model: ModelState, segment: Segment) -> bool:
    """Apply the replies in a segment that goes on where the last one ended, whole packets and no more. Was it so?"""
    session, wire = model.session, model.wire
    if session.health != SessionHealth.UP or session.highest_seq != session.expected_seq or session.expected_seq == 0:
        return False
    if (segment.seq, session.expected_seq) not in (wire.reply_next, wire.reply_sync):
        return False
    messages = sequenced_of(segment.payload)
    if messages is None or session.expected_seq + len(messages) > U32_MAX:
        return False
    for message in messages:
        reply.handle(model, message, session.expected_seq)
        session.expected_seq += 1
    session.highest_seq = session.expected_seq
    wire.reply_next = (segment.seq + segment.payload_len) % 2**32, session.expected_seq
    model.count("wire_replies", len(messages))
    return True


def sequenced_of(payload: bytes) -> list[bytes] | None:
    """The messages of its sequenced packets, or None if it is anything else than whole packets of type S and H."""
    messages = []
    while payload:
        length = u16(payload, 0)
        packet, payload = payload[2 : 2 + length], payload[2 + length :]
        if length == 0 or len(packet) != length or packet[:1] not in (b"S", b"H"):
            return None
        if packet[:1] == b"S":
            messages.append(packet[1:])
    return messages

"""Orders that are accepted and cancelled on a wire rig, and a wire that user space has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ouch_replies import accepted
from turbo_hft._native import lib
from turbo_hft.wire import ouch50, ufo
from wire_rig import WireRig, wait_for


def hear(rig: WireRig, reply: bytes) -> None:
    """As user space hands a reply on."""
    rig.engine.hear(ufo.Sequenced(rig.replies, (reply,)).encode())
    rig.replies += 1


def live_order(rig: WireRig) -> int:
    """An order of the strategy that the exchange has accepted."""
    assert rig.fire(answer=False, over=False)
    accept(rig)
    return rig.user_ref


def accept(rig: WireRig) -> None:
    """The exchange accepts the newest order."""
    order = rig.ticks.threshold.order(rig.user_ref, rig.engine.orders[rig.user_ref].price_e4)
    reply = accepted(order.user_ref_num, order.side, order.quantity, order.price, tif=order.tif, symbol=order.symbol)
    hear(rig, reply.encode())
    assert rig.engine.orders[rig.user_ref].state == "live"


def canceled(rig: WireRig, ref: int) -> None:
    """The exchange has carried the cancel out."""
    left = rig.engine.orders[ref].open_qty
    hear(rig, ouch50.Canceled(timestamp=0, user_ref_num=ref, quantity=left, reason="U").encode())


def cancel_of(ref: int) -> bytes:
    """As it has to be on the wire."""
    return ufo.encode_upstream(ufo.Unsequenced(ouch50.CancelOrder(user_ref_num=ref, quantity=0).encode()))


@contextmanager
def hold(rig: WireRig) -> Iterator[None]:
    """User space has the wire."""
    wait_for(lambda: not rig.connection.status.unmerged, "not merged")
    rig.wire.word |= lib.HFT_WIRE_HELD
    yield
    rig.wire.word &= ~lib.HFT_WIRE_HELD

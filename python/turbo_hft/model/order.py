"""Rule 7 and the end of rule 5: from the batch through the gate to the order frame."""

from __future__ import annotations

from . import risk, strategy
from .names import MAX_WORKING, EventKind, OrderState, Protocol, Reason, Side
from .state import Intent, ModelState, Trigger, WorkingOrder
from .wire import internet_sum, udp_pseudo_header


def finish_packet(model: ModelState) -> bytes:
    """Ask every slot of the batch once more; returns the order frame, empty if no order left."""
    for trigger in model.work.batch:
        intent = strategy.decide(model, trigger.symbol)
        if not isinstance(intent, Intent):
            model.count("triggers_stale")
            continue
        model.count("triggers")
        reason = risk.refusal(model, trigger.symbol, intent)
        if reason != Reason.NONE:
            refuse(model, trigger, intent, reason)
        else:
            send(model, trigger, intent)
    if not model.work.orders:
        return b""
    model.count("order_frames")
    return build_frame(model, model.work.orders)


def refuse(model: ModelState, trigger: Trigger, intent: Intent, reason: Reason) -> None:
    """Count and report; nothing else changes."""
    model.refused[reason] += 1
    model.emit(
        EventKind.REFUSED,
        symbol=trigger.symbol,
        feed_seq=trigger.feed_seq,
        exchange_ns=trigger.exchange_ns,
        reason=reason,
        side=intent.side,
        price_e4=intent.price_e4,
        qty=intent.qty,
    )


def send(model: ModelState, trigger: Trigger, intent: Intent) -> None:
    """Record an order that passed the gate."""
    user_ref = risk.next_user_ref(model)
    order = WorkingOrder(
        user_ref=user_ref,
        state=OrderState.SENT,
        symbol=trigger.symbol,
        side=intent.side,
        price_e4=intent.price_e4,
        qty=intent.qty,
        open_qty=intent.qty,
        sent_ns=model.work.now_ns,
    )
    model.session.next_user_ref = user_ref + 1
    model.session.order_head += 1
    model.order_times.append(model.now_ns(model.params[trigger.symbol].feed))
    model.working[user_ref % MAX_WORKING] = order
    model.work.orders.append(order)
    state = model.symbols[trigger.symbol]
    state.working_ref = user_ref
    state.working_qty = intent.qty
    state.working_side = intent.side
    state.orders_sent += 1
    model.count("orders")
    model.emit(
        EventKind.ORDER,
        symbol=trigger.symbol,
        feed_seq=trigger.feed_seq,
        exchange_ns=trigger.exchange_ns,
        side=intent.side,
        user_ref=user_ref,
        price_e4=intent.price_e4,
        qty=intent.qty,
        open_qty=intent.qty,
    )


def build_frame(model: ModelState, orders: list[WorkingOrder]) -> bytes:
    """Template headers, then one message per order, with lengths, identification and checksums right."""
    template = model.template
    messages = b"".join(enter_order(model, order) for order in orders)
    headers = template.headers[: template.headers_len]
    ethernet, ipv4, udp = headers[:-28], bytearray(headers[-28:-8]), bytearray(headers[-8:])

    ipv4[2:4] = (20 + 8 + len(messages)).to_bytes(2, "big")
    ipv4[4:6] = (orders[0].user_ref & 0xFFFF).to_bytes(2, "big")
    ipv4[10:12] = b"\0\0"
    ipv4[10:12] = (0xFFFF - internet_sum(bytes(ipv4))).to_bytes(2, "big")

    udp[4:6] = (8 + len(messages)).to_bytes(2, "big")
    udp[6:8] = b"\0\0"
    pseudo_header = udp_pseudo_header(bytes(ipv4[12:16]), bytes(ipv4[16:20]), 8 + len(messages))
    checksum = 0xFFFF - internet_sum(pseudo_header + bytes(udp) + messages)
    udp[6:8] = (checksum or 0xFFFF).to_bytes(2, "big")
    return ethernet + bytes(ipv4) + bytes(udp) + messages


def enter_order(model: ModelState, order: WorkingOrder) -> bytes:
    """The template's message with the five fields of this order in place; its length prefix and `U` stay."""
    template = model.template
    message = bytearray(template.msg[: template.msg_len])
    ouch = 3
    side = b"B" if order.side == Side.BUY else b"S"
    name = model.params[order.symbol].name
    if template.protocol == Protocol.OUCH50:
        put(message, ouch + 1, order.user_ref.to_bytes(4, "big"))
        put(message, ouch + 5, side)
        put(message, ouch + 6, order.qty.to_bytes(4, "big"))
        put(message, ouch + 10, name)
        put(message, ouch + 18, order.price_e4.to_bytes(8, "big"))
    else:
        put(message, ouch + 7, f"{order.user_ref:08X}".encode())
        put(message, ouch + 15, side)
        put(message, ouch + 16, order.qty.to_bytes(4, "big"))
        put(message, ouch + 20, name)
        put(message, ouch + 28, order.price_e4.to_bytes(4, "big"))
    return bytes(message)


def put(buffer: bytearray, offset: int, value: bytes) -> None:
    """Overwrite bytes in place."""
    buffer[offset : offset + len(value)] = value

"""Rule 7 and the end of rule 6: from the intents of a packet through the gate to the order frame."""

from __future__ import annotations

from . import position, reserve, risk, throttle
from .connection import Send, Waiting
from .names import (
    MAX_UNMERGED,
    MAX_WAITING,
    MAX_WORKING,
    RECENT,
    U32_MAX,
    Action,
    EventKind,
    OrderState,
    Pending,
    Protocol,
    Reason,
    Side,
    Tif,
    Transport,
    WireFlag,
)
from .segment import build_segment
from .state import Decision, Intent, ModelState, Recent, WorkingOrder
from .wire import internet_sum, udp_pseudo_header

OUCH = 3
"""Where the OUCH message begins, behind its length and the `U` of UFO."""

TIF_50 = {Tif.IOC: b"3", Tif.DAY: b"0"}
TIF_42 = {Tif.IOC: (0).to_bytes(4, "big"), Tif.DAY: (99998).to_bytes(4, "big")}


def finish_packet(model: ModelState) -> bytes:
    """Every pending intent meets the gate, in order; returns the order frame, empty if none left."""
    reserve.reserve(model)
    for decision in model.work.pending:
        meet_the_gate(model, decision)
    tell_decisions(model)
    if not model.work.sent:
        return b""
    return leave(model)


def tell_decisions(model: ModelState) -> None:
    """Their events are written after all of them, behind those of latches that fell meanwhile."""
    for told in model.work.told:
        model.emit(**told)


def meet_the_gate(model: ModelState, decision: Decision) -> bool:
    """Did it leave?"""
    model.count("shadow_intents" if decision.shadow else "intents")
    epoch = model.control.epoch
    position.look_at_losses(model, decision.slot)
    position.look_at_executions(model, decision.strategy)
    reason = risk.refusal(model, decision, epoch)
    if decision.shadow:
        report(model, decision, EventKind.SHADOW, reason)
        return False
    if reason != Reason.NONE:
        model.refused[reason] += 1
        report(model, decision, EventKind.REFUSED, reason)
        return False
    if decision.intent.action == Action.CANCEL:
        send_cancel(model, decision)
    else:
        send_order(model, decision, epoch)
    return True


def report(model: ModelState, decision: Decision, kind: EventKind, reason: Reason) -> None:
    """What did not leave, and why; nothing else changes."""
    intent = decision.intent
    tell(
        model,
        decision,
        kind,
        reason=reason,
        side=intent.side,
        price_e4=intent.price_e4,
        qty=intent.qty,
        other_ref=0 if intent.action == Action.ENTER else intent.ref,
    )


def tell(model: ModelState, decision: Decision, kind: EventKind, **values: int) -> None:
    """The event of a decision, to be written after all of them."""
    model.work.told.append(
        {
            "kind": kind,
            "symbol": decision.slot,
            "feed_seq": decision.feed_seq,
            "exchange_ns": decision.exchange_ns,
            "strategy": decision.strategy,
            **values,
        }
    )


def send_order(model: ModelState, decision: Decision, epoch: int) -> None:
    """Record an ENTER or a REPLACE that passed the gate, and what it spends."""
    slot, intent = decision.slot, decision.intent
    old = risk.replaced_by(model, intent)
    user_ref = risk.next_user_ref(model)
    model.session.next_user_ref = user_ref + 1
    # A replacement has no side on the wire: it stays marked as its original was.
    short = old.short_sale if old else int(risk.is_short(model, slot, intent))
    order = WorkingOrder(
        user_ref=user_ref,
        state=OrderState.SENT,
        symbol=slot,
        side=intent.side,
        price_e4=intent.price_e4,
        qty=intent.qty,
        open_qty=intent.qty,
        sent_ns=model.work.now_ns,
        strategy=decision.strategy,
        short_sale=short,
        epoch=epoch,
    )
    begin(model, order, old)

    state, account, now_ns = model.symbols[slot], model.account, model.now_ns(model.params[slot].feed)
    recent = Recent(now_ns, intent.price_e4, intent.qty * 2 + intent.side)
    state.recent[state.recent_head % RECENT] = recent
    state.recent_head = (state.recent_head + 1) & U32_MAX
    throttle.spend(state, model.symbol_limits[epoch & 1][slot], now_ns)
    throttle.spend(account.strategy[decision.strategy], model.limits[epoch & 1].strategy[decision.strategy], now_ns)
    throttle.spend(account, model.limits[epoch & 1].account, now_ns)

    message = enter_message(model, order, intent) if old is None else replace_message(model, order, old, intent)
    model.work.sent.append((user_ref, message))
    model.count("orders")
    tell(
        model,
        decision,
        EventKind.ORDER,
        side=intent.side,
        user_ref=user_ref,
        price_e4=intent.price_e4,
        qty=intent.qty,
        open_qty=intent.qty,
        other_ref=order.other_ref,
    )


def begin(model: ModelState, order: WorkingOrder, old: WorkingOrder | None) -> None:
    """A SENT order takes its places: working slot, open orders and their sums. ``old``: what it shall replace."""
    state, account = model.symbols[order.symbol], model.account
    strategy = account.strategy[order.strategy]
    model.working[order.user_ref % MAX_WORKING] = order
    state.open_ref[state.open_ref.index(0)] = order.user_ref
    for counts in (state, strategy, account):
        counts.open_orders += 1
    for sent in (state, strategy, model.session):
        sent.orders_sent += 1

    notional_e4 = order.price_e4 * order.open_qty
    if old is None:
        count_open(model, order, order.open_qty, notional_e4)
        return
    order.other_ref = old.user_ref
    order.chain_qty = old.chain_qty + old.filled_qty
    old.other_ref = order.user_ref
    old.pending |= Pending.REPLACE
    # As long as both are open, only what it has beyond the other one can be traded in addition.
    more_e4 = max(0, notional_e4 - old.price_e4 * old.open_qty)
    count_open(model, order, max(0, order.open_qty - old.open_qty), more_e4)


def count_open(model: ModelState, order: WorkingOrder, qty: int, notional_e4: int) -> None:
    """The order's part of the open sums is this from now on."""
    model.symbols[order.symbol].open_qty[order.side] += qty - order.counted_qty
    model.account.open_e4[order.side] += notional_e4 - order.counted_e4
    order.counted_qty, order.counted_e4 = qty, notional_e4


def send_cancel(model: ModelState, decision: Decision) -> None:
    """Ask for all that is open of an order."""
    old = model.our_order(decision.intent.ref)
    assert old is not None, "the gate let it pass"
    old.pending |= Pending.CANCEL
    model.work.sent.append((old.user_ref, cancel_message(model, old)))
    model.count("cancels")
    tell(
        model,
        decision,
        EventKind.CANCEL_SENT,
        reason=model.work.wire_refusal,
        side=old.side,
        user_ref=old.user_ref,
        price_e4=old.price_e4,
        qty=old.open_qty,
        open_qty=old.open_qty,
    )


# What leaves


def leave(model: ModelState) -> bytes:
    """The frame of what is to leave with this packet, by the transport; empty if user space has to send it."""
    if model.work.wire_waits:
        hand_over(model)
        return b""
    model.count("order_frames")
    return build_datagram(model) if model.config.transport == Transport.UFO else send_segment(model)


def build_datagram(model: ModelState) -> bytes:
    """Template headers, then the messages, with lengths, identification and checksums right."""
    template, sent = model.template, model.work.sent
    messages = b"".join(message for _, message in sent)
    headers = template.headers[: template.headers_len]
    ethernet, ipv4, udp = headers[:-28], bytearray(headers[-28:-8]), bytearray(headers[-8:])

    ipv4[2:4] = (20 + 8 + len(messages)).to_bytes(2, "big")
    ipv4[4:6] = (sent[0][0] & 0xFFFF).to_bytes(2, "big")
    ipv4[10:12] = b"\0\0"
    ipv4[10:12] = (0xFFFF - internet_sum(bytes(ipv4))).to_bytes(2, "big")

    udp[4:6] = (8 + len(messages)).to_bytes(2, "big")
    udp[6:8] = b"\0\0"
    pseudo_header = udp_pseudo_header(bytes(ipv4[12:16]), bytes(ipv4[16:20]), 8 + len(messages))
    checksum = 0xFFFF - internet_sum(pseudo_header + bytes(udp) + messages)
    udp[6:8] = (checksum or 0xFFFF).to_bytes(2, "big")
    return ethernet + bytes(ipv4) + bytes(udp) + messages


def send_segment(model: ModelState) -> bytes:
    """The messages on the TCP connection (rule 11): reported for user space to merge, and the word moves on."""
    wire, sent = model.wire, model.work.sent
    messages = b"".join(message for _, message in sent)
    socket = reserve.the_socket(model)
    frame = build_segment(model.template, wire, socket, messages, sent[0][0] & 0xFFFF, model.work.now_ns)
    wire.send[wire.fired % MAX_UNMERGED] = Send(wire.seq, messages)
    wire.fired += 1
    wire.seq = (wire.seq + len(messages)) % 2**32
    wire.unmerged += 1
    model.count("wire_sends")
    return frame


def hand_over(model: ModelState) -> None:
    """Cancels that cannot leave now (rule 11) wait for user space, and nothing newer leaves before they do."""
    wire, work = model.wire, model.work
    messages = b"".join(message for _, message in work.sent)
    wire.waiting[wire.handed % MAX_WAITING] = Waiting(work.now_ns, work.wire_refusal, messages)
    wire.handed += 1
    wire.flags |= WireFlag.WAITING


def enter_message(model: ModelState, order: WorkingOrder, intent: Intent) -> bytes:
    """Enter Order: reference, side, quantity, symbol, price, and the time in force unless it is the template's."""
    message = blank(model, Action.ENTER)
    name = model.params[order.symbol].name
    side = b"B" if order.side == Side.BUY else b"T" if order.short_sale else b"S"
    if model.template.protocol == Protocol.OUCH50:
        put(message, 1, order.user_ref.to_bytes(4, "big"))
        put(message, 5, side)
        put(message, 6, order.qty.to_bytes(4, "big"))
        put(message, 10, name)
        put(message, 18, order.price_e4.to_bytes(8, "big"))
        put(message, 26, TIF_50.get(Tif(intent.tif), b""))
    else:
        put_token(message, 1, order.user_ref)
        put(message, 15, side)
        put(message, 16, order.qty.to_bytes(4, "big"))
        put(message, 20, name)
        put(message, 28, order.price_e4.to_bytes(4, "big"))
        put(message, 32, TIF_42.get(Tif(intent.tif), b""))
    return bytes(message)


def replace_message(model: ModelState, order: WorkingOrder, old: WorkingOrder, intent: Intent) -> bytes:
    """Replace Order: its quantity counts what the chain of orders before it has executed."""
    message = blank(model, Action.REPLACE)
    total = order.chain_qty + order.qty
    if model.template.protocol == Protocol.OUCH50:
        put(message, 1, old.user_ref.to_bytes(4, "big"))
        put(message, 5, order.user_ref.to_bytes(4, "big"))
        put(message, 9, total.to_bytes(4, "big"))
        put(message, 13, order.price_e4.to_bytes(8, "big"))
        put(message, 21, TIF_50.get(Tif(intent.tif), b""))
    else:
        put_token(message, 1, old.user_ref)
        put_token(message, 15, order.user_ref)
        put(message, 29, total.to_bytes(4, "big"))
        put(message, 33, order.price_e4.to_bytes(4, "big"))
        put(message, 37, TIF_42.get(Tif(intent.tif), b""))
    return bytes(message)


def cancel_message(model: ModelState, old: WorkingOrder) -> bytes:
    """Cancel Order: down to 0 shares."""
    message = blank(model, Action.CANCEL)
    if model.template.protocol == Protocol.OUCH50:
        put(message, 1, old.user_ref.to_bytes(4, "big"))
        put(message, 5, bytes(4))
    else:
        put_token(message, 1, old.user_ref)
        put(message, 15, bytes(4))
    return bytes(message)


def blank(model: ModelState, action: Action) -> bytearray:
    """The template's message of an action; its length prefix and `U` stay."""
    return bytearray(model.template.msg[action][: model.template.msg_len[action]])


def put(message: bytearray, at: int, value: bytes) -> None:
    """Overwrite bytes in place, ``at`` counted in the OUCH message."""
    message[OUCH + at : OUCH + at + len(value)] = value


def put_token(message: bytearray, at: int, user_ref: int) -> None:
    """The last 8 of the 14 characters of a token of OUCH 4.2; the first 6 stay."""
    put(message, at + 6, f"{user_ref:08X}".encode())

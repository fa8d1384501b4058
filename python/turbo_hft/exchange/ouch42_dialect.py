"""OUCH 4.2 at the exchange: Enter, Replace, Cancel, Modify and Trade Now in; their answers out.

Orders go by a 14-character token, unique for the day; a message with a used token is a repeat and is ignored. A
message for an order that is dead is ignored too. A Replace is ignored, Canceled (its details are bad; its token may be
used again), Rejected (its token is used up, the order stays as it is), or Replaced, the new order live or dead.
"""

from __future__ import annotations

from turbo_hft.exchange.client import Client, ClientOrder, Key, Trade
from turbo_hft.exchange.desk import Desk, Fault
from turbo_hft.exchange.venue import Fill
from turbo_hft.wire import ouch42

REJECT_CODES = {
    Fault.CLOSED: "C",
    Fault.SYMBOL: "S",
    Fault.SIDE: "O",
    Fault.QUANTITY: "Z",
    Fault.PRICE: "X",
    Fault.TIME_IN_FORCE: "O",
    Fault.DISPLAY: "D",
    Fault.CAPACITY: "O",
    Fault.CROSS: "R",
    Fault.MIN_QTY: "N",
    Fault.ISO: "O",
    Fault.ORDER_TYPE: "O",
    Fault.HALTED: "H",
    Fault.SHORT_SALE: "O",
    Fault.DISABLED: "L",
    Fault.CANCEL_PENDING: "O",
}
_ANY_REJECT = sorted(ouch42.REJECT_REASONS)
_REFERENCE_PRICE_TYPE = "I"

_IOC = 0
_LONGEST_TIF = 99_999
_MARKET_HOURS = 99_998


class Ouch42Dialect:
    """Translates between OUCH 4.2 and the desk."""

    name = "ouch42"
    has_reference_price = True

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def handle(self, client: Client, message: bytes, now_ns: int) -> dict[str, object]:
        """Carry out one message. Errors: MalformedMessage from the decoder."""
        form = ouch42.decode_inbound(message)
        match form:
            case ouch42.EnterOrder():
                return self._enter(client, form, now_ns)
            case ouch42.ReplaceOrder():
                return self._replace(client, form, now_ns)
            case ouch42.CancelOrder(token, intended):
                order = client.orders.get(token)
                done = "ignored" if order is None else self._desk.cancel(order, intended, now_ns)
                return {"kind": "cancel", "token": token, "qty": intended, "outcome": done}
            case ouch42.ModifyOrder():
                return self._modify(client, form, now_ns)
            case ouch42.TradeNow(token):
                order = client.orders.get(token)
                if order is not None:
                    # Whatever it could trade with has traded with it when it came: there is nothing to take.
                    client.say(ouch42.TradeNowAck(now_ns, token).encode())
                return {"kind": "trade_now", "token": token, "outcome": "ignored" if order is None else "answered"}

    def _enter(self, client: Client, form: ouch42.EnterOrder, now_ns: int) -> dict[str, object]:
        entry: dict[str, object] = {
            "kind": "order",
            "token": form.order_token,
            "side": form.side,
            "qty": form.shares,
            "symbol": form.stock,
            "price_e4": form.price,
        }
        if form.order_token in client.used_tokens:
            return {**entry, "outcome": "ignored", "reason": "repeated token"}
        client.used_tokens.add(form.order_token)
        order = ClientOrder(
            client,
            form.order_token,
            form.stock,
            form.side,
            form.shares,
            form.price,
            form.tif == _IOC,
            form,
            mpid=(form.firm or "TEST") if form.display == "A" else "",
            firm=form.firm,
            expires_ns=_expiry(form.tif, now_ns),
        )
        fault = self._desk.fault(form.stock, form.side, form.shares, form.price) or _terms_fault(form)
        code = self._desk.random_reject(_ANY_REJECT) if fault is None else REJECT_CODES[fault]
        if code is not None:
            self._desk.reject(order, code, now_ns)
            client.say(ouch42.Rejected(now_ns, form.order_token, code).encode())
            return {**entry, "outcome": "rejected", "reason": fault.value if fault else "at random", "code": code}
        return {**entry, **_result(order, self._desk.enter(order, now_ns))}

    def _replace(self, client: Client, form: ouch42.ReplaceOrder, now_ns: int) -> dict[str, object]:
        entry: dict[str, object] = {
            "kind": "replace",
            "original": form.existing_token,
            "token": form.replacement_token,
            "qty": form.shares,
            "price_e4": form.price,
        }
        order = client.orders.get(form.existing_token)
        if form.replacement_token in client.used_tokens or order is None:
            reason = "order not live" if order is None else "repeated token"
            return {**entry, "outcome": "ignored", "reason": reason}
        fault = self._desk.replacement_fault(order, form.price)
        bad = self._desk.size_fault(form.shares, form.price) or _common_fault(form)
        if bad is not None and fault is not Fault.CANCEL_PENDING:
            return {**entry, "outcome": self._desk.cancel_whole(order, now_ns), "reason": bad.value}
        client.used_tokens.add(form.replacement_token)
        code = self._desk.random_reject(_ANY_REJECT) if fault is None else REJECT_CODES[fault]
        if code is not None:
            self._desk.reject_replacement(order, code, now_ns)
            client.say(ouch42.Rejected(now_ns, form.replacement_token, code).encode())
            return {**entry, "outcome": "rejected", "reason": fault.value if fault else "at random", "code": code}
        done = self._desk.replace(
            order,
            form.replacement_token,
            form.shares,
            form.price,
            ioc=form.tif == _IOC,
            form=form,
            now_ns=now_ns,
            expires_ns=_expiry(form.tif, now_ns),
        )
        return {**entry, **_result(order, done)}

    def _modify(self, client: Client, form: ouch42.ModifyOrder, now_ns: int) -> dict[str, object]:
        entry: dict[str, object] = {
            "kind": "modify",
            "token": form.order_token,
            "side": form.side,
            "qty": form.shares,
        }
        order = client.orders.get(form.order_token)
        if order is None:
            return {**entry, "outcome": "ignored", "reason": "order not live"}
        return {**entry, "outcome": self._desk.modify(order, form.side, form.shares, now_ns)}

    def accepted(self, order: ClientOrder, now_ns: int) -> bytes:
        """Accepted. A capacity other than A, P, R comes back as O, as the protocol says."""
        form = order.form
        assert isinstance(form, ouch42.EnterOrder)
        return ouch42.Accepted(
            timestamp=now_ns,
            order_token=form.order_token,
            side=form.side,
            shares=form.shares,
            stock=form.stock,
            price=form.price,
            tif=form.tif,
            firm=form.firm,
            display=form.display,
            order_ref=order.order_ref,
            capacity=form.capacity if form.capacity in ("A", "P", "R") else "O",
            iso=form.iso,
            min_qty=form.min_qty,
            cross_type=form.cross_type,
            order_state="D" if order.dead else "L",
            bbo_weight="",
        ).encode()

    def replaced(self, order: ClientOrder, previous: Key, now_ns: int) -> bytes:
        """Replaced; shares are what is outstanding."""
        form = order.form
        assert isinstance(form, ouch42.ReplaceOrder) and isinstance(previous, str)
        return ouch42.Replaced(
            timestamp=now_ns,
            replacement_token=form.replacement_token,
            side=order.side,
            shares=order.open_qty,
            stock=order.symbol,
            price=form.price,
            tif=form.tif,
            firm="",
            display=form.display,
            order_ref=order.order_ref,
            capacity="P",
            iso=form.iso,
            min_qty=form.min_qty,
            cross_type="N",
            order_state="D" if order.dead else "L",
            previous_token=previous,
            bbo_weight="",
        ).encode()

    def executed(self, order: ClientOrder, fill: Fill, now_ns: int, reference_e4: int | None = None) -> bytes:
        """Executed, or Executed with Reference Price."""
        terms = now_ns, _token(order), fill.qty, fill.price_e4, fill.liquidity, fill.match_number
        if reference_e4 is None:
            return ouch42.Executed(*terms).encode()
        return ouch42.ExecutedWithReferencePrice(*terms, reference_e4, _REFERENCE_PRICE_TYPE).encode()

    def broken(self, trade: Trade, reason: str, now_ns: int) -> bytes:
        """Broken Trade, with the token of then."""
        assert isinstance(trade.key, str)
        return ouch42.BrokenTrade(now_ns, trade.key, trade.fill.match_number, reason).encode()

    def canceled(self, order: ClientOrder, qty: int, reason: str, now_ns: int) -> bytes:
        """Canceled."""
        return ouch42.Canceled(now_ns, _token(order), qty, reason).encode()

    def self_match(self, order: ClientOrder, qty: int, price_e4: int, liquidity: str, now_ns: int) -> bytes:
        """AIQ Canceled, as before 2025: without the strategy."""
        return ouch42.AiqCanceled(now_ns, _token(order), qty, "Q", qty, price_e4, liquidity).encode()

    def cancel_pending(self, order: ClientOrder, now_ns: int) -> bytes:
        """Cancel Pending."""
        return ouch42.CancelPending(now_ns, _token(order)).encode()

    def cancel_reject(self, order: ClientOrder, now_ns: int) -> bytes:
        """Cancel Reject."""
        return ouch42.CancelReject(now_ns, _token(order)).encode()

    def priority_update(self, order: ClientOrder, now_ns: int) -> bytes:
        """Order Priority Update."""
        form = order.form
        assert isinstance(form, ouch42.EnterOrder | ouch42.ReplaceOrder)
        return ouch42.PriorityUpdate(now_ns, _token(order), order.price_e4, form.display, order.order_ref).encode()

    def modified(self, order: ClientOrder, now_ns: int) -> bytes:
        """Order Modified; shares are what is outstanding."""
        return ouch42.Modified(now_ns, _token(order), order.side, order.open_qty).encode()

    def restated(self, order: ClientOrder, reason: str, now_ns: int) -> bytes | None:
        """There is no such message in this version."""
        return None

    def system_event(self, code: str, now_ns: int) -> bytes:
        """System Event."""
        return ouch42.SystemEvent(now_ns, code).encode()


def _token(order: ClientOrder) -> str:
    assert isinstance(order.key, str)
    return order.key


def _result(order: ClientOrder, outcome: str) -> dict[str, object]:
    return {
        "outcome": outcome,
        "order_ref": order.order_ref,
        "executed_qty": order.executed,
        "open_qty": order.open_qty,
    }


def _expiry(tif: int, now_ns: int) -> int | None:
    """A time in force below the two day codes is a number of seconds from now."""
    return None if tif == _IOC or tif >= _MARKET_HOURS else now_ns + tif * 1_000_000_000


def _terms_fault(form: ouch42.EnterOrder) -> Fault | None:
    if form.cross_type != "N":
        return Fault.CROSS
    return _common_fault(form)


def _common_fault(form: ouch42.EnterOrder | ouch42.ReplaceOrder) -> Fault | None:
    if form.tif > _LONGEST_TIF:
        return Fault.TIME_IN_FORCE
    if form.display not in ("Y", "A"):
        return Fault.DISPLAY
    if form.iso not in ("Y", "N"):
        return Fault.ISO
    return Fault.MIN_QTY if form.min_qty else None

"""OUCH 4.2 at the exchange: Enter, Replace, Cancel and Modify in; their answers out.

Orders go by a 14-character token, unique for the day; a message with a used token is a repeat and is ignored.
"""

from __future__ import annotations

from turbo_hft.exchange.client import Client, ClientOrder, Key
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
}

_IOC = 0
_LONGEST_TIF = 99_999
_MARKET_HOURS = 99_998


class Ouch42Dialect:
    """Translates between OUCH 4.2 and the desk."""

    name = "ouch42"

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
            case _:
                return {"kind": "unsupported", "type": chr(message[0]), "outcome": "ignored"}

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
            expires_ns=_expiry(form.tif, now_ns),
        )
        fault = self._desk.fault(form.stock, form.side, form.shares, form.price) or _terms_fault(form)
        if fault is not None:
            code = REJECT_CODES[fault]
            self._desk.reject(order, code, now_ns)
            client.say(ouch42.Rejected(now_ns, form.order_token, code).encode())
            return {**entry, "outcome": "rejected", "reason": fault.value, "code": code}
        self._desk.enter(order, now_ns)
        return {**entry, **_result(order, "accepted")}

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
        client.used_tokens.add(form.replacement_token)
        fault = self._desk.size_fault(form.shares, form.price) or _replacement_fault(form)
        if fault is not None:
            code = REJECT_CODES[fault]
            client.say(ouch42.Rejected(now_ns, form.replacement_token, code).encode())
            return {**entry, "outcome": "rejected", "reason": fault.value, "code": code}
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
        done, owes_answer = self._desk.modify(order, form.side, form.shares, now_ns)
        if owes_answer:
            client.say(ouch42.Modified(now_ns, form.order_token, order.side, order.open_qty).encode())
        return {**entry, "outcome": done}

    def accepted(self, order: ClientOrder, now_ns: int) -> bytes:
        """Accepted, live. A capacity other than A, P, R comes back as O, as the protocol says."""
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
            order_state="L",
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
            order_state="L",
            previous_token=previous,
            bbo_weight="",
        ).encode()

    def executed(self, order: ClientOrder, fill: Fill, now_ns: int) -> bytes:
        """Executed."""
        assert isinstance(order.key, str)
        return ouch42.Executed(now_ns, order.key, fill.qty, fill.price_e4, fill.liquidity, fill.match_number).encode()

    def canceled(self, order: ClientOrder, qty: int, reason: str, now_ns: int) -> bytes:
        """Canceled."""
        assert isinstance(order.key, str)
        return ouch42.Canceled(now_ns, order.key, qty, reason).encode()

    def system_event(self, code: str, now_ns: int) -> bytes:
        """System Event."""
        return ouch42.SystemEvent(now_ns, code).encode()


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


def _replacement_fault(form: ouch42.ReplaceOrder) -> Fault | None:
    return _common_fault(form)


def _common_fault(form: ouch42.EnterOrder | ouch42.ReplaceOrder) -> Fault | None:
    if form.tif > _LONGEST_TIF:
        return Fault.TIME_IN_FORCE
    if form.display not in ("Y", "A"):
        return Fault.DISPLAY
    if form.iso not in ("Y", "N"):
        return Fault.ISO
    return Fault.MIN_QTY if form.min_qty else None

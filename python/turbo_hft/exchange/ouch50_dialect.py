"""OUCH 5.0 at the exchange: Enter, Replace, Cancel, Modify, Mass Cancel, Disable and Enable Order Entry and Account
Query in; their answers out.

A UserRefNum at or below the newest one processed is a repeat and is ignored, which is what makes the unprotected
upstream of UFO safe. A message for an order that is dead is ignored too. Orders of kinds that this market does not
offer (hidden, pegged, minimum quantity, crosses) are rejected with the code that names the field. A Replace is
ignored, Canceled (its details are bad; its number may be used again), Rejected (its number is used up, the order
stays as it is), or Replaced, the new order live or dead. Where a message names a firm, a blank one means every order
of the account.
"""

from __future__ import annotations

from turbo_hft.errors import MalformedMessage
from turbo_hft.exchange.client import Client, ClientOrder, Key, Trade
from turbo_hft.exchange.desk import Desk, Fault
from turbo_hft.exchange.venue import Fill
from turbo_hft.wire import ouch50

REJECT_CODES = {
    Fault.CLOSED: 0x02,
    Fault.SYMBOL: 0x17,
    Fault.SIDE: 0x09,
    Fault.QUANTITY: 0x13,
    Fault.PRICE: 0x1D,
    Fault.TIME_IN_FORCE: 0x0F,
    Fault.DISPLAY: 0x03,
    Fault.CAPACITY: 0x0F,
    Fault.CROSS: 0x0E,
    Fault.MIN_QTY: 0x0D,
    Fault.ISO: 0x08,
    Fault.ORDER_TYPE: 0x24,
    Fault.HALTED: 0x07,
    Fault.SHORT_SALE: 0x23,
    Fault.DISABLED: 0x0C,
    Fault.CANCEL_PENDING: 0x0B,
}
_ANY_REJECT = sorted(ouch50.REJECT_REASONS)
_AIQ_STRATEGY = "D"  # both orders are made smaller

_IOC = "3"
_GOOD_TILL_TIME = "6"
_TIMES_IN_FORCE = "0356E"
_TAG_FIRM = 2
_TAG_MIN_QTY = 3
_TAG_EXPIRE_TIME = 15
_TAG_DISPLAY_QUANTITY = 22
_TAG_DISPLAY_PRICE = 23
# Options that would change how an order trades: max floor, price type, peg offset, discretion, post only, reserves.
_TAGS_NOT_OFFERED = frozenset({5, 6, 7, 9, 10, 11, 12, 13})


class Ouch50Dialect:
    """Translates between OUCH 5.0 and the desk."""

    name = "ouch50"
    has_reference_price = False

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def handle(self, client: Client, message: bytes, now_ns: int) -> dict[str, object]:
        """Carry out one message. Errors: MalformedMessage from the decoder."""
        form = ouch50.decode_inbound(message)
        match form:
            case ouch50.EnterOrder():
                return self._enter(client, form, now_ns)
            case ouch50.ReplaceOrder():
                return self._replace(client, form, now_ns)
            case ouch50.CancelOrder(ref, intended):
                order = client.orders.get(ref)
                done = "ignored" if order is None else self._desk.cancel(order, intended, now_ns)
                return {"kind": "cancel", "user_ref": ref, "qty": intended, "outcome": done}
            case ouch50.ModifyOrder():
                return self._modify(client, form, now_ns)
            case ouch50.AccountQuery():
                client.say(ouch50.AccountQueryResponse(now_ns, client.last_user_ref + 1).encode())
                return {"kind": "query", "outcome": "answered"}
            case ouch50.MassCancel():
                return self._mass_cancel(client, form, now_ns)
            case ouch50.DisableOrderEntry() | ouch50.EnableOrderEntry():
                return self._switch(client, form, now_ns)

    def _enter(self, client: Client, form: ouch50.EnterOrder, now_ns: int) -> dict[str, object]:
        entry: dict[str, object] = {
            "kind": "order",
            "user_ref": form.user_ref_num,
            "side": form.side,
            "qty": form.quantity,
            "symbol": form.symbol,
            "price_e4": form.price,
        }
        if form.user_ref_num <= client.last_user_ref:
            return {**entry, "outcome": "ignored", "reason": "repeated UserRefNum"}
        options = ouch50.options(form.appendage)
        client.last_user_ref = form.user_ref_num
        order = ClientOrder(
            client,
            form.user_ref_num,
            form.symbol,
            form.side,
            form.quantity,
            form.price,
            form.tif == _IOC,
            form,
            mpid=_mpid(form.display, options),
            firm=_firm(options),
            expires_ns=_expiry(form.tif, options),
        )
        fault = (
            self._desk.fault(form.symbol, form.side, form.quantity, form.price)
            or _terms_fault(form, options)
            or (Fault.DISABLED if {"", order.firm} & client.disabled_firms else None)
        )
        code = self._desk.random_reject(_ANY_REJECT) if fault is None else REJECT_CODES[fault]
        if code is not None:
            self._desk.reject(order, f"0x{code:02X}", now_ns)
            client.say(ouch50.Rejected(now_ns, form.user_ref_num, code, form.cl_ord_id).encode())
            return {**entry, "outcome": "rejected", "reason": fault.value if fault else "at random", "code": code}
        return {**entry, **_result(order, self._desk.enter(order, now_ns))}

    def _replace(self, client: Client, form: ouch50.ReplaceOrder, now_ns: int) -> dict[str, object]:
        entry: dict[str, object] = {
            "kind": "replace",
            "original": form.orig_user_ref_num,
            "user_ref": form.user_ref_num,
            "qty": form.quantity,
            "price_e4": form.price,
        }
        order = client.orders.get(form.orig_user_ref_num)
        if form.user_ref_num <= client.last_user_ref or order is None:
            reason = "order not live" if order is None else "repeated UserRefNum"
            return {**entry, "outcome": "ignored", "reason": reason}
        options = ouch50.options(form.appendage)
        fault = self._desk.replacement_fault(order, form.price)
        bad = self._desk.size_fault(form.quantity, form.price) or _replacement_fault(form, options)
        if bad is not None and fault is not Fault.CANCEL_PENDING:
            return {**entry, "outcome": self._desk.cancel_whole(order, now_ns), "reason": bad.value}
        client.last_user_ref = form.user_ref_num
        code = self._desk.random_reject(_ANY_REJECT) if fault is None else REJECT_CODES[fault]
        if code is not None:
            self._desk.reject_replacement(order, f"0x{code:02X}", now_ns)
            client.say(ouch50.Rejected(now_ns, form.user_ref_num, code, form.cl_ord_id).encode())
            return {**entry, "outcome": "rejected", "reason": fault.value if fault else "at random", "code": code}
        done = self._desk.replace(
            order,
            form.user_ref_num,
            form.quantity,
            form.price,
            ioc=form.tif == _IOC,
            form=form,
            now_ns=now_ns,
            expires_ns=_expiry(form.tif, options),
        )
        return {**entry, **_result(order, done)}

    def _modify(self, client: Client, form: ouch50.ModifyOrder, now_ns: int) -> dict[str, object]:
        entry: dict[str, object] = {
            "kind": "modify",
            "user_ref": form.user_ref_num,
            "side": form.side,
            "qty": form.quantity,
        }
        order = client.orders.get(form.user_ref_num)
        if order is None:
            return {**entry, "outcome": "ignored", "reason": "order not live"}
        return {**entry, "outcome": self._desk.modify(order, form.side, form.quantity, now_ns)}

    def _mass_cancel(self, client: Client, form: ouch50.MassCancel, now_ns: int) -> dict[str, object]:
        entry: dict[str, object] = {
            "kind": "mass_cancel",
            "user_ref": form.user_ref_num,
            "firm": form.firm,
            "symbol": form.symbol,
        }
        if form.user_ref_num <= client.last_user_ref:
            return {**entry, "outcome": "ignored", "reason": "repeated UserRefNum"}
        client.last_user_ref = form.user_ref_num
        client.say(ouch50.MassCancelResponse(now_ns, form.user_ref_num, form.firm, form.symbol).encode())
        orders = [
            order
            for order in client.orders.values()
            if form.firm in ("", order.firm) and form.symbol in ("", order.symbol)
        ]
        for order in orders:
            self._desk.cancel_whole(order, now_ns)
        return {**entry, "outcome": "canceled", "orders": len(orders)}

    def _switch(
        self, client: Client, form: ouch50.DisableOrderEntry | ouch50.EnableOrderEntry, now_ns: int
    ) -> dict[str, object]:
        disable = isinstance(form, ouch50.DisableOrderEntry)
        entry: dict[str, object] = {
            "kind": "disable" if disable else "enable",
            "user_ref": form.user_ref_num,
            "firm": form.firm,
        }
        if form.user_ref_num <= client.last_user_ref:
            return {**entry, "outcome": "ignored", "reason": "repeated UserRefNum"}
        client.last_user_ref = form.user_ref_num
        if disable:
            client.disabled_firms.add(form.firm)
            client.say(ouch50.DisableOrderEntryResponse(now_ns, form.user_ref_num, form.firm).encode())
        else:
            client.disabled_firms -= {form.firm} if form.firm else client.disabled_firms
            client.say(ouch50.EnableOrderEntryResponse(now_ns, form.user_ref_num, form.firm).encode())
        return {**entry, "outcome": "answered"}

    def accepted(self, order: ClientOrder, now_ns: int) -> bytes:
        """Order Accepted."""
        form = order.form
        assert isinstance(form, ouch50.EnterOrder)
        return ouch50.Accepted(
            timestamp=now_ns,
            user_ref_num=form.user_ref_num,
            side=form.side,
            quantity=form.quantity,
            symbol=form.symbol,
            price=form.price,
            tif=form.tif,
            display=form.display,
            order_ref=order.order_ref,
            capacity=form.capacity,
            iso=form.iso,
            cross_type=form.cross_type,
            order_state="D" if order.dead else "L",
            cl_ord_id=form.cl_ord_id,
        ).encode()

    def replaced(self, order: ClientOrder, previous: Key, now_ns: int) -> bytes:
        """Order Replaced; quantity is what is outstanding."""
        form = order.form
        assert isinstance(form, ouch50.ReplaceOrder) and isinstance(previous, int)
        return ouch50.Replaced(
            timestamp=now_ns,
            orig_user_ref_num=previous,
            user_ref_num=form.user_ref_num,
            side=order.side,
            quantity=order.open_qty,
            symbol=order.symbol,
            price=form.price,
            tif=form.tif,
            display=form.display,
            order_ref=order.order_ref,
            capacity="P",
            iso=form.iso,
            cross_type="N",
            order_state="D" if order.dead else "L",
            cl_ord_id=form.cl_ord_id,
        ).encode()

    def executed(self, order: ClientOrder, fill: Fill, now_ns: int, reference_e4: int | None = None) -> bytes:
        """Order Executed; there are no reference prices in this version."""
        return ouch50.Executed(now_ns, _ref(order), fill.qty, fill.price_e4, fill.liquidity, fill.match_number).encode()

    def broken(self, trade: Trade, reason: str, now_ns: int) -> bytes:
        """Broken Trade, with the UserRefNum of then."""
        form = trade.form
        assert isinstance(trade.key, int) and isinstance(form, ouch50.EnterOrder | ouch50.ReplaceOrder)
        return ouch50.BrokenTrade(now_ns, trade.key, trade.fill.match_number, reason, form.cl_ord_id).encode()

    def canceled(self, order: ClientOrder, qty: int, reason: str, now_ns: int) -> bytes:
        """Order Canceled."""
        return ouch50.Canceled(now_ns, _ref(order), qty, reason).encode()

    def self_match(self, order: ClientOrder, qty: int, price_e4: int, liquidity: str, now_ns: int) -> bytes:
        """AIQ Canceled."""
        return ouch50.AiqCanceled(now_ns, _ref(order), qty, "Q", qty, price_e4, liquidity, _AIQ_STRATEGY).encode()

    def cancel_pending(self, order: ClientOrder, now_ns: int) -> bytes:
        """Cancel Pending."""
        return ouch50.CancelPending(now_ns, _ref(order)).encode()

    def cancel_reject(self, order: ClientOrder, now_ns: int) -> bytes:
        """Cancel Reject."""
        return ouch50.CancelReject(now_ns, _ref(order)).encode()

    def priority_update(self, order: ClientOrder, now_ns: int) -> bytes:
        """Order Priority Update."""
        form = order.form
        assert isinstance(form, ouch50.EnterOrder | ouch50.ReplaceOrder)
        return ouch50.PriorityUpdate(now_ns, _ref(order), order.price_e4, form.display, order.order_ref).encode()

    def modified(self, order: ClientOrder, now_ns: int) -> bytes:
        """Order Modified; quantity is what is outstanding."""
        return ouch50.Modified(now_ns, _ref(order), order.side, order.open_qty).encode()

    def restated(self, order: ClientOrder, reason: str, now_ns: int) -> bytes | None:
        """Order Restated: R with what is displayed, P with the price."""
        if reason == "R":
            shown = {_TAG_DISPLAY_QUANTITY: order.open_qty.to_bytes(4)}
        else:
            shown = {_TAG_DISPLAY_PRICE: order.price_e4.to_bytes(8)}
        return ouch50.Restated(now_ns, _ref(order), reason, ouch50.encode_options(shown)).encode()

    def system_event(self, code: str, now_ns: int) -> bytes:
        """System Event."""
        return ouch50.SystemEvent(now_ns, code).encode()


def _ref(order: ClientOrder) -> int:
    assert isinstance(order.key, int)
    return order.key


def _result(order: ClientOrder, outcome: str) -> dict[str, object]:
    return {
        "outcome": outcome,
        "order_ref": order.order_ref,
        "executed_qty": order.executed,
        "open_qty": order.open_qty,
    }


def _firm(options: dict[int, bytes]) -> str:
    try:
        return options.get(_TAG_FIRM, b"").decode("ascii").strip()[:4]
    except UnicodeDecodeError as error:
        raise MalformedMessage(f"firm option is not ASCII: {options[_TAG_FIRM]!r}") from error


def _mpid(display: str, options: dict[int, bytes]) -> str:
    """An attributable order shows its firm's MPID in the feed."""
    return (_firm(options) or "TEST") if display == "A" else ""


def _expiry(tif: str, options: dict[int, bytes]) -> int | None:
    """Good till time: seconds since midnight in the ExpireTime option."""
    if tif != _GOOD_TILL_TIME:
        return None
    return int.from_bytes(options.get(_TAG_EXPIRE_TIME, b"")) * 1_000_000_000


def _time_fault(tif: str, options: dict[int, bytes]) -> Fault | None:
    if len(tif) != 1 or tif not in _TIMES_IN_FORCE:
        return Fault.TIME_IN_FORCE
    if tif == _GOOD_TILL_TIME and not 0 < int.from_bytes(options.get(_TAG_EXPIRE_TIME, b"")) < 86_400:
        return Fault.TIME_IN_FORCE
    return None


def _option_fault(options: dict[int, bytes]) -> Fault | None:
    if int.from_bytes(options.get(_TAG_MIN_QTY, b"")):
        return Fault.MIN_QTY
    return Fault.ORDER_TYPE if _TAGS_NOT_OFFERED & options.keys() else None


def _terms_fault(form: ouch50.EnterOrder, options: dict[int, bytes]) -> Fault | None:
    if fault := _time_fault(form.tif, options):
        return fault
    if form.display not in ("Y", "A"):
        return Fault.DISPLAY
    if form.capacity not in ("A", "P", "R", "O"):
        return Fault.CAPACITY
    if form.iso not in ("Y", "N"):
        return Fault.ISO
    return Fault.CROSS if form.cross_type != "N" else _option_fault(options)


def _replacement_fault(form: ouch50.ReplaceOrder, options: dict[int, bytes]) -> Fault | None:
    if fault := _time_fault(form.tif, options):
        return fault
    if form.display not in ("Y", "A"):
        return Fault.DISPLAY
    return Fault.ISO if form.iso not in ("Y", "N") else _option_fault(options)

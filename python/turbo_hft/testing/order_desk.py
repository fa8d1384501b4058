"""The order-entry side of a scenario's exchange: takes order frames, and answers them in every way there is.

It knows what it was sent and what became of it, so most of its replies are those that an exchange would give then; a
known share is wrong in one known way. Both protocols: `protocol` is ``ouch50`` or ``ouch42``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from turbo_hft.wire import ouch42, ouch50, ufo
from turbo_hft.wire.frame import parse_udp

Values = dict[str, Any]

_TOKEN_PREFIX = 6
_FLAGS = "RRRAJ"
_MOST_BROKEN = 40


@dataclass
class DeskOrder:
    """One of the engine's orders. `qty`: as asked for, of a replacement with what its chain of orders has executed.

    `total`: shares that the chain has executed.
    """

    ref: int
    side: str
    name: str
    qty: int
    price: int
    open: int
    live: bool = False
    original: int = 0
    total: int = 0


@dataclass
class OrderDesk:
    """`faults`: share of replies that are wrong on purpose."""

    protocol: str = "ouch50"
    faults: float = 0.04
    orders: dict[int, DeskOrder] = field(default_factory=dict)
    requests: list[tuple[str, int]] = field(default_factory=list)
    trades: list[tuple[int, int]] = field(default_factory=list)
    broken: list[tuple[int, int]] = field(default_factory=list)
    match: int = 0
    prefix: str = "T00000"

    def observe(self, frame: bytes) -> None:
        """Take an order frame as the exchange would: what it asks for is answered by and by."""
        for message in ufo.decode_upstream(parse_udp(frame).payload):
            assert isinstance(message, ufo.Unsequenced)
            if self.protocol == "ouch50":
                self._take_50(ouch50.decode_inbound(message.message))
            else:
                self._take_42(ouch42.decode_inbound(message.message))

    def _take_50(self, asked: ouch50.Inbound) -> None:
        if isinstance(asked, ouch50.EnterOrder):
            self._enter(asked.user_ref_num, asked.side, asked.symbol, asked.quantity, asked.price)
        elif isinstance(asked, ouch50.ReplaceOrder):
            self._replace(asked.orig_user_ref_num, asked.user_ref_num, asked.quantity, asked.price)
        else:
            assert isinstance(asked, ouch50.CancelOrder)
            self.requests.append(("cancel", asked.user_ref_num))

    def _take_42(self, asked: ouch42.Inbound) -> None:
        if isinstance(asked, ouch42.EnterOrder):
            self.prefix = asked.order_token[:_TOKEN_PREFIX]
            self._enter(_ref(asked.order_token), asked.side, asked.stock, asked.shares, asked.price)
        elif isinstance(asked, ouch42.ReplaceOrder):
            self._replace(_ref(asked.existing_token), _ref(asked.replacement_token), asked.shares, asked.price)
        else:
            assert isinstance(asked, ouch42.CancelOrder)
            self.requests.append(("cancel", _ref(asked.order_token)))

    def _enter(self, ref: int, side: str, name: str, qty: int, price: int) -> None:
        self._ask("enter", DeskOrder(ref, side, name, qty, price, qty))

    def _replace(self, old: int, ref: int, total: int, price: int) -> None:
        original = self.orders[old]
        self._ask("replace", DeskOrder(ref, original.side, original.name, total, price, 0, original=old))

    def _ask(self, what: str, order: DeskOrder) -> None:
        """A number that comes again, because the engine has forgotten it, is of the new order alone."""
        self.orders[order.ref] = order
        self.requests = [request for request in self.requests if request[1] != order.ref]
        self.requests.append((what, order.ref))

    def forget(self) -> None:
        """Everything that was open is taken down, and nothing more is said of it."""
        self.requests.clear()
        for order in self.orders.values():
            order.live = False

    def refs(self) -> list[int]:
        """Orders that are open, as far as the exchange knows."""
        return [ref for ref, order in self.orders.items() if order.live]

    # Answers

    def answer(self, rng: random.Random, stamp: int) -> bytes:
        """The next reply: to something that was asked, or of what happens by itself."""
        live = self.refs()
        if self.requests and rng.random() < 0.6:
            made = self._to_request(rng, stamp)
            if made is not None:
                return self._maybe_wrong(rng, made, stamp)
        if not live or rng.random() < self.faults / 4:
            return self.stray(rng, stamp)
        order = self.orders[rng.choice(live)]
        return self._maybe_wrong(rng, self._of_itself(rng, order, stamp), stamp)

    def _to_request(self, rng: random.Random, stamp: int) -> bytes | None:
        """None: nobody answers, for what was asked about is gone."""
        what, ref = self.requests.pop(rng.randrange(len(self.requests)) if rng.random() < 0.2 else 0)
        order = self.orders[ref]
        if what == "cancel":
            return self._to_cancel(rng, order, stamp)
        if rng.random() < 0.12:
            return self._rejected(stamp, ref)
        if what == "replace":
            return self._to_replace(rng, order, stamp)
        order.live = rng.random() > 0.05
        return self._accepted(stamp, order, "L" if order.live else "D")

    def _to_replace(self, rng: random.Random, order: DeskOrder, stamp: int) -> bytes | None:
        original = self.orders[order.original]
        if not original.live:
            return None
        left = order.qty - original.total
        if left <= 0:
            return self._canceled(rng, stamp, original, original.open)
        order.total = original.total
        order.open = left if rng.random() < 0.9 else max(1, left // 2)
        if rng.random() < 0.1:
            order.price = max(1, order.price - 100)
        original.live, order.live = False, rng.random() > 0.05
        return self._replaced(stamp, order, "L" if order.live else "D")

    def _to_cancel(self, rng: random.Random, order: DeskOrder, stamp: int) -> bytes | None:
        if not order.live:
            return None
        draw = rng.random()
        if draw < 0.2:
            return self._simple("I", stamp, order.ref)
        if draw < 0.4:
            self.requests.append(("cancel", order.ref))
            return self._simple("P", stamp, order.ref)
        return self._canceled(rng, stamp, order, order.open)

    def _of_itself(self, rng: random.Random, order: DeskOrder, stamp: int) -> bytes:
        part = order.open if rng.random() < 0.4 else max(1, order.open // 2)
        if self.trades and rng.random() < 0.08:
            traded = self.trades.pop(rng.randrange(len(self.trades)))
            self.broken = [*self.broken[-_MOST_BROKEN:], traded]
            return self._broken(stamp, *traded)
        draw = rng.random()
        if draw < 0.55:
            return self._executed(rng, stamp, order, part)
        if draw < 0.7:
            return self._canceled(rng, stamp, order, part)
        if draw < 0.76:
            order.price = max(1, order.price + rng.choice((-100, 100, 0)))
            return self._priority(stamp, order)
        if draw < 0.84:
            order.open = part
            return self._modified(rng, stamp, order)
        if draw < 0.9 and self.protocol == "ouch50":
            return ouch50.Restated(timestamp=stamp, user_ref_num=order.ref, reason=rng.choice("RP")).encode()
        return self._simple(rng.choice("PI"), stamp, order.ref)

    def _maybe_wrong(self, rng: random.Random, right: bytes, stamp: int) -> bytes:
        """Damage, of a share of all replies; what the exchange thinks of its orders stays."""
        if rng.random() > self.faults / 4:
            return right
        raw = bytearray(right)
        draw = rng.random()
        if draw < 0.3:
            return bytes(raw[:-1])
        if draw < 0.5:
            return bytes(raw) + b"?"
        if draw < 0.7 and self.broken:
            return self._broken(stamp, *rng.choice(self.broken))  # once more
        raw[rng.randrange(1, len(raw))] ^= 1 << rng.randrange(8)
        return bytes(raw)

    # What replies are made of

    def _named(self, ref: int) -> Values:
        if self.protocol == "ouch50":
            return {"user_ref_num": ref}
        return {"order_token": self._token(ref)}

    def _token(self, ref: int) -> str:
        return f"{self.prefix}{ref:08X}"

    def _accepted(self, stamp: int, order: DeskOrder, state: str) -> bytes:
        common: Values = {"timestamp": stamp, "side": order.side, "price": order.price, "display": "Y"}
        common |= {"order_ref": order.ref + 7, "capacity": "P", "iso": "N", "cross_type": "N", "order_state": state}
        if self.protocol == "ouch50":
            return ouch50.Accepted(
                **self._named(order.ref), **common, quantity=order.qty, symbol=order.name, tif="3", cl_ord_id=""
            ).encode()
        return ouch42.Accepted(
            **self._named(order.ref), **common, shares=order.qty, stock=order.name, **_REST_42
        ).encode()

    def _replaced(self, stamp: int, order: DeskOrder, state: str) -> bytes:
        common: Values = {"timestamp": stamp, "side": order.side, "price": order.price, "display": "Y"}
        common |= {"order_ref": order.ref + 7, "capacity": "P", "iso": "N", "cross_type": "N", "order_state": state}
        if self.protocol == "ouch50":
            return ouch50.Replaced(
                orig_user_ref_num=order.original,
                **self._named(order.ref),
                **common,
                quantity=order.open,
                symbol=order.name,
                tif="0",
                cl_ord_id="",
            ).encode()
        return ouch42.Replaced(
            replacement_token=self._token(order.ref),
            previous_token=self._token(order.original),
            **common,
            shares=order.open,
            stock=order.name,
            **_REST_42,
        ).encode()

    def _rejected(self, stamp: int, ref: int) -> bytes:
        if self.protocol == "ouch50":
            return ouch50.Rejected(timestamp=stamp, user_ref_num=ref, reason=0x11, cl_ord_id="").encode()
        return ouch42.Rejected(timestamp=stamp, order_token=self._token(ref), reason="O").encode()

    def _executed(self, rng: random.Random, stamp: int, order: DeskOrder, part: int) -> bytes:
        order.open -= part
        order.total += part
        order.live = order.open > 0
        self.match += 1
        self.trades = [*self.trades[-_MOST_BROKEN:], (order.ref, self.match)]
        common: Values = {"timestamp": stamp, "liquidity_flag": rng.choice(_FLAGS), "match_number": self.match}
        better = rng.choice((0, 0, 100, 37))
        price = max(1, order.price - better if order.side == "B" else order.price + better)
        if self.protocol == "ouch50":
            return ouch50.Executed(**self._named(order.ref), **common, quantity=part, price=price).encode()
        common |= {"executed_shares": part, "execution_price": price, **self._named(order.ref)}
        if rng.random() < 0.3:
            return ouch42.ExecutedWithReferencePrice(**common, reference_price=1, reference_price_type="I").encode()
        return ouch42.Executed(**common).encode()

    def _canceled(self, rng: random.Random, stamp: int, order: DeskOrder, part: int) -> bytes:
        order.open -= part
        order.live = order.open > 0
        named: Values = {"timestamp": stamp, **self._named(order.ref)}
        prevented: Values = {"qty_prevented": part, "execution_price": 1, "liquidity_flag": "R"}
        if rng.random() < 0.2:  # instead of trading with ourselves
            if self.protocol == "ouch50":
                return ouch50.AiqCanceled(
                    **named, decrement_shares=part, reason="Q", **prevented, aiq_strategy="1"
                ).encode()
            return ouch42.AiqCanceled(
                **named, decrement_shares=part, reason="Q", **prevented, aiq_strategy=rng.choice((None, "1"))
            ).encode()
        if self.protocol == "ouch50":
            return ouch50.Canceled(**named, quantity=part, reason="U").encode()
        return ouch42.Canceled(**named, decrement_shares=part, reason="U").encode()

    def _broken(self, stamp: int, ref: int, match: int) -> bytes:
        common: Values = {"timestamp": stamp, "match_number": match, "reason": "E", **self._named(ref)}
        if self.protocol == "ouch50":
            return ouch50.BrokenTrade(**common, cl_ord_id="").encode()
        return ouch42.BrokenTrade(**common).encode()

    def _priority(self, stamp: int, order: DeskOrder) -> bytes:
        common: Values = {"timestamp": stamp, "price": order.price, "display": "Y", "order_ref": stamp % 1000}
        kind: Callable[..., Any] = ouch50.PriorityUpdate if self.protocol == "ouch50" else ouch42.PriorityUpdate
        return bytes(kind(**self._named(order.ref), **common).encode())

    def _modified(self, rng: random.Random, stamp: int, order: DeskOrder) -> bytes:
        side = "B" if order.side == "B" else rng.choice("STE")
        named: Values = {"timestamp": stamp, "side": side, **self._named(order.ref)}
        if self.protocol == "ouch50":
            return ouch50.Modified(**named, quantity=order.open).encode()
        return ouch42.Modified(**named, shares=order.open).encode()

    def _simple(self, letter: str, stamp: int, ref: int) -> bytes:
        """Cancel Pending or Cancel Reject."""
        kinds: dict[str, Callable[..., Any]] = (
            {"P": ouch50.CancelPending, "I": ouch50.CancelReject}
            if self.protocol == "ouch50"
            else {"P": ouch42.CancelPending, "I": ouch42.CancelReject}
        )
        return bytes(kinds[letter](timestamp=stamp, **self._named(ref)).encode())

    def stray(self, rng: random.Random, stamp: int) -> bytes:
        """Of no order: mostly harmless."""
        unknown = rng.choice((0, 4000, 2**32 - 1, *list(self.orders)[:1]))
        harmless = [
            ouch50.SystemEvent(timestamp=stamp, event_code=rng.choice("SE")).encode(),
            b"S" + bytes(3),
            b"K" + bytes(12),
            b"?",
            b"",
        ]
        doubtful = [
            self._rejected(stamp, unknown),
            self._broken(stamp, unknown, self.match + 5),
            self._simple("P", stamp, unknown),
            b"E" + rng.randbytes(7),
            b"F" * 41,
        ]
        return rng.choice(doubtful if rng.random() < self.faults / 3 else harmless)


_REST_42: Values = {"tif": 0, "firm": "", "min_qty": 0, "bbo_weight": ""}


def _ref(token: str) -> int:
    return int(token[_TOKEN_PREFIX:], 16)

"""Our own orders: what is open, and orders by hand.

An order by hand meets the same gate as every other, as strategy ``manual``: the hook decides, keeps it among the
working orders and makes its frame, which then leaves by the engine's interface just as it stands. So it does not matter
which process asks: whoever may control the engine may cancel its orders, even with the one that trades stopped.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.errors import CapabilityError, ConfigError, OrderRefused, TurboHftError
from turbo_hft.program import Program
from turbo_hft.snapshots import Side, WorkingOrder, working_order
from turbo_hft.strategies import strategy_number
from turbo_hft.symbols import Symbols
from turbo_hft.wire import blocks, ouch50
from turbo_hft.wire.frame import IPPROTO_UDP
from turbo_hft.wire.price import format_price_e4, parse_price_e4
from turbo_hft.words import Price

Tif = Literal["session", "ioc", "day"]

OPEN_STATES = (lib.HFT_ORDER_SENT, lib.HFT_ORDER_LIVE)
_U32_MAX = (1 << 32) - 1
_SIDES: dict[str, int] = {"buy": lib.HFT_BUY, "sell": lib.HFT_SELL}
_STEP_S = 0.002
_TOKEN_DIGITS = 8  # of OUCH 4.2, the number of the order
_AGAIN_S = 0.1  # a cancel that was not answered is sent once more: it says the same
_REMEDIES = {
    "halted_global": "engine.resume() (`turbo-hft resume`) lets orders leave.",
    "halted_strategy": 'engine.strategies["manual"].resume() lets orders by hand leave.',
    "lease": "Nobody renews the lease of this engine: see engine.lease.",
    "session_down": "Order entry is not logged in, or in doubt: see engine.session.",
}


class Answer(NamedTuple):
    """What the hook says of an intent: the frame to be sent, or the reasons that may have refused it. An empty frame: a
    cancel that goes by who holds the connection (docs/rules.md, rule 11); there is nothing more to be done."""

    frame: bytes | None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CancelReport:
    """What came of cancelling many orders. `canceled`: how many ended. `left`: those that are still open. `refused`: of
    those, UserRefNum -> why no cancel left."""

    canceled: int
    left: tuple[WorkingOrder, ...] = ()
    refused: dict[int, str] = field(default_factory=dict)


class Orders:
    """Those of an engine: ``engine.orders``. `send` is what a frame leaves by: a packet socket of the interface."""

    def __init__(
        self,
        program: Program,
        symbols: Symbols,
        submit: Callable[[int, int, bytes], Answer],
        lost: Callable[[int], bool],
        interface: str | None,
    ) -> None:
        self._working = program.share("working")
        self._symbols = symbols
        self._submit = submit
        self._lost = lost
        self._wire = _Wire(interface)
        self.send: Callable[[bytes], None] = self._wire.send

    def _slots(self) -> Iterator[Any]:
        for index in range(lib.HFT_MAX_WORKING):
            slot = self._working[index]
            if slot.user_ref:
                yield slot

    def _order(self, slot: Any) -> WorkingOrder:
        return working_order(slot, self._symbols.name_of(slot.symbol) or "")

    def open(self, symbol: str | None = None, strategy: str | None = None) -> list[WorkingOrder]:
        """Those that are sent or live, oldest first; of one symbol or strategy only, if it is named."""
        number = None if strategy is None else strategy_number(strategy)
        index = None if symbol is None else self._symbols[symbol].index
        orders = [
            self._order(slot)
            for slot in self._slots()
            if slot.state in OPEN_STATES and number in (None, slot.strategy) and index in (None, slot.symbol)
        ]
        return sorted(orders, key=lambda order: order.user_ref)

    def all(self) -> list[WorkingOrder]:
        """The newest 4,096 by UserRefNum, ended ones included, oldest first."""
        return sorted(map(self._order, self._slots()), key=lambda order: order.user_ref)

    def __getitem__(self, user_ref: int) -> WorkingOrder:
        slot = self._working[user_ref & (lib.HFT_MAX_WORKING - 1)]
        if not user_ref or slot.user_ref != user_ref:
            raise ConfigError(f"there is no order {user_ref}: engine.orders.all() lists those that are remembered.")
        return self._order(slot)

    def enter(self, symbol: str, side: Side, qty: int, price: Price, tif: Tif = "session") -> int:
        """Send an order; its UserRefNum. `tif`: as the session was configured, or ``ioc``, or ``day``.

        Raises OrderRefused, with the gate's reason; ConfigError for what is no order.
        """
        return self._change(lib.HFT_ACTION_ENTER, symbol, side, qty, price, tif, 0)

    def replace(self, user_ref: int, qty: int, price: Price, tif: Tif = "session") -> int:
        """Have a live order's place taken by one of this price and open quantity; the UserRefNum of that.

        Until the exchange has answered both are there. Raises as `enter` does.
        """
        old = self[user_ref]
        return self._change(lib.HFT_ACTION_REPLACE, old.symbol, old.side, qty, price, tif, user_ref)

    def cancel(self, user_ref: int) -> None:
        """Ask the exchange to end a live order. Raises OrderRefused, such as ``bad_intent`` for one that has ended or
        that has not been accepted yet."""
        frame = self._cancel(self[user_ref])
        try:
            if frame:
                self.send(frame)
        except OSError as error:
            raise TurboHftError(
                f"the cancel of order {user_ref} could not be sent: {error.strerror}. engine.orders.cancel_all() sends "
                "cancels until they are answered."
            ) from error

    def declare_lost(self, user_ref: int) -> None:
        """An order that was sent never reached the exchange, and never will: what it holds of the limits is free again.

        Only for who knows. Raises TurboHftError when the hook refuses: order entry is not up or replies are missing, or
        the order is not in state sent.
        """
        if not self._lost(user_ref):
            raise TurboHftError(
                f"order {user_ref} is not declared lost: it must be in state sent, order entry up, no reply missing."
            )

    def cancel_all(
        self, symbol: str | None = None, strategy: str | None = None, timeout_s: float = 2.0
    ) -> CancelReport:
        """Cancel every open order, or those of one symbol or strategy, and wait until they have ended, at most
        `timeout_s` seconds. An order that is on its way is cancelled as soon as it is live.

        Halt first: nothing keeps a strategy from sending new ones meanwhile.
        """
        wanted = {order.user_ref for order in self.open(symbol, strategy)}
        seen, end = set(wanted), time.monotonic() + timeout_s
        sent: dict[int, tuple[float, bytes]] = {}
        refused: dict[int, str] = {}
        while True:
            left = [order for order in self.open(symbol, strategy)]
            seen.update(order.user_ref for order in left)
            now = time.monotonic()
            if not left or now >= end:
                break
            for order in left:
                self._cancel_again(order, now, sent, refused)
            time.sleep(_STEP_S)
        still = {order.user_ref for order in left}
        why = {ref: reason for ref, reason in refused.items() if ref in still}
        return CancelReport(len(seen - still), tuple(left), why)

    def _cancel_again(
        self, order: WorkingOrder, now: float, sent: dict[int, tuple[float, bytes]], refused: dict[int, str]
    ) -> None:
        when, frame = sent.get(order.user_ref, (0.0, b""))
        if frame and "cancel" in order.pending:
            if now - when >= _AGAIN_S:
                self._try(frame)
                sent[order.user_ref] = (now, frame)
        elif order.state == "live" and not order.pending:
            try:
                frame = self._cancel(order)
            except OrderRefused as error:
                refused[order.user_ref] = error.reason
                return
            refused.pop(order.user_ref, None)
            sent[order.user_ref] = (now, frame)
            if frame:
                self._try(frame)

    def _try(self, frame: bytes) -> None:
        with contextlib.suppress(OSError):  # as good as lost on the way: it is sent again
            self.send(frame)

    def _cancel(self, order: WorkingOrder) -> bytes:
        """The frame that cancels an order, which the hook has noted; empty if that goes another way."""
        self._wire.open(self.send)
        intent = ffi.new("struct hft_intent *")
        intent.action, intent.ref = lib.HFT_ACTION_CANCEL, order.user_ref
        return self._ask(order.symbol, intent, f"to cancel order {order.user_ref}")

    def _change(self, action: int, symbol: str, side: str, qty: int, price: Price, tif: Tif, user_ref: int) -> int:
        price_e4 = parse_price_e4(price)
        tifs = {name: number for number, name in abi.names("hft_tif", "HFT_TIF_").items()}
        number = _SIDES.get(side)
        if number is None:
            raise ConfigError(f"side is {side!r}: give buy or sell.")
        if tif not in tifs:
            raise ConfigError(f"tif is {tif!r}: give one of {', '.join(tifs)}.")
        if isinstance(qty, bool) or not isinstance(qty, int) or not 0 <= qty <= _U32_MAX:
            raise ConfigError(f"qty is {qty!r}: give a whole number of shares.")
        if price_e4 > _U32_MAX:
            raise ConfigError(f"price {price!r} is more than an order can carry: give at most 199999.99.")
        intent = ffi.new("struct hft_intent *")
        intent.action, intent.side, intent.price_e4, intent.qty = action, number, price_e4, qty
        intent.ref, intent.tif = user_ref, tifs[tif]
        self._wire.open(self.send)  # before the hook believes that it was sent
        frame = self._ask(symbol, intent, f"to {side} {qty} {symbol} at {format_price_e4(price_e4)}")
        new_ref = sent_ref(frame)
        try:
            self.send(frame)
        except OSError as error:
            raise TurboHftError(
                f"order {new_ref} passed the gate but could not be sent: {error.strerror}. It counts as sent: if the "
                f"exchange never answers, engine.orders.declare_lost({new_ref})."
            ) from error
        return new_ref

    def _ask(self, symbol: str, intent: Any, what: str) -> bytes:
        view = self._symbols[symbol]
        answer = self._submit(view.feed, view.index, bytes(ffi.buffer(intent)))
        if answer.frame is not None:
            return answer.frame
        # Only what was refused in the same moment can stand beside it.
        reason = " or ".join(answer.reasons)
        hint = _REMEDIES.get(reason, "docs/rules.md, rule 6, says when; engine.limits and the symbol's say how much.")
        raise OrderRefused(f"the gate refused {what}: {reason}. {hint}", reason)

    def open_way(self) -> None:
        """Have the way out for orders by hand open, so that they need no capability later. Raises CapabilityError."""
        self._wire.open(self.send)

    def close(self) -> None:
        """Called by the engine."""
        self._wire.close()


class _Wire:
    """Frames out by an interface, as they stand."""

    def __init__(self, interface: str | None) -> None:
        self._interface = interface
        self._socket: socket.socket | None = None

    def open(self, send: Callable[[bytes], None]) -> None:
        """Have a way, unless `send` is another. Raises ConfigError, CapabilityError."""
        if send != self.send or self._socket is not None:
            return
        if self._interface is None:
            raise ConfigError("this engine was loaded without an interface: no order can leave (engine.orders.send).")
        try:
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError:
            raise CapabilityError("orders by hand need CAP_NET_RAW, to send the frame the hook made.") from None
        try:
            wire.bind((self._interface, 0))
        except OSError as error:
            wire.close()
            raise ConfigError(f"cannot send on {self._interface}: {error.strerror}. `ip link` lists them.") from None
        self._socket = wire

    def send(self, frame: bytes) -> None:
        """Send a frame. Raises OSError."""
        self.open(self.send)
        assert self._socket is not None
        self._socket.send(frame)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def payload_of(frame: bytes) -> bytes:
    """The payload of an order frame: Ethernet, at most two tags, IPv4 without options, UDP or TCP."""
    at = 12
    while frame[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    ip = at + 2
    transport = ip + 20
    return frame[transport + (8 if frame[ip + 9] == IPPROTO_UDP else (frame[transport + 12] >> 4) * 4) :]


def sent_ref(frame: bytes) -> int:
    """UserRefNum of the order, or the replacement, that a frame of ours carries."""
    (message,) = blocks.split(payload_of(frame))
    ouch = message[1:]  # behind the type of UFO
    if (ouch[:1], len(ouch)) in ((b"O", ouch50.EnterOrder.LENGTH), (b"U", ouch50.ReplaceOrder.LENGTH)):
        at = 1 if ouch[:1] == b"O" else 5
        return int.from_bytes(ouch[at : at + 4], "big")
    token = ouch[1:15] if ouch[:1] == b"O" else ouch[15:29]
    return int(token[-_TOKEN_DIGITS:], 16)

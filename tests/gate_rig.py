"""One symbol whose orders pass every check of the gate, on the loaded program and on the model at once.

Limits are as wide as they go, the market is open, the book is 150.00 x 150.10; a test narrows one thing and sends an
order. Orders are commands of user space (rule 10, ORDER), so any intent at all can meet the gate.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ouch_replies import accepted
from turbo_hft._native import lib
from turbo_hft.model.engine import Outcome
from turbo_hft.model.names import EventKind, Reason, Side, XdpAction
from turbo_hft.testing import Hook
from turbo_hft.testing.scenario import stock_directory
from turbo_hft.wire import itch50, ouch50, ufo
from turbo_hft.wire.frame import udp_frame
from turbo_hft.wire.moldudp64 import Packet
from twin import FEED, SESSION, Twin

BUY, SELL = Side.BUY, Side.SELL
ENTER, REPLACE, CANCEL = lib.HFT_ACTION_ENTER, lib.HFT_ACTION_REPLACE, lib.HFT_ACTION_CANCEL
MANUAL = lib.HFT_STRATEGY_MANUAL
BID_E4, ASK_E4 = 1_500_000, 1_501_000
MID_E4 = (BID_E4 + ASK_E4) // 2
MOST = 2**63 - 1
SECOND_NS = 10**9
LOCATE = 1

WIDE = {
    "max_order_qty": MOST,
    "max_notional_e4": MOST,
    "max_open_orders": MOST,
    "interval_ns": 1,
    "burst": 1 << 20,
}
ACCOUNT = WIDE | {"max_gross_e4": MOST, "max_net_e4": MOST, "max_loss_e4": MOST, "duplicate_ns": 0}
STRATEGY = WIDE | {"max_executions": MOST}
SYMBOL = WIDE | {
    "max_long": 10**9,
    "max_short": 10**9,
    "max_loss_e4": MOST,
    "collar_ppm": 1_000_000,
    "reference": lib.HFT_REFERENCE_MID,
    "reference_age_ns": MOST,
    "restricted": 0,
    "short_ok": 1,
}
_COMMANDER = ("240.0.0.0", 1)
_ORDER = struct.Struct("<QIIIIQII")
_INTENT = struct.Struct("<IIIIII")


class GateRig:
    """`order` sends an order by hand and returns the reason that refused it, None if it left."""

    def __init__(self, hook: Hook) -> None:
        self.names: list[str] = []
        self.twin = Twin(hook)
        self.engine, self.model = self.twin.engine, self.twin.model
        program = self.engine.program
        self.symbols = program.config.symbols
        self._limits = program.share("limits", writable=True)
        self._symbol_limits = program.share("symbol_limits", writable=True)
        self._control = program.share("control", writable=True)[0]
        self._params = program.share("symbol_params", writable=True)
        self._session = program.share("session_state", writable=True)[0]
        self.sequence = self.reply_sequence = 1
        self.clock = 10**12
        self.match = 0
        self.slot = self.add("AAPL")
        self.other = self.add("MSFT")
        self.control(kill=lib.HFT_ACTIVE, lease_until_ns=MOST)
        for strategy in range(lib.HFT_STRATEGIES):
            self.strategy_kill(lib.HFT_ACTIVE, strategy)
            self.strategy(number=strategy, **STRATEGY)
        self.account(**ACCOUNT)
        self.login()
        self.feed(itch50.SystemEvent(stock_locate=0, event_code="Q", **self.stamp()).encode())
        for slot in (self.slot, self.other):
            self.lists(slot)
        self.twin.compare_state()

    def lists(self, slot: int) -> None:
        """The exchange lists a symbol; it trades, and has a book."""
        self.feed(stock_directory(self.names[slot], LOCATE + slot, self.stamp()), self.trading("T", slot))
        self.feed(self.rest(10 * slot + 1, "B", BID_E4, slot), self.rest(10 * slot + 2, "S", ASK_E4, slot))

    # What user space writes, on both sides

    def add(self, name: str) -> int:
        """Track a symbol with every limit wide."""
        slot = self.twin.add_symbol(name)
        self.names.append(name)
        self.params(slot=slot, kill=lib.HFT_ACTIVE)
        self.symbol(slot=slot, **SYMBOL)
        return slot

    def account(self, **values: int) -> None:
        """Limits of the account, in both sets."""
        for half in (0, 1):
            _store(self._limits[half].account, self.model.limits[half].account, values)

    def strategy(self, number: int = MANUAL, **values: int) -> None:
        """Limits of a strategy, in both sets."""
        for half in (0, 1):
            _store(self._limits[half].strategy[number], self.model.limits[half].strategy[number], values)

    def symbol(self, slot: int | None = None, **values: int) -> None:
        """Limits of a symbol, in both sets."""
        at = self.slot if slot is None else slot
        for half in (0, 1):
            _store(self._symbol_limits[half * self.symbols + at], self.model.symbol_limits[half][at], values)

    def control(self, **values: int) -> None:
        """Words of the control map."""
        _store(self._control, self.model.control, values)

    def strategy_kill(self, kill: int, number: int = MANUAL) -> None:
        """Kill word of a strategy."""
        self._control.strategy_kill[number] = kill
        self.model.control.strategy_kill[number] = kill

    def params(self, slot: int | None = None, **values: int) -> None:
        """Words of a symbol's parameters."""
        at = self.slot if slot is None else slot
        _store(self._params[at], self.model.params[at], values)

    def session(self, **values: int) -> None:
        """Words of the session state that user space may write."""
        _store(self._session, self.model.session, values)

    # The market

    def stamp(self, later_ns: int = 1000) -> dict[str, int]:
        """The next time stamp."""
        self.clock += later_ns
        return {"tracking_number": 0, "timestamp": self.clock}

    def wait(self, ns: int) -> None:
        """Let the feed's clock go on: a message of no symbol."""
        self.feed(itch50.SystemEvent(stock_locate=0, event_code="Q", **self.stamp(ns)).encode())

    def quotes(self, slot: int) -> None:
        """A quoter on a symbol, 40 cents around the middle."""
        self.params(
            slot=slot,
            strategy=lib.HFT_STRATEGY_QUOTER,
            quote_half_spread_e4=4000,
            quote_qty=100,
            quote_inventory=10_000,
            quote_requote_e4=100,
        )
        self.engine.symbols._books[slot].armed = self.model.books[slot].armed = 1

    def feed(self, *messages: bytes, sequence: int | None = None) -> Outcome:
        """The next packet of the feed; what the model made of it."""
        at = self.sequence if sequence is None else sequence
        self.sequence = max(self.sequence, at + len(messages))
        source, group = (str(FEED.source), 9), (FEED.group, FEED.port)
        return self._packet(source, group, Packet("DAY", at, messages).encode())

    def rest(self, ref: int, side: str, price_e4: int, slot: int | None = None, shares: int = 1000) -> bytes:
        """Add Order."""
        at = self.slot if slot is None else slot
        return itch50.AddOrder(
            stock_locate=LOCATE + at,
            order_ref=ref,
            side=side,
            shares=shares,
            stock=self.names[at],
            price=price_e4,
            **self.stamp(),
        ).encode()

    def gone(self, ref: int) -> bytes:
        """Order Delete."""
        return itch50.OrderDelete(stock_locate=LOCATE, order_ref=ref, **self.stamp()).encode()

    def printed(self, price_e4: int) -> bytes:
        """A trade of a hidden order: what counts as last."""
        values: dict[str, Any] = {"order_ref": 0, "side": "B", "shares": 100, "match_number": 1, **self.stamp()}
        return itch50.Trade(stock_locate=LOCATE, stock="AAPL", price=price_e4, **values).encode()

    def trading(self, state: str, slot: int | None = None) -> bytes:
        """Stock Trading Action."""
        at = self.slot if slot is None else slot
        name = self.names[at]
        return itch50.StockTradingAction(
            stock_locate=LOCATE + at, stock=name, trading_state=state, reserved="", reason="", **self.stamp()
        ).encode()

    def operational_halt(self, action: str) -> bytes:
        """Operational Halt on Nasdaq itself."""
        return itch50.OperationalHalt(
            stock_locate=LOCATE, stock="AAPL", market_code="Q", halt_action=action, **self.stamp()
        ).encode()

    def short_restriction(self, action: str) -> bytes:
        """Reg SHO."""
        return itch50.RegShoRestriction(
            stock_locate=LOCATE, stock="AAPL", reg_sho_action=action, **self.stamp()
        ).encode()

    # Orders

    def order(
        self,
        side: int = BUY,
        qty: int = 100,
        price_e4: int = BID_E4,
        *,
        action: int = ENTER,
        ref: int = 0,
        tif: int = 0,
        slot: int | None = None,
    ) -> Reason | None:
        """Send an intent by hand: None if it left, else the reason that refused it."""
        payload = self._order_payload(action, side, price_e4, qty, ref, tif, self.slot if slot is None else slot)
        outcome = self._packet(_COMMANDER, self.twin.commands, payload)
        if outcome.verdict == XdpAction.TX:
            return None
        refused = [event for event in outcome.events if event.kind == EventKind.REFUSED]
        assert len(refused) == 1, "neither left nor refused"
        return Reason(refused[0].reason)

    def order_frame(self) -> bytes:
        """The frame of an ordinary order by hand, to be run at will."""
        return self._frame(
            _COMMANDER, self.twin.commands, self._order_payload(ENTER, BUY, BID_E4, 100, 0, 0, self.slot)
        )

    def _order_payload(self, action: int, side: int, price_e4: int, qty: int, ref: int, tif: int, slot: int) -> bytes:
        intent = _INTENT.pack(action, side, price_e4, qty, ref, tif)
        header = _ORDER.pack(self.model.command_nonce, lib.HFT_OP_ORDER, 0, slot, 1, 0, 0, 0)
        return header + struct.pack(">H", len(intent)) + intent

    def passes(self, side: int = BUY, qty: int = 100, price_e4: int = BID_E4, **how: Any) -> int:
        """An order that leaves; its UserRefNum."""
        reason = self.order(side, qty, price_e4, **how)
        assert reason is None, f"refused: {reason!r}"
        return int(self.model.session.next_user_ref) - 1

    def refused(self, reason: str, side: int = BUY, qty: int = 100, price_e4: int = BID_E4, **how: Any) -> None:
        """An order that is refused for exactly this reason."""
        assert self.order(side, qty, price_e4, **how) == Reason[reason]

    def accepts(self, ref: int) -> int:
        """The exchange accepts it."""
        order = self.model.our_order(ref)
        assert order is not None
        letter = "B" if order.side == BUY else "T" if order.short_sale else "S"
        self.answer(
            accepted(
                ref, letter, order.qty, order.price_e4, timestamp=self.clock, symbol=self.names[order.symbol]
            ).encode()
        )
        return ref

    def executes(self, ref: int, qty: int, price_e4: int, flag: str = "R") -> None:
        """The exchange executes some of it."""
        self.match += 1
        self.answer(
            ouch50.Executed(
                timestamp=self.clock,
                user_ref_num=ref,
                quantity=qty,
                price=price_e4,
                liquidity_flag=flag,
                match_number=self.match,
                appendage=b"",
            ).encode()
        )

    def works(self, side: int = BUY, qty: int = 100, price_e4: int = BID_E4, **how: Any) -> int:
        """An order that is live; its UserRefNum."""
        return self.accepts(self.passes(side, qty, price_e4, **how))

    def holds(self, side: int, qty: int, price_e4: int = BID_E4) -> None:
        """A position, at that price."""
        self.executes(self.works(side, qty, price_e4), qty, price_e4)

    def login(self) -> None:
        """The exchange lets us in."""
        self._reply(ufo.LoginAccepted("ORDERS", 1))

    def answer(self, *messages: bytes) -> None:
        """Sequenced replies."""
        self._reply(ufo.Sequenced(self.reply_sequence, messages))
        self.reply_sequence += len(messages)

    def _reply(self, message: ufo.Downstream) -> None:
        self._packet(SESSION.remote, SESSION.local, message.encode())

    def _packet(self, source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> Outcome:
        return self.twin.packet(self._frame(source, destination, payload))

    @staticmethod
    def _frame(source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> bytes:
        return udp_frame(
            src_mac=SESSION.remote_mac, dst_mac=SESSION.local_mac, src=source, dst=destination, payload=payload
        )


@contextmanager
def gate(hook: Hook, *, compare: bool = True) -> Iterator[GateRig]:
    """A rig; at its end every map of the program equals the model, unless the test was a race."""
    rig = GateRig(hook)
    yield rig
    if compare:
        rig.twin.compare_state()


def _store(stored: Any, modelled: Any, values: dict[str, int]) -> None:
    for name, value in values.items():
        setattr(stored, name, value)
        setattr(modelled, name, value)

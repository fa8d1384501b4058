"""The loaded program and its model side by side: the same frames into both, then every difference there is.

Compared after each frame: verdict, output frame, events. `compare_state` holds every map against the model's state:
counters, feeds, session, account, positions, memories of strategies, working orders, executions, locates, kept
messages, and the books: their headers, and what their tables hold between them, level by level and order by order.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import fields
from operator import attrgetter
from typing import Any

from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.addresses import FeedAddress, OrderSession
from turbo_hft.model.engine import ModelEngine, Outcome, has_strategy
from turbo_hft.model.names import Clock, Doubt, EventKind, Line, Reason, Role, Side, Transport
from turbo_hft.model.state import (
    Account,
    Book,
    Event,
    Memory,
    ModelConfig,
    Recent,
    SessionState,
    StrategyState,
    SymbolParams,
    SymbolState,
    Touch,
)
from turbo_hft.snapshots import best_cell
from turbo_hft.testing import Hook, RunResult, Verdict, trial

FEED = trial.FEED
SECOND_FEED = FeedAddress("239.79.0.1", 26477, "10.77.0.2")
SESSION = trial.SESSION
PARAMETERS = tuple(field.name for field in fields(SymbolParams) if field.name not in ("name", "feed"))
LINES = {"a": Line.A, "b": Line.B, "rerequest": Line.REREQUEST}
# Not in the model, each for the reason its docstring gives.
UNMODELLED = {"contended", "events_lost", "feed_second_cpu"}

_PAGE = 4096
_ZERO_PAGE = bytes(_PAGE)
_WAYS = lib.HFT_BUCKET_SLOTS
_KEY_BITS = (1 << 60) - 1
_SHARES = (1 << 40) - 1
_CENT = 100
_FINE = 1 << 31  # of a window: its tick is 1/10000 dollar
_PLACES = lib.HFT_BLOCK_LEVELS << 29
_CHILD_BITS = lib.HFT_LADDER_BITS

Levels = dict[tuple[int, int, int], tuple[int, int]]
"""(slot, side, price in 1/10000 dollar) -> (shares, orders)."""


class Twin:
    """One hook, one model, one configuration: two lines and a re-request server of feed 0, one line of feed 1."""

    def __init__(self, hook: Hook, session: OrderSession = SESSION) -> None:
        hook.reset()
        self.hook = hook
        self.engine = hook.engine
        loaded = hook.engine.program.config
        self.config = ModelConfig(
            verify_checksums=loaded.verify_checksums,
            clock=Clock[loaded.clock.upper()],
            symbols=loaded.symbols,
            kept_mask=loaded.kept_mask,
            hold_ns=loaded.hold_ns,
            crossed_ns=loaded.crossed_ns,
            transport=Transport[loaded.transport.upper()],
        )
        self.model = ModelEngine(self.config)
        self._configure(session)
        self._control = self.engine._control[0]
        maps = {name: items for name, (items, _) in hook.state.items()}
        self._limits, self._symbol_limits, self._fees = maps["limits"], maps["symbol_limits"], maps["fees"]
        self._account, self._memory = maps["account"][0], maps["memory"]
        self._params = maps["symbol_params"]
        self._good_template = bytes(ffi.buffer(self.engine._template, ffi.sizeof("struct hft_template")))
        self._copy_template()
        self._copy_control()
        self._baseline = self._counts()
        self._reached: Counter[str] = Counter()
        self.frames = 0

    def _configure(self, session: OrderSession) -> None:
        self.engine.configure(session, (FEED, SECOND_FEED))
        for index, feed in enumerate((FEED, SECOND_FEED)):
            for line in feed.lines():
                peer, port = line.peer
                self.model.add_flow(line.address, line.port, Role.FEED, peer or "", port, index, LINES[line.line])
        # Where commands go is made up by the engine, so that nobody else knows it; over SoupBinTCP replies as well.
        self.replies = session.remote, session.local
        if session.transport == "soupbintcp":
            self.replies = self._secret_flow()
        self.model.add_flow(*self.replies[1], Role.ORDER_ENTRY, *self.replies[0])
        self.commands = next(at for at, flow in self.engine.flow_table() if flow.role == lib.HFT_ROLE_COMMAND)
        self.model.add_flow(*self.commands, Role.COMMAND)
        self.model.command_nonce = self.engine.command_nonce

    def _secret_flow(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """Source and destination of replies that user space has read."""
        at, flow = next((at, flow) for at, flow in self.engine.flow_table() if flow.role == lib.HFT_ROLE_ORDER_ENTRY)
        address = socket.inet_ntoa(int(flow.peer_addr_be).to_bytes(4, "little"))
        return (address, socket.ntohs(flow.peer_port_be)), at

    def _copy_template(self) -> None:
        source, target = self.engine._template[0], self.model.template
        target.protocol, target.headers_len, target.msg_len = source.protocol, source.headers_len, list(source.msg_len)
        target.headers, target.msg = bytes(ffi.buffer(source.headers)), [bytes(ffi.buffer(msg)) for msg in source.msg]

    def set_template(self, name: str, value: int, action: int = 0) -> None:
        """Store a word of the order template on both sides; ``action``: which of several."""
        for template in (self.engine._template[0], self.model.template):
            if name == "msg_len":
                template.msg_len[action] = value
            else:
                setattr(template, name, value)

    def restore_template(self) -> None:
        """As it was configured."""
        ffi.memmove(self.engine._template, self._good_template, len(self._good_template))
        self._copy_template()

    def _copy_control(self) -> None:
        """What the engine itself has written by now."""
        for name, value in abi.fields(self._control).items():
            setattr(self.model.control, name, _plain(value))

    @property
    def buckets(self) -> tuple[int, int, int, int]:
        """Entries of the tables of the books, in the order of their numbers: what has to be swept."""
        loaded = self.engine.program.config
        return loaded.order_mask + 1, loaded.level_mask + 1, loaded.ladder_mask + 1, loaded.spill_mask + 1

    def add_symbol(self, name: str, feed: int = 0, **params: int) -> int:
        """Track a symbol on both sides with raw parameters (fields of hft_symbol_params); returns its slot.

        It is ACTIVE unless told otherwise; its limits are all 0.
        """
        view = self.engine.symbols.add(name, feed=feed)
        self.model.add_symbol(view.index, name, feed)
        self.set_params(view.index, **(dict.fromkeys(PARAMETERS, 0) | {"kill": lib.HFT_ACTIVE} | params))
        for parity in (0, 1):
            zeros = dict.fromkeys(abi.fields(self._symbol_limits[0]), 0)
            self.set_symbol_limits(view.index, parity, **zeros)
        self._copy_control()
        return view.index

    def set_params(self, slot: int, **params: int) -> None:
        """Store raw parameter words on both sides; a slot is armed if it has a strategy, be it in shadow."""
        modelled = self.model.params[slot]
        _store(self._params[slot], modelled, params)
        self.engine.symbols._books[slot].armed = self.model.books[slot].armed = int(has_strategy(modelled))

    def set_control(self, **words: int) -> None:
        """Store raw control words on both sides."""
        _store(self._control, self.model.control, words)

    def set_strategy_kill(self, strategy: int, word: int) -> None:
        """Store the kill word of a strategy on both sides."""
        self._control.strategy_kill[strategy] = self.model.control.strategy_kill[strategy] = word

    def set_account_limits(self, parity: int, **limits: int) -> None:
        """Store raw limits of the account in one of the two sets, on both sides."""
        _store(self._limits[parity].account, self.model.limits[parity].account, limits)

    def set_strategy_limits(self, strategy: int, parity: int, **limits: int) -> None:
        """The same of a strategy."""
        _store(self._limits[parity].strategy[strategy], self.model.limits[parity].strategy[strategy], limits)

    def set_symbol_limits(self, slot: int, parity: int, **limits: int) -> None:
        """The same of a symbol."""
        stored = self._symbol_limits[parity * self.config.symbols + slot]
        _store(stored, self.model.symbol_limits[parity][slot], limits)

    def widen(self) -> None:
        """Let everything that is tracked trade: wide limits in both sets, nothing killed, a lease without end.

        Short sales are not allowed, and prices are held against the last trade, however old.
        """
        most = 2**63 - 1
        sizes = {"max_order_qty": most, "max_notional_e4": most, "max_open_orders": most}
        rates = {"interval_ns": 1, "burst": 1 << 20}
        for parity in (0, 1):
            self.set_account_limits(
                parity, **sizes, **rates, max_gross_e4=most, max_net_e4=most, max_loss_e4=most, duplicate_ns=0
            )
            for strategy in range(lib.HFT_STRATEGIES):
                self.set_strategy_limits(strategy, parity, **sizes, **rates, max_executions=most)
            for slot in self.model.params:
                self.set_symbol_limits(
                    slot,
                    parity,
                    **sizes,
                    **rates,
                    max_long=10**6,
                    max_loss_e4=most,
                    collar_ppm=2**32,
                    reference=lib.HFT_REFERENCE_LAST,
                    reference_age_ns=2**64 - 1,
                )
        self.set_control(kill=lib.HFT_ACTIVE, lease_until_ns=2**64 - 1)
        for strategy in range(lib.HFT_STRATEGIES):
            self.set_strategy_kill(strategy, lib.HFT_ACTIVE)

    def set_fee(self, flag: str, fee_e8: int) -> None:
        """Store the fee of a liquidity flag on both sides, in 1/100,000,000 dollar a share."""
        self._fees[ord(flag)] = self.model.fees[ord(flag)] = fee_e8

    def set_session(self, **words: int) -> None:
        """Store words of order entry on both sides."""
        _store(self.engine._session[0], self.model.session, words)

    def forget_trading(self) -> None:
        """What a fresh program would know of orders and positions, and of order entry: nothing. The rest stays."""
        for name in ("session_state", "working", "executions", "account", "symbol_state", "memory"):
            items, size = self.hook.state[name]
            ffi.memmove(items, bytes(size), size)
        model = self.model
        event_id = model.session.event_id
        model.session, model.account = SessionState(), Account()
        model.working, model.executions = {}, {}
        for slot, book in model.books.items():
            model.symbols[slot], model.memory[slot] = SymbolState(), Memory()
            self.engine.symbols._books[slot].holds = book.holds = 0
        self.set_session(event_id=event_id)

    def packet(self, frame: bytes) -> Outcome:
        """Run a frame through both; AssertionError names the first difference. Returns the model's outcome."""
        self.frames += 1
        result = self.run(frame)
        expected = self.model.packet(frame, self.clock_ns(result))
        quarantines = [event.reason for event in expected.events if event.kind == EventKind.BOOK_QUARANTINED]
        self._reached.update(f"doubt {Doubt(reason).name.lower()}" for reason in quarantines)
        self._reached.update(f"event {event.kind.name.lower()}" for event in expected.events)
        shadows = [event.reason for event in expected.events if event.kind == EventKind.SHADOW]
        self._reached.update(f"shadow {Reason(reason).name.lower()}" for reason in shadows)
        assert int(result.verdict) == int(expected.verdict), f"verdict {result.verdict!r}, model {expected.verdict!r}"
        if result.verdict in (Verdict.PASS, Verdict.TX):  # what a dropped frame looks like is nobody's business
            assert result.frame == expected.frame, f"frame\n{result.frame.hex()}\nmodel\n{expected.frame.hex()}"
        self._compare_events(expected.events)
        return expected

    def run(self, frame: bytes) -> RunResult:
        """The hook's part."""
        return self.hook.run(frame)

    def clock_ns(self, result: RunResult) -> int:
        """The monotonic clock of the model at that frame: nothing that is compared depends on it."""
        del result
        return 0

    def _compare_events(self, expected: list[Event]) -> None:
        stream = self.engine.events
        count = lib.hft_ring_drain(stream._ring, stream._records, 4096)
        actual = [_event_of(stream._records[i]) for i in range(count)]
        modelled = [_event_of(event) for event in expected]
        if actual != modelled:
            named = [
                [dict(zip(_EVENT_FIELDS, event, strict=True)) for event in events] for events in (actual, modelled)
            ]
            equal("events", *named)

    def _counts(self) -> Counter[str]:
        counts = Counter(self.engine.counters())
        counts.update({f"itch {name}": value for name, value in self.engine.itch_counts().items()})
        counts.update({f"refused {name}": value for name, value in self.engine.refusals().items()})
        return counts

    def differences(self) -> Counter[str]:
        """What happened since the twin was made: counters, messages, refusals, events, orders, doubts and levels."""
        actual = self._counts()
        actual.subtract(self._baseline)
        actual["fills"] = sum(state.fills for state in self.model.symbols.values())
        actual.update(f"order {order.state.name.lower()}" for order in self.model.working.values())
        actual.update(self._reached)
        return actual

    def image(self) -> bytes:
        """Every byte of every map the hook writes, but counters, events and the book's tables (see `compare_state`)."""
        state = ((name, share) for name, share in self.hook.state.items() if not name.startswith("book_"))
        return b"".join(bytes(ffi.buffer(items, size)) for _, (items, size) in state)

    # Comparisons

    def compare_state(self) -> None:
        """Every map against the model."""
        self._compare_counts()
        for index, feed in enumerate(self.model.feeds):
            self._same(f"feed {index}", self.engine._feeds[index], feed)
        self._same("session", self.engine._session[0], self.model.session)
        self._same("account", self._account, self.model.account)
        for slot, book in self.model.books.items():
            self._compare_symbol(slot, book)
        self._compare_working()
        self._compare_executions()
        self._compare_locates()
        self._compare_kept()
        self._compare_orders()
        self._compare_levels()

    def _compare_symbol(self, slot: int, book: Book) -> None:
        symbols = self.engine.symbols
        stored = symbols._books[slot]
        assert stored.version % 2 == 0, f"book {slot} was left open"
        assert bytes(ffi.buffer(stored.name)) == self.model.params[slot].name
        self._same(f"book {slot}", stored, book)
        for side in Side:
            shares = best_cell(stored, side) & _SHARES
            assert shares == book.best_qty[side], f"book {slot}, side {side}: {shares} at the best price"
        self._same(f"symbol {slot}", symbols._states[slot], self.model.symbols[slot])
        self._same(f"memory {slot}", self._memory[slot], self.model.memory[slot])
        self._same(f"auction {slot}", symbols._auctions[slot], self.model.auctions[slot])

    def _compare_counts(self) -> None:
        actual = self._counts()
        actual.subtract(self._baseline)
        expected = Counter(self.model.counter)
        expected.update({f"itch {name}": value for name, value in self.model.itch.items()})
        expected.update({f"refused {reason.name.lower()}": value for reason, value in self.model.refused.items()})
        differences = {
            name: (actual[name], expected[name])
            for name in actual.keys() | expected.keys()
            if (actual[name] - expected[name]) % 2**64 and name not in UNMODELLED
        }
        assert not differences, f"counters (hook, model): {differences}"

    @staticmethod
    def _same(what: str, struct: Any, modelled: Any, but: Collection[str] = ()) -> None:
        """Every field of a C struct that is not padding, against the dataclass."""
        for name in _names(type(modelled)):
            if name not in but:
                actual, expected = _plain(getattr(struct, name)), _modelled(getattr(modelled, name))
                assert actual == expected, f"{what}.{name}: hook {actual!r}, model {expected!r}"

    def _compare_working(self) -> None:
        working = {order.user_ref: order for _, order in self._used("working") if order.user_ref}
        modelled = {order.user_ref: order for order in self.model.working.values()}
        equal("working orders", working.keys(), modelled.keys())
        for ref, order in modelled.items():
            self._same(f"working {ref}", working[ref], order, but={"sent_ns"})

    def _compare_executions(self) -> None:
        stored = {
            place: (one.match_number, one.user_ref, one.qty, one.price_e4, one.flag)
            for place, one in self._used("executions")
            if one.user_ref
        }
        expected = {
            place: (one.match_number, one.user_ref, one.qty, one.price_e4, one.flag)
            for place, one in self.model.executions.items()
        }
        equal("executions", stored, expected)

    def _compare_locates(self) -> None:
        stored = {
            (index // lib.HFT_LOCATES, index % lib.HFT_LOCATES): slot for index, slot in self._used("locates") if slot
        }
        expected = dict.fromkeys(self.model.closed_locates, lib.HFT_LOCATE_CLOSED)
        expected |= {key: slot + 1 for key, slot in self.model.bound.items()}
        equal("locates", stored, expected)

    def _compare_kept(self) -> None:
        places = self.config.kept_mask + 1
        stored = {
            (index // places, index % places): (kept.tag, kept.length, bytes(ffi.buffer(kept.msg))[: kept.length])
            for index, kept in self._used("kept")
            if kept.tag
        }
        expected = {
            key: (kept.tag, kept.length, kept.msg[: kept.length]) for key, kept in self.model.kept.items() if kept.tag
        }
        equal("kept messages", stored, expected)

    def _used(self, name: str) -> Iterator[tuple[int, Any]]:
        """(index, element) of a map's elements that are not on a page of zeros: the big ones are nearly empty."""
        items, size = self.hook.state[name]
        each = ffi.sizeof(ffi.typeof(items).item)
        raw = ffi.buffer(items, size)
        for page in range(0, size, _PAGE):
            if raw[page : page + _PAGE] != _ZERO_PAGE:
                for index in range(page // each, min(page + _PAGE, size) // each):
                    yield index, items[index]

    def _entries(self, table: str) -> dict[int, int]:
        """Key -> value of a table of buckets."""
        entries = {}
        for _, bucket in self._used(table):
            for way in range(_WAYS):
                if bucket.value[way]:
                    key = bucket.key[way] & _KEY_BITS  # above them, the first key counts those that live elsewhere
                    assert key not in entries, f"{table}: key {key:#x} stands twice"
                    entries[key] = bucket.value[way]
        return entries

    def _compare_orders(self) -> None:
        expected = {
            order.symbol << 46 | feed << 44 | ref: order.price_e4 << 33 | order.side << 32 | order.qty
            for (feed, ref), order in self.model.orders.items()
        }
        home, spilled = self._entries("book_orders"), self._entries("order_spill")
        assert not home.keys() & spilled.keys(), "an order lies in two tables"
        equal("orders", home | spilled, expected)

    def _compare_levels(self) -> None:
        """The levels of a side lie in two places, and the better ones in the first."""
        near, far = self._near_levels(), self._far_levels()
        self._reached["far levels"] += len(far)
        assert not near.keys() & far.keys(), "a level lies in two places"
        best_far: dict[tuple[int, int], int] = {}
        for slot, side, price in far:
            book = self.engine.symbols._books[slot]
            first = book.window_e4[side]
            away = _away(side, first & ~_FINE, price)
            where = f"level {price} of slot {slot}, side {side}: window from {first:#x}"
            assert away >= lib.HFT_WINDOW * _tick(first), where
            assert book.held[side] >> lib.HFT_WINDOW, where
            best_far[slot, side] = min(away, best_far.get((slot, side), away))
        for (slot, side), away in best_far.items():
            book = self.engine.symbols._books[slot]
            if book.behind_e4[side] and slot not in self.model.swept:
                assert _away(side, book.window_e4[side] & ~_FINE, book.behind_e4[side]) == away, (slot, side)
        expected = {
            (slot, int(side), price): (level.shares, level.orders)
            for slot, book in self.model.books.items()
            for side in Side
            for price, level in book.levels[side].items()
        }
        # While a book is swept out, how far that went is not modelled.
        equal("levels", _without(near | far, self.model.swept), _without(expected, self.model.swept))

    def _near_levels(self) -> Levels:
        levels = {}
        for slot in self.model.books:
            book = self.engine.symbols._books[slot]
            for side in Side:
                cells, first, held = list(book.window[side].cell), book.window_e4[side], book.held[side]
                tick = _tick(first)
                for place in range(lib.HFT_WINDOW):
                    price = _behind(side, first & ~_FINE, place * tick)
                    cell = cells[price // tick % lib.HFT_RING] if price > 0 else 0
                    assert bool(held >> place & 1) == bool(cell), f"slot {slot}, side {side}, place {place}: {cell:#x}"
                    if cell:
                        levels[slot, int(side), price] = (cell & _SHARES, cell >> 40)
                assert sum(map(bool, cells)) == bin(held & (1 << lib.HFT_WINDOW) - 1).count("1")
        return levels

    def _far_levels(self) -> Levels:
        levels, nodes = {}, Counter[int]()
        for _, block in self._used("book_levels"):
            if not block.tag >> 55 & 1:
                continue
            slot, side, scale = block.tag >> 41 & lib.HFT_MAX_SYMBOLS - 1, block.tag >> 40 & 1, block.tag >> 39 & 1
            number = block.tag & (1 << 29) - 1
            assert any(block.cell), f"block {number} of slot {slot}, side {side} is used and empty"
            for i, cell in enumerate(block.cell):
                if cell:
                    price = _place_price(side, scale, number * lib.HFT_BLOCK_LEVELS + i)
                    assert (slot, side, price) not in levels, f"level {price} of slot {slot}, side {side} stands twice"
                    levels[slot, side, price] = (cell & _SHARES, cell >> 40)
            for depth in range(lib.HFT_LADDER_DEPTH):
                node = slot << 46 | side << 45 | scale << 44 | depth + 1 << 40 | number >> _CHILD_BITS * (depth + 1)
                nodes[node] |= 1 << (number >> _CHILD_BITS * depth & (1 << _CHILD_BITS) - 1)
        equal("the ladder to the blocks there are", self._entries("book_ladder"), dict(nodes))
        return levels


def equal(what: str, actual: Any, expected: Any) -> None:
    """As assert, but it says where the two differ."""
    if actual == expected:
        return
    if isinstance(actual, dict):
        keys = sorted(key for key in actual.keys() | expected.keys() if actual.get(key) != expected.get(key))
        first = {key: (actual.get(key), expected.get(key)) for key in keys[:10]}
        raise AssertionError(f"{what}: {len(keys)} differ, (hook, model): {first}")
    raise AssertionError(f"{what}:\nhook  {actual}\nmodel {expected}")


_EVENT_FIELDS = tuple(field.name for field in fields(Event) if field.name != "local_ns")
_event_of = attrgetter(*_EVENT_FIELDS)
_NESTED = (Recent, StrategyState, Touch)


_names_of: dict[type, tuple[str, ...]] = {}


def _names(of: type) -> tuple[str, ...]:
    """Fields of a dataclass of the model; a test holds them against the contract."""
    if of not in _names_of:
        _names_of[of] = _fields_to_compare(of)
    return _names_of[of]


def _fields_to_compare(of: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(of) if field.name not in ("levels", "best_qty"))


def _plain(value: Any) -> Any:
    """A field of a C struct as Python has it: bytes for arrays of bytes, lists for others, tuples for structs."""
    if isinstance(value, int):
        return value
    kind = ffi.typeof(value)
    if kind.kind == "array":
        if ffi.sizeof(kind.item) == 1:
            return bytes(ffi.buffer(value))
        return [_plain(one) for one in value] if kind.item.kind == "struct" else list(value)
    return tuple(_plain(each) for each in abi.fields(value).values())


def _modelled(value: Any) -> Any:
    """A field of the model's, in the same form."""
    if isinstance(value, _NESTED):
        return tuple(_modelled(getattr(value, name)) for name in _names(type(value)))
    if isinstance(value, list) and value and isinstance(value[0], _NESTED):
        return [_modelled(one) for one in value]
    return value


def _store(stored: Any, modelled: Any, words: dict[str, int]) -> None:
    """The same words into a C struct and its twin."""
    for name, value in words.items():
        setattr(stored, name, value)
        setattr(modelled, name, value)


def _tick(window_e4: int) -> int:
    """Of a window (abi.h, hft_book), 1/10000 dollar."""
    return 1 if window_e4 & _FINE else _CENT


def _behind(side: int, price: int, away: int) -> int:
    return price - away if side == Side.BUY else price + away


def _away(side: int, first: int, price: int) -> int:
    return first - price if side == Side.BUY else price - first


def _place_price(side: int, scale: int, place: int) -> int:
    """The price of a place of hft_level_block, 1/10000 dollar."""
    steps = place if side == Side.SELL else _PLACES - 1 - place
    price = steps if scale else steps * _CENT
    assert (price % _CENT != 0) == bool(scale), f"price {price} lies among those of the other scale"
    return price


def _without(levels: Levels, slots: set[int]) -> Levels:
    return {place: level for place, level in levels.items() if place[0] not in slots}

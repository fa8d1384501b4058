"""What must hold of the matching engine whatever orders come: nothing is lost, nothing crosses, first come first
served, and the published messages alone rebuild its books."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from turbo_hft.exchange import MatchingEngine, Position
from turbo_hft.exchange.book import BUY, SELL
from turbo_hft.exchange.itch_publisher import ItchPublisher
from turbo_hft.exchange.matching import BookEvent, OrderAdded, OrderExecuted, OrderReplaced, SelfMatch, Submission
from turbo_hft.wire import itch50, moldudp64

SYMBOLS = ("AAPL", "MSFT")
NAMES = st.sampled_from(SYMBOLS)
SIDES = st.sampled_from((BUY, SELL))
PRICES = st.integers(1, 12).map(lambda cents: 1_000_000 + cents * 100)
SIZES = st.integers(1, 300)
PARTIES = st.sampled_from((None, None, "one", "two"))
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), NAMES, SIDES, SIZES, PRICES, st.booleans(), PARTIES),
        st.tuples(st.just("replace"), st.integers(0), SIZES, PRICES, st.booleans()),
        st.tuples(st.just("reduce"), st.integers(0), SIZES),
        st.tuples(st.just("discretion"), st.integers(0), SIZES, PRICES),
    ),
    max_size=60,
)


@dataclass
class Simple:
    """A book as ITCH describes it, as plainly as can be: {reference: [symbol, side, price, shares]}, in feed order."""

    live: dict[int, list[int | str]] = field(default_factory=dict)
    locates: dict[int, str] = field(default_factory=dict)

    def apply(self, m: itch50.Message) -> None:
        match m:
            case itch50.StockDirectory():
                self.locates[m.stock_locate] = m.stock
            case itch50.AddOrder() | itch50.AddOrderMpid():
                assert self.locates[m.stock_locate] == m.stock and m.order_ref not in self.live
                self.live[m.order_ref] = [m.stock, m.side, m.price, m.shares]
            case itch50.OrderExecuted() | itch50.OrderExecutedWithPrice():
                self.reduce(m.order_ref, m.executed_shares)
            case itch50.OrderCancel():
                self.reduce(m.order_ref, m.cancelled_shares)
                assert m.order_ref in self.live  # the last shares go by Delete
            case itch50.OrderDelete():
                del self.live[m.order_ref]
            case itch50.OrderReplace():
                symbol, side, _, _ = self.live.pop(m.orig_order_ref)
                self.live[m.new_order_ref] = [symbol, side, m.price, m.shares]
            case _:
                raise AssertionError(m)

    def reduce(self, ref: int, shares: int) -> None:
        order = self.live[ref]
        assert isinstance(order[3], int) and 0 < shares <= order[3]
        order[3] -= shares
        if not order[3]:
            del self.live[ref]


class Run:
    """An engine driven by drawn actions, its messages published and followed by the simple book."""

    def __init__(self) -> None:
        self.engine = MatchingEngine(SYMBOLS)
        self.publisher = ItchPublisher("TEST", messages_per_packet=7)
        self.simple = Simple()
        self.entered = self.executed = self.canceled = 0
        self.arrival: dict[int, int] = {}
        self.party: dict[int, object] = {}
        for symbol in SYMBOLS:
            self.publisher.directory(symbol, 0)

    def do(self, action: tuple[object, ...]) -> None:
        match action:
            case ("submit", str(symbol), str(side), int(qty), int(price), bool(ioc), party):
                before = self.queue(symbol, side)
                outcome = self.engine.submit(symbol, side, qty, price, ioc=ioc, party=party)
                self.entered += qty
                self.canceled += self.given_up(outcome, party, ioc)
                self.submitted(outcome, before, qty, price, side)
                return
            case ("replace", int(draw), int(qty), int(price), bool(ioc)) if self.engine.orders:
                old = self.pick(draw)
                self.canceled += self.engine.orders[old].qty
                outcome = self.engine.replace(old, qty, price, ioc=ioc)
                self.entered += qty
                self.canceled += self.given_up(outcome, self.party.get(old), ioc)
                events: tuple[BookEvent, ...] = outcome.events
            case ("reduce", int(draw), int(qty)) if self.engine.orders:
                ref = self.pick(draw)
                qty = min(qty, self.engine.orders[ref].qty)
                self.canceled += qty
                events = (self.engine.reduce(ref, qty),)
            case ("discretion", int(draw), int(qty), int(price)) if self.engine.orders:
                ref = self.pick(draw)
                qty = min(qty, self.engine.orders[ref].qty)
                self.entered += qty  # the other side of it comes and goes in the same instant
                events = (self.engine.execute_off_display(ref, qty, price),)
            case _:
                return
        self.after(events)

    def given_up(self, outcome: Submission, party: object, ioc: bool) -> int:
        """Shares that left without a trade: those of an IOC, and on both sides those that met their own party."""
        self.party[outcome.order_ref] = party
        own = 2 * sum(match.qty for match in outcome.self_matches)
        return own + (outcome.open_qty if ioc else 0)

    def queue(self, symbol: str, side: str) -> list[tuple[int, int, int]]:
        """(price, arrival, reference) of what an order of `side` would meet."""
        contra = SELL if side == BUY else BUY
        orders = (o for o in self.engine.orders.values() if (o.symbol, o.side) == (symbol, contra))
        sign = 1 if contra == SELL else -1
        return sorted((sign * o.price_e4, self.arrival[o.order_ref], o.order_ref) for o in orders)

    def submitted(
        self, outcome: Submission, before: list[tuple[int, int, int]], qty: int, price: int, side: str
    ) -> None:
        """Best price first, first come first served, nobody skipped, nobody beyond the limit, nobody with himself."""
        met = [event for event in outcome.events if not isinstance(event, OrderAdded)]
        assert [event.order_ref for event in met] == [ref for _, _, ref in before[: len(met)]]
        hits = [event for event in met if isinstance(event, OrderExecuted)]
        own, party = outcome.self_matches, self.party[outcome.order_ref]
        assert len(met) == len(hits) + len(own) and (party is not None or not own)
        assert all(party is None or self.party.get(hit.order_ref) != party for hit in hits)
        matches: list[OrderExecuted | SelfMatch] = [*hits, *own]
        assert all(each.price_e4 <= price if side == BUY else each.price_e4 >= price for each in matches)
        assert sum(each.qty for each in matches) + outcome.open_qty == qty
        self.after(outcome.events)

    def pick(self, draw: int) -> int:
        refs = sorted(self.engine.orders)
        return refs[draw % len(refs)]

    def after(self, events: tuple[BookEvent, ...]) -> None:
        for event in events:
            if isinstance(event, OrderAdded):
                self.arrival[event.order_ref] = len(self.arrival)
            elif isinstance(event, OrderReplaced):
                self.arrival[event.new_order_ref] = len(self.arrival)
            elif isinstance(event, OrderExecuted):
                self.executed += event.qty
        self.publisher.publish(events, 34_200_000_000_000)
        self.follow()
        self.check()

    def follow(self) -> None:
        while (packet := self.publisher.next_packet()) is not None:
            decoded = moldudp64.decode(packet)
            assert isinstance(decoded, moldudp64.Packet)
            for message in decoded.messages:
                self.simple.apply(itch50.decode(message))

    def check(self) -> None:
        orders = self.engine.orders
        assert self.entered == 2 * self.executed + self.canceled + sum(order.qty for order in orders.values())
        assert {ref: [o.symbol, o.side, o.price_e4, o.qty] for ref, o in orders.items()} == self.simple.live
        for symbol, book in self.engine.books.items():
            bid, ask = book.best(BUY), book.best(SELL)
            assert bid is None or ask is None or bid[0] < ask[0]
            for side in (BUY, SELL):
                mine = [order for order in orders.values() if (order.symbol, order.side) == (symbol, side)]
                sign = -1 if side == BUY else 1
                mine.sort(key=lambda o: (sign * o.price_e4, self.arrival[o.order_ref]))
                assert [o.order_ref for o in book.in_priority(side)] == [o.order_ref for o in mine]
                assert all(order.qty > 0 for order in mine)
                levels: dict[int, int] = {}
                for order in mine:
                    levels[order.price_e4] = levels.get(order.price_e4, 0) + order.qty
                assert book.levels(side) == list(levels.items())


@given(ACTIONS)
@settings(deadline=None, max_examples=200)
def test_matching_engine(actions: list[tuple[object, ...]]) -> None:
    run = Run()
    for action in actions:
        run.do(action)


FILLS = st.lists(st.tuples(SIDES, st.integers(1, 999_999), st.integers(1, 2_000_000_000)), max_size=40)


@given(FILLS)
@settings(deadline=None, max_examples=300)
def test_position_conserves_money(fills: list[tuple[str, int, int]]) -> None:
    """Cash is conserved: what was paid and not yet realized is the cost, to the last 1/10000 dollar."""
    position = Position()
    for side, qty, price in fills:
        position.fill(side, qty, price)
        assert position.position == position.bought_qty - position.sold_qty
        assert position.cost_e4 - position.realized_e4 == position.bought_e4 - position.sold_e4
        assert position.position * position.cost_e4 >= 0
        if not position.position:
            assert position.cost_e4 == 0


@given(FILLS, st.data())
@settings(deadline=None, max_examples=300)
def test_broken_trades_leave_the_sums_of_the_others(fills: list[tuple[str, int, int]], data: st.DataObject) -> None:
    position = Position()
    kept = list(fills)
    for side, qty, price in fills:
        position.fill(side, qty, price, 30)
    for _ in range(data.draw(st.integers(0, len(fills)))):
        side, qty, price = kept.pop(data.draw(st.integers(0, len(kept) - 1)))
        position.take_back(side, qty, price, 30)
        assert position.position == position.bought_qty - position.sold_qty
        assert position.cost_e4 - position.realized_e4 == position.bought_e4 - position.sold_e4
        assert position.position * position.cost_e4 >= 0
    assert position.bought_qty == sum(qty for side, qty, _ in kept if side == BUY)
    assert position.sold_e4 == sum(qty * price for side, qty, price in kept if side == SELL)
    assert position.executions == len(kept) and position.broken == len(fills) - len(kept)
    assert position.fees_e8 == 30 * sum(qty for _, qty, _ in kept)

"""Order entry of the exchange under every fault at once: whatever happens, each reply fits the state of its order, no
share is lost, and the ledger is what the replies add up to."""

from __future__ import annotations

from collections import Counter

from exchange_day import KINDS, MILLISECOND, SECOND, SYMBOLS, Day
from hypothesis import given
from hypothesis import strategies as st
from order_lives import LIVE, SENT
from turbo_hft.exchange import Faults, Phase
from turbo_hft.exchange.halts import Halt, ShortSaleRestriction
from turbo_hft.exchange.market import MarketConfig
from turbo_hft.exchange.order_faults import OrderFaults

SHARES = st.sampled_from((0.0, 0.0, 0.2, 0.5))
ORDER_FAULTS = st.builds(
    OrderFaults,
    reject=SHARES,
    dead=SHARES,
    cancel_pending=SHARES,
    cancel_reject=SHARES,
    broken_trade=SHARES,
    reference_price=SHARES,
    supervisory_cancel=SHARES,
    priority_update=SHARES,
    supervisory_modify=SHARES,
    restate=SHARES,
    later_ns=st.just((0, 30 * MILLISECOND)),
)
LINK_SHARES = st.sampled_from((0.0, 0.0, 0.1))
LINK_FAULTS = st.builds(Faults, loss=LINK_SHARES, duplicate=LINK_SHARES, reorder=LINK_SHARES)
ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 3),  # client
        st.sampled_from(KINDS),
        st.integers(0, 1 << 16),  # which order, symbol, side, time in force
        st.integers(1, 400),  # shares
        st.integers(-6, 6),  # cents from the price at the open
        st.integers(0, 20),  # milliseconds before it
    ),
    max_size=80,
)


@given(ORDER_FAULTS, LINK_FAULTS, LINK_FAULTS, st.integers(0, 99), st.booleans(), ACTIONS)
def test_nothing_is_lost_and_every_reply_fits_whatever_goes_wrong(
    faults: OrderFaults,
    faults_orders: Faults,
    faults_replies: Faults,
    seed: int,
    halts: bool,
    actions: list[tuple[int, str, int, int, int, int]],
) -> None:
    day = Day(
        order_faults=faults,
        faults_orders=faults_orders,
        faults_replies=faults_replies,
        seed=seed,
        halts=(Halt("AAPL", 200 * MILLISECOND, 100 * MILLISECOND), Halt("MSFT", 250 * MILLISECOND, SECOND, "P"))
        if halts
        else (),
        restrictions=(ShortSaleRestriction("MSFT", 0),) if halts else (),
    )
    for client, kind, draw, qty, cents, pause in actions:
        day.step(pause)
        day.do(day.traders[client], kind, draw, qty, cents)
    day.step(50)
    day.heal()
    day.check()
    day.check_feed()
    day.core.stop(day.now, "test")
    day.step(0)
    day.heal()
    day.check()
    day.check_feed()
    for positions in day.core.ledger.positions.values():
        assert all(position.open_qty == 0 for position in positions.values())
    for trader in day.traders:
        assert not any(life.state == LIVE for life in trader.lives.orders.values())
    # What is still as sent was ignored, or never came.
    if faults_orders.loss == faults_orders.reorder == 0:
        left = [life for t in day.traders for life in t.lives.orders.values() if life.state == SENT]
        assert all(life.original is not None for life in left)
    summary = day.core.summary()
    assert summary["replies"] == {
        port: dict(sorted(sum((t.lives.kinds for t in day.traders if t.client.port == port), Counter()).items()))
        for port in ("ouch50", "ouch42")
    }


MARKET = MarketConfig(seed=3, symbols=10, names=tuple(SYMBOLS), prices_e4=SYMBOLS, live_orders=100, rate=1000)


@given(ORDER_FAULTS, LINK_FAULTS, LINK_FAULTS, ACTIONS)
def test_it_is_the_same_where_orders_trade_as_if(
    faults: OrderFaults,
    faults_orders: Faults,
    faults_replies: Faults,
    actions: list[tuple[int, str, int, int, int, int]],
) -> None:
    day = Day(order_faults=faults, faults_orders=faults_orders, faults_replies=faults_replies, market=MARKET)
    day.step(1500)  # the market's opening orders
    for client, kind, draw, qty, cents, pause in actions:
        day.step(pause)
        day.do(day.traders[client], kind, draw, qty, cents)
    day.step(50)
    day.heal()
    day.check()
    day.core.stop(day.now, "test")
    day.step(0)
    day.heal()
    day.check()
    assert not any(life.state == LIVE for trader in day.traders for life in trader.lives.orders.values())
    day.core.close()


@given(ORDER_FAULTS, LINK_FAULTS, st.integers(0, 9), ACTIONS)
def test_a_seed_gives_the_same_replies_to_the_same_messages(
    faults: OrderFaults, link: Faults, seed: int, actions: list[tuple[int, str, int, int, int, int]]
) -> None:
    def run() -> tuple[list[list[bytes]], list[bytes], dict[str, object]]:
        day = Day(order_faults=faults, faults_orders=link, faults_replies=link, seed=seed)
        for client, kind, draw, qty, cents, pause in actions:
            day.step(pause)
            day.do(day.traders[client], kind, draw, qty, cents)
        day.step(50)
        day.core.stop(day.now, "test")
        while day.core.phase is not Phase.ENDED:
            day.step(10)
        replies = [[reply.encode() for reply in trader.client.replies] for trader in day.traders]
        return replies, day.feed, day.core.summary()

    assert run() == run()

"""The depth in the hook's tables after every message, against three books that share nothing with it.

``make book-check`` is the long form. That the check can fail is shown first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import REAL_DAY
from turbo_hft._native import lib
from turbo_hft.exchange.market import MarketConfig, MarketFlow
from turbo_hft.model.names import BookHealth, Side
from turbo_hft.testing import Hook
from turbo_hft.testing.book_check import (
    MOST_A_PACKET,
    check_meatpy,
    check_model,
    check_reference,
    check_swept,
    compare_with_meatpy,
    compare_with_model,
    framed,
)
from turbo_hft.testing.scenario import stock_directory
from turbo_hft.testing.trial import Mismatch, Trial
from turbo_hft.wire import binaryfile, itch50
from turbo_hft.wire.frame import udp_frame
from turbo_hft.wire.moldudp64 import Packet
from twin import FEED, SESSION, Twin

pytestmark = pytest.mark.kernel

MARKET = MarketConfig(seed=11, symbols=500, live_orders=20_000, subdollar_share=0.1, stub_share=0.2)
SMALL = MarketConfig(seed=12, symbols=20, live_orders=1_000, subdollar_share=0.2, stub_share=0.3)
STAMP = {"tracking_number": 0, "timestamp": 34_200_000_000_000}


def add(reference: int, price: int, side: str = "S", shares: int = 100) -> bytes:
    order = itch50.AddOrder(
        stock_locate=1, order_ref=reference, side=side, shares=shares, stock="AAPL", price=price, **STAMP
    )
    return order.encode()


@pytest.fixture
def trial() -> Iterator[Trial]:
    with Trial([("AAPL", 1)], orders=1024) as trial:
        trial.run(framed(stock_directory("AAPL", 1, STAMP)) + framed(add(1, 10_000)) + framed(add(2, 10_100)))
        yield trial


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (add(9, 10_100), "number of orders"),
        (itch50.OrderCancel(stock_locate=1, order_ref=2, cancelled_shares=1, **STAMP).encode(), "offers differ"),
        (itch50.OrderReplace(
            stock_locate=1, orig_order_ref=1, new_order_ref=9, shares=100, price=9_900, **STAMP
        ).encode(), "best prices"),
        (itch50.OrderReplace(
            stock_locate=1, orig_order_ref=2, new_order_ref=9, shares=100, price=10_200, **STAMP
        ).encode(), "offers differ from level 1"),
    ],
    ids=["one order more", "one share less", "another best price", "another price"],
)  # fmt: skip
def test_a_book_that_is_wrong_is_noticed(trial: Trial, secret: bytes, words: str) -> None:
    """The reference is told what the hook is not."""
    assert lib.hft_reference_apply(trial.reference.handle, secret, len(secret)) == 1
    with pytest.raises(Mismatch, match=words) as caught:
        trial.run(framed(add(3, 10_300)))
    assert add(3, 10_300).hex() in str(caught.value), "the bytes are told"


def test_a_book_in_doubt_is_noticed(trial: Trial) -> None:
    secret = itch50.OrderDelete(stock_locate=1, order_ref=2, **STAMP).encode()
    assert lib.hft_reference_apply(trial.reference.handle, secret, len(secret)) == 1
    with pytest.raises(Mismatch, match=r"not whole .* duplicate_ref"):
        trial.run(framed(add(2, 10_100)))


@pytest.mark.parametrize("most", [1, MOST_A_PACKET])
def test_a_whole_market_after_every_packet(most: int) -> None:
    tally = check_reference(MARKET, 200_000, most)
    assert tally.messages > 220_000 and tally.crossed == 0
    assert tally.depths > (210_000 if most == 1 else 150_000) and tally.deepest > 50
    assert tally.packets == tally.messages if most == 1 else tally.packets < tally.messages / 10


def test_books_that_are_swept() -> None:
    tally = check_swept(5, 40_000)
    assert tally.depths == 40_000 and tally.deepest > 30


def test_the_model_after_every_message() -> None:
    assert check_model(SMALL, 12_000) > 10_000


def test_meatpy_after_every_message_of_a_busy_symbol() -> None:
    pytest.importorskip("meatpy", reason="meatpy is not installed: pip install meatpy")
    assert check_meatpy(SMALL, 4_000) == 4_000


@pytest.mark.skipif(not REAL_DAY.exists(), reason="market data is not part of this repository")
def test_a_real_opening() -> None:
    pytest.importorskip("meatpy", reason="meatpy is not installed: pip install meatpy")
    messages = list(binaryfile.read(REAL_DAY))
    locate = next(int.from_bytes(message[1:3], "big") for message in messages if message[:1] == b"R")
    about = sum(message[1:3] == locate.to_bytes(2, "big") for message in messages)
    with Trial([("AAPL", locate)], orders=32_768) as trial:
        assert compare_with_model(trial, messages) == about > 10_000
    with Trial([("AAPL", locate)], orders=32_768) as trial:
        assert compare_with_meatpy(trial, "AAPL", messages, len(messages)) == about


# Hostile sequences

NAMES = ("AAPL", "PNNY")
PRICES = (
    *range(1_000_000, 1_003_000, 100),  # neighbours, over several blocks
    *range(9_990, 10_010),  # around a dollar, in steps of 0.0001
    *(1, 2, 99, 100, 101, 199_999_999, 200_000_000, 1_999_999_900, 1_999_999_999, 2_000_000_000),
)
BAD_PRICES = (0, 2_000_000_001, 0xFFFFFFFF)
SHARES = (1, 2, 100, 999_999, 0xFFFFFFFF)
PILE = 86  # three of these piles of largest orders at one price are more than a level holds

OPERATION = st.tuples(
    st.sampled_from("AAAAAAAFDDDEECXXUUU" * 4 + "sss" + "pp" + "!"),
    st.integers(0, 1),
    st.sampled_from("BS"),
    st.one_of(st.integers(0, 5), st.integers(0, len(PRICES) - 1)),
    st.integers(0, 1 << 16),
    st.sampled_from(SHARES),
)


@dataclass
class Hostile:
    """Messages that may be anything, into the hook and the model, one packet each."""

    twin: Twin
    sequence: int = 1
    reference: int = 0
    live: list[dict[int, int]] = field(default_factory=lambda: [{}, {}])

    def begin(self) -> None:
        for index, name in enumerate(NAMES):
            self.twin.add_symbol(name)
            self.send(stock_directory(name, index + 1, STAMP))

    def send(self, *messages: bytes) -> None:
        payload = Packet("DAY", self.sequence, messages).encode()
        self.sequence += len(messages)
        self.twin.packet(
            udp_frame(
                src_mac=SESSION.remote_mac,
                dst_mac=SESSION.local_mac,
                src=(str(FEED.source), 9),
                dst=(FEED.group, FEED.port),
                payload=payload,
            )
        )

    def healthy(self, symbol: int) -> bool:
        return self.twin.model.books[symbol].health == BookHealth.OK

    def compare(self) -> int:
        """The full depth of both symbols, as far as they are not in doubt; levels of the deepest side."""
        deepest = 0
        for symbol, name in enumerate(NAMES):
            if not self.healthy(symbol):
                continue
            depth = self.twin.engine.symbols[name].depth(len(PRICES))
            for side, found in ((Side.BUY, depth.bids), (Side.SELL, depth.asks)):
                shown = [(level.price_e4, level.qty, level.orders) for level in found]
                assert shown == self.twin.model.depth(symbol, side, 1 << 20), f"{name} {side.name}"
                deepest = max(deepest, len(shown))
        return deepest

    def step(self, kind: str, symbol: int, side: str, price_index: int, pick: int, shares: int) -> str:
        """One operation; what it was."""
        live, price = self.live[symbol], PRICES[price_index]
        if not self.healthy(symbol):
            return "kept"
        head: dict[str, Any] = {"stock_locate": symbol + 1, **STAMP}
        if kind == "!":
            return self.nonsense(symbol, side, pick)
        if kind in "AFp" or not live:
            count = PILE if kind == "p" else 1
            if kind == "p":
                shares, price = SHARES[-1], PRICES[0]
            messages = []
            for _ in range(count):
                self.reference += 1
                live[self.reference] = shares
                values: dict[str, Any] = {
                    "order_ref": self.reference,
                    "side": side,
                    "shares": shares,
                    "stock": NAMES[symbol],
                }
                if kind == "F":
                    messages.append(itch50.AddOrderMpid(price=price, mpid="MPID", **values, **head).encode())
                else:
                    messages.append(itch50.AddOrder(price=price, **values, **head).encode())
            self.send(*messages)
            return kind
        if kind == "s":
            return self.sweep(symbol, side, pick % 8)
        chosen = list(live)[pick % len(live)]
        left = live[chosen]
        part = left if pick & 1 else max(1, left // 2)
        if kind in "ECX":
            live[chosen] -= part
            if not live[chosen]:
                del live[chosen]
        if kind == "E":
            self.send(itch50.OrderExecuted(order_ref=chosen, executed_shares=part, match_number=1, **head).encode())
        elif kind == "C":
            self.send(
                itch50.OrderExecutedWithPrice(
                    order_ref=chosen, executed_shares=part, match_number=1, printable="Y", execution_price=price, **head
                ).encode()
            )
        elif kind == "X":
            self.send(itch50.OrderCancel(order_ref=chosen, cancelled_shares=part, **head).encode())
        elif kind == "D":
            del live[chosen]
            self.send(itch50.OrderDelete(order_ref=chosen, **head).encode())
        else:
            del live[chosen]
            self.reference += 1
            live[self.reference] = shares
            self.send(
                itch50.OrderReplace(
                    orig_order_ref=chosen, new_order_ref=self.reference, shares=shares, price=price, **head
                ).encode()
            )
        return kind

    def sweep(self, symbol: int, side: str, levels: int) -> str:
        """The best levels of a side are taken, order by order, in as few packets as hold them."""
        which = Side.BUY if side == "B" else Side.SELL
        prices = {price for price, _, _ in self.twin.model.depth(symbol, which, levels)}
        orders = self.twin.model.orders
        gone = [
            reference
            for (_, reference), order in orders.items()
            if (order.symbol, order.side) == (symbol, which) and order.price_e4 in prices
        ]
        head: dict[str, Any] = {"stock_locate": symbol + 1, **STAMP}
        for first in range(0, len(gone), PILE):
            references = gone[first : first + PILE]
            self.send(*(itch50.OrderDelete(order_ref=reference, **head).encode() for reference in references))
            for reference in references:
                self.live[symbol].pop(reference, None)  # what came after a doubt was never in the model's book
        return "s"

    def nonsense(self, symbol: int, side: str, pick: int) -> str:
        """What no valid feed says; it puts the symbol in quarantine."""
        head: dict[str, Any] = {"stock_locate": symbol + 1, **STAMP}
        chosen = next(iter(self.live[symbol]), 1 << 40)
        messages = (
            itch50.OrderDelete(order_ref=1 << 41, **head),
            itch50.OrderCancel(order_ref=chosen, cancelled_shares=0, **head),
            itch50.OrderExecuted(order_ref=chosen, executed_shares=SHARES[-1], match_number=1, **head),
            itch50.AddOrder(
                order_ref=chosen, side=side, shares=1, stock=NAMES[symbol], price=PRICES[pick % len(PRICES)], **head
            ),
            itch50.AddOrder(
                order_ref=1 << 42, side=side, shares=1, stock=NAMES[symbol], price=BAD_PRICES[pick % 3], **head
            ),
            itch50.OrderReplace(
                orig_order_ref=chosen, new_order_ref=chosen, shares=1, price=PRICES[pick % len(PRICES)], **head
            ),
        )
        self.send(messages[pick % len(messages)].encode())
        return "!"


DEEP = 10  # levels of a side
SEEN: Counter[str] = Counter()


@given(st.integers(0, len(PRICES)), st.lists(OPERATION, min_size=50, max_size=110))
def _run_hostile(hook: Hook, resting: int, operations: list[tuple[str, int, str, int, int, int]]) -> None:
    hostile = Hostile(Twin(hook))
    hostile.begin()
    for index in range(resting):
        hostile.step("A", 0, "BS"[index & 1], index, 0, 100)
    for operation in operations:
        SEEN[hostile.step(*operation)] += 1
        SEEN["deep"] += hostile.compare() > DEEP
        if not any(hostile.healthy(symbol) for symbol in range(len(NAMES))):
            break
    hostile.twin.compare_state()
    for name, count in hostile.twin.differences().items():
        SEEN[name] += count


def test_hostile_sequences(hook: Hook) -> None:
    SEEN.clear()
    _run_hostile(hook)
    for what in (*"AFDECXUs", "deep"):
        assert SEEN[what], f"no sequence had {what}: {SEEN}"


@pytest.mark.parametrize("which", range(6))
def test_nonsense_is_doubted_and_leaves_the_other_book_alone(hook: Hook, which: int) -> None:
    hostile = Hostile(Twin(hook))
    hostile.begin()
    for index in range(12):
        hostile.step("A", index % 2, "BS"[index % 3 > 1], index, 0, 100)
    assert hostile.compare() > 0
    hostile.step("!", 0, "B", 0, which, 0)
    assert not hostile.healthy(0) and hostile.healthy(1)
    assert hostile.compare() > 0
    hostile.twin.compare_state()


def test_a_level_that_overflows(hook: Hook) -> None:
    """Three piles of the largest orders at one price, with orders all around."""
    hostile = Hostile(Twin(hook))
    hostile.begin()
    for index in range(len(PRICES)):
        hostile.step("A", 0, "B", index, 0, 100)
    for _ in range(2):
        hostile.step("p", 0, "B", 0, 0, 0)
        assert hostile.compare() == len(PRICES)
    hostile.step("p", 0, "B", 0, 0, 0)
    assert not hostile.healthy(0) and hostile.healthy(1)
    assert hostile.twin.differences()["book_full"] == 1
    hostile.twin.compare_state()


def test_numbers_and_orders_agree_at_the_end() -> None:
    """What the hook, the reference and the market itself have counted."""
    flow = MarketFlow(SMALL)
    with Trial.of(flow, orders=16_384) as trial:
        for chunk in flow.chunks(5_000):
            trial.run(chunk, 7)
        assert trial.reference.orders == flow.stats().live_orders
        assert trial.engine.feed.expected_seq == trial.native.messages + 1 == flow.stats().messages + 1

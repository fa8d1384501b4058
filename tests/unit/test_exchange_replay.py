"""Replay: the file goes out as it is, our orders trade against it as if."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from recordings import REAL_DAY
from turbo_hft.errors import ConfigError, ExchangeError
from turbo_hft.exchange import ExchangeConfig, ExchangeCore, Phase
from turbo_hft.exchange.inprocess import InProcessClient
from turbo_hft.exchange.replay import ReplayVenue
from turbo_hft.wire import binaryfile, itch50, moldudp64, ouch50

SECOND = 1_000_000_000
OPEN = 34_200 * SECOND
PRICE = 1_600_000


def add(ref: int, side: str, qty: int, price: int = PRICE, at: int = 0) -> itch50.AddOrder:
    return itch50.AddOrder(14, 0, OPEN + at, ref, side, qty, "AAPL", price)


def directory() -> itch50.StockDirectory:
    return itch50.StockDirectory(
        14, 0, OPEN, "AAPL", "Q", "N", 100, "N", "C", "Z", "P", "N", "N", "1", "N", 0, "N"
    )  # fmt: skip


class Replay:
    """A session that replays `messages`, stepped one second of the file at a time."""

    def __init__(self, path: Path, *messages: itch50.Message) -> None:
        with path.open("wb") as file:
            binaryfile.write(file, (message.encode() for message in messages))
        self.core = ExchangeCore(ExchangeConfig(replay=path, linger_s=20.0))
        self.client = InProcessClient(self.core)
        self.client.login()
        self._ref = 0

    def at(self, second: float) -> Sequence[object]:
        """Let the file run until then; replies that it caused."""
        now = int(second * SECOND)
        self.core.tick(now)
        return self.client.take(self.core.replies(now))

    def order(self, side: str, qty: int, price: int = PRICE, tif: str = "3") -> list[tuple[str, int, int]]:
        """An order now; its executions and cancels as (type, quantity, price)."""
        self._ref += 1
        replies = self.client.send(
            ouch50.EnterOrder(self._ref, side, qty, "AAPL", price, tif, "Y", "P", "N", "N", "ID")
        )  # fmt: skip
        return told(replies)


def told(replies: Sequence[object]) -> list[tuple[str, int, int]]:
    """Executions and cancels as (type, quantity, price)."""
    return [
        (m.TYPE, m.quantity, m.price if isinstance(m, ouch50.Executed) else 0)
        for m in replies
        if isinstance(m, ouch50.Executed | ouch50.Canceled)
    ]


def test_an_ioc_takes_what_is_displayed_by_price_and_time(tmp_path: Path) -> None:
    replay = Replay(
        tmp_path / "day",
        directory(),
        add(1, "S", 50, PRICE + 100),
        add(2, "S", 30),
        add(3, "S", 40),
        add(4, "B", 9, 100),
    )
    replay.at(0)
    assert replay.order("B", 100, PRICE + 100) == [
        ("E", 30, PRICE),
        ("E", 40, PRICE),
        ("E", 30, PRICE + 100),
    ]


def test_an_ioc_respects_its_limit(tmp_path: Path) -> None:
    replay = Replay(tmp_path / "day", directory(), add(1, "S", 50, PRICE + 100), add(2, "B", 50, PRICE - 100))
    replay.at(0)
    assert replay.order("B", 10, PRICE) == [("C", 10, 0)]
    assert replay.order("S", 10, PRICE) == [("C", 10, 0)]
    assert replay.order("S", 10, PRICE - 100) == [("E", 10, PRICE - 100)]


def test_liquidity_is_not_given_twice(tmp_path: Path) -> None:
    replay = Replay(
        tmp_path / "day",
        directory(),
        add(1, "S", 100),
        itch50.OrderExecuted(14, 2, OPEN + SECOND, 1, 30, 7),
        itch50.OrderReplace(14, 0, OPEN + 2 * SECOND, 1, 2, 90, PRICE),
        itch50.OrderDelete(14, 0, OPEN + 3 * SECOND, 2),
        add(3, "S", 25, at=3 * SECOND),
    )
    replay.at(0)
    assert replay.order("B", 60) == [("E", 60, PRICE)]
    assert replay.order("B", 60) == [("E", 40, PRICE), ("C", 20, 0)]
    replay.at(1)
    assert replay.order("B", 10) == [("C", 10, 0)]
    replay.at(2)
    assert replay.order("B", 10) == [("C", 10, 0)]  # the replacement of an order we took whole
    replay.at(3)
    assert replay.order("B", 100) == [("E", 25, PRICE), ("C", 75, 0)]


def test_a_waiting_order_fills_when_the_file_reaches_it(tmp_path: Path) -> None:
    replay = Replay(
        tmp_path / "day",
        directory(),
        add(1, "S", 100, PRICE + 500),
        add(2, "S", 40, PRICE - 100, at=SECOND),
        add(3, "B", 20, PRICE - 200, at=2 * SECOND),
        itch50.OrderExecuted(14, 2, OPEN + 3 * SECOND, 3, 15, 7),
    )
    replay.at(0)
    assert replay.order("B", 60, PRICE, tif="0") == []
    assert told(replay.at(1)) == [("E", 40, PRICE)]
    assert told(replay.at(2)) == []
    assert told(replay.at(3)) == [("E", 15, PRICE)]  # a trade at a worse price would have met ours first
    (canceled,) = replay.client.send(ouch50.CancelOrder(1, 0))
    assert isinstance(canceled, ouch50.Canceled)
    assert canceled.quantity == 5


def test_a_waiting_order_can_be_replaced(tmp_path: Path) -> None:
    replay = Replay(tmp_path / "day", directory(), add(1, "S", 100, PRICE + 500))
    replay.at(0)
    replay.order("B", 60, PRICE, tif="0")
    replies = replay.client.send(ouch50.ReplaceOrder(1, 2, 80, PRICE + 500, "0", "Y", "N", "ID"))
    assert [m.TYPE for m in replies] == ["U", "E"]
    assert told(replies) == [("E", 80, PRICE + 500)]


def test_a_symbol_the_file_has_not_shown_is_unknown(tmp_path: Path) -> None:
    replay = Replay(tmp_path / "day", add(1, "S", 100, at=0))
    (rejected,) = replay.client.send(
        ouch50.EnterOrder(1, "B", 1, "MSFT", PRICE, "3", "Y", "P", "N", "N", "ID")
    )  # fmt: skip
    assert isinstance(rejected, ouch50.Rejected)


def test_our_trades_leave_no_trace_in_the_feed(tmp_path: Path) -> None:
    file = (directory(), add(1, "S", 100), itch50.OrderDelete(14, 0, OPEN + SECOND, 1))
    replay = Replay(tmp_path / "day", *file)
    packets = replay.core.tick(0)
    replay.order("B", 60)
    packets += replay.core.tick(SECOND)
    assert packets == [
        moldudp64.Packet("HFT0000001", i + 1, (message.encode(),)).encode() for i, message in enumerate(file)
    ]


def test_recorded_pace_and_its_factor(tmp_path: Path) -> None:
    path = tmp_path / "day"
    with path.open("wb") as file:
        binaryfile.write(file, [add(i, "B", 1, at=i * SECOND).encode() for i in range(1, 11)])
    for speed, expected in ((1.0, 5), (2.0, 9), (0.5, 3), (None, 10)):
        core = ExchangeCore(ExchangeConfig(replay=path, speed=speed))
        core.tick(0)
        core.tick(4 * SECOND)
        assert core.publisher.by_type.total() == expected, speed


def test_files_that_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file"):
        ExchangeCore(ExchangeConfig(replay=tmp_path / "absent"))
    path = tmp_path / "day"
    path.write_bytes(b"\0\x03ABC")
    core = ExchangeCore(ExchangeConfig(replay=path))
    with pytest.raises(ExchangeError, match=r"not ITCH 5\.0"):
        core.tick(0)
    with pytest.raises(ConfigError, match="factor above 0"):
        ExchangeCore(ExchangeConfig(replay=path, speed=0.0))


@pytest.mark.skipif(
    not REAL_DAY.is_file(), reason=f"market data is not part of the project: no {REAL_DAY.name} beside it"
)
@pytest.mark.parametrize("per_packet", [1, 25])
def test_a_real_opening_goes_out_byte_for_byte(per_packet: int) -> None:
    core = ExchangeCore(
        ExchangeConfig(replay=REAL_DAY, speed=None, messages_per_packet=per_packet, linger_s=0.0)
    )  # fmt: skip
    messages: list[bytes] = []
    expected = 1
    for packet in map(moldudp64.decode, core.tick(0)):
        assert packet.sequence == expected
        if isinstance(packet, moldudp64.Packet):
            messages += packet.messages
            expected += len(packet.messages)
    assert core.phase is Phase.ENDED
    assert messages == list(binaryfile.read(REAL_DAY))
    assert Counter(chr(message[0]) for message in messages) == {
        "A": 7511, "D": 1237, "E": 729, "U": 437, "F": 109, "C": 17, "X": 6, "S": 3, "R": 1, "H": 1,
    }  # fmt: skip
    assert core.summary()["books"] == {"AAPL": best_of(messages)}
    assert isinstance(core.venue, ReplayVenue)
    assert core.venue.mirror.unknown_refs == core.venue.mirror.misfits == 0


def best_of(messages: list[bytes]) -> dict[str, int]:
    """Best bid and offer after all messages, from a book of a few lines that shares no code with the exchange."""
    live: dict[bytes, list[int]] = {}
    for m in messages:
        kind, ref = m[:1], m[11:19]
        if kind in b"AF":
            live[ref] = [m[19], int.from_bytes(m[32:36]), int.from_bytes(m[20:24])]
        elif kind in b"ECX":
            live[ref][2] -= int.from_bytes(m[19:23])
        elif kind == b"U":
            live[m[19:27]] = [live.pop(ref)[0], int.from_bytes(m[31:35]), int.from_bytes(m[27:31])]
        elif kind == b"D":
            del live[ref]
        if kind in b"ECX" and not live[ref][2]:
            del live[ref]
    bid = max(price for side, price, _ in live.values() if side == ord("B"))
    ask = min(price for side, price, _ in live.values() if side == ord("S"))
    return {
        "bid_e4": bid,
        "bid_qty": sum(qty for side, price, qty in live.values() if (side, price) == (ord("B"), bid)),
        "ask_e4": ask,
        "ask_qty": sum(qty for side, price, qty in live.values() if (side, price) == (ord("S"), ask)),
    }

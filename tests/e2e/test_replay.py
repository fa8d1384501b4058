"""The real opening through the whole loop: counted by type, best prices equal to an independent book's."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections import Counter
from pathlib import Path

import pytest
from e2e_rig import rig
from meatpy.itch50 import ITCH50MarketProcessor, ITCH50MessageReader
from meatpy.lob import ExecutionPriorityExceptionList
from turbo_hft.engine import Engine
from turbo_hft.order_entry import OrderEntry
from turbo_hft.wire import binaryfile, itch50

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "AAPL_20190130_0930.itch50"
needs_file = pytest.mark.skipif(not FILE.exists(), reason="market data is no part of the project; the file is not here")
COUNTS = {"A": 7511, "D": 1237, "E": 729, "U": 437, "F": 109, "C": 17, "X": 6, "S": 3, "R": 1, "H": 1}


def meatpy_best() -> tuple[int, int, int, int]:
    """Best bid and offer with their shares after the last message, by meatpy."""
    processor = ITCH50MarketProcessor("AAPL", datetime.datetime(2019, 1, 30))
    with ITCH50MessageReader(FILE) as reader:
        for message in reader:
            # Executions out of queue order are real (0.1 to 0.2 % of a day's); meatpy applies them and then complains.
            with contextlib.suppress(ExecutionPriorityExceptionList):
                processor.process_message(message)
    book = processor.current_lob
    bid, ask = book.bid_levels[0], book.ask_levels[0]
    return bid.price, bid.total_volume, ask.price, ask.total_volume


@needs_file
def test_every_message_of_the_opening_is_counted_and_the_book_is_right(tmp_path: Path) -> None:
    in_file = Counter(chr(message[0]) for message in binaryfile.read(FILE))
    assert in_file == COUNTS
    with rig(tmp_path, 5) as lab, Engine.open(lab.addresses.device) as engine:
        lab.start_exchange("--replay", str(FILE), "--speed", "max", "--messages-per-packet", "20", "--wait-for-login")
        view = engine.symbols.add("AAPL", buy_below="163.10", max_long=2000)
        engine.configure(lab.session(), lab.feed())
        engine.attach()
        with OrderEntry(engine, lab.session()) as order_entry, engine.lease.keep():
            order_entry.login()
            engine.resume()
            end = time.monotonic() + 60
            while engine.feed.health != "ended" and time.monotonic() < end:
                time.sleep(0.01)
            engine.halt()
            feed, counters, counted = engine.feed, engine.counters(), engine.itch_counts()
            state = view.snapshot()
        summary = lab.exchange_summary()
    print(f"\nreplayed: { ({k: v for k, v in counted.items() if v}) }, {counters['orders']} orders, book {state}")
    assert feed.health == "ended" and feed.gaps == 0
    assert {kind: count for kind, count in counted.items() if count} == COUNTS
    assert counters["feed_messages"] == sum(COUNTS.values())
    assert counters["book_unknown_ref"] == counters["itch_bad_length"] == counters["itch_unknown_type"] == 0
    assert state.health == "ok"
    assert (state.bid_e4, state.bid_qty, state.ask_e4, state.ask_qty) == meatpy_best()
    assert counters["orders"] > 0, "the opening traded below the target and nothing was bought"
    assert summary["accounts"]["HFT001"]["AAPL"]["bought_qty"] == state.bought_qty


@needs_file
def test_the_file_holds_what_the_book_needs() -> None:
    """The reader sees the directory message first, so that the symbol is bound before its first order."""
    first = [itch50.decode(message) for message, _ in zip(binaryfile.read(FILE), range(10), strict=False)]
    directory = next(i for i, m in enumerate(first) if isinstance(m, itch50.StockDirectory))
    order = next((i for i, m in enumerate(first) if isinstance(m, itch50.AddOrder)), len(first))
    assert directory < order

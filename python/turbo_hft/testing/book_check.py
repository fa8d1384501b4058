"""Is the depth in the hook's tables right after every message? Held against three independent books.

``make book-check`` runs a whole market: every message against the native reference, level by level, in packets of one
message and then in packets of many; the beginning of it against the Python model; a busy symbol against meatpy.
A mismatch ends the run and is told with the message and both depths.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from turbo_hft.exchange.market import MarketConfig, MarketFlow
from turbo_hft.testing.oracles import MeatpyBook, ModelBook
from turbo_hft.testing.scenario import stock_directory
from turbo_hft.testing.trial import Mismatch, Tally, Trial, difference, unpacked
from turbo_hft.wire import itch50

MOST_A_PACKET = 38
_MEATPY_SYMBOLS = 20
_SWEPT_SYMBOLS = 8
_SWEPT_ORDERS = 1 << 14
_SWEPT_E4 = 1_000_000
_STAMP = {"tracking_number": 0, "timestamp": 34_200_000_000_000}
_CHUNK = 1 << 16
_MEATPY_ORDERS = 4_000  # meatpy looks through every order of its book for each message

Progress = Callable[[str, int], None]


def _silent(what: str, messages: int) -> None:
    pass


def framed(message: bytes) -> bytes:
    """One message in BinaryFILE framing."""
    return len(message).to_bytes(2, "big") + message


def check_reference(config: MarketConfig, messages: int, most: int = 1, progress: Progress = _silent) -> Tally:
    """What precedes a market's flow and `messages` of it, in packets of 1 to `most`; after each packet the full depth
    of every symbol it touched. Raises Mismatch."""
    flow = MarketFlow(config)
    with Trial.of(flow, seed=config.seed, orders=_orders(config), levels=_levels(config)) as trial:
        for chunk in flow.chunks(messages):
            trial.run(chunk, most)
            progress(f"1..{most} a packet" if most > 1 else "1 a packet", trial.native.messages)
        _all_whole(trial)
        return trial.tally()


def check_swept(seed: int, messages: int, progress: Progress = _silent) -> Tally:
    """Books that grow and are then swept from the touch, which no realistic flow does often: the levels near the touch
    run out and others come up from below. After every message. Raises Mismatch."""
    listed = [(f"SWEPT{number}", number + 1) for number in range(_SWEPT_SYMBOLS)]
    with Trial(listed, seed=seed, orders=_SWEPT_ORDERS, levels=_SWEPT_ORDERS, crossed_ns=0) as trial:
        trial.run(b"".join(framed(stock_directory(name, locate, _STAMP)) for name, locate in listed))
        chunk = bytearray()
        for message in _first(swept(seed, [name for name, _ in listed]), messages):
            chunk += framed(message)
            if len(chunk) > _CHUNK:
                trial.run(bytes(chunk))
                chunk.clear()
                progress("swept books", trial.native.messages)
        trial.run(bytes(chunk))
        _all_whole(trial)
        return trial.tally()


def swept(seed: int, names: list[str]) -> Iterator[bytes]:
    """Without end: sides that grow to some levels, in cents or in steps of 0.0001, and are taken away from the best one
    on, until little or nothing is left. Symbol i has locate i + 1."""
    draw = random.Random(f"{seed} swept")
    books: dict[tuple[int, str], list[tuple[int, int]]] = {
        (symbol, side): [] for symbol in range(len(names)) for side in "BS"
    }
    reference = 0
    while True:
        (symbol, side), orders = draw.choice(list(books.items()))
        head: dict[str, Any] = {"stock_locate": symbol + 1, **_STAMP}
        step = 1 if symbol % 2 else 100
        for _ in range(draw.randint(1, 60)):
            reference += 1
            price = _SWEPT_E4 + step * draw.randint(0, draw.choice((8, 60, 5_000)))
            orders.append((price, reference))
            values: dict[str, Any] = {
                "side": side,
                "shares": draw.randint(1, 500),
                "stock": names[symbol],
                "price": price,
            }
            yield itch50.AddOrder(order_ref=reference, **values, **head).encode()
        orders.sort(reverse=side == "B")
        for _ in range(len(orders) - draw.choice((0, 0, 1, 3, 5, 8, len(orders)))):
            _, gone = orders.pop(0)
            yield itch50.OrderDelete(order_ref=gone, **head).encode()


def check_model(config: MarketConfig, messages: int, progress: Progress = _silent) -> int:
    """The first `messages` of a market's day: hook, reference and model after every one. How many depths were compared.
    Raises Mismatch."""
    flow = MarketFlow(config)
    with Trial.of(flow, seed=config.seed, orders=_orders(config), levels=_levels(config)) as trial:
        return compare_with_model(trial, _first(flow.messages(), messages), progress)


def compare_with_model(trial: Trial, messages: Iterable[bytes], progress: Progress = _silent) -> int:
    """Every message into hook, reference and model; the full depth of its symbol after each. How many were compared."""
    model, compared = ModelBook(trial), 0
    for number, message in enumerate(messages, start=1):
        trial.run(framed(message))
        model.apply(message)
        slot = trial.slots[int.from_bytes(message[1:3], "big")] - 1
        if slot >= 0:
            found, expected = trial.depth(slot), model.depth(slot)
            if found != expected:
                raise _mismatch("the model", trial, slot, number, message, found, expected)
            compared += 1
        if not number & 0x3FFF:
            progress("model", number)
    _all_whole(trial)
    return compared


def check_meatpy(config: MarketConfig, messages: int, progress: Progress = _silent) -> int:
    """A market until so many messages of its busiest symbol have passed: hook and meatpy after each of those, prices
    and shares of all levels. How many. Raises Mismatch."""
    flow = MarketFlow(config)
    busy = flow.symbol(0)
    with Trial.of(flow, seed=config.seed, orders=_orders(config), levels=_levels(config)) as trial:
        return compare_with_meatpy(trial, busy.name, flow.messages(), messages, progress)


def compare_with_meatpy(
    trial: Trial, name: str, messages: Iterable[bytes], limit: int, progress: Progress = _silent
) -> int:
    """All messages into hook, reference and meatpy, until `limit` were about the symbol. How many were."""
    book, slot = MeatpyBook(name), trial.names.index(name)
    compared = 0
    for number, message in enumerate(messages, start=1):
        trial.run(framed(message))
        book.apply(message)
        if trial.slots[int.from_bytes(message[1:3], "big")] - 1 != slot:
            continue
        found = trial.depth(slot)
        shown = tuple([(price, shares) for price, shares, _ in unpacked(side)] for side in found)
        if shown != book.sides():
            raise _mismatch("meatpy", trial, slot, number, message, found, None, book.sides())
        compared += 1
        if not compared & 0xFFF:
            progress("meatpy", compared)
        if compared == limit:
            break
    _all_whole(trial)
    return compared


def _mismatch(
    who: str,
    trial: Trial,
    slot: int,
    number: int,
    message: bytes,
    found: tuple[bytes, bytes],
    expected: tuple[bytes, bytes] | None,
    without_orders: tuple[list[tuple[int, int]], list[tuple[int, int]]] | None = None,
) -> Mismatch:
    lines = [f"hook and {who} differ after message {number} ({message.hex()}), symbol {trial.names[slot]}"]
    for side, name in enumerate(("bids", "offers")):
        if expected is not None:
            lines.append(difference(name, unpacked(found[side]), unpacked(expected[side])))
        elif without_orders is not None:
            shown: list[tuple[int, ...]] = [level[:2] for level in unpacked(found[side])]
            lines.append(difference(name, shown, list(without_orders[side])))
    return Mismatch("\n".join(lines))


def _all_whole(trial: Trial) -> None:
    """No book was ever in doubt, though all messages were valid."""
    health = trial.health()
    if set(health) - {"live"} or trial.engine.counters()["book_quarantines"]:
        raise Mismatch(f"valid messages, and not all books are whole: {health}, {trial.engine.counters()}")


def _orders(config: MarketConfig) -> int:
    """As many as there are, and those by which a market goes beyond it for a moment."""
    return max(1_024, config.live_orders + config.live_orders // 20)


def _levels(config: MarketConfig) -> int:
    """Blocks of prices. Few symbols with deep books lie more scattered than the default is made for."""
    return max(1_024, config.live_orders // 2)


def _first(messages: Iterable[bytes], limit: int) -> Iterable[bytes]:
    for number, message in enumerate(messages):
        if number == limit:
            return
        yield message


def main(arguments: list[str] | None = None) -> int:
    """``make book-check``."""
    parser = argparse.ArgumentParser(prog="book-check", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000_000, help="of the flow, against the reference")
    parser.add_argument("--swept", type=int, default=1_000_000, help="of books that are swept again and again")
    parser.add_argument("--model", type=int, default=300_000, help="of the day, against the Python model")
    parser.add_argument("--meatpy", type=int, default=100_000, help="of a busy symbol, against meatpy")
    parser.add_argument("--symbols", type=int, default=2_000)
    parser.add_argument("--live-orders", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    market = MarketConfig(seed=options.seed, symbols=options.symbols, live_orders=options.live_orders)
    small = MarketConfig(seed=options.seed, symbols=_MEATPY_SYMBOLS, live_orders=_MEATPY_ORDERS)
    shown = [time.monotonic()]

    def progress(what: str, messages: int) -> None:
        if time.monotonic() - shown[0] > 10:
            shown[0] = time.monotonic()
            print(f"{what}: {messages:,} messages, all equal", file=sys.stderr)

    try:
        for most in (1, MOST_A_PACKET):
            began = time.monotonic()
            done = check_reference(market, options.messages, most, progress)
            took = time.monotonic() - began
            print(
                f"reference, 1..{most} messages a packet: {done.messages:,} messages in {done.packets:,} packets, "
                f"{done.depths:,} depths of {done.levels:,} levels equal (deepest side {done.deepest:,}, crossed "
                f"{done.crossed}), {took:.1f} s"
            )
        if options.swept:
            began = time.monotonic()
            done = check_swept(options.seed, options.swept, progress)
            print(
                f"swept books: {done.messages:,} messages, {done.depths:,} depths of {done.levels:,} levels equal, "
                f"{time.monotonic() - began:.1f} s"
            )
        for what, check, config, size in (
            ("model", check_model, market, options.model),
            ("meatpy", check_meatpy, small, options.meatpy),
        ):
            if size:
                began = time.monotonic()
                compared = check(config, size, progress)
                print(f"{what}: {compared:,} depths equal, {time.monotonic() - began:.1f} s")
    except Mismatch as wrong:
        print(f"book-check: {wrong}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the exchange of the lab sends: one tick after the other, packets at a rate, or a burst of an opening.

Every load is a `Script` with a `results.Load` that names it. In an open loop and in a burst latency counts from the
time that a packet was due: a responder, or a sender, that is slow with one pays for those behind it too (no coordinated
omission).
"""

from __future__ import annotations

from turbo_hft.errors import ConfigError
from turbo_hft.exchange.market import MarketConfig, MarketFlow
from turbo_hft.lab import LabAddresses
from turbo_hft.latency.results import Load
from turbo_hft.latency.script import Script, ScriptBuilder, add_order, delete_order
from turbo_hft.latency.threshold import Threshold
from turbo_hft.latency.work import Work

#: Messages a second of the fastest 100 ms of a real opening.
OPENING_RATE = 594_000
_FIRST_PRICE_E4 = 1_632_000
_ROUND_NS = 1_100_000  # on the feed's clock: below the 1,024 orders a second that a gate may be set to
_KEPT_SHARES = 100
_TOGETHER_NS = 100_000  # longest that a message waits for others to share its packet
_BACKGROUND = 512  # orders of the symbols that are kept, alive at a time


def one_symbol() -> Work:
    """For closed loops: one symbol, one decision."""
    return Work((Threshold(),))


def many_symbols(armed: int = 64, kept: int = 64) -> Work:
    """For open loops: an order under way in one symbol keeps none of the others waiting."""
    return Work(
        tuple(
            Threshold(symbol=f"TRG{number:03d}", buy_below_e4=_FIRST_PRICE_E4 + 10_000 * number)
            for number in range(armed)
        ),
        tuple(f"BGD{number:03d}" for number in range(kept)),
    )


def opening_work(symbols: int = 8_000, kept: int = 120, armed: int = 8) -> tuple[Work, MarketConfig]:
    """For bursts: of a generated market's symbols the most active ones are kept, the others cost their parse; some
    that are not of it have a decision."""
    market = MarketConfig(seed=9, symbols=symbols, live_orders=5 * symbols, opening=True, first_locate=armed + 1)
    flow = MarketFlow(market)
    return Work(many_symbols(armed, 0).armed, tuple(flow.symbol(rank).name for rank in range(kept))), market


def closed_loop(
    addresses: LabAddresses, *, rounds: int, warmup: int = 200, messages: int = 1, work: Work | None = None
) -> tuple[Load, Work, Script]:
    """A tick, its order, the tick's offer taken away; then the next. Warm caches and nobody asleep: the best case of
    every responder, and no headline."""
    work = work or one_symbol()
    builder = ScriptBuilder(addresses, work)
    for _ in range(warmup + rounds):
        tick, gone, trigger = builder.tick(0, _ROUND_NS)
        builder.packet(0, [tick], trigger, wait=True)
        builder.packet(0, [gone])
    load = Load("closed", 0, messages, "closed loop, back to back")
    return load, work, builder.done(warmup=warmup, closed=True)


def open_loop(
    addresses: LabAddresses,
    packets_per_s: int,
    *,
    seconds: float,
    messages: int = 1,
    every: int = 4,
    warmup: int = 100,
    work: Work | None = None,
) -> tuple[Load, Work, Script]:
    """Packets at equal distances; the last message of every `every`-th asks for an order, the symbols take turns.

    The other messages add to and take from the books of the symbols that are kept.
    """
    if packets_per_s < 1 or every < 2:
        raise ConfigError("an open loop has at least one packet a second, and asks for an order every second packet.")
    work = work or many_symbols()
    builder = ScriptBuilder(addresses, work)
    gone: list[tuple[int, bytes]] = []
    alive: list[bytes] = []
    kept = len(work.kept)
    asked = filled = 0
    for number in range(max(every, round(packets_per_s * seconds))):
        due_ns = number * 1_000_000_000 // packets_per_s
        body: list[bytes] = []
        trigger = None
        tick = b""
        if number % every == 0:
            symbol = asked % len(work.armed)
            tick, away, trigger = builder.tick(symbol, 1_000)
            gone.append((number + every // 2, away))
            asked += 1
        elif gone and gone[0][0] <= number:
            body.append(gone.pop(0)[1])
        while len(body) + bool(tick) < messages or not (body or tick):
            body.append(_background(builder, len(work.armed) + filled % kept, filled, alive))
            filled += 1
        if tick:
            body.append(tick)
        builder.packet(due_ns, body, trigger)
    rate = f"{packets_per_s:,} packets/s" + (f" of {messages} messages" if messages > 1 else "")
    return Load("open", packets_per_s, messages, f"open loop, {rate}"), work, builder.done(warmup=warmup, closed=False)


def _background(builder: ScriptBuilder, symbol: int, number: int, alive: list[bytes]) -> bytes:
    """An add or, once enough are alive, the delete of the oldest, in turns."""
    if len(alive) >= _BACKGROUND and number % 2:
        return alive.pop(0)
    ref, time_ns, locate = builder.next_ref(), builder.tick_time(500), builder.locate(symbol)
    side, price = ("B", 1_000_000 - number % 40 * 100) if number % 4 < 2 else ("S", 1_001_000 + number % 40 * 100)
    alive.append(delete_order(locate, time_ns, ref))
    return add_order(locate, time_ns, ref, side, _KEPT_SHARES, builder.stocks[symbol], price)


def opening_burst(
    addresses: LabAddresses,
    *,
    messages: int,
    seconds: float = 0.1,
    rate: int = OPENING_RATE,
    every_ns: int = 500_000,
    warmup: int = 8,
) -> tuple[Load, Work, Script]:
    """The opening's fastest 100 ms (WORKLOAD: 594,000 messages a second), a generated market in the mix of an opening,
    with its own gaps: more than half of the messages share their time stamp with another, and lie in one packet as far
    as `messages` allows. Every `every_ns` a tick asks for an order, as the last message of a packet.

    The books are there before: the prelude, and the orders that rest at the open.
    """
    work, config = opening_work()
    builder = ScriptBuilder(addresses, work, list_kept=False)
    flow = MarketFlow(config)
    before = list(flow.messages(0))
    burst = list(flow.messages(round(rate * seconds)))
    for at in range(0, len(before), 20):
        builder.packet((at // 20) * 20_000, before[at : at + 20])
    begin_ns = (len(before) // 20 + 1) * 20_000 + 20_000_000
    first = int.from_bytes(burst[0][5:11], "big")
    span = max(1, int.from_bytes(burst[-1][5:11], "big") - first)
    due = [(int.from_bytes(one[5:11], "big") - first) * round(seconds * 1e9) // span for one in burst]
    gone: list[tuple[int, bytes]] = []
    at, next_ns, asked = 0, 0, 0
    while at < len(burst):
        taken, size = 0, 200
        # What has one time stamp came together; a packet waits for nothing that is later.
        while at + taken < len(burst) and taken < messages - 1 + (messages == 1) and size < 1_400:
            if taken and due[at + taken] - due[at] > _TOGETHER_NS:
                break
            size += 2 + len(burst[at + taken])
            taken += 1
        body, due_ns = burst[at : at + taken], begin_ns + due[at + taken - 1]
        at += taken
        if messages == 1:
            builder.packet(due_ns, body)
            body = []
        if gone and gone[0][0] <= due_ns:
            body.append(gone.pop(0)[1])
            if messages == 1:
                builder.packet(due_ns, body)
                body = []
        trigger = None
        if due_ns - begin_ns >= next_ns:
            tick, away, trigger = builder.tick(asked % len(work.armed), 0)
            gone.append((due_ns + every_ns, away))
            body.append(tick)
            asked += 1
            next_ns += every_ns
        if body:
            builder.packet(due_ns, body, trigger)
    load = Load("burst", 0, messages, f"burst of an opening, {rate:,} messages/s, up to {messages} a packet")
    return load, work, builder.done(warmup=warmup, closed=False)

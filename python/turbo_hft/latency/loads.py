"""What the exchange of the lab sends: one tick after the other, packets at a rate, or a burst of an opening.

A `results.Load` names one, `prepare` makes the `Script` of it for the addresses of a rig. In an open loop and in a
burst latency counts from the time that a packet was due: a responder, or a sender, that is slow with one pays for those
behind it too (no coordinated omission).
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
CLOSED = Load("closed", 0, 1, "closed loop, back to back")
"""A tick, its order, the tick's offer taken away; then the next. Warm caches and nobody asleep: the best case of every
responder, and no headline."""

WARMUP = 200
"""Triggers that come first and count in no figure."""

_FIRST_PRICE_E4 = 1_632_000
EVERY = 4
"""Packets of an open loop from one trigger to the next."""

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


def open_loop(packets_per_s: int, messages: int = 1) -> Load:
    """Packets at equal distances; the last message of every fourth asks for an order, the symbols take turns. The other
    messages add to and take from the books of symbols that are kept."""
    rate = f"{packets_per_s:,} packets/s" + (f" of {messages} messages" if messages > 1 else "")
    return Load("open", packets_per_s, messages, f"open loop, {rate}")


def opening(messages: int) -> Load:
    """The fastest 100 ms of a real opening, with its gaps, up to so many messages a packet."""
    many = "1 message" if messages == 1 else f"up to {messages} messages"
    return Load("burst", 0, messages, f"burst of an opening, {OPENING_RATE:,} messages/s, {many} a packet")


def prepare(load: Load, addresses: LabAddresses, triggers: int, warmup: int = WARMUP) -> tuple[Work, Script]:
    """The work and the script of a load; a burst has as many triggers as it has. Raises ConfigError."""
    if load.kind == "closed":
        return _closed(addresses, triggers, warmup)
    if load.kind == "open":
        return _open(addresses, load.packets_per_s, load.messages_per_packet, triggers, warmup)
    return _burst(addresses, load.messages_per_packet)


def _closed(addresses: LabAddresses, rounds: int, warmup: int) -> tuple[Work, Script]:
    work = one_symbol()
    builder = ScriptBuilder(addresses, work)
    for _ in range(warmup + rounds):
        tick, gone, trigger = builder.tick(0, _ROUND_NS)
        builder.packet(0, [tick], trigger, wait=True)
        builder.packet(0, [gone])
    return work, builder.done(warmup=warmup, closed=True)


def _open(
    addresses: LabAddresses, packets_per_s: int, messages: int, triggers: int, warmup: int
) -> tuple[Work, Script]:
    if packets_per_s < 1:
        raise ConfigError(f"{packets_per_s} packets a second: an open loop has at least one.")
    work = many_symbols()
    builder = ScriptBuilder(addresses, work)
    gone: list[tuple[int, bytes]] = []
    alive: list[bytes] = []
    asked = filled = 0
    for number in range(EVERY * (warmup + triggers)):
        body: list[bytes] = []
        trigger, tick = None, b""
        if number % EVERY == 0:
            tick, away, trigger = builder.tick(asked % len(work.armed), 1_000)
            gone.append((number + EVERY // 2, away))
            asked += 1
        elif gone and gone[0][0] <= number:
            body.append(gone.pop(0)[1])
        while len(body) + bool(tick) < messages or not (body or tick):
            body.append(_background(builder, len(work.armed) + filled % len(work.kept), filled, alive))
            filled += 1
        if tick:
            body.append(tick)
        builder.packet(number * 1_000_000_000 // packets_per_s, body, trigger)
    return work, builder.done(warmup=warmup, closed=False)


def _background(builder: ScriptBuilder, symbol: int, number: int, alive: list[bytes]) -> bytes:
    """An add or, once enough are alive, the delete of the oldest, in turns."""
    if len(alive) >= _BACKGROUND and number % 2:
        return alive.pop(0)
    ref, time_ns, locate = builder.next_ref(), builder.tick_time(500), builder.locate(symbol)
    side, price = ("B", 1_000_000 - number % 40 * 100) if number % 4 < 2 else ("S", 1_001_000 + number % 40 * 100)
    alive.append(delete_order(locate, time_ns, ref))
    return add_order(locate, time_ns, ref, side, _KEPT_SHARES, builder.stocks[symbol], price)


def _burst(
    addresses: LabAddresses,
    messages: int,
    *,
    seconds: float = 0.1,
    rate: int = OPENING_RATE,
    every_ns: int = 250_000,
    warmup: int = 8,
) -> tuple[Work, Script]:
    """WORKLOAD: 594,000 messages a second over 100 ms. A generated market in the mix of an opening, with its own gaps:
    more than half of the messages share their time stamp with another, and lie in one packet as far as `messages`
    allows. Every `every_ns` a tick asks for an order, as the last message of a packet. The books are there before.
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
    return work, builder.done(warmup=warmup, closed=False)

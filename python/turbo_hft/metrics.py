"""Metrics of an engine for Prometheus: one table of names, types, help and labels, and what it gives of one engine.

What is measured is JSON-ready, so that it can come from another process (`measure`); `dashboard.web.exposition` puts it
into text for a scraper, with what the server counts of itself. docs/metrics.md is written from the tables (`make
docs`). Every label has a bound: most take values of an enum of the contract, `symbol` at most so many names as is asked
for. Base units: seconds, dollars, shares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import sub
from typing import Any, Generic, Literal, Protocol, TypeVar

from turbo_hft import abi
from turbo_hft.dashboard.collector import account_limits
from turbo_hft.dashboard.source import EngineSource, HistogramSource, SymbolState

MOST_SYMBOLS = 50
PREFIX = "turbo_hft_"
_E4, _E8, _NS = 1e4, 1e8, 1e9
_KILL = ("active", "reducing", "halted")

# What a label can be, and how many values it has at most.
LABELS = {
    "version": "of the package: 1",
    "abi": "of the contract between program and package: 1",
    "state": f"{', '.join(_KILL)}: 3",
    "health": "of a feed, of order entry or of books, by enum hft_feed_health, hft_session_health, or as `turbo-hft "
    "status` counts books: at most 10",
    "reason": "the gate's, by enum hft_reason: 38",
    "type": "of an ITCH message: 23",
    "feed": "number: at most 8",
    "line": "a, b, rerequest: 3",
    "limit": "max_gross, max_net, max_loss, max_open_orders: 4",
    "strategy": "by enum hft_strategy: 6",
    "kind": "why a request did not pass: host, origin, site, token, role, csrf, rate, input: 8",
    "symbol": f"symbols that have a target, a position or orders, the first {MOST_SYMBOLS} of them unless `serve "
    "--metrics-symbols` says otherwise; turbo_hft_symbols_omitted says how many were left out",
}


class MetricsSource(EngineSource, Protocol):
    """What the metrics read of an engine besides what the view does."""

    def itch_counts(self) -> Mapping[str, int]: ...

    def cancels_handed(self) -> tuple[int, int]: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """An engine at one moment. `omitted`: active symbols that are not among `symbols`."""

    engine: MetricsSource
    counters: Mapping[str, int]
    symbols: tuple[SymbolState, ...]
    omitted: int

    @classmethod
    def of(cls, engine: MetricsSource, most_symbols: int = MOST_SYMBOLS) -> Reading:
        """Read."""
        active = [symbol for symbol in engine.symbols if symbol.active]
        shown = tuple(symbol.snapshot() for symbol in active[:most_symbols])
        return cls(engine, engine.counters(), shown, len(active) - len(shown))


Kind = Literal["counter", "gauge", "histogram"]
Source = TypeVar("Source")
# Label values in the order of the metric's labels, and the value; of a histogram the upper bound in seconds ("+Inf" is
# the last), and how many are not above it.
Sample = tuple[tuple[str, ...], float]
# Name of a metric -> its samples, JSON-ready: [label values, value], where None is infinitely much.
Measured = Mapping[str, Sequence[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class Metric(Generic[Source]):
    """One row of a table. `read` gives its samples."""

    name: str
    kind: Kind
    help: str
    read: Callable[[Source], Iterable[Sample]]
    labels: tuple[str, ...] = ()


def _one(read: Callable[[MetricsSource], float]) -> Callable[[Reading], Iterable[Sample]]:
    return lambda reading: [((), float(read(reading.engine)))]


def _each(read: Callable[[MetricsSource], Mapping[str, int]]) -> Callable[[Reading], Iterable[Sample]]:
    return lambda reading: [((name,), float(value)) for name, value in read(reading.engine).items()]


def _states(now: str, of: Iterable[str], *before: str) -> list[Sample]:
    return [((*before, state), float(state == now)) for state in of]


def _symbol(read: Callable[[SymbolState], float | None]) -> Callable[[Reading], Iterable[Sample]]:
    def samples(reading: Reading) -> Iterator[Sample]:
        for state in reading.symbols:
            value = read(state)
            if value is not None:
                yield (state.name,), float(value)

    return samples


def _strategy(read: Callable[[Any], float]) -> Callable[[Reading], Iterable[Sample]]:
    return lambda reading: [((each.name,), float(read(each))) for each in reading.engine.strategies]


def _names(enum: str, prefix: str) -> list[str]:
    return list(abi.names(enum, prefix).values())


def _feeds(reading: Reading) -> list[tuple[str, Any]]:
    feeds = enumerate(reading.engine.feeds)
    return [(str(number), feed) for number, feed in feeds if number == 0 or feed.health != "idle"]


def _feed_health(reading: Reading) -> Iterable[Sample]:
    names = _names("hft_feed_health", "HFT_FEED_")
    return [sample for number, feed in _feeds(reading) for sample in _states(feed.health, names, number)]


def _session_health(reading: Reading) -> Iterable[Sample]:
    return _states(reading.engine.session.health, _names("hft_session_health", "HFT_SESSION_"))


def _lines(reading: Reading) -> Iterable[Sample]:
    return [
        ((number, line), float(count))
        for number, feed in _feeds(reading)
        for line, count in zip(("a", "b", "rerequest"), feed.first, strict=False)
    ]


def _limits_used(reading: Reading) -> Iterable[Sample]:
    """As the gate counts. 0 of a limit of 0 that nothing is used of; something used of it is infinitely much."""
    for use in account_limits(reading.engine):
        yield (use.name,), use.used / use.limit if use.limit else (math.inf if use.used else 0.0)


def _buckets(histogram: HistogramSource) -> Iterator[Sample]:
    """Cumulative. Times are whole nanoseconds, so what is below 2^(i+1) ns is at most 2^(i+1) - 1."""
    counted, last = 0, len(histogram.buckets) - 1
    for exponent, count in enumerate(histogram.buckets):
        counted += count
        yield ("+Inf" if exponent == last else repr((2 ** (exponent + 1) - 1) / _NS),), float(counted)


# Counters of the hook (abi.h, enum hft_counter), each a metric of its own: turbo_hft_NAME_total.
HOOK_COUNTERS = {
    "frames": "Frames that met the program.",
    "not_ours": "Frames passed untouched: no flow matches, or not IPv4 and UDP.",
    "fragments": "IPv4 fragments, passed.",
    "truncated": "Frames shorter than their own headers say, passed.",
    "bad_checksum": "Frames of ours with a wrong checksum, nothing applied.",
    "wrong_peer": "Frames to our address not from the peer that the flow names.",
    "contended": "Frames passed unhandled because another CPU stayed inside the engine.",
    "feed_packets": "Packets of the feeds.",
    "feed_malformed": "Feed packets whose block lengths do not add up.",
    "feed_messages": "Feed messages handled, once each, in order.",
    "feed_heartbeats": "Heartbeats of the feeds.",
    "feed_end_of_session": "Ends of a feed's session.",
    "feed_duplicates": "Feed messages below the expected sequence or kept already, skipped.",
    "feed_holds": "Times something was missing in a feed.",
    "feed_gaps": "Times something stayed missing for longer than the hold.",
    "feed_kept": "Feed messages kept because an earlier one was missing.",
    "feed_not_kept": "Feed messages too far ahead to be kept.",
    "feed_missed": "Feed messages given up.",
    "feed_second_cpu": "Feed packets on another CPU than the one before.",
    "feed_rollovers": "New sessions of the feeds.",
    "feed_wrong_session": "Feed packets of another session, passed.",
    "itch_unknown_type": "ITCH messages of an unknown type.",
    "itch_bad_length": "ITCH messages of a wrong length.",
    "itch_bad_field": "ITCH messages with a field that cannot be.",
    "book_untracked": "Book messages of symbols nobody asked for.",
    "book_unknown_ref": "Book messages about an order never added.",
    "book_duplicate_ref": "Orders added under a reference that is live.",
    "book_over_reduce": "Book messages that take more shares than the order has.",
    "book_full": "Orders for which a book table had no place.",
    "book_crossed": "Books crossed for too long.",
    "book_kept": "Messages of quarantined symbols, kept.",
    "book_quarantines": "Symbols put into quarantine.",
    "book_restores": "Symbols taken out of it.",
    "commands": "Commands of user space done.",
    "commands_refused": "Commands of user space refused.",
    "signals": "Times a strategy was asked.",
    "intents": "Orders, replacements and cancels that strategies wanted.",
    "shadow_signals": "Times a strategy in shadow was asked.",
    "shadow_intents": "What strategies in shadow wanted.",
    "triggers_dropped": "Triggers and intents of one packet above the bound.",
    "wait_in_flight": "Times a condition held while an order of the symbol was open.",
    "wait_limit": "Times a condition held and the position limits left no room.",
    "orders": "Orders that left, replacements included.",
    "cancels": "Cancels that left, or were handed to user space to be sent.",
    "order_frames": "Datagrams they left in.",
    "reply_packets": "Packets of order entry.",
    "reply_malformed": "Order-entry packets that could not be read.",
    "reply_duplicates": "Replies below the expected sequence, skipped.",
    "reply_gaps": "Replies above the expected sequence, to be asked for again.",
    "reply_control": "Login answers and ends of session.",
    "reply_wrong_session": "Login answers under another session's name.",
    "reply_unknown_ref": "Replies for an order or execution we do not know.",
    "reply_unhandled": "Replies that the engine does not act upon.",
    "reply_bad_length": "Replies of a wrong length.",
    "reply_bad_state": "Replies that the order's state does not allow.",
    "events": "Events written to the ring.",
    "events_lost": "Events that did not fit into the ring.",
    "wire_packets": "Segments of the TCP connection of order entry that came in.",
    "wire_sends": "Segments with orders that the hook sent on it.",
    "wire_acks_held": "Acknowledgements cut down to what the kernel's connection knew of.",
    "wire_closes": "FIN or RST of the exchange.",
    "wire_replies": "Replies that the hook took from the stream itself.",
    "wire_replies_left": "Segments whose replies it left to user space: split, out of order, or the engine was busy.",
}


def _hook_counter(name: str, text: str) -> Metric[Reading]:
    return _counter(name, text, lambda reading: [((), float(reading.counters[name]))])


def _gauge(name: str, text: str, read: Callable[[Reading], Iterable[Sample]], *labels: str) -> Metric[Reading]:
    return Metric(f"{PREFIX}{name}", "gauge", text, read, labels)


def _counter(name: str, text: str, read: Callable[[Reading], Iterable[Sample]], *labels: str) -> Metric[Reading]:
    return Metric(f"{PREFIX}{name}_total", "counter", text, read, labels)


def _histogram(name: str, text: str, kind: str) -> Metric[Reading]:
    return Metric(f"{PREFIX}{name}_seconds", "histogram", text, lambda reading: _buckets(reading.engine.latency(kind)))


TABLE: tuple[Metric[Reading], ...] = (
    _gauge("attached", "1 if the program is on the interface's hook.", _one(lambda engine: engine.attached)),
    _gauge("configured", "1 if the engine knows its feed and session.", _one(lambda engine: engine.configured)),
    _gauge("state", "The kill switch of all orders: 1 for the state it is in, 0 for the others.",
           lambda reading: _states(reading.engine.state, _KILL), "state"),
    _gauge("lease_left_seconds", "Seconds that orders may go on leaving if nobody renews the lease; +Inf: for ever.",
           _one(lambda engine: engine.lease.left_s)),
    _gauge("epoch", "Number of the settings in force; every change raises it.", _one(lambda engine: engine.epoch)),
    _gauge("loss_latched", "1 if the day's loss of all symbols has reached its limit.",
           _one(lambda engine: engine.account.loss_latched)),
    *(_hook_counter(name, text) for name, text in HOOK_COUNTERS.items()),
    _counter("wire_cancels_handed", "Segments of cancels that the hook could not send on the TCP connection, and "
             "handed to user space.", _one(lambda engine: engine.cancels_handed()[0])),
    _gauge("wire_cancels_waiting", "Of those, how many user space has not sent yet.",
           _one(lambda engine: sub(*engine.cancels_handed()))),
    _counter("refused_orders", "Orders that the risk gate refused.", _each(lambda engine: engine.refusals()), "reason"),
    _counter("itch_messages", "ITCH messages handled.", _each(lambda engine: engine.itch_counts()), "type"),
    _histogram("order_latency", "From packet entry to the finished order frame; the hook keeps no sum.", "order"),
    _histogram("refusal_latency", "From packet entry to the last refusal of a packet that sent nothing; no sum.",
               "refused"),
    _gauge("feed_health", "1 for the health a feed is in, 0 for the others.", _feed_health, "feed", "health"),
    _gauge("feed_expected_sequence", "Number of the next message of a feed.",
           lambda reading: [((number,), float(feed.expected_seq)) for number, feed in _feeds(reading)], "feed"),
    _gauge("feed_missing_messages", "Messages that a feed waits for now.",
           lambda reading: [((number,), float(feed.missing if feed.health in ("hold", "gap") else 0))
                            for number, feed in _feeds(reading)], "feed"),
    _counter("feed_first_messages", "Messages that came first by this line.", _lines, "feed", "line"),
    _gauge("session_health", "1 for the health that order entry is in, 0 for the others.", _session_health, "health"),
    _gauge("session_missing_replies", "Replies that were announced and have not been seen.",
           _one(lambda engine: max(0, engine.session.highest_seq - engine.session.expected_seq))),
    _gauge("session_next_user_ref", "UserRefNum of the next order.", _one(lambda engine: engine.session.next_user_ref)),
    _gauge("pnl_dollars", "Profit and loss of the day, realized and unrealized, less fees.",
           _one(lambda engine: engine.account.pnl_e4 / _E4)),
    _gauge("fees_dollars", "Fees of the day; negative if more was received.",
           _one(lambda engine: engine.account.fees_e8 / _E8)),
    _gauge("gross_exposure_dollars", "Sum of the sizes of all positions.",
           _one(lambda engine: engine.account.gross_e4 / _E4)),
    _gauge("net_exposure_dollars", "Sum of all positions, long less short.",
           _one(lambda engine: engine.account.net_e4 / _E4)),
    _gauge("open_orders", "Orders at the exchange or on their way.", _one(lambda engine: engine.account.open_orders)),
    _gauge("limit_used_ratio", "Part of a limit of all orders that is used; 1 = all of it.", _limits_used, "limit"),
    _gauge("strategy_state", "The kill switch of a strategy: 1 for the state it is in, 0 for the others.",
           lambda reading: [sample for each in reading.engine.strategies
                            for sample in _states(each.state, _KILL, each.name)], "strategy", "state"),
    _counter("strategy_orders", "Orders of a strategy that left.", _strategy(lambda each: each.orders_sent),
             "strategy"),
    _gauge("strategy_open_orders", "Open orders of a strategy.", _strategy(lambda each: each.open_orders), "strategy"),
    _gauge("strategy_executions", "Executions of a strategy since it was last rearmed.",
           _strategy(lambda each: each.executions), "strategy"),
    _gauge("strategy_latched", "1 if a strategy has reached its limit of executions.",
           _strategy(lambda each: each.latched), "strategy"),
    _gauge("books", "Books by state of health.", _each(lambda engine: engine.symbols.health()), "health"),
    _gauge("symbols_tracked", "Symbols whose book is kept.", _one(lambda engine: len(engine.symbols))),
    _gauge("symbols_omitted", "Active symbols without series of their own, because there are too many.",
           lambda reading: [((), float(reading.omitted))]),
    _gauge("symbol_position_shares", "Shares held; negative: short.", _symbol(lambda state: state.position), "symbol"),
    _gauge("symbol_pnl_dollars", "Profit and loss of the day in a symbol, less fees.",
           _symbol(lambda state: state.pnl_e4 / _E4), "symbol"),
    _gauge("symbol_bid_dollars", "Best bid; none while there is none.",
           _symbol(lambda state: state.bid_e4 / _E4 if state.bid_e4 else None), "symbol"),
    _gauge("symbol_ask_dollars", "Best offer; none while there is none.",
           _symbol(lambda state: state.ask_e4 / _E4 if state.ask_e4 else None), "symbol"),
    _gauge("symbol_open_orders", "Open orders in a symbol.", _symbol(lambda state: state.open_orders), "symbol"),
    _counter("symbol_orders", "Orders in a symbol that left.", _symbol(lambda state: state.orders_sent), "symbol"),
    _gauge("symbol_fills", "Executions in a symbol, less broken trades.", _symbol(lambda state: state.fills), "symbol"),
    _gauge("symbol_book_good", "1 if a symbol's book can be traded on, 0 if it is in doubt.",
           _symbol(lambda state: state.health == "ok"), "symbol"),
    _gauge("symbol_loss_latched", "1 if the day's loss in a symbol has reached its limit.",
           _symbol(lambda state: state.loss_latched), "symbol"),
)  # fmt: skip


def measure(engine: MetricsSource, most_symbols: int = MOST_SYMBOLS) -> Measured:
    """All metrics of an engine; of single symbols those of the first `most_symbols` that are active."""
    reading = Reading.of(engine, most_symbols)
    return {metric.name: [[list(labels), _finite(value)] for labels, value in metric.read(reading)] for metric in TABLE}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

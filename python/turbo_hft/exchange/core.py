"""The whole exchange without its sockets: datagrams, bytes of streams and a clock in, packets, datagrams and bytes out.

Phases: *waiting* (for a login, if asked to, and the start delay), *running* (the feed steps when it is due),
*rolling* (one session of the feed says its closing messages and its end; then the next one begins, running),
*lingering* (the feed is finished; the market stays open for half the linger time, so that orders in flight meet
it), *closed* (open orders canceled, closing messages and end-of-session packets out, late orders rejected; the other
half) and *ended*. All `monotonic_ns` are CLOCK_MONOTONIC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path

from turbo_hft.errors import ExchangeError
from turbo_hft.exchange.accounts import Accounts
from turbo_hft.exchange.audit import AuditLog
from turbo_hft.exchange.client import Address
from turbo_hft.exchange.clock import MARKET_OPEN_NS, DayClock
from turbo_hft.exchange.config import ExchangeConfig
from turbo_hft.exchange.desk import Desk
from turbo_hft.exchange.feed import Feed, FlowFeed, QuietFeed, RestartableFeed
from turbo_hft.exchange.flow import RandomFlow
from turbo_hft.exchange.halts import Halts
from turbo_hft.exchange.history import History, following_name
from turbo_hft.exchange.itch_publisher import ItchPublisher
from turbo_hft.exchange.ledger import Ledger, LedgerEntry
from turbo_hft.exchange.matching import MatchingEngine
from turbo_hft.exchange.order_entry import UfoPort
from turbo_hft.exchange.order_faults import Mishaps
from turbo_hft.exchange.order_link import Datagram, OrderLink
from turbo_hft.exchange.ouch42_dialect import Ouch42Dialect
from turbo_hft.exchange.ouch50_dialect import Ouch50Dialect
from turbo_hft.exchange.outages import Outages
from turbo_hft.exchange.recording import MessageRecord
from turbo_hft.exchange.replay import ReplayFeed, ReplayVenue
from turbo_hft.exchange.soup_conversation import OrderConversation, SoupRules
from turbo_hft.exchange.soup_port import SoupPort
from turbo_hft.exchange.stream_faults import Conversation, LateConversation
from turbo_hft.exchange.venue import LiveVenue, Venue

SECOND_NS = 1_000_000_000
END_PACKETS = 3

Reply = tuple[str, Address, bytes]


class Phase(Enum):
    """Where the session stands."""

    WAITING = "waiting"
    RUNNING = "running"
    ROLLING = "rolling"
    LINGERING = "lingering"
    CLOSED = "closed"
    ENDED = "ended"


class ExchangeCore:
    """One session. Port names are `ouch50` and `ouch42`: in `ports` over UFO, in `soup` over SoupBinTCP."""

    def __init__(self, config: ExchangeConfig) -> None:
        self.config = config
        self.phase = Phase.WAITING
        self.ended_by = ""
        self.publisher = ItchPublisher(config.session, config.messages_per_packet)
        self.ledger = Ledger(self._log_ledger, config.fees_e8)
        duration_ns = None if config.duration_s is None else int(config.duration_s * SECOND_NS)
        self.venue: Venue
        self.feed: Feed
        halts: Halts | None = None
        if config.follows:
            self.clock = DayClock(0)  # stands at the newest replayed message
            replay = ReplayVenue()
            self.venue = replay
            self.feed = ReplayFeed(
                _source(config), replay, self.publisher, self.clock, speed=config.speed, duration_ns=duration_ns
            )
        else:
            self.clock = DayClock(MARKET_OPEN_NS)
            engine = MatchingEngine(config.symbols)
            self.venue = LiveVenue(engine, self.publisher)
            halts = Halts(self.publisher, self.clock, config.halts, config.restrictions)
            if config.rate:
                flow = RandomFlow(
                    engine, seed=config.seed, rate=config.rate, burst=config.burst, prices_e4=config.prices_e4
                )
                self.feed = FlowFeed(engine, flow, self.publisher, self.clock, duration_ns, halts)
            else:
                self.feed = QuietFeed(engine, self.publisher, self.clock, duration_ns, halts)
        self.mishaps = Mishaps(config.order_faults, f"{config.seed} orders")
        self.desk = Desk(self.venue, self.ledger, mishaps=self.mishaps, halts=halts, log=self._log)
        if halts is not None:
            halts.on_change = self.desk.on_state
        self.accounts = {
            dialect.name: Accounts(dialect, config.accounts, config.session)
            for dialect in (Ouch50Dialect(self.desk), Ouch42Dialect(self.desk))
        }
        self.ports = {name: UfoPort(accounts, self._log) for name, accounts in self.accounts.items()}
        rules = SoupRules(
            silence_ns=int(config.client_timeout_s * SECOND_NS),
            backlog_bytes=config.backlog_bytes,
            cancel_on_disconnect=config.cancel_on_disconnect,
            faults=config.stream_faults,
        )
        self.soup = {
            name: SoupPort(accounts, self.desk, rules, self._log, self._arrived)
            for name, accounts in self.accounts.items()
        }
        self._connections = 0
        self.links = {
            name: OrderLink(config.faults_orders, config.faults_replies, f"{config.seed} {name}") for name in self.ports
        }
        self.outages = Outages(config.silences_s, config.drops_s)
        self.history = History(
            config.session,
            keep=config.rerequest_keep,
            stores=config.rerequest_port is not None,
            mirrors=config.glimpse_port is not None,
        )
        self.audit = AuditLog(config.log)
        self.record = None if config.record is None else MessageRecord(config.record)
        self._arrival_ns = 0
        self._created_ns: int | None = None
        self._ready_ns: int | None = None
        self._started_ns = 0
        self._last_packet_ns = 0
        self._deadline_ns = 0
        self._end_packets = 0

    def on_upstream(self, port: str, address: Address, datagram: bytes, monotonic_ns: int) -> list[Reply]:
        """Handle a client's datagram; all datagrams to send now, other clients' included."""
        self._arrival_ns = monotonic_ns
        if self._silent(monotonic_ns):
            self.outages.unheard += 1
            return []
        self._receive(port, self.links[port].arrive(address, datagram, monotonic_ns), monotonic_ns)
        return self.replies(monotonic_ns)

    def connect(self, port: str, peer: Address, monotonic_ns: int) -> Conversation:
        """Somebody has connected to a port of `soup`."""
        conversation: OrderConversation = self.soup[port].connect(peer, monotonic_ns)
        orders_ns, replies_ns = self.config.faults_orders.delay_ns, self.config.faults_replies.delay_ns
        hold_ns = self.config.stream_faults.hold_ns
        if orders_ns == replies_ns == (0, 0) and not hold_ns:
            return conversation
        self._connections += 1
        seed = f"{self.config.seed} {port} {self._connections}"
        return LateConversation(conversation, orders_ns, replies_ns, hold_ns, seed)

    def hears(self, monotonic_ns: int) -> bool:
        """Are streams read now?"""
        if not self._has_started:
            return True
        elapsed_ns = monotonic_ns - self._started_ns
        return not (self.outages.silent(elapsed_ns) or self.config.stream_faults.stalled(elapsed_ns))

    def speaks(self, monotonic_ns: int) -> bool:
        """Are streams written to now?"""
        return not self._silent(monotonic_ns)

    def replies(self, monotonic_ns: int) -> list[Reply]:
        """Datagrams that wait to be sent: replies to what the feed did, heartbeats, end of session."""
        if self._silent(monotonic_ns):
            return []
        self._drop_sessions(monotonic_ns)
        out: list[Reply] = []
        for name, port in self.ports.items():
            link = self.links[name]
            if self.phase is not Phase.ENDED:
                self._receive(name, link.overdue(monotonic_ns), monotonic_ns)
                port.heartbeat(monotonic_ns)
            datagrams = link.depart(port.drain(monotonic_ns), monotonic_ns)
            if self.phase is Phase.ENDED:
                datagrams += link.rest()
            out += [(name, address, datagram) for address, datagram in datagrams]
        return out

    def tick(self, monotonic_ns: int) -> list[bytes]:
        """All packets of the feed that are due."""
        packets: list[bytes] = []
        while (packet := self.next_packet(monotonic_ns)) is not None:
            packets.append(packet)
        self.settle()
        return packets

    def settle(self) -> None:
        """File what was published since the last call: for re-requests, snapshots and the record.

        Apart from `next_packet`, so that it need not stand between a packet and the orders it causes.
        """
        fresh = self.publisher.take_fresh()
        if fresh:
            self.history.add(fresh)
            if self.record is not None:
                self.record.add(fresh)

    def close(self) -> None:
        """Write the files to their ends and close them, whatever happened before."""
        try:
            self.audit.close()
        finally:
            if self.record is not None:
                self.settle()
                self.record.close()

    def next_packet(self, monotonic_ns: int) -> bytes | None:
        """Move the session on; the next packet of the feed, or None when nothing is due.

        Between two packets the caller must hand in the orders that have arrived: one that was caused by a packet is
        then handled before the market moves on. Errors: ExchangeError when nobody logged in in time.
        """
        self._arrival_ns = monotonic_ns
        if self.phase is Phase.WAITING and not self._begin(monotonic_ns):
            return None
        if self.phase is Phase.RUNNING:
            self._run(monotonic_ns)
        if self.phase is Phase.LINGERING:
            self._catch_up(monotonic_ns)
            if monotonic_ns >= self._deadline_ns and not self.publisher.waiting:
                self._close(monotonic_ns)
        packet = self.publisher.next_packet()
        if packet is None and self.phase is Phase.ROLLING:
            packet = self._roll(monotonic_ns)
        if packet is None and self.phase is Phase.CLOSED:
            packet = self._end_packet(monotonic_ns)
        if packet is None and self.phase in (Phase.RUNNING, Phase.LINGERING):
            if monotonic_ns - self._last_packet_ns < SECOND_NS:
                return None
            packet = self.publisher.heartbeat()
        if packet is not None:
            self._last_packet_ns = monotonic_ns
        return packet

    def stop(self, monotonic_ns: int, reason: str) -> None:
        """Close the market now. Called again: end at once."""
        if self.phase is Phase.WAITING:
            self.ended_by = reason
            self._end(monotonic_ns)
        elif self.phase in (Phase.RUNNING, Phase.LINGERING):
            self.ended_by = reason
            self._close(monotonic_ns)
        elif self.phase is Phase.ROLLING:
            self.ended_by = reason
            self._closed(monotonic_ns)
        elif self.phase is Phase.CLOSED:
            self._deadline_ns = monotonic_ns

    def idle_ns(self, monotonic_ns: int) -> int:
        """For how long nothing of the feed or of a link will be due, if no order comes."""
        if self.publisher.waiting or self.phase is Phase.ROLLING:
            return 0
        idle = SECOND_NS // 100
        if self.phase is Phase.RUNNING:
            due = self.feed.due_ns()
            idle = 0 if due is None else max(0, self._started_ns + due - monotonic_ns)
        for link in self.links.values():
            if link.next_due_ns is not None:
                idle = min(idle, max(0, link.next_due_ns - monotonic_ns))
        return idle

    def summary(self) -> dict[str, object]:
        """Totals of the session, JSON-ready."""
        by_type, config = self.publisher.by_type, self.config
        return {
            "session": config.session,
            "mode": "market" if config.market is not None else "flow" if config.replay is None else "replay",
            "seed": config.market.seed if config.market is not None else None if config.follows else config.seed,
            "ended_by": self.ended_by,
            "feed": {
                "packets": self.publisher.packets,
                "heartbeats": self.publisher.heartbeats,
                "messages": sum(by_type.values()),
                "last_sequence": self.publisher.last_sequence,
                "by_type": dict(sorted(by_type.items())),
            },
            "sessions": [{"name": each.name, "messages": each.messages} for each in self.history.sessions],
            "order_entry": {name: dict(sorted(port.count.items())) for name, port in self.ports.items()},
            "order_links": {name: link.counters() for name, link in self.links.items()},
            "soupbintcp": {name: port.counters() for name, port in self.soup.items()},
            "replies": {name: accounts.replies_by_type() for name, accounts in self.accounts.items()},
            "order_events": dict(sorted(self.mishaps.count.items())),
            "unheard": self.outages.unheard,
            "accounts": self.ledger.as_dict(),
            "books": self._books(),
        }

    def _books(self) -> dict[str, dict[str, int]]:
        return {symbol: self.venue.best(symbol) for symbol in sorted(self._shown_symbols())}

    def _shown_symbols(self) -> Iterable[str]:
        """Of a market, which has thousands, those that somebody named or traded."""
        if not isinstance(self.venue, ReplayVenue):
            return self.config.symbols
        books = self.venue.mirror.books
        if self.config.market is None:
            return books
        traded = {symbol for positions in self.ledger.positions.values() for symbol in positions}
        return traded.union(self.config.market.names).intersection(books)

    def _begin(self, monotonic_ns: int) -> bool:
        if self._created_ns is None:
            self._created_ns = monotonic_ns
        if self._ready_ns is None:
            if self.config.wait_for_login and not self._logged_in:
                if monotonic_ns - self._created_ns > self.config.login_timeout_s * SECOND_NS:
                    raise ExchangeError(
                        f"no client logged in within {self.config.login_timeout_s} s: start the client, raise "
                        "--login-timeout, or give --no-wait-for-login"
                    )
                return False
            self._ready_ns = monotonic_ns
        if monotonic_ns - self._ready_ns < self.config.start_delay_s * SECOND_NS:
            return False
        self._started_ns = self._last_packet_ns = monotonic_ns
        if not self.config.follows:
            self.clock.begin(monotonic_ns)
        self.feed.open()
        self.desk.is_open = True
        self.phase = Phase.RUNNING
        return True

    def _run(self, monotonic_ns: int) -> None:
        elapsed = monotonic_ns - self._started_ns
        while not self.publisher.full:
            if self._must_roll:
                self._close_session()
                return
            due = self.feed.due_ns()
            if due is None:
                if not self.publisher.waiting:
                    self.ended_by = "end of feed"
                    self.phase = Phase.LINGERING
                    self._deadline_ns = monotonic_ns + self._half_linger_ns
                return
            if due > elapsed:
                break
            self.desk.deliver(self.feed.step(), self.clock.latest)
        self._catch_up(monotonic_ns)

    def _catch_up(self, monotonic_ns: int) -> None:
        if self.desk.has_due(self.clock.read(monotonic_ns)):
            self.desk.catch_up(self.clock.wall(monotonic_ns))

    def _receive(self, port: str, datagrams: list[Datagram], monotonic_ns: int) -> None:
        for address, datagram in datagrams:
            self.ports[port].receive(address, datagram, self.clock.wall(monotonic_ns), monotonic_ns)

    def _arrived(self, monotonic_ns: int) -> int:
        """Something came over a stream; what time of the day it is."""
        self._arrival_ns = monotonic_ns
        return self.clock.wall(monotonic_ns)

    def _silent(self, monotonic_ns: int) -> bool:
        return self._has_started and self.outages.silent(monotonic_ns - self._started_ns)

    def _drop_sessions(self, monotonic_ns: int) -> None:
        while self._has_started and self.outages.take_drop(monotonic_ns - self._started_ns):
            for port in self.ports.values():
                port.drop()
            for streams in self.soup.values():
                streams.drop(monotonic_ns)

    @property
    def _logged_in(self) -> bool:
        return any(port.logged_in for port in self.ports.values()) or any(port.logged_in for port in self.soup.values())

    @property
    def _has_started(self) -> bool:
        return self.phase is not Phase.WAITING

    @property
    def _must_roll(self) -> bool:
        limit = self.config.rollover_after
        # Judged by what was made, not by what has left: so a seed gives the same sessions whatever the packets are.
        return (
            limit is not None
            and len(self.history.sessions) == 1
            and self.publisher.last_sequence + self.publisher.waiting >= limit
        )

    def _close_session(self) -> None:
        now_ns = self.clock.latest  # not the wall's: the closing messages too are the same for a seed
        self.desk.close(now_ns)
        self.feed.close(now_ns)
        self.phase = Phase.ROLLING

    def _roll(self, monotonic_ns: int) -> bytes | None:
        """The old session's end, said at once as often as at the close of the day; then the new one's first packet."""
        if self._end_packets < END_PACKETS:
            self._end_packets += 1
            return self.publisher.end_of_session()
        self.settle()
        self._end_packets = 0
        name = following_name(self.publisher.session)
        self.publisher.begin_session(name)
        self.history.begin(name)
        self._log("session", session=name)
        assert isinstance(self.feed, RestartableFeed)  # the configuration allows a rollover of no other
        self.feed.restart()
        self.desk.is_open = True
        self.phase = Phase.RUNNING
        self._run(monotonic_ns)
        return self.publisher.next_packet()

    def _close(self, monotonic_ns: int) -> None:
        now_ns = self.clock.latest
        self.desk.close(now_ns)
        self.feed.close(now_ns)
        self._closed(monotonic_ns)

    def _closed(self, monotonic_ns: int) -> None:
        for accounts in self.accounts.values():
            accounts.announce("E", self.clock.latest)
        self.phase = Phase.CLOSED
        self._deadline_ns = monotonic_ns + self._half_linger_ns

    def _end_packet(self, monotonic_ns: int) -> bytes | None:
        """End of session is said several times, spread over what is left of the linger time: a packet may be lost."""
        left = self._deadline_ns - monotonic_ns
        wanted = (
            END_PACKETS
            if left <= 0
            else 1 + (END_PACKETS - 1) * (self._half_linger_ns - left) // max(self._half_linger_ns, 1)
        )
        if self._end_packets < wanted:
            self._end_packets += 1
            return self.publisher.end_of_session()
        if left <= 0:
            self._end(monotonic_ns)
        return None

    def _end(self, monotonic_ns: int) -> None:
        self.phase = Phase.ENDED
        for port in self.ports.values():
            port.end(monotonic_ns)
        for streams in self.soup.values():
            streams.end()

    @property
    def _half_linger_ns(self) -> int:
        return int(self.config.linger_s * SECOND_NS) // 2

    def _log(self, kind: str, **fields: object) -> None:
        self.audit.line(
            kind,
            arrival_ns=self._arrival_ns,
            exchange_ns=self.clock.latest,
            feed_seq=self.publisher.last_sequence,
            **fields,
        )

    def _log_ledger(self, entry: LedgerEntry) -> None:
        if entry.kind not in ("executed", "canceled", "broken"):
            return  # the line of the inbound message says the rest
        self._log(
            "execution" if entry.kind == "executed" else entry.kind,
            account=entry.account,
            symbol=entry.symbol,
            key=entry.key,
            side=entry.side,
            qty=entry.qty,
            price_e4=entry.price_e4,
            match_number=entry.match_number,
            code=entry.code,
        )


def _source(config: ExchangeConfig) -> Path | Iterator[bytes]:
    """What is published as it is: a file, or a market's messages."""
    if config.market is None:
        assert config.replay is not None
        return config.replay
    from turbo_hft.exchange.market import MarketFlow

    return MarketFlow(config.market).messages()

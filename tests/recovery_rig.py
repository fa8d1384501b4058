"""A market, a hook that follows it, and the course of recovery between them: by hand, in virtual time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from turbo_hft import FeedAddress, lab_session
from turbo_hft.addresses import Rerequest
from turbo_hft.depth import Depth, Level
from turbo_hft.errors import RecoveryError
from turbo_hft.exchange.message_store import MessageStore
from turbo_hft.exchange.published_market import PublishedMarket
from turbo_hft.exchange.rerequest import RerequestServer
from turbo_hft.recovery.feed import FeedRecovery
from turbo_hft.recovery.settings import RecoverySettings
from turbo_hft.recovery.snapshot import Snapshot, SnapshotReader
from turbo_hft.testing import Hook, Verdict
from turbo_hft.testing.scenario import stock_directory
from turbo_hft.wire import itch50, moldudp64, soupbintcp
from turbo_hft.wire.frame import udp_frame

SESSION = lab_session()
SERVER, REPLIES = ("10.77.0.2", 26478), ("10.77.0.1", 26401)
FEED = FeedAddress("239.77.0.1", 26477, group_b="239.77.1.1", rerequest=Rerequest(SERVER, REPLIES))
LINES = {
    "a": (("10.77.0.2", 9), ("239.77.0.1", 26477)),
    "b": (("10.77.0.2", 9), ("239.77.1.1", 26477)),
    "rerequest": (SERVER, REPLIES),
}
MS = 1_000_000
_MID = 1_000_000


def depth_of(messages: Collection[bytes], locate: int) -> Depth:
    """All levels of a symbol in a snapshot's messages."""
    levels: dict[bytes, tuple[Counter[int], Counter[int]]] = {
        b"B": (Counter(), Counter()),
        b"S": (Counter(), Counter()),
    }
    for message in messages:
        if message[:1] in b"AF" and message[1:3] == locate.to_bytes(2, "big"):
            shares, orders = levels[message[19:20]]
            price = int.from_bytes(message[32:36], "big")
            shares[price] += int.from_bytes(message[20:24], "big")
            orders[price] += 1
    sides = [
        tuple(Level(price, shares[price], orders[price]) for price in sorted(shares, reverse=side == b"B"))
        for side, (shares, orders) in levels.items()
    ]
    return Depth(sides[0], sides[1])


@dataclass
class Market:
    """What is published: `names` get locates from 1 on."""

    names: tuple[str, ...]
    session: str = "DAY1"
    seed: int = 1
    clock_ns: int = 34_200_000_000_000
    history: list[bytes] = field(default_factory=list)
    mirror: PublishedMarket = field(default_factory=PublishedMarket)
    store: MessageStore = field(default_factory=MessageStore)
    live: dict[int, tuple[int, int]] = field(default_factory=dict)  # reference -> locate, shares
    next_ref: int = 1

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def stamp(self) -> dict[str, int]:
        self.clock_ns += 1000
        return {"tracking_number": 0, "timestamp": self.clock_ns}

    @property
    def next_sequence(self) -> int:
        return len(self.history) + 1

    def publish(self, *messages: bytes) -> list[bytes]:
        """They are said."""
        self.history += messages
        self.store.extend(messages)
        for message in messages:
            self.mirror.apply(message)
        return list(messages)

    def opening(self) -> list[bytes]:
        """The day begins, every symbol is listed and trades."""
        messages = [itch50.SystemEvent(0, event_code=code, **self.stamp()).encode() for code in "OSQ"]
        for locate, name in enumerate(self.names, start=1):
            messages.append(stock_directory(name, locate, self.stamp()))
            messages.append(itch50.StockTradingAction(locate, 0, self.stamp()["timestamp"], name, "T", "", "").encode())
        return self.publish(*messages)

    def trade(self, count: int) -> list[bytes]:
        """So many changes of books."""
        return [self.publish(self._one())[0] for _ in range(count)]

    def _one(self) -> bytes:
        rng = self.random
        if not self.live or rng.random() < 0.55:
            locate = rng.randrange(len(self.names)) + 1
            side, away, shares = rng.choice("BS"), rng.randrange(1, 12) * 100, rng.randrange(1, 9) * 100
            self.live[self.next_ref] = (locate, shares)
            self.next_ref += 1
            return itch50.AddOrder(
                stock_locate=locate, order_ref=self.next_ref - 1, side=side, shares=shares,
                stock=self.names[locate - 1], price=_MID - away if side == "B" else _MID + away, **self.stamp(),
            ).encode()  # fmt: skip
        ref = rng.choice(tuple(self.live)[-50:])
        locate, shares = self.live.pop(ref)
        kind = rng.choice("DXEU")
        head = {"stock_locate": locate, **self.stamp()}
        if kind == "D":
            return itch50.OrderDelete(order_ref=ref, **head).encode()
        if kind == "U":
            self.live[self.next_ref] = (locate, 300)
            self.next_ref += 1
            shift, price = rng.randrange(1, 12) * 100, self._price_of(ref, locate)
            return itch50.OrderReplace(
                orig_order_ref=ref, new_order_ref=self.next_ref - 1, shares=300,
                price=price - shift if price < _MID else price + shift, **head,
            ).encode()  # fmt: skip
        part = shares // 2 if shares > 100 else shares
        if shares > part:
            self.live[ref] = (locate, shares - part)
        if kind == "X":
            return itch50.OrderCancel(order_ref=ref, cancelled_shares=part, **head).encode()
        return itch50.OrderExecuted(order_ref=ref, executed_shares=part, match_number=1, **head).encode()

    def _price_of(self, ref: int, locate: int) -> int:
        orders = self.mirror._symbols[locate.to_bytes(2, "big")].orders
        return int.from_bytes(orders[ref.to_bytes(8, "big")][32:36], "big")


class Server:
    """Snapshots of a market, ready `delay_ns` after they were asked for, as they were `lag` messages before that."""

    def __init__(self, market: Market, now: Callable[[], int], delay_ns: int = 0) -> None:
        self.market = market
        self.delay_ns = delay_ns
        self.taken = 0
        self.fail = 0  # so many times
        self._now = now
        self._ready_ns = 0
        self._result: Snapshot | RecoveryError | None = None

    def start(self, names: Collection[str], locates: Collection[int]) -> None:
        self.taken += 1
        self._ready_ns = self._now() + self.delay_ns
        if self.fail:
            self.fail -= 1
            self._result = RecoveryError("no snapshot today")
            return
        reader = SnapshotReader(names, locates)
        reader.take(soupbintcp.LoginAccepted(self.market.session, 1))
        for message in self.market.mirror.snapshot():
            reader.take(soupbintcp.SequencedData(message))
        self._result = reader.snapshot

    def result(self) -> Snapshot | RecoveryError | None:
        return self._result if self._now() >= self._ready_ns else None


class Rig:
    """`tracked` symbols on a hook; time passes only with `wait`."""

    def __init__(
        self,
        hook: Hook,
        market: Market,
        tracked: Collection[str],
        *,
        rerequest: bool = True,
        rerequest_loss: float = 0.0,
        glimpse: bool = True,
        glimpse_delay_ns: int = 0,
        settings: RecoverySettings | None = None,
    ) -> None:
        self.hook = hook
        self.engine = hook.engine
        self.market = market
        self.now_ns = 10**9
        self.sessions: list[str] = []
        self.requests: list[moldudp64.Request] = []
        for name in tracked:
            self.engine.symbols.add(name)
        self.engine.configure(SESSION, FEED)
        self.server = Server(market, lambda: self.now_ns, glimpse_delay_ns)
        self._answers = RerequestServer(
            lambda name: self.market.store if name == self.market.session else None, loss=rerequest_loss
        )
        self.course = FeedRecovery(
            self.engine,
            ask=self._ask if rerequest else None,
            snapshots=self.server if glimpse else None,
            strangers=self._strangers,
            settings=settings,
            clock=lambda: self.now_ns,
        )
        self.course.step()

    def _ask(self, datagram: bytes) -> None:
        self.requests.append(moldudp64.decode_request(datagram))
        self._answers.receive(REPLIES, datagram, self.now_ns)

    def _strangers(self) -> list[str]:
        sessions, self.sessions = self.sessions, []
        return sessions

    def frame(self, line: str, payload: bytes) -> Verdict:
        """A packet of the feed meets the hook; what it passes on is seen by the sockets behind it."""
        source, destination = LINES[line]
        macs = (SESSION.remote_mac, SESSION.local_mac)
        frame = udp_frame(src_mac=macs[0], dst_mac=macs[1], src=source, dst=destination, payload=payload)
        verdict = self.hook.run(frame).verdict
        if verdict is Verdict.PASS:
            self.sessions.append(moldudp64.decode(payload).session)
        return verdict

    def send(self, messages: list[bytes], *, line: str = "a", each: int = 20) -> None:
        """The newest messages of the market arrive."""
        first = self.market.next_sequence - len(messages)
        for at in range(0, len(messages), each):
            part = tuple(messages[at : at + each])
            self.frame(line, moldudp64.Packet(self.market.session, first + at, part).encode())

    def heartbeat(self) -> None:
        self.frame("a", moldudp64.Heartbeat(self.market.session, self.market.next_sequence).encode())

    def wait(self, ms: float, *, rate: int = 0) -> None:
        """Time passes, and `rate` messages in each ms of it arrive; recovery works."""
        end = self.now_ns + int(ms * MS)
        published_ns = self.now_ns
        while self.now_ns < end:
            pause = self.course.step()
            for _, reply in self._answers.due(self.now_ns):
                self.frame("rerequest", reply)
            self.now_ns += max(pause, 50_000)
            if rate and self.now_ns - published_ns >= MS:
                count = rate * (self.now_ns - published_ns) // MS
                published_ns = self.now_ns
                self.send(self.market.trade(count))

    def until(self, what: Callable[[], bool], why: str, *, ms: float = 5_000, rate: int = 0) -> float:
        """Wait for it; how long it took, ms."""
        start = self.now_ns
        while not what():
            assert self.now_ns - start < ms * MS, f"{why}: {self.course.status()}"
            self.wait(1, rate=rate)
        return (self.now_ns - start) / MS

    def well(self) -> bool:
        """Is the feed live and every book ok?"""
        return self.engine.feed.health == "live" and not self.engine.symbols.doubtful(0)

    def check(self) -> None:
        """Every book is what was published. AssertionError names the first that is not."""
        assert self.engine.feed.expected_seq == self.market.next_sequence
        snapshot = self.market.mirror.snapshot()
        by_locate: dict[int, list[bytes]] = {}
        for message in snapshot:
            by_locate.setdefault(int.from_bytes(message[1:3], "big"), []).append(message)
        for view in self.engine.symbols:
            locate = self.market.names.index(view.name) + 1
            assert view.health == "live", (view.name, view.health)
            assert view.depth(1000) == depth_of(by_locate.get(locate, []), locate), view.name
            assert view.snapshot().trading == "trading", view.name

"""Orders on a TCP connection (rule 11), the loaded program against its model: a real connection of the kernel's, whose
peer and whose user space are the test. Whatever state it is in and whatever arrives, both do the same."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from conftest import FUZZ_EXAMPLES
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from lone_socket import MSS, REMOTE, LoneSocket, own_namespace
from turbo_hft.addresses import Protocol
from turbo_hft.errors import MalformedMessage
from turbo_hft.model.connection import Endpoint
from turbo_hft.model.names import (
    COUNTERS,
    MAX_WAITING,
    MAX_WORKING,
    Action,
    Congestion,
    EventKind,
    Kill,
    Reason,
    SessionHealth,
    WireFlag,
    XdpAction,
)
from turbo_hft.model.state import Event
from turbo_hft.testing import Hook
from turbo_hft.testing.order_desk import OrderDesk
from turbo_hft.testing.scenario import Scenario
from turbo_hft.wire import itch50, ouch50, soupbintcp, ufo
from turbo_hft.wire.frame import TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, checksum, parse_udp, tcp_frame, udp_frame
from turbo_hft.wire.moldudp64 import Packet
from twin import FEED, SESSION
from wire_twin import UnsettledError, WireTwin

pytestmark = [pytest.mark.kernel, pytest.mark.fuzz]

FEED_FLOW = ((str(FEED.source), 40000), (FEED.group, FEED.port))
COMMANDER = ("240.0.0.0", 1)
MACS = (SESSION.remote_mac, SESSION.local_mac)
SYMBOLS = {"AAPL": 13, "MSFT": 14, "ZVZZT": 15}
PROTOCOLS: tuple[Protocol, ...] = ("ouch50", "ouch50", "ouch42")
ETHERNET = 14
MOST = 2**64 - 1
TRIES = 5
LOW_E4, HIGH_E4 = 1_500_000, 1_800_000  # of quotes far from where the scenario trades, 1/10000 dollar

KINDS = (
    ("data",) * 14
    + ("hand",) * 8
    + ("cancel",) * 6
    + ("user",) * 4
    + ("order",) * 2
    + ("tell",) * 10
    + ("say",) * 4
    + ("kernel",) * 3
    + ("merge",) * 5
    + ("noise",) * 3
    + ("market", "word", "word", "knob", "reply", "control", "again", "reconnect")
)

_frames = 0
_did: Counter[str] = Counter()
_unsettled = 0


@pytest.fixture(scope="module", autouse=True)
def _report() -> Iterator[None]:
    yield
    print(f"\n{_frames} frames compared with the model; {_unsettled} runs left: the kernel interfered; what they did:")
    print(dict(sorted(_did.items())))


@pytest.fixture(scope="module")
def loaded() -> Iterator[Hook]:
    with own_namespace(), Hook(kept=64, transport="soupbintcp") as hook:
        yield hook


def _count(twin: WireTwin) -> None:
    global _frames  # noqa: PLW0603 - one figure for the whole module, printed at its end
    _frames += twin.frames
    _did.update({name: value for name, value in twin.differences().items() if value})


class Day:
    """A market that trades, over a connection; `do` has something happen, of `KINDS`."""

    def __init__(self, hook: Hook, rng: random.Random, *, faults: float = 0.0, lone: LoneSocket | None = None) -> None:
        self.rng = rng
        self.added = 0  # orders of the market that are none of the scenario's
        session = replace(SESSION, protocol=rng.choice(PROTOCOLS), vlan=rng.choice((None, None, 7)))
        self.twin = WireTwin(hook, lone or self._socket(), session)
        self.twin.set_wire(fired=rng.choice((0, 62, 2**33 + 63)))
        handed = rng.choice((0, 62, 2**33 + 63))
        self.twin.set_wire(handed=handed, handed_sent=handed)
        for strategy in (4, 1, 4):
            slot = len(self.twin.model.params)
            self.twin.add_symbol(
                list(SYMBOLS)[slot],
                strategy=strategy,
                shadow=rng.choice((0, 0b11110)),
                buy_below_e4=1_632_500,
                sell_above_e4=1_629_000,
                base_qty=100,
                cap_qty=500,
                imbalance_ppm=500_000,
                imbalance_qty=50,
                quote_half_spread_e4=100,
                quote_qty=100,
                quote_inventory=1000,
                quote_requote_e4=100,
            )
        self.twin.widen()
        for slot in range(len(SYMBOLS)):
            for parity in (0, 1):
                self.twin.set_symbol_limits(slot, parity, reference=2, short_ok=1, max_short=1000)
        self.scenario = Scenario(
            dict(SYMBOLS),
            FEED_FLOW,
            self.twin.replies,
            MACS,
            faults=0.0,  # orders, and not the feed, are the matter
            salt=rng.randrange(2**32),
            commands=(COMMANDER, self.twin.commands),
            nonce=self.twin.model.command_nonce,
            buckets=self.twin.buckets,
            kept_mask=self.twin.config.kept_mask,
            desk=OrderDesk(session.protocol),
        )
        self.scenario.desk.faults = faults
        for kind in ("login", "directory"):
            self.play(kind, 1)
        self.quote()

    def quote(self) -> None:
        """Both sides of every book are there all day, far from where the scenario trades."""
        self.add(*((slot, *quote) for slot in range(len(SYMBOLS)) for quote in (("B", LOW_E4), ("S", HIGH_E4))))

    def add(self, *orders: tuple[int, str, int]) -> list[Event]:
        """Orders of the market, (slot, side, 1/10000 dollar), in one packet; the events."""
        messages = []
        for slot, side, price in orders:
            self.added += 1
            name, locate = list(SYMBOLS.items())[slot]
            add = itch50.AddOrder(
                stock_locate=locate,
                tracking_number=0,
                timestamp=self.scenario.clock_ns,
                order_ref=10**9 + self.added,
                side=side,
                shares=10**6,
                stock=name,
                price=price,
            )
            messages.append(add.encode())
        first = self.scenario.feed_seq
        self.scenario.history += messages
        self.scenario.cursor["a"] = self.scenario.feed_seq
        packet = Packet(self.scenario.session, first, tuple(messages)).encode()
        return self.frames(
            udp_frame(src_mac=MACS[0], dst_mac=MACS[1], src=FEED_FLOW[0], dst=FEED_FLOW[1], payload=packet)
        )

    def close(self) -> None:
        self.twin.lone.close()

    def _socket(self) -> LoneSocket:
        rng = self.rng
        return LoneSocket(
            rng,
            timestamps=rng.random() < 0.7,
            sack=rng.random() < 0.7,
            window=rng.choice((0, 30, 49, 50, 120, 180, 60_000, 60_000, 60_000)),
            near_wrap=rng.random() < 0.3,
        )

    def do(self, kind: str, seed: int) -> None:
        rng = self.rng = random.Random(seed)
        steps: dict[str, Callable[[], None]] = {
            "hand": self.by_hand,
            "cancel": self.cancel_by_hand,
            "user": self.send_waiting,
            "tell": self.tell,
            "say": self.say,
            "kernel": self.kernel,
            "merge": self.twin.merge,
            "noise": self.noise,
            "word": self.word,
            "knob": self.knob,
            "reconnect": self.reconnect,
        }
        if rng.random() < 0.25:
            self.mend()
        steps.get(kind, partial(self.play, kind, seed))()

    def play(self, kind: str, seed: int) -> None:
        """Frames of the scenario. What leaves is taken by its exchange."""
        self.frames(*self.scenario.several(kind, seed))

    def frames(self, *frames: bytes) -> list[Event]:
        """Through both; the events."""
        events = []
        for frame in frames:
            outcome = self.twin.packet(frame)
            events += outcome.events
            if outcome.verdict == XdpAction.TX:
                self.arrive(outcome.frame[self.twin.model.template.headers_len :])
        return events

    def arrive(self, payload: bytes) -> None:
        """The exchange has it."""
        self.scenario.observe(
            udp_frame(src_mac=MACS[0], dst_mac=MACS[1], src=SESSION.local, dst=SESSION.remote, payload=payload)
        )

    def send_waiting(self) -> None:
        """What was handed over leaves, if it can."""
        self.twin.merge()
        for payload in self.twin.send_waiting():
            self.arrive(payload)

    @property
    def newest(self) -> int:
        """The order that was sent last."""
        return self.twin.model.session.next_user_ref - 1

    def by_hand(self) -> None:
        """An order of a person."""
        self.hand(self.rng.randrange(len(SYMBOLS)))

    def hand(self, slot: int) -> Reason:
        """An order of a person, that nothing but the connection refuses when the market is open: what was said."""
        (event,) = self.frames(self.scenario.by_hand(slot, 1, 0, LOW_E4 + slot, 1))[-1:]
        return Reason(event.reason)

    def cancel_by_hand(self) -> None:
        """Of any order that there is, open or not."""
        refs = sorted(order.user_ref for order in self.twin.model.working.values())
        if refs:
            self.cancel(self.rng.choice(refs))

    def cancel(self, ref: int) -> Event:
        """By hand; what was said."""
        slot = self.twin.model.working[ref % MAX_WORKING].symbol
        (event,) = self.frames(self.scenario.by_hand(slot, Action.CANCEL, 0, 0, 0, ref))[-1:]
        return event

    def mend(self) -> None:
        """Put right what would let nothing leave any more."""
        twin, model = self.twin, self.twin.model
        twin.set_control(lease_until_ns=MOST)
        self.send_waiting()
        state = twin.socket
        if not state.established:
            self.reconnect()
            return
        if state.write_seq != state.snd_una or state.congestion:
            twin.lone.say(ack=state.snd_nxt, window=60_000)
        if state.snd_wnd < 1000:
            twin.lone.say(ack=state.snd_nxt, window=60_000)
        if model.wire.unmerged == 0 or model.wire.flags != WireFlag.ARMED:
            twin.align()
        twin.set_names(twin.lone.remote, twin.lone.local)
        if model.wire.held.version % 2:
            twin.set_held_version(model.wire.held.version + 1)
        if model.session.health != SessionHealth.UP:
            twin.set_session(health=SessionHealth.UP, highest_seq=model.session.expected_seq)
        self.scenario.heard = max(0, model.session.expected_seq - 1)

    def reconnect(self) -> None:
        """The next connection of the day."""
        self.twin.lone.close()
        self.twin.connect(self._socket())

    def knob(self) -> None:
        """What stops all orders, and symbols whose one strategy is in shadow."""
        self.rng.choice(
            (
                lambda: self.twin.set_control(lease_until_ns=self.twin.model.feeds[0].seen_ns),
                lambda: self.twin.set_held_version(self.rng.choice((1, 6, 7))),
                lambda: self.twin.set_names(None, self.twin.lone.local),
                lambda: self.twin.set_names((REMOTE, 1), self.twin.lone.local),
                lambda: self.twin.set_params(0, strategy=self.rng.choice((0, 1, 4)), shadow=0b11110),
                lambda: self.twin.set_wire(handed_sent=self.twin.model.wire.handed - self.rng.choice((63, 64)) & MOST),
            )
        )()

    def word(self) -> None:
        """Any word: flags, sends that are not merged, a sequence that the kernel is short of or beyond."""
        rng, write_seq = self.rng, self.twin.socket.write_seq
        unmerged = rng.choice((0, 0, 1, 2, 63, 64, 65, 255))
        apart = rng.choice((0, 0, 1, -1, 512 * unmerged, 512 * unmerged + 1, rng.randrange(2**32)))
        flags = rng.choice((1, 1, 1, 1, 0, 3, 4, 5, 8, 9, 12, 13, 16, 17, 19, 20, 25, 33))
        self.twin.set_word((write_seq + apart) % 2**32, unmerged, flags)

    def kernel(self) -> None:
        """The kernel's side changes: what it sends, what the peer acknowledges, has room for, or misses."""
        lone, rng, state = self.twin.lone, self.rng, self.twin.socket
        if not state.established:
            return
        length = rng.choice((1, 100, 3000, 3000, 70_000))
        kinds = ("write", "ack", "sack", "again", "window", "read", "shut", "end", "reset")
        match rng.choices(kinds, (4, 3, 4, 3, 4, 2, 1, 1, 1))[0]:
            case "write":
                lone.write(bytes(length))
            case "ack":
                between = (state.snd_nxt - state.snd_una) % 2**32
                lone.say(ack=(state.snd_una + rng.choice((between, between // 2))) % 2**32)
            case "sack" if (state.snd_nxt - state.snd_una) % 2**32 > MSS:
                lone.say(ack=state.snd_una, sack=((state.snd_una + MSS) % 2**32, state.snd_nxt))
            case "again":
                for _ in range(4):
                    lone.say(ack=state.snd_una, window=state.snd_wnd)
            case "window":
                lone.say(ack=state.snd_nxt, window=rng.choice((0, 48, 52, 104, 150, 1000, 60_000)))
            case "read":
                lone.say(bytes(rng.choice((1, 900))), ack=state.snd_nxt)
                lone.read()
            case "shut":
                lone.shut()
            case "end":
                lone.say(ack=state.snd_nxt, flags=TCP_ACK | TCP_FIN)
            case "reset":
                lone.say(ack=state.snd_nxt, flags=TCP_RST)
            case _:
                pass

    # What the peer says, by way of the hook

    def frame(self, seq: int, payload: bytes, *, flags: int = 0, spoilt: bool = False) -> bytes:
        """A segment of the peer's; its acknowledgement is mostly about what is not merged."""
        rng, wire, lone = self.rng, self.twin.model.wire, self.twin.lone
        apart = (wire.seq - wire.merged_seq) % 2**32
        ack = wire.merged_seq + rng.choice((0, 0, 1, -1, apart // 2, apart, apart, apart + 1, rng.randrange(2**32)))
        frame = bytearray(
            tcp_frame(
                src_mac=MACS[0],
                dst_mac=MACS[1],
                src=lone.remote,
                dst=lone.local,
                seq=seq % 2**32,
                ack=ack % 2**32,
                flags=flags or rng.choice((TCP_ACK, TCP_ACK | TCP_PSH, TCP_ACK | TCP_PSH, TCP_PSH)),
                window=rng.randrange(2**16),
                timestamps=(rng.randrange(2**32), rng.randrange(2**32)) if rng.random() < 0.5 else None,
                vlans=rng.choice(((), (), (), (5,), (5, 6))),
                payload=payload,
            )
        )
        if spoilt:
            frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
        return bytes(frame)

    def tell(self) -> None:
        """Replies: in the stream, whole or not and where they belong or not, and mostly by user space as well."""
        rng, twin = self.rng, self.twin
        for frame in self.scenario.several(rng.choice(("reply", "reply", "again")), rng.randrange(2**32)):
            try:
                said = ufo.decode_downstream(parse_udp(frame).payload)
            except MalformedMessage:
                said = None
            if isinstance(said, ufo.Sequenced):
                self.stream(said.messages)
            if rng.random() < 0.6:
                twin.packet(frame)
        if twin.model.session.expected_seq:
            self.scenario.heard = twin.model.session.expected_seq - 1

    def stream(self, messages: tuple[bytes, ...]) -> None:
        rng, twin = self.rng, self.twin
        expected = twin.model.session.expected_seq
        packets = [soupbintcp.SequencedData(message).encode() for message in messages]
        for _ in range(rng.choice((0, 0, 1, 3))):
            packets.insert(rng.randrange(len(packets) + 1), soupbintcp.ServerHeartbeat().encode())
        if rng.random() < 0.15:
            bad = (b"\0\0", b"\0", b"\0\1Z", b"\0\1U", b"\0\1S", b"\xff\xffS", b"\0\2H", b"\0\3H!!", bytes(1600))
            packets.insert(rng.randrange(len(packets) + 1), rng.choice(bad))
        payload = b"".join(packets)
        seq, number = twin.model.wire.reply_next
        if number != expected or rng.random() < 0.3:
            seq = rng.choice((twin.socket.rcv_nxt, 2**32 - 1))
            twin.set_sync(
                *rng.choice(((seq, expected), (seq, expected), (seq, expected + 1), ((seq - 1) % 2**32, expected)))
            )
        cut = rng.choice((0, 0, 0, rng.randrange(len(payload) + 1)))
        for piece in filter(None, (payload[:cut], payload[cut:])):
            flags = TCP_ACK | rng.choice((TCP_PSH,) * 20 + (TCP_FIN, TCP_RST))
            twin.packet(self.frame(seq, piece, flags=flags, spoilt=rng.random() < 0.1))
            seq += len(piece)
        if twin.model.wire.flags & WireFlag.CLOSED and rng.random() < 0.8:
            twin.set_word(twin.model.wire.seq, twin.model.wire.unmerged)

    def say(self) -> None:
        """A segment without replies."""
        rng, state = self.rng, self.twin.socket
        flags = TCP_ACK | rng.choice((0,) * 20 + (TCP_FIN, TCP_RST, TCP_FIN | TCP_RST))
        self.twin.packet(self.frame(state.rcv_nxt, b"", flags=flags, spoilt=rng.random() < 0.1))
        if self.twin.model.wire.flags & WireFlag.CLOSED and rng.random() < 0.8:
            self.twin.set_word(self.twin.model.wire.seq, self.twin.model.wire.unmerged)

    def noise(self) -> None:
        """Headers that cannot be, or just may be: every byte in front of the payload, its end, and other addresses."""
        rng = self.rng
        frame = bytearray(self.frame(self.twin.socket.rcv_nxt, rng.choice((b"", b"\0\1H", bytes(1500), bytes(1516)))))
        for _ in range(rng.choice((1, 1, 2))):
            at = rng.choice(
                (ETHERNET, ETHERNET + 3, ETHERNET + 6, 46, 47, rng.randrange(len(frame)), rng.randrange(74))
            )
            frame[at % len(frame)] = rng.choice((0, 1, 0x45, 0x46, 0x50, 0x5F, 0x80, 0xF0, rng.randrange(256)))
        end = rng.choice((len(frame), len(frame), rng.randrange(ETHERNET, len(frame))))
        self.twin.packet(bytes(frame[:end]))


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 2**32 - 1)), min_size=10, max_size=80), st.integers(0))
def test_hook_and_model_agree_whatever_the_connection_does(
    loaded: Hook, steps: list[tuple[str, int]], seed: int
) -> None:
    day = Day(loaded, random.Random(seed), faults=0.02)
    try:
        for kind, number in steps:
            day.do(kind, number)
        day.twin.compare_state()
        _count(day.twin)
    except UnsettledError:
        left()
        reject()
    finally:
        day.close()


def named_of(cases: Sequence[tuple[Any, ...]]) -> list[str]:
    """The first of each, in one word."""
    return [case[0].replace(",", "").replace(" ", "-") for case in cases]


def left() -> None:
    """A run that cannot be compared any more."""
    global _unsettled  # noqa: PLW0603 - as above
    _unsettled += 1


def test_days_of_given_seeds_agree_with_the_model(loaded: Hook) -> None:
    """What they reach does not depend on luck."""
    for seed in range(1000 if settings().max_examples >= FUZZ_EXAMPLES else 30):
        rng = random.Random(seed)
        day = Day(loaded, rng, faults=rng.choice((0.0, 0.02)))
        steps = [(rng.choice(KINDS), rng.randrange(2**32)) for _ in range(120)]
        try:
            for kind, number in steps:
                day.do(kind, number)
            day.twin.compare_state()
            _count(day.twin)
        except AssertionError as error:
            raise AssertionError(f"the day of seed {seed}: {error}") from error
        except UnsettledError:
            left()
        finally:
            day.close()


def trading_day(hook: Hook, *, orders: int = 0, **options: Any) -> Day:
    """One on which an order by hand leaves, if the connection is not against it, and so many are live in slot 2 before.
    `options` of the socket."""
    wanted: dict[str, Any] = {"timestamps": True, "sack": True, "window": 60_000, "near_wrap": False} | options
    first = {"window": 60_000} if orders else {}
    day = Day(hook, random.Random(7), lone=LoneSocket(random.Random(7), **wanted | first))
    day.twin.set_params(2, strategy=0, shadow=0)
    for _ in range(orders):
        assert day.hand(2) == Reason.NONE
        day.twin.accept(day.newest)
    day.twin.merge()
    if day.twin.model.wire.unmerged == 0:
        day.twin.lone.say(ack=day.twin.socket.snd_nxt, window=wanted["window"])
    return day


def worded(apart: int = 0, unmerged: int = 0, flags: int = WireFlag.ARMED) -> Callable[[Day], None]:
    """The word is that, as far apart from where the kernel stands."""

    def arrange(day: Day) -> None:
        day.twin.set_word((day.twin.socket.write_seq + apart) % 2**32, unmerged, flags)

    return arrange


def no_lease(day: Day) -> None:
    day.twin.set_control(lease_until_ns=day.twin.model.feeds[0].seen_ns)


def lease_of_a_moment(day: Day) -> None:
    day.twin.set_control(lease_until_ns=day.twin.model.feeds[0].seen_ns + 1)


def waiting(many: int) -> Callable[[Day], None]:
    """So many were handed over and not sent."""

    def arrange(day: Day) -> None:
        day.twin.set_wire(handed=MAX_WAITING + 1, handed_sent=MAX_WAITING + 1 - many)

    return arrange


def named(remote: Endpoint | None) -> Callable[[Day], None]:
    return lambda day: day.twin.set_names(remote, day.twin.lone.local)


def shut(day: Day) -> None:
    day.twin.lone.shut()


def ended_by_the_peer(day: Day) -> None:
    day.twin.lone.say(ack=day.twin.socket.snd_nxt, flags=TCP_ACK | TCP_FIN)


def unsent(day: Day) -> None:
    """More than the window; the word knows of all of it."""
    day.twin.lone.write(bytes(70_000))
    day.twin.align()


def room_for(room: int) -> Callable[[Day], None]:
    """That many bytes are left of the window."""

    def arrange(day: Day) -> None:
        day.twin.lone.say(ack=day.twin.socket.snd_nxt, window=room)
        assert day.twin.socket.snd_wnd == room

    return arrange


def no_room_any_more(day: Day) -> None:
    """The peer takes back what it had room for."""
    day.twin.lone.write(bytes(MSS))
    state = day.twin.socket
    day.twin.lone.say(b"x", ack=state.snd_una, window=60_000)
    day.twin.lone.say(ack=state.snd_una, window=MSS // 2)  # newer, so that the kernel takes its word
    assert day.twin.socket.snd_wnd < MSS
    day.twin.align()


def sacked(day: Day) -> None:
    """One segment is missing, and one behind it is there: nothing is taken for lost yet."""
    day.twin.lone.write(bytes(2 * MSS))
    state = day.twin.socket
    day.twin.lone.say(ack=state.snd_una, sack=((state.snd_una + MSS) % 2**32, state.snd_nxt))
    day.twin.align()


def lost(day: Day) -> None:
    day.twin.lone.write(bytes(5 * MSS))
    state = day.twin.socket
    for many in (2, 3, 4, 5):
        end = (state.snd_una + many * MSS) % 2**32
        day.twin.lone.say(ack=state.snd_una, sack=((state.snd_una + MSS) % 2**32, end))
    day.twin.align()
    assert day.twin.socket.lost_out


def recovered(day: Day) -> None:
    """Without SACK the state stays when all is there again."""
    day.twin.lone.write(bytes(5 * MSS))
    state = day.twin.socket
    for _ in range(4):
        day.twin.lone.say(ack=state.snd_una, window=state.snd_wnd)
    day.twin.lone.say(ack=state.snd_nxt, window=state.snd_wnd)
    state = day.twin.socket
    assert (state.congestion, state.sacked_out + state.lost_out + state.retrans_out) == (Congestion.RECOVERY, 0)
    day.twin.align()


def sending_again(day: Day) -> None:
    recovered(day)
    day.twin.lone.write(bytes(100))
    state = day.twin.socket
    assert (state.congestion, state.sacked_out + state.lost_out + state.retrans_out) == (Congestion.RECOVERY, 0)
    day.twin.align()


def not_acknowledged(day: Day) -> None:
    """What the peer said takes from the window that it was told."""
    day.twin.lone.say(bytes(300), ack=day.twin.socket.snd_nxt, window=60_000)
    state = day.twin.socket
    if state.rcv_wup == state.rcv_nxt:
        raise UnsettledError  # it took so long that it was acknowledged


def both(first: Callable[[Day], None], second: Callable[[Day], None]) -> Callable[[Day], None]:
    def arrange(day: Day) -> None:
        first(day)
        second(day)

    return arrange


WAITS = WireFlag.ARMED | WireFlag.WAITING
PLAIN = {"sack": False, "timestamps": False}
# What is so, what the gate says, and of which socket.
CASES: list[tuple[str, Callable[[Day], None], Reason, dict[str, Any]]] = [
    ("all is well", worded(), Reason.NONE, {}),
    ("without time stamps", worded(), Reason.NONE, {"timestamps": False}),
    ("past 2^32", worded(), Reason.NONE, {"near_wrap": True}),
    ("not acknowledged yet", not_acknowledged, Reason.NONE, {}),
    ("not armed", worded(flags=0), Reason.WIRE_DOWN, {}),
    ("firing", worded(flags=WireFlag.ARMED | WireFlag.FIRING), Reason.WIRE_DOWN, {}),
    ("closed", worded(flags=WireFlag.ARMED | WireFlag.CLOSED), Reason.WIRE_DOWN, {}),
    ("a flag that there is not", worded(flags=33), Reason.WIRE_DOWN, {}),
    ("held", worded(flags=WireFlag.HELD), Reason.WIRE_BUSY, {}),
    ("held and armed", worded(flags=WireFlag.ARMED | WireFlag.HELD), Reason.WIRE_BUSY, {}),
    ("held and closed", worded(flags=WireFlag.HELD | WireFlag.CLOSED), Reason.WIRE_DOWN, {}),
    ("waiting", worded(flags=WAITS), Reason.WIRE_BUSY, {}),
    ("waiting, not armed", worded(flags=WireFlag.WAITING), Reason.WIRE_DOWN, {}),
    ("waiting, held", worded(flags=WireFlag.HELD | WireFlag.WAITING), Reason.WIRE_BUSY, {}),
    ("waiting, firing", worded(flags=WAITS | WireFlag.FIRING), Reason.WIRE_BUSY, {}),
    ("waiting, closed", worded(flags=WAITS | WireFlag.CLOSED), Reason.WIRE_DOWN, {}),
    ("waiting, no lease", both(worded(flags=WAITS), no_lease), Reason.WIRE_BUSY, {}),
    ("waiting, a lease of a moment", both(worded(flags=WAITS), lease_of_a_moment), Reason.WIRE_BUSY, {}),
    ("held, 63 wait", both(worded(flags=WireFlag.HELD), waiting(63)), Reason.WIRE_BUSY, {}),
    ("held, 64 wait", both(worded(flags=WireFlag.HELD), waiting(64)), Reason.WIRE_BUSY, {}),
    ("held, less than none waits", both(worded(flags=WireFlag.HELD), waiting(-1)), Reason.WIRE_BUSY, {}),
    ("no lease", no_lease, Reason.LEASE, {}),
    ("a lease of a moment", lease_of_a_moment, Reason.NONE, {}),
    ("held, no lease", both(worded(flags=WireFlag.HELD), no_lease), Reason.WIRE_BUSY, {}),
    ("no lease, unmerged", both(worded(0, 64), no_lease), Reason.LEASE, {}),
    ("63 unmerged", worded(0, 63), Reason.NONE, {}),
    ("64 unmerged", worded(0, 64), Reason.WIRE_UNMERGED, {}),
    ("255 unmerged", worded(0, 255), Reason.WIRE_UNMERGED, {}),
    ("unmerged, no socket", both(worded(0, 64), named((REMOTE, 1))), Reason.WIRE_UNMERGED, {}),
    ("no connection", named(None), Reason.WIRE_DOWN, {}),
    ("no such socket", named((REMOTE, 1)), Reason.WIRE_DOWN, {}),
    ("shut", shut, Reason.WIRE_DOWN, {}),
    ("ended by the peer", ended_by_the_peer, Reason.WIRE_DOWN, {}),
    ("the kernel is short", worded(1), Reason.WIRE_DOWN, {}),
    ("the kernel is beyond", worded(-1), Reason.WIRE_DOWN, {}),
    ("unmerged, as short as can be", worded(512, 1), Reason.NONE, {}),
    ("unmerged, shorter", worded(513, 1), Reason.WIRE_DOWN, {}),
    ("unmerged, beyond", worded(-1, 1), Reason.WIRE_DOWN, {}),
    ("unmerged, all merged", worded(0, 1), Reason.NONE, {}),
    ("unsent", unsent, Reason.WIRE_BUSY, {}),
    ("unsent, not in step", both(unsent, worded(1)), Reason.WIRE_DOWN, {}),
    ("unsent, unmerged", both(unsent, worded(0, 1)), Reason.WIRE_WINDOW, {}),
    ("one sacked", sacked, Reason.WIRE_RECOVERY, {}),
    ("lost", lost, Reason.WIRE_RECOVERY, {}),
    ("recovered", recovered, Reason.NONE, PLAIN),
    ("recovered, sending", sending_again, Reason.WIRE_RECOVERY, PLAIN),
    ("room for one", room_for(50), Reason.NONE, {"window": 50}),
    ("room for less", room_for(49), Reason.WIRE_WINDOW, {"window": 49}),
    ("room for none", room_for(0), Reason.WIRE_WINDOW, {"window": 0}),
    ("no room any more", no_room_any_more, Reason.WIRE_WINDOW, {}),
    ("sacked, no room", both(sacked, worded(60_000, 118)), Reason.WIRE_UNMERGED, {}),
]


def settled(hook: Hook, what: Callable[[Day], None], **options: Any) -> None:
    """A trading day on which that happens, once more if the kernel interferes."""
    for _ in range(TRIES):
        day = trading_day(hook, **options)
        try:
            what(day)
            day.twin.compare_state()
            _count(day.twin)
            return
        except UnsettledError:
            left()
        finally:
            day.close()
    pytest.fail("the kernel interfered each time")


@pytest.mark.parametrize("case", CASES, ids=named_of(CASES))
def test_every_reason_is_found_by_both(loaded: Hook, case: tuple[str, Callable[[Day], None], Reason, Any]) -> None:
    _, arrange, expected, options = case

    def found(day: Day) -> None:
        arrange(day)
        assert day.hand(2) == expected

    settled(loaded, found, **options)


PASSING = {Reason.WIRE_BUSY, Reason.WIRE_UNMERGED, Reason.WIRE_WINDOW, Reason.WIRE_RECOVERY}
NO_PLACE = {"held, no lease", "waiting, no lease", "held, 64 wait", "held, less than none waits"}


def handed_by(day: Day) -> int:
    return day.twin.model.wire.handed


@pytest.mark.parametrize("case", CASES, ids=named_of(CASES))
def test_a_cancel_leaves_is_handed_over_or_refused_by_both(
    loaded: Hook, case: tuple[str, Callable[[Day], None], Reason, Any]
) -> None:
    name, arrange, reason, options = case
    waits = reason in PASSING and name not in NO_PLACE

    def cancels(day: Day) -> None:
        ref = day.newest
        arrange(day)
        before = handed_by(day)
        event = day.cancel(ref)
        sent = waits or reason == Reason.NONE
        assert (event.kind, event.reason) == (EventKind.CANCEL_SENT if sent else EventKind.REFUSED, reason)
        assert handed_by(day) == before + waits
        assert bool(day.twin.stored.word & WireFlag.WAITING) == waits or name.startswith("waiting")

    settled(loaded, cancels, orders=1, **options)


def held(day: Day) -> None:
    day.twin.set_word(day.twin.socket.write_seq, flags=WireFlag.HELD)


TWO = 2  # of each slot in the packet below
NOT_WANTED = {"quote_half_spread_e4": 2**31 - 1}  # quotes of either side are taken down
# A packet with cancels in shadow, new orders and cancels: what is so, and what is said of each kind of them.
PACKETS: list[tuple[str, int, tuple[Reason, Reason, Reason]]] = [
    ("free", WireFlag.ARMED, (Reason.NONE, Reason.NONE, Reason.NONE)),
    ("held", WireFlag.HELD, (Reason.NONE, Reason.WIRE_BUSY, Reason.WIRE_BUSY)),
    ("down", 0, (Reason.WIRE_DOWN, Reason.WIRE_DOWN, Reason.WIRE_DOWN)),
]


@pytest.mark.parametrize("case", PACKETS, ids=named_of(PACKETS))
def test_of_a_packet_its_cancels_are_handed_over_by_both(
    loaded: Hook, case: tuple[str, int, tuple[Reason, Reason, Reason]]
) -> None:
    name, flags, (shadow, order, cancel) = case
    down = name == "down"

    def trades(day: Day) -> None:
        twin = day.twin
        for ours in list(twin.model.working.values()):
            twin.accept(ours.user_ref)  # of the quoters in slots 0 and 2
        twin.set_params(0, strategy=0, shadow=1 << 4, **NOT_WANTED)
        twin.set_params(1, strategy=4, shadow=0)
        twin.set_params(2, strategy=4, shadow=0, **NOT_WANTED)
        twin.set_word(twin.socket.write_seq, flags=flags)
        before = handed_by(day)
        told = [(event.kind, event.reason) for event in day.add(*((slot, "B", LOW_E4) for slot in range(3)))]
        assert told == [
            *[(EventKind.SHADOW, shadow)] * TWO,
            *[(EventKind.REFUSED if order else EventKind.ORDER, order)] * TWO,
            *[(EventKind.REFUSED if down else EventKind.CANCEL_SENT, cancel)] * TWO,
        ]
        assert handed_by(day) == before + (name == "held")
        if name == "held":
            (waiting,) = twin.model.wire.waiting.values()
            assert len(waiting.data) == TWO * twin.model.template.msg_len[Action.CANCEL]

    settled(loaded, trades)


def asked_for(day: Day) -> None:
    day.twin.set_word(day.twin.socket.write_seq)
    assert day.cancel(day.newest).kind == EventKind.CANCEL_SENT
    held(day)


# What does not stop a cancel, and so not one that waits; and what does.
BESIDE: list[tuple[str, Callable[[Day], None], Reason]] = [
    ("halted", lambda day: day.twin.set_control(kill=Kill.HALTED), Reason.NONE),
    ("halted symbol", lambda day: day.twin.set_params(2, kill=Kill.HALTED), Reason.NONE),
    ("no limits", lambda day: day.twin.set_account_limits(0, max_order_qty=0), Reason.NONE),
    ("suspect", lambda day: day.twin.set_session(health=SessionHealth.SUSPECT), Reason.NONE),
    ("session down", lambda day: day.twin.set_session(health=SessionHealth.DOWN), Reason.SESSION_DOWN),
    ("no template", lambda day: day.twin.set_template("protocol", 3), Reason.NOT_CONFIGURED),
    ("asked for already", asked_for, Reason.BAD_INTENT),
]  # fmt: skip


@pytest.mark.parametrize("case", BESIDE, ids=named_of(BESIDE))
def test_a_cancel_that_waits_has_met_the_gate(loaded: Hook, case: tuple[str, Callable[[Day], None], Reason]) -> None:
    _, arrange, refused = case

    def cancels(day: Day) -> None:
        held(day)
        arrange(day)
        before = handed_by(day)
        event = day.cancel(day.newest)
        assert event.reason == (refused or Reason.WIRE_BUSY)
        assert handed_by(day) == before + (refused == Reason.NONE)

    settled(loaded, cancels, orders=1)


def tcp(day: Day, payload: bytes = b"", **changed: Any) -> bytes:
    """A segment of the peer's, acknowledging all that was merged."""
    twin = day.twin
    values: dict[str, Any] = {
        "src_mac": MACS[0],
        "dst_mac": MACS[1],
        "src": twin.lone.remote,
        "dst": twin.lone.local,
        "seq": SEQ,
        "ack": twin.model.wire.merged_seq,
        "window": 500,
        "payload": payload,
    }
    return tcp_frame(**values | changed)


def with_byte(at: int, value: int) -> Callable[[bytes], bytes]:
    """That byte is another one; the checksum of TCP is right if it was and can be."""
    return lambda frame: summed(frame[:at] + bytes([value]) + frame[at + 1 :])


def summed(frame: bytes) -> bytes:
    """With the checksum of TCP that goes with what the headers say."""
    at, total = ETHERNET + (frame[ETHERNET] & 15) * 4, int.from_bytes(frame[ETHERNET + 2 : ETHERNET + 4])
    end = min(ETHERNET + total, len(frame))
    if at + 18 > end:
        return frame
    plain = frame[at : at + 16] + bytes(2) + frame[at + 18 : end]
    pseudo = frame[ETHERNET + 12 : ETHERNET + 20] + bytes([0, 6]) + len(plain).to_bytes(2)
    return frame[: at + 16] + checksum(pseudo + plain).to_bytes(2) + frame[at + 18 :]


def spoilt(frame: bytes) -> bytes:
    """With a checksum that is not right."""
    return frame[:50] + bytes([frame[50] ^ 1]) + frame[51:]


def sequenced(*messages: bytes) -> bytes:
    return b"".join(soupbintcp.SequencedData(message).encode() for message in messages)


def as_it_is(frame: bytes) -> bytes:
    return frame


SEQ = 2**32 - 5  # of the peer's segments, so that they run past 2^32
TAKEN, LEFT = ({"wire_packets", "reply_packets", name} for name in ("wire_replies", "wire_replies_left"))
EVENT = b"S" + bytes(8) + b"S"  # a System event of OUCH 5.0
WHOLE = sequenced(EVENT)
H = b"\0\1H"
FIN_BYTE, OFFSET_BYTE = ETHERNET + 20 + 13, ETHERNET + 20 + 12
# What comes in, what is done to it, and what is counted.
SEGMENTS: list[tuple[str, bytes, dict[str, Any], Callable[[bytes], bytes], set[str]]] = [
    ("nothing", b"", {}, as_it_is, {"wire_packets"}),
    ("heartbeat", H, {}, as_it_is, {"wire_packets", "reply_packets"}),
    ("reply", WHOLE, {}, as_it_is, TAKEN),
    ("reply, padded", WHOLE, {}, lambda frame: frame + bytes(9), TAKEN),
    ("replies", H + WHOLE + H + WHOLE, {}, as_it_is, TAKEN),
    ("tagged", WHOLE, {"vlans": (1, 2)}, as_it_is, TAKEN),
    ("spoilt", WHOLE, {}, spoilt, LEFT),
    ("elsewhere", WHOLE, {"seq": SEQ + 1}, as_it_is, LEFT),
    ("split", WHOLE[:-1], {}, as_it_is, LEFT),
    ("a byte more", WHOLE + b"\0", {}, as_it_is, LEFT),
    ("a length more", WHOLE + b"\0\1", {}, as_it_is, LEFT),
    ("a packet of nothing", WHOLE + b"\0\0", {}, as_it_is, LEFT),
    ("a packet of nothing in front", b"\0\0" + WHOLE, {}, as_it_is, LEFT),
    ("other packet", b"\0\1Z" + WHOLE, {}, as_it_is, LEFT),
    ("1,536 bytes of TCP", H * 504 + b"\0\2H!", {}, as_it_is, {"wire_packets", "reply_packets"}),
    ("1,537 bytes of TCP", H * 504 + b"\0\3H!!", {}, as_it_is, LEFT),
    ("cut off", WHOLE, {}, lambda frame: frame[:-1], LEFT),
    ("FIN", b"", {"flags": TCP_ACK | TCP_FIN}, as_it_is, {"wire_packets", "wire_closes"}),
    ("RST", b"", {"flags": TCP_RST}, as_it_is, {"wire_packets", "wire_closes"}),
    ("FIN, spoilt", b"", {"flags": TCP_ACK | TCP_FIN}, spoilt, {"wire_packets"}),
    ("FIN, spoilt, with a reply", WHOLE, {"flags": TCP_ACK | TCP_FIN}, spoilt, {"wire_packets"}),
    ("FIN with a reply", WHOLE, {"flags": TCP_FIN}, as_it_is, {*TAKEN, "wire_closes"}),
    ("header too short", b"", {}, with_byte(OFFSET_BYTE, 0x40), {"wire_packets"}),
    ("header too short, FIN", b"", {"flags": TCP_FIN}, with_byte(OFFSET_BYTE, 0x40), {"wire_packets"}),
    ("header longer than all", b"", {}, with_byte(OFFSET_BYTE, 0x60), {"wire_packets"}),
    ("header longer than all, FIN", b"", {"flags": TCP_FIN}, with_byte(OFFSET_BYTE, 0x60), {"wire_packets"}),
    ("not IPv4", WHOLE, {}, with_byte(ETHERNET - 1, 6), {"not_ours"}),
    ("version 6", WHOLE, {}, with_byte(ETHERNET, 0x65), {"not_ours"}),
    ("another protocol", WHOLE, {}, with_byte(ETHERNET + 9, 7), {"not_ours"}),
    ("short IPv4 header", WHOLE, {}, with_byte(ETHERNET, 0x44), {"not_ours"}),
    ("first fragment", WHOLE, {}, with_byte(ETHERNET + 6, 0x20), {"not_ours"}),
    ("later fragment", WHOLE, {}, with_byte(ETHERNET + 7, 1), {"not_ours"}),
    ("do not fragment", WHOLE, {}, with_byte(ETHERNET + 6, 0x40), TAKEN),
    ("no room for TCP", WHOLE, {}, with_byte(ETHERNET + 3, 39), {"not_ours"}),
    ("just room for TCP", WHOLE, {}, with_byte(ETHERNET + 3, 40), {"wire_packets"}),
    ("cut in the header", WHOLE, {}, lambda frame: frame[: ETHERNET + 39], {"not_ours"}),
    ("of another peer", WHOLE, {"src": ("10.77.0.9", 26450)}, as_it_is, {"not_ours"}),
    ("of another port", WHOLE, {"src": (REMOTE, 26451)}, as_it_is, {"not_ours"}),
    ("to another address", WHOLE, {}, with_byte(ETHERNET + 19, 9), {"not_ours"}),
    ("to another port", WHOLE, {}, with_byte(ETHERNET + 22, 0), {"not_ours"}),
]  # fmt: skip


def counted(day: Day, frame: bytes) -> set[str]:
    """What both count of it, but for frames, events and what the reply itself does."""
    names = ("not_ours", *(name for name in COUNTERS if name.startswith("wire_")), "reply_packets")
    before = dict(day.twin.model.counter)
    day.twin.packet(frame)
    return {name for name in names if day.twin.model.counter[name] != before[name]}


@pytest.fixture
def quiet(loaded: Hook) -> Iterator[Day]:
    """A day on which the next reply is expected at `SEQ`, and 300 bytes are sent and not merged."""
    day = trading_day(loaded)
    day.scenario.desk.protocol = "ouch50"
    day.twin.set_template("protocol", 1)
    day.twin.align()
    seq = day.twin.model.wire.merged_seq
    day.twin.set_word((seq + 300) % 2**32, 2)
    day.twin.set_sync(SEQ, day.twin.model.session.expected_seq)
    try:
        yield day
        day.twin.compare_state()
        _count(day.twin)
    finally:
        day.close()


@pytest.mark.parametrize("case", SEGMENTS, ids=named_of(SEGMENTS))
def test_what_comes_in_is_read_by_both(quiet: Day, case: tuple[str, bytes, Any, Any, set[str]]) -> None:
    _, payload, changed, spoil, expected = case
    assert counted(quiet, spoil(tcp(quiet, payload, **changed))) == expected


def as_told(day: Day) -> None:
    """Nothing is changed."""
    del day


def nothing_unmerged(day: Day) -> None:
    day.twin.set_word(day.twin.model.wire.seq)


def being_written(day: Day) -> None:
    day.twin.set_held_version(5)


def ports_in_the_address(day: Day) -> None:
    """What stands where TCP begins behind an IPv4 header of 16 bytes: the ports are those of the connection."""
    here = bytes(map(int, day.twin.lone.local[0].split(".")))
    ports = int.from_bytes(here[:2]), int.from_bytes(here[2:])
    day.twin.set_names((REMOTE, ports[0]), (day.twin.lone.local[0], ports[1]))


ONLY, HELD = {"wire_packets"}, {"wire_packets", "wire_acks_held"}
# How many bytes more it acknowledges than are merged, of the 300 that were sent.
ACKS: list[tuple[str, int, dict[str, Any], Callable[[Day], None], Callable[[bytes], bytes], set[str]]] = [
    ("what is merged", 0, {}, as_told, as_it_is, ONLY),
    ("less", -1, {}, as_told, as_it_is, ONLY),
    ("a byte", 1, {}, as_told, as_it_is, HELD),
    ("all that was sent", 300, {}, as_told, as_it_is, HELD),
    ("what never was", 301, {}, as_told, as_it_is, ONLY),
    ("far away", 2**31, {}, as_told, as_it_is, ONLY),
    ("no flag ACK", 1, {"flags": TCP_PSH}, as_told, as_it_is, ONLY),
    ("spoilt", 1, {}, as_told, spoilt, ONLY),
    ("nothing unmerged", 1, {}, nothing_unmerged, as_it_is, ONLY),
    ("being written", 1, {}, being_written, as_it_is, HELD),
    ("with time stamps", 1, {"timestamps": (77, 88)}, as_told, as_it_is, HELD),
    ("with another option", 1, {"timestamps": (77, 88)}, as_told, with_byte(ETHERNET + 42, 5), HELD),
    ("with FIN", 1, {"flags": TCP_ACK | TCP_FIN}, as_told, as_it_is, {*HELD, "wire_closes"}),
    ("with a reply", 1, {"payload": WHOLE}, as_told, as_it_is, {*HELD, "reply_packets", "wire_replies"}),
    ("short IPv4 header", 1, {}, ports_in_the_address, with_byte(ETHERNET, 0x44), {"not_ours"}),
    ("with a reply, spoilt", 1, {"payload": WHOLE}, as_told, spoilt, ONLY),
    ("with replies of other bytes", 1, {"payload": WHOLE[:-1]}, as_told, as_it_is, {*HELD, *LEFT}),
]


@pytest.mark.parametrize("case", ACKS, ids=named_of(ACKS))
def test_acknowledgements_are_held_by_both(quiet: Day, case: tuple[str, int, Any, Any, Any, set[str]]) -> None:
    _, apart, changed, arrange, spoil, expected = case
    arrange(quiet)
    ack = (quiet.twin.model.wire.merged_seq + apart) % 2**32
    assert counted(quiet, spoil(tcp(quiet, **{"ack": ack} | changed))) == expected


def told(**words: int) -> Callable[[Day], None]:
    return lambda day: day.twin.set_session(**words)


def synced(seq: int, more: int) -> Callable[[Day], None]:
    """User space has read to there, and so many replies more than are expected."""
    return lambda day: day.twin.set_sync(seq, day.twin.model.session.expected_seq + more)


def replies_missing(day: Day) -> None:
    day.twin.set_session(highest_seq=day.twin.model.session.expected_seq + 1)


def nobody_logged_in(day: Day) -> None:
    day.twin.set_session(expected_seq=0, highest_seq=0)
    day.twin.set_sync(SEQ, 0)


def late_in_the_day(number: int) -> Callable[[Day], None]:
    """The next reply has that number."""

    def arrange(day: Day) -> None:
        day.twin.set_session(expected_seq=number, highest_seq=number)
        day.twin.set_sync(SEQ, number)

    return arrange


def heard_before(day: Day) -> None:
    """The hook has read up to `SEQ` itself; user space is behind."""
    assert counted(day, tcp(day, H, seq=SEQ - 3)) == LEFT
    day.twin.set_sync(SEQ - 3, day.twin.model.session.expected_seq)
    assert counted(day, tcp(day, H, seq=SEQ - 3)) == LEFT - {"wire_replies_left"}


# What is so when a good reply comes, and whether it is applied.
STANDS: list[tuple[str, Callable[[Day], None], set[str]]] = [
    ("as told", as_told, TAKEN),
    ("the hook's own place", heard_before, TAKEN),
    ("another place", synced(SEQ - 1, 0), LEFT),
    ("another number", synced(SEQ, 1), LEFT),
    ("suspect", told(health=SessionHealth.SUSPECT), LEFT),
    ("recovering", told(health=SessionHealth.RECOVERING), LEFT),
    ("down", told(health=SessionHealth.DOWN), LEFT),
    ("replies are missing", replies_missing, LEFT),
    ("nobody logged in", nobody_logged_in, LEFT),
    ("the last number but one", late_in_the_day(2**32 - 2), TAKEN),
    ("the last number", late_in_the_day(2**32 - 1), LEFT),
]


@pytest.mark.parametrize("case", STANDS, ids=named_of(STANDS))
def test_a_reply_is_applied_by_both_where_the_stream_stands(
    quiet: Day, case: tuple[str, Callable[[Day], None], set[str]]
) -> None:
    _, arrange, expected = case
    arrange(quiet)
    assert counted(quiet, tcp(quiet, WHOLE)) == expected


def test_a_reply_in_doubt_does_not_stop_those_behind_it(quiet: Day) -> None:
    """Each counts once, and what comes after is where the segment ended."""
    unknown = ouch50.Rejected(timestamp=0, user_ref_num=4000, reason=1, cl_ord_id="").encode()
    first = quiet.twin.model.session.expected_seq
    taken = sequenced(EVENT, unknown, b"", EVENT)
    assert counted(quiet, tcp(quiet, taken)) == TAKEN
    assert quiet.twin.model.session.health == SessionHealth.SUSPECT
    assert quiet.twin.model.wire.reply_next == ((SEQ + len(taken)) % 2**32, first + 4)
    assert counted(quiet, tcp(quiet, WHOLE, seq=(SEQ + len(taken)) % 2**32)) == LEFT


def test_what_a_longer_segment_left_behind_is_read_by_neither(quiet: Day) -> None:
    """A packet of nothing at the end, where the segment before it had an H in the place of its type."""
    before = H * 20
    nothing = WHOLE * 3 + b"\0\0"
    assert before[len(nothing)] == ord("H")
    assert counted(quiet, tcp(quiet, before)) == TAKEN - {"wire_replies"}
    assert counted(quiet, tcp(quiet, nothing, seq=(SEQ + len(before)) % 2**32)) == LEFT


# A run that never sends, refuses, holds or leaves anything proves nothing.
_REACHED = (
    *(f"refused {reason.name.lower()}" for reason in Reason if reason.name.startswith("WIRE_")),
    *(f"handed {reason.name.lower()}" for reason in PASSING),
    *("handed together", "handed, and others refused"),
    *("refused lease", "refused no_room", "orders", "cancels", "order_frames", "fills"),
    *(name for name in COUNTERS if name.startswith("wire_")),
    *("event replaced", "event executed", "event session_suspect", "event shadow", "shadow wire_down"),
)


def test_fuzz_reaches_all_of_the_rule() -> None:
    long_run = settings().max_examples >= FUZZ_EXAMPLES
    assert _frames >= (100_000 if long_run else 3000)
    assert _unsettled * 20 <= _frames
    missing = [name for name in _REACHED if not _did[name]]
    assert not missing, f"no frame ever reached {missing}"

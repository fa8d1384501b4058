"""An engine on a live TCP connection: lab, a peer that logs every byte, a feed whose ticks ask for an order each.

The peer is a plain socket: what TCP itself hands to an application is the judge of what arrived.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from adverse_lab import Line, adverse_lab
from netem_lab import Netem, netem_lab
from turbo_hft import netns
from turbo_hft._native import lib
from turbo_hft.addresses import OrderSession
from turbo_hft.delegated import Connection, connect
from turbo_hft.engine import Engine
from turbo_hft.lab import Lab, LabAddresses
from turbo_hft.latency.script import FIRST_TIME_NS, add_order, delete_order, feed_frame, listing
from turbo_hft.latency.threshold import Threshold
from turbo_hft.latency.work import Work, configure
from turbo_hft.wire import moldudp64, ouch50, soupbintcp, ufo
from turbo_hft.wire.itch50 import SystemEvent

WAIT_S = 20
HEARTBEAT = b"\x00\x01R"  # of a SoupBinTCP client
SERVER_HEARTBEAT = b"\x00\x01H"
SESSION = "WIRE000001"
ORDINARY_EVERY = 20  # orders of `trade`
_STOCK = b"AAPL    "
_PRICES = 64
_CHUNK = 1 << 20
_SOL_PACKET = 263
_PACKET_QDISC_BYPASS = 20


def wait_for(what: Callable[[], bool], why: str) -> None:
    """Until `what` holds; AssertionError `why` after 20 s."""
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end, why
        time.sleep(0.0002)


class Peer:
    """The exchange's end of the connection. `stream`: every byte that came; `ended`: closed, `reset`: by a RST."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock
        self.stream = bytearray()
        self.ended = False
        self.reset = False
        self.said = 0

    def read(self) -> int:
        """Take what there is; how many bytes."""
        before = len(self.stream)
        while not self.ended:
            try:
                data = self.socket.recv(_CHUNK)
            except BlockingIOError:
                break
            except ConnectionResetError:
                self.reset = self.ended = True
                break
            self.ended = not data
            self.stream += data
        return len(self.stream) - before

    def answer(self) -> None:
        """Read, and say something, so that acknowledgements come as they do from an exchange: with its replies."""
        self.read()
        try:
            self.said += self.socket.send(SERVER_HEARTBEAT)
        except BlockingIOError:
            return  # the other side does not read
        except (BrokenPipeError, ConnectionResetError):
            self.reset = self.ended = True

    def await_bytes(self, length: int) -> None:
        """Read until `length` bytes have come in all."""

        def enough() -> bool:
            self.read()
            return len(self.stream) >= length

        wait_for(enough, f"{len(self.stream)} of {length} bytes came")


def rejected(user_ref: int) -> bytes:
    """The exchange's answer that ends an order."""
    return ouch50.Rejected(timestamp=0, user_ref_num=user_ref, reason=1, cl_ord_id="TURBO-HFT").encode()


class Ticks:
    """A feed of one symbol: `tick` sends the packet that asks for the next order."""

    def __init__(self, send: Callable[[bytes], object]) -> None:
        self._send = send
        self._sequence = 1
        self._time_ns = FIRST_TIME_NS
        self._ref = 1000
        self.threshold = Threshold()
        opening = [SystemEvent(stock_locate=0, tracking_number=0, timestamp=FIRST_TIME_NS, event_code="Q").encode()]
        opening += listing(1, self.threshold.symbol)
        bid = self.threshold.buy_below_e4 - 100 * self.threshold.tick_e4
        opening.append(add_order(1, FIRST_TIME_NS, 1, "B", 500, _STOCK, bid))
        self._packet(opening)

    def _packet(self, messages: list[bytes]) -> None:
        self._send(moldudp64.Packet(SESSION, self._sequence, tuple(messages)).encode())
        self._sequence += len(messages)

    def price(self) -> int:
        """Of the offer that the next tick brings, 1/10000 dollar."""
        return self.threshold.buy_below_e4 - self.threshold.tick_e4 * ((self._ref + 1) % _PRICES)

    def tick(self) -> int:
        """Take the last offer away, bring another: its price."""
        price = self.price()
        self._ref += 1
        self._time_ns += 1000
        messages = [add_order(1, self._time_ns, self._ref, "S", 500, _STOCK, price)]
        if self._ref > 1001:
            messages.insert(0, delete_order(1, self._time_ns, self._ref - 1))
        self._packet(messages)
        return price

    def order(self, user_ref: int, price: int) -> bytes:
        """What the tick at that price asks for, as it has to be on the wire."""
        return ufo.encode_upstream(ufo.Unsequenced(self.threshold.order(user_ref, price).encode()))


class WireRig:
    """`engine` trades on `connection`; `peer` has the other end. `expected`: what it is to have received so far."""

    def __init__(
        self,
        lab: LabAddresses,
        engine: Engine,
        exchange: str,
        remote: tuple[str, int],
        feed: socket.socket,
        listener: socket.socket | None = None,
    ) -> None:
        """`exchange`: the peer's namespace. `listener`: where the connection is accepted; None: somebody else does."""
        self.exchange = exchange
        self.lab = lab
        self.engine = engine
        self._listener = listener
        self._feed = feed
        self.session = OrderSession(
            local=(lab.host_address, 0),
            remote=remote,
            local_mac=lab.host_mac,
            remote_mac=lab.exchange_mac,
            username="",
            password="",
            transport="soupbintcp",
        )
        self._tallies = engine.program.share("tallies")
        self._session = engine.program.share("session_state")
        self.expected = bytearray()
        self.heard = bytearray()
        self.replies = 1  # number of the next
        self.user_ref = 0
        self.socket: socket.socket
        self.peer: Peer
        self.connection: Connection
        self.ticks: Ticks

    def open(self, *, pair: tuple[socket.socket, socket.socket] | None = None, **options: Any) -> None:
        """Connect, hand the connection over, log in, and open the market; not armed yet.

        `pair`: both ends of a connection that stands already. `options` of `Connection`.
        """
        at = self.lab
        configure(self.engine, at, Work((Threshold(),)), self.session)
        self.engine.attach()
        if pair is not None:
            self.socket, self.peer = pair[0], Peer(pair[1])
        else:
            self.socket = connect(self.session)
        if pair is None and self._listener is not None:
            self.peer = Peer(self._listener.accept()[0])
        self.connection = Connection(self.engine, self.session, self.socket, **{"poll_s": 20e-6, **options})
        self.engine.hear(ufo.LoginAccepted(SESSION, 1).encode())
        self.engine.lease.forever()
        self.ticks = Ticks(lambda packet: self._feed.send(feed_frame(at, packet)))
        wait_for(lambda: self.engine.feed.health == "live", "the feed is not live")
        self.engine.resume()

    def reject(self, user_ref: int) -> None:
        """The exchange's answer, as user space hands it on: the order is over."""
        self.engine.hear(ufo.Sequenced(self.replies, (rejected(user_ref),)).encode())
        self.replies += 1

    def fire(self, *, answer: bool = True, over: bool = True) -> bool:
        """One tick: whether an order left on it. `over`: it is rejected at once, so that the next may ask again.

        `answer`: the peer reads it and says something.
        """
        before, next_ref = self._decided(), self._session[0].next_user_ref or 1
        price = self.ticks.tick()
        # The hook runs inside the sender's system call, unless another CPU is serving the same queue at that moment.
        end = time.monotonic() + WAIT_S
        while self._decided() == before:
            assert time.monotonic() < end, "a tick was not decided upon"
        left = self._session[0].next_user_ref not in (0, next_ref)
        if left:
            self.user_ref = next_ref
            self.expected += self.ticks.order(self.user_ref, price)
            if answer:
                self.peer.answer()
            if over:
                self.reject(self.user_ref)
            if answer:
                self.hear()
        return left

    def _decided(self) -> int:
        """Decisions so far, of whatever kind."""
        counter, refused = self._tallies[0].counter, self._tallies[0].refused
        waits = counter[lib.HFT_C_WAIT_IN_FLIGHT] + counter[lib.HFT_C_WAIT_LIMIT]
        return int(counter[lib.HFT_C_ORDERS] + waits) + sum(int(count) for count in refused)

    def hear(self) -> None:
        """Read what the peer said."""
        while data := self.connection.recv():
            self.heard += data

    def send(self, data: bytes = HEARTBEAT) -> None:
        """An ordinary send between those of the hook."""
        self.connection.send(data)
        self.expected += data

    def agree(self) -> None:
        """All that was sent has come, byte for byte, and no more."""
        self.peer.await_bytes(len(self.expected))
        assert self.peer.stream == self.expected

    @property
    def wire(self) -> Any:
        """``struct hft_tcp_wire``, as the hook has it."""
        return self.engine.wire[0][0]

    def refused(self, reason: str) -> int:
        """How often the gate refused for that reason."""
        return self.engine.refusals()[reason]

    def close(self) -> None:
        """Give everything back."""
        self.engine.halt()
        if hasattr(self, "connection"):
            self.connection.close()
        for sock in (getattr(self, "socket", None), getattr(self, "peer", None)):
            if sock is not None:
                (sock if isinstance(sock, socket.socket) else sock.socket).close()


class Reader:
    """User space, as `turbo_hft.order_link` does it: reads the stream, hands on every message, says how far it is."""

    def __init__(self, rig: WireRig) -> None:
        self.rig = rig
        self.decoder = soupbintcp.Decoder()
        self.number = 1
        rig.connection.sync(0, 1)

    def read(self) -> int:
        """All there is; how many messages."""
        found = 0
        while data := self.rig.connection.recv():
            self.decoder.feed(data)
            for packet in self.decoder:
                if isinstance(packet, soupbintcp.SequencedData):
                    self.rig.engine.hear(ufo.Sequenced(self.number, (packet.message,)).encode())
                    self.number += 1
                    found += 1
        self.rig.connection.sync(self.decoder.pending, self.number)
        return found


def sequenced(*user_refs: int) -> bytes:
    """Packets of the server that end these orders."""
    return b"".join(soupbintcp.SequencedData(rejected(ref)).encode() for ref in user_refs)


def listen(at: LabAddresses, receive_buffer: int) -> socket.socket:
    listener = socket.create_server((at.exchange_address, 0))
    if receive_buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    listener.settimeout(WAIT_S)
    return listener


def feed_socket(at: LabAddresses, *, past_queue: bool = False) -> socket.socket:
    """Into the wire at its other end: the hook has run when the call returns. `past_queue`: netem there has no say."""
    feed = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    feed.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, past_queue)
    feed.bind((at.peer, 0))
    return feed


@contextmanager
def _rig(at: LabAddresses, exchange: str, settings: dict[str, Any]) -> Iterator[WireRig]:
    receive_buffer, past_queue = settings.pop("receive_buffer", 0), settings.pop("past_queue", False)
    with (
        Engine.open(at.device, transport="soupbintcp", **settings) as engine,
        netns.run_in(exchange, lambda: listen(at, receive_buffer)) as listener,
        netns.run_in(at.namespace, lambda: feed_socket(at, past_queue=past_queue)) as feed,
    ):
        rig = WireRig(at, engine, exchange, listener.getsockname(), feed, listener)
        try:
            yield rig
        finally:
            rig.close()


@contextmanager
def wire_rig(number: int, **settings: Any) -> Iterator[WireRig]:
    """A raised lab with an engine, not opened yet; `number` (1 to 99) keeps labs apart. Nothing of it stays.

    `receive_buffer`: bytes of the peer's; `settings` of the engine.
    """
    raised = Lab(f"hft_wire{number}", f"hftw{number}a", f"hftw{number}b", f"10.79.{number}.0/24")
    with raised, _rig(raised.addresses, raised.addresses.namespace, settings) as rig:
        yield rig


@contextmanager
def adverse_rig(number: int, seed: int, **line: Any) -> Iterator[tuple[WireRig, Line]]:
    """The same behind a bad line (`adverse_lab`), and the line."""
    with adverse_lab(number, seed, **line) as (at, exchange, bad), _rig(at, exchange, {}) as rig:
        yield rig, bad


@contextmanager
def netem_rig(number: int, **settings: float) -> Iterator[tuple[WireRig, Netem]]:
    """The same behind a line of the kernel's own netem (`netem_lab`), and the line."""
    with netem_lab(number, **settings) as (at, exchange, line), _rig(at, exchange, {"past_queue": True}) as rig:
        yield rig, line


def trade(rig: WireRig, orders: int) -> int:
    """Ticks until so many orders have left, an ordinary send now and then; how many ticks were refused."""
    left = refused = 0
    while left < orders:
        if rig.fire():
            left += 1
            if left % ORDINARY_EVERY == 0:
                rig.send()
        else:
            refused += 1
            rig.peer.answer()
            rig.hear()
    return refused

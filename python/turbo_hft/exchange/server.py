"""The exchange on the network: sockets, pacing, signals.

One thread. After every packet of the feed the order sockets are read before the next packet is made. That matters
on a veth pair: the receiver's XDP program runs inside our send(), so an order that a packet causes lies in the order
socket before send() has returned. Order entry over TCP is read at the same place, a system call for each client that
is connected. New connections, re-requests and snapshots come after the orders, and are looked at a few thousand times a
second at most.
"""

from __future__ import annotations

import errno
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from types import FrameType

from turbo_hft.errors import ExchangeError
from turbo_hft.exchange.config import ExchangeConfig
from turbo_hft.exchange.core import SECOND_NS, ExchangeCore, Phase, Reply
from turbo_hft.exchange.feed_line import FeedLine
from turbo_hft.exchange.glimpse_server import GlimpseServer
from turbo_hft.exchange.interfaces import mac_of
from turbo_hft.exchange.line import CommonLoss, Faults, Line
from turbo_hft.exchange.recording import Capture
from turbo_hft.exchange.rerequest import RerequestServer
from turbo_hft.exchange.soup_port import MAX_CLIENTS
from turbo_hft.exchange.tcp_server import Start, TcpServer
from turbo_hft.wire.frame import multicast_mac

_RECEIVE_BUFFER = 1 << 20
_DATAGRAM = 65_535
# A sleep shorter than this overshoots: the rest of a pause is spent looking at the sockets.
_SPIN_NS = 150_000
_LONGEST_SLEEP_NS = 50_000_000
# What was published is filed, and who asks for it answered, so often at most: orders come first.
_SERVICE_NS = 200_000
_REQUESTS = 64  # handled at a time
_GOODBYE_NS = SECOND_NS  # for clients of streams to take the end of the day


class Exchange:
    """A session with its sockets. `core` is open to look at; `run` returns the summary."""

    def __init__(self, config: ExchangeConfig) -> None:
        self.config = config
        self.core = ExchangeCore(config)
        self.send_failures = 0
        self.lines: dict[str, FeedLine] = {}
        self.rerequest: RerequestServer | None = None
        self.glimpse: GlimpseServer | None = None
        self.streams: tuple[TcpServer, ...] = ()
        self._rerequest_socket: socket.socket | None = None
        self._capture: Capture | None = None
        self._signals = 0
        self._next_service_ns = 0

    def run(self) -> dict[str, object]:
        """Serve one session to its end. Errors: ExchangeError for sockets, namespace, or a client that never came."""
        with ExitStack() as stack:
            stack.callback(self.core.close)
            if self.config.netns is not None:
                _enter_netns(self.config.netns)
            orders = {
                "ouch50": stack.enter_context(self._datagram_socket("order entry", self.config.ouch50_port)),
                "ouch42": stack.enter_context(self._datagram_socket("order entry", self.config.ouch42_port)),
            }
            # SelectSelector, not epoll: its time-outs have microseconds, epoll's only milliseconds.
            selector = stack.enter_context(selectors.SelectSelector())
            for name, sock in orders.items():
                selector.register(sock, selectors.EVENT_READ, name)
            streams = self._open_streams(stack, selector)
            self._open_lines(stack)
            services = self._open_services(stack, selector)
            stack.enter_context(self._handling_signals())
            self._announce({**orders, **streams, **services})
            self._loop(orders, selector)
            self._finish_streams(selector)
        return self.summary()

    def summary(self) -> dict[str, object]:
        """Totals, JSON-ready; the servers' are None if they are off."""
        return {
            **self.core.summary(),
            "send_failures": self.send_failures,
            "lines": {name: line.line.counters() for name, line in self.lines.items()},
            "rerequest": None if self.rerequest is None else self.rerequest.counters(),
            "glimpse": None if self.glimpse is None else self.glimpse.counters(),
        }

    def _loop(self, orders: dict[str, socket.socket], selector: selectors.BaseSelector) -> None:
        core = self.core
        lines = tuple(self.lines.values())
        faulty = [line for line in lines if not line.line.perfect]
        handled = 0
        while core.phase is not Phase.ENDED or any(line.line.pending for line in faulty):
            now = time.monotonic_ns()
            if self._signals > handled:
                handled = self._signals
                if core.phase is Phase.ENDED:
                    break  # what is still delayed on a line stays there
                core.stop(now, "signal")
            packet = core.next_packet(now)
            rested = False
            if packet is not None:
                for line in lines:
                    line.publish(packet, now)
            else:
                core.audit.flush()
                rested = self._rest(selector, self._idle_ns(now))
            # Orders before anything the market does next, and before replies that take time to send.
            for name, sock in orders.items():
                self._receive(name, sock, orders)
            now = time.monotonic_ns()
            self._read_streams(now)
            self._reply(orders, core.replies(now))
            self._write_streams(now)
            for line in faulty:
                line.flush(now)
            if rested or now >= self._next_service_ns:
                self._next_service_ns = now + _SERVICE_NS
                self._serve(now)
        self._reply(orders, core.replies(time.monotonic_ns()))

    def _idle_ns(self, now_ns: int) -> int:
        """For how long nothing will be due, if nothing comes."""
        due = [line.line.next_due_ns for line in self.lines.values()]
        if self.rerequest is not None:
            due.append(self.rerequest.next_due_ns)
        if self.glimpse is not None:
            due.append(self.glimpse.next_due_ns)
        due += [each.next_due_ns for each in self.streams]
        others = [max(0, each - now_ns) for each in due if each is not None]
        return min([self.core.idle_ns(now_ns), *others])

    def _rest(self, selector: selectors.BaseSelector, idle_ns: int) -> bool:
        """Sleep for nearly so long, or until something comes; was it worth a sleep?"""
        pause = min(idle_ns, _LONGEST_SLEEP_NS) - _SPIN_NS
        if pause <= 0 or self.config.busy:
            return False
        selector.select(pause / 1e9)
        return True

    def _serve(self, now_ns: int) -> None:
        """File what was published, then answer those who ask for it."""
        self.core.settle()
        if self._capture is not None:
            self._capture.write()
        for streams in self.streams:
            streams.accept(now_ns)
        if self.rerequest is not None and self._rerequest_socket is not None:
            self._serve_rerequests(self.rerequest, self._rerequest_socket, now_ns)
        if self.glimpse is not None:
            self.glimpse.serve(now_ns)

    def _read_streams(self, now_ns: int) -> None:
        for streams in self.streams:
            if streams.busy and self.core.hears(now_ns):
                streams.read(now_ns)

    def _write_streams(self, now_ns: int) -> None:
        for streams in self.streams:
            if streams.busy and self.core.speaks(now_ns):
                streams.write(now_ns)

    def _finish_streams(self, selector: selectors.BaseSelector) -> None:
        """Whoever is there still takes the end of the session, if it does so soon."""
        until_ns = time.monotonic_ns() + _GOODBYE_NS
        while any(streams.busy for streams in self.streams) and (now := time.monotonic_ns()) < until_ns:
            for streams in self.streams:
                streams.read(now)
                streams.write(now)
            selector.select(0.005)

    def _serve_rerequests(self, server: RerequestServer, sock: socket.socket, now_ns: int) -> None:
        for _ in range(_REQUESTS):
            try:
                datagram, address = sock.recvfrom(_DATAGRAM)
            except BlockingIOError:
                break
            except ConnectionRefusedError:
                continue
            server.receive(address, datagram, now_ns)
        for address, reply in server.due(now_ns):
            try:
                sock.sendto(reply, address)
            except OSError:  # an address that cannot be answered is its owner's trouble
                self.send_failures += 1

    def _receive(self, name: str, sock: socket.socket, orders: dict[str, socket.socket]) -> None:
        while True:
            try:
                datagram, address = sock.recvfrom(_DATAGRAM)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                continue  # an ICMP answer to an earlier reply: that client is gone
            self._reply(orders, self.core.on_upstream(name, address, datagram, time.monotonic_ns()))

    def _reply(self, orders: dict[str, socket.socket], replies: list[Reply]) -> None:
        for name, address, datagram in replies:
            self._send(orders[name], datagram, address)

    def _send(self, sock: socket.socket, data: bytes, to: tuple[str, int]) -> bool:
        try:
            sock.sendto(data, to)
        except (BlockingIOError, ConnectionRefusedError):
            self.send_failures += 1  # lost, as UDP may: the receiver sees a gap
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                self.send_failures += 1
                return False
            raise ExchangeError(
                f"cannot send to {to[0]}:{to[1]}: {error.strerror}; is the interface of {self.config.bind} up?"
            ) from error
        else:
            return True
        return False

    def _open_lines(self, stack: ExitStack) -> None:
        config = self.config
        if config.capture is not None:
            names = ["line A"] if config.feed_b is None else ["line A", "line B"]
            self._capture = Capture(config.capture, names, mac_of(config.bind, config.interface))
            stack.callback(self._capture.close)
        common = CommonLoss(config.loss_both, config.seed) if config.loss_both else None

        def add(name: str, to: tuple[str, int], faults: Faults) -> None:
            sock = stack.enter_context(self._feed_socket(to))
            line: Line[bytes] = Line(faults, f"{config.seed} {name}", common)
            self.lines[name] = FeedLine(line, sock, to, self._send, len(self.lines), self._capture)

        add("a", config.feed, config.faults_a)
        if config.feed_b is not None:
            add("b", config.feed_b, config.faults_b)

    def _open_services(self, stack: ExitStack, selector: selectors.BaseSelector) -> dict[str, socket.socket]:
        config = self.config
        services: dict[str, socket.socket] = {}
        if config.rerequest_port is not None:
            sock = stack.enter_context(
                self._datagram_socket("re-request", config.rerequest_port, "free port with --rerequest-port")
            )
            selector.register(sock, selectors.EVENT_READ)
            services["rerequest"] = self._rerequest_socket = sock
            self.rerequest = RerequestServer(
                self.core.history.store_of,
                loss=config.rerequest_loss,
                delay_ns=config.rerequest_delay_ns,
                seed=f"{config.seed} rerequest",
            )
        if config.glimpse_port is not None:
            listener = services["glimpse"] = stack.enter_context(
                self._listener("snapshot", config.glimpse_port, "free port with --glimpse-port")
            )
            delay_ns = int(config.glimpse_delay_s * SECOND_NS)
            self.glimpse = stack.enter_context(
                closing(GlimpseServer(listener, selector, self.core.history, config.accounts, delay_ns=delay_ns))
            )
        return services

    def _open_streams(self, stack: ExitStack, selector: selectors.BaseSelector) -> dict[str, socket.socket]:
        """Order entry over TCP: listeners by their names in the announcement."""
        listeners: dict[str, socket.socket] = {}
        for name, port in (("ouch50", self.config.ouch50_tcp_port), ("ouch42", self.config.ouch42_tcp_port)):
            if port is None:
                continue
            listener = stack.enter_context(self._listener("order entry", port, f"free port with --{name}-tcp"))
            listeners[f"{name}_tcp"] = listener
            streams = TcpServer(
                listener,
                selector,
                self._conversations(name),
                self.core.soup[name].count,
                max_clients=MAX_CLIENTS,
                segment_bytes=self.config.stream_faults.segment_bytes,
            )
            self.streams += (stack.enter_context(closing(streams)),)
        return listeners

    def _conversations(self, name: str) -> Start:
        return lambda peer, now_ns: self.core.connect(name, peer, now_ns)

    def _feed_socket(self, to: tuple[str, int]) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.bind((self.config.bind, 0))
            if multicast_mac(to[0]) is not None:
                index = 0 if self.config.interface is None else socket.if_nametoindex(self.config.interface)
                request = struct.pack("=4s4si", bytes(4), socket.inet_aton(self.config.bind), index)  # struct ip_mreqn
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        except OSError as error:
            sock.close()
            raise self._no_socket("feed", 0, error) from error
        return sock

    def _datagram_socket(self, what: str, port: int, remedy: str = "free port") -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            sock.bind((self.config.bind, port))
            sock.setblocking(False)
        except OSError as error:
            sock.close()
            raise self._no_socket(what, port, error, remedy) from error
        return sock

    def _listener(self, what: str, port: int, remedy: str) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # Connections of an exchange that ended just now still hold the port for a minute otherwise.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self.config.bind, port))
            sock.listen()
            sock.setblocking(False)
        except OSError as error:
            sock.close()
            raise self._no_socket(what, port, error, remedy) from error
        return sock

    def _no_socket(self, what: str, port: int, error: OSError, remedy: str = "free port") -> ExchangeError:
        where = f"{self.config.bind}:{port}" + (f" in {self.config.netns}" if self.config.netns else "")
        return ExchangeError(
            f"no {what} socket on {where}: {error.strerror or error}; bring the lab up, or name an address of this "
            f"host with --bind and a {remedy}"
        )

    def _announce(self, sockets: dict[str, socket.socket]) -> None:
        ports = ", ".join(f"{name} {sock.getsockname()[0]}:{sock.getsockname()[1]}" for name, sock in sockets.items())
        where = " and ".join(f"{line.to[0]}:{line.to[1]}" for line in self.lines.values())
        print(f"exchange ready: session {self.config.session}, feed {where}, {ports}", file=sys.stderr, flush=True)

    @contextmanager
    def _handling_signals(self) -> Iterator[None]:
        def note(number: int, frame: FrameType | None) -> None:
            del number, frame
            self._signals += 1

        try:
            old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread: whoever embeds the exchange stops it through `core.stop`
            old = {}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


def _enter_netns(name: str) -> None:
    from pyroute2 import netns

    try:
        netns.setns(name, flags=0)  # the default would create it
    except OSError as error:
        raise ExchangeError(
            f"cannot enter network namespace {name}: {error.strerror or error}; bring the lab up first, and run with "
            "CAP_SYS_ADMIN (root)"
        ) from error

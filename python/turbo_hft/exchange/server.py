"""The exchange on the network: sockets, pacing, signals.

One thread. After every packet of the feed the order sockets are read before the next packet is made. That matters
on a veth pair: the receiver's XDP program runs inside our send(), so an order that a packet causes lies in the order
socket before send() has returned.
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
from contextlib import ExitStack, contextmanager
from types import FrameType

from turbo_hft.errors import ExchangeError
from turbo_hft.exchange.config import ExchangeConfig
from turbo_hft.exchange.core import ExchangeCore, Phase, Reply

_RECEIVE_BUFFER = 1 << 20
_DATAGRAM = 65_535
# A sleep shorter than this overshoots: the rest of a pause is spent looking at the sockets.
_SPIN_NS = 150_000
_LONGEST_SLEEP_NS = 50_000_000
_FIRST_MULTICAST, _LAST_MULTICAST = 224, 239


class Exchange:
    """A session with its sockets. `core` is open to look at; `run` returns the summary."""

    def __init__(self, config: ExchangeConfig) -> None:
        self.config = config
        self.core = ExchangeCore(config)
        self.send_failures = 0
        self._signals = 0

    def run(self) -> dict[str, object]:
        """Serve one session to its end. Errors: ExchangeError for sockets, namespace, or a client that never came."""
        try:
            with ExitStack() as stack:
                if self.config.netns is not None:
                    _enter_netns(self.config.netns)
                feed = stack.enter_context(self._feed_socket())
                orders = {
                    "ouch50": stack.enter_context(self._order_socket(self.config.ouch50_port)),
                    "ouch42": stack.enter_context(self._order_socket(self.config.ouch42_port)),
                }
                # SelectSelector, not epoll: its time-outs have microseconds, epoll's only milliseconds.
                selector = stack.enter_context(selectors.SelectSelector())
                for name, sock in orders.items():
                    selector.register(sock, selectors.EVENT_READ, name)
                stack.enter_context(self._handling_signals())
                self._announce(orders)
                self._loop(feed, orders, selector)
        finally:
            self.core.audit.close()
        return {**self.core.summary(), "send_failures": self.send_failures}

    def _loop(self, feed: socket.socket, orders: dict[str, socket.socket], selector: selectors.BaseSelector) -> None:
        core = self.core
        handled = 0
        while core.phase is not Phase.ENDED:
            now = time.monotonic_ns()
            if self._signals > handled:
                handled = self._signals
                core.stop(now, "signal")
            packet = core.next_packet(now)
            if packet is not None:
                self._send(feed, packet, self.config.feed)
            else:
                core.audit.flush()
                self._rest(selector, core.idle_ns(now))
            # Orders before anything the market does next, and before replies that take time to send.
            for name, sock in orders.items():
                self._receive(name, sock, orders)
            self._reply(orders, core.replies(time.monotonic_ns()))
        self._reply(orders, core.replies(time.monotonic_ns()))

    def _rest(self, selector: selectors.BaseSelector, idle_ns: int) -> None:
        pause = min(idle_ns, _LONGEST_SLEEP_NS) - _SPIN_NS
        if pause > 0 and not self.config.busy:
            selector.select(pause / 1e9)

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

    def _send(self, sock: socket.socket, data: bytes, to: tuple[str, int]) -> None:
        try:
            sock.sendto(data, to)
        except (BlockingIOError, ConnectionRefusedError):
            self.send_failures += 1  # lost, as UDP may: the receiver sees a gap
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                self.send_failures += 1
                return
            raise ExchangeError(
                f"cannot send to {to[0]}:{to[1]}: {error.strerror}; is the interface of {self.config.bind} up?"
            ) from error

    def _feed_socket(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.bind((self.config.bind, 0))
            if _FIRST_MULTICAST <= int(self.config.feed[0].split(".")[0]) <= _LAST_MULTICAST:
                index = 0 if self.config.interface is None else socket.if_nametoindex(self.config.interface)
                request = struct.pack("=4s4si", bytes(4), socket.inet_aton(self.config.bind), index)  # struct ip_mreqn
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        except OSError as error:
            sock.close()
            raise self._no_socket("feed", 0, error) from error
        return sock

    def _order_socket(self, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            sock.bind((self.config.bind, port))
            sock.setblocking(False)
        except OSError as error:
            sock.close()
            raise self._no_socket("order entry", port, error) from error
        return sock

    def _no_socket(self, what: str, port: int, error: OSError) -> ExchangeError:
        where = f"{self.config.bind}:{port}" + (f" in {self.config.netns}" if self.config.netns else "")
        return ExchangeError(
            f"no {what} socket on {where}: {error.strerror or error}; bring the lab up, or name an address of this "
            "host with --bind and a free port"
        )

    def _announce(self, orders: dict[str, socket.socket]) -> None:
        ports = ", ".join(f"{name} {sock.getsockname()[0]}:{sock.getsockname()[1]}" for name, sock in orders.items())
        where = f"{self.config.feed[0]}:{self.config.feed[1]}"
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

"""The two sockets of a peer, and its login: the feed's group, and order entry."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from types import TracebackType

from turbo_hft.errors import ExchangeError
from turbo_hft.lab import PASSWORD, USERNAME, LabAddresses
from turbo_hft.wire import ouch50, ufo

LARGEST_DATAGRAM = 65_535
_BUFFER_BYTES = 1 << 26
_SO_RCVBUFFORCE, _SO_MEMINFO, _SO_INCOMING_NAPI_ID = 33, 55, 56  # asm-generic/socket.h
_DROPS = 8  # linux/sock_diag.h: SK_MEMINFO_DROPS
_SO_BUSY_POLL, _SO_PREFER_BUSY_POLL, _SO_BUSY_POLL_BUDGET = 46, 69, 70
_RESEND_S = 0.2


class PeerSockets:
    """`feed` is a member of the group, `entry` is connected to order entry; both have room for many packets.

    A context manager. Raises ExchangeError when an address is taken or is not on this machine.
    """

    def __init__(self, addresses: LabAddresses) -> None:
        self._exchange = (addresses.exchange_address, addresses.ouch50_port)
        self.feed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.entry = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            for one in (self.feed, self.entry):
                try:
                    one.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
                except OSError:  # without CAP_NET_ADMIN: as much as the system allows
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            self.feed.bind((addresses.feed_group, addresses.feed_port))
            membership = socket.inet_aton(addresses.feed_group) + socket.inet_aton(addresses.host_address)
            self.feed.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
            self.entry.bind((addresses.host_address, addresses.engine_port))
            self.entry.connect(self._exchange)
        except OSError as failed:
            self.close()
            raise ExchangeError(
                f"cannot listen on {addresses.feed_group}:{addresses.feed_port} and use {addresses.host_address}:"
                f"{addresses.engine_port} ({failed}): is the rig up, and nobody else on it?"
            ) from failed

    def busy_poll(self, microseconds: int, budget: int = 64) -> None:
        """Have a blocking receive poll the device for so long before it sleeps. Raises ExchangeError if refused."""
        try:
            for one in (self.feed, self.entry):
                one.setsockopt(socket.SOL_SOCKET, _SO_PREFER_BUSY_POLL, 1)
                one.setsockopt(socket.SOL_SOCKET, _SO_BUSY_POLL, microseconds)
                one.setsockopt(socket.SOL_SOCKET, _SO_BUSY_POLL_BUDGET, budget)
        except OSError as refused:
            raise ExchangeError(f"SO_BUSY_POLL is refused ({refused}): it needs CAP_NET_ADMIN") from refused

    def login(self, hear: Callable[[bytes], None], timeout_s: float = 5.0) -> int:
        """Log in and ask for the next UserRefNum, which is returned; every reply of the way goes to `hear`.

        Raises ExchangeError when the exchange refuses or does not answer.
        """
        deadline = time.monotonic() + timeout_s

        def accepted(answer: ufo.Downstream) -> bool:
            if isinstance(answer, ufo.LoginRejected):
                raise ExchangeError(f"the login as {USERNAME} was rejected ({answer.reason}): check the rig's account")
            return isinstance(answer, ufo.LoginAccepted)

        def next_ref(answer: ufo.Downstream) -> int:
            for raw in answer.messages if isinstance(answer, ufo.Sequenced) else ():
                reply = ouch50.decode_outbound(raw)
                if isinstance(reply, ouch50.AccountQueryResponse):
                    return reply.next_user_ref_num
            return 0

        self._ask(ufo.LoginRequest(USERNAME, PASSWORD, session=""), accepted, hear, deadline)
        query = ufo.Unsequenced(ouch50.AccountQuery().encode())
        return int(self._ask(query, next_ref, hear, deadline))

    def _ask(
        self,
        request: ufo.Upstream,
        found: Callable[[ufo.Downstream], int],
        hear: Callable[[bytes], None],
        deadline: float,
    ) -> int:
        """Repeat a request until an answer is what was asked for."""
        datagram = ufo.encode_upstream(request)
        while time.monotonic() < deadline:
            try:
                self.entry.settimeout(_RESEND_S)
                self.entry.send(datagram)
                answer = self.entry.recv(LARGEST_DATAGRAM)
            except (TimeoutError, ConnectionRefusedError):
                continue
            finally:
                self.entry.settimeout(None)
            hear(answer)
            if result := found(ufo.decode_downstream(answer)):
                return result
        raise ExchangeError(f"the exchange at {self._exchange[0]}:{self._exchange[1]} does not answer: is it running?")

    def napi_seen(self) -> bool:
        """Did the last packet of the feed come from a NAPI that a socket can poll? veth has one only with GRO on."""
        return self.feed.getsockopt(socket.SOL_SOCKET, _SO_INCOMING_NAPI_ID) != 0

    def lost(self) -> int:
        """Packets of the feed for which the socket had no room."""
        words = self.feed.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64)
        return int(struct.unpack_from("=I", words, 4 * _DROPS)[0])

    def close(self) -> None:
        """Both."""
        self.feed.close()
        self.entry.close()

    def __enter__(self) -> PeerSockets:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

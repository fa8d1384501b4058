"""A TCP connection that is lent to the hook: opened, armed, written to between the hook's own sends, and given back."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from turbo_hft._native import ffi, lib
from turbo_hft.addresses import OrderSession
from turbo_hft.engine import Engine, Mode
from turbo_hft.errors import CapabilityError, ConfigError, ExchangeError
from turbo_hft.program import interface_index
from turbo_hft.template import ethernet_back

_TIMEOUT_S = 5.0
_CHUNK = 65_536
_NS = 1_000_000_000
_CONGESTION_STATES = ("open", "disorder", "cwr", "recovery", "loss")
_FLAGS = {
    "armed": lib.HFT_WIRE_ARMED,
    "firing": lib.HFT_WIRE_FIRING,
    "held": lib.HFT_WIRE_HELD,
    "closed": lib.HFT_WIRE_CLOSED,
    "waiting": lib.HFT_WIRE_WAITING,
}


class Native(NamedTuple):
    """The C behind a connection: the package's, or another build of it, to test that build."""

    ffi: Any
    lib: Any


@dataclass(frozen=True, slots=True)
class Status:
    """Where a connection stands: counts since it was opened, and its state now.

    `fired`: sends of the hook; `merged` of them are in the kernel's connection, `unmerged` not yet. `sent`: ordinary
    sends. `retries`: times the kernel had no room for a merge. `acks_delivered`: acknowledgements that were held back
    and delivered again. `waiting`: segments of cancels that the hook could not send, and that wait for an ordinary send
    now; `longest_wait_ns` is the longest that one had. `flags`: of armed, firing, held, closed, waiting. `error`:
    empty, or why the connection is lost.
    `congestion` is the kernel's state: open, disorder, cwr, recovery, loss. `send_window` in bytes, `rtt_us` smoothed.
    `keeper`: process that closes the connection should this one die; 0 = it is gone.
    """

    fired: int
    merged: int
    unmerged: int
    batches: int
    sent: int
    waiting: int
    longest_wait_ns: int
    retries: int
    acks_delivered: int
    acks_failed: int
    seq: int
    flags: tuple[str, ...]
    error: str
    congestion: str
    retransmits: int
    total_retransmits: int
    unacknowledged: int
    send_window: int
    rtt_us: int
    keeper: int


def connect(session: OrderSession, timeout_s: float = _TIMEOUT_S) -> socket.socket:
    """A connection to `session.remote` from `session.local`, whose port may be 0: any. Raises ExchangeError.

    A fixed port is a minute late after a restart: TCP keeps the old connection's name for so long.
    """
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(session.local)
        made.settimeout(timeout_s)
        made.connect(session.remote)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise ExchangeError(
            f"no connection from {session.local[0]}:{session.local[1]} to {session.remote[0]}:{session.remote[1]}: "
            f"{error.strerror or error}. Is the exchange up, and the address on the interface?"
        ) from None
    return made


class Connection:
    """A connected socket, lent to the hook of `engine`, which is attached natively, configured and halted.

    Nobody else writes to the socket, shuts it down or closes it meanwhile. `merge_cpu`: CPU for the thread that merges,
    `poll_s`: its pause between two looks (seconds); 0 takes that CPU for itself, as trading wants it. A context
    manager: leaving it disarms and merges; the socket stays open.
    """

    def __init__(
        self,
        engine: Engine,
        session: OrderSession,
        sock: socket.socket,
        *,
        merge_cpu: int | None = None,
        poll_s: float = 0.0,
        native: Native | None = None,
    ) -> None:
        """Raises ConfigError, CapabilityError, ExchangeError for a connection that is lost already."""
        if engine.interface is None or not engine.attached or engine.mode is not Mode.NATIVE:
            raise ConfigError("delegated sends need an engine that is attached to an interface in native mode.")
        if not 0 <= poll_s < 1:
            raise ConfigError(f"poll_s {poll_s}: give seconds, 0 (none) to below 1.")
        if merge_cpu is not None and merge_cpu not in _online():
            raise ConfigError(f"merge_cpu {merge_cpu}: there is no such CPU, or it is off (`lscpu -e`).")
        self._engine = engine
        self._socket = sock
        self._ffi, self._lib = native or Native(ffi, lib)
        self._wire, map_fd, link_fd = engine.wire
        setup = self._ffi.new("struct hft_delegated_setup *")
        setup.socket, setup.wire_fd, setup.link_fd = sock.fileno(), map_fd, link_fd
        setup.wire = self._ffi.cast("struct hft_tcp_wire *", int(ffi.cast("uintptr_t", self._wire)))
        setup.lease_until_ns = self._ffi.cast("unsigned long long *", int(ffi.cast("uintptr_t", engine.lease.word)))
        setup.ifindex = interface_index(engine.interface)
        setup.merge_cpu = -1 if merge_cpu is None else merge_cpu
        setup.poll_ns = int(poll_s * _NS)
        back = ethernet_back(session)
        setup.ethernet_len, setup.ethernet[0 : len(back)] = len(back), back
        engine.pass_over_waiting()
        error = self._ffi.new("int *")
        self._handle = self._lib.hft_delegated_open(setup, error)
        if self._handle == self._ffi.NULL:
            raise _open_error(error[0])
        try:
            engine.connected(replace(session, local=sock.getsockname()), timestamps=bool(self._wire[0].timestamps))
        except BaseException:
            self.close()
            raise

    def arm(self, timeout_s: float = _TIMEOUT_S) -> None:
        """From now on the hook may send. Raises ExchangeError for a connection that is lost or does not send all."""
        self._check(self._lib.hft_delegated_arm(self._handle, int(timeout_s * _NS)), "arm")

    def disarm(self, timeout_s: float = _TIMEOUT_S) -> None:
        """From now on it may not, and all that it sent is merged. Raises ExchangeError if it cannot be."""
        self._check(self._lib.hft_delegated_disarm(self._handle, int(timeout_s * _NS)), "disarm")

    def send(self, data: bytes, timeout_s: float = _TIMEOUT_S) -> None:
        """Send whole SoupBinTCP packets in the ordinary way, between sends of the hook.

        Raises ConfigError for anything else than whole packets; ExchangeError for a connection that is lost, or whose
        wire was not free in time (nothing of it was sent then).
        """
        if not self.offer(data, timeout_s):
            self._check(-errno.ETIMEDOUT, "send")

    def offer(self, data: bytes, timeout_s: float) -> bool:
        """The same, but False when the wire was not free in time. Raises as `send` otherwise."""
        error = self._lib.hft_delegated_send(self._handle, data, len(data), int(timeout_s * _NS))
        if error == -errno.EBADMSG:
            raise ConfigError(f"{len(data)} bytes are not whole SoupBinTCP packets: an order could end up inside")
        if error == -errno.ETIMEDOUT:
            return False
        self._check(error, "send")
        return True

    def recv(self, room: int = _CHUNK) -> bytes | None:
        """What the peer sent, b"" at its end, None if there is nothing now. Raises ExchangeError when it is lost."""
        buffer = self._ffi.new("unsigned char[]", room)
        got = self._lib.hft_delegated_recv(self._handle, buffer, room)
        if got == -errno.EAGAIN:
            return None
        self._check(min(got, 0), "read")
        return bytes(self._ffi.buffer(buffer, got))

    def sync(self, unfinished: int, number: int) -> None:
        """All that was read but the last `unfinished` bytes is handed on to the hook (`Engine.hear`), and the next
        reply is `number`: from there on the hook may take replies from the stream itself."""
        self._lib.hft_delegated_sync(self._handle, unfinished, number)

    @property
    def status(self) -> Status:
        """Where it stands."""
        raw = self._ffi.new("struct hft_delegated_status *")
        self._lib.hft_delegated_status(self._handle, raw)
        values = {name: getattr(raw, name) for name, _ in self._ffi.typeof(raw[0]).fields}
        values["fired"] = self._wire[0].fired
        values["flags"] = tuple(name for name, bit in _FLAGS.items() if raw.flags & bit)
        values["error"] = os.strerror(-raw.error) if raw.error else ""
        values["congestion"] = _CONGESTION_STATES[min(values.pop("ca_state"), len(_CONGESTION_STATES) - 1)]
        return Status(**values)

    def close(self) -> None:
        """Disarm, merge what is left, and give the socket back. Raises ExchangeError if not all could be merged."""
        if self._handle == self._ffi.NULL:
            return
        handle, self._handle = self._handle, self._ffi.NULL
        self._check(self._lib.hft_delegated_close(handle), "close")

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @staticmethod
    def _check(error: int, what: str) -> None:
        if not error:
            return
        why = {
            -errno.EPIPE: "the peer has closed it, or it is lost",
            -errno.ETIMEDOUT: "it was not free in time: is the merging thread starved, or the peer's window closed?",
        }.get(error, os.strerror(-error))
        raise ExchangeError(f"cannot {what} the connection: {why}.")


def _online() -> set[int]:
    """Numbers of the CPUs that are there and on, whatever this process may use now."""
    ranges = Path("/sys/devices/system/cpu/online").read_text().strip().split(",")
    ends = ((int(low), int(high or low)) for low, _, high in (one.partition("-") for one in ranges))
    return {number for low, high in ends for number in range(low, high + 1)}


def _open_error(code: int) -> Exception:
    why = os.strerror(-code)
    if code == -errno.EPERM:
        return CapabilityError("lending a connection to the hook needs CAP_NET_ADMIN and CAP_BPF (or run as root).")
    if code == -errno.ENOTCONN:
        return ExchangeError("the connection is not established (any more).")
    if code == -errno.EPROTONOSUPPORT:
        return ConfigError(
            "the connection has ECN, or TCP time stamps in microseconds, which the hook does not write: set "
            "net.ipv4.tcp_ecn=0, and `ip route change` the route without `features tcp_usec_ts`."
        )
    if code == -errno.EBUSY:
        return ConfigError("this engine has a connection already: close that one first.")
    return ConfigError(f"the connection cannot be lent to the hook: {why}.")

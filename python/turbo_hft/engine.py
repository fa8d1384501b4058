"""The engine: load the program, configure it, attach it to an interface, own it live."""

from __future__ import annotations

import enum
import errno
import os
import socket
from types import TracebackType
from typing import Any

from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.addresses import FeedAddress, OrderSession
from turbo_hft.errors import AttachError, CapabilityError, ConfigError
from turbo_hft.events import EventStream
from turbo_hft.program import Clock, Closed, Program, interface_index, os_error, query
from turbo_hft.snapshots import (
    FeedSnapshot,
    Histogram,
    SessionSnapshot,
    WorkingOrder,
    feed_health,
    order_state,
    session_health,
    side_name,
)
from turbo_hft.symbols import Symbols
from turbo_hft.template import order_template

_LATENCY = {"order": "ORDER", "refused": "REFUSED", "feed": "FEED", "reply": "REPLY"}
_BUSY_STATES = ("sent", "live")


class Mode(enum.Enum):
    """Where the program runs: in the driver, or after the kernel made an sk_buff of the frame (slower, works
    everywhere)."""

    NATIVE = "native"
    GENERIC = "generic"


_FLAGS = {Mode.NATIVE: lib.HFT_XDP_NATIVE, Mode.GENERIC: lib.HFT_XDP_GENERIC}


class Engine:
    """One loaded program. Starts halted: `resume` lets orders leave.

    `open` for an interface, `load` for runs without one (tests, replay), `adopt` for a program that runs already. A
    context
    manager: leaving it detaches and unloads what this process owns; an adopted engine goes on.
    """

    def __init__(self, program: Program, *, interface: str | None, mode: Mode) -> None:
        self.program = program
        self.interface = interface
        self.mode = mode
        self._link = -1
        self._membership: socket.socket | None = None
        self._feed_address: FeedAddress | None = None
        self._events: EventStream | None = None
        self._control = program.share("control", writable=True)
        self._template = program.share("order_template", writable=True)
        self._feed = program.share("feed_state")
        self._session = program.share("session_state", writable=True)
        self._working = program.share("working")
        self.symbols = Symbols(program, self._changed)

    # Life

    @classmethod
    def load(cls, *, verify_checksums: bool = True, clock: Clock = "monotonic", time_all: bool = False) -> Engine:
        """Load a program that is attached to nothing; run frames through it with turbo_hft.testing.

        `clock`: what the order-rate window reads, the monotonic clock or the feed's own time stamps. `time_all`:
        fill the feed
        and reply histograms too (a second clock read a packet). Raises CapabilityError, LoadError.
        """
        program = Program.load(verify_checksums=verify_checksums, clock=clock, time_all=time_all)
        engine = cls(program, interface=None, mode=Mode.NATIVE)
        engine.max_orders_per_second = 100
        return engine

    @classmethod
    def open(
        cls,
        interface: str,
        *,
        mode: Mode = Mode.NATIVE,
        verify_checksums: bool = True,
        clock: Clock = "monotonic",
        time_all: bool = False,
    ) -> Engine:
        """Load a program for `interface`; `attach` puts it there. Raises NotRunning without such an interface."""
        interface_index(interface)
        engine = cls.load(verify_checksums=verify_checksums, clock=clock, time_all=time_all)
        engine.interface, engine.mode = interface, mode
        return engine

    @classmethod
    def adopt(cls, interface: str) -> Engine:
        """Control the program that runs on `interface`, whoever loaded it. Raises NotRunning, AbiMismatch."""
        _, flags = query(interface)
        mode = Mode.NATIVE if flags == lib.HFT_XDP_NATIVE else Mode.GENERIC
        return cls(Program.adopt(interface), interface=interface, mode=mode)

    @property
    def owner(self) -> bool:
        """Did this process load the program?"""
        return self.program.owner

    def attach(self) -> None:
        """Put the program on its interface. It leaves with this process. Raises AttachError; never another mode than
        asked for."""
        if self.interface is None:
            raise ConfigError("this engine was loaded without an interface: use Engine.open(interface).")
        if self._link >= 0:
            return
        if not self.owner:
            raise ConfigError(f"the program on {self.interface} is adopted: it is attached already.")
        index = interface_index(self.interface)
        link = lib.hft_attach(self.program.fd, index, _FLAGS[self.mode])
        if link < 0:
            raise self._attach_error(link)
        self._link = link
        self._join()

    def _attach_error(self, code: int) -> Exception:
        where = f"cannot attach to {self.interface} in {self.mode.value} mode: {os.strerror(-code)}."
        if code in (-errno.EPERM, -errno.EACCES):
            return CapabilityError(f"{where} This needs CAP_NET_ADMIN and CAP_BPF.")
        occupied = f"Another XDP program is there: `ip link set dev {self.interface} xdp off`, or stop its owner."
        remedies = {
            -errno.EOPNOTSUPP: "The driver has no native XDP: ask for mode=Mode.GENERIC (slower), or use another NIC.",
            -errno.EBUSY: occupied,
            -errno.EEXIST: occupied,
            -errno.EINVAL: "The MTU may be too large for XDP (3,520 bytes or less), or LRO / header split may be on.",
            -errno.ERANGE: "The MTU is too large for XDP: 3,498 or less on veth.",
            -errno.ENOSPC: "The peer has more queues than this driver allows for XDP: reduce them with `ethtool -L`.",
        }
        return AttachError(f"{where} {remedies.get(code, 'See `dmesg` for the driver.')}")

    def detach(self) -> None:
        """Take the program off its interface; maps keep their state. Does nothing when not attached by this process."""
        if self._membership is not None:
            self._membership.close()
            self._membership = None
        if self._link >= 0:
            os.close(self._link)
            self._link = -1

    @property
    def attached(self) -> bool:
        """Does the program see the interface's frames?"""
        return self._link >= 0 or (not self.owner and self.interface is not None)

    def close(self) -> None:
        """Detach, and give everything back."""
        self.detach()
        if self._events is not None:
            self._events.close()
            self._events = None
        closed: Any = Closed()
        self._control = self._template = self._feed = self._session = self._working = closed
        self.symbols.close()
        self.program.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Configuration

    def configure(self, session: OrderSession, feed: FeedAddress) -> None:
        """Set flow table and order template. Only while halted and without working orders. Raises ConfigError."""
        if not self.halted:
            raise ConfigError("halt the engine before its session or feed is changed.")
        if self.working():
            raise ConfigError("orders are working: wait until they end before session or feed are changed.")
        if self._session[0].health != lib.HFT_SESSION_DOWN or self._feed[0].expected_seq:
            raise ConfigError(
                "order entry or the feed have begun, and books and sequences belong to them: start a new engine."
            )
        if feed.group == session.local[0] and feed.port == session.local[1]:
            raise ConfigError(
                f"feed and order entry share {feed.group}:{feed.port}: give each its own address or port."
            )
        template = order_template(session)
        self._template[0].protocol = lib.HFT_PROTOCOL_NONE
        self._clear_flows()
        self._add_flow((feed.group, feed.port), lib.HFT_ROLE_FEED, (feed.source, 0))
        self._add_flow(session.local, lib.HFT_ROLE_ORDER_ENTRY, session.remote)
        protocol = template.protocol
        template.protocol = lib.HFT_PROTOCOL_NONE
        self._template[0] = template[0]
        self._template[0].protocol = protocol  # last: the gate reads it first
        self._feed_address = feed
        self._join()
        self._changed()

    @property
    def configured(self) -> bool:
        """Is there an order template?"""
        return bool(self._template[0].protocol != lib.HFT_PROTOCOL_NONE)

    def _add_flow(self, at: tuple[str, int], role: int, peer: tuple[str | None, int]) -> None:
        key, flow = ffi.new("struct hft_flow_key *"), ffi.new("struct hft_flow *")
        key.addr_be, key.port_be = _address_be(at[0]), socket.htons(at[1])
        flow.role = role
        flow.peer_addr_be = 0 if peer[0] is None else _address_be(peer[0])
        flow.peer_port_be = socket.htons(peer[1])
        error = lib.hft_map_write(self.program.map("flows"), key, flow)
        if error:
            raise os_error(error, f"cannot add {at[0]}:{at[1]} to the flow table")

    def _clear_flows(self) -> None:
        key, flows = ffi.new("struct hft_flow_key *"), self.program.map("flows")
        while lib.hft_map_next_key(flows, ffi.NULL, key) == 0:
            lib.hft_map_delete(flows, key)

    def _join(self) -> None:
        """Stay a member of the feed's group, so that switches and the NIC go on delivering it; no packet gets this
        far."""
        feed = self._feed_address
        if feed is None or self.interface is None or self._link < 0 or not _is_multicast(feed.group):
            return
        if self._membership is not None:
            self._membership.close()
        self._membership = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        request = socket.inet_aton(feed.group) + bytes(4) + interface_index(self.interface).to_bytes(4, "little")
        try:
            self._membership.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        except OSError as error:
            raise ConfigError(
                f"cannot join {feed.group} on {self.interface}: {error.strerror}. Is the interface up?"
            ) from None

    # Live control

    def _changed(self) -> None:
        self._control[0].epoch += 1

    @property
    def epoch(self) -> int:
        """Number of changes so far; every event carries the one it was decided under."""
        return int(self._control[0].epoch)

    @property
    def halted(self) -> bool:
        """Is the global kill switch thrown? A fresh engine is halted."""
        return bool(self._control[0].kill != lib.HFT_ACTIVE)

    def halt(self) -> None:
        """Throw the global kill switch: no order is written after this store. Working orders stay at the exchange."""
        self._control[0].kill = lib.HFT_HALTED
        self._changed()

    def resume(self) -> None:
        """Let orders leave, within every limit and each symbol's own kill switch."""
        self._control[0].kill = lib.HFT_ACTIVE
        self._changed()

    @property
    def max_orders_per_second(self) -> int:
        """Most orders in any one second, all symbols together; 0 = none."""
        return int(self._control[0].max_orders_per_second)

    @max_orders_per_second.setter
    def max_orders_per_second(self, value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= lib.HFT_MAX_ORDERS_PER_SECOND:
            raise ConfigError(f"max_orders_per_second is {value!r}: give 0 to {lib.HFT_MAX_ORDERS_PER_SECOND}.")
        self._control[0].max_orders_per_second = value
        self._changed()

    # What the hook says

    @property
    def feed(self) -> FeedSnapshot:
        """The feed's sequence state."""
        values = abi.fields(self._feed[0])
        values["session"] = _text(self._feed[0].session)
        values["health"] = feed_health(values["health"])
        return FeedSnapshot(**values)

    @property
    def session(self) -> SessionSnapshot:
        """The order-entry session's state."""
        state = self._session[0]
        return SessionSnapshot(
            session=_text(state.session),
            health=session_health(state.health),
            expected_seq=state.expected_seq,
            highest_seq=state.highest_seq,
            next_user_ref=state.next_user_ref or 1,
            orders_sent=state.order_head,
            exchange_ns=state.exchange_ns,
        )

    def start_user_refs_at(self, user_ref: int) -> None:
        """Continue the day's UserRefNum sequence at `user_ref` if that is above the engine's own. Only while halted."""
        if not self.halted:
            raise ConfigError("halt the engine before its UserRefNum is moved.")
        if user_ref > (self._session[0].next_user_ref or 1):
            self._session[0].next_user_ref = user_ref

    def leave_session(self) -> None:
        """Order entry was logged off: down if nothing is working (a login may follow), otherwise ended."""
        if not self.halted:
            raise ConfigError("halt the engine before its order-entry session is left.")
        if self._session[0].health == lib.HFT_SESSION_UP:
            self._session[0].health = lib.HFT_SESSION_ENDED if self.working() else lib.HFT_SESSION_DOWN

    def working(self, *, all: bool = False) -> list[WorkingOrder]:
        """Our orders that are in flight or live, oldest first; `all`: the ended ones still in the table too."""
        orders = []
        for index in range(lib.HFT_MAX_WORKING):
            slot = self._working[index]
            if not slot.user_ref:
                continue
            values = abi.fields(slot)
            values["state"] = order_state(values["state"])
            if all or values["state"] in _BUSY_STATES:
                values["side"] = side_name(values["side"])
                values["symbol"] = self.symbols.name_of(values["symbol"]) or ""
                orders.append(WorkingOrder(**values))
        return sorted(orders, key=lambda order: order.user_ref)

    @property
    def events(self) -> EventStream:
        """The event stream, opened at first use. Raises ConfigError while another process reads it."""
        if self._events is None:
            self._events = EventStream(self.program, self.symbols.name_of, lambda: self.counters()["events_lost"])
        return self._events

    def _stats(self, field: str, names: dict[int, str]) -> dict[str, int]:
        cpus = self.program.per_cpu("stats")
        return {name: sum(int(getattr(cpu, field)[index]) for cpu in cpus) for index, name in names.items()}

    def counters(self) -> dict[str, int]:
        """Every counter by name (abi.h, enum hft_counter), summed over the CPUs."""
        names = {i: name for i, name in abi.counters().items() if i < lib.HFT_COUNTERS}
        return self._stats("counter", names)

    def itch_counts(self) -> dict[str, int]:
        """ITCH messages handled, by type character."""
        return self._stats("itch", abi.itch_types())

    def refusals(self) -> dict[str, int]:
        """Orders the risk gate refused, by reason."""
        names = {i: name for i, name in abi.reasons().items() if 0 < i < lib.HFT_REASONS}
        return self._stats("refused", names)

    def latency(self, kind: str) -> Histogram:
        """Histogram of the hook's own time: ``order``, ``refused``, and with `time_all` ``feed`` and ``reply``."""
        if kind not in _LATENCY:
            raise ConfigError(f"no histogram {kind!r}: give one of {', '.join(_LATENCY)}.")
        cpus = self.program.per_cpu("histograms", getattr(lib, f"HFT_HIST_{_LATENCY[kind]}"))
        return Histogram(tuple(sum(int(cpu.bucket[i]) for cpu in cpus) for i in range(lib.HFT_HIST_BUCKETS)))


def _text(raw: Any) -> str:
    return bytes(ffi.buffer(raw)).rstrip(b"\0 ").decode("ascii", errors="replace")


def _address_be(address: str) -> int:
    try:
        return int.from_bytes(socket.inet_pton(socket.AF_INET, address), "little")
    except OSError:
        raise ConfigError(f"address {address!r}: give an IPv4 address such as 10.77.0.1.") from None


def _is_multicast(address: str) -> bool:
    return 224 <= socket.inet_pton(socket.AF_INET, address)[0] <= 239

"""The engine: load the program, configure it, attach it to an interface, own it live."""

from __future__ import annotations

import enum
import errno
import logging
import os
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Unpack

from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.addresses import FeedAddress, FeedLine, OrderSession
from turbo_hft.change import Changes
from turbo_hft.control_lock import ControlLock, StartLock, is_controlled
from turbo_hft.errors import AttachError, CapabilityError, ConfigError, NotRunning, TurboHftError
from turbo_hft.events import EventStream
from turbo_hft.fees import Fees
from turbo_hft.kill import KillState, Switch, state_of
from turbo_hft.layout import DEFAULT_ROOT
from turbo_hft.lease import Lease
from turbo_hft.limits import ACCOUNT_DEFAULTS, STRATEGY_DEFAULTS, AccountLimits
from turbo_hft.orders import Answer, CancelReport, Orders
from turbo_hft.pins import PinnedLink, Pins, check_bpffs
from turbo_hft.program import Closed, LoadSettings, Program, adopt_program, interface_index, os_error, query
from turbo_hft.snapshots import (
    Account,
    FeedSnapshot,
    Histogram,
    KeptMessages,
    SessionSnapshot,
    account_snapshot,
    feed_snapshot,
    session_health,
    side_name,
    text,
)
from turbo_hft.steering import Memberships, SteeredFlow, Steering, describe, is_multicast
from turbo_hft.strategies import Strategies, strategy_name
from turbo_hft.symbols import Symbols
from turbo_hft.template import cancel_message, order_template
from turbo_hft.user_strategy import Generation, UserStrategy
from turbo_hft.user_strategy.lock import SwapLock
from turbo_hft.wire.frame import udp_frame

if TYPE_CHECKING:
    from turbo_hft.recovery.commands import Commands

_LATENCY = {"order": "ORDER", "refused": "REFUSED", "feed": "FEED", "reply": "REPLY"}
_LINES = {"a": lib.HFT_LINE_A, "b": lib.HFT_LINE_B, "rerequest": lib.HFT_LINE_REREQUEST}
_KEPT_BATCH = 1024
_REFUSED, _DONE, _UNREAD, _SENT = 0, 1, 2, 3  # XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX: the hook's answers to a command
_TRIES = 1000  # of a command, while another CPU stays inside the hook
Mark = Literal["side", "mid", "last"]
_MARKS: dict[int, Mark] = {lib.HFT_MARK_SIDE: "side", lib.HFT_MARK_MID: "mid", lib.HFT_MARK_LAST: "last"}
_TAG_BITS = 48  # struct hft_kept: the sequence below, the generation above


class Mode(enum.Enum):
    """Where the program runs: in the driver, or after the kernel made an sk_buff of the frame (slower, works
    everywhere)."""

    NATIVE = "native"
    GENERIC = "generic"


class Pulse(NamedTuple):
    """What tells, for the price of a few loads, whether a feed or a book needs care: see `Engine.pulse`.

    `health` is an ``enum hft_feed_health``; the others are counters of all feeds together.
    """

    health: int
    expected_seq: int
    packets: int
    wrong_session: int
    bad_lengths: int
    quarantines: int


_FLAGS = {Mode.NATIVE: lib.HFT_XDP_NATIVE, Mode.GENERIC: lib.HFT_XDP_GENERIC}


class Engine(Switch):
    """One loaded program. Starts halted: `resume` lets orders leave, as long as its `lease` is kept.

    `open` for an interface, `load` for runs without one (tests, replay), `adopt` for a program that runs already. A
    context manager: leaving it detaches and unloads what this process owns; an adopted engine goes on.
    """

    def __init__(self, program: Program, *, interface: str | None, mode: Mode, pins: Pins | None = None) -> None:
        self.program = program
        self.interface = interface
        self.mode = mode
        self.pins = pins
        self._link = -1
        self._control_lock: ControlLock | None = None
        self._start_lock: StartLock | None = None
        self._memberships: Memberships | None = None
        self._groups: tuple[str, ...] = ()
        self._ended = False  # `detach` has taken it away
        self.cut_off = False  # at `take_over` a change stood half-made: halted, for a person to look at its parameters
        self._events: EventStream | None = None
        self._control = program.share("control", writable=True)
        self._template = program.share("order_template", writable=True)
        self._wire = program.share("wire", writable=True)
        self._reply_headers = b""
        self._feeds = program.share("feed_state")
        self._session = program.share("session_state", writable=True)
        self._account = program.share("account")
        self._nonce = program.share("command_nonce", writable=True)
        self._command_headers = b""
        self._kept = program.share("kept")
        self._tallies = program.share("tallies")
        self._changes = Changes(program, program.locks)
        self.symbols = Symbols(program, self._feeds, self._changes, self._rearm_symbol)
        self.strategies = Strategies(self._changes, self._account, self._rearm_strategy)
        self.limits = AccountLimits("all orders", self._changes, lambda: self._changes.limits().account)
        self.lease = Lease(self._control, feed_clock=program.config.clock == "feed")
        self.fees = Fees(program, self._changes)
        self.orders = Orders(program, self.symbols, self._submit, self._declare_lost, interface)
        self.user = UserStrategy(
            program,
            link=self._link_fd,
            changes=self._changes,
            pins=lambda: self.pins if self._link >= 0 else None,
        )

    # Life

    @classmethod
    def load(cls, *, strategy: str | Path | None = None, **settings: Unpack[LoadSettings]) -> Engine:
        """Load a program that is attached to nothing; run frames through it with turbo_hft.testing.

        `LoadSettings` says what can be set and what it costs. `strategy`: an object to link in (`load_strategy`).
        Raises ConfigError, CapabilityError, LoadError.
        """
        return cls._loaded(None, Mode.NATIVE, settings, strategy)

    @classmethod
    def load_built(cls, built: bytes, **settings: Unpack[LoadSettings]) -> Engine:
        """As `load`, of another build of the engine's object: to try it."""
        return cls._loaded(None, Mode.NATIVE, settings, None, built=built)

    @classmethod
    def _loaded(
        cls,
        interface: str | None,
        mode: Mode,
        settings: LoadSettings,
        strategy: str | Path | None,
        *,
        pins: Pins | None = None,
        built: bytes | None = None,
    ) -> Engine:
        engine = cls(Program.load(built, **settings), interface=interface, mode=mode, pins=pins)
        try:
            engine.program.locks.begin()
            engine.use_default_limits()
            engine._open_commands()
            if strategy is not None:
                engine.load_strategy(strategy)
        except BaseException:
            engine.close()
            raise
        return engine

    @classmethod
    def open(
        cls,
        interface: str,
        *,
        mode: Mode = Mode.NATIVE,
        strategy: str | Path | None = None,
        pin: str | Path | None = None,
        **settings: Unpack[LoadSettings],
    ) -> Engine:
        """Load a program for `interface`, as `load` does; `attach` puts it there. Raises NotRunning without such an
        interface.

        `pin`: a directory of a BPF file system (`layout.DEFAULT_ROOT`) below which it is pinned once it is attached.
        It then stays, with all its state, whatever becomes of this process, until `detach`; `adopt` finds it again.
        Raises ConfigError when there is one already, or no such file system.
        """
        interface_index(interface)
        if pin is None:
            return cls._loaded(interface, mode, settings, strategy)
        pins = Pins(pin, interface)
        check_bpffs(pins.layout.root)
        starting = StartLock(pins)
        try:
            if pins.there:
                raise ConfigError(
                    f"an engine of {interface} is pinned in {pins.layout.directory} already: adopt it (`turbo-hft run` "
                    "takes it over), or take it away with `turbo-hft detach`."
                )
            pins.clear()  # what a process has left behind that died before it was done
            engine = cls._loaded(interface, mode, settings, strategy, pins=pins)
        except BaseException:
            starting.close()
            raise
        engine._start_lock = starting
        return engine

    @classmethod
    def adopt(cls, interface: str, *, pin: str | Path | None = None) -> Engine:
        """Control the program that runs on `interface`, whoever loaded it. Raises NotRunning, AbiMismatch.

        By its pins below `pin`, or below the usual root if it is pinned there; otherwise by its kernel id, which only
        CAP_SYS_ADMIN may. An upgrade whose process died is ended first (`mend_upgrade`).
        """
        engine = cls._adopt(interface, pin)
        if not engine.program.generations.watched:
            return engine
        try:
            done = engine.mend_upgrade()
        except BaseException:
            engine.close()
            raise
        if done is None:  # it is being upgraded
            return engine
        engine.close()
        return cls._adopt(interface, pin)  # of what is in force now

    @classmethod
    def _adopt(cls, interface: str, pin: str | Path | None) -> Engine:
        pins = Pins(DEFAULT_ROOT if pin is None else pin, interface)
        if pin is not None or pins.there:
            return cls._adopt_pinned(pins)
        _, flags = query(interface)
        mode = Mode.NATIVE if flags == lib.HFT_XDP_NATIVE else Mode.GENERIC
        return cls(Program.adopt(interface), interface=interface, mode=mode)

    @classmethod
    def _adopt_pinned(cls, pins: Pins) -> Engine:
        interface = pins.interface
        link = pins.open_link()
        try:
            holds = link.facts()
            if not holds.ifindex:
                raise NotRunning(
                    f"the engine that is pinned for {interface} was on an interface that is gone: take it away with "
                    f"`turbo-hft detach --interface {interface}`, then start one anew."
                )
            if holds.ifindex != interface_index(interface):
                raise NotRunning(
                    f"the engine that is pinned for {interface} is on interface number {holds.ifindex}, which has "
                    "another name here: is it in another network namespace (`ip netns exec`), or was it renamed?"
                )
            on_it, flags = query(interface)
            if on_it != holds.program_id:
                raise NotRunning(
                    f"program {on_it} is on {interface}, the pins hold {holds.program_id}: is this another network "
                    "namespace than the engine's?"
                )

            def opener(program_id: int, what: str) -> Any:
                try:
                    return pins.open_program(program_id)
                except NotRunning:  # somebody swapped it who did not know of the pins
                    return adopt_program(program_id, what)

            handle = opener(holds.program_id, f"the program on {interface}")
            mode = Mode.NATIVE if flags == lib.HFT_XDP_NATIVE else Mode.GENERIC
            engine = cls(Program.adopt_pinned(handle, opener), interface=interface, mode=mode, pins=pins)
        except BaseException:
            os.close(link.fd)
            raise
        engine._link = link.fd
        return engine

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
        program_id = self.program.facts().id
        if self.pins is not None:
            self.pins.save(self.program.handle, program_id)
        link = lib.hft_attach(self.program.fd, index, _FLAGS[self.mode])
        if link < 0:
            if self.pins is not None:
                self.pins.remove()
            raise self._attach_error(link)
        self._link = link
        if self.pins is not None:
            self.pins.commit(link, program_id)
            self.program.locks.outlives()
        self._started()
        self._join()

    def _started(self) -> None:
        """Or not to be, any more."""
        if self._start_lock is not None:
            if self.pins is not None and not self.pins.there:
                self.pins.remove()
            self._start_lock.close()
            self._start_lock = None

    def take_over(self) -> None:
        """Be the one process that keeps this engine (its lease, session and groups), as long as this process lives.

        Finishes what a process that died in the middle of a swap has left, halts an engine whose change was cut off in
        the same way, and joins the feeds' groups again. Raises
        ConfigError while another process has it.
        """
        if self._control_lock is None:
            self._control_lock = ControlLock(self.program.locks, lambda: self.controller)
            self.program.generations.controller = os.getpid()
        self.cut_off = self._changes.settle()
        if self.pins is not None and self._link >= 0:
            with SwapLock(self.program):
                in_force = PinnedLink(self._link).facts().program_id
                if self.user.generations.finish(in_force, self.epoch):
                    lib.hft_wait_for_packets()
                    self._changes.note()
                    self.user.generations.settle(self.user.generation, self.epoch)
                if not self.pins.layout.of(in_force).program.exists():
                    self.pins.save(self.program.handle, in_force)
                self.pins.keep_only(in_force)
        lines = [at[0] for at, flow in self.flow_table() if flow.role == lib.HFT_ROLE_FEED]
        self._groups = tuple(address for address in lines if is_multicast(address))
        self._join()

    def mend_upgrade(self) -> str | None:
        """End an upgrade whose process died before the new program was believed: the one of before is put in force
        again (`turbo_hft.upgrade.mend`). What was done, which is logged too; None if nothing was to be done. Raises
        TurboHftError if it cannot be; the engine is halted then."""
        if not self.program.generations.watched:
            return None
        from turbo_hft.upgrade.mend import mend

        done = mend(self)
        if done is not None:
            logging.getLogger("turbo_hft.upgrade").warning("%s: %s", self.interface, done)
        return done

    def note_swap(self, program_id: int) -> None:
        """Packets that met another program have left: an epoch that is this one's alone."""
        self._changes.note()
        now = self.user.now
        if now.program_id == program_id and not now.settled_epoch and now.number:
            self.user.generations.settle(now.number, self.epoch)

    @property
    def controller(self) -> int | None:
        """Process id of who has taken this engine over; None if nobody has."""
        taken = is_controlled(self.program.locks)
        return int(self.program.generations.controller) if taken else None

    def _link_fd(self) -> int | None:
        """Of the link that holds the program: -1 = another process has it, None = it is not attached."""
        if self._link >= 0:
            return self._link
        return -1 if self.attached else None

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
        """Take the program off its interface, and its pins away; maps keep their state while somebody has them open.
        Does nothing when it is not attached by this process, nor pinned."""
        if self._link >= 0:
            self.report("detach", interface=self.interface, open_orders=len(self.orders.open()))
            if self.pins is not None:
                self.pins.remove()
            self._ended = True
        self._let_go()

    def _let_go(self) -> None:
        """Of what keeps it attached from here: a pinned one stays where it is."""
        if self._memberships is not None:
            self._memberships.close()
            self._memberships = None
        if self._link >= 0:
            os.close(self._link)
            self._link = -1

    @property
    def attached(self) -> bool:
        """Does the program see the interface's frames?"""
        return self._link >= 0 or (not self.owner and self.interface is not None)

    def close(self) -> None:
        """Give everything back; what is not pinned is detached."""
        self._let_go()
        self._started()
        if self._control_lock is not None:
            self._control_lock.close()
            self._control_lock = None
        if self._events is not None:
            self._events.close()
            self._events = None
        closed: Any = Closed()
        self._control = self._template = self._feeds = self._session = self._account = closed
        self._nonce = self._kept = self._tallies = self._wire = closed
        self._changes.control = closed
        self.orders.close()
        self.symbols.close()
        if self._ended or (self.owner and (self.pins is None or not self.pins.there)):
            self.program.locks.end()
        self.program.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Configuration

    def configure(self, session: OrderSession, feed: FeedAddress | Sequence[FeedAddress]) -> None:
        """Set flow table and order template. Several feeds are numbered by their place. Only while halted and without
        working orders. Raises ConfigError."""
        feeds = (feed,) if isinstance(feed, FeedAddress) else tuple(feed)
        if not self.halted:
            raise ConfigError("halt the engine before its session or feed is changed.")
        if self.orders.open():
            raise ConfigError("orders are working: wait until they end before session or feed are changed.")
        begun = any(self._feeds[i].highest_seq or self._feeds[i].expected_seq for i in range(self.program.config.feeds))
        if self._session[0].health != lib.HFT_SESSION_DOWN or begun:
            raise ConfigError(
                "order entry or the feed have begun, and books and sequences belong to them: start a new engine."
            )
        if session.transport != self.program.config.transport:
            raise ConfigError(
                f"the session is over {session.transport}, the program was loaded for {self.program.config.transport}: "
                f"load it with transport={session.transport!r}."
            )
        lines = _checked_lines(session, feeds, self.program.config.feeds)
        template = order_template(session)
        self._template[0].protocol = lib.HFT_PROTOCOL_NONE
        self._clear_flows()
        self._open_commands()
        for index, line in lines:
            self._add_flow((line.address, line.port), lib.HFT_ROLE_FEED, line.peer, feed=index, line=_LINES[line.line])
        if session.transport == "soupbintcp":
            self._add_flow(_nowhere(), lib.HFT_ROLE_ORDER_ENTRY, _nowhere())
        else:
            self._add_flow(session.local, lib.HFT_ROLE_ORDER_ENTRY, session.remote)
        self._store_template(template)
        self._groups = tuple(line.address for _, line in lines if is_multicast(line.address))
        self._join()
        self._changes.note()

    def _store_template(self, template: Any) -> None:
        protocol = template.protocol
        self._template[0].protocol = template.protocol = lib.HFT_PROTOCOL_NONE
        self._template[0] = template[0]
        self._template[0].protocol = protocol  # last: the gate reads it first

    @property
    def wire(self) -> Any:
        """The TCP connection that orders leave on (``struct hft_tcp_wire``, shared memory), and the descriptors of its
        map and of the link that holds the program (-1 = another process has it): for `turbo_hft.delegated`."""
        return self._wire, self.program.map("wire"), self._link

    def connected(self, session: OrderSession, *, timestamps: bool) -> None:
        """The connection of a SoupBinTCP session stands: what its segments look like is known. Only while halted and
        after `configure`. Raises ConfigError."""
        if not self.halted or not self.configured:
            raise ConfigError("configure the engine, and connect while it is halted.")
        self._store_template(order_template(session, timestamps=timestamps))

    def hear(self, datagram: bytes) -> None:
        """Replies of a SoupBinTCP session, as the datagram that would carry them over UFO: through the same rules, so
        each counts once, by its number. Raises ConfigError before `configure`, TurboHftError as `command`."""
        if not self._reply_headers:
            found = next(((at, flow) for at, flow in self.flow_table() if flow.role == lib.HFT_ROLE_ORDER_ENTRY), None)
            if found is None or self.program.config.transport != "soupbintcp":
                raise ConfigError("replies are heard of a configured engine of a SoupBinTCP session only.")
            at, flow = found
            source = socket.inet_ntoa(int(flow.peer_addr_be).to_bytes(4, "little")), socket.ntohs(flow.peer_port_be)
            self._reply_headers = _command_frame(at, source=source)
        before = self._tallies[0].counter[lib.HFT_C_REPLY_PACKETS]
        for _ in range(_TRIES):
            self.program.inject(self._reply_headers, datagram)
            if self._tallies[0].counter[lib.HFT_C_REPLY_PACKETS] != before:
                return
        raise TurboHftError(f"the hook passed replies on {_TRIES} times: another CPU never leaves it.")

    @property
    def configured(self) -> bool:
        """Is there an order template?"""
        return bool(self._template[0].protocol != lib.HFT_PROTOCOL_NONE)

    def cancel_message(self, user_ref: int) -> bytes:
        """The OUCH message that cancels an order: to say again, through the session, what the hook has sent already and
        nobody answered."""
        return cancel_message(self._template[0], user_ref)

    @property
    def template(self) -> Any:
        """The order frame, a ``struct hft_template`` in shared memory: to be read."""
        return self._template[0]

    def _add_flow(
        self, at: tuple[str, int], role: int, peer: tuple[str | None, int], *, feed: int = 0, line: int = 0
    ) -> None:
        key, flow = ffi.new("struct hft_flow_key *"), ffi.new("struct hft_flow *")
        key.addr_be, key.port_be = _address_be(at[0]), socket.htons(at[1])
        flow.role, flow.feed, flow.line = role, feed, line
        flow.peer_addr_be = 0 if peer[0] is None else _address_be(peer[0])
        flow.peer_port_be = socket.htons(peer[1])
        error = lib.hft_map_write(self.program.map("flows"), key, flow)
        if error:
            raise os_error(error, f"cannot add {at[0]}:{at[1]} to the flow table")

    def _clear_flows(self) -> None:
        key, flows = ffi.new("struct hft_flow_key *"), self.program.map("flows")
        while lib.hft_map_next_key(flows, ffi.NULL, key) == 0:
            lib.hft_map_delete(flows, key)

    def flow_table(self) -> Iterator[tuple[tuple[str, int], Any]]:
        """Every (destination, ``struct hft_flow``) of the flow table."""
        flows, before, key = self.program.map("flows"), ffi.NULL, ffi.new("struct hft_flow_key *")
        while lib.hft_map_next_key(flows, before, key) == 0:
            flow = ffi.new("struct hft_flow *")
            if lib.hft_map_read(flows, key, flow) == 0:
                address = socket.inet_ntoa(int(key.addr_be).to_bytes(4, "little"))
                yield (address, socket.ntohs(key.port_be)), flow[0]
            before = ffi.new("struct hft_flow_key *", key[0])

    def _join(self) -> None:
        """Stay a member of the feeds' groups, so that switches and the NIC go on delivering them; no packet gets this
        far."""
        if self.interface is None or self._link < 0:
            return
        if self._memberships is not None:
            self._memberships.close()
            self._memberships = None
        self._memberships = Memberships(self.interface, interface_index(self.interface), self._groups)

    def steering(self, queue: int = 0) -> Steering:
        """How to have all frames of ours arrive on one receive queue, and whether they have not. Raises ConfigError
        without an interface or a configuration."""
        if self.interface is None or not self.configured:
            raise ConfigError("only a configured engine on an interface has frames to steer.")
        lines = {value: name for name, value in _LINES.items()}
        flows = []
        for (address, port), flow in self.flow_table():
            if flow.role == lib.HFT_ROLE_FEED:
                flows.append(SteeredFlow(flow.feed, lines[flow.line], address, port))
            elif flow.role == lib.HFT_ROLE_ORDER_ENTRY and self.program.config.transport == "ufo":
                flows.append(SteeredFlow(None, "order_entry", address, port))
        flows.sort(key=lambda flow: (flow.feed is None, flow.feed or 0, flow.line))
        return describe(self.interface, flows, self.counters()["feed_second_cpu"], queue)

    # Commands: what changes a book is done by the program itself, from frames that only we can make

    def _open_commands(self) -> None:
        """A private destination that no wire carries, and a secret that a frame from outside would have to know."""
        at = _nowhere()
        self._add_flow(at, lib.HFT_ROLE_COMMAND, (None, 0))
        self._command_headers = _command_frame(at)

    @property
    def command_nonce(self) -> int:
        """The secret that a command must carry (``struct hft_command.nonce``)."""
        return int(self._nonce[0])

    def command(self, payload: bytes) -> bool:
        """Have the program do something between two packets: one ``struct hft_command`` and its blocks (docs/rules.md,
        rule 10). False if it refused. Raises ConfigError when the engine has no way for commands yet, TurboHftError
        when it never got in, or is none at all (nonce, shape)."""
        headers = self._to_commands()
        return self._insist(lambda: (self.program.inject(headers, payload), b""))[0] == _DONE

    def _to_commands(self) -> bytes:
        """Headers of a frame that carries a command."""
        if not self._command_headers:
            at = next((at for at, flow in self.flow_table() if flow.role == lib.HFT_ROLE_COMMAND), None)
            if at is None:
                raise ConfigError("this engine takes no commands before it is configured: use engine.configure first.")
            self._command_headers = _command_frame(at)
        return self._command_headers

    @staticmethod
    def _insist(run: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
        """Run a command until the hook has taken it or refused it: its answer."""
        for _ in range(_TRIES):
            answer = run()
            if answer[0] != _UNREAD:
                return answer
            # Passed on: another CPU was inside for longer than the hook waits, or it is no command of this engine.
        raise TurboHftError(
            f"the hook passed a command on {_TRIES} times: another CPU never leaves it (is a feed faster than this "
            "machine? see engine.steering), or this is no command of this engine (docs/rules.md, rule 10)."
        )

    def resync(self, name: str) -> bool:
        """Doubt the book of a symbol: nothing trades in it until `Recovery` (or `turbo-hft resync`) has restored it
        from a snapshot. False if it was in quarantine already. Raises ConfigError for a symbol that is not tracked."""
        symbol = self.symbols[name]
        self._changes.tell(f"doubts the book of {name}")
        return self.command(self._commands(symbol.feed).quarantine(symbol.index))

    def kept(self, feed: int, locates: Iterable[int], first: int, end: int) -> KeptMessages:
        """Messages of these stock locates that the hook keeps, with sequences from `first` to below `end`.

        Kept are those of symbols in quarantine, and those that wait for an earlier one. The hook is not stopped. Raises
        ConfigError for a feed or a locate that cannot be.
        """
        if not 0 <= feed < self.program.config.feeds:
            raise ConfigError(f"feed {feed}: give 0 to {self.program.config.feeds - 1}.")
        wanted = ffi.new("unsigned char[]", lib.HFT_LOCATES)
        for locate in locates:
            if not 0 <= locate < lib.HFT_LOCATES:
                raise ConfigError(f"locate {locate}: give 0 to {lib.HFT_LOCATES - 1}.")
            wanted[locate] = 1
        scan = ffi.new("struct hft_kept_scan *")
        scan.locates, scan.mask, scan.feed, scan.end = wanted, self.program.config.kept_mask, feed, end
        scan.generation = self._feeds[feed].generation
        sequence, overwritten = ffi.new("unsigned long long *", first), ffi.new("unsigned long long *")
        found = ffi.new("struct hft_kept[]", _KEPT_BATCH)
        messages: list[tuple[int, bytes]] = []
        while sequence[0] < end:
            count = lib.hft_kept_scan(self._kept, scan, sequence, found, _KEPT_BATCH, overwritten)
            messages += [(kept.tag, bytes(ffi.buffer(kept.msg, kept.length))) for kept in found[0:count]]
        return KeptMessages(tuple(messages), overwritten[0])

    def missing(self, feed: int) -> tuple[tuple[int, int], ...]:
        """What a feed waits for: ranges (first, end) of sequences, in order, from the next one to apply to the newest
        one announced, without those that are kept. Beyond what the ring holds, all are missing."""
        state, places = self._feeds[feed], self.program.config.kept_mask + 1
        first, end = int(state.expected_seq) or 1, int(state.highest_seq)
        if first >= end:
            return ()
        ring = memoryview(ffi.buffer(self._kept + feed * places, places * ffi.sizeof("struct hft_kept"))).cast("Q")
        each, at = ffi.sizeof("struct hft_kept") // 8, first % places
        many = min(end - first, places)
        straight = min(many, places - at)
        tags = (
            ring[at * each : (at + straight) * each : each].tolist() + ring[: (many - straight) * each : each].tolist()
        )
        base = (int(state.generation) + 1) << _TAG_BITS
        absent = [sequence for sequence, tag in enumerate(tags, first) if tag != base | sequence]
        ranges: list[tuple[int, int]] = []
        for sequence in absent:
            if ranges and ranges[-1][1] == sequence:
                ranges[-1] = (ranges[-1][0], sequence + 1)
            else:
                ranges.append((sequence, sequence + 1))
        if first + many < end:
            begin = ranges.pop()[0] if ranges and ranges[-1][1] == first + many else first + many
            ranges.append((begin, end))
        return tuple(ranges)

    def _submit(self, feed: int, slot: int, intent: bytes) -> Answer:
        """An intent of ours through the gate."""
        before = self.refusals()
        self._changes.tell(f"intent by hand: {_intent_words(intent)} {self.symbols.name_of(slot)}")
        at, payload = _destination(self._to_commands()), self._commands(feed).order(slot, intent)
        command = _command_frame(at, payload)
        verdict, frame = self._insist(lambda: self.program.run(command))
        if verdict == _SENT:
            return Answer(frame)
        if verdict == _DONE:  # a cancel that the hook could not send, and handed over
            return Answer(b"")
        after = self.refusals()
        reasons = tuple(name for name, count in after.items() if count != before[name])
        if not reasons:
            raise TurboHftError("the hook took no order: is this symbol of another engine (docs/rules.md, rule 10)?")
        return Answer(None, reasons)

    def _declare_lost(self, user_ref: int) -> bool:
        self._changes.tell(f"declares order {user_ref} lost")
        return self.command(self._commands().lost(user_ref))

    def _commands(self, feed: int = 0) -> Commands:
        from turbo_hft.recovery.commands import Commands

        return Commands(self.command_nonce, feed)

    def _rearm(self, latch: int, what: str, *, strategy: int = 0, slot: int = 0, feed: int = 0) -> None:
        self._changes.tell(f"lifts the latch of {what}")
        if not self.command(self._commands(feed).rearm(latch, strategy=strategy, slot=slot)):
            raise TurboHftError(f"the hook does not lift the latch of {what} (docs/rules.md, rule 10)")

    def _rearm_strategy(self, number: int) -> None:
        self._rearm(lib.HFT_LATCH_EXECUTIONS, f"strategy {strategy_name(number)}", strategy=number)

    def _rearm_symbol(self, slot: int) -> None:
        book = self.symbols.book(slot)
        self._rearm(lib.HFT_LATCH_SYMBOL_LOSS, book.name, slot=slot, feed=book.feed)

    def rearm(self) -> None:
        """A person has looked at the day's loss of all symbols: lift its latch. It falls again at once while the loss
        is not below ``limits.max_loss``."""
        self._rearm(lib.HFT_LATCH_LOSS, "the account's loss")

    def trust_session(self) -> None:
        """A person has looked at an order entry that is suspect (a reply could not be applied), and at the positions:
        take it for up again. Only while halted. Raises ConfigError when it is not suspect."""
        if not self.halted:
            raise ConfigError("halt the engine before its order entry is trusted again.")
        self._changes.tell("trusts a suspect order entry")
        if not self.command(self._commands().trust()):
            raise ConfigError(f"order entry is {self.session.health}, not suspect: there is nothing to be trusted.")

    # Live control

    def report(self, kind: str, **about: Any) -> None:
        """Have the recorder of this engine, if there is one, note what was done with it (docs/journal.md)."""
        self._changes.report(kind, **about)

    @contextmanager
    def change(self) -> Iterator[None]:
        """Limits of the account, of strategies and of symbols that are set inside hold together from its end on, or,
        after an exception, not at all. Kill switches and parameters of strategies are single stores: they hold at
        once. Raises TurboHftError while another process is in the middle of a change."""
        with self._changes.change():
            yield

    def use_default_limits(self) -> None:
        """Limits of the account and of all strategies as a fresh engine has them, and every strategy's own switch
        released: for a program that somebody else loaded (``ip link``), of which everything is 0."""
        for strategy in self.strategies:
            self._control[0].strategy_kill[strategy.number] = lib.HFT_ACTIVE
        with self.change():
            self.limits.set(ACCOUNT_DEFAULTS)
            for strategy in self.strategies:
                strategy.limits.set(STRATEGY_DEFAULTS)

    @property
    def untouched(self) -> bool:
        """Has nobody ever set a limit? Then nothing can leave."""
        return not any(self.limits.as_dict().values())

    @property
    def epoch(self) -> int:
        """Number of changes so far; every event carries the one it was decided under."""
        return int(self._control[0].epoch)

    def _read_kill(self) -> int:
        return int(self._control[0].kill)

    def _store_kill(self, value: int) -> None:
        self._control[0].kill = value

    def _note_kill(self) -> None:
        self._changes.note_if_free()

    def halt(self) -> None:
        """Throw the global kill switch: no order is written after this store. Working orders stay at the exchange;
        `halt_and_cancel` takes them down."""
        super().halt()

    def halt_and_cancel(self, timeout_s: float = 2.0) -> CancelReport:
        """Halt, cancel every working order, and wait for the answers, at most `timeout_s` seconds. The report says
        what is left."""
        self.halt()
        return self.orders.cancel_all(timeout_s=timeout_s)

    def reduce(self) -> None:
        """Let only orders leave that bring a position towards zero. Raises ConfigError without a lease, and while order
        entry is suspect."""
        self._need_lease()
        self._need_trust()
        super().reduce()

    def resume(self) -> None:
        """Let orders leave, within every limit and each strategy's and symbol's own kill switch. Raises ConfigError
        without a lease (`turbo_hft.lease`), and while order entry is suspect: nothing would leave."""
        self._need_lease()
        self._need_trust()
        if self._changes.settle():
            raise ConfigError(
                "a process ended in the middle of a change, and its parameters may be half changed: the engine is "
                "halted. Look at them (`turbo-hft config show`), set them anew, then resume."
            )
        super().resume()

    def suspend(self, *, lifts: bool = True) -> None:
        """Halt, as order entry does when its exchange falls silent: `lift` may undo it. A halt stays a halt. `lifts`:
        may whoever takes the engine over do so, should this process end?"""
        generations = self.program.generations
        for state in (lib.HFT_ACTIVE, lib.HFT_REDUCING):
            if self._control[0].kill == state:
                # First: it is read only of an engine that is suspended.
                generations.suspended_from = state if lifts else lib.HFT_HALTED
            self._exchange_kill(state, lib.HFT_SUSPENDED)
        self._note_kill()

    @property
    def suspended_from(self) -> KillState:
        """The state that `suspend` left, of an engine that is suspended; otherwise the state it is in."""
        if self._control[0].kill != lib.HFT_SUSPENDED:
            return self.state
        return state_of(int(self.program.generations.suspended_from))

    def lift(self, state: KillState) -> bool:
        """Go back to `state` (``active`` or ``reducing``) from `suspend`. False, and nothing happens, if anybody has
        halted or resumed since. Raises ConfigError without a lease."""
        self._need_lease()
        self._note_kill()  # first, as with `resume`
        words = {"active": lib.HFT_ACTIVE, "reducing": lib.HFT_REDUCING}
        return state in words and self._exchange_kill(lib.HFT_SUSPENDED, words[state])

    def _exchange_kill(self, old: int, new: int) -> bool:
        return bool(lib.hft_exchange(ffi.addressof(self._control[0], "kill"), old, new))

    def _need_lease(self) -> None:
        if not self.lease.in_force:
            raise ConfigError(
                "the lease of this engine has lapsed: whoever runs it must renew it, with engine.lease.beat() in its "
                "loop or inside `with engine.lease.keep():`; a replay says engine.lease.forever()."
            )

    def _need_trust(self) -> None:
        if self._session[0].health == lib.HFT_SESSION_SUSPECT:
            raise ConfigError(
                "order entry is suspect: positions and orders may be others than the exchange's, and nothing but "
                "cancels leaves. Hold them against the exchange's, then say `turbo-hft trust` and resume; or start "
                "anew with --recover, which reads the day's replies."
            )

    @property
    def mark(self) -> Mark:
        """What positions are valued at: ``side`` (the bid when long, the offer when short), ``mid`` or ``last``."""
        return _MARKS.get(self._control[0].mark, "side")

    @mark.setter
    def mark(self, value: Mark) -> None:
        number = next((number for number, name in _MARKS.items() if name == value), None)
        if number is None:
            raise ConfigError(f"mark is {value!r}: give one of {', '.join(_MARKS.values())}.")
        self._control[0].mark = number
        self._changes.note()

    def load_strategy(self, path: str | Path, *, keep_params: bool = True) -> Generation:
        """Link a strategy of your own in (`user`), in place of the one before, while packets flow: books, orders and
        everything else stay. Symbols ask it whose strategy is USER, or that have it in shadow.

        `keep_params`: parameters that the one before has too, with the same type, keep their values. Raises ConfigError
        for an object that cannot be one, LoadError (with the verifier's log) for one that the kernel refuses; the one
        before stays in force then.
        """
        return self.user.load(path, keep_params=keep_params)

    # What the hook says

    @property
    def feeds(self) -> tuple[FeedSnapshot, ...]:
        """The sequence state of every feed the engine was loaded for, by number; those not configured are idle."""
        return tuple(feed_snapshot(self._feeds[i]) for i in range(self.program.config.feeds))

    def pulse(self, feed: int) -> Pulse:
        """Whether there is anything to look after in a feed, for who asks a thousand times a second."""
        state, counter = self._feeds[feed], self._tallies[0].counter
        return Pulse(
            state.health,
            state.expected_seq,
            counter[lib.HFT_C_FEED_PACKETS],
            counter[lib.HFT_C_FEED_WRONG_SESSION],
            counter[lib.HFT_C_ITCH_BAD_LENGTH],
            counter[lib.HFT_C_BOOK_QUARANTINES],
        )

    @property
    def feed(self) -> FeedSnapshot:
        """The first feed's sequence state."""
        return feed_snapshot(self._feeds[0])

    @property
    def session(self) -> SessionSnapshot:
        """The order-entry session's state."""
        state = self._session[0]
        return SessionSnapshot(
            session=text(state.session),
            health=session_health(state.health),
            expected_seq=state.expected_seq,
            highest_seq=state.highest_seq,
            next_user_ref=state.next_user_ref or 1,
            orders_sent=state.orders_sent,
            exchange_ns=state.exchange_ns,
        )

    def prepare_login(self, *, recover: bool) -> None:
        """Say before a login whether the day's replies are to be read from the first, and our orders and positions
        taken from them. Only while halted."""
        if not self.halted:
            raise ConfigError("halt the engine before it logs in.")
        self._session[0].recover = recover

    def doubt_session(self) -> None:
        """Take an order entry that is up for suspect, as the hook does for a reply that it cannot apply: positions and
        orders are not certain, nothing but cancels leaves until a person trusts it. Only while halted."""
        if not self.halted:
            raise ConfigError("halt the engine before its order entry is taken for suspect.")
        if self._session[0].health == lib.HFT_SESSION_UP:
            self._session[0].health = lib.HFT_SESSION_SUSPECT
        self._changes.tell("takes order entry for suspect")

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
        if self._session[0].health in (lib.HFT_SESSION_UP, lib.HFT_SESSION_RECOVERING):
            self._session[0].health = lib.HFT_SESSION_ENDED if self.orders.open() else lib.HFT_SESSION_DOWN

    @property
    def account(self) -> Account:
        """Our own trading in all symbols together."""
        return account_snapshot(self._account[0])

    @property
    def events(self) -> EventStream:
        """The event stream, opened at first use. Raises ConfigError while another process reads it."""
        if self._events is None:
            self._events = EventStream(self.program, self.symbols.name_of, lambda: self.counters()["events_lost"])
        return self._events

    def _stats(self, field: str, names: dict[int, str]) -> dict[str, int]:
        """What the hook counted once for each CPU, before it may enter the engine, and once for all inside."""
        cpus = self.program.per_cpu("stats")  # owns what its elements point to
        inside = getattr(self._tallies[0], field)
        return {
            name: int(inside[index]) + sum(int(getattr(cpu, field)[index]) for cpu in cpus)
            for index, name in names.items()
        }

    def counters(self) -> dict[str, int]:
        """Every counter by name (abi.h, enum hft_counter), summed over the CPUs."""
        names = {i: name for i, name in abi.counters().items() if i < lib.HFT_COUNTERS}
        return self._stats("counter", names)

    def cancels_handed(self) -> tuple[int, int]:
        """Segments of cancels that the hook could not send on its TCP connection and handed to user space, and how many
        of them wait no more: sent, or passed over (docs/rules.md, rule 11). 0 and 0 over UFO."""
        sent = int(self._wire[0].handed_sent)  # first: never more than were handed over
        return int(self._wire[0].handed), sent

    def pass_over_waiting(self) -> None:
        """Before a connection: what still waits for one is not sent on it if no order is open. Then it cancels what has
        ended, and the next connection may be another account's, where its number is another order's."""
        if not self._account[0].open_orders and not self._wire[0].remote_addr_be:
            self._wire[0].handed_sent = self._wire[0].handed

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


def _checked_lines(session: OrderSession, feeds: Sequence[FeedAddress], most: int) -> list[tuple[int, FeedLine]]:
    """(feed, line) of every way by which frames of a feed arrive; no two of all flows have one destination."""
    if not 0 < len(feeds) <= most:
        raise ConfigError(f"{len(feeds)} feeds: the engine was loaded for 1 to {most} (feeds=...).")
    lines = [(index, line) for index, feed in enumerate(feeds) for line in feed.lines()]
    taken = {session.local: "order entry"}
    for index, line in lines:
        at, what = (line.address, line.port), f"line {line.line} of feed {index}"
        if at in taken:
            raise ConfigError(f"{taken[at]} and {what} share {at[0]}:{at[1]}: give each its own address or port.")
        taken[at] = what
    return lines


def _intent_words(intent: bytes) -> str:
    """An intent for people: what, and of which order."""
    wanted = ffi.from_buffer("struct hft_intent *", intent)[0]
    action = abi.names("hft_action", "HFT_ACTION_").get(wanted.action, str(wanted.action))
    if wanted.action == lib.HFT_ACTION_CANCEL:
        return f"{action} {wanted.ref}"
    side = side_name(wanted.side)
    replaced = f" in place of {wanted.ref}" if wanted.ref else ""
    return f"{action} {side} {wanted.qty} at {wanted.price_e4}/10000{replaced}"


def _nowhere() -> tuple[str, int]:
    """A destination that no wire carries, and nobody can guess."""
    address = (0xF0000000 | secrets.randbelow(1 << 28)).to_bytes(4, "big")
    return socket.inet_ntoa(address), 1 + secrets.randbelow(65535)


def _command_frame(at: tuple[str, int], payload: bytes = b"", source: tuple[str, int] = ("240.0.0.0", 1)) -> bytes:
    """A frame to `at`, from nowhere."""
    mac = "02:00:00:00:00:00"
    return udp_frame(src_mac=mac, dst_mac=mac, src=source, dst=at, payload=payload)


def _destination(headers: bytes) -> tuple[str, int]:
    """Where a frame of `_command_frame` goes."""
    return socket.inet_ntoa(headers[30:34]), int.from_bytes(headers[36:38], "big")


def _address_be(address: str) -> int:
    try:
        return int.from_bytes(socket.inet_pton(socket.AF_INET, address), "little")
    except OSError:
        raise ConfigError(f"address {address!r}: give an IPv4 address such as 10.77.0.1.") from None

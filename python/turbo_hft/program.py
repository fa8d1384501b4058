"""The program and its maps: loaded from the object inside this package, or found on an interface.

Both ways give the same thing, a `Program`: descriptors of the program and its maps. Maps are found by the name the
kernel keeps for them, so it does not matter who loaded the object (this package, or ``ip link``).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, Unpack
from weakref import WeakKeyDictionary

from turbo_hft import abi, privileges
from turbo_hft._native import ffi, lib
from turbo_hft.addresses import Transport
from turbo_hft.errors import AbiMismatch, CapabilityError, ConfigError, LoadError, NotRunning, TurboHftError
from turbo_hft.locks import Locks

Clock = Literal["monotonic", "feed"]

_LOG_BYTES = 1 << 20
_ROOM = 4096  # of a frame as the program left it
_CONFIG_MAP = ".rodata.config"
_MOST_FUNCTIONS = 1024
_FIGURES = re.compile(r"(libbpf: )?processed \d+ insns")

# What a C struct points to has to live as long as it.
_alive: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

_ORDER_WAYS = 4  # struct hft_bucket
_MOST_ORDER_BUCKETS = 1 << 25
_ORDERS_A_BLOCK = 8  # neighbouring prices share a block: far fewer levels than orders
_BLOCKS_A_SYMBOL = 4  # away from the touch, in a sparse book
_SPARSE_BLOCKS = 16_384  # few orders spread over many prices: nearly every one has a block of its own
_LEAST_LADDER = 1024

# Most of each that a map can hold, and that a slip of the pen should not ask for.
_MOST = {
    "symbols": lib.HFT_MAX_SYMBOLS,
    "feeds": lib.HFT_MAX_FEEDS,
    "orders": 1 << 26,
    "levels": 1 << 24,
    "kept": 1 << 22,
}
_MOST_NS = (1 << 63) - 1
_TRANSPORTS: dict[Transport, int] = {
    "ufo": lib.HFT_TRANSPORT_UFO,
    "soupbintcp": lib.HFT_TRANSPORT_SOUPBINTCP,
}


class LoadSettings(TypedDict, total=False):
    """What is fixed when a program is loaded; what is left away has the default in parentheses.

    `verify_checksums` (True): refuse datagrams of ours whose IPv4 or UDP checksum is wrong. `clock` ("monotonic"): what
    the throttles, the lease and the hold of a feed read, the monotonic clock or the feed's own time stamps ("feed").
    `time_all` (False): fill the feed and reply histograms too (a second clock read a packet).

    `symbols` (256, at most 16,384): most that can be tracked; 1.3 kB each. `feeds` (1, at most 4): most that can be
    configured. `orders` (131,072): resting orders of all symbols together; 40 bytes each. `levels` (an eighth of
    `orders`, four a symbol, and half of the first 32,768 orders): blocks of seven neighbouring prices away from the
    touch, of all books; 80 bytes each. `kept` (16,384): messages kept for each feed while an earlier one is missing or
    their symbol is in quarantine; 64 bytes each. All of these are rounded up to powers of two.

    `hold_ns` (2,000,000): how long a missing message may still come by the other line before it is a gap. `crossed_ns`
    (1,000,000,000): how long a book may be crossed in continuous trading, by the feed's time stamps, before it is
    doubted; 0 = for ever.

    `transport` ("ufo"): what carries OUCH, datagrams (UFO) or a live TCP connection of the kernel's ("soupbintcp",
    docs/delegated-send.md). The program has the code of one of them only.
    """

    verify_checksums: bool
    clock: Clock
    time_all: bool
    symbols: int
    feeds: int
    orders: int
    levels: int
    kept: int
    hold_ns: int
    crossed_ns: int
    transport: Transport


@dataclass(frozen=True, slots=True)
class Config:
    """``struct hft_config`` of a loaded program: see `LoadSettings`. The masks are numbers of entries, less one."""

    abi_version: int
    verify_checksums: bool
    clock: Clock
    time_all: bool
    symbols: int
    order_mask: int
    spill_mask: int
    level_mask: int
    ladder_mask: int
    kept_mask: int
    feeds: int
    transport: Transport
    hold_ns: int
    crossed_ns: int


def _power_of_two(value: int) -> int:
    """The next one that is not below `value`."""
    return 1 << max(0, value - 1).bit_length()


def _checked(settings: LoadSettings) -> LoadSettings:
    """The same, if every number of it can be had. Raises ConfigError."""
    for name, most in (*_MOST.items(), ("hold_ns", _MOST_NS), ("crossed_ns", _MOST_NS)):
        value, least = settings.get(name, 1), int(name in _MOST)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ConfigError(f"{name} is {value!r}: give a whole number of {least:,} to {most:,}.")
    if settings.get("clock", "monotonic") not in ("monotonic", "feed"):
        raise ConfigError(f"clock is {settings.get('clock')!r}: give monotonic or feed.")
    if settings.get("transport", "ufo") not in _TRANSPORTS:
        raise ConfigError(f"transport is {settings.get('transport')!r}: give {' or '.join(_TRANSPORTS)}.")
    return settings


def load_config(**settings: Unpack[LoadSettings]) -> Any:
    """A filled ``struct hft_config``. Raises ConfigError for a value that cannot be had."""
    settings = _checked(settings)
    orders = settings.get("orders", 131_072)
    usual = -(-orders // _ORDERS_A_BLOCK) + _BLOCKS_A_SYMBOL * settings.get("symbols", 256)
    usual += min(orders // 2, _SPARSE_BLOCKS)
    blocks = _power_of_two(settings.get("levels", usual))
    config = ffi.new("struct hft_config *")
    config.verify_checksums = settings.get("verify_checksums", True)
    config.clock = lib.HFT_CLOCK_FEED if settings.get("clock") == "feed" else lib.HFT_CLOCK_MONOTONIC
    config.time_all = settings.get("time_all", False)
    config.transport = _TRANSPORTS[settings.get("transport", "ufo")]
    config.symbols = _power_of_two(settings.get("symbols", 256))
    config.feeds = _power_of_two(settings.get("feeds", 1))
    config.order_mask = min(_power_of_two(orders), _MOST_ORDER_BUCKETS) - 1
    config.spill_mask = _power_of_two(-(-orders // 2 // _ORDER_WAYS)) - 1
    config.level_mask = blocks - 1
    config.ladder_mask = max(_LEAST_LADDER, blocks // 4) - 1
    config.kept_mask = _power_of_two(settings.get("kept", 16_384)) - 1
    config.hold_ns = settings.get("hold_ns", 2_000_000)
    config.crossed_ns = settings.get("crossed_ns", 1_000_000_000)
    return config


@dataclass(frozen=True, slots=True)
class Shape:
    """What a map has to look like before it is believed: `entries` values of a C type.

    `flat`: a global array of the program, which the kernel has as a map of one large value. `name` is the kernel's.
    """

    name: str
    ctype: str
    entries: int = 1
    flat: bool = False

    @property
    def bytes(self) -> int:
        """Of all entries."""
        return int(ffi.sizeof(self.ctype)) * self.entries


def map_shapes(config: Config) -> dict[str, Shape]:
    """Every map of a program of that configuration, by the name it has in the program."""
    symbols, orders, blocks = config.symbols, config.order_mask + 1, config.level_mask + 1
    locates, nodes = config.feeds * lib.HFT_LOCATES, config.ladder_mask + 1
    return {
        "control": Shape(".data.control", "struct hft_control", flat=True),
        "command_nonce": Shape("command_nonce", "uint64_t"),
        "limits": Shape(".data.limits", "struct hft_limits", 2, flat=True),
        "symbol_limits": Shape(".data.bounds", "struct hft_symbol_limits", 2 * symbols, flat=True),
        "fees": Shape("fees", "int64_t", 256),
        "account": Shape(".data.account", "struct hft_account", flat=True),
        "memory": Shape(".data.memory", "struct hft_memory", symbols, flat=True),
        "executions": Shape("executions", "struct hft_execution", lib.HFT_MAX_EXECUTIONS),
        "symbol_params": Shape(".data.symbols", "struct hft_symbol_params", symbols, flat=True),
        "symbol_state": Shape(".data.state", "struct hft_symbol_state", symbols, flat=True),
        "symbol_names": Shape("symbol_names", "uint32_t", symbols),
        "books": Shape(".data.books", "struct hft_book", symbols, flat=True),
        "auctions": Shape("auctions", "struct hft_auction", symbols),
        "wire": Shape(".data.wire", "struct hft_tcp_wire", flat=True),
        "order_template": Shape(".data.template", "struct hft_template", flat=True),
        "feed_state": Shape(".data.feeds", "struct hft_feed_state", lib.HFT_MAX_FEEDS, flat=True),
        "session_state": Shape(".data.session", "struct hft_session_state", flat=True),
        "working": Shape(".data.working", "struct hft_working", lib.HFT_MAX_WORKING, flat=True),
        "locates": Shape(".data.locates", "uint16_t", locates, flat=True),
        "book_orders": Shape(".data.orders", "struct hft_bucket", orders, flat=True),
        "order_spill": Shape(".data.spill", "struct hft_bucket", config.spill_mask + 1, flat=True),
        "book_levels": Shape(".data.levels", "struct hft_level_block", blocks, flat=True),
        "book_ladder": Shape(".data.ladder", "struct hft_bucket", nodes, flat=True),
        "kept": Shape("kept", "struct hft_kept", config.feeds * (config.kept_mask + 1)),
        "flows": Shape("flows", "struct hft_flow", lib.HFT_MAX_FLOWS),
        "tallies": Shape(".data.tallies", "struct hft_stats", flat=True),
        "stats": Shape("stats", "struct hft_stats"),
        "histograms": Shape("histograms", "struct hft_histogram", lib.HFT_HISTS),
    }


def os_error(code: int, what: str) -> TurboHftError:
    """The typed error for a negative errno value of the native layer."""
    if code in (-errno.EPERM, -errno.EACCES):
        return CapabilityError(f"{what}: {os.strerror(-code)}. {privileges.what_is_missing()}")
    return TurboHftError(f"{what}: {os.strerror(-code)}")


class Closed:
    """Stands where an engine's shared memory was: every use of a closed engine is an error, not a crash."""

    def __getitem__(self, index: object) -> Any:
        raise ConfigError("this engine is closed: open or adopt one.")


def share_array(map_fd: int, shape: Shape, *, writable: bool) -> Any:
    """A map's values in memory that hook and Python share: loads and stores, no system calls.

    The memory stays mapped until the process ends, because a view may outlive its engine. Raises TurboHftError if the
    kernel refuses.
    """
    assert shape.flat or ffi.sizeof(shape.ctype) % 8 == 0, f"entries of a map are 8 bytes apart, {shape.ctype} is not"
    page = os.sysconf("SC_PAGESIZE")
    error = ffi.new("int *")
    memory = lib.hft_map_share(map_fd, (shape.bytes + page - 1) // page * page, writable, error)
    if memory == ffi.NULL:
        raise os_error(error[0], f"cannot map {shape.name}")
    return ffi.cast(f"{shape.ctype} *", memory)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the kernel says of a program: `verified_insns` is what the verifier looked at, each as often as it did."""

    id: int
    verified_insns: int
    xlated_bytes: int
    jited_bytes: int


class Successor:
    """A program that waits to take another's place. `log`: what was asked of the verifier."""

    def __init__(self, handle: Any, name: str, log: str) -> None:
        self._handle = handle
        self.name = name
        self.log = log

    @property
    def fd(self) -> int:
        """Descriptor of the program."""
        return int(lib.hft_program_fd(self._handle))

    def user_map(self, name: str) -> int | None:
        """As `Program.user_map`."""
        return _user_map(self._handle, name)

    def btf(self) -> bytes:
        """The program's types."""
        return _btf(self._handle)

    def functions(self) -> list[int]:
        """Types of the program's functions, in its order."""
        ids = ffi.new("unsigned int[]", _MOST_FUNCTIONS)
        count = lib.hft_functions(self._handle, ids, _MOST_FUNCTIONS)
        if count < 0:
            raise os_error(count, "cannot ask the kernel for the program's functions")
        return list(ids[0:count])

    def facts(self) -> Facts:
        """What the kernel says of it."""
        return _facts(self._handle)

    def run(self, frame: bytes) -> tuple[int, bytes]:
        """As `Program.run`."""
        return _run(self.fd, frame)

    @property
    def handle(self) -> Any:
        """The ``struct hft_object *``, borrowed."""
        return self._handle

    def release(self) -> Any:
        """Give the handle away."""
        handle, self._handle = self._handle, None
        return handle

    def close(self) -> None:
        """Unload it, unless it has taken its place."""
        if self._handle is not None:
            lib.hft_unload(self._handle)
            self._handle = None


_engine_object: bytes | None = None


def use_engine_object(built: bytes | None) -> None:
    """From now on this process loads another build of the engine's object than the one inside the package, None: that
    one again. For tests of that build (`pytest --engine-object`); it must have the same contract."""
    global _engine_object  # noqa: PLW0603 - what is loaded is one choice for the whole process
    _engine_object = built


def engine_object() -> bytes:
    """The engine's object that this process loads."""
    if _engine_object is not None:
        return _engine_object
    size = ffi.new("size_t *")
    start = lib.hft_engine_object(size)
    return bytes(ffi.buffer(ffi.cast("char *", start), size[0]))


def _source(
    user: bytes | None = None, replaces: Any = ffi.NULL, *, explain: bool = False, engine: bytes | None = None
) -> Any:
    source = ffi.new("struct hft_source *")
    source.replaces, source.explain = replaces, explain
    kept = []
    if user is not None:
        kept.append(ffi.from_buffer(user))
        source.user, source.user_size = kept[-1], len(user)
    engine = _engine_object if engine is None else engine
    if engine is not None:
        kept.append(ffi.from_buffer(engine))
        source.engine, source.engine_size = kept[-1], len(engine)
    _alive[source] = kept
    return source


def _load(config: Any, source: Any, *, log: Any = None, strategy: str = "") -> Any:
    log, error = ffi.new("char[]", _LOG_BYTES) if log is None else log, ffi.new("int *")
    handle = lib.hft_load(config, source, log, _LOG_BYTES, error)
    if handle != ffi.NULL:
        return handle
    text = ffi.string(log).decode(errors="replace")
    # A damaged strategy may be answered with EPERM too; who may not load anything fails at libbpf's first try.
    if error[0] == -errno.EPERM and (not strategy or "probe_loading" in text):
        raise CapabilityError(f"the kernel does not let this process load BPF programs. {privileges.what_is_missing()}")
    if error[0] in (-errno.EACCES, -errno.EINVAL) and privileges.missing():  # the verifier trusts this process less
        raise CapabilityError(f"the kernel refused the program: {refusal(text)}. {privileges.what_is_missing()}")
    if error[0] in (-errno.E2BIG, -errno.ENOMEM) and not strategy:
        raise LoadError(f"the maps do not fit: {os.strerror(-error[0])}. Ask for fewer symbols, orders or kept.", text)
    why = f"{os.strerror(-error[0])} ({refusal(text)})"
    if strategy:
        raise LoadError(
            f"strategy {strategy} was refused: {why}. What was in force before stays; the verifier's words are in "
            ".verifier_log.",
            text,
        )
    raise LoadError(
        f"the kernel refused the program: {why}. Linux 6.1 or newer with BTF is needed; the verifier's words are in "
        ".verifier_log.",
        text,
    )


def refusal(log: str) -> str:
    """The line of a log that says why: the verifier's last one before its figures, or the last of all."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if _FIGURES.match(line) and number:
            return lines[number - 1]
    return lines[-1] if lines else "no message"


def adopt_program(program_id: int, what: str) -> Any:
    """A ``struct hft_object *`` of the program of a kernel id, which CAP_SYS_ADMIN may open."""
    error = ffi.new("int *")
    handle = lib.hft_adopt(program_id, error)
    if handle == ffi.NULL:
        raise os_error(error[0], f"cannot open {what}")
    return handle


def _run(fd: int, frame: bytes) -> tuple[int, bytes]:
    out, length = ffi.new("unsigned char[]", _ROOM), ffi.new("unsigned int *", _ROOM)
    verdict, duration = ffi.new("unsigned int *"), ffi.new("unsigned int *")
    error = lib.hft_test_run(fd, ffi.from_buffer(frame), len(frame), out, length, 1, verdict, duration)
    if error:
        raise os_error(error, f"cannot run a frame of {len(frame)} bytes")
    return int(verdict[0]), bytes(ffi.buffer(out, length[0]))


def _user_map(handle: Any, name: str) -> int | None:
    fd = lib.hft_map_fd(handle, name.encode())
    return None if fd < 0 else os.dup(fd)


def _btf(handle: Any) -> bytes:
    size = ffi.new("size_t *")
    start = lib.hft_btf(handle, size)
    return b"" if start == ffi.NULL else bytes(ffi.buffer(ffi.cast("char *", start), size[0]))


def _facts(handle: Any) -> Facts:
    facts = ffi.new("struct hft_program_facts *")
    error = lib.hft_program_facts(handle, facts)
    if error:
        raise os_error(error, "cannot ask the kernel for the program")
    return Facts(**abi.fields(facts[0]))


class Program:
    """Descriptors of a loaded program and of its maps. `owner`: this process loaded it, and it ends with this process.
    `config`: what it was loaded with.

    A program can be replaced by one that has the same maps and another strategy linked in, by this process (`become`)
    or by another one; this object then stands for the new one. `lock` is held while they change places.
    """

    def __init__(self, handle: Any, *, owner: bool, opener: Callable[[int, str], Any] | None = None) -> None:
        """`opener`: a handle of the program of that kernel id; the text says what it is."""
        self.owner = owner
        self._locks: Locks | None = None
        self._opener = opener or adopt_program
        self.lock = threading.RLock()
        self._handle = handle
        self._fd = os.dup(lib.hft_program_fd(handle))
        self._fds: dict[str, int] = {}
        self._shapes: dict[str, Shape] = {}
        self._check()
        self.generations = self._share_generations()
        self._generation = int(self.generations.current)

    @classmethod
    def load(cls, built: bytes | None = None, **settings: Unpack[LoadSettings]) -> Program:
        """Load a fresh program; `built`: another build of the engine's object. Raises ConfigError, CapabilityError, or
        LoadError with the verifier's log."""
        program = cls(_load(load_config(**settings), _source(engine=built)), owner=True)
        program.remember(built or engine_object())
        return program

    def remember(self, built: bytes) -> None:
        """Note in the table of generations what the first one is made of."""
        first = self.generations.entry[0]
        first.engine_sha256 = list(hashlib.sha256(built).digest())
        first.program_id, first.since_ns = self.facts().id, time.time_ns()

    @classmethod
    def adopt(cls, interface: str) -> Program:
        """The Turbo-HFT program that runs on `interface`. Raises NotRunning if there is none, AbiMismatch if it is
        another version."""
        program_id, _ = query(interface)
        handle = adopt_program(program_id, f"the program on {interface}")
        if lib.hft_map_fd(handle, _CONFIG_MAP.encode()) < 0:
            lib.hft_unload(handle)
            raise NotRunning(
                f"the XDP program on {interface} is not Turbo-HFT's. Detach it, or name another interface."
            )
        return cls(handle, owner=False)

    @classmethod
    def adopt_pinned(cls, handle: Any, opener: Callable[[int, str], Any]) -> Program:
        """One that was opened by its pins, and how those that take its place are. Raises AbiMismatch."""
        return cls(handle, owner=False, opener=opener)

    @property
    def handle(self) -> Any:
        """The ``struct hft_object *``, borrowed."""
        return self._handle

    @property
    def fd(self) -> int:
        """Descriptor of the program that is in force: the same number for all that take its place, -1 when closed."""
        if self._handle is not None and self.generations.current != self._generation:
            with self.lock:
                self._follow()
        return self._fd

    def _follow(self) -> None:
        """Another process has replaced the program, unless another thread has seen to it meanwhile."""
        generation = int(self.generations.current)
        if generation != self._generation:
            program_id = self.generations.entry[generation % lib.HFT_GENERATIONS].program_id
            what = f"generation {generation} of the strategy, which another process put in force"
            self._take(self._opener(program_id, what), generation)

    def _take(self, handle: Any, generation: int) -> None:
        # Whoever uses the descriptor at this moment uses the one or the other.
        os.dup2(lib.hft_program_fd(handle), self._fd, inheritable=False)
        lib.hft_unload(self._handle)
        self._handle, self._generation = handle, generation

    # Replacement

    def successor(
        self, name: str, user: bytes | None, *, explain: bool = False, built: bytes | None = None
    ) -> Successor:
        """Load a program with the same maps, and with a user's object linked in; it is not in force yet.

        `built`: another build of the engine's object. Raises LoadError with the verifier's log. `explain`: have the
        verifier's figures in `Successor.log`.
        """
        assert self.fd >= 0, "a closed program has no maps to share"
        log = ffi.new("char[]", _LOG_BYTES)
        source = _source(user, self._handle, explain=explain, engine=built)
        handle = _load(ffi.NULL, source, log=log, strategy=name)
        return Successor(handle, name, ffi.string(log).decode(errors="replace"))

    def become(self, successor: Successor, generation: int) -> None:
        """From now on this object is the successor, of that generation. With `lock` held."""
        self._take(successor.release(), generation)

    def facts(self) -> Facts:
        """What the kernel says of the program."""
        assert self.fd >= 0
        with self.lock:
            return _facts(self._handle)

    def user_map(self, name: str) -> int | None:
        """Descriptor of a map that a user's object brought, the caller's to close; None without."""
        assert self.fd >= 0
        with self.lock:
            return _user_map(self._handle, name)

    def btf(self) -> bytes:
        """The program's types."""
        assert self.fd >= 0
        with self.lock:
            return _btf(self._handle)

    def _share_generations(self) -> Any:
        fd = lib.hft_map_fd(self._handle, b"generations")
        if fd < 0:  # `ip link` loaded it: nobody can replace it
            return ffi.new("struct hft_generations *")
        self._fds["generations"] = os.dup(fd)
        wanted, found = Shape("generations", "struct hft_generations", flat=True), ffi.new("struct hft_map_shape *")
        lib.hft_map_shape(fd, found)
        if found.value_size != wanted.bytes:
            self.close()
            raise AbiMismatch(
                f"the table of generations has {found.value_size} bytes, this package expects {wanted.bytes}: run the "
                "package version that loaded the program, or load it again."
            )
        return share_array(fd, wanted, writable=True)

    def _check(self) -> None:
        """Believe no map whose shape is not this package's."""
        raw = ffi.new("struct hft_config *")
        lib.hft_map_read(self._config_map(), ffi.new("uint32_t *", 0), raw)
        if raw.abi_version != abi.VERSION:
            self.close()
            raise AbiMismatch(
                f"the loaded program speaks ABI version {raw.abi_version}, this package {abi.VERSION}. "
                "Run the package version that loaded it, or load it again."
            )
        values = abi.fields(raw[0])
        values["clock"] = "feed" if values["clock"] == lib.HFT_CLOCK_FEED else "monotonic"
        values["transport"] = next(name for name, value in _TRANSPORTS.items() if value == values["transport"])
        values["verify_checksums"], values["time_all"] = bool(values["verify_checksums"]), bool(values["time_all"])
        self.config = Config(**values)
        self._shapes = map_shapes(self.config)
        found = ffi.new("struct hft_map_shape *")
        for name, shape in self._shapes.items():
            lib.hft_map_shape(self.map(name), found)
            size = int(ffi.sizeof(shape.ctype))
            if (found.value_size, found.max_entries) != ((shape.bytes, 1) if shape.flat else (size, shape.entries)):
                has = f"{found.value_size} bytes x {found.max_entries}"
                self.close()
                raise AbiMismatch(
                    f"map {name} has {has}, this package expects {size} x {shape.entries} ({shape.ctype}). "
                    "The program was built from another version: load this one's."
                )

    def _config_map(self) -> int:
        """Descriptor of the map that holds the configuration, checked: a read must not run over the struct."""
        shape = ffi.new("struct hft_map_shape *")
        lib.hft_map_shape(self.map(_CONFIG_MAP), shape)
        if shape.value_size != ffi.sizeof("struct hft_config"):
            self.close()
            raise AbiMismatch(
                f"the loaded program's configuration has {shape.value_size} bytes, this package's "
                f"{ffi.sizeof('struct hft_config')}: ABI version {abi.VERSION} is spoken here. "
                "Run the package version that loaded it, or load it again."
            )
        return self.map(_CONFIG_MAP)

    def map(self, name: str) -> int:
        """Descriptor of a map by its name in the program."""
        if name not in self._fds:
            known = (self._shapes[name].name if name in self._shapes else name).encode()
            fd = lib.hft_map_fd(self._handle, known)
            if fd < 0:
                raise AbiMismatch(f"the loaded program has no map {name}: it was built from another version.")
            self._fds[name] = os.dup(fd)  # the same for all programs that take this one's place
        return self._fds[name]

    @property
    def locks(self) -> Locks:
        """What processes that control this engine, whatever program is in force, exclude each other by."""
        if self._locks is None:
            secret = self.share("command_nonce", writable=True)
            lib.hft_exchange(ffi.cast("unsigned long long *", secret), 0, 1 + secrets.randbelow((1 << 64) - 1))
            self._locks = Locks(int(secret[0]))
        return self._locks

    def share(self, name: str, *, writable: bool = False) -> Any:
        """The entries of an array map, in shared memory."""
        return share_array(self.map(name), self._shapes[name], writable=writable)

    def shared_bytes(self, name: str) -> int:
        """Bytes of an array map's entries."""
        return self._shapes[name].bytes

    def per_cpu(self, name: str, index: int = 0) -> Any:
        """One entry of a per-CPU array, a value per CPU: a cffi array, which owns the memory of its elements."""
        values = ffi.new(f"{self._shapes[name].ctype}[]", lib.hft_possible_cpus())
        error = lib.hft_map_read(self.map(name), ffi.new("uint32_t *", index), values)
        if error:
            raise os_error(error, f"cannot read map {name}")
        return values

    def inject(self, headers: bytes, payload: bytes) -> int:
        """Run one datagram through the program without a device; the XDP verdict.

        `headers`: complete Ethernet, IPv4 (no options) and UDP headers; their lengths and checksums are set. Raises
        TurboHftError if the kernel refuses.
        """
        verdict = lib.hft_inject(self.fd, headers, len(headers), payload, len(payload))
        if verdict < 0:
            raise os_error(verdict, f"cannot run a datagram of {len(payload)} bytes")
        return int(verdict)

    def run(self, frame: bytes) -> tuple[int, bytes]:
        """Run one complete frame through the program without a device: the XDP verdict, and the frame as it was left.

        Raises TurboHftError if the kernel refuses.
        """
        return _run(self.fd, frame)

    def inject_all(self, headers: bytes, payloads: Sequence[bytes]) -> None:
        """Run many datagrams through the program, in order: a replay without a device. As `inject` otherwise; orders
        that leave in them go nowhere."""
        packed = b"".join(len(payload).to_bytes(4, sys.byteorder) + payload for payload in payloads)
        done = ffi.new("unsigned int *")
        error = lib.hft_run_packets(self.fd, headers, len(headers), packed, len(payloads), len(packed), done)
        if error:
            raise os_error(error, f"cannot run datagram {done[0]} of {len(payloads)}")

    def close(self) -> None:
        """Give everything back; an owned program is unloaded once nothing is attached."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()
        if self._handle is not None:
            os.close(self._fd)
            self._fd = -1
            lib.hft_unload(self._handle)
            self._handle = None


def interface_index(interface: str) -> int:
    """Index of a network interface. Raises NotRunning when there is none of that name."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        raise NotRunning(
            f"there is no interface {interface}. `ip link` lists them; `turbo-hft lab up` makes veth_hft."
        ) from None


def query(interface: str) -> tuple[int, int]:
    """(program id, HFT_XDP_* mode) of the XDP program on an interface. Raises NotRunning when there is none."""
    index = interface_index(interface)
    program_id, flags = ffi.new("unsigned int *"), ffi.new("unsigned int *")
    error = lib.hft_query(index, program_id, flags)
    if error == -errno.ENOENT:
        raise NotRunning(f"no engine runs on {interface}: it has no XDP program. Start one with `turbo-hft run`.")
    if error:
        raise os_error(error, f"cannot ask {interface} for its XDP program")
    return int(program_id[0]), int(flags[0])

"""The program and its maps: loaded from the object inside this package, or found on an interface.

Both ways give the same thing, a `Program`: descriptors of the program and its maps. Maps are found by the name the
kernel
keeps for them, so it does not matter who loaded the object (this package, or ``ip link``).
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Literal

from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.errors import AbiMismatch, CapabilityError, ConfigError, LoadError, NotRunning, TurboHftError

Clock = Literal["monotonic", "feed"]

_LOG_BYTES = 1 << 20
_CONFIG_MAP = ".rodata.config"
_NEEDED = "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (or run as root)"

# Map name -> (C type of a value, entries or 0 for "as loaded"). What adoption checks before it believes a map.
_SHAPES: dict[str, tuple[str, int]] = {
    "control": ("struct hft_control", 1),
    "symbol_params": ("struct hft_symbol_params", lib.HFT_MAX_SYMBOLS),
    "order_template": ("struct hft_template", 1),
    "symbol_state": ("struct hft_symbol_state", lib.HFT_MAX_SYMBOLS),
    "feed_state": ("struct hft_feed_state", 1),
    "session_state": ("struct hft_session_state", 1),
    "working": ("struct hft_working", lib.HFT_MAX_WORKING),
    "order_times": ("uint64_t", lib.HFT_MAX_ORDERS_PER_SECOND),
    "locate_slot": ("uint64_t", lib.HFT_LOCATES),
    "book_orders": ("struct hft_bucket", lib.HFT_ORDER_BUCKETS),
    "book_levels": ("struct hft_bucket", lib.HFT_LEVEL_BUCKETS),
    "book_ladder": ("struct hft_bucket", lib.HFT_LADDER_BUCKETS),
    "flows": ("struct hft_flow", lib.HFT_MAX_FLOWS),
    "symbol_names": ("uint32_t", lib.HFT_MAX_SYMBOLS),
    "stats": ("struct hft_stats", 1),
    "histograms": ("struct hft_histogram", lib.HFT_HISTS),
}


def os_error(code: int, what: str) -> TurboHftError:
    """The typed error for a negative errno value of the native layer."""
    if code in (-errno.EPERM, -errno.EACCES):
        return CapabilityError(f"{what}: {os.strerror(-code)}. This needs {_NEEDED}.")
    return TurboHftError(f"{what}: {os.strerror(-code)}")


class Closed:
    """Stands where an engine's shared memory was: every use of a closed engine is an error, not a crash."""

    def __getitem__(self, index: object) -> Any:
        raise ConfigError("this engine is closed: open or adopt one.")


def share_array(map_fd: int, ctype: str, entries: int, *, writable: bool) -> Any:
    """`entries` values of `ctype` in memory that hook and Python share: loads and stores, no system calls.

    The memory stays mapped until the process ends, because a view may outlive its engine. Raises TurboHftError if the
    kernel refuses.
    """
    size = ffi.sizeof(ctype)
    assert size % 8 == 0, f"elements of a map are 8 bytes apart, {ctype} is not"
    page = os.sysconf("SC_PAGESIZE")
    length = (size * entries + page - 1) // page * page
    error = ffi.new("int *")
    memory = lib.hft_map_share(map_fd, length, writable, error)
    if memory == ffi.NULL:
        raise os_error(error[0], f"cannot map {ctype}")
    return ffi.cast(f"{ctype} *", memory)


class Program:
    """Descriptors of a loaded program and of its maps. `owner`: this process loaded it, and it ends with this
    process."""

    def __init__(self, program_fd: int, *, handle: Any = None) -> None:
        self.fd = program_fd
        self.owner = handle is not None
        self._handle = handle
        self._fds: dict[str, int] = {}
        self._check()

    @classmethod
    def load(cls, *, verify_checksums: bool, clock: Clock, time_all: bool) -> Program:
        """Load a fresh program. Raises CapabilityError, or LoadError with the verifier's log."""
        config = ffi.new("struct hft_config *")
        config.verify_checksums = verify_checksums
        config.clock = lib.HFT_CLOCK_FEED if clock == "feed" else lib.HFT_CLOCK_MONOTONIC
        config.time_all = time_all
        log, error = ffi.new("char[]", _LOG_BYTES), ffi.new("int *")
        handle = lib.hft_load(config, log, _LOG_BYTES, error)
        if handle != ffi.NULL:
            return cls(lib.hft_program_fd(handle), handle=handle)
        text = ffi.string(log).decode(errors="replace")
        if error[0] == -errno.EPERM:
            raise CapabilityError(f"the kernel does not let this process load BPF programs. It needs {_NEEDED}.")
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "no message")
        raise LoadError(
            f"the kernel refused the program: {os.strerror(-error[0])} ({last}). Linux 6.1 or newer with BTF "
            f"is needed; "
            "the verifier's words are in .verifier_log.",
            text,
        )

    @classmethod
    def adopt(cls, interface: str) -> Program:
        """The Turbo-HFT program that runs on `interface`. Raises NotRunning if there is none, AbiMismatch if it is
        another version."""
        program_id, _ = query(interface)
        fd = lib.hft_program_by_id(program_id)
        if fd < 0:
            raise os_error(fd, f"cannot open the program on {interface}")
        probe = lib.hft_map_of_program(fd, _CONFIG_MAP.encode())
        if probe < 0:
            os.close(fd)
            if probe == -errno.ENOENT:
                raise NotRunning(
                    f"the XDP program on {interface} is not Turbo-HFT's. Detach it, or name another interface."
                )
            raise os_error(probe, f"cannot read the maps of the program on {interface}")
        os.close(probe)
        return cls(fd)

    def _check(self) -> None:
        """Believe no map whose shape is not this package's."""
        config = ffi.new("struct hft_config *")
        lib.hft_map_read(self.map(_CONFIG_MAP), ffi.new("uint32_t *", 0), config)
        if config.abi_version != abi.VERSION:
            self.close()
            raise AbiMismatch(
                f"the loaded program speaks ABI version {config.abi_version}, this package {abi.VERSION}. "
                "Run the package version that loaded it, or load it again."
            )
        shape = ffi.new("struct hft_map_shape *")
        for name, (ctype, entries) in _SHAPES.items():
            lib.hft_map_shape(self.map(name), shape)
            if shape.value_size != ffi.sizeof(ctype) or shape.max_entries != entries:
                found = f"{shape.value_size} bytes x {shape.max_entries}"
                self.close()
                raise AbiMismatch(
                    f"map {name} has {found}, this package expects {ffi.sizeof(ctype)} x {entries} ({ctype}). "
                    "The program was built from another version: load this one's."
                )

    def map(self, name: str) -> int:
        """Descriptor of a map by name."""
        if name not in self._fds:
            if self._handle is not None:
                fd = os.dup(lib.hft_map_fd(self._handle, name.encode()))
            else:
                fd = lib.hft_map_of_program(self.fd, name.encode())
                if fd < 0:
                    raise os_error(fd, f"cannot open map {name}")
            self._fds[name] = fd
        return self._fds[name]

    def share(self, name: str, *, writable: bool = False) -> Any:
        """The elements of an array map, in shared memory."""
        ctype, entries = _SHAPES[name]
        return share_array(self.map(name), ctype, entries, writable=writable)

    @staticmethod
    def shared_bytes(name: str) -> int:
        """Bytes of an array map's elements."""
        ctype, entries = _SHAPES[name]
        return int(ffi.sizeof(ctype)) * entries

    def per_cpu(self, name: str, index: int = 0) -> Any:
        """One element of a per-CPU array, a value per CPU: a cffi array, which owns the memory of its elements."""
        ctype, _ = _SHAPES[name]
        values = ffi.new(f"{ctype}[]", lib.hft_possible_cpus())
        error = lib.hft_map_read(self.map(name), ffi.new("uint32_t *", index), values)
        if error:
            raise os_error(error, f"cannot read map {name}")
        return values

    def close(self) -> None:
        """Give everything back; an owned program is unloaded once nothing is attached."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()
        if self._handle is not None:
            lib.hft_unload(self._handle)
            self._handle = None
        elif self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


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

"""What an object has to be before it is linked into the engine; every refusal says what to do.

The verifier keeps a function that it checks by itself away from all that it is not given. What could get around that
would be a name: the linker joins equal ones. So an object may bring sections and names of its own, and use no others.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.errors import ConfigError
from turbo_hft.user_strategy import btf as types
from turbo_hft.user_strategy import elf
from turbo_hft.user_strategy.params import PARAMS_SECTION, layout_of

FUNCTION = "hft_user_strategy"
GLOBAL_LINKAGE = 1  # as BTF numbers it
MOST_BYTES = 16 << 20
_CONTRACT = ("hft_signal", "hft_intents", "hft_intent", "hft_touch", "hft_own")
_CODE = ".text"
_MAPS = ".maps"
_LICENSE = "license"
_OWN_DATA = (".data", ".bss", PARAMS_SECTION)
_CONSTANTS = ".rodata"
_NAME_BYTES = 15  # of a map: the kernel keeps no more

# Maps a strategy may keep something in, as <linux/bpf.h> numbers them.
_MAP_TYPES = {
    "HASH": 1,
    "ARRAY": 2,
    "PERCPU_HASH": 5,
    "PERCPU_ARRAY": 6,
    "LRU_HASH": 9,
    "LRU_PERCPU_HASH": 10,
    "LPM_TRIE": 11,
    "QUEUE": 22,
    "STACK": 23,
    "RINGBUF": 27,
    "BLOOM_FILTER": 30,
}

# Helpers a strategy may call: its own maps, clocks, arithmetic, loops.
_HELPERS = {
    1: "bpf_map_lookup_elem",
    2: "bpf_map_update_elem",
    3: "bpf_map_delete_elem",
    5: "bpf_ktime_get_ns",
    6: "bpf_trace_printk",
    7: "bpf_get_prandom_u32",
    8: "bpf_get_smp_processor_id",
    87: "bpf_map_push_elem",
    88: "bpf_map_pop_elem",
    89: "bpf_map_peek_elem",
    118: "bpf_jiffies64",
    125: "bpf_ktime_get_boot_ns",
    130: "bpf_ringbuf_output",
    131: "bpf_ringbuf_reserve",
    132: "bpf_ringbuf_submit",
    133: "bpf_ringbuf_discard",
    134: "bpf_ringbuf_query",
    160: "bpf_ktime_get_coarse_ns",
    164: "bpf_for_each_map_elem",
    177: "bpf_trace_vprintk",
    181: "bpf_loop",
    182: "bpf_strncmp",
    195: "bpf_map_lookup_percpu_elem",
    208: "bpf_ktime_get_tai_ns",
}

_INSTRUCTION = struct.Struct("=BBhi")
_WIDE_LOAD, _CALL = 0x18, 0x85


@dataclass(frozen=True, slots=True)
class UserObject:
    """An object that may be linked. `functions`: names of its own, static ones included."""

    name: str
    data: bytes
    functions: tuple[str, ...]


def read(path: str | Path) -> UserObject:
    """Read and check an object file. Raises ConfigError."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the strategy {path}: {error.strerror}.") from None
    if len(data) > MOST_BYTES:
        raise ConfigError(f"the strategy {path} has more than {MOST_BYTES >> 20} MB: that is no strategy.")
    return check(path.stem, data)


def check(name: str, data: bytes) -> UserObject:
    """What `data` is, if it may be linked. Raises ConfigError."""
    try:
        return _Check(name, data).done()
    except elf.NotAnObject as error:
        raise ConfigError(
            f"strategy {name} is no object that clang made for BPF: {error}. Compile it with "
            "`clang -O2 -g -target bpf -mcpu=v3 -I$(turbo-hft strategy header-dir) -c`."
        ) from None
    except types.NotBtf as error:
        raise ConfigError(
            f"strategy {name} has types that cannot be read: {error}. Compile it with clang -g."
        ) from None


@cache
def engine() -> tuple[elf.ElfObject, types.Btf]:
    """The engine's own object, which lies in the extension module."""
    size = ffi.new("size_t *")
    start = lib.hft_engine_object(size)
    found = elf.parse(bytes(ffi.buffer(ffi.cast("char *", start), size[0])))
    section = found.section(".BTF")
    assert section is not None, "the engine is built with -g"
    return found, types.parse(section.data)


@cache
def _engine_maps() -> frozenset[str]:
    found, _ = engine()
    tables = {section.name for section in found.sections if section.name.startswith((".data.", ".rodata."))}
    indexes = {i for i, section in enumerate(found.sections) if section.name == _MAPS}
    maps = {symbol.name for symbol in found.symbols if symbol.section in indexes and symbol.name}
    return frozenset(name[:_NAME_BYTES] for name in tables | maps | {"generations", "types"})


class _Check:
    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data
        self.elf = elf.parse(data)

    def refuse(self, what: str) -> NoReturn:
        raise ConfigError(f"strategy {self.name} {what}")

    def done(self) -> UserObject:
        # The order is that of what a reader of a message can do about it.
        self._sections()
        self._undefined()
        function = self._function()
        self._contract()
        self._names()
        self._maps()
        self._calls()
        layout_of(self.btf, self.name)
        return UserObject(self.name, self.data, (function, *self._functions(function)))

    def _sections(self) -> None:
        for section in self.elf.sections:
            if not section.flags & 2:  # SHF_ALLOC: the others do not become part of the program
                continue
            name = section.name
            if section.flags & elf.EXECUTABLE and name != _CODE:
                if section.size:
                    self.refuse(
                        f"has a program of its own in section {name!r}. It is one function of the engine's program: "
                        "take its SEC() away."
                    )
            elif name == _LICENSE:
                self._license(section)
            elif name not in (_CODE, _MAPS, *_OWN_DATA) and name.split(".")[:2] != ["", "rodata"]:
                self.refuse(
                    f"has data in section {name!r}. It may have {', '.join(_OWN_DATA)}, {_CONSTANTS} and {_MAPS}: "
                    "take the SEC() away, or use HFT_PARAMS."
                )
            elif name == ".rodata.config":
                self.refuse(f"has data in section {name!r}, which is the engine's: take the SEC() away.")
        found = self.elf.section(".BTF")
        if found is None or self.elf.section(".BTF.ext") is None:
            self.refuse("has no BTF: compile it with clang -g (and strip it with llvm-strip -g, if at all).")
        self.btf = types.parse(found.data)

    def _license(self, section: elf.Section) -> None:
        ours = engine()[0].section(_LICENSE)
        if ours is not None and section.data != ours.data:
            wanted = ours.data.rstrip(b"\0").decode()
            self.refuse(
                f"names a license for the kernel; the program has one ({wanted!r}): leave it out, or name the same."
            )

    def _undefined(self) -> None:
        for symbol in self.elf.symbols:
            if symbol.section == elf.UNDEFINED and symbol.name:
                self.refuse(
                    f"uses {symbol.name}, which it does not define. A strategy sees its signal, its parameters and "
                    "what it brings along: nothing of the engine, and no kernel functions."
                )

    def _function(self) -> str:
        found = [symbol for symbol in self.elf.symbols if symbol.name == FUNCTION and symbol.kind == elf.FUNCTION]
        if not found:
            self.refuse(
                f"has no function {FUNCTION}: define `int {FUNCTION}(const struct hft_signal *signal, "
                "struct hft_intents *intents)`."
            )
        symbol = found[0]
        # A hidden or static one would be verified as part of the engine, with the engine's own pointers in its hands.
        if symbol.binding != elf.GLOBAL or symbol.visibility != elf.DEFAULT:
            self.refuse(f"hides {FUNCTION}: it must be neither static nor weak nor of hidden visibility.")
        if not self._is_code(symbol):
            self.refuse(f"has {FUNCTION} outside of section {_CODE!r}: take its SEC() away.")
        return FUNCTION

    def _functions(self, first: str) -> list[str]:
        return [s.name for s in self.elf.symbols if s.kind == elf.FUNCTION and s.name and s.name != first]

    def _contract(self) -> None:
        number = self.btf.find(types.Kind.FUNC, FUNCTION)
        tags = self.btf.tags_of(number) if number is not None else []
        version = next((tag.removeprefix("hft_abi_") for tag in tags if tag.startswith("hft_abi_")), None)
        if version is None:
            self.refuse(
                "was not compiled with hft/strategy_api.h (by clang 14 or newer): include it, and no other of hft/."
            )
        if version != str(abi.VERSION):
            self.refuse(
                f"was compiled for version {version} of the contract, this engine speaks {abi.VERSION}: compile it "
                "again with this package's header (turbo-hft strategy header-dir)."
            )
        ours = engine()[1]
        for name in _CONTRACT:
            theirs, here = self.btf.find(types.Kind.STRUCT, name), ours.find(types.Kind.STRUCT, name)
            if theirs is None or here is None:
                continue
            if _shape(self.btf, theirs) != _shape(ours, here):
                self.refuse(f"has another struct {name} than the engine: use hft/strategy_api.h as it is.")

    def _names(self) -> None:
        for name in sorted(self.elf.globals() & engine()[0].globals() - {FUNCTION, "_license"}):
            self.refuse(f"defines {name}, which the engine has too: make it static, or give it another name.")

    def _maps(self) -> None:
        number = self.btf.find(types.Kind.DATASEC, _MAPS)
        for member in self.btf[number].members if number is not None else ():
            variable = self.btf[member.type]
            if variable.name[:_NAME_BYTES] in _engine_maps():
                self.refuse(f"has a map {variable.name}, and so has the engine: give it another name.")
            described = self.btf.plain(variable.of)
            attributes = {entry.name: self._attribute(entry.type) for entry in described.members}
            if attributes.get("type") not in _MAP_TYPES.values():
                kinds = ", ".join(_MAP_TYPES)
                self.refuse(f"has a map {variable.name} of a type that is not for strategies: use one of {kinds}.")
            for unwanted in ("pinning", "values"):
                if unwanted in attributes:
                    self.refuse(f"has a map {variable.name} with {unwanted!r}: maps of a strategy live and go with it.")

    def _attribute(self, number: int) -> int:
        """The number in `__uint(name, number)`: a pointer to an array of that many."""
        pointer = self.btf.plain(number)
        return self.btf.plain(pointer.of).count if pointer.kind is types.Kind.PTR else 0

    def _calls(self) -> None:
        """Calls go to helpers that are for strategies, and to functions of its own."""
        code = self.elf.section(_CODE)
        if code is None or len(code.data) % _INSTRUCTION.size:
            self.refuse("has no code.")
        linked = elf.relocated(self.elf, _CODE)
        starts = {symbol.value for symbol in self._own_functions()}
        wide = False
        for index, (operation, registers, _, value) in enumerate(_INSTRUCTION.iter_unpack(code.data)):
            if wide:
                wide = False
                continue
            at = index * _INSTRUCTION.size
            wide = operation == _WIDE_LOAD
            source = registers >> 4 if sys.byteorder == "little" else registers & 15
            if operation == _CALL and not source:
                self._helper(value)
            elif operation == _CALL:
                beyond = (value + 1) * _INSTRUCTION.size
                self._target(linked.get(at), at + beyond, beyond, starts)
            elif wide and at in linked and self._is_code(linked[at]):
                self._target(linked[at], value, value, starts)

    def _helper(self, number: int) -> None:
        if number not in _HELPERS:
            allowed = ", ".join(_HELPERS.values())
            self.refuse(
                f"calls helper number {number} of the kernel, which is not for strategies. These are: {allowed}."
            )

    def _own_functions(self) -> list[elf.Symbol]:
        return [symbol for symbol in self.elf.symbols if symbol.kind == elf.FUNCTION and self._is_code(symbol)]

    def _is_code(self, symbol: elf.Symbol) -> bool:
        return symbol.section < len(self.elf.sections) and self.elf.sections[symbol.section].name == _CODE

    def _target(self, symbol: elf.Symbol | None, here: int, beyond: int, starts: set[int]) -> None:
        """A call, or a function's address: clang aims at the beginning of a function. What aims elsewhere would hit the
        engine's, once both lie in one section."""
        target = here if symbol is None else symbol.value + (beyond if symbol.kind == elf.SECTION else 0)
        if target not in starts or (symbol is not None and not self._is_code(symbol)):
            self.refuse("calls something that is no function of its own: compile it with clang, from C.")


def _shape(btf: types.Btf, number: int) -> tuple[object, ...]:
    found = btf[number]
    members = tuple((member.name, member.bits, btf.spelled(member.type)) for member in found.members)
    return (found.size, members)

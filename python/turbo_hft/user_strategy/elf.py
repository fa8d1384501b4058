"""A relocatable BPF object, as far as a look before it is linked needs it: sections and symbols."""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass

_HEADER = struct.Struct("=16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("=IIQQQQIIQQ")
_SYMBOL = struct.Struct("=IBBHQQ")
_RELOCATION = struct.Struct("=QQ")
_RELOCATABLE, _BPF = 1, 247
_DATA = {"little": 1, "big": 2}[sys.byteorder]
_SYMBOLS, _NO_BYTES, _RELOCATIONS = 2, 8, 9
_RELOCATED_BYTES = 4  # at least

UNDEFINED = 0
ABSOLUTE = 0xFFF1  # of a file name
LOCAL, GLOBAL, WEAK = 0, 1, 2
FUNCTION = 2
SECTION = 3
DEFAULT = 0
EXECUTABLE = 4  # section flag


class NotAnObject(ValueError):
    """Bytes that clang did not write for BPF; says why."""


@dataclass(frozen=True, slots=True)
class Section:
    """`data` is empty for one without bytes in the file (.bss)."""

    name: str
    kind: int
    flags: int
    size: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Symbol:
    """`section` is an index into the object's sections; UNDEFINED for a name that is used and not defined."""

    name: str
    section: int
    binding: int
    kind: int
    visibility: int
    value: int
    size: int


@dataclass(frozen=True, slots=True)
class ElfObject:
    """Sections and symbols in the file's order."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]

    def section(self, name: str) -> Section | None:
        """The first of that name."""
        return next((section for section in self.sections if section.name == name), None)

    def globals(self) -> frozenset[str]:
        """Names that other objects see."""
        return frozenset(s.name for s in self.symbols if s.name and s.binding != LOCAL and s.section != UNDEFINED)


def _text(table: bytes, at: int) -> str:
    end = table.find(b"\0", at)
    if not 0 <= at < len(table) or end < 0:
        raise NotAnObject("a name of it lies outside of the file")
    return table[at:end].decode("utf-8", "replace")


def parse(data: bytes) -> ElfObject:
    """Read an object. Raises NotAnObject."""
    try:
        return _parse(data)
    except (struct.error, IndexError):
        raise NotAnObject("it is cut short or damaged") from None


def _parse(data: bytes) -> ElfObject:
    if data[:4] != b"\x7fELF":
        raise NotAnObject("it is no ELF file")
    ident, kind, machine, _, _, _, at, _, _, _, _, each, count, names = _HEADER.unpack_from(data)
    if ident[4] != 2 or ident[5] != _DATA or machine != _BPF:
        raise NotAnObject(f"it is an ELF file for another machine (e_machine {machine}), not for BPF")
    if kind != _RELOCATABLE or each != _SECTION.size:
        raise NotAnObject("it is no relocatable object")
    raw = [_SECTION.unpack_from(data, at + i * each) for i in range(count)]
    bodies = [b"" if entry[1] == _NO_BYTES else data[entry[4] : entry[4] + entry[5]] for entry in raw]
    for entry, body in zip(raw, bodies, strict=True):
        if entry[1] != _NO_BYTES and len(body) != entry[5]:
            raise NotAnObject("it is cut short")
    sections = tuple(
        Section(_text(bodies[names], entry[0]), entry[1], entry[2], entry[5], body)
        for entry, body in zip(raw, bodies, strict=True)
    )
    symbols: list[Symbol] = []
    for entry, body in zip(raw, bodies, strict=True):
        if entry[1] == _SYMBOLS:
            strings = bodies[entry[6]]
            for name, info, other, section, value, size in _SYMBOL.iter_unpack(body):
                symbols.append(Symbol(_text(strings, name), section, info >> 4, info & 15, other & 3, value, size))
    for symbol in symbols:
        if symbol.section == ABSOLUTE:
            continue
        if symbol.section >= len(sections):
            raise NotAnObject("a symbol of it lies in no section")
        if symbol.value + symbol.size > sections[symbol.section].size:
            raise NotAnObject("a symbol of it lies outside of its section")
    for entry, body in zip(raw, bodies, strict=True):
        if entry[1] == _RELOCATIONS:
            size = sections[entry[7]].size
            for at, about in _RELOCATION.iter_unpack(body):
                if at + _RELOCATED_BYTES > size or about >> 32 >= len(symbols):
                    raise NotAnObject("a relocation of it lies outside of its section")
    return ElfObject(sections, tuple(symbols))


def relocated(elf: ElfObject, section: str) -> dict[int, Symbol]:
    """Offsets in that section which the linker will fill in, and from what. Raises NotAnObject."""
    relocations = elf.section(f".rel{section}")
    if relocations is None or relocations.kind != _RELOCATIONS:
        return {}
    try:
        return {at: elf.symbols[about >> 32] for at, about in _RELOCATION.iter_unpack(relocations.data)}
    except (struct.error, IndexError):
        raise NotAnObject("it is cut short or damaged") from None

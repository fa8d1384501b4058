"""BTF, the types of a BPF program: read from an object or from the kernel."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import NamedTuple

_MAGIC = 0xEB9F
_HEADER = struct.Struct("=HBBIIIII")
_TYPE = struct.Struct("=III")
_WORD = struct.Struct("=I")
_MEMBER = struct.Struct("=III")
_PAIR = struct.Struct("=II")
_ENUM = struct.Struct("=Ii")
_UNSIGNED_ENUM = struct.Struct("=II")


class NotBtf(ValueError):
    """Bytes that are no BTF; says why."""


class Kind(enum.IntEnum):
    """As the kernel numbers them."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


_QUALIFIERS = {Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG}


class Member(NamedTuple):
    """Of a struct or union: `bits` from its beginning, and the `width` of a bit field, else 0. Of a section (DATASEC):
    where a variable is, and how large."""

    name: str
    type: int
    bits: int
    width: int


@dataclass(frozen=True, slots=True)
class Type:
    """`of`: the type it refers to. `members`: of a struct, union or section. `values`: of an enum, by name. `count`: of
    an array; of a function its linkage, 1 = global. `signed`, `boolean`: of an integer or enum."""

    kind: Kind
    name: str
    size: int = 0
    of: int = 0
    members: tuple[Member, ...] = ()
    values: tuple[tuple[str, int], ...] = ()
    count: int = 0
    signed: bool = False
    boolean: bool = False


_VOID = Type(Kind.VOID, "void")


class Btf:
    """All types, by number."""

    def __init__(self, types: list[Type]) -> None:
        self.types = types

    def __getitem__(self, number: int) -> Type:
        return self.types[number]

    def plain(self, number: int) -> Type:
        """A type without typedefs and qualifiers."""
        for _ in range(len(self.types)):
            found = self.types[number]
            if found.kind not in _QUALIFIERS:
                return found
            number = found.of
        raise NotBtf("a type of it is made of itself")

    def find(self, kind: Kind, name: str) -> int | None:
        """Number of a type."""
        return next((i for i, found in enumerate(self.types) if found.kind is kind and found.name == name), None)

    def tags_of(self, number: int) -> list[str]:
        """What declaration tags say of a type."""
        return [found.name for found in self.types if found.kind is Kind.DECL_TAG and found.of == number]

    def spelled(self, number: int) -> str:
        """A type for people."""
        found = self.types[number]
        if found.kind is Kind.PTR:
            return f"{self.spelled(found.of)} *"
        if found.kind is Kind.ARRAY:
            return f"{self.spelled(found.of)}[{found.count}]"
        if found.kind in (Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64):
            word = "enum" if found.kind is Kind.ENUM64 else found.kind.name.lower()
            return f"{word} {found.name}".strip()
        if found.kind in _QUALIFIERS and found.kind is not Kind.TYPEDEF:
            return self.spelled(found.of)
        return found.name or found.kind.name.lower()


class _Reader:
    def __init__(self, types: bytes, strings: bytes) -> None:
        self._types = types
        self._strings = strings
        self._at = 0

    def name(self, offset: int) -> str:
        end = self._strings.find(b"\0", offset)
        if not 0 <= offset < len(self._strings) or end < 0:
            raise NotBtf("a name of it lies outside")
        return self._strings[offset:end].decode("utf-8", "replace")

    def take(self, form: struct.Struct) -> tuple[int, ...]:
        values = form.unpack_from(self._types, self._at)
        self._at += form.size
        return values

    def all(self) -> list[Type]:
        types = [_VOID]
        while self._at < len(self._types):
            types.append(self._one())
        count = len(types)
        for found in types:
            if found.of >= count or any(member.type >= count for member in found.members):
                raise NotBtf("a type of it refers to one that is not there")
        return types

    def _one(self) -> Type:
        at, info, extra = self.take(_TYPE)
        name, flag, length = self.name(at), bool(info >> 31), info & 0xFFFF
        try:
            kind = Kind(info >> 24 & 0x1F)
        except ValueError:
            raise NotBtf(f"it has a kind of type that is not known here ({info >> 24 & 0x1F})") from None
        if kind is Kind.INT:
            (encoding,) = self.take(_WORD)
            return Type(kind, name, extra, signed=bool(encoding >> 24 & 1), boolean=bool(encoding >> 24 & 4))
        if kind is Kind.ARRAY:
            element, _, count = self.take(_MEMBER)
            return Type(kind, name, of=element, count=count)
        if kind in (Kind.STRUCT, Kind.UNION):
            return Type(kind, name, extra, members=tuple(self._member(flag) for _ in range(length)))
        if kind is Kind.ENUM:
            pairs = [self.take(_ENUM if flag else _UNSIGNED_ENUM) for _ in range(length)]
            return Type(kind, name, extra, values=tuple((self.name(n), value) for n, value in pairs), signed=flag)
        if kind is Kind.ENUM64:
            return Type(kind, name, extra, values=tuple(self._wide(flag) for _ in range(length)), signed=flag)
        if kind is Kind.DATASEC:
            raw = [self.take(_MEMBER) for _ in range(length)]
            return Type(
                kind, name, extra, members=tuple(Member("", v, 8 * offset, 8 * size) for v, offset, size in raw)
            )
        if kind is Kind.FUNC_PROTO:
            members = [self.take(_PAIR) for _ in range(length)]
            return Type(kind, name, of=extra, members=tuple(Member(self.name(n), t, 0, 0) for n, t in members))
        if kind is Kind.FUNC:
            return Type(kind, name, of=extra, count=length)
        if kind in (Kind.VAR, Kind.DECL_TAG):
            self.take(_WORD)
        sized = kind is Kind.FLOAT
        return Type(kind, name, extra if sized else 0, of=0 if sized or kind is Kind.FWD else extra)

    def _member(self, flag: bool) -> Member:
        at, number, offset = self.take(_MEMBER)
        bits, width = (offset & 0xFFFFFF, offset >> 24) if flag else (offset, 0)
        return Member(self.name(at), number, bits, width)

    def _wide(self, signed: bool) -> tuple[str, int]:
        at, low, high = self.take(_MEMBER)
        value = high << 32 | low
        return self.name(at), value - (1 << 64) if signed and value >> 63 else value


def parse(data: bytes) -> Btf:
    """Read BTF. Raises NotBtf."""
    try:
        magic, version, _, header, type_at, type_size, string_at, string_size = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != 1:
            raise NotBtf("it is of another byte order or version")
        types = data[header + type_at : header + type_at + type_size]
        strings = data[header + string_at : header + string_at + string_size]
        if len(types) != type_size or len(strings) != string_size:
            raise NotBtf("it is cut short")
        return Btf(_Reader(types, strings).all())
    except struct.error:
        raise NotBtf("it is cut short") from None

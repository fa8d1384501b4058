"""Fixed-layout messages as dataclasses: the annotations of a class are its wire layout.

A message is a frozen slotted dataclass derived from `Record` whose fields are annotated with the types below, in
wire order; byte 0 is `TYPE`. `layout()` compiles such classes into a table from type to class. All integers are
unsigned big-endian. Alphanumeric fields are ASCII, left-justified and padded with spaces; the padding exists on the
wire only.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar, TypeVar, get_type_hints

from turbo_hft.errors import MalformedMessage


@dataclasses.dataclass(frozen=True, slots=True)
class Uint:
    """Unsigned integer of `size` bytes."""

    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class Alpha:
    """Space-padded ASCII of `size` bytes."""

    size: int


U16 = Annotated[int, Uint(2)]
U32 = Annotated[int, Uint(4)]
U48 = Annotated[int, Uint(6)]
U64 = Annotated[int, Uint(8)]
A1 = Annotated[str, Alpha(1)]
A2 = Annotated[str, Alpha(2)]
A4 = Annotated[str, Alpha(4)]
A6 = Annotated[str, Alpha(6)]
A8 = Annotated[str, Alpha(8)]
A10 = Annotated[str, Alpha(10)]
A14 = Annotated[str, Alpha(14)]

_UINT_FORMAT = {2: "H", 4: "I", 6: "6s", 8: "Q"}


def text(name: str, raw: bytes) -> str:
    """The text of an alphanumeric field without its padding. Errors: MalformedMessage if it is not ASCII."""
    try:
        return raw.decode("ascii").rstrip(" ")
    except UnicodeDecodeError:
        raise MalformedMessage(f"{name} is {raw.hex(' ')}: an alphanumeric field carries ASCII only") from None


def padded(name: str, value: str, size: int) -> bytes:
    """`value` as an alphanumeric field of `size` bytes. Errors: MalformedMessage if it is too long or not ASCII."""
    try:
        raw = value.encode("ascii")
    except UnicodeEncodeError:
        raise MalformedMessage(f"{name} is {value!r}: an alphanumeric field carries ASCII only") from None
    if len(raw) > size:
        raise MalformedMessage(f"{name} is {value!r}: it must fit {size} characters")
    return raw.ljust(size)


def uint(name: str, value: int, size: int) -> bytes:
    """`value` as an unsigned big-endian field of `size` bytes. Errors: MalformedMessage if it does not fit."""
    if not 0 <= value < 1 << 8 * size:
        raise MalformedMessage(f"{name} is {value}: it must be 0 to {(1 << 8 * size) - 1}")
    return value.to_bytes(size, "big")


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """Base of all fixed-layout messages. `LENGTH` counts the type byte."""

    TYPE: ClassVar[str]
    LENGTH: ClassVar[int]

    def encode(self) -> bytes:
        """The message as on the wire. Errors: MalformedMessage if a value does not fit its field."""
        return codec_of(type(self)).encode(self)


R = TypeVar("R", bound=Record)


class Codec:
    """Reads and writes the fixed part of one message class; what follows it on the wire is the caller's."""

    __slots__ = ("alphas", "cls", "fields", "size", "struct", "wide")

    def __init__(self, cls: type[Record]) -> None:
        hints = get_type_hints(cls, include_extras=True)
        self.cls = cls
        self.fields: list[tuple[str, Uint | Alpha]] = []
        for field in dataclasses.fields(cls):
            metadata = getattr(hints[field.name], "__metadata__", ())
            if metadata and isinstance(metadata[0], Uint | Alpha):
                self.fields.append((field.name, metadata[0]))
        self.struct = struct.Struct(
            ">x" + "".join(f"{k.size}s" if isinstance(k, Alpha) else _UINT_FORMAT[k.size] for _, k in self.fields)
        )
        self.size = self.struct.size
        self.alphas = tuple(i for i, (_, kind) in enumerate(self.fields) if isinstance(kind, Alpha))
        self.wide = tuple(i for i, (_, kind) in enumerate(self.fields) if kind == Uint(6))

    def values(self, data: bytes) -> list[Any]:
        """The field values, in order, of a message of at least `size` bytes."""
        values: list[Any] = list(self.struct.unpack_from(data))
        for i in self.wide:
            values[i] = int.from_bytes(values[i], "big")
        try:
            for i in self.alphas:
                values[i] = values[i].decode("ascii").rstrip(" ")
        except UnicodeDecodeError:
            raise MalformedMessage(
                f"{self.cls.__name__}.{self.fields[i][0]} is {values[i].hex(' ')}: "
                "an alphanumeric field carries ASCII only"
            ) from None
        return values

    def encode(self, record: Record) -> bytes:
        """Type byte and fields."""
        values: list[Any] = [getattr(record, name) for name, _ in self.fields]
        try:
            for i in self.alphas:
                name, kind = self.fields[i]
                values[i] = padded(name, values[i], kind.size)
            for i in self.wide:
                values[i] = uint(self.fields[i][0], values[i], 6)
            raw = bytearray(self.struct.pack(*values))
        except MalformedMessage as fault:
            raise MalformedMessage(f"{self.cls.__name__}: {fault}") from None
        except struct.error:
            raise self._misfit(record) from None
        raw[0] = ord(self.cls.TYPE)
        return bytes(raw)

    def _misfit(self, record: Record) -> MalformedMessage:
        # struct.error does not say which field: look for it, now that time no longer matters.
        try:
            for name, kind in self.fields:
                if isinstance(kind, Uint):
                    uint(name, getattr(record, name), kind.size)
        except MalformedMessage as fault:
            return MalformedMessage(f"{self.cls.__name__}: {fault}")
        return MalformedMessage(f"{record!r}: numbers must be int")


_CODECS: dict[type[Record], Codec] = {}


def codec_of(cls: type[Record]) -> Codec:
    """The codec of a message class, compiled once."""
    codec = _CODECS.get(cls)
    if codec is None:
        codec = _CODECS[cls] = Codec(cls)
    return codec


def table(classes: Iterable[type[R]]) -> dict[int, type[R]]:
    """Type byte -> class. Errors: TypeError (a mistake in this package) if two classes share a type."""
    by_type: dict[int, type[R]] = {}
    for cls in classes:
        if ord(cls.TYPE) in by_type:
            raise TypeError(f"{cls.__name__}: a second message of type {cls.TYPE}")
        by_type[ord(cls.TYPE)] = cls
    return by_type


def fixed_decoder(protocol: str, by_type: dict[int, type[R]]) -> Callable[[bytes | memoryview], R]:
    """A decoder for messages whose length is fixed by their type."""
    known = {code: (cls, codec_of(cls).values, cls.LENGTH) for code, cls in by_type.items()}
    for cls in by_type.values():
        if codec_of(cls).size != cls.LENGTH:
            raise TypeError(f"{cls.__name__}: its fields take {codec_of(cls).size} bytes, LENGTH says {cls.LENGTH}")

    def decode(data: bytes | memoryview) -> R:
        raw = bytes(data)
        entry = known.get(raw[0]) if raw else None
        if entry is None:
            raise unknown_type(protocol, raw)
        cls, values, length = entry
        if len(raw) != length:
            raise wrong_length(protocol, cls, raw, f"it must be {length}")
        return cls(*values(raw))

    return decode


def unknown_type(protocol: str, raw: bytes) -> MalformedMessage:
    """The error for an empty message or one whose first byte is no type of the protocol."""
    if not raw:
        return MalformedMessage(f"empty {protocol} message: the first byte must be a message type")
    return MalformedMessage(
        f"{protocol} message type {chr(raw[0])!r} ({raw[0]:#04x}) is unknown: check the protocol and the direction"
    )


def wrong_length(protocol: str, cls: type[Record], raw: bytes, remedy: str) -> MalformedMessage:
    """The error for a known type of another length."""
    return MalformedMessage(f"{protocol} {cls.__name__} ({cls.TYPE}) has {len(raw)} bytes: {remedy}")

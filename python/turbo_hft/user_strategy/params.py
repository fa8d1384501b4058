"""The parameters of a strategy as typed fields: what HFT_PARAMS declares, in memory that hook and Python share.

The layout is read from the program's own types, so nothing is declared twice. An assignment holds from the next signal
on, all of it, and with others in one `engine.change()` together with them.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from turbo_hft._native import ffi
from turbo_hft.errors import ConfigError
from turbo_hft.user_strategy.btf import Btf, Kind

if TYPE_CHECKING:
    from turbo_hft.change import Changes

PARAMS_SECTION = ".data.params"
_SIZES = (1, 2, 4, 8)
Value = int | bool | str


@dataclass(frozen=True, slots=True)
class Scalar:
    """An integer, a bool, or with `names` an enum."""

    size: int
    signed: bool = False
    boolean: bool = False
    names: tuple[tuple[str, int], ...] = ()

    @property
    def ctype(self) -> str:
        """As C has it."""
        return f"{'' if self.signed else 'u'}int{8 * self.size}_t"

    def shown(self, raw: int) -> Value:
        """What Python sees of the bits; an enum's value without a name stays a number."""
        if self.boolean:
            return bool(raw)
        return next((name for name, value in self.names if value == raw), raw)

    def stored(self, where: str, value: object) -> int:
        """The number that is stored for a value. Raises ConfigError."""
        if self.names and isinstance(value, str):
            if value not in dict(self.names):
                raise ConfigError(f"{where} is {value!r}: give one of {', '.join(dict(self.names))}.")
            return dict(self.names)[value]
        if self.boolean:
            if not isinstance(value, bool):
                raise ConfigError(f"{where} is {value!r}: give True or False.")
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            kind = f"one of {', '.join(dict(self.names))}" if self.names else "a whole number"
            raise ConfigError(f"{where} is {value!r}: give {kind}.")
        if self.names and value not in dict(self.names).values():
            raise ConfigError(f"{where} is {value!r}: give one of {', '.join(dict(self.names))}.")
        bits = 8 * self.size - self.signed
        low, high = (-(1 << bits) if self.signed else 0), (1 << bits) - 1
        if not low <= value <= high:
            raise ConfigError(f"{where} is {value!r}: give {low:,} to {high:,}.")
        return value


@dataclass(frozen=True, slots=True)
class Array:
    """`count` of a shape, one after the other."""

    of: Shape
    size: int
    count: int


@dataclass(frozen=True, slots=True)
class Struct:
    """Fields by name, each with its offset."""

    fields: tuple[tuple[str, int, Shape], ...]


Shape = Scalar | Array | Struct


@dataclass(frozen=True, slots=True)
class Layout:
    """The struct that HFT_PARAMS declares. `offset`: of its variable in the section; `size`: of the section."""

    variable: str
    offset: int
    size: int
    shape: Struct


def layout_of(btf: Btf, strategy: str) -> Layout | None:
    """What a program's types say of its parameters; None if it has none. Raises ConfigError for what cannot be one."""
    number = btf.find(Kind.DATASEC, PARAMS_SECTION)
    if number is None:
        return None
    section = btf[number]
    if len(section.members) != 1:
        names = ", ".join(btf[member.type].name for member in section.members)
        raise ConfigError(f"strategy {strategy} has several HFT_PARAMS ({names}): put all parameters into one struct.")
    variable = btf[section.members[0].type]
    found = btf.plain(variable.of)
    if found.kind is not Kind.STRUCT:
        raise ConfigError(
            f"HFT_PARAMS {variable.name} of strategy {strategy} is no struct: put its parameters into one."
        )
    shape = _shape_of(btf, variable.of, variable.name)
    assert isinstance(shape, Struct)
    # An object that was not linked yet tells neither offset nor size of its section, but there is only this variable.
    return Layout(variable.name, section.members[0].bits // 8, section.size or found.size, shape)


def _shape_of(btf: Btf, number: int, where: str) -> Shape:
    found = btf.plain(number)
    if found.kind is Kind.INT and found.size in _SIZES:
        return Scalar(found.size, found.signed, found.boolean)
    if found.kind in (Kind.ENUM, Kind.ENUM64) and found.size in _SIZES:
        return Scalar(found.size, found.signed, names=found.values)
    if found.kind is Kind.ARRAY and found.count:
        of = _shape_of(btf, found.of, f"{where}[]")
        return Array(of, _size_of(of, btf, found.of), found.count)
    if found.kind is Kind.STRUCT:
        fields = []
        for member in found.members:
            at = f"{where}.{member.name or '(anonymous)'}"
            if member.width or member.bits % 8:
                _unsupported(at, "a bit field")
            if not member.name:
                _unsupported(at, "an anonymous struct or union")
            shape = _shape_of(btf, member.type, at)
            if isinstance(shape, Scalar) and member.bits // 8 % shape.size:
                _unsupported(at, "not aligned: a store would be several")
            fields.append((member.name, member.bits // 8, shape))
        return Struct(tuple(fields))
    _unsupported(where, f"a {btf.spelled(number)}")


def _size_of(shape: Shape, btf: Btf, number: int) -> int:
    if isinstance(shape, Scalar):
        return shape.size
    return shape.size * shape.count if isinstance(shape, Array) else btf.plain(number).size


def _unsupported(where: str, what: str) -> NoReturn:
    raise ConfigError(
        f"parameter {where} is {what}: parameters are integers of 1 to 8 bytes, bool, enums, arrays and structs of "
        "these."
    )


class Memory:
    """The section's memory, shared with the hook. It is unmapped when nothing looks at it any more."""

    def __init__(self, map_fd: int, layout: Layout) -> None:
        page = os.sysconf("SC_PAGESIZE")
        self.layout = layout
        self._map = mmap.mmap(map_fd, (layout.size + page - 1) // page * page)
        self._start = ffi.from_buffer("char[]", self._map, require_writable=True)

    def at(self, scalar: Scalar, offset: int) -> Any:
        """Pointer to a field: good as long as this is."""
        return ffi.cast(f"{scalar.ctype} *", self._start + self.layout.offset + offset)

    def scalars(self) -> dict[str, tuple[Scalar, int]]:
        """Every number of it, by its path."""
        return dict(_scalars(self.layout.shape, "", 0))

    def keep_from(self, other: Memory) -> tuple[str, ...]:
        """Take over the values of fields that have the same name and type there; the names of the others."""
        old, lost = other.scalars(), []
        for path, (scalar, offset) in self.scalars().items():
            if path in old and old[path][0] == scalar:
                self.at(scalar, offset)[0] = other.at(scalar, old[path][1])[0]
            else:
                lost.append(path)
        return tuple(lost)


def _scalars(shape: Shape, path: str, offset: int) -> Iterator[tuple[str, tuple[Scalar, int]]]:
    if isinstance(shape, Scalar):
        yield path, (shape, offset)
    elif isinstance(shape, Array):
        for i in range(shape.count):
            yield from _scalars(shape.of, f"{path}[{i}]", offset + i * shape.size)
    else:
        for name, at, field in shape.fields:
            yield from _scalars(field, f"{path}.{name}" if path else name, offset + at)


@dataclass(frozen=True, slots=True)
class Source:
    """Where fields live. `check` raises when that program is not in force any more. `changes`: of the
    engine whose they are; None = they are only read."""

    memory: Memory
    check: Callable[[], None]
    changes: Changes | None

    def load(self, shape: Shape, offset: int, where: str) -> Any:
        """The value of a field; of an array or a struct a view."""
        if isinstance(shape, Scalar):
            self.check()
            return shape.shown(self.memory.at(shape, offset)[0])
        if isinstance(shape, Array):
            return ParamArray(self, shape, offset, where)
        return Params(self, shape, offset, where)

    def store(self, shape: Shape, offset: int, where: str, value: object) -> None:
        """Assign to a field; to all of an array or struct at once, when every value of it is good."""
        self.check()
        if self.changes is None:
            raise ConfigError(f"{where} is no engine's: it can only be read.")
        stores = list(_stores(shape, offset, where, value))
        with self.changes.change():
            before = [(scalar, at, self.memory.at(scalar, at)[0]) for scalar, at, _ in stores]
            self.changes.storing(lambda: self._write(before))
            self._write(stores)

    def _write(self, stores: Iterable[tuple[Scalar, int, Any]]) -> None:
        for scalar, at, number in stores:
            self.memory.at(scalar, at)[0] = number


def _stores(shape: Shape, offset: int, where: str, value: object) -> Iterator[tuple[Scalar, int, int]]:
    if isinstance(shape, Scalar):
        yield shape, offset, shape.stored(where, value)
    elif isinstance(shape, Array):
        if not isinstance(value, (Sequence, ParamArray)) or isinstance(value, str) or len(value) != shape.count:
            raise ConfigError(f"{where} is {value!r}: give {shape.count} values.")
        for i in range(shape.count):
            yield from _stores(shape.of, offset + i * shape.size, f"{where}[{i}]", value[i])
    else:
        names = [name for name, _, _ in shape.fields]
        if not isinstance(value, dict) or not set(value) <= set(names):
            raise ConfigError(f"{where} is {value!r}: give a dict of {', '.join(names)}.")
        for name, at, field in shape.fields:
            if name in value:
                yield from _stores(field, offset + at, f"{where}.{name}", value[name])


def _plain(value: object) -> object:
    if isinstance(value, ParamArray):
        return [_plain(element) for element in value]
    return value.as_dict() if isinstance(value, Params) else value


class Params:
    """The fields of a struct: `params.edge_e4`, `params.edge_e4 = 100`, `params.inner.x`, `params.levels[2]`."""

    __slots__ = ("_fields", "_offset", "_source", "_where")
    _fields: dict[str, tuple[int, Shape]]
    _offset: int
    _source: Source
    _where: str

    def __init__(self, source: Source, shape: Struct, offset: int = 0, where: str = "params") -> None:
        object.__setattr__(self, "_source", source)
        object.__setattr__(self, "_offset", offset)
        object.__setattr__(self, "_where", where)
        object.__setattr__(self, "_fields", {name: (at, field) for name, at, field in shape.fields})

    def _field(self, name: str) -> tuple[int, Shape, str]:
        if name not in self._fields:
            raise AttributeError(f"{self._where} has no {name}: it has {', '.join(self._fields) or 'no fields'}.")
        at, shape = self._fields[name]
        return self._offset + at, shape, f"{self._where}.{name}"

    def __getattr__(self, name: str) -> Any:
        at, shape, where = self._field(name)
        return self._source.load(shape, at, where)

    def __setattr__(self, name: str, value: object) -> None:
        at, shape, where = self._field(name)
        self._source.store(shape, at, where, value)

    def __getitem__(self, name: str) -> Any:
        """A field by name, for names that Python has for something else."""
        try:
            return self.__getattr__(name)
        except AttributeError as error:
            raise KeyError(str(error)) from None

    def __setitem__(self, name: str, value: object) -> None:
        try:
            self.__setattr__(name, value)
        except AttributeError as error:
            raise KeyError(str(error)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __dir__(self) -> list[str]:
        return [*self._fields, "as_dict"]

    def as_dict(self) -> dict[str, Any]:
        """All values."""
        return {name: _plain(self[name]) for name in self}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.as_dict().items())})"


class ParamArray:
    """The elements of an array."""

    __slots__ = ("_offset", "_shape", "_source", "_where")

    def __init__(self, source: Source, shape: Array, offset: int, where: str) -> None:
        self._source, self._shape, self._offset, self._where = source, shape, offset, where

    def _element(self, index: int) -> tuple[int, str]:
        if not -self._shape.count <= index < self._shape.count:
            raise IndexError(f"{self._where} has {self._shape.count} elements, there is no {index}.")
        index %= self._shape.count
        return self._offset + index * self._shape.size, f"{self._where}[{index}]"

    def __len__(self) -> int:
        return self._shape.count

    def __getitem__(self, index: int) -> Any:
        at, where = self._element(index)
        return self._source.load(self._shape.of, at, where)

    def __setitem__(self, index: int, value: object) -> None:
        at, where = self._element(index)
        self._source.store(self._shape.of, at, where, value)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (ParamArray, Sequence)) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment] # its elements change; the stubs say that every object has a hash

    def __repr__(self) -> str:
        return repr(_plain(self))

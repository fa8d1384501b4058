"""Words of shared memory as typed attributes: what a person writes is checked, and kept in the unit the hook reads.

Every word is one aligned 64-bit store. Values that cannot be raise ConfigError or MalformedMessage and change nothing.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args

from turbo_hft import abi
from turbo_hft.errors import ConfigError
from turbo_hft.wire.price import parse_price_e4

Price = str | int | float | Decimal
Reference = Literal["none", "last", "mid"]

_NS = 1_000_000_000
_U64_MAX = (1 << 64) - 1
_MOST_INTERVAL_NS = 1 << 40  # rule 6: what is longer counts as that
MOST_BURST = 1 << 20
_MOST_S = 86_400 * 7
_MOST_TICK_E4 = (1 << 32) - 1
_PPM = 1_000_000
_MOST_PPM = (1 << 32) - 1
_FRACTION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(%|bp)?", re.ASCII)
_SCALES = {"": Decimal(1), "%": Decimal(100), "bp": Decimal(10_000)}

T = TypeVar("T")
Given = TypeVar("Given")


class Word(ABC, Generic[T, Given]):
    """An attribute that is one unsigned 64-bit word of a struct in shared memory."""

    def __init__(self, field: str, doc: str) -> None:
        self.field = field
        self.__doc__ = doc
        self.name = field

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, view: WordView, owner: type | None = None) -> T:
        return self.shown(int(getattr(view._struct(), self.field)))

    def __set__(self, view: WordView, value: Given) -> None:
        view._write({self.field: self.word(view.name, value)})

    @abstractmethod
    def shown(self, word: int) -> T:
        """The word as Python sees it."""

    @abstractmethod
    def word(self, whose: str, value: Given) -> int:
        """The word for a value. Raises ConfigError, MalformedMessage."""

    def _wrong(self, whose: str, value: object, give: str) -> ConfigError:
        return ConfigError(f"{whose}: {self.name} is {value!r}: give {give}.")


class Whole(Word[int, int]):
    """Shares, or a count."""

    def __init__(self, field: str, doc: str, most: int = _U64_MAX) -> None:
        super().__init__(field, doc)
        self._most = most

    def shown(self, word: int) -> int:
        return word

    def word(self, whose: str, value: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= self._most:
            raise self._wrong(whose, value, f"a whole number, 0 to {self._most}")
        return value


class Dollars(Word[Decimal, Price]):
    """Money."""

    def shown(self, word: int) -> Decimal:
        return Decimal(word) / 10_000

    def word(self, whose: str, value: Price) -> int:
        return parse_price_e4(value)


class Tick(Dollars):
    """A price step: money above 0."""

    def word(self, whose: str, value: Price) -> int:
        tick_e4 = parse_price_e4(value)
        if not 0 < tick_e4 <= _MOST_TICK_E4:
            raise self._wrong(whose, value, "a price step above 0, such as 0.01")
        return tick_e4


class Seconds(Word[float, float]):
    """A time."""

    def shown(self, word: int) -> float:
        return word / _NS

    def word(self, whose: str, value: float) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MOST_S:
            raise self._wrong(whose, value, f"seconds, 0 to {_MOST_S}")
        return round(value * _NS)


class Rate(Word[float, float]):
    """Messages a second: the hook has the time of one."""

    def shown(self, word: int) -> float:
        return round(_NS / min(word, _MOST_INTERVAL_NS), 6) if word else 0.0

    def word(self, whose: str, value: float) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _NS:
            raise self._wrong(whose, value, f"messages a second, 0 to {_NS}")
        if not value:
            return 0
        # Rounded up: never more than was asked for.
        interval = -int(-_NS // value)
        if interval > _MOST_INTERVAL_NS:
            raise self._wrong(whose, value, "0, or 0.001 and more")
        return interval


class Fraction(Word[Decimal, Price]):
    """A part of a price: ``0.1``, ``"10%"`` or ``"1000bp"``."""

    def shown(self, word: int) -> Decimal:
        return Decimal(min(word, _MOST_PPM)) / _PPM

    def word(self, whose: str, value: Price) -> int:
        found = _FRACTION.fullmatch(str(value).strip())
        try:
            ppm = None if found is None else Decimal(found[1]) / _SCALES[found[2] or ""] * _PPM
        except InvalidOperation:
            ppm = None
        if isinstance(value, bool) or ppm is None or ppm > _MOST_PPM:
            raise self._wrong(whose, value, 'a fraction such as 0.1, "10%" or "1000bp"')
        return int(ppm)  # rounded down: never wider than was asked for


class Flag(Word[bool, bool]):
    """Yes or no. What is neither in the map counts as the safe one, as in the hook."""

    def __init__(self, field: str, doc: str, *, only_one: bool) -> None:
        super().__init__(field, doc)
        self._only_one = only_one

    def shown(self, word: int) -> bool:
        return word == 1 if self._only_one else word != 0

    def word(self, whose: str, value: bool) -> int:
        if not isinstance(value, bool):
            raise self._wrong(whose, value, "True or False")
        return int(value)


class ReferencePrice(Word[Reference, Reference]):
    """What a collar is around."""

    def shown(self, word: int) -> Reference:
        names: tuple[Reference, ...] = get_args(Reference)
        return names[word] if word < len(names) else "none"

    def word(self, whose: str, value: Reference) -> int:
        names = abi.names("hft_price_reference", "HFT_REFERENCE_")
        for number, name in names.items():
            if name == value:
                return number
        raise self._wrong(whose, value, f"one of {', '.join(names.values())}")


class WordView(ABC):
    """Base of the views: where the words are, whose they are, and all of them by name."""

    # An attribute with a slip in its name must not be one that nobody reads.
    __slots__ = ("name",)
    _words: ClassVar[dict[str, Word[Any, Any]]] = {}

    def __init__(self, name: str) -> None:
        self.name = name

    def __init_subclass__(cls) -> None:
        cls._words = {**cls._words, **{name: word for name, word in vars(cls).items() if isinstance(word, Word)}}

    @abstractmethod
    def _struct(self) -> Any:
        """What is read."""

    @abstractmethod
    def _write(self, words: Mapping[str, int]) -> None:
        """Store fields."""

    @classmethod
    def all_words(cls) -> Mapping[str, Word[Any, Any]]:
        """All attributes that are words, by name."""
        return cls._words

    def set(self, values: Mapping[str, Any]) -> None:
        """Many at once: all are checked before the first is stored."""
        self._write(self.words(self.name, values))

    @classmethod
    def words(cls, whose: str, values: Mapping[str, Any]) -> dict[str, int]:
        """Field of the struct -> word. Raises ConfigError, MalformedMessage."""
        words = {}
        for name, value in values.items():
            if name not in cls._words:
                raise ConfigError(f"{whose}: there is no {name}: give one of {', '.join(cls._words)}.")
            words[cls._words[name].field] = cls._words[name].word(whose, value)
        return words

    def as_dict(self) -> dict[str, Any]:
        """All of them as they are now."""
        struct = self._struct()
        return {name: word.shown(int(getattr(struct, word.field))) for name, word in self._words.items()}

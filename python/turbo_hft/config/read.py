"""A TOML file as a `Config`. Every refusal names the key, its line, and what to write instead."""

from __future__ import annotations

import re
import tomllib
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from turbo_hft import settings
from turbo_hft.config.schema import TABLES, Config, Endpoint
from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.journal.writer import Fsync
from turbo_hft.strategies import TRADING

_MOST_BYTES = 4 << 20
_TREES = ("limits", "strategies", "fees", "symbols")
_MARK = "mark"
_HEADER = re.compile(r"\s*\[+\s*([^\]]+?)\s*\]+")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def read(path: str | Path) -> Config:
    """Raises ConfigError."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        text = raw.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start}).") from None
    if len(raw) > _MOST_BYTES:
        raise ConfigError(f"{path} has more than {_MOST_BYTES >> 20} MB: that is no configuration.")
    return parse(text, str(path))


def parse(text: str, name: str = "configuration") -> Config:
    """The same from text. Raises ConfigError."""
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits too
        raise ConfigError(f"{name} is no TOML: {error}.") from None
    return _Reader(text, name).config(tree)


class _Reader:
    def __init__(self, text: str, name: str) -> None:
        self._lines = lines_of(text)
        self._name = name

    def wrong(self, path: str, why: str) -> ConfigError:
        """A refusal of the key at a path."""
        line = self._lines.get(path, self._lines.get(path.rpartition(".")[0]))
        return ConfigError(f"{self._name}{'' if line is None else f', line {line}'}: {path}: {why}")

    def config(self, tree: Mapping[str, Any]) -> Config:
        self._known("", tree, (*TABLES, *_TREES, _MARK))
        for name in (*TABLES, *_TREES):
            if not isinstance(tree.get(name, {}), dict):
                raise self.wrong(name, f"this is a table: write [{name}]")
        tables = {name: self._table(name, kind, tree.get(name, {})) for name, kind in TABLES.items()}
        account = self._account(tree)
        symbols = {name: self._symbol(name, values) for name, values in tree.get("symbols", {}).items()}
        config = Config(**tables, account=account, symbols=symbols)
        for what, make in (("session", config.session.order_session), ("feed", config.feed.address)):
            try:
                make()
            except TurboHftError as error:
                raise self.wrong(what, str(error)) from None
        try:
            Fsync.parse(config.journal.fsync)
        except TurboHftError as error:
            raise self.wrong("journal.fsync", str(error)) from None
        if len(symbols) > config.sizes.symbols:
            raise self.wrong("sizes.symbols", f"{len(symbols)} symbols are named: give as many, or more")
        if (found := config.contradiction()) is not None:
            raise self.wrong(*found)
        return config

    def _known(self, path: str, values: Mapping[str, Any], known: Iterable[str]) -> None:
        names = list(known)
        for name in values:
            if name not in names:
                near = get_close_matches(name, names, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}."
                raise self.wrong(_join(path, name), f"there is no such key; {hint}")

    def _table(self, table: str, kind: type[Any], values: Mapping[str, Any]) -> Any:
        hints = get_type_hints(kind)
        self._known(table, values, hints)
        made = {}
        for one in fields(kind):
            path = _join(table, one.name)
            if one.name in values:
                made[one.name] = self._value(path, hints[one.name], values[one.name], one.metadata)
            elif one.default is MISSING:
                raise self.wrong(path, f"it is missing: {one.metadata['doc'].rstrip('.')}.")
        return kind(**made)

    def _value(self, path: str, kind: Any, value: Any, bounds: Mapping[str, Any]) -> Any:
        if get_origin(kind) in (Union, types.UnionType):
            kind = next(one for one in get_args(kind) if one is not type(None))
        if get_origin(kind) is Literal:
            if value not in get_args(kind):
                near = get_close_matches(str(value), get_args(kind), 1)
                raise self.wrong(path, f"{value!r}: give {_either(near or get_args(kind))}")
            return value
        if kind in (int, float):
            return self._number(path, kind, value, bounds)
        if kind is bool:
            if not isinstance(value, bool):
                raise self.wrong(path, f"{value!r}: give true or false")
            return value
        if not isinstance(value, str):
            raise self.wrong(path, f"{value!r}: give text in quotes")
        if kind is Endpoint:
            try:
                return Endpoint.of(value, 1 if bounds["least"] is None else int(bounds["least"]))
            except ConfigError as error:
                raise self.wrong(path, str(error)) from None
        return Path(value) if kind is Path else value

    def _number(self, path: str, kind: type[Any], value: Any, bounds: Mapping[str, Any]) -> Any:
        what = "a whole number" if kind is int else "a number"
        if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else int):
            raise self.wrong(path, f"{value!r}: give {what}")
        least, most = bounds.get("least"), bounds.get("most")
        if not (-float("inf") if least is None else least) <= value <= ((1 << 63) - 1 if most is None else most):
            least, most = ("any" if one is None else f"{one:,}" for one in (least, most))
            raise self.wrong(path, f"{value!r}: give {what}, {least} to {most}")
        return kind(value)

    # What live attributes are told

    def _account(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        words = settings.account_words()
        found: dict[str, Any] = {}
        plain = {name: word for name, word in words.items() if "." not in name}
        found.update(self._words("limits", tree.get("limits", {}), plain))
        strategies = tree.get("strategies", {})
        self._known("strategies", strategies, (*TRADING, "manual"))
        for name, values in strategies.items():
            path = f"strategies.{name}"
            own = {key.partition(".")[2]: word for key, word in words.items() if key.startswith(f"{name}.")}
            found.update({f"{name}.{key}": value for key, value in self._words(path, values, own).items()})
        if _MARK in tree:
            found[_MARK] = self._value(_MARK, Literal["side", "mid", "last"], tree[_MARK], {})
        for flag, fee in tree.get("fees", {}).items():
            try:
                settings.checked_fee(flag, fee)
            except TurboHftError as error:
                raise self.wrong(f"fees.{flag}", str(error)) from None
            found[f"fee.{flag}"] = str(fee)
        return found

    def _words(self, path: str, values: Any, words: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(values, dict):
            raise self.wrong(path, f"this is a table: write [{path}]")
        self._known(path, values, words)
        for name, value in values.items():
            if not isinstance(value, (str, int, float)):
                raise self.wrong(_join(path, name), f"{value!r}: give one value")
            try:
                words[name].word(path, value)
            except TurboHftError as error:
                raise self.wrong(_join(path, name), str(error)) from None
        return dict(values)

    def _symbol(self, name: str, values: Any) -> dict[str, Any]:
        from turbo_hft.symbols import wire_name

        path = f"symbols.{name}"
        if not isinstance(values, dict):
            raise self.wrong(path, f"this is a table: write [{path}]")
        try:
            wire_name(name)
        except TurboHftError as error:
            raise self.wrong(path, str(error)) from None
        words = settings.symbol_words()
        groups = {key.partition(".")[0] for key in words if "." in key}
        plain = {key: word for key, word in words.items() if "." not in key}
        self._known(path, values, (*settings.CHOICES, *settings.TARGETS, *groups, *plain))
        found: dict[str, Any] = {}
        for key, value in values.items():
            if key in groups:
                own = {word.partition(".")[2]: at for word, at in words.items() if word.startswith(f"{key}.")}
                inner = self._words(_join(path, key), value, own)
                found.update({f"{key}.{one}": given for one, given in inner.items()})
            elif key in plain:
                found.update(self._words(path, {key: value}, plain))
            else:
                found[key] = self._choice(_join(path, key), key, value)
        return found

    def _choice(self, path: str, key: str, value: Any) -> Any:
        if key in settings.TARGETS:
            if value == "off":
                return None
            try:
                settings.checked_price(key, value)
            except TurboHftError as error:
                raise self.wrong(path, str(error)) from None
            return value
        if key == "shadow":
            if not isinstance(value, list) or not set(map(str, value)) <= set(TRADING):
                raise self.wrong(path, f"{value!r}: give a list of {', '.join(TRADING)}")
            return frozenset(value)
        if value == "off":
            return None
        return self._value(path, Literal[TRADING], value, {})


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _either(names: Iterable[Any]) -> str:
    return " or ".join(map(str, names))


def lines_of(text: str) -> dict[str, int]:
    """Line of every key and table, as far as it can be told without taking the file apart anew: by its path."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header, assignment = _HEADER.match(line), _KEY.match(line)
        if assignment:
            found.setdefault(_join(table, _plain(assignment[1])), number)
        elif header:
            table = _plain(header[1])
            found.setdefault(table, number)
    return found


def _plain(path: str) -> str:
    parts = re.findall(r"""[\w-]+|"[^"]*"|'[^']*'""", path)
    return ".".join(part.strip("\"'") for part in parts)

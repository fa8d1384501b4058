"""Values of the exchange's options: shares, times and fees, from text. They fail as argparse wants it."""

from __future__ import annotations

import argparse

from turbo_hft.errors import ConfigError
from turbo_hft.exchange.fees import parse_fee

_SECOND_NS = 1_000_000_000
_MILLISECOND_NS = 1_000_000
_MICROSECOND_NS = 1000
_LONGEST_S = 86_400


def share(text: str) -> float:
    """A share of what passes: 0 to 1."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a share from 0 to 1, such as 0.01 for one in a hundred")
    return share


def delay(text: str) -> tuple[int, int]:
    """`MIN:MAX` in µs -> ns."""
    return _between(text, _MICROSECOND_NS, "µs")


def _between(text: str, unit_ns: int, unit: str) -> tuple[int, int]:
    shortest, _, longest = text.partition(":")
    try:
        between_ns = int(float(shortest) * unit_ns), int(float(longest) * unit_ns)
    except (ValueError, OverflowError):
        between_ns = 0, -1
    if not 0 <= between_ns[0] <= between_ns[1]:
        raise argparse.ArgumentTypeError(f"{text!r}: give the shortest and the longest in {unit}, such as 20:150")
    return between_ns


def microseconds(text: str) -> int:
    """A time in µs -> ns."""
    try:
        time_ns = int(float(text) * _MICROSECOND_NS)
    except (ValueError, OverflowError):
        time_ns = -1
    if time_ns < 0:
        raise argparse.ArgumentTypeError(f"{text!r}: give a time in µs, 0 or more")
    return time_ns


def count(text: str) -> int:
    """How many: 1 or more."""
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number, 1 or more")
    return int(text)


def milliseconds(text: str) -> tuple[int, int]:
    """`MIN:MAX` in ms -> ns."""
    return _between(text, _MILLISECOND_NS, "ms")


def fee(text: str) -> tuple[str, int]:
    """`FLAG=DOLLARS` -> flag, fee in 1/100,000,000 dollar."""
    try:
        return parse_fee(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def seconds(text: str) -> float:
    """Seconds of a day."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < _LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r}: give seconds of the day, 0 or more")
    return seconds


def span(text: str) -> tuple[float, float]:
    """`START+LENGTH` in seconds."""
    start, separator, length = text.partition("+")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r}: give START+LENGTH in seconds, such as 2.5+1")
    return seconds(start), seconds(length)


def symbol_span(text: str) -> tuple[str, int, int]:
    """`SYM@START+LENGTH` in seconds -> symbol, start and length in ns."""
    symbol, separator, times = text.partition("@")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r}: give SYM@START+LENGTH in seconds, such as AAPL@2.5+1")
    start, length = span(times)
    return symbol, int(start * _SECOND_NS), int(length * _SECOND_NS)


def symbol_start(text: str) -> tuple[str, int, int | None]:
    """`SYM@START`, with `+LENGTH` or without: None."""
    if "+" in text:
        return symbol_span(text)
    symbol, separator, start = text.partition("@")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r}: give SYM@START in seconds, such as AAPL@2.5")
    return symbol, int(seconds(start) * _SECOND_NS), None

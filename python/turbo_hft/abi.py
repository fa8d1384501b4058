"""The ABI as Python sees it: names of enums, taken from the compiled contract and never written twice."""

from __future__ import annotations

from functools import cache
from typing import Any

from turbo_hft._native import ffi, lib

VERSION: int = lib.HFT_ABI_VERSION
NO_SYMBOL = 0xFFFFFFFF


@cache
def names(enum: str, prefix: str) -> dict[int, str]:
    """Value -> lower-case name without `prefix` of every member of a C enum, as in `names("hft_role", "HFT_ROLE_")`."""
    elements: dict[int, str] = ffi.typeof(f"enum {enum}").elements
    return {value: name[len(prefix) :].lower() for value, name in sorted(elements.items()) if name.startswith(prefix)}


def name_of(enum: str, prefix: str, value: int) -> str:
    """Name of one value as in `names`; of one that the contract does not have, what it is and its number (``side 7``).

    For readers of what others wrote, such as a strategy in C: they show it and go on.
    """
    return names(enum, prefix).get(value) or f"{enum.removeprefix('hft_').replace('_', ' ')} {value}"


def counters() -> dict[int, str]:
    """Index -> name of every counter."""
    return names("hft_counter", "HFT_C_")


def reasons() -> dict[int, str]:
    """Value -> name of every reason for which the risk gate refuses; 0 is ``none``."""
    return names("hft_reason", "HFT_REASON_")


@cache
def event_kinds() -> dict[int, str]:
    """Value -> name of every kind of event."""
    found = names("hft_event_kind", "HFT_EVENT_")
    return {value: name for value, name in found.items() if value < lib.HFT_EVENT_KINDS}


def event_kind(value: int) -> str:
    """Name of a kind of event; of one that there is not, ``event kind`` and its number."""
    return event_kinds().get(value) or f"event kind {value}"


@cache
def itch_types() -> dict[int, str]:
    """Index -> type character of the 23 ITCH messages; case matters (``H`` and ``h``)."""
    elements: dict[int, str] = ffi.typeof("enum hft_itch").elements
    return {value: name[-1] for value, name in sorted(elements.items()) if len(name) == len("HFT_ITCH_S")}


def fields(struct: Any) -> dict[str, Any]:
    """Every field of a cffi struct that is not padding, as a plain value."""
    return {name: getattr(struct, name) for name, _ in ffi.typeof(struct).fields if not name.startswith("pad")}

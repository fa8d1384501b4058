"""Codes that OUCH 4.2 and OUCH 5.0 share. Exchanges add codes: treat the tables as names for people, not as filters."""

from __future__ import annotations

CANCEL_REASONS: dict[str, str] = {
    "D": "regulatory restriction",
    "E": "closed",
    "F": "post-only, would have been repriced by NMS rules",
    "G": "post-only, would have been repriced by a displayed order",
    "H": "halted",
    "I": "immediate or cancel",
    "K": "market collars",
    "Q": "self-match prevention",
    "S": "supervisory",
    "T": "timeout",
    "U": "user",
    "X": "open protection",
    "Z": "system",
}
"""Codes of Canceled and AIQ Canceled; each version adds its own (5.0: "e", 4.2: "C")."""

BROKEN_REASONS: dict[str, str] = {
    "E": "erroneous",
    "C": "consent",
    "S": "supervisory",
    "X": "external",
}

LIQUIDITY_FLAGS: dict[str, str] = {
    "A": "added",
    "R": "removed",
    "O": "opening cross",
    "M": "opening cross",
    "C": "closing cross",
    "L": "closing cross",
    "H": "halt or IPO cross",
    "K": "halt or IPO cross",
    "J": "added, not displayed",
    "k": "added at the midpoint",
    "m": "removed at the midpoint",
    "0": "supplemental order",
    "7": "added, set the NBBO",
    "8": "added, joined the NBBO",
    "d": "retail",
    "e": "retail",
    "f": "retail",
    "j": "retail",
    "r": "retail",
    "t": "retail",
    "n": "midpoint extended life",
}
"""Codes of executions in either version."""

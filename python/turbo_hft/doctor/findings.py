"""What was looked at, how it is, and what to do about it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Level(enum.Enum):
    """`WARN` costs latency or comfort, `BAD` keeps an engine from running or from being right."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One of them. `found` is how it is; `remedy` is empty when nothing has to be done."""

    what: str
    level: Level
    found: str
    remedy: str = ""

    def line(self) -> str:
        """For people."""
        return f"{self.level.value:<4}  {self.what}: {self.found}" + (f". {self.remedy}" if self.remedy else "")

    def as_dict(self) -> dict[str, str]:
        """JSON-ready."""
        return {"what": self.what, "level": self.level.value, "found": self.found, "remedy": self.remedy}


def ok(what: str, found: str) -> Finding:
    """All is well."""
    return Finding(what, Level.OK, found)


def warn(what: str, found: str, remedy: str) -> Finding:
    """It could be better."""
    return Finding(what, Level.WARN, found, remedy)


def bad(what: str, found: str, remedy: str) -> Finding:
    """It has to be mended."""
    return Finding(what, Level.BAD, found, remedy)

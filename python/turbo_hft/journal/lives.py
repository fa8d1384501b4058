"""What a journal has of an engine's life, which may be longer than one recording of it.

A pinned engine goes on when its recorder is killed, and the next recorder takes it over. What the ring hands out again
must then not be written again, and what it no longer has must be noted. Ids alone do not tell: another engine begins at
1 again. The maps tell: the kernel gives no number of a map twice between two boots.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from turbo_hft.journal import format as form

_LAST_TABLE = "load."  # what the last table of settings has
_LAST_ID = slice(-form.CELL_BYTES, -form.CELL_BYTES + 8)  # of a batch: the id of its newest event


@dataclass(slots=True)
class Life:
    """What is known of one engine. `newest`: the highest event id that is in the journal, or noted as missing. `runs`:
    the recordings of it. `pid`: of the newest recorder; `end`: how that ended, empty if it did not say so. `settings`:
    as they were last recorded, at `epoch`. `twice`: how many events are in the journal a second time."""

    newest: int = 0
    runs: list[int] = field(default_factory=list)
    pid: int = 0
    end: str = ""
    epoch: int = -1
    settings: dict[str, Any] = field(default_factory=dict)
    twice: int = 0

    @property
    def whole(self) -> bool:
        """Are all settings known, or was whoever wrote their tables killed in between?"""
        return any(key.startswith(_LAST_TABLE) for key in self.settings)


class Lives:
    """Learns from frames in their order (`frame`, or `events` and `note` of who writes them). `known`: lives by name.

    Notes are believed as they stand: a frame that was held against the chain says what a recorder wrote.
    """

    def __init__(self) -> None:
        self.known: dict[str, Life] = {}
        self.run = 0
        self._now: Life | None = None
        self._anew = False

    def frame(self, frame: form.Frame) -> None:
        """The next frame of the journal."""
        if frame.kind == form.EVENTS:
            first = int.from_bytes(frame.payload[:8], "little")
            self.events(frame.run, first, int.from_bytes(frame.payload[_LAST_ID], "little"))
            return
        try:
            data = json.loads(frame.payload)
        except ValueError:
            return
        if isinstance(data, dict):
            self.note(frame.run, str(data.get("kind", "")), data)

    def events(self, run: int, first: int, last: int) -> None:
        """A batch with these ids."""
        if (life := self._of(run)) is not None:
            life.twice += max(0, min(last, life.newest) - first + 1)
            life.newest = max(life.newest, last)

    def note(self, run: int, kind: str, data: dict[str, Any]) -> None:
        """A note."""
        if kind in ("start", "continued") and isinstance(name := data.get("life"), str):
            self.run, self._now = run, self.known.setdefault(name, Life())
            self._begin(self._now, run, data)
            self._anew = True
        life = self._of(run)
        if life is None:
            return
        match kind:
            case "settings" | "change":
                if kind == "settings" and self._anew:
                    life.settings = {}  # tables that are whole by themselves begin here
                    self._anew = False
                life.epoch = _number(data, "epoch")
                changes = data.get("changes")
                for key, pair in changes.items() if isinstance(changes, dict) else ():
                    life.settings[key] = pair[1]
            case "lost":
                life.newest = max(life.newest, _number(data, "first_id") + _number(data, "count") - 1)
            case "unrecorded":
                life.newest = max(life.newest, _number(data, "last_id"))
            case "stop":
                life.end = str(data.get("why", ""))

    @staticmethod
    def _begin(life: Life, run: int, data: dict[str, Any]) -> None:
        if run not in life.runs:
            life.runs.append(run)
        by = data.get("by")
        life.pid, life.end = (_number(by, "pid") if isinstance(by, dict) else 0), ""
        life.newest = max(life.newest, _number(data, "recorded_id"))

    def _of(self, run: int) -> Life | None:
        return self._now if run == self.run else None


def _number(data: dict[str, Any], key: str) -> int:
    value = data.get(key, 0)
    return value if isinstance(value, int) else 0

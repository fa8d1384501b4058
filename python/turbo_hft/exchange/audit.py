"""The exchange's log: JSON lines, one per inbound message and one per execution or cancel.

Every line has `kind`, `arrival_ns` (CLOCK_MONOTONIC, the clock the hook's events use too), `exchange_ns` (ns since
midnight of the simulated day) and `feed_seq`: the newest MoldUDP64 sequence that had left when the line's cause
arrived. So the log alone shows which tick an order can have come from, and that nothing came after a halt.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

from turbo_hft.errors import ExchangeError


class AuditLog:
    """Collects lines; `flush` writes them, off the path that answers orders. Without a file it only counts."""

    def __init__(self, path: Path | None = None) -> None:
        self.lines = 0
        self._waiting: list[str] = []
        self._file: TextIO | None = None
        if path is not None:
            try:
                self._file = path.open("w", encoding="utf-8")
            except OSError as error:
                raise ExchangeError(
                    f"cannot write the log {path}: {error.strerror}; name a file in a directory that exists"
                ) from error

    def line(self, kind: str, *, arrival_ns: int, exchange_ns: int, feed_seq: int, **fields: object) -> None:
        """Add a line."""
        self.lines += 1
        if self._file is not None:
            entry = {"kind": kind, "arrival_ns": arrival_ns, "exchange_ns": exchange_ns, "feed_seq": feed_seq}
            self._waiting.append(json.dumps({**entry, **fields}))

    def flush(self) -> None:
        """Write what was collected."""
        if self._file is not None and self._waiting:
            self._file.write("\n".join(self._waiting) + "\n")
            self._file.flush()
            self._waiting.clear()

    def close(self) -> None:
        """Write the rest and close the file."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

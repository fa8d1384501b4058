"""What made an order: the table of generations, which lies in a map beside the program.

Each swap of a strategy and each upgrade of the engine is a generation. An order tells the epoch under which it was
decided, the table from which epoch on a generation was in force. Any process that has the program open can read it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from turbo_hft._native import ffi, lib

NAME_BYTES = 63


@dataclass(frozen=True, slots=True)
class Generation:
    """What was in force from an epoch on. `name` is empty and `size` 0 when nothing was linked in.

    Orders of epochs from `settled_epoch` on are of this generation. Of those from `first_epoch` to below it some were
    decided on another CPU by the generation before, while the two changed places. `settled_epoch` 0: not yet.
    `engine_sha256` is that of the engine's own object, `since_ns` CLOCK_REALTIME; empty and 0 where nobody noted them.
    """

    number: int
    name: str
    sha256: str
    size: int
    first_epoch: int
    settled_epoch: int
    program_id: int
    engine_sha256: str = ""
    since_ns: int = 0


class Generations:
    """The shared table; `table` is a ``struct hft_generations *``."""

    def __init__(self, table: Any) -> None:
        self._table = table

    @property
    def current(self) -> int:
        """Number of the one that is in force."""
        return int(self._table.current)

    def __getitem__(self, number: int) -> Generation:
        """Raises KeyError for one that is not remembered."""
        entry = self._entry(number)
        if entry.number != number or not 0 <= number <= self.current:
            raise KeyError(f"generation {number} is not known: the last {lib.HFT_GENERATIONS:,} are.")
        return Generation(
            entry.number,
            ffi.string(entry.name).decode("utf-8", "replace"),
            bytes(entry.sha256).hex() if entry.object_bytes else "",
            entry.object_bytes,
            entry.first_epoch,
            entry.settled_epoch,
            entry.program_id,
            bytes(entry.engine_sha256).hex() if any(entry.engine_sha256) else "",
            entry.since_ns,
        )

    def __iter__(self) -> Iterator[Generation]:
        """Those that are remembered, the oldest first."""
        newest = self.current
        return (self[number] for number in range(max(0, newest - lib.HFT_GENERATIONS + 1), newest + 1))

    def of_epoch(self, epoch: int) -> Generation:
        """The generation that was in force at an epoch: see `Generation` for the few of a change. Raises KeyError for
        one that is not remembered."""
        for number in range(self.current, max(-1, self.current - lib.HFT_GENERATIONS), -1):
            if self._entry(number).first_epoch <= epoch:
                return self[number]
        raise KeyError(f"epoch {epoch} is older than the last {lib.HFT_GENERATIONS:,} generations.")

    def _entry(self, number: int) -> Any:
        return self._table.entry[number % lib.HFT_GENERATIONS]

    def prepare(self, name: str, data: bytes, digest: bytes, program_id: int, engine_digest: bytes) -> int:
        """Fill the next entry; it is not in force before `publish`. Its number."""
        number = self.current + 1
        entry, size = self._entry(number), ffi.sizeof("struct hft_generation")
        ffi.memmove(ffi.addressof(entry), bytes(size), size)
        entry.number, entry.object_bytes, entry.program_id = number, len(data), program_id
        entry.name = name.encode()[:NAME_BYTES].decode("utf-8", "ignore").encode()
        entry.engine_sha256 = list(engine_digest)
        if data:
            entry.sha256 = list(digest)
        return number

    def publish(self, number: int, first_epoch: int) -> None:
        """In force from `first_epoch` on."""
        self._entry(number).first_epoch = first_epoch
        self._entry(number).since_ns = time.time_ns()
        self._table.current = number

    def finish(self, program_id: int, first_epoch: int) -> bool:
        """Publish what was prepared for the program that is in force, if whoever began that is gone: was it needed?
        Only with the lock of swaps."""
        number = self.current + 1
        prepared, now = self._entry(number), self._entry(self.current)
        if prepared.number != number or prepared.program_id != program_id or now.program_id == program_id:
            return False
        self.publish(number, first_epoch)
        return True

    def withdraw(self, number: int) -> None:
        """What was published is not in force after all."""
        self._table.current = number - 1

    def settle(self, number: int, epoch: int) -> None:
        """From `epoch` on every order is of it."""
        self._entry(number).settled_epoch = epoch

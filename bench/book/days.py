"""The days: how many symbols, how many resting orders, and their files."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.book.errors import BenchError

SEED = 20190130


@dataclass(frozen=True, slots=True)
class Day:
    """`tracked`: how many of the symbols are asked for; None = all."""

    symbols: int
    live: int
    tracked: int | None = None

    @property
    def name(self) -> str:
        """As `--days` takes it."""
        return f"{self.symbols}/{short(self.live)}" + (f"/{self.tracked}" if self.tracked else "")

    @property
    def asked(self) -> int:
        """Symbols that are asked for."""
        return self.tracked or self.symbols


def short(number: int) -> str:
    """1000 -> 1k, 1000000 -> 1M."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size and not number % size:
            return f"{number // size}{letter}"
    return str(number)


#: The grid.
SEVEN = (
    Day(100, 1_000),
    Day(100, 100_000),
    Day(1000, 100_000),
    Day(1000, 1_000_000),
    Day(8000, 1_000),
    Day(8000, 100_000),
    Day(8000, 1_000_000),
)
FILTERED = Day(8000, 100_000, tracked=100)
#: The same symbols, ever more resting orders.
GROWTH = tuple(Day(1000, live) for live in (1_000, 10_000, 100_000, 1_000_000))
DAYS = tuple(dict.fromkeys((*SEVEN, Day(100, 1_000_000), FILTERED, *GROWTH)))
#: Where the packets alone are measured.
BASELINE = Day(1000, 100_000)

Best = tuple[int, int]
#: Best bid and offer of each symbol, and its live orders (-1: not known).
Book = dict[str, tuple[Best, int]]


@dataclass(frozen=True, slots=True)
class DayFile:
    """A day on disk. `prelude`: messages before the timed ones; `live`, `book`: orders and book at its end."""

    path: Path
    prelude: int
    live: int
    last_ref: int
    bytes: int
    book: Book


def read_book(path: Path) -> Book:
    """What a contestant, or the reference book, left."""
    book: Book = {}
    for line in path.read_text().splitlines():
        name, bid, ask, orders = line.split()
        book[name] = ((int(bid), int(ask)), int(orders))
    return book


def generate(program: Path, day: Day, messages: int, folder: Path) -> DayFile:
    """Write the day. Raises BenchError."""
    path, book = folder / f"{day.symbols}-{day.live}.itch50", folder / "reference.book"
    words = [f"symbols={day.symbols}", f"live={day.live}", f"messages={messages}", f"seed={SEED}"]
    result = subprocess.run([program, path, book, *words], capture_output=True, text=True, check=False)
    if result.returncode:
        raise BenchError(f"{day.name}: {result.stderr.strip()}")
    said: dict[str, int] = json.loads(result.stdout)
    return DayFile(path, said["prelude"], said["live"], said["last_ref"], said["bytes"], read_book(book))

"""Who takes part, and one run of one of them on one day."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turbo_hft._native import ffi
from turbo_hft.program import load_config

from bench.book.days import FILTERED, SEVEN, Book, Day, DayFile, read_book
from bench.book.errors import BenchError, NoFigureError
from bench.book.programs import Programs

PER_PACKET = (1, 5, 20, 38)
ITCH_ORDER_BOOK = "itch-order-book"
CPPTRADER = "CppTrader"
HOOK = "hook 20"
_LEAST_ORDERS = 65_536
_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class Sample:
    """One run. `ns`: a message. `reading_ns`: what a peer's figure contains for reading the file."""

    ns: float
    messages: int
    packets: int
    reading_ns: float


@dataclass(frozen=True, slots=True)
class Contestant:
    """`words`: its arguments besides the day's. `config`: it takes the engine's configuration.

    `tracks`: it keeps the book of what is asked for; otherwise it only walks through the packets.
    """

    name: str
    program: Path
    words: tuple[str, ...] = ()
    config: bool = False
    checksums: bool = False
    tracks: bool = True
    peer: bool = False


def _hook(programs: Programs, name: str, per_packet: int, *, checksums: bool = False) -> Contestant:
    return Contestant(name, programs.hook, (f"per_packet={per_packet}", "empty=0"), config=True, checksums=checksums)


def _peers(programs: Programs) -> list[Contestant]:
    peers = ((ITCH_ORDER_BOOK, programs.itch_order_book), (CPPTRADER, programs.cpptrader))
    return [Contestant(name, path, peer=True) for name, path in peers if path]


def on(day: Day, programs: Programs) -> list[Contestant]:
    """Everybody on the grid; on other days what the criteria are about, and what it is compared with."""
    sizes = PER_PACKET if day in SEVEN or day == FILTERED else (20,)
    found = [_hook(programs, f"hook {size}", size) for size in sizes]
    if day in SEVEN:
        found.append(_hook(programs, f"{HOOK} sums", 20, checksums=True))
    if day != FILTERED:
        found.append(Contestant("native 20", programs.native, ("per_packet=20",), config=True))
    # A peer follows every symbol, whatever is asked for.
    return found + _peers(programs)


def baselines(programs: Programs) -> list[Contestant]:
    """The packets alone: two instructions in the program's place, and the program with no symbol to follow."""
    kinds = (("empty", 1), ("parse", 0))
    return [
        Contestant(f"{kind} {size}", programs.hook, (f"per_packet={size}", f"empty={empty}"), config=True, tracks=False)
        for kind, empty in kinds
        for size in PER_PACKET
    ]


def settings(day: Day, *, checksums: bool) -> str:
    """The engine's configuration for that many symbols and twice the orders that rest, as `config=` takes it."""
    orders = max(_LEAST_ORDERS, 2 * day.live * day.asked // day.symbols)
    config = load_config(symbols=day.asked, orders=orders, verify_checksums=checksums)
    return bytes(ffi.buffer(config)).hex()


def run(contestant: Contestant, day: Day, file: DayFile, folder: Path) -> Sample:
    """One run, its end compared with the reference book's. Raises NoFigureError."""
    left = folder / "contestant.book"
    words = [str(contestant.program), str(file.path), str(left), f"prelude={file.prelude}", *contestant.words]
    if contestant.config:
        words.append(f"config={settings(day, checksums=contestant.checksums)}")
    if contestant.peer:
        words.append(f"orders={file.last_ref + 1}")
    elif contestant.words[-1].startswith("empty="):
        words.append(f"track={day.asked if contestant.tracks else 0}")
    result = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    if result.returncode:
        said = result.stderr.strip().splitlines()
        raise NoFigureError(said[-1] if said else f"exit status {result.returncode}")
    said_json: dict[str, Any] = json.loads(result.stdout)
    if contestant.tracks:
        check(said_json, day, file.book, read_book(left))
    return Sample(said_json["ns"], said_json["messages"], said_json.get("packets", 0), said_json.get("reading_ns", 0.0))


def chase(program: Path) -> dict[str, dict[str, float]]:
    """ns of a load that waits for the one before it: by pages (small, huge), by megabytes. Raises BenchError."""
    result = subprocess.run([program], capture_output=True, text=True, check=False)
    if result.returncode:
        raise BenchError(f"chase: {result.stderr.strip()}")
    found: dict[str, dict[str, float]] = json.loads(result.stdout)
    return found


def check(said: dict[str, Any], day: Day, reference: Book, book: Book) -> None:
    """Was every message handled, is every symbol sound, and is the book the reference's? Raises NoFigureError."""
    for what in ("unhandled", "quarantined", "unsound"):
        if said.get(what):
            raise NoFigureError(f"{said[what]} {what}")
    if day.asked == day.symbols and said.get("untracked"):
        raise NoFigureError(f"{said['untracked']} messages of symbols that it did not find")
    if len(book) not in (day.asked, day.symbols):
        raise NoFigureError(f"{len(book)} symbols instead of {day.asked}")
    wrong = [name for name in book if not _same(reference.get(name), book[name])]
    if wrong:
        raise NoFigureError(f"another book than the reference's at the end: {_some(wrong)}")


def _same(reference: tuple[tuple[int, int], int] | None, found: tuple[tuple[int, int], int]) -> bool:
    return reference is not None and reference[0] == found[0] and found[1] in (-1, reference[1])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

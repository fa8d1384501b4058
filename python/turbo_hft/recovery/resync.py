"""Books anew from a snapshot, for one symbol or for all of a feed at once.

The order is that of docs/rules.md, rule 10: begin, sweep, install, replay what was kept since, release. Tables are
swept once and the ring of kept messages is read once for all books together. It is the hook that lets a book be traded
again, and it refuses while a message of it is outstanding; here is only brought to it what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from turbo_hft.engine import Engine
from turbo_hft.errors import RecoveryError
from turbo_hft.recovery.commands import Commands
from turbo_hft.recovery.snapshot import Snapshot
from turbo_hft.symbols import BookState

_PHASES = ("none", "messages", "system", "market", "after", "closed", "ended")  # in the order of a day
_PHASE_CODES = b"OSQMEC"
_CODE = 11  # of S and W
_ROUNDS = 64  # in which messages may still come while a book is being completed


class Outcome(Enum):
    """What became of a book."""

    RESTORED = "restored"
    LATER = "needs a later snapshot"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Result:
    """Of one book. `sequence`: the feed's message from which it is traded again, or 0; `why` not."""

    name: str
    outcome: Outcome
    sequence: int = 0
    why: str = ""


def bind(engine: Engine, commands: Commands, snapshot: Snapshot, books: Iterable[BookState]) -> None:
    """Let the feed's locates be known for books that have none, so that their messages are kept from now on.

    The books must not be ok: messages before this moment have passed by.
    """
    listings = [snapshot.directory[book.name] for book in books if not book.locate and book.name in snapshot.directory]
    for payload in commands.install_common(listings):
        engine.command(payload)


def install_market(engine: Engine, commands: Commands, feed: int, snapshot: Snapshot) -> None:
    """The market phase and the circuit breaker as the snapshot has them, as far as they go beyond what the feed
    said."""
    state = engine.feeds[feed]
    news = []
    for message in snapshot.common:
        kind, code = message[:1], message[_CODE : _CODE + 1]
        if kind == b"S":
            wanted = code in _PHASE_CODES and _PHASE_CODES.index(code) + 1 > _PHASES.index(state.phase)
        elif kind == b"W":
            wanted = code.decode("latin-1") > state.breaker
        else:
            wanted = not any(state.breaker_level_e8)
        if wanted:
            news.append(message)
    for payload in commands.install_common(news):
        engine.command(payload)


class Restore:
    """One go: `books` of a feed from one snapshot. Iterate over `run`, then read `results` (by slot).

    `run` yields after every small piece of work, True where it waits for the feed to go on. `need`: by slot, the least
    sequence of a snapshot that is right for it. `floor`: the same for all of them, as it is at that moment.
    """

    def __init__(
        self,
        engine: Engine,
        feed: int,
        snapshot: Snapshot,
        books: Sequence[BookState],
        *,
        need: Mapping[int, int],
        floor: Callable[[], int] = lambda: 0,
        patience: Callable[[], bool] = lambda: True,
    ) -> None:
        self._engine = engine
        self._feed = feed
        self._snapshot = snapshot
        # Those that want to trade come first.
        self._books = sorted(books, key=lambda book: (not book.armed, book.slot))
        self._need = need
        self._floor = floor
        self._patience = patience
        self._commands = Commands(engine.command_nonce, feed)
        self._scanned = snapshot.sequence  # kept messages before this one are in `_later`
        self._later: dict[int, list[tuple[int, bytes]]] = {}  # by locate
        self._overwritten = 0
        self.results: dict[int, Result] = {}

    def run(self) -> Iterator[bool]:
        """Do it."""
        begun = [book for book in self._books if self._begin(book)]
        yield False
        if begun:
            for payload in self._commands.sweeps(self._engine.program.config):
                if not self._engine.command(payload):
                    raise RecoveryError("the hook did not sweep its tables: no book is installed over old orders.")
                yield False
        self._later = {book.locate: [] for book in begun if book.locate}
        for book in begun:
            # Whoever comes last must find what was kept since the first one: read it before the ring goes round.
            expected = self._engine.pulse(self._feed).expected_seq
            if expected - self._scanned > self._engine.program.config.kept_mask // 4:
                self._scan(expected)
            yield from self._restore(book)
            self._later.pop(book.locate, None)
            yield False

    def _begin(self, book: BookState) -> bool:
        sequence = self._snapshot.sequence
        need = max(book.since_seq, self._need.get(book.slot, 0), self._floor())
        if sequence < need:
            return self._end(
                book, Outcome.LATER, f"the snapshot ends before {sequence}, it needs one of {need} or later"
            )
        listed = self._snapshot.locate(book.name)
        if book.locate and listed != book.locate and sequence > 1:
            there = "does not list it" if listed is None else f"has locate {listed} for it"
            return self._end(book, Outcome.FAILED, f"its locate is {book.locate}, the snapshot {there}")
        if not book.locate and listed is not None:
            return self._end(book, Outcome.FAILED, f"the hook does not take locate {listed} for it")
        if not self._engine.command(self._commands.begin(book.slot)):
            return self._end(book, Outcome.FAILED, "it is not in quarantine any more")
        return True

    def _restore(self, book: BookState) -> Iterator[bool]:
        engine, commands, sequence = self._engine, self._commands, self._snapshot.sequence
        locate = book.locate
        messages = self._snapshot.messages.get(locate, ()) if locate else ()
        for payload in commands.install(book.slot, sequence, messages):
            if not engine.command(payload):
                self._refused(book)
                return
        replayed = sequence
        for _ in range(_ROUNDS):
            # First this, then what is kept: so nothing before `expected` can be overlooked.
            while (expected := max(engine.pulse(self._feed).expected_seq, 1)) < sequence:
                if not self._patience():
                    self._end(book, Outcome.LATER, f"the feed does not get as far as the snapshot ({sequence})")
                    return
                yield True
            state = engine.symbols.book(book.slot)
            if state.locate != locate:
                locate = state.locate
                self._listed_now(locate)
            if state.kept_seq >= replayed:
                self._scan(expected)
                if self._overwritten:
                    self._end(
                        book, Outcome.LATER, "messages of it were kept too long ago: load with more kept messages"
                    )
                    return
                later = self._later.get(locate, [])
                for payload in commands.replay(book.slot, later):
                    if not engine.command(payload):
                        self._refused(book)
                        return
                later.clear()
                replayed = self._scanned
            else:
                replayed = max(replayed, expected)
            if self._floor() > sequence:
                self._end(book, Outcome.LATER, "a message of wrong length passed meanwhile")
                return
            if engine.command(commands.release(book.slot, replayed)):
                self._end(book, Outcome.RESTORED, sequence=replayed)
                return
            if engine.symbols.book(book.slot).health != "installing":
                self._refused(book)
                return
        self._end(book, Outcome.LATER, f"its messages came faster than they were replayed, {_ROUNDS} times")

    def _scan(self, expected: int) -> None:
        """Read what was kept meanwhile, for all books that are not complete yet."""
        if expected <= self._scanned:
            return
        kept = self._engine.kept(self._feed, self._later, self._scanned, expected)
        self._overwritten += kept.overwritten
        for sequence, message in kept.messages:
            self._later[int.from_bytes(message[1:3], "big")].append((sequence, message))
        self._scanned = expected

    def _listed_now(self, locate: int) -> None:
        """The feed itself has listed a symbol that had no locate when we began: its messages are kept since then."""
        kept = self._engine.kept(self._feed, [locate], self._snapshot.sequence, self._scanned)
        self._overwritten += kept.overwritten
        self._later[locate] = list(kept.messages)

    def _refused(self, book: BookState) -> None:
        state = self._engine.symbols.book(book.slot)
        self._end(book, Outcome.FAILED, f"the hook refused it: {state.health}, doubt {state.doubt}")

    def _end(self, book: BookState, outcome: Outcome, why: str = "", *, sequence: int = 0) -> bool:
        self.results[book.slot] = Result(book.name, outcome, sequence, why)
        return False

"""What the book benchmark found: figures with their range, paired ratios, criteria, the rig they hold for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.book.contestants import CPPTRADER, HOOK, ITCH_ORDER_BOOK, PER_PACKET
from bench.book.days import FILTERED, GROWTH, SEVEN, Day, short

METHOD = (
    "Every contestant reads the same file: directory and resting orders first, untimed, then the timed messages. "
    "Repetitions are the outermost loop, so that days and contestants take turns; every second one goes backwards. One "
    "process a run, all on one CPU. Figures are ns/message: median (least to most) over the repetitions; ratios are "
    "medians of the ratios within a repetition. A figure counts only if every message was handled, no symbol was in "
    "doubt, and best bid, best offer and number of orders of every symbol at the end are those of the reference book, "
    "which shares no code with any contestant (peers: the best prices alone, they do not count orders). hook N: the "
    "loaded XDP program, N messages a packet, each packet run once by BPF_PROG_TEST_RUN; its time is the kernel's own "
    "run-time statistics, whose clock around each packet is in the figure, as are the copy of the payload and the "
    "program's own clock read; the system call between packets is not, but it shares the caches. sums: IPv4 and UDP "
    "checksums are verified too. native: the same headers, compiled for user space. Native and peers: CPU time of the "
    "thread. The peers read(2) the file in pieces of 32 KB; what that alone costs is told. Tables of the hook: what "
    "the engine makes by default for twice the resting orders, at least 65,536."
)
NOT = (
    "This is no latency and no network card: packets come back to back, from memory, and nothing trades. The flow is "
    "generated, with the mix of a real day, not recorded. The contestants do not do the same work: the hook also "
    "unpacks and sequences MoldUDP64, refuses what is invalid, and keeps orders a level, last trade and volume; the "
    "peers trust their input and know neither packets nor sequence numbers, and on a day of which few symbols are "
    "asked for they follow all."
)


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and range over repetitions."""

    median: float
    min: float
    max: float
    runs: tuple[float, ...]

    @classmethod
    def of(cls, runs: Sequence[float]) -> Spread:
        """Raises ValueError for none."""
        return cls(median(runs), min(runs), max(runs), tuple(runs))

    @classmethod
    def ratio(cls, above: Spread, below: Spread) -> Spread:
        """Over the pairs of the same repetition."""
        return cls.of([first / second for first, second in zip(above.runs, below.runs, strict=True)])

    def text(self, digits: int) -> str:
        """median (min-max)"""
        return f"{self.median:.{digits}f} ({self.min:.{digits}f}–{self.max:.{digits}f})"


@dataclass(frozen=True, slots=True)
class DayResult:
    """Figures by contestant. `live`: orders that rest at the end; `failed`: why a contestant has no figure."""

    day: Day
    messages: int
    live: int
    figures: dict[str, Spread]
    failed: dict[str, str]
    reading_ns: dict[str, float]

    def ratio(self, peer: str) -> Spread | None:
        """The hook at 20 a packet over a peer."""
        if HOOK not in self.figures or peer not in self.figures:
            return None
        return Spread.ratio(self.figures[HOOK], self.figures[peer])


@dataclass(frozen=True, slots=True)
class Baseline:
    """What packets cost without a book: of `per_packet` messages each, as far as they fit."""

    per_packet: int
    messages: float
    empty: Spread
    parse: Spread


@dataclass(frozen=True, slots=True)
class Load:
    """A load that waits for the one before it, somewhere in so many megabytes: ns, in ordinary and in huge pages."""

    megabytes: int
    small: Spread
    huge: Spread


@dataclass(frozen=True, slots=True)
class Criterion:
    """`value` is None, and `met` too, if what it needs was not measured."""

    text: str
    value: float | None
    met: bool | None
    where: str

    def line(self) -> str:
        """One line."""
        verdict = {True: "met", False: "missed", None: "not measured"}[self.met]
        return f"{verdict}: {self.text}" + (f": {self.where}" if self.where else "")


@dataclass(frozen=True, slots=True)
class Rig:
    """The machine and the versions that the figures hold for."""

    kernel: str
    cpu: str
    cpus: int
    virtual: bool
    placement: str
    load: tuple[float, float]
    huge_pages: str
    python: str
    compiler: str
    libbpf: str
    commits: dict[str, str]

    def text(self) -> str:
        """One paragraph."""
        machine = "a virtual machine" if self.virtual else "not virtualised"
        peers = "".join(f", {name} at {commit}" for name, commit in self.commits.items())
        return (
            f"Linux {self.kernel}, {self.cpu} ({self.cpus} CPUs, {machine}), {self.placement}; load average "
            f"{self.load[0]:.2f} before and {self.load[1]:.2f} after; transparent huge pages: {self.huge_pages}; "
            f"{self.compiler}, libbpf {self.libbpf}, Python {self.python}{peers}"
        )


@dataclass(frozen=True, slots=True)
class BookReport:
    """Everything of one run of the benchmark."""

    rig: Rig
    repetitions: int
    timed: int
    columns: tuple[str, ...]
    days: tuple[DayResult, ...]
    baselines: tuple[Baseline, ...]
    loads: tuple[Load, ...]
    criteria: tuple[Criterion, ...]
    method: str = METHOD
    is_not: str = NOT

    def lines(self) -> list[str]:
        """The tables as plain text."""
        width = max(len(column) for column in (*self.columns, "min-max")) + 2
        head = f"{'symbols/live':<16}" + "".join(f"{column:>{width}}" for column in self.columns)
        found = [f"ns/message, {self.repetitions} x {short(self.timed)} messages, in turns", head]
        for result in self.days:
            cells = [result.figures.get(column) for column in self.columns]
            ranges = [f"{cell.min:.1f}-{cell.max:.1f}" if cell else "" for cell in cells]
            found.append(
                f"{result.day.name:<16}"
                + "".join(
                    f"{f'{cell.median:.1f}' if cell else 'failed' if column in result.failed else '':>{width}}"
                    for column, cell in zip(self.columns, cells, strict=True)
                )
            )
            found.append(" " * 16 + "".join(f"{cell:>{width}}" for cell in ranges))
        for peer in self.peers():
            found.append(f"{HOOK} / {peer}:")
            found += [f"  {result.day.name:<16}{ratio.text(2)}" for result, ratio in self.ratios(peer)]
        found += [line.replace("**", "") for line in (*self.baseline_lines(), *self.notes())]
        found += [criterion.line() for criterion in self.criteria]
        return [*found, f"rig: {self.rig.text()}", self.method, self.is_not]

    def peers(self) -> list[str]:
        """Those that took part."""
        return [peer for peer in (ITCH_ORDER_BOOK, CPPTRADER) if peer in self.columns]

    def ratios(self, peer: str) -> list[tuple[DayResult, Spread]]:
        """Hook at 20 over that peer, by day."""
        return [(result, ratio) for result in self.days if (ratio := result.ratio(peer))]

    def baseline_lines(self) -> list[str]:
        """What the packets cost, and a miss."""
        packets = [
            f"{baseline.messages:.1f} messages a packet: two instructions {baseline.empty.median:.0f} ns/packet, "
            f"nothing but the parse {baseline.parse.median:.0f} ns/packet = "
            f"{baseline.parse.median / baseline.messages:.1f} ns/message"
            for baseline in self.baselines
        ]
        loads = [
            f"{load.megabytes} MB {load.small.median:.0f} ns (in huge pages {load.huge.median:.0f})"
            for load in self.loads
        ]
        return [*packets, f"a load that waits for another, at random in: {', '.join(loads)}"]

    def notes(self) -> list[str]:
        """Where the hook loses, what reading costs the peers, who failed."""
        found = []
        for peer in self.peers():
            ratios = self.ratios(peer)
            slower = [f"{result.day.name} ({ratio.median:.2f}x)" for result, ratio in ratios if ratio.median > 1]
            where = f"on {', '.join(slower)}" if slower else "on none of these days"
            found.append(f"The hook at 20 a packet is **slower** than {peer} {where} ({len(slower)} of {len(ratios)}).")
            reading = [result.reading_ns[peer] for result in self.days if peer in result.reading_ns]
            found.append(f"Reading the file is {median(reading):.1f} ns/message of {peer}'s figures.")
        for result in self.days:
            found += [f"**No figure** for {name} on {result.day.name}: {why}" for name, why in result.failed.items()]
        return found

    def markdown(self) -> str:
        """The same for a document."""
        columns = [column for column in self.columns if any(column in result.figures for result in self.days)]
        found = [f"{self.repetitions} × {short(self.timed)} messages, ns/message, median (least–most):", ""]
        found += _table(
            ["symbols/live", *columns],
            (
                [result.day.name, *(_cell(result, column) for column in columns)]
                for result in self.days
                if set(columns) & set(result.figures)
            ),
        )
        if self.peers():
            found += [
                "",
                f"{HOOK} over a peer, median (least–most) of the paired ratios; above 1 the hook is slower:",
                "",
            ]
            rows = ([result.day.name, *(_ratio_cell(result, peer) for peer in self.peers())] for result in self.days)
            found += _table(["symbols/live", *self.peers()], rows)
        for title, lines in (
            ("Packets alone, and memory:", self.baseline_lines()),
            ("Where it stands:", self.notes()),
            ("Criteria:", [criterion.line() for criterion in self.criteria]),
        ):
            if lines:
                found += ["", title, "", *(f"- {line}" for line in lines)]
        return "\n".join([*found, "", f"Rig: {self.rig.text()}."])


def criteria(days: Sequence[DayResult]) -> tuple[Criterion, ...]:
    """What the book has to reach: each met, missed, or not measured."""
    by_day = {result.day: result for result in days}
    few = [day for day in SEVEN if day.symbols <= 1000]
    return (
        _against(by_day, SEVEN, 1.0, "at most 1.0x itch-order-book at 20 a packet on each of the seven days"),
        _against(by_day, few, 0.8, "at most 0.8x on those of 100 and 1000 symbols"),
        _filtered(by_day.get(FILTERED)),
        _growth(by_day.get(GROWTH[0]), by_day.get(GROWTH[-1])),
    )


def _against(by_day: dict[Day, DayResult], days: Sequence[Day], most: float, text: str) -> Criterion:
    ratios = {day: by_day[day].ratio(ITCH_ORDER_BOOK) for day in days if day in by_day}
    found = {day: ratio.median for day, ratio in ratios.items() if ratio}
    if len(found) < len(days):
        return Criterion(text, None, None, "")
    worst = max(found, key=lambda day: found[day])
    over = [f"{day.name} {ratio:.2f}x" for day, ratio in found.items() if ratio > most]
    where = f"worst {found[worst]:.2f}x on {worst.name}" + (f"; over it: {', '.join(over)}" if over else "")
    return Criterion(text, found[worst], not over, where)


def _filtered(result: DayResult | None) -> Criterion:
    text = f"at most 40 ns/message at 20 a packet with {FILTERED.asked} of {FILTERED.symbols} symbols asked for"
    if not result or HOOK not in result.figures:
        return Criterion(text, None, None, "")
    figure = result.figures[HOOK]
    return Criterion(text, figure.median, figure.median <= 40, f"{figure.text(1)} ns")


def _growth(first: DayResult | None, last: DayResult | None) -> Criterion:
    text = "at most 1.4x from 1k to 1M resting orders of 1000 symbols"
    if not first or not last or HOOK not in first.figures or HOOK not in last.figures:
        return Criterion(text, None, None, "")
    ratio = Spread.ratio(last.figures[HOOK], first.figures[HOOK])
    return Criterion(text, ratio.median, ratio.median <= 1.4, f"{ratio.text(2)}x")


def column_order(days: Iterable[DayResult]) -> tuple[str, ...]:
    """Contestants in the order of the tables."""
    known = [*(f"hook {size}" for size in PER_PACKET), f"{HOOK} sums", "native 20", ITCH_ORDER_BOOK, CPPTRADER]
    named = {name for result in days for name in (*result.figures, *result.failed)}
    return tuple(name for name in known if name in named)


def _cell(result: DayResult, column: str) -> str:
    figure = result.figures.get(column)
    return figure.text(1) if figure else "failed" if column in result.failed else ""


def _ratio_cell(result: DayResult, peer: str) -> str:
    ratio = result.ratio(peer)
    return ratio.text(2) if ratio else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|---|{'---:|' * (len(head) - 1)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]

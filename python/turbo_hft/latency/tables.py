"""The report as sections of paragraphs and tables, and these as text for a terminal and as Markdown.

`document` makes them of a run's results; `page` makes HTML of the same sections. Nothing is said in one form that is
not said in the others.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from turbo_hft.latency.headline import ECHO, ENGINE, Criterion, Headline, criteria, headline, sender_behind
from turbo_hft.latency.results import Figure, Load, Machine, Results, Rig, Series
from turbo_hft.latency.statistics import PERCENTILES, Distribution, ratio
from turbo_hft.latency.words import MEASURES, NONE, digits, micros, percentile, plain, times

#: Whose percentiles the ratios of a table are given for.
RATIOS = (50.0, 99.0, 99.9)
WIDTH = 120


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` have one cell a column; the first `left` columns are text, the others figures. `notes` stand below."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """`key` names it in a link and on the command line; `alert`: it must not be overlooked."""

    key: str
    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    alert: bool = False


def document(results: Results, *, seed: int = 1) -> tuple[Section, ...]:
    """The whole report, the most important first."""
    said = headline(results, seed=seed)
    return (
        *_warnings(results),
        _headline_section(said),
        _claims(criteria(results, seed=seed)),
        *(_rig_section(results, rig, seed) for rig in results.rigs if _of_rig(results, rig)),
        *_figure_sections(results.figures),
        *_skipped(results),
        _responders(results),
        _machine(results),
        WHAT_THEY_ARE_NOT,
    )


def load_table(results: Results, rig: Rig, load: Load, *, seed: int = 1) -> tuple[Table, ...]:
    """Responders by percentiles under one load, one table for each way that was measured (round trip, wire to wire)."""
    return tuple(
        _load_table(results, load, measure, [one for one in _of_rig(results, rig) if one.load == load], seed)
        for measure in dict.fromkeys(one.measure for one in _of_rig(results, rig) if one.load == load)
    )


def _of_rig(results: Results, rig: Rig) -> list[Series]:
    return [one for one in results.series if one.rig == rig.name]


def _load_table(results: Results, load: Load, measure: str, series: Sequence[Series], seed: int) -> Table:
    people = {one.name: one for one in results.responders}
    order = {one.name: place for place, one in enumerate(results.responders)}
    here = sorted((one for one in series if one.measure == measure), key=lambda one: order.get(one.responder, 999))
    engine = next((one for one in here if one.responder == ENGINE), None)
    found = [(one, Distribution.of(one)) for one in here]
    shown = [
        place for place, point in enumerate(PERCENTILES) if any(one.points[place].ns is not None for _, one in found)
    ]
    ratios = [p for p in RATIOS if engine is not None and PERCENTILES.index(p) in shown]
    rows = []
    for one, distribution in found:
        title = people[one.responder].title if one.responder in people else one.responder
        rows.append(
            (
                title,
                *(micros(distribution.points[place].ns) for place in shown),
                micros(distribution.max_ns),
                *(NONE if one is engine or engine is None else times(ratio(one, engine, p, seed=seed)) for p in ratios),
                f"{distribution.lost:,}" if distribution.lost else "0",
                f"{distribution.missed:,} of {distribution.triggers:,}",
                *((micros(distribution.behind_ns),) if load.kind != "closed" else ()),
            )
        )
    notes = [_repetitions(here)]
    notes += [f"{one.responder}: {late}: no load of that rate" for one in here if (late := sender_behind(one))]
    if engine is not None and len(here) > 1:
        interval = next((r.words for one in here if one is not engine and (r := ratio(one, engine, 50.0))), "")
        notes.append(f"× = times as long as {people[ENGINE].title if ENGINE in people else ENGINE}; {interval}")
    what = MEASURES[measure]
    return Table(
        title=f"{load.title}: {what}, µs",
        columns=(
            "responder",
            *(percentile(PERCENTILES[place]) for place in shown),
            "max",
            *(f"× at {percentile(p)}" for p in ratios),
            "lost",
            "missed",
            *(("sender behind",) if load.kind != "closed" else ()),
        ),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _repetitions(series: Sequence[Series]) -> str:
    counts = sorted({len(one.repetitions) for one in series})
    each = sorted({repetition.triggers for one in series for repetition in one.repetitions})
    times_ = "–".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    triggers = "–".join(f"{count:,}" for count in dict.fromkeys((each[0], each[-1]))) if each else "0"
    return (
        f"medians of {times_} repetitions of {triggers} triggers, in turns; a percentile with fewer than ten values "
        "beyond it is not shown; max is over all of them"
    )


def _warnings(results: Results) -> tuple[Section, ...]:
    found = []
    if results.title:
        words = f"This run was changed on purpose: {results.title}. None of its figures are the engine's."
        found.append(Section("changed", "Changed on purpose", (words,), alert=True))
    if not results.noise.conclusive:
        words = f"{results.noise.words} Ratios below may be luck; measure again on a quieter machine."
        found.append(Section("noise", "Not conclusive", (words,), alert=True))
    return tuple(found)


def _headline_section(said: Headline) -> Section:
    lines = [said.sentence or said.why_not]
    if said.left_out:
        lines.append("Not in this sentence: " + "; ".join(f"{name}: {why}" for name, why in said.left_out) + ".")
    return Section("headline", "In one sentence" if said.sentence else "No headline", tuple(lines))


def _claims(found: Iterable[Criterion]) -> Section:
    rows = tuple(
        (
            one.claim.title,
            one.why,
            f"≥ {one.claim.least:g}×",
            times(one.measured),
            one.verdict,
        )
        for one in found
    )
    table = Table("", ("engine faster than", "on", "aimed at", "measured", "verdict"), rows, left=2)
    return Section("claims", "What is aimed at, held against this run", (), (table,))


def _rig_section(results: Results, rig: Rig, seed: int) -> Section:
    loads = list(dict.fromkeys(one.load for one in _of_rig(results, rig)))
    return Section(
        f"rig-{rig.name}",
        f"Tick to order on {rig.title}",
        (
            f"What it is: {rig.is_}",
            f"What it is not: {rig.is_not}",
            f"Placement: {rig.placement}. Offloads: {rig.offloads}.",
        ),
        tuple(table for load in loads for table in load_table(results, rig, load, seed=seed)),
    )


def _figure_sections(figures: Sequence[Figure]) -> tuple[Section, ...]:
    return tuple(
        Section(f"figures-{name}", _title(name), (), figure_tables([one for one in figures if one.section == name]))
        for name in dict.fromkeys(one.section for one in figures)
    )


def figure_tables(figures: Sequence[Figure]) -> tuple[Table, ...]:
    """One table for all figures that depend on the same parameters, these as its columns."""
    tables = []
    for names in dict.fromkeys(tuple(one.parameters) for one in figures):
        here = [one for one in figures if tuple(one.parameters) == names]
        rows = tuple(
            (one.name, *(plain(one.parameters[name]) for name in names), *_samples(one), one.unit, one.better)
            for one in here
        )
        tables.append(
            Table("", ("figure", *names, "median", "range", "repetitions", "unit", "better"), rows, left=1 + len(names))
        )
    return tuple(tables)


def _samples(figure: Figure) -> tuple[str, str, str]:
    if not figure.samples:
        return NONE, NONE, "0"
    low, high = min(figure.samples), max(figure.samples)
    number = plain if all(value == int(value) for value in figure.samples) else digits
    spread = NONE if low == high else f"{number(low)}–{number(high)}"
    return number(float(np.median(figure.samples))), spread, str(len(figure.samples))


def _title(key: str) -> str:
    return key.replace("_", " ").capitalize()


def _skipped(results: Results) -> tuple[Section, ...]:
    if not results.skipped:
        return ()
    table = Table("", ("what", "why"), tuple((one.what, one.why) for one in results.skipped), left=2)
    return (Section("skipped", "Not measured", (), (table,)),)


def _responders(results: Results) -> Section:
    rows = tuple(
        (
            one.title,
            one.does,
            "floor" if one.name == ECHO else "yes" if one.headline else "no",
        )
        for one in results.responders
    )
    return Section(
        "responders", "Who answers, and what it does", (), (Table("", ("responder", "does", "headline"), rows, left=3),)
    )


def _machine(results: Results) -> Section:
    return Section(
        "machine",
        "The machine and the run",
        (
            f"Form {results.form}, begun {results.started}, {results.seconds:,.0f} s; "
            f"{results.orders_compared:,} order datagrams were held against the decision, byte for byte.",
            results.noise.words,
        ),
        (Table("", ("", ""), machine_rows(results.machine, results.noise.figures), left=2),),
    )


def machine_rows(machine: Machine, noise: Mapping[str, float]) -> tuple[tuple[str, str], ...]:
    """What the machine is, and the figures of the noise verdict."""
    return (
        ("kernel", machine.kernel),
        ("CPU", f"{machine.cpu}, {machine.cpus} of them"),
        ("memory", f"{machine.memory_mib:,} MiB"),
        ("hypervisor", machine.hypervisor or "none seen"),
        ("clock source", machine.clocksource),
        ("frequency governor", machine.governor or "none"),
        ("Python", machine.python),
        *machine.versions.items(),
        *((name.replace("_", " "), digits(value)) for name, value in noise.items()),
    )


WHAT_THEY_ARE_NOT = Section(
    "not",
    "What these figures are not",
    (
        "No network card, no wire, no switch: tap and veth are software. A card adds its own time to every responder "
        "alike, and takes the interrupt and the copy that a responder in user space pays here in another way.",
        "No promise for another machine: ratios carry over better than times. Measure on yours with the same command.",
        "A closed loop asks the next question when the last one is answered: it hides queues, so it never makes a "
        "headline. An open loop counts from the time when a packet was due, whenever it really left.",
        "A knee is one climb of the rate, which a moment ends early in which the machine stands still. It is a rate "
        "that was kept, and no proof that a higher one is not: where one lies far below its neighbours, measure again.",
        "The echo is no rival: it sends the frame back and does none of the work. It is the floor that the rig costs "
        "everybody.",
    ),
)


def text(sections: Sequence[Section], *, colour: bool = False, width: int = WIDTH) -> str:
    """For a terminal. `colour`: titles bold, alerts red; tables are never wrapped."""
    bold, red, off = ("\x1b[1m", "\x1b[1;31m", "\x1b[0m") if colour else ("", "", "")
    lines: list[str] = []
    for section in sections:
        mark = f"{red}!! " if section.alert else bold
        lines += [f"{mark}{section.title}{off}", ""]
        for paragraph in section.paragraphs:
            lines += textwrap.wrap(paragraph, width, initial_indent="  ", subsequent_indent="  ")
        if section.paragraphs:
            lines.append("")
        for table in section.tables:
            lines += [*_text_table(table, width), ""]
    return "\n".join(lines).rstrip() + "\n"


def _text_table(table: Table, width: int) -> list[str]:
    cells = [table.columns, *table.rows] if any(table.columns) else list(table.rows)
    widths = [max((_cells(row[column]) for row in cells), default=0) for column in range(len(table.columns))]
    lines = [f"  {table.title}"] if table.title else []
    last = len(table.columns) - 1
    for row in cells:
        padded = [
            _pad(cell, 0 if column == last and column < table.left else widths[column], left=column < table.left)
            for column, cell in enumerate(row)
        ]
        lines.append(("    " + "  ".join(padded)).rstrip())
    for note in table.notes:
        lines += textwrap.wrap(note, width, initial_indent="    ", subsequent_indent="    ")
    return lines


def _cells(text_: str) -> int:
    """Columns of a terminal that it takes."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text_ if not unicodedata.combining(c))


def _pad(cell: str, width: int, *, left: bool) -> str:
    fill = " " * (width - _cells(cell))
    return cell + fill if left else fill + cell


def markdown(sections: Sequence[Section], *, level: int = 2) -> str:
    """For docs: headings of `level` and below."""
    lines: list[str] = []
    for section in sections:
        lines += [f"{'#' * level} {section.title}", ""]
        for paragraph in section.paragraphs:
            lines += [f"> **{_escape(paragraph)}**" if section.alert else _escape(paragraph), ""]
        for table in section.tables:
            if table.title:
                lines += [f"{'#' * (level + 1)} {_escape(table.title)}", ""]
            lines += [*markdown_table(table), ""]
            lines += [line for note in table.notes for line in (_escape(note), "")]
    return "\n".join(lines).rstrip() + "\n"


def markdown_table(table: Table) -> list[str]:
    """The lines of a table."""
    rule = ("---" if column < table.left else "---:" for column in range(len(table.columns)))
    rows = [table.columns, tuple(rule), *(tuple(_escape(cell) for cell in row) for row in table.rows)]
    return [f"| {' | '.join(row)} |" for row in rows]


def _escape(cell: str) -> str:
    for character in "\\|<>*`":
        cell = cell.replace(character, "\\" + character)
    return cell

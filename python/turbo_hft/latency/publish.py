"""The report in files: a directory for one run, or the project's own docs."""

from __future__ import annotations

import re
from pathlib import Path

from turbo_hft.errors import ConfigError
from turbo_hft.latency.headline import criteria, headline
from turbo_hft.latency.page import page
from turbo_hft.latency.plots import Plot, plots
from turbo_hft.latency.results import Results
from turbo_hft.latency.tables import Section, document, markdown
from turbo_hft.latency.words import times

RESULTS, PAGE, TEXT = "results.json", "report.html", "report.md"
_DOCS, _PICTURES = Path("docs/bench.md"), Path("docs/bench")
_BLOCK = re.compile(r"(<!-- bench: begin[^>]*-->\n).*?(<!-- bench: end -->)", re.DOTALL)


def keep(results: Results, path: Path) -> None:
    """The results as a file that is whole at every moment. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text(results.to_json())
    beside.replace(path)


def directory(results: Results, out: Path) -> tuple[Path, ...]:
    """results.json, report.html, report.md and every picture as SVG and PNG; what was written. Raises OSError."""
    out.mkdir(parents=True, exist_ok=True)
    keep(results, out / RESULTS)
    drawn = plots(results)
    for plot in drawn:
        plot.write(out)
    (out / PAGE).write_text(page(results, drawn))
    (out / TEXT).write_text("# Latency lab\n\n" + _with_pictures(document(results), drawn, "."))
    return (out / RESULTS, out / PAGE, out / TEXT, *(out / f"{plot.name}.svg" for plot in drawn))


def docs(results: Results, root: Path) -> tuple[Path, ...]:
    """docs/bench.md with its pictures, and the headline in README.md between its markers.

    Raises ConfigError for results that are not published: changed on purpose, or of a machine that was not still; and
    when README.md has no markers. OSError as files do.
    """
    said = headline(results)
    if not said.sentence:
        raise ConfigError(f"these results are not published: {said.why_not}")
    readme = root / "README.md"
    text = readme.read_text()
    if not _BLOCK.search(text):
        raise ConfigError(f"{readme} has no markers <!-- bench: begin --> and <!-- bench: end -->: put them back")
    pictures = root / _PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    drawn = plots(results)
    for old in set(pictures.glob("*.svg")) - {pictures / f"{plot.name}.svg" for plot in drawn}:
        old.unlink()  # of a run before
    for plot in drawn:
        plot.write(pictures, png=False)
    intro = (
        "# The latency lab\n\nWritten by `turbo-hft bench report --docs` from one run of `turbo-hft bench --full`; "
        "nothing here is typed by hand.\n\n"
    )
    (root / _DOCS).write_text(intro + _with_pictures(document(results), drawn, _PICTURES.name))
    readme.write_text(_BLOCK.sub(lambda found: found.group(1) + _block(results) + found.group(2), text))
    return (readme, root / _DOCS, *(pictures / f"{plot.name}.svg" for plot in drawn))


def _block(results: Results) -> str:
    """The README's words: the sentence, the claims, the machine."""
    said = headline(results)
    lines = [said.sentence, "", "| the engine is faster than | aimed at | measured | |", "|---|---:|---:|---|"]
    lines += [
        f"| {one.claim.title} | ≥ {one.claim.least:g}× | {times(one.measured)} | {one.verdict} |"
        for one in criteria(results)
    ]
    machine = results.machine
    where = f"Linux {machine.kernel}, {machine.cpu}, {machine.cpus} CPUs, "
    where += "a virtual machine" if machine.hypervisor else "no hypervisor seen"
    lines += ["", f"{where}. All of it, and what it is not: [docs/bench.md](docs/bench.md)."]
    return "\n".join(lines) + "\n"


def _with_pictures(sections: tuple[Section, ...], drawn: tuple[Plot, ...], where: str) -> str:
    """Markdown, each section followed by its pictures."""
    parts = []
    for section in sections:
        pictures = [f"![{plot.title}. {plot.description}]({where}/{plot.name}.svg)\n" for plot in drawn]
        mine = [line for plot, line in zip(drawn, pictures, strict=True) if plot.section == section.key]
        parts.append("\n".join([markdown([section]), *mine]))
    return "\n".join(parts)

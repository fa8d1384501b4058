"""The report in all its forms: text, Markdown, pictures, one page; the same from the same results."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from lab_results import FAST, LOUD, OPEN, TAP, repetition, results, with_series
from turbo_hft.errors import ConfigError
from turbo_hft.latency import publish, tables
from turbo_hft.latency.page import page
from turbo_hft.latency.plots import Plot, knee, plots
from turbo_hft.latency.results import Figure, Machine, Noise, Responder, Results, Rig, Series, Skipped

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def run() -> Results:
    return with_series(results(triggers=1_200, rigs=(TAP,)), "python", FAST, lost=7)


@pytest.fixture(scope="module")
def drawn(run: Results) -> tuple[Plot, ...]:
    return plots(run)


@pytest.fixture(scope="module")
def html(run: Results, drawn: tuple[Plot, ...]) -> str:
    return page(run, drawn)


def small() -> Results:
    """Few enough figures to be written down here."""

    def made(name: str, ns: int, **changes: int) -> Series:
        return Series("tap", name, OPEN, "rtt", tuple(repetition([ns + n] * 40, **changes) for n in (0, 10, 20)))

    return Results(
        form="short",
        started="2026-01-02T03:04:05+00:00",
        seconds=12.0,
        machine=Machine("6.18", "cpu", 2, 4096, "", "tsc", "", "3.11", {"turbo_hft": "0.1.0"}),
        rigs=(Rig("tap", "tap", "a tap", "a card", "CPU 0", "none"),),
        responders=(
            Responder("engine", "engine", "all", True),
            Responder("busy", "C busy", "all, in user space", True),
        ),
        series=(made("engine", 500), made("busy", 2_000, lost=1, behind_ns=2_500)),
        figures=(Figure("stage", "book", "ns", "lower", {"symbols": 100}, (90.0, 80.0, 100.0)),),
        skipped=(Skipped("DPDK", "not installed: apt install dpdk"),),
        noise=Noise(True, "Still enough.", {"steal": 0.0}),
        orders_compared=240,
    )


GOLDEN = """\
Tick to order on tap

  What it is: a tap
  What it is not: a card
  Placement: CPU 0. Offloads: none.

  open loop, 20,000 packets/s: round trip, µs
    responder   p50   p90   max           × at p50  lost    missed  sender behind
    engine     0.51  0.52  0.52                  –     0  0 of 120              0
    C busy     2.01  2.02  2.02  3.94× (3.88–4.00)     3  0 of 120           2.50
    medians of 3 repetitions of 40 triggers, in turns; a percentile with fewer than ten values beyond it is not shown;
    max is over all of them
    × = times as long as engine; range of only 3 repetitions
"""

GOLDEN_MARKDOWN = """\
## Stage

| figure | symbols | median | range | repetitions | unit | better |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
| book | 100 | 90 | 80–100 | 3 | ns | lower |
"""


def section(found: Results, key: str) -> tables.Section:
    (one,) = (one for one in tables.document(found) if one.key == key)
    return one


def test_a_rig_as_text() -> None:
    assert tables.text([section(small(), "rig-tap")]) == GOLDEN


def test_figures_as_markdown() -> None:
    assert tables.markdown([section(small(), "figures-stage")]) == GOLDEN_MARKDOWN


def test_everything_is_said_in_every_form(run: Results, html: str) -> None:
    words = tables.text(tables.document(run))
    for form in (words, tables.markdown(tables.document(run)), html):
        for needle in ("io_uring", "liburing is not here", "a network card", "6,000 order datagrams", "95%"):
            assert needle in form
    assert "\x1b" not in words and "\x1b[1m" in tables.text(tables.document(run), colour=True)


def test_a_noisy_run_says_so_on_top(run: Results) -> None:
    found = replace(run, noise=LOUD)
    first = tables.document(found)[0]
    assert first.alert and first.key == "noise" and LOUD.words in first.paragraphs[0]
    assert tables.text(tables.document(found)).startswith("!! Not conclusive")
    assert "Not conclusive" in page(found, ()) and 'class="alert"' in page(found, ())


def test_a_slowed_run_says_so_on_top_and_in_its_pictures(run: Results) -> None:
    found = replace(run, title="the engine was made 2 times as slow", series=run.series[:3], figures=())
    assert tables.document(found)[0].key == "changed"
    assert all("made 2 times as slow" in plot.svg for plot in plots(found))


def test_a_pipe_in_a_reason_does_not_break_a_table() -> None:
    found = replace(small(), skipped=(Skipped("a|b", "<c> *d*"),))
    assert "| a\\|b | \\<c\\> \\*d\\* |" in tables.markdown([section(found, "skipped")])


def test_pictures_are_there_for_everything(drawn: tuple[Plot, ...]) -> None:
    names = {plot.name for plot in drawn}
    assert {"curve-tap-open-20000", "ratio-tap-open-20000", "curve-tap-closed", "load-tap", "stages"} <= names
    assert "scale-scale-ns" in names and len(names) == len(drawn)


def test_pictures_are_well_formed_titled_and_need_nothing(drawn: tuple[Plot, ...]) -> None:
    for plot in drawn:
        root = ET.fromstring(plot.svg)
        assert root.tag == f"{SVG}svg"
        title = root.find(f"{SVG}title")
        assert title is not None and title.text == plot.title and plot.description
        for node in root.iter():
            for name, value in node.attrib.items():
                assert not (name.endswith(("href", "src")) and value.startswith(("http", "//"))), (plot.name, value)
        assert "<dc:date>" not in plot.svg and "#ffffff" in plot.svg, "white ground, no date"


def test_pictures_and_page_are_the_same_again(run: Results, drawn: tuple[Plot, ...], html: str) -> None:
    again = plots(run)
    assert [plot.svg for plot in again] == [plot.svg for plot in drawn]
    assert page(run, again) == html


def test_loss_is_marked_and_ends_the_knee(run: Results, drawn: tuple[Plot, ...]) -> None:
    (load,) = (plot for plot in drawn if plot.name == "load-tap")
    assert "the python up to 20,000" in load.description and "the engine up to 200,000" in load.description
    mine = [one for one in run.series if one.rig == TAP.name and one.responder == "python" and one.load.kind == "open"]
    assert knee(mine) == 20_000
    lossy = with_series(run, "python", OPEN, missed=1)
    assert knee(one for one in lossy.series if one.responder == "python" and one.load.kind == "open") is None
    assert knee([]) is None


class Tags(HTMLParser):
    """What a page refers to, its names, and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.names.append(str(value))
            if name in ("src", "href", "xlink:href"):
                self.links.append(str(value))


def test_the_page_is_well_formed_and_fetches_nothing(html: str) -> None:
    ET.fromstring(html.removeprefix("<!DOCTYPE html>\n"))
    found = Tags()
    found.feed(html)
    assert found.links and all(link.startswith("#") for link in found.links), "no network"
    assert {link[1:] for link in found.links} <= set(found.names)
    assert not re.search(r"url\((?!#)", html) and "<script" not in html and "@import" not in html
    assert 'name="viewport"' in html and "@media print" in html


def test_names_in_the_page_are_its_own_once(html: str) -> None:
    found = Tags()
    found.feed(html)
    # matplotlib writes a marker's definition once more for each line that uses it
    assert len({name for name in found.names if not name.startswith("plot-")}) > 50
    sections = [name for name in found.names if name.startswith(("rig-", "figures-"))]
    assert len(sections) == len(set(sections))


def test_a_directory_has_all_of_it(run: Results, tmp_path: Path) -> None:
    few = replace(run, series=run.series[:7])
    publish.directory(few, tmp_path / "out")
    assert Results.load(tmp_path / "out" / "results.json") == few
    for name in ("report.html", "report.md", "curve-tap-closed.svg", "curve-tap-closed.png"):
        assert (tmp_path / "out" / name).stat().st_size > 1_000
    assert not list((tmp_path / "out").glob("*.part"))


def test_docs_replace_only_what_is_between_the_markers(run: Results, tmp_path: Path) -> None:
    tap = replace(run, series=tuple(one for one in run.series if one.rig == TAP.name and one.load == OPEN))
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- bench: begin -->\nold figures\n<!-- bench: end -->\nafter\n")
    publish.docs(tap, tmp_path)
    text = readme.read_text()
    assert text.startswith("before\n<!-- bench: begin -->\nOn tap") and text.endswith("<!-- bench: end -->\nafter\n")
    assert "old figures" not in text and "| C busy-poll, p50 | ≥ 4× |" in text
    docs = (tmp_path / "docs" / "bench.md").read_text()
    for picture in re.findall(r"\]\((bench/[^)]+)\)", docs):
        assert (tmp_path / "docs" / picture).is_file()
    publish.docs(tap, tmp_path)
    assert readme.read_text() == text, "and again the same"


def test_docs_refuse_what_is_not_to_be_published(run: Results, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("<!-- bench: begin -->\n<!-- bench: end -->\n")
    for bad in (replace(run, title="slower"), replace(run, noise=LOUD)):
        with pytest.raises(ConfigError, match="not published"):
            publish.docs(bad, tmp_path)
    (tmp_path / "README.md").write_text("no markers\n")
    with pytest.raises(ConfigError, match="markers"):
        publish.docs(run, tmp_path)
    assert not (tmp_path / "docs").exists()

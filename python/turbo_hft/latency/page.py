"""The report as one HTML page: nothing to fetch, pictures inline, readable on a telephone, fit to be printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from turbo_hft.latency.plots import Plot, plots
from turbo_hft.latency.results import Results
from turbo_hft.latency.tables import Section, Table, document

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto; max-width: 70rem;
  padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
h3 { font-size: 1rem; margin-bottom: .3rem; }
.headline { font-size: 1.15rem; border-left: .3rem solid #0072b2; padding-left: .8rem; }
.alert { border: 2px solid #b00020; background: #fff0f0; padding: .5rem .8rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th.t, td.t { text-align: left; white-space: normal; min-width: 6rem; }
tbody tr:nth-child(odd) { background: #f6f8fa; }
.note, figcaption { font-size: .8rem; color: #444; margin: .3rem 0; }
figure { margin: 1rem 0; break-inside: avoid; } svg { width: 100%; height: auto; max-width: 55rem; }
nav ul { columns: 16rem; padding-left: 1.2rem; }
@media print { nav { display: none; } body { max-width: none; font-size: 11px; } h2 { break-after: avoid; }
  table { break-inside: avoid; } .scroll { overflow: visible; } th, td { white-space: normal; padding: .1rem .3rem; } }
"""
_OUTSIDE = re.compile(r"^.*?(?=<svg\b)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL)
_NAMES = re.compile(r'(\bid="|url\(#|xlink:href="#)')


def page(results: Results, pictures: Sequence[Plot] | None = None, *, seed: int = 1) -> str:
    """The whole document; from the same results the same to the byte. ``pictures``: drawn already; None = draw them."""
    drawn = plots(results, seed=seed) if pictures is None else pictures
    sections = document(results, seed=seed)
    name = "Turbo-HFT latency lab" + (f": {results.title}" if results.title else "")
    contents = "".join(f'<li><a href="#{escape(one.key)}">{escape(one.title)}</a></li>' for one in sections)
    body = "".join(_section(one, [plot for plot in drawn if plot.section == one.key]) for one in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>{escape(name)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(name)}</h1>\n<p>{escape(results.started)}, form {escape(results.form)}, "
        f"Linux {escape(results.machine.kernel)}, {escape(results.machine.cpu)}</p>\n"
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav>\n<main>\n{body}</main>\n</body>\n</html>\n'
    )


def _section(section: Section, pictures: Sequence[Plot]) -> str:
    kind = ' class="alert"' if section.alert else ""
    first = ' class="headline"' if section.key == "headline" else ""
    lines = [f'<section id="{escape(section.key)}"{kind}>\n<h2>{escape(section.title)}</h2>\n']
    lines += [f"<p{first}>{escape(paragraph)}</p>\n" for paragraph in section.paragraphs]
    lines += [_picture(plot) for plot in pictures]
    lines += [_table(table) for table in section.tables]
    return "".join(lines) + "</section>\n"


def _table(table: Table) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        kinds = (' class="t"' if column < table.left else "" for column in range(len(cells)))
        return "<tr>" + "".join(f"<{tag}{k}>{escape(c)}</{tag}>" for k, c in zip(kinds, cells, strict=True)) + "</tr>\n"

    title = f"<h3>{escape(table.title)}</h3>\n" if table.title else ""
    head = f"<thead>{row(table.columns, 'th')}</thead>\n" if any(table.columns) else ""
    body = "".join(row(cells, "td") for cells in table.rows)
    notes = "".join(f'<p class="note">{escape(note)}</p>\n' for note in table.notes)
    return f'{title}<div class="scroll"><table>\n{head}<tbody>\n{body}</tbody>\n</table></div>\n{notes}'


def _picture(plot: Plot) -> str:
    return (
        f'<figure id="plot-{plot.name}">\n{inline(plot)}\n'
        f"<figcaption>{escape(plot.title)}. {escape(plot.description)}</figcaption>\n</figure>\n"
    )


def inline(plot: Plot) -> str:
    """A picture's SVG as a part of a page: no prologue, no metadata, and names that only it has."""
    svg = _METADATA.sub("", _OUTSIDE.sub("", plot.svg)).strip()
    svg = _NAMES.sub(lambda found: f"{found.group(1)}{plot.name}-", svg)
    label = escape(f"{plot.title}. {plot.description}")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)

"""The pictures of a report: SVG that is the same, byte for byte, from the same results; PNG too.

White ground, because GitHub shows them on dark pages as well; text stays text, so it can be read aloud and searched.
Every picture has a title and a description of what it shows.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("MPLBACKEND", "Agg")  # no display where this runs

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure as Canvas

from turbo_hft.latency.headline import ECHO, ENGINE, sender_behind
from turbo_hft.latency.palette import styles
from turbo_hft.latency.results import Figure, Load, Results, Rig, Series
from turbo_hft.latency.statistics import BEYOND, Distribution, merged, ratio, spectra_of
from turbo_hft.latency.words import MEASURES, digits, factor, percentile

_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "turbo-hft",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.axisbelow": True,
}
_WIDTH = 8.5  # inches
_POINTS = 100
_AXIS = "axis"  # the parameter that names the one which is varied
_NO_STAGES = ("floor", "whole", "frame of others")  # of the section of stages, and no part of the sum
_TAILS = (0.5, 0.1, 0.01, 0.001, 0.0001, 0.00001, 0.000001)


@dataclass(frozen=True, slots=True)
class Plot:
    """`name` is its file's without the ending. `section`: the key of the report's section that it belongs to.

    `svg` is a document of its own, without a date.
    """

    name: str
    section: str
    title: str
    description: str
    svg: str
    canvas: Canvas

    @classmethod
    def of(cls, name: str, section: str, title: str, description: str, canvas: Canvas) -> Plot:
        """Draws at once: a layout that is made a second time is not the same to the last digit."""
        out = io.StringIO()
        # matplotlib makes elements' names from what was drawn before in this process otherwise.
        with mpl.rc_context({**_RC, "svg.hashsalt": name}):
            metadata = {"Date": None, "Creator": None, "Title": title, "Description": description}
            canvas.savefig(out, format="svg", metadata=metadata)
        text = "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
        return cls(name, section, title, description, text, canvas)

    def png(self) -> bytes:
        """At 160 dots an inch."""
        out = io.BytesIO()
        with mpl.rc_context(_RC):
            metadata = {"Software": None, "Title": self.title}
            self.canvas.savefig(out, format="png", dpi=160, metadata=metadata)
        return out.getvalue()

    def write(self, directory: Path, *, png: bool = True) -> None:
        """NAME.svg, and NAME.png if wanted. Raises OSError."""
        (directory / f"{self.name}.svg").write_text(self.svg)
        if png:
            (directory / f"{self.name}.png").write_bytes(self.png())


def plots(results: Results, *, seed: int = 1) -> tuple[Plot, ...]:
    """Every picture that these results are enough for."""
    found: list[Plot | None] = []
    with mpl.rc_context(_RC):
        for rig in results.rigs:
            series = [one for one in results.series if one.rig == rig.name]
            measures = dict.fromkeys((one.load, one.measure) for one in series)
            for load, measure in measures:
                here = [one for one in series if one.load == load and one.measure == measure]
                found.append(_curve(results, rig, load, measure, here))
                found.append(_ratios(results, rig, load, measure, here, seed))
            found.append(_offered(results, rig, series))
        found.append(_stages([one for one in results.figures if one.section == "stage"]))
        found += _scales(results.figures)
    return tuple(one for one in found if one is not None)


def file_name(*parts: object) -> str:
    """Of these words: small letters, digits and dashes."""
    text = "-".join(str(part) for part in parts).lower()
    return "-".join("".join(c if c.isalnum() and c.isascii() else " " for c in text).split())


def _load_name(load: Load) -> str:
    rate = f"-{load.packets_per_s}" if load.packets_per_s else ""
    return f"{load.kind}{rate}" + (f"-{load.messages_per_packet}m" if load.messages_per_packet != 1 else "")


def _titles(results: Results) -> dict[str, str]:
    return {one.name: one.title for one in results.responders}


def _heading(results: Results, text: str) -> str:
    return f"{text}\n[{results.title}]" if results.title else text


def _curve(results: Results, rig: Rig, load: Load, measure: str, series: Sequence[Series]) -> Plot | None:
    """Latency over percentile, as HdrHistogram draws it: the further right, the rarer."""
    titles, look = _titles(results), styles([r.name for r in results.responders], engine=ENGINE, floor=ECHO)
    canvas = Canvas(figsize=(_WIDTH, 5.0), layout="constrained")
    axes = canvas.subplots()
    ends = []
    for one in series:
        found = merged(spectra_of(one))
        if found.count <= 2 * BEYOND:
            continue
        # The share of values above each; as far as enough of them are left.
        above = 1 - np.cumsum(found.counts) / found.count
        kept = above * found.count >= BEYOND - 0.5
        x, y = 1 / np.clip(above[kept], 1e-12, 1), found.values_ns[kept] / 1000
        if not len(x):
            continue
        # A picture has no room for more points than that; each stands for the worst up to the next.
        grid = np.unique(np.searchsorted(x, np.geomspace(x[0], x[-1], _POINTS)).clip(max=len(x) - 1))
        x, y = np.concatenate([[1.0], x[grid]]), np.concatenate([[found.values_ns[0] / 1000], y[grid]])
        style = look.get(one.responder) or next(iter(look.values()))
        axes.plot(x, y, drawstyle="steps-post", color=style.colour, linestyle=style.dash, linewidth=style.width)
        ends.append((float(x[-1]), float(y[-1]), titles.get(one.responder, one.responder), style.colour))
    if not ends:
        return None
    axes.set_xscale("log")
    axes.set_yscale("log")
    right = max(end[0] for end in ends)
    ticks = [tail for tail in _TAILS if 1 / tail <= right * 1.01]
    axes.set_xticks([1 / tail for tail in ticks], [f"{100 - tail * 100:g} %" for tail in ticks])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlim(1, right * 1.02)
    axes.set_xlabel("percentile")
    what = MEASURES[measure]
    axes.set_ylabel(f"{what}, µs (log)")
    title = f"Tick to order on {rig.title}, {load.title}"
    axes.set_title(_heading(results, title), loc="left", fontsize=11)
    _label_ends(axes, [(y, text, colour) for _, y, text, colour in ends])
    described = "; ".join(f"{text} ends at {digits(y)} µs" for _, y, text, _ in ends)
    name = file_name("curve", rig.name, _load_name(load), *([measure] if measure != "rtt" else []))
    return Plot.of(
        name,
        f"rig-{rig.name}",
        title,
        f"Latency by percentile ({what}), as far as ten values lie beyond it: {described}.",
        canvas,
    )


def _label_ends(axes: Any, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names at the right of their lines instead of a legend, pushed apart where they would overlap."""
    scale = np.log10 if axes.get_yscale() == "log" else float
    low, high = (scale(limit) for limit in axes.get_ylim())
    step = 0.045  # of the axis: one line of text
    places: list[float] = []
    for y, text, colour in sorted(ends):
        wanted = (scale(y) - low) / (high - low)
        place = max(wanted, places[-1] + step) if places else wanted
        places.append(place)
        axes.annotate(
            text,
            xy=(1, wanted),
            xytext=(1.03, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            color=colour,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0},
        )


def _ratios(results: Results, rig: Rig, load: Load, measure: str, series: Sequence[Series], seed: int) -> Plot | None:
    """How many times as long as the engine each takes, at p50 and p99.9, with the interval."""
    titles = _titles(results)
    engine = next((one for one in series if one.responder == ENGINE), None)
    if engine is None:
        return None
    rows = []
    for one in series:
        if one is not engine:
            pair = tuple(ratio(one, engine, p, seed=seed) for p in (50.0, 99.9))
            if pair[0] is not None:
                rows.append((titles.get(one.responder, one.responder), pair))
    if not rows:
        return None
    rows.sort(key=lambda row: row[1][0].value if row[1][0] else 0.0, reverse=True)
    canvas = Canvas(figsize=(_WIDTH, 1.3 + 0.55 * len(rows)), layout="constrained")
    axes = canvas.subplots()
    for offset, place, p, colour in ((0.19, 0, 50.0, "#0072B2"), (-0.19, 1, 99.9, "#E69F00")):
        for y, (_, pair) in enumerate(rows):
            found = pair[place]
            if found is None:
                continue
            error = [[max(0.0, found.value - found.low)], [max(0.0, found.high - found.value)]]
            axes.barh(y + offset, found.value, 0.36, color=colour, label=percentile(p) if not y else None)
            axes.errorbar(found.value, y + offset, xerr=error, color="black", linewidth=1, capsize=2)
            axes.text(max(found.high, found.value) * 1.04, y + offset, factor(found.value), va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.axvline(1, color="black", linewidth=1)
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.12)
    axes.legend(loc="upper right", frameon=False)  # the short bars are above
    title = f"Times as long as the engine on {rig.title}, {load.title}"
    axes.set_title(_heading(results, title), loc="left", fontsize=11)
    words = next((pair[0].words for _, pair in rows if pair[0]), "")
    axes.set_xlabel(f"ratio (log), lines: {words}")
    described = "; ".join(f"{name} {factor(pair[0].value)} at p50" for name, pair in rows if pair[0])
    name = file_name("ratio", rig.name, _load_name(load), *([measure] if measure != "rtt" else []))
    return Plot.of(name, f"rig-{rig.name}", title, f"{described}.", canvas)


def knee(series: Iterable[Series]) -> int | None:
    """The highest offered rate, packets/s, up to which nothing was lost or missed and the sender kept its times."""
    best = None
    for one in sorted(series, key=lambda one: one.load.packets_per_s):
        found = Distribution.of(one)
        if found.lost or found.missed or sender_behind(one):
            break
        best = one.load.packets_per_s
    return best


def _offered(results: Results, rig: Rig, series: Sequence[Series]) -> Plot | None:
    """Latency over offered load: p50 solid, p99 thin; crosses where something was lost, a bar at the knee."""
    titles, look = _titles(results), styles([r.name for r in results.responders], engine=ENGINE, floor=ECHO)
    opened = [one for one in series if one.load.kind == "open" and one.measure == "rtt"]
    sizes = sorted({one.load.messages_per_packet for one in opened})
    opened = [one for one in opened if one.load.messages_per_packet == sizes[0]]
    if len({one.load.packets_per_s for one in opened}) < 2:
        return None
    canvas = Canvas(figsize=(_WIDTH, 5.0), layout="constrained")
    axes = canvas.subplots()
    ends, described = [], []
    for name in dict.fromkeys(one.responder for one in opened):
        mine = sorted((one for one in opened if one.responder == name), key=lambda one: one.load.packets_per_s)
        style = look.get(name) or next(iter(look.values()))
        points = [(one, Distribution.of(one)) for one in mine]
        for p, width, dash in ((50.0, style.width, style.dash), (99.0, 0.7, ":")):
            line = [(one.load.packets_per_s, value / 1000) for one, d in points if (value := d.ns(p)) is not None]
            if line:
                axes.plot(*zip(*line, strict=True), color=style.colour, linewidth=width, linestyle=dash)
                if p == 50.0:
                    ends.append((line[-1][1], titles.get(name, name), style.colour))
        for one, d in points:
            value = d.ns(50.0)
            if value is not None:
                lossy = bool(d.lost or d.missed)
                mark, size = ("x", 60) if lossy else (style.mark, 16)
                axes.scatter(one.load.packets_per_s, value / 1000, color=style.colour, marker=mark, s=size, zorder=3)
        at = knee(mine)
        described.append(f"{titles.get(name, name)} up to {at:,}" if at else f"{titles.get(name, name)} at no rate")
        here = next((d for one, d in points if one.load.packets_per_s == at), None)
        if at and at < mine[-1].load.packets_per_s and here is not None and (value := here.ns(50.0)) is not None:
            axes.scatter(at, value / 1000, color=style.colour, marker="|", s=260, zorder=3)
    if not ends:
        return None
    axes.set_xscale("log")
    axes.set_yscale("log")
    rates = sorted({one.load.packets_per_s for one in opened})
    axes.set_xticks(rates, [f"{rate / 1000:g} k" for rate in rates], fontsize=8)
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("offered, packets/s (log); × = packets lost or triggers missed, tall bar = knee")
    axes.set_ylabel("round trip, µs (log); p50 bold, p99 dotted")
    title = f"Latency over offered load on {rig.title}"
    axes.set_title(_heading(results, title), loc="left", fontsize=11)
    _label_ends(axes, ends)
    text = f"Without loss, packets a second: {'; '.join(described)}."
    return Plot.of(file_name("load", rig.name), f"rig-{rig.name}", title, text, canvas)


def _stages(figures: Sequence[Figure]) -> Plot | None:
    """What each stage of the hook costs, one behind the other, in the pipeline's order."""
    kept = [one for one in figures if one.unit == "ns" and one.samples and one.name not in _NO_STAGES]
    if len(kept) < 2:
        return None
    look = styles([one.name for one in kept], engine="", floor="")
    canvas = Canvas(figsize=(_WIDTH, 2.4), layout="constrained")
    axes = canvas.subplots()
    described = []
    left = 0.0
    for one in kept:
        # A stage below the clock's resolution may have come out negative; the table says so.
        value = max(0.0, float(np.median(one.samples)))
        hatch = None if look[one.name].dash == "-" else "//"
        axes.barh(0, value, left=left, color=look[one.name].colour, edgecolor="white", hatch=hatch, label=one.name)
        described.append((left, value, one.name))
        left += value
    for start, value, _ in described:
        if value > left / 30:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
            axes.text(start + value / 2, 0, digits(value), ha="center", va="center", fontsize=8, bbox=box)
    axes.set_yticks([])
    axes.set_xlabel("ns, medians")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.4), ncols=8, frameon=False, fontsize=8)
    title = "What each stage of the hook costs"
    axes.set_title(title, loc="left", fontsize=11)
    text = ", ".join(f"{name} {digits(value)} ns" for _, value, name in described)
    return Plot.of("stages", "figures-stage", title, f"{text}.", canvas)


def _scales(figures: Sequence[Figure]) -> list[Plot]:
    """A curve for every section whose figures depend on a number that takes three values or more."""
    found = []
    for section in dict.fromkeys(one.section for one in figures if one.section != "stage"):
        here = [one for one in figures if one.section == section and one.samples]
        for unit in dict.fromkeys(one.unit for one in here):
            mine = [one for one in here if one.unit == unit]
            # Figures that say themselves along what they were taken: a picture for each.
            for along in dict.fromkeys(one.parameters.get(_AXIS) for one in mine):
                part = [one for one in mine if one.parameters.get(_AXIS) == along]
                plot = _scale(section, unit, part, along if isinstance(along, str) else None)
                if plot is not None:
                    found.append(plot)
    return found


def _scale(section: str, unit: str, figures: Sequence[Figure], along: str | None) -> Plot | None:
    axis = along or next(
        (
            name
            for name in dict.fromkeys(name for one in figures for name in one.parameters)
            if len({one.parameters[name] for one in figures if isinstance(one.parameters.get(name), int | float)}) > 2
        ),
        None,
    )
    if axis is None:
        return None
    lines: dict[str, list[tuple[float, float, float, float]]] = {}
    for one in figures:
        at = one.parameters.get(axis)
        if isinstance(at, int | float):
            told = {} if along else one.parameters
            others = ", ".join(f"{name} {value}" for name, value in told.items() if name != axis)
            key = f"{one.name} ({others})" if others else one.name
            middle = float(np.median(one.samples))
            lines.setdefault(key, []).append((float(at), middle, min(one.samples), max(one.samples)))
    lines = {key: sorted(points) for key, points in lines.items() if len(points) > 1}
    if not lines:
        return None
    look = styles(list(lines), engine="", floor="")
    canvas = Canvas(figsize=(_WIDTH, 4.2), layout="constrained")
    axes = canvas.subplots()
    ends = []
    for key, points in lines.items():
        style = look[key]
        x, y, low, high = (np.array(column) for column in zip(*points, strict=True))
        axes.plot(
            x, y, color=style.colour, linestyle=style.dash, linewidth=style.width, marker=style.mark, markersize=4
        )
        axes.fill_between(x, low, high, color=style.colour, alpha=0.15, linewidth=0)
        if y[-1] > 0:
            ends.append((float(y[-1]), key, style.colour))
    if min(point[0] for points in lines.values() for point in points) > 0:
        axes.set_xscale("log")
    heights = [point[1] for points in lines.values() for point in points]
    if min(heights) > 0:
        # Over less than a decade a logarithmic axis has no numbers.
        axes.set_yscale("log" if max(heights) > 10 * min(heights) else "linear")
        _label_ends(axes, ends)
    else:
        axes.legend(list(lines), frameon=False, fontsize=8)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    axes.set_xlabel(axis)
    axes.set_ylabel(unit)
    title = f"{section.replace('_', ' ').capitalize()} over {axis}"
    axes.set_title(title, loc="left", fontsize=11)
    described = "; ".join(
        f"{key}: {digits(points[0][1])} {unit} at {points[0][0]:,.6g}, {digits(points[-1][1])} at {points[-1][0]:,.6g}"
        for key, points in lines.items()
    )
    return Plot.of(
        file_name("scale", section, unit, *([along] if along else [])),
        f"figures-{section}",
        title,
        f"{described}.",
        canvas,
    )

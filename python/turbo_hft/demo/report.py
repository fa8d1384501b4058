"""What the demonstration found, as plain lines and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from turbo_hft.dashboard.text import duration
from turbo_hft.demo.latency import HookTimes
from turbo_hft.demo.reconcile import LEDGERS, Reconciliation, Row
from turbo_hft.demo.wire import WireUse
from turbo_hft.exchange.fees import E8
from turbo_hft.latency.results import Results
from turbo_hft.wire.price import format_money_e4

if TYPE_CHECKING:
    from turbo_hft.latency.statistics import Interval


#: On what kind of connection engine and bot were compared.
TRANSPORTS = {"soupbintcp": "the same kind of TCP connection", "ufo": "UFO"}


@dataclass(frozen=True, slots=True)
class DemoReport:
    """Everything of one run. `comparison` is None when it was left out, or failed for the reason in the other field;
    `wire` over UFO."""

    seconds: float
    protocol: str
    transport: str
    mode: str
    kernel: str
    reconciliation: Reconciliation
    hook: HookTimes
    wire: WireUse | None
    events: int
    target_changes: int
    exchange: dict[str, Any]
    view: dict[str, object]
    comparison: Results | None = None
    comparison_failure: str | None = None

    @property
    def ok(self) -> bool:
        """The verdict: three equal ledgers of some trading, a complete event stream, no measurement that failed."""
        return self.reconciliation.equal and self.comparison_failure is None

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "ok": self.ok,
            "seconds": round(self.seconds, 3),
            "protocol": self.protocol,
            "transport": self.transport,
            "mode": self.mode,
            "kernel": self.kernel,
            "reconciliation": self.reconciliation.as_dict(),
            "hook": asdict(self.hook),
            "wire": None if self.wire is None else asdict(self.wire) | {"waited_share": self.wire.waited_share},
            "events": self.events,
            "target_changes": self.target_changes,
            "exchange": self.exchange,
            "view": self.view,
            "comparison": None if self.comparison is None else asdict(self.comparison),
            "comparison_failure": self.comparison_failure,
        }


def ledger_lines(result: Reconciliation) -> list[str]:
    """The table of the three ledgers."""
    cells = [("symbol", "figure", *LEDGERS, "")]
    previous = ""
    for row in result.rows:
        name = row.symbol if row.symbol != previous else ""
        previous = row.symbol
        cells.append(
            (
                name,
                row.field.removesuffix("_e4").removesuffix("_e8"),
                *_values(row),
                "equal" if row.equal else "DIFFERENT",
            )
        )
    widths = [max(len(line[column]) for line in cells) for column in range(6)]
    lines = ["three ledgers: the engine's maps, its event stream, the exchange's own books (shares, dollars)"]
    for line in cells:
        left = f"  {line[0]:<{widths[0]}}  {line[1]:<{widths[1]}}"
        figures = "  ".join(f"{value:>{width}}" for value, width in zip(line[2:5], widths[2:5], strict=True))
        lines.append(f"{left}  {figures}  {line[5]}".rstrip())
    return lines


def latency_lines(report: DemoReport) -> list[str]:
    """The table of latencies, with the rig they hold for."""
    hook = report.hook
    lines = [
        "latency",
        f"  {'':<38}{'p50':>12}{'p99':>12}",
        f"  {f'hook: packet to order ({hook.count} orders)':<38}{duration(hook.p50_ns):>12}{duration(hook.p99_ns):>12}",
    ]
    found = report.comparison
    if report.comparison_failure is not None:
        lines.append(f"  PROBLEM: {report.comparison_failure}")
    if found is None:
        return lines
    from turbo_hft.latency.compare import BOT  # what it needs is there: something was compared
    from turbo_hft.latency.headline import ECHO, ENGINE
    from turbo_hft.latency.statistics import Distribution, ratio

    series = {one.responder: one for one in found.series if one.measure == "rtt"}
    if missing := {ENGINE, BOT} - set(series):
        lines.append(f"  PROBLEM: no latency of {', '.join(sorted(missing))}")
        return lines
    for side, name in ((ENGINE, "engine"), (BOT, "recv() bot"), (ECHO, "nothing but the way (echo)")):
        if side in series:
            at = Distribution.of(series[side])
            lines.append(f"  {f'tick to order and back: {name}':<38}{_ns(at.ns(50.0)):>12}{_ns(at.ns(99.0)):>12}")
    p50, p99 = (ratio(series[BOT], series[ENGINE], percentile) for percentile in (50.0, 99.0))
    lines.append(f"  {'bot / engine':<38}{_times(p50):>12}{_times(p99):>12}")
    repetitions = len(series[ENGINE].repetitions)
    for name, at in ((name, Distribution.of(series[side])) for side, name in ((ENGINE, "engine"), (BOT, "recv() bot"))):
        if at.missed:
            lines.append(
                f"  {name}: {at.missed} of {at.triggers} ticks brought no order in time; they are in no percentile"
            )
    lines.append(
        f"  {repetitions} x {series[ENGINE].repetitions[0].triggers} ticks each, in turns, in a closed loop; "
        f"{found.orders_compared} orders, each the right bytes, "
        f"over {TRANSPORTS[report.transport]}"
        + (f"; p50 ratio {p50.low:.1f} to {p50.high:.1f} ({p50.words})" if p50 else "")
    )
    rig, machine = found.rigs[0], found.machine
    lines.append(
        f"  rig: {rig.title}, Linux {machine.kernel}, {machine.cpu} ({machine.cpus} CPUs), Python {machine.python}; "
        f"{rig.placement}"
    )
    lines.append(f"  {found.noise.words}")
    return lines


def _ns(value: float | None) -> str:
    return duration(None if value is None else round(value))


def _times(value: Interval | None) -> str:
    return "" if value is None else f"{value.value:.1f}x"


def verdict_lines(report: DemoReport) -> list[str]:
    """What it comes to; every difference and problem by name."""
    result = report.reconciliation
    feed = report.exchange["feed"]
    orders = sum(row.values[0] for row in result.rows if row.field == "orders")
    fills = sum(row.values[0] for row in result.rows if row.field == "fills")
    lines = [
        f"{feed['messages']} ITCH messages in {report.seconds:.1f} s, {orders} orders in {report.protocol} over "
        f"{report.transport}, "
        f"{fills} fills, {report.events} events, targets moved {report.target_changes} times"
    ]
    if report.wire is not None:
        lines.append(report.wire.line())
    for row in result.differences:
        figures = ", ".join(f"{name} {value}" for name, value in zip(LEDGERS, _values(row), strict=True))
        lines.append(f"DIFFERENT: {row.symbol} {row.field}: {figures}")
    lines += [f"PROBLEM: {problem}" for problem in result.problems]
    lines.append(
        "the three ledgers agree to the share and the 1/10000 dollar"
        if result.equal
        else "the three ledgers do NOT agree"
    )
    return lines


def _values(row: Row) -> tuple[str, str, str]:
    shown = [shown_value(row.field, value) for value in row.values]
    return shown[0], shown[1], shown[2]


def shown_value(field: str, value: int) -> str:
    """A figure of a ledger: dollars by the unit in its name, or a plain number."""
    if field.endswith("_e4"):
        return format_money_e4(value)
    return f"{Decimal(value) / E8:,.8f}" if field.endswith("_e8") else f"{value:,}"

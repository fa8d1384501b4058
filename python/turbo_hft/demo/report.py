"""What the demonstration found, as plain lines and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from turbo_hft.dashboard.text import duration
from turbo_hft.demo.latency import HookTimes
from turbo_hft.demo.reconcile import LEDGERS, Reconciliation, Row
from turbo_hft.exchange.fees import E8
from turbo_hft.wire.price import format_money_e4


@dataclass(frozen=True, slots=True)
class DemoReport:
    """Everything of one run. `comparison` is None when it was left out, or failed for the reason in the other field."""

    seconds: float
    protocol: str
    mode: str
    kernel: str
    reconciliation: Reconciliation
    hook: HookTimes
    events: int
    target_changes: int
    exchange: dict[str, Any]
    view: dict[str, object]
    comparison: dict[str, Any] | None = None
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
            "mode": self.mode,
            "kernel": self.kernel,
            "reconciliation": self.reconciliation.as_dict(),
            "hook": asdict(self.hook),
            "events": self.events,
            "target_changes": self.target_changes,
            "exchange": self.exchange,
            "view": self.view,
            "comparison": self.comparison,
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
    for side, name in (("engine", "tick to order and back: engine"), ("bot", "tick to order and back: recv() bot")):
        rtt = found[side]["median"]
        lines.append(f"  {name:<38}{duration(rtt['p50_ns']):>12}{duration(rtt['p99_ns']):>12}")
    p50, p99, rig = found["ratio_p50"], found["ratio_p99"], found["rig"]
    ratio = (f"{p50['median']:.1f}x", f"{p99['median']:.1f}x")
    lines.append(f"  {'bot / engine':<38}{ratio[0]:>12}{ratio[1]:>12}")
    lines.append(
        f"  {len(found['engine']['repetitions'])} x {found['rounds']} ticks each, in turns, the same orders to the "
        f"byte; p50 ratio {p50['min']:.1f} to {p50['max']:.1f}"
    )
    lines.append(
        f"  rig: Linux {rig['kernel']}, {rig['cpu']} ({rig['cpus']} CPUs), Python {rig['python']}, {rig['wire']}, "
        f"XDP {rig['xdp_mode']}; {rig['placement']}"
    )
    return lines


def verdict_lines(report: DemoReport) -> list[str]:
    """What it comes to; every difference and problem by name."""
    result = report.reconciliation
    feed = report.exchange["feed"]
    orders = sum(row.values[0] for row in result.rows if row.field == "orders")
    fills = sum(row.values[0] for row in result.rows if row.field == "fills")
    lines = [
        f"{feed['messages']} ITCH messages in {report.seconds:.1f} s, {orders} orders over {report.protocol}, "
        f"{fills} fills, {report.events} events, targets moved {report.target_changes} times"
    ]
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

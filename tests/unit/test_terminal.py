"""The terminal face, with its keys pressed: at 80 x 24 and wider, on an engine whose switches and limits are real."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest
from textual.pilot import Pilot
from textual.widgets import Input
from turbo_hft.dashboard.local_desk import LocalDesk
from turbo_hft.dashboard.terminal import TerminalFace, export_svg
from turbo_hft.depth import Level
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, ExchangeError, NotRunning, TurboHftError
from unit.fakes import FakeEngine, FakeEvent, FakeHistogram, FakeSymbol, FakeSymbols, order

Script = Callable[[TerminalFace, "Pilot[None]"], Awaitable[None]]
SMALL, LARGE = (80, 24), (120, 40)
_PATIENCE_S = 10.0


@pytest.fixture
def engine() -> FakeEngine:
    symbol = FakeSymbol(
        "AAPL", bid_e4=1_631_900, bid_qty=300, ask_e4=1_632_000, ask_qty=1_200, position=300, cost_e4=489_555_000,
        realized_e4=123_456, open_orders=1, open_buy_qty=100, orders_sent=9, fills=8,
        bids=(Level(1_631_900, 300, 1), Level(1_631_800, 777, 1)), asks=(Level(1_632_000, 1_200, 1),),
    )  # fmt: skip
    symbol.buy_below = Decimal("163.19")
    engine = FakeEngine(FakeSymbols([symbol, FakeSymbol("MSFT")]), FakeHistogram((0,) * 10 + (1, 0, 97, 2) + (0,) * 18))
    engine.orders.working = [order(7)]
    engine.fake_account[0].open_orders = 1
    return engine


def run(engine: FakeEngine, script: Script, size: tuple[int, int] = SMALL, *, may_trade: bool = True) -> TerminalFace:
    """Play a script on a face that has drawn its first picture."""
    desk = LocalDesk(cast(Engine, engine), reads_events=True, interval_s=0, may_trade=may_trade)
    desk.observe([FakeEvent(hook_ns=2_050), FakeEvent(id=2, kind="executed", position=300)])

    async def play() -> TerminalFace:
        face = TerminalFace(desk)
        async with face.run_test(size=size) as pilot:
            await until(pilot, lambda: "AAPL" in screen(face))
            await script(face, pilot)
        return face

    return asyncio.run(play())


def screen(face: TerminalFace) -> str:
    """What is on the screen."""
    strips = face.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def until(pilot: Pilot[None], true: Callable[[], bool]) -> None:
    """Wait for it, as long as it is sensible."""
    waited = 0.0
    while not true():
        assert waited < _PATIENCE_S, screen(cast(TerminalFace, pilot.app))
        await pilot.pause(0.02)
        waited += 0.02


async def shows(face: TerminalFace, pilot: Pilot[None], *pieces: str) -> None:
    await until(pilot, lambda: all(piece in screen(face) for piece in pieces))


async def types(face: TerminalFace, pilot: Pilot[None], words: str) -> None:
    """All at once but for the last one: the pilot lets everything settle after each key."""
    face.screen.query_one(Input).value = words[:-1]
    face.screen.query_one(Input).cursor_position = len(words) - 1
    if words:
        await pilot.press(words[-1])


def test_an_old_picture_is_not_shown_as_a_new_one(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turbo_hft.dashboard.terminal.LATE_S", 0.1)
    held, counted = threading.Event(), engine.counters

    def hang() -> dict[str, int]:
        held.wait(10)
        return counted()

    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        await shows(face, pilot, "TRADING")
        monkeypatch.setattr(engine, "counters", hang)
        try:
            await until(pilot, lambda: "NO PICTURE for" in screen(face) and "TRADING" not in screen(face))
            await pilot.press("h")
            await until(pilot, lambda: engine.state == "halted")
        finally:
            held.set()
        await shows(face, pilot, "HALTED")

    run(engine, script)


@pytest.mark.parametrize("size", [SMALL, LARGE, (200, 60)])
def test_everything_can_be_seen(engine: FakeEngine, size: tuple[int, int]) -> None:
    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        pieces = {
            "1": ("TRADING", "live", "up", "163.19|163.20", "777", "300", "net", "163.19 to 163.20", "after 2.05 us"),
            "2": ("#7 AAPL buy 100 of 100 @ 163.20 live", "AAPL buy 100 @ 163.20 #1 -> 300"),
            "3": ("all orders: active", "max_gross", "max_long", "p99.9 < 16.4 us", "first by line A"),
            "4": ("order     AAPL buy", "executed  AAPL buy"),
        }
        for page, shown in pieces.items():
            await pilot.press(page)
            await shows(face, pilot, f"[{page}]", *shown)
            lines = screen(face).splitlines()
            assert len(lines) == size[1] and all(len(line) <= size[0] for line in lines)
        await pilot.press("tab")
        await shows(face, pilot, "[1]")

    run(engine, script, size)


@pytest.mark.parametrize("size", [(1, 1), (20, 5)])
def test_however_small_it_halts(engine: FakeEngine, size: tuple[int, int]) -> None:
    async def play() -> TerminalFace:
        face = TerminalFace(LocalDesk(cast(Engine, engine), interval_s=0))
        async with face.run_test(size=size) as pilot:
            await until(pilot, lambda: face.view is not None)
            for key in ("2", "question_mark", "escape", "e", "escape", "h"):
                await pilot.press(key)
            await until(pilot, lambda: engine.state == "halted")
        return face

    assert asyncio.run(play()).failure is None


def test_a_large_terminal_shows_all_at_once(engine: FakeEngine) -> None:
    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        pieces = ("163.19|163.20", "#7 AAPL", "max_gross", "p99 <", "first by line", "executed  AAPL", "net ")
        await shows(face, pilot, *pieces)

    run(engine, script, LARGE)


def test_another_size_is_another_arrangement(engine: FakeEngine) -> None:
    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        assert "working orders" not in screen(face)
        await pilot.resize_terminal(*LARGE)
        await shows(face, pilot, "working orders", "max_gross")
        await pilot.resize_terminal(*SMALL)
        await until(pilot, lambda: "working orders" not in screen(face))

    run(engine, script)


def test_halt_needs_no_second_key(engine: FakeEngine) -> None:
    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        await pilot.press("h")
        assert engine.state == "halted"
        await shows(face, pilot, "HALTED")

    run(engine, script)


@pytest.mark.parametrize("dialog", ["e", "a", "r", "question_mark", "slash"])
def test_halt_works_in_every_dialog(engine: FakeEngine, dialog: str) -> None:
    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        await pilot.press(dialog)
        await until(pilot, lambda: len(face.screen_stack) > 1)
        await pilot.press("ctrl+k")
        assert engine.state == "halted"

    run(engine, script)


def test_halt_and_cancel_says_what_is_left(engine: FakeEngine) -> None:
    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        engine.orders.left = engine.orders.working
        await pilot.press("c")
        await shows(face, pilot, "STILL OPEN: #7 (session_down)")
        assert engine.state == "halted" and engine.orders.asked
        engine.orders.left = []
        await pilot.press("c")
        await shows(face, pilot, "halted, 1 orders ended")

    run(engine, script)


def test_reducing_asks_only_where_more_may_leave_than_before(engine: FakeEngine) -> None:
    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        await pilot.press("d")
        await shows(face, pilot, "REDUCING")
        await pilot.press("h")
        await shows(face, pilot, "HALTED")
        await pilot.press("d")
        await shows(face, pilot, "Let orders leave that reduce")
        await pilot.press("n")
        await shows(face, pilot, "nothing was done")
        assert engine.state == "halted"
        await pilot.press("d", "y")
        await shows(face, pilot, "REDUCING")

    run(engine, script)


def test_resume_asks_first(engine: FakeEngine) -> None:
    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        await pilot.press("h", "r")
        await shows(face, pilot, "Let orders leave, within every limit?")
        for key in ("enter", "r", "h", "x"):
            await pilot.press(key)
        assert engine.halted, "only y is yes"
        await pilot.press("escape")
        await shows(face, pilot, "nothing was done")
        assert engine.halted
        await pilot.press("r")
        await shows(face, pilot, "within every limit?")
        await pilot.press("y")
        await shows(face, pilot, "TRADING")
        assert not engine.halted

    run(engine, script)


def test_what_the_engine_refuses_is_said(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise ConfigError("the lease of this engine has lapsed")

    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        await pilot.press("h")
        monkeypatch.setattr(engine, "resume", refuse)
        await pilot.press("r", "y")
        await shows(face, pilot, "NOT trading: the lease of this engine has lapsed")
        assert engine.state == "halted"

    run(engine, script)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_an_edit_shows_old_and_new_and_asks(engine: FakeEngine, size: tuple[int, int]) -> None:
    aapl = engine.symbols["AAPL"]

    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        await pilot.press("e")
        await shows(face, pilot, "Change AAPL", "buy_below=163.19", "max_long=1000")
        await types(face, pilot, "buy_below=163.05 max_long=300")
        await pilot.press("enter")
        await shows(face, pilot, "buy_below  163.19 -> 163.05", "max_long  1000 -> 300")
        assert aapl.buy_below == Decimal("163.19")
        await pilot.press("y")
        await shows(face, pilot, "changed: AAPL buy_below=163.05 max_long=300")
        assert (aapl.buy_below, aapl.limits.max_long) == (Decimal("163.05"), 300)

    run(engine, script, size)


@pytest.mark.parametrize("leave", [("escape",), ("enter", "n"), ("enter", "escape"), ("enter", "enter", "q")])
def test_an_edit_that_is_left_changes_nothing(engine: FakeEngine, leave: tuple[str, ...]) -> None:
    epoch = engine.epoch, engine.symbols["AAPL"].changes.epoch

    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        await pilot.press("e")
        await shows(face, pilot, "Change AAPL")
        await types(face, pilot, "buy_below=163.05")
        await pilot.press(*leave)
        await shows(face, pilot, "nothing was changed")

    run(engine, script)
    assert engine.symbols["AAPL"].buy_below == Decimal("163.19")
    assert (engine.epoch, engine.symbols["AAPL"].changes.epoch) == epoch


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("buy_below=cheap", "buy_below"),
        ("buy_price=1", "is no setting"),
        ("max_long=1.5", "whole number"),
        ("163.05", "is no setting"),
        ("", "nothing to set"),
    ],
)
def test_a_value_that_cannot_be_is_said_where_it_was_typed(engine: FakeEngine, typed: str, said: str) -> None:
    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        await pilot.press("e")
        await shows(face, pilot, "Change AAPL")
        await types(face, pilot, typed)
        await pilot.press("enter")
        await until(pilot, lambda: said in " ".join(screen(face).split()))
        assert "from the next packet on?" not in screen(face)

    run(engine, script)
    assert engine.symbols["AAPL"].buy_below == Decimal("163.19") and engine.symbols["AAPL"].limits.max_long == 1000


def test_a_value_that_only_the_engine_can_refuse_changes_nothing(engine: FakeEngine) -> None:
    engine.symbols["AAPL"].sell_above = Decimal("163.50")

    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        await pilot.press("e")
        await shows(face, pilot, "Change AAPL")
        await types(face, pilot, "buy_below=164.00 max_long=5")
        await pilot.press("enter")
        await shows(face, pilot, "163.19 -> 164.00")
        await pilot.press("y")
        await shows(face, pilot, "NOT changed: AAPL")

    run(engine, script, LARGE)
    assert engine.symbols["AAPL"].buy_below == Decimal("163.19") and engine.symbols["AAPL"].limits.max_long == 1000


def test_the_account_and_another_symbol_can_be_edited(engine: FakeEngine) -> None:
    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        await pilot.press("a")
        await shows(face, pilot, "Change all orders", "max_gross=10000000.00")
        await types(face, pilot, "max_gross=2000000 quoter.max_executions=500")
        await pilot.press("enter")
        await shows(face, pilot, "10000000.00 -> 2000000", "quoter.max_executions  10000 -> 500")
        await pilot.press("y")
        await shows(face, pilot, "changed: max_gross=2000000 quoter.max_executions=500")
        await pilot.press("down")
        await until(pilot, lambda: face.view is not None and face.view.watched is not None
                    and face.view.watched.symbol.name == "MSFT")  # fmt: skip
        await pilot.press("e")
        await shows(face, pilot, "Change MSFT")
        await types(face, pilot, "base_qty=7")
        await pilot.press("enter")
        await shows(face, pilot, "base_qty  100 -> 7")
        await pilot.press("y")
        await until(pilot, lambda: engine.symbols["MSFT"].base_qty == 7)

    run(engine, script)
    assert engine.strategies["quoter"].limits.max_executions == 500
    assert engine.limits.max_gross == 2_000_000 and engine.symbols["AAPL"].base_qty == 100


def test_a_symbol_can_be_named(engine: FakeEngine) -> None:
    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        await pilot.press("slash")
        await shows(face, pilot, "Look at symbol")
        await types(face, pilot, "msft")
        await pilot.press("enter")
        await until(pilot, lambda: face.selected == "MSFT")
        await pilot.press("slash")
        await shows(face, pilot, "Look at symbol")
        await types(face, pilot, "nope")
        await pilot.press("enter")
        await shows(face, pilot, "NOPE is not tracked")
        await until(pilot, lambda: face.selected == "AAPL")

    run(engine, script)


def test_an_engine_without_symbols_can_be_watched_and_halted(engine: FakeEngine) -> None:
    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        engine.symbols = FakeSymbols([])
        await pilot.press("slash")
        await types(face, pilot, "AAPL")
        await pilot.press("enter", "down", "up")
        await shows(face, pilot, "no symbol", "is not tracked")
        await until(pilot, lambda: face.selected is None)
        await pilot.press("e")
        await shows(face, pilot, "there is no symbol to be changed")
        await pilot.press("h")
        await shows(face, pilot, "HALTED")

    run(engine, script)


def test_help_names_every_key(engine: FakeEngine) -> None:
    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        await pilot.press("question_mark")
        await shows(face, pilot, "halt: no order leaves", "ctrl+k", "resume; asks first", "this help")
        await pilot.press("escape")
        await until(pilot, lambda: len(face.screen_stack) == 1)

    run(engine, script)


def test_who_may_only_look_has_no_other_key(engine: FakeEngine) -> None:
    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        assert "h halt" not in screen(face) and "q quit" in screen(face)
        for key in ("h", "ctrl+k", "c", "d", "r", "e", "a"):
            await pilot.press(key)
            assert len(face.screen_stack) == 1
        assert engine.state == "active" and not engine.orders.asked

    run(engine, script, may_trade=False)


def test_a_reading_that_fails_is_said_and_tried_again(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> dict[str, int]:
        raise TurboHftError("the hook changes this without pause")

    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(engine, "counters", fail)
            await shows(face, pilot, "cannot read the engine: the hook changes this")
        engine.symbols["AAPL"].fake.position = 31_337
        await shows(face, pilot, "31,337")

    run(engine, script)


def test_an_engine_that_has_gone_ends_the_face(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> dict[str, int]:
        raise NotRunning("there is no engine any more")

    async def play() -> TerminalFace:
        face = TerminalFace(LocalDesk(cast(Engine, engine)))
        await asyncio.wait_for(face.run_async(headless=True, size=SMALL), _PATIENCE_S)
        return face

    monkeypatch.setattr(engine, "counters", gone)
    assert isinstance(asyncio.run(play()).failure, NotRunning)


def test_what_ends_the_loop_of_the_engine_ends_the_face(engine: FakeEngine) -> None:
    def turn() -> None:
        raise ExchangeError("the exchange ended")

    async def play(**options: object) -> TerminalFace:
        face = TerminalFace(LocalDesk(cast(Engine, engine)), **options)  # type: ignore[arg-type]
        await asyncio.wait_for(face.run_async(headless=True, size=SMALL), _PATIENCE_S)
        return face

    assert isinstance(asyncio.run(play(turn=turn)).failure, ExchangeError)
    for options in ({"alive": lambda: False}, {"wait": lambda _: True}, {"duration_s": 0.1}):
        assert asyncio.run(play(**options)).failure is None


def test_what_is_printed_is_kept(engine: FakeEngine) -> None:
    async def script(face: TerminalFace, pilot: Pilot[None]) -> None:
        print("RECORDER behind: the recorder is more than a second behind")
        await shows(face, pilot, "RECORDER behind")

    assert run(engine, script).said == ["RECORDER behind: the recorder is more than a second behind"]


def test_a_picture_is_written_whatever_the_terminal(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    view = LocalDesk(cast(Engine, engine)).view("AAPL")
    export_svg(view, tmp_path / "view.svg")
    picture = (tmp_path / "view.svg").read_text()
    assert picture.startswith("<svg") and "AAPL" in picture
    assert "url(http" not in picture and "@font-face" not in picture, "nothing is fetched when it is looked at"
    assert len(set(re.findall(r"fill: (#[0-9a-f]{6})", picture))) > 3, "it has its colours"
    with pytest.raises(ConfigError, match="cannot write"):
        export_svg(view, tmp_path / "nowhere" / "view.svg")

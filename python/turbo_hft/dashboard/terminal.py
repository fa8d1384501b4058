"""The terminal face: the view drawn with Textual, for 80 columns and 24 lines upwards, and the keys that steer.

Halting needs no confirmation, what lets orders leave or changes a setting does. Whoever runs the engine gives its loop
as `turn`: it is called between two pictures, about every 20 ms, so that a face that hangs takes the lease with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import events, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.driver import Driver
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input, Static

from turbo_hft import settings
from turbo_hft.dashboard import panels
from turbo_hft.dashboard.desk import Canceled, Desk
from turbo_hft.dashboard.panels import Frame
from turbo_hft.dashboard.tty_driver import TtyDriver
from turbo_hft.dashboard.view import View
from turbo_hft.errors import ConfigError, NotRunning, TurboHftError
from turbo_hft.metrics import MOST_SYMBOLS, Measured

PERIOD_S = 0.25
LATE_S = 2
STEP_S = 0.02
WIDE, HIGH = 110, 34
"""From so many columns and lines on all parts are on the first page."""

_Draw = Callable[[Frame, int, int], list[Text]]
_PARTS: dict[str, tuple[str, _Draw]] = {
    "symbols": ("symbols", panels.symbols),
    "book": ("book", panels.book),
    "pnl": ("P&L", panels.pnl),
    "price": ("price", panels.price),
    "events": ("events", panels.events),
    "orders": ("working orders", panels.orders),
    "fills": ("fills", panels.fills),
    "risk": ("risk", panels.risk),
    "feeds": ("feeds and order entry", panels.feeds),
    "latency": ("hook, packet to order", panels.latency),
}
_Layout = tuple[tuple[str, tuple[tuple[str, int], ...]], ...]  # rows: height, parts with twelfths of the width
_PAGES = ("all", "orders", "risk", "log")
_LAYOUTS: dict[str, _Layout] = {
    "all": (
        ("1fr", (("symbols", 7), ("book", 5))),
        ("6", (("pnl", 6), ("price", 6))),
        ("4", (("events", 12),)),
    ),
    "all, wide": (
        ("3fr", (("symbols", 5), ("book", 3), ("risk", 4))),
        ("2fr", (("pnl", 4), ("price", 4), ("latency", 4))),
        ("2fr", (("orders", 4), ("fills", 4), ("feeds", 4))),
        ("2fr", (("events", 12),)),
    ),
    "orders": (("1fr", (("orders", 12),)), ("1fr", (("fills", 12),))),
    "risk": (("3fr", (("risk", 12),)), ("2fr", (("feeds", 7), ("latency", 5)))),
    "log": (("1fr", (("events", 12),)),),
}
_WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)

HELP = """\
up, down     select a symbol; / names one that has no line
1 2 3 4 tab  everything, orders and fills, risk and feeds, log
pgup, pgdn   turn the log back and forth

h            halt: no order leaves any more, working ones stay
ctrl+k       the same, while something is being typed too
c            halt, and cancel all working orders
d            only reduce positions
r            resume; asks first
e            change the selected symbol; asks first
a            change limits and settings of all orders; asks first

q, ctrl+c    leave; an engine that this process runs is halted
?            this help

A * in the book: an order of ours is there. B and S on the
price: we bought, we sold. What is typed after e and a is what
turbo-hft set takes: buy_below=164.00 max_long=300"""


class Part(Widget):
    """One part of the picture."""

    def __init__(self, name: str) -> None:
        super().__init__(id=name, classes="part")
        title, self._draw = _PARTS[name]
        self.border_title = title
        self._frame: Frame | None = None

    def show(self, frame: Frame) -> None:
        """Draw this from now on."""
        self._frame = frame
        self.refresh()

    def render(self) -> Text:
        """Lines that fit."""
        if self._frame is None:
            return Text()
        width, height = self.size
        lines = self._draw(self._frame, width, height)
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Text("\n", no_wrap=True, end="").join(lines)


class Confirm(ModalScreen[bool]):
    """A question that only y answers with yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("n,escape,q", "answer(False)", "no"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """The question."""
        with Vertical(classes="box"):
            yield Static(Text(self._question))
            yield Static(Text("\ny: do it    n, escape: leave it    ctrl+k: halt", style="bold"))

    def action_answer(self, yes: bool) -> None:
        """Close it."""
        self.dismiss(yes)


class Ask(ModalScreen[str | None]):
    """A line of text; None if it was left with escape. `check` raises TurboHftError for what cannot be."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave")]

    def __init__(self, title: str, about: str, keys: list[str], check: Callable[[str], object]) -> None:
        super().__init__()
        self._title, self._about, self._keys, self._check = title, about, keys, check

    def compose(self) -> ComposeResult:
        """What is now, and a place to type."""
        with Vertical(classes="box"):
            yield Static(Text(self._title, style="bold"))
            yield Static(Text(self._about, style="dim"), id="about")
            yield Input(suggester=SuggestFromList(self._keys), compact=True)
            yield Static("", id="wrong")
            yield Static(Text("enter: go on    escape: leave it    ctrl+k: halt", style="bold"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go on, or say what is wrong."""
        line = event.value.strip()
        try:
            self._check(line)
        except TurboHftError as error:
            self.query_one("#wrong", Static).update(Text(str(error), style="bold red"))
        else:
            self.dismiss(line)

    def action_leave(self) -> None:
        """Close it without an answer."""
        self.dismiss(None)


class Help(ModalScreen[None]):
    """The keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter,space", "leave", "leave")]

    def compose(self) -> ComposeResult:
        """The keys."""
        with Vertical(classes="box"):
            yield Static(Text(HELP))

    def action_leave(self) -> None:
        """Close it."""
        self.dismiss(None)


class TerminalFace(App[None]):
    """A face of one desk. `failure` is what ended it, if something did.

    `turn` is the loop of whoever runs the engine, `wait(0)` says whether to end, `alive` whether there is an engine.
    """

    CSS = """
    Screen { layout: vertical; }
    #head { height: 3; }
    #body { layout: grid; grid-size: 12; grid-gutter: 0 1; height: 1fr; }
    #note, #keys { height: 1; }
    .part { border-top: solid ansi_bright_black; border-title-align: left; height: 100%; width: 100%; }
    ModalScreen { align: center middle; }
    .box { width: auto; min-width: 50; max-width: 100%; height: auto; max-height: 100%; padding: 0 1;
           border: solid ansi_default; background: ansi_default; }
    .box Static { width: auto; max-width: 100%; height: auto; }
    .box #wrong { max-height: 5; }
    .box Input { width: 70; max-width: 100%; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h,H", "halt", "halt"),
        Binding("ctrl+k", "halt", "halt", priority=True),
        Binding("c,C", "halt_and_cancel", "halt and cancel"),
        Binding("d,D", "reduce", "reduce"),
        Binding("r,R", "resume", "resume"),
        Binding("e,E", "edit", "edit symbol"),
        Binding("a,A", "edit_account", "edit account"),
        Binding("up,k", "select(-1)", "up"),
        Binding("down,j", "select(1)", "down"),
        Binding("slash", "find", "find"),
        Binding("1", "page('all')", "all"),
        Binding("2", "page('orders')", "orders"),
        Binding("3", "page('risk')", "risk"),
        Binding("4", "page('log')", "log"),
        Binding("tab", "next_page", "next", priority=True),
        Binding("pageup", "turn_back(1)", "older"),
        Binding("pagedown", "turn_back(-1)", "newer"),
        Binding("question_mark", "help", "help"),
        Binding("q,Q", "leave", "quit"),
        Binding("ctrl+c", "interrupt", "interrupt", priority=True),
    ]
    _STEERING: ClassVar[frozenset[str]] = frozenset(
        ("halt", "halt_and_cancel", "reduce", "resume", "edit", "edit_account")
    )

    def __init__(
        self,
        desk: Desk,
        *,
        duration_s: float | None = None,
        turn: Callable[[], object] = lambda: None,
        wait: Callable[[float], bool] = lambda _: False,
        alive: Callable[[], bool] = lambda: True,
        driver_class: type[Driver] | None = None,
    ) -> None:
        super().__init__(driver_class=driver_class, ansi_color=True)
        self.desk = desk
        self.failure: Exception | None = None
        self.view: View | None = None
        self.selected: str | None = None
        self.said: list[str] = []
        self._page = "all"
        self._back = 0
        self._wide = False
        self._turn, self._wait, self._alive = turn, wait, alive
        self._end = None if duration_s is None else time.monotonic() + duration_s
        self._look = asyncio.Event()
        self._taken, self._late_s = time.monotonic(), 0
        self._tasks: list[asyncio.Task[None]] = []

    # Its life

    def compose(self) -> ComposeResult:
        """Head, parts, the last word, keys."""
        yield Static(id="head")
        with Container(id="body"):
            for name in _PARTS:
                yield Part(name)
        yield Static(id="note")
        yield Static(id="keys")

    def on_mount(self) -> None:
        """Begin."""
        self.begin_capture_print(self)
        self._arrange()
        self._tasks = [asyncio.create_task(self._rounds()), asyncio.create_task(self._pictures())]

    async def on_unmount(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _rounds(self) -> None:
        try:
            while self._alive() and (self._end is None or time.monotonic() < self._end):
                self._turn()
                if self._wait(0):
                    break
                self._say_if_late()
                await asyncio.sleep(STEP_S)
        except Exception as error:  # it belongs to whoever called us, once the terminal is as it was
            self.failure = error
        self.exit()

    def _say_if_late(self) -> None:
        """What was drawn last is not what happens now."""
        late_s = int(time.monotonic() - self._taken)
        if self.view is None or late_s < LATE_S or late_s == self._late_s:
            return
        self._late_s = late_s
        said = f"NO PICTURE for {late_s} s: whoever is asked for it does not answer. What stands below is old."
        self.screen_stack[0].query_one("#head", Static).update(Text(said, style="bold reverse"))

    async def _pictures(self) -> None:
        try:
            while True:
                await self._picture()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._look.wait(), PERIOD_S)
                self._look.clear()
        except Exception as error:
            self.failure = error
            self.exit()

    async def _picture(self) -> None:
        watch = self.selected
        try:
            # In a thread: a desk at the other end of a socket may be slow, and the loop of the engine must go on.
            view = await asyncio.to_thread(self.desk.view, watch)
        except ConfigError as error:
            if watch is None:
                raise
            self.note(str(error), bad=True)
            self.selected = None
            return
        except NotRunning:
            raise
        except TurboHftError as error:
            self.note(f"cannot read the engine: {error}", bad=True)
            return
        self.view, self._taken, self._late_s = view, time.monotonic(), 0
        if self.selected is None and view.symbols:
            self.selected = view.symbols[0].name
            self._look.set()
        self.draw()

    def on_print(self, event: events.Print) -> None:
        """Something was printed: it must not get lost, and not into the picture."""
        if line := event.text.strip():
            self.said.append(line)
            self.note(line, bad=event.stderr)

    def on_resize(self, event: events.Resize) -> None:
        """Another size, another arrangement."""
        self._wide = event.size.width >= WIDE and event.size.height >= HIGH
        self._arrange()

    # Drawing

    def draw(self) -> None:
        """Draw the newest view."""
        if self.view is None or not self.is_running:
            return
        lines = panels.head(self.view)
        for line in lines:
            line.truncate(self.size.width, overflow="ellipsis")
        self.screen_stack[0].query_one("#head", Static).update(Text("\n", no_wrap=True, end="").join(lines))
        frame = Frame(self.view, self.selected, self._back)
        for part in self.screen_stack[0].query(Part):
            if part.display:
                part.show(frame)
        if isinstance(self._driver, TtyDriver) and self._driver.back():
            for widget in self.screen.walk_children(Widget, with_self=True):
                widget.refresh()

    def note(self, line: str, *, bad: bool = False) -> None:
        """The last word, in the line above the keys."""
        with contextlib.suppress(Exception):  # while it begins or ends there is no such line
            shown = Text(line.replace("\n", " "), style="bold red" if bad else "bold", no_wrap=True)
            self.screen_stack[0].query_one("#note", Static).update(shown)

    def _arrange(self) -> None:
        """The parts of this page, where they belong in this size."""
        layout = _LAYOUTS["all, wide" if self._wide and self._page == "all" else self._page]
        places = [(name, span) for _, row in layout for name, span in row]
        order = {name: index for index, (name, _) in enumerate(places)}
        body = self.screen_stack[0].query_one("#body", Container)
        body.styles.grid_rows = " ".join(height for height, _ in layout)
        for part in body.query(Part):
            part.display = part.id in order
        for name, span in places:
            body.query_one(f"#{name}", Part).styles.column_span = span
        body.sort_children(key=lambda part: order.get(part.id or "", len(order)))
        self._show_keys()
        self.call_after_refresh(self.draw)

    def _show_keys(self) -> None:
        steer = "h halt c +cancel d reduce r resume e edit a account  " if self.desk.may_trade else ""
        pages = " ".join(
            f"[{number}]" if name == self._page else str(number) for number, name in enumerate(_PAGES, start=1)
        )
        line = Text(f"{steer}{pages}  ? help  q quit", style="dim", no_wrap=True)
        self.screen_stack[0].query_one("#keys", Static).update(line)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What may not be done has no key."""
        del parameters
        if action == "next_page" and len(self.screen_stack) > 1:
            return False
        return self.desk.may_trade or action not in self._STEERING

    def action_leave(self) -> None:
        """Quit."""
        self.exit()

    def action_interrupt(self) -> None:
        """Ctrl-C is the signal that it is everywhere else."""
        signal.raise_signal(signal.SIGINT)

    def action_page(self, page: str) -> None:
        """Another page."""
        self._page = page
        self._arrange()

    def action_next_page(self) -> None:
        """The next page."""
        self.action_page(_PAGES[(_PAGES.index(self._page) + 1) % len(_PAGES)])

    def action_turn_back(self, pages: int) -> None:
        """Older or newer events."""
        kept = 0 if self.view is None else len(self.view.events)
        step = max(1, self.screen_stack[0].query_one("#events", Part).size.height)
        self._back = max(0, min(self._back + pages * step, kept))
        self.draw()

    def action_select(self, step: int) -> None:
        """Another symbol."""
        names = [] if self.view is None else [row.name for row in self.view.symbols]
        if names:
            at = names.index(self.selected) + step if self.selected in names else 0
            self._select(names[max(0, min(at, len(names) - 1))])

    def _select(self, name: str) -> None:
        self.selected = name
        self.draw()
        self._look.set()

    def action_help(self) -> None:
        """The keys."""
        self.push_screen(Help())

    def action_halt(self) -> None:
        """At once, whatever is on the screen."""
        self._do("halted", self.desk.halt)

    def _do(self, done: str, act: Callable[[], object]) -> bool:
        """Do it now; what came of it is said."""
        try:
            act()
        except TurboHftError as error:
            self.note(f"NOT {done}: {error}", bad=True)
            return False
        self.note(done)
        self._look.set()
        return True

    async def _later(self, done: str, act: Callable[[], object]) -> None:
        """The same for what may take its time."""
        try:
            await asyncio.to_thread(act)
        except TurboHftError as error:
            self.note(f"NOT {done}: {error}", bad=True)
        else:
            self.note(done)
        self._look.set()

    @work(group="cancel", exclusive=True)
    async def action_halt_and_cancel(self) -> None:
        """First the store, then whatever waits for the exchange."""
        if not self._do("halted; cancelling ...", self.desk.halt):
            return
        try:
            done = await asyncio.to_thread(self.desk.halt_and_cancel)
        except TurboHftError as error:
            self.note(f"halted, NOT cancelled: {error}", bad=True)
        else:
            self.note(_canceled(done), bad=bool(done.left))
        self._look.set()

    @work(group="ask", exclusive=True)
    async def action_reduce(self) -> None:
        """Less than before needs no question, more does."""
        loosens = self.view is None or self.view.state == "halted"
        if loosens and not await self.push_screen_wait(Confirm("Let orders leave that reduce a position?")):
            self.note("nothing was done")
            return
        await self._later("reducing only", self.desk.reduce)

    @work(group="ask", exclusive=True)
    async def action_resume(self) -> None:
        """Ask, then do it."""
        if not await self.push_screen_wait(Confirm("Let orders leave, within every limit?")):
            self.note("nothing was done")
            return
        await self._later("trading", self.desk.resume)

    @work(group="ask", exclusive=True)
    async def action_edit(self) -> None:
        """Settings of the selected symbol."""
        if self.selected is None:
            self.note("there is no symbol to be changed", bad=True)
        else:
            await self._edit(self.selected)

    @work(group="ask", exclusive=True)
    async def action_edit_account(self) -> None:
        """Settings of the whole engine."""
        await self._edit(None)

    async def _edit(self, name: str | None) -> None:
        head = "" if name is None else f"{name} "
        try:
            view = await asyncio.to_thread(self.desk.view, name)
        except TurboHftError as error:
            self.note(f"cannot read the settings: {error}", bad=True)
            return
        now = view.settings if view.watched is None else view.watched.settings
        line = await self.push_screen_wait(
            Ask(
                f"Change {name or 'all orders'}: key=value key=value ...",
                settings.line(now if name is not None else _without_strategies(now)),
                [f"{key}=" for key in now],
                lambda typed: _checked(name, typed),
            )
        )
        if line is None:
            self.note("nothing was changed")
            return
        steps = []
        for word in line.split():
            key, _, value = word.partition("=")
            before = settings.line({key: now[key]}).partition("=")[2] if key in now else "?"
            steps.append(f"  {key}  {before} -> {value}")
        question = f"Change {name or 'all orders'} from the next packet on?\n" + "\n".join(steps)
        if not await self.push_screen_wait(Confirm(question)):
            self.note("nothing was changed")
            return
        await self._later(f"changed: {head}{line}", lambda: self.desk.change(f"{head}{line}"))

    @work(group="ask", exclusive=True)
    async def action_find(self) -> None:
        """A symbol by its name."""
        names = [] if self.view is None else [row.name for row in self.view.symbols]
        name = await self.push_screen_wait(Ask("Look at symbol", "", names, _named))
        if name is not None:
            self._select(name.upper())


def _without_strategies(now: Mapping[str, object]) -> dict[str, object]:
    """The limits of each strategy would fill the screen; they can be typed all the same."""
    return {key: value for key, value in now.items() if "." not in key or key.startswith("fee.")}


def _checked(name: str | None, typed: str) -> None:
    words = typed.split()
    if wrong := [word for word in words if "=" not in word]:
        raise ConfigError(f"{wrong[0]!r} is no setting: write key=value key=value ...")
    settings.parse_change(words if name is None else [name, *words])


def _named(name: str) -> None:
    if not name:
        raise ConfigError("type the name of a symbol, such as AAPL")


def _canceled(done: Canceled) -> str:
    left = ", ".join(f"#{ref} ({done.refused.get(str(ref), 'no answer')})" for ref in done.left)
    return f"halted, {done.canceled} orders ended" + (f", STILL OPEN: {left}" if left else "")


class _Still:
    """A desk on which nothing moves any more."""

    may_trade = True

    def __init__(self, view: View) -> None:
        self._view = view

    def view(self, watch: str | None = None) -> View:
        del watch
        return self._view

    def metrics(self, most_symbols: int = MOST_SYMBOLS) -> Measured:
        raise ConfigError("this is a picture")

    def halt(self) -> None:
        raise ConfigError("this is a picture")

    def halt_and_cancel(self) -> Canceled:
        raise ConfigError("this is a picture")

    def reduce(self) -> None:
        raise ConfigError("this is a picture")

    def resume(self) -> None:
        raise ConfigError("this is a picture")

    def change(self, line: str) -> dict[str, object]:
        raise ConfigError(f"this is a picture: {line} cannot be set")


def export_svg(view: View, path: Path, *, width: int = 132, height: int = 44) -> None:
    """Write the picture as an SVG, for a README. Raises ConfigError when the file cannot be written."""

    async def shot() -> str:
        os.environ.pop("NO_COLOR", None)  # a picture must not depend on the terminal that makes it
        app = TerminalFace(_Still(view))
        app.selected = None if view.watched is None else view.watched.symbol.name
        async with app.run_test(size=(width, height)) as pilot:
            while app.view is None:
                await pilot.pause(STEP_S)
            await pilot.pause(PERIOD_S)
            return app.export_screenshot(title="turbo-hft dashboard")

    # Without the web fonts that rich links: the picture must not fetch anything when it is looked at.
    colour = os.environ.get("NO_COLOR")
    picture = _WEB_FONT.sub("", asyncio.run(shot()))
    if colour is not None:
        os.environ["NO_COLOR"] = colour
    try:
        path.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write the picture {path}: {error.strerror}; name a writable file") from error

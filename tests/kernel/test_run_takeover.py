"""What `run` does with an engine that it finds pinned, before that may trade."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pin_rig import bpffs
from turbo_hft._native import lib
from turbo_hft.cli import main
from turbo_hft.config.read import parse
from turbo_hft.engine import Engine
from turbo_hft.errors import ExchangeError
from turbo_hft.lab import Lab, LabAddresses
from turbo_hft.order_entry import OrderEntry

pytestmark = pytest.mark.kernel


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    with bpffs(tmp_path) as made:
        yield made


@pytest.fixture
def at() -> Iterator[LabAddresses]:
    with Lab("hft_take", "hfttakea", "hfttakeb", "10.78.126.0/24") as lab:
        yield lab.addresses


def file(at: LabAddresses, root: Path, more: str = "") -> str:
    return f"""\
[engine]
interface = "{at.device}"
pin_root = "{root}"
{more}
[session]
local = "{at.host_address}:{at.engine_port}"
remote = "{at.exchange_address}:{at.ouch50_port}"
local_mac = "{at.host_mac}"
remote_mac = "{at.exchange_mac}"
username = "HFT001"
password = "SECRET"
[feed]
at = "{at.feed_group}:{at.feed_port}"
[sizes]
symbols = 4
orders = 64
kept = 64
[symbols.AAPL]
base_qty = 100
"""


def left_trading(at: LabAddresses, root: Path) -> None:
    """An engine as a killed process leaves it: its lease lapsed a while ago, its switch as it was."""
    config = parse(file(at, root))
    loaded: Any = config.load_settings()
    with Engine.open(at.device, pin=root, **loaded) as engine:
        engine.symbols.add("AAPL")
        engine.configure(config.session.order_session(), config.feed.address())
        engine.attach()
        engine.program.share("session_state", writable=True)[0].health = lib.HFT_SESSION_UP
        engine.lease.beat()
        engine.resume()
        engine.lease.lapse()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, bool]]:
    """State, and the state it may go back to, of each engine whose session is about to be taken over; no exchange."""
    found: list[tuple[str, str, bool]] = []

    def take_over(self: OrderEntry, timeout_s: float = 5.0, *, trade_on: bool = True) -> None:
        found.append((self.engine.state, self.engine.suspended_from, trade_on))
        raise ExchangeError("nobody answers")

    monkeypatch.setattr(OrderEntry, "take_over", take_over)
    monkeypatch.setattr("turbo_hft.privileges.give_up", lambda keep: ())
    return found


@pytest.mark.parametrize(
    ("on_restart", "wanted"), [("halt", ("halted", "halted", False)), ("trade", ("halted", "active", True))]
)
def test_nothing_leaves_before_its_session_is_looked_after(
    at: LabAddresses,
    root: Path,
    tmp_path: Path,
    seen: list[tuple[str, str, bool]],
    on_restart: str,
    wanted: tuple[str, str, bool],
) -> None:
    left_trading(at, root)
    path = tmp_path / "engine.toml"
    path.write_text(file(at, root, f'on_restart = "{on_restart}"'))
    assert main(["run", "--config", str(path)]) == 1
    assert seen == [wanted]
    with Engine.adopt(at.device, pin=root) as engine:
        assert not engine.lease.in_force
        engine.detach()


def test_a_change_that_was_cut_off_is_halted_whatever_a_restart_may(
    at: LabAddresses, root: Path, tmp_path: Path, seen: list[tuple[str, str, bool]], capfd: pytest.CaptureFixture[str]
) -> None:
    left_trading(at, root)
    with Engine.adopt(at.device, pin=root) as engine:
        engine.program.share("control", writable=True)[0].changing = 1
    path = tmp_path / "engine.toml"
    path.write_text(file(at, root, 'on_restart = "trade"'))
    assert main(["run", "--config", str(path)]) == 1
    assert seen == [("halted", "halted", False)]
    assert "in the middle of a change" in capfd.readouterr().err
    with Engine.adopt(at.device, pin=root) as engine:
        engine.detach()


def test_options_that_are_of_another_session_take_nothing_over(
    at: LabAddresses, root: Path, seen: list[tuple[str, str, bool]], capfd: pytest.CaptureFixture[str]
) -> None:
    left_trading(at, root)
    words = ["run", "--interface", at.device, "--pin-root", str(root), "--on-restart", "trade"]
    assert main(words) == 2  # whose session is that of the standard lab
    assert "session.remote" in capfd.readouterr().err and seen == []
    with Engine.adopt(at.device, pin=root) as engine:
        assert not engine.lease.in_force
        engine.detach()


def test_a_start_that_fails_with_orders_out_takes_nothing_away(
    at: LabAddresses, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def login(self: OrderEntry, timeout_s: float = 5.0, *, recover: bool = False, start_flat: bool = False) -> None:
        working = self.engine.program.share("working", writable=True)[1]
        working.user_ref, working.state, working.open_qty = 1, 1, 100
        raise ExchangeError("it failed late")

    monkeypatch.setattr(OrderEntry, "login", login)
    monkeypatch.setattr("turbo_hft.privileges.give_up", lambda keep: ())
    path = tmp_path / "engine.toml"
    path.write_text(file(at, root))
    assert main(["run", "--config", str(path)]) == 1
    with Engine.adopt(at.device, pin=root) as engine:
        assert engine.halted and len(engine.orders.open()) == 1
        engine.detach()

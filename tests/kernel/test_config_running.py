"""A configuration and a running engine: what differs, and the change, which is whole or none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from turbo_hft import settings
from turbo_hft.cli import session_options
from turbo_hft.config.read import parse
from turbo_hft.config.running import apply, as_toml, differences
from turbo_hft.config.schema import Config
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError
from turbo_hft.symbols import SymbolView
from unit.test_config import GOOD
from user_strategies import BUYER, EXAMPLE, compiled

pytestmark = pytest.mark.kernel


@pytest.fixture
def engine() -> Iterator[Engine]:
    """One that was started from the file."""
    config = parse(GOOD)
    loaded = config.load_settings()
    with Engine.load(**loaded) as made:
        settings.apply_account(made, config.account)
        specs = [settings.SymbolSpec(name, values) for name, values in config.symbols.items()]
        session_options.add_symbols(made, specs)
        made.configure(config.session.order_session(), config.feed.address())
        made.interface = "eth1"
        yield made


def changed(*pairs: tuple[str, str]) -> Config:
    text = GOOD
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    return parse(text)


def state(engine: Engine) -> object:
    limits = [symbol.limits.as_dict() for symbol in engine.symbols]
    return settings.account(engine), limits, [settings.parameters(symbol) for symbol in engine.symbols]


def test_what_was_started_from_a_file_does_not_differ_from_it(engine: Engine) -> None:
    assert differences(engine, parse(GOOD)) == []
    epoch = engine.epoch
    assert apply(engine, parse(GOOD)) == []
    assert engine.epoch <= epoch + 1


def test_what_can_be_changed_live_is(engine: Engine) -> None:
    config = changed(
        ('max_gross = "2000000"', "max_gross = 1000000"),
        ("max_executions = 500", "max_executions = 5"),
        ('R = "0.0030"', 'R = "0.0010"'),
        ('mark = "mid"', 'mark = "last"'),
        ("max_long = 500", "max_long = 50"),
        ("quoter.qty = 100", "quoter.qty = 10"),
        ('buy_below = "163.20"\nsell_above = "off"', 'buy_below = "170.00"\nsell_above = "180"\n[symbols.NEW]'),
    )
    lines = [one.line() for one in differences(engine, config)]
    assert lines == [
        "limits.max_gross: 2000000.00 -> 1000000.00",
        "strategies.quoter.max_executions: 500 -> 5",
        "mark: mid -> last",
        "fees.R: 0.003 -> 0.001",
        "symbols.AAPL.max_long: 500 -> 50",
        "symbols.AAPL.quoter.qty: 100 -> 10",
        "symbols.BRK.A.buy_below: 163.20 -> 170.00",
        "symbols.BRK.A.sell_above: off -> 180.00",
        "symbols.NEW: not tracked -> tracked",
    ]
    engine.symbols["AAPL"].limits.max_short = 7  # not in the file: it stays
    assert [one.line() for one in apply(engine, config)] == lines
    assert differences(engine, config) == []
    aapl = engine.symbols["AAPL"]
    assert (aapl.limits.max_long, aapl.limits.max_short, aapl.quoter.qty, aapl.strategy) == (50, 7, 10, "quoter")
    assert engine.symbols["BRK.A"].sell_above == Decimal(180) and "NEW" in engine.symbols
    assert engine.strategies["quoter"].limits.max_executions == 5


def test_what_needs_a_new_start_is_named_and_nothing_changes(engine: Engine) -> None:
    config = changed(
        ("symbols = 16", "symbols = 32\nkept = 100"),
        ("10.1.0.2:26450", "10.1.0.3:26450"),
        ("02:00:00:00:00:07", "02:00:00:00:00:08"),
        ('at = "239.1.0.1:26477"', 'at = "239.1.0.2:26477"\nb = "239.1.0.3:26477"'),
        ("max_long = 500", "max_long = 50"),
    )
    before = state(engine)
    fixed = {one.key for one in differences(engine, config) if not one.live}
    wanted = {
        "sizes.symbols",
        "sizes.kept",
        "session.remote",
        "session.local_mac",
        "feed.at",
        "feed.b",
        "feed.b_source",
    }
    assert wanted <= fixed <= wanted | {"sizes.levels"}
    with pytest.raises(ConfigError, match=r"nothing was changed; .*sizes.symbols: 16 -> 32.*session.remote"):
        apply(engine, config)
    assert state(engine) == before


def test_a_change_that_is_refused_in_its_middle_changes_nothing(engine: Engine) -> None:
    config = changed(
        ('max_gross = "2000000"', "max_gross = 1"),
        ('R = "0.0030"', 'R = "0.0010"\nA = "-0.0020"'),
        ('mark = "mid"', 'mark = "last"'),
        ("quoter.qty = 100", "quoter.qty = 10"),
        ('sell_above = "off"', 'sell_above = "163.10"'),
    )
    before = state(engine)
    with pytest.raises(ConfigError, match="must be above buy_below"):
        apply(engine, config)
    assert state(engine) == before


def test_symbols_that_find_no_room_or_are_refused_change_nothing(engine: Engine) -> None:
    before = state(engine)
    many = "".join(f"[symbols.N{number}]\n" for number in range(14))
    config = changed(("max_long = 500", "max_long = 50"), ('[symbols."BRK.A"]', many + '[symbols."BRK.A"]'))
    for name in ("A1", "A2"):  # tracked live: of the file's 16 there is room for 12
        engine.symbols.add(name, strategy=None)
    assert state(engine) != before
    before = state(engine)
    with pytest.raises(ConfigError, match=r"14 symbols are new .*has room for 12 more"):
        apply(engine, config)
    assert state(engine) == before
    crossed = '[symbols.GOOD]\n[symbols.BAD]\nbuy_below = "2"\nsell_above = "1"\n'
    config = changed(("max_long = 500", "max_long = 50"), ('[symbols."BRK.A"]', crossed + '[symbols."BRK.A"]'))
    with pytest.raises(ConfigError, match="must be above buy_below"):
        apply(engine, config)
    assert engine.symbols["AAPL"].limits.max_long == 500 and "BAD" not in engine.symbols
    assert "GOOD" not in engine.symbols or engine.symbols["GOOD"].strategy is None


def test_a_symbol_is_asked_for_orders_once_all_of_it_holds(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str | None] = []
    real = settings._set_groups

    def set_groups(symbol: SymbolView, values: Mapping[str, Any]) -> None:
        found.append(symbol.strategy)
        real(symbol, values)

    monkeypatch.setattr(settings, "_set_groups", set_groups)
    settings.add(engine, settings.SymbolSpec("NEW", {"strategy": "quoter", "quoter.qty": 5}))
    assert found == [None]
    assert (engine.symbols["NEW"].strategy, engine.symbols["NEW"].quoter.qty) == ("quoter", 5)


def test_another_strategy_of_ones_own_is_named(engine: Engine, tmp_path: Path) -> None:
    first, second = compiled(tmp_path, BUYER, "one"), compiled(tmp_path, EXAMPLE.read_text(), "two")
    engine.load_strategy(first)
    same = changed(("lease_s = 2", f'strategy_object = "{first}"'))
    assert differences(engine, same) == []
    other = changed(("lease_s = 2", f'strategy_object = "{second}"'))
    with pytest.raises(ConfigError, match=r"engine.strategy_object: sha256 \w+ -> sha256 \w+ .needs `turbo-hft"):
        apply(engine, other)


def test_an_engine_over_tcp_as_a_file_is_over_tcp_from_any_port() -> None:
    over_tcp = 'local = "10.1.0.7:0"\ntransport = "soupbintcp"'
    config = changed(('pin = true\non_restart = "trade"\n', ""), ('local = "10.1.0.7:26400"', over_tcp))
    with Engine.load(**config.load_settings()) as engine:
        session = replace(config.session.order_session(), local=("10.1.0.7", 33_000))  # as once it is connected
        engine.configure(session, config.feed.address())
        engine.interface = "eth1"
        text = as_toml(engine).replace('# username = "…"', 'username = "U" #')
        again = parse(text.replace('# password = "…"', 'password = "P"'))
        assert again.session.transport == "soupbintcp" and again.session.local == config.session.local
        assert [one.key for one in differences(engine, again)] == []


def test_a_running_engine_as_a_file_is_that_engine(engine: Engine) -> None:
    engine.symbols["AAPL"].limits.collar = "0.05"
    engine.symbols["AAPL"].momentum.window_s = 0.5
    text = as_toml(engine)
    with pytest.raises(ConfigError, match=r"session.username: it is missing"):
        parse(text)
    text = text.replace('# username = "…"', 'username = "U" #').replace('# password = "…"', 'password = "P"')
    again = parse(text)
    assert differences(engine, again) == []
    assert set(again.symbols) == {"AAPL", "BRK.A"} and again.sizes.symbols == 16

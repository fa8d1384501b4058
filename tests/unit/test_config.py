"""A configuration file: what is taken, and that every refusal names the key, the line and what to write."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from turbo_hft.config.read import lines_of, parse, read
from turbo_hft.config.running import later
from turbo_hft.config.schema import TABLES, Config, Endpoint, help_of
from turbo_hft.errors import ConfigError

ROOT = Path(__file__).parents[2]
GOOD = """\
mark = "mid"

[engine]
interface = "eth1"
pin = true
on_restart = "trade"
lease_s = 2

[sizes]
symbols = 16

[session]
local = "10.1.0.7:26400"
remote = "10.1.0.2:26450"
local_mac = "02:00:00:00:00:07"
remote_mac = "02:00:00:00:00:02"
username = "HFT001"
password = "SECRET"

[feed]
at = "239.1.0.1:26477"
source = "10.1.0.2"

[limits]
max_gross = "2000000"

[strategies.quoter]
max_executions = 500

[fees]
R = "0.0030"

[symbols.AAPL]
strategy = "quoter"
shadow = ["momentum"]
max_long = 500
quoter.half_spread = "0.02"
quoter.qty = 100

[symbols."BRK.A"]
buy_below = "163.20"
sell_above = "off"
"""


def good(old: str = "", new: str = "") -> Config:
    assert old in GOOD
    return parse(GOOD.replace(old, new, 1), "engine.toml")


def test_what_a_file_says() -> None:
    config = good()
    assert (config.engine.interface, config.engine.lease_s, config.engine.mode) == ("eth1", 2.0, "native")
    assert config.session.order_session().remote == ("10.1.0.2", 26450)
    assert config.feed.at == Endpoint("239.1.0.1", 26477) and config.feed.address().source == "10.1.0.2"
    assert config.account == {"max_gross": "2000000", "quoter.max_executions": 500, "mark": "mid", "fee.R": "0.0030"}
    assert config.symbols["AAPL"] == {
        "strategy": "quoter", "shadow": frozenset({"momentum"}), "max_long": 500, "quoter.half_spread": "0.02",
        "quoter.qty": 100,
    }  # fmt: skip
    assert config.symbols["BRK.A"] == {"buy_below": "163.20", "sell_above": None}
    assert config.load_settings()["symbols"] == 16 and "levels" not in config.load_settings()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("lease_s = 2", "leese_s = 2", "line 7: engine.leese_s: there is no such key; did you mean lease_s?"),
        ("lease_s = 2", 'lease_s = "2"', "line 7: engine.lease_s: '2': give a number"),
        ("lease_s = 2", "lease_s = 0", "engine.lease_s: 0: give a number, 0.01 to 3,600"),
        ("lease_s = 2", "lease_s = nan", "engine.lease_s: nan: give a number"),
        ("pin = true", "pin = 1", "line 5: engine.pin: 1: give true or false"),
        ('on_restart = "trade"', 'on_restart = "trad"', "line 6: engine.on_restart: 'trad': give trade"),
        ("symbols = 16", "symbols = 0", "line 10: sizes.symbols: 0: give a whole number, 1 to 16,384"),
        ("symbols = 16", "symbols = 1", "sizes.symbols: 2 symbols are named"),
        ("symbols = 16", "symbols = true", "sizes.symbols: True: give a whole number"),
        ('interface = "eth1"', "", "line 3: engine.interface: it is missing"),
        ("10.1.0.2:26450", "10.1.0.2", "line 14: session.remote: '10.1.0.2': write ADDR:PORT"),
        ("10.1.0.2:26450", "10.1.0.2:70000", "the port is 1 to 65535"),
        ('password = "SECRET"', "", "session: session.password and session.password_file: give one of them"),
        ('password = "SECRET"', 'password_file = "/nowhere"', "password_file /nowhere: No such file"),
        ("max_gross", "max_grosss", "line 25: limits.max_grosss: there is no such key; did you mean max_gross?"),
        ('"2000000"', '"much"', "line 25: limits.max_gross"),
        (
            "[strategies.quoter]",
            "[strategies.quotter]",
            "strategies.quotter: there is no such key; did you mean",
        ),
        ("max_executions = 500", "max_executions = -1", "strategies.quoter.max_executions"),
        ('R = "0.0030"', 'R = "11"', "line 31: fees.R"),
        ('R = "0.0030"', 'R = "1e999999"', "line 31: fees.R"),
        ("symbols = 16", "symbols = " + "9" * 5000, "is no TOML"),
        ('strategy = "quoter"', 'strategy = "quotes"', "line 34: symbols.AAPL.strategy: 'quotes': give quoter"),
        ('["momentum"]', '"momentum"', "symbols.AAPL.shadow: 'momentum': give a list"),
        (
            "max_long = 500",
            "max_lon = 500",
            "line 36: symbols.AAPL.max_lon: there is no such key; did you mean max_",
        ),
        ("quoter.qty = 100", "quoter.quantity = 1", "line 38: symbols.AAPL.quoter.quantity: there is no such key"),
        ("quoter.qty = 100", "quoter.qty = 1.5", "line 38: symbols.AAPL.quoter.qty"),
        ('buy_below = "163.20"', "buy_below = true", "line 41: symbols.BRK.A.buy_below"),
        ('"BRK.A"', '"FAR TOO LONG"', "symbols.FAR TOO LONG"),
        ('mark = "mid"', 'mark = "middle"', "line 1: mark: 'middle': give mid"),
        ("[feed]", "[feeds]", "line 20: feeds: there is no such key; did you mean fee"),
        ("[limits]\nmax_gross", "limits = 3\n[other]\nmax_gross", "limits"),
        ("[engine]", "[engine", "is no TOML"),
    ],
)
def test_a_refusal_names_key_line_and_remedy(old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        good(old, new)
    assert words in str(refused.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read(tmp_path / "nowhere.toml")
    path = tmp_path / "bad.toml"
    path.write_bytes(b"mark = \xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read(path)


@given(st.text(max_size=200))
def test_no_text_is_more_than_refused(text: str) -> None:
    lines_of(text)
    with pytest.raises(ConfigError):
        parse(text)


@given(st.data())
def test_no_value_is_more_than_refused(data: st.DataObject) -> None:
    lines = GOOD.splitlines()
    at = data.draw(st.sampled_from([number for number, line in enumerate(lines) if " = " in line]))
    value = data.draw(
        st.sampled_from(["{}", "[]", "1979-05-27", "inf", "-1", "''", "[[1]]", "1e400", "0x7fffffffffffffff"])
    )
    lines[at] = lines[at].partition(" = ")[0] + f" = {value}"
    try:
        parse("\n".join(lines))
    except ConfigError as error:
        assert (
            f"line {at + 1}" in str(error) or "session" in str(error) or "sizes" in str(error) or "feed" in str(error)
        )


def test_every_key_of_the_tables_has_a_text() -> None:
    for table, kind in TABLES.items():
        for name in kind.__dataclass_fields__:
            assert len(help_of(table, name)) > 5


def test_money_keeps_its_decimals() -> None:
    assert Decimal(good().account["fee.R"]) == Decimal("0.003")


def test_what_waits_for_the_next_start_is_named_without_its_value() -> None:
    now = good("lease_s = 2", "lease_s = 3\nleave = true\nkeep_orders = true")
    assert later(good(), now) == ["engine.keep_orders", "engine.leave"]
    assert later(good(), good('password = "SECRET"', 'password = "OTHER"')) == ["session.password"]
    assert later(good(), good("max_long = 500", "max_long = 5")) == []

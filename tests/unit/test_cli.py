"""The command line: exit codes, what goes to which stream, and that a refused change changes nothing."""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from argparse import Namespace
from decimal import Decimal

import pytest
from turbo_hft import program, settings
from turbo_hft.addresses import FeedAddress, Rerequest, lab_session
from turbo_hft.cli import common, main, session_options
from turbo_hft.cli.signals import Interrupted, StopFlag
from turbo_hft.errors import CapabilityError, ConfigError, LoadError, NotRunning, TurboHftError
from turbo_hft.wire.price import parse_price_e4
from unit.fakes import FakeEngine, order

COMMANDS = (
    *("demo", "lab", "exchange", "run", "dashboard", "status", "set", "halt", "resume"),
    *("book", "replay", "journal", "why", "version"),
)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()

    def adopt(args: Namespace) -> FakeEngine:
        if args.interface != fake.interface:
            raise NotRunning(f"no engine runs on {args.interface}:\nstart one with `turbo-hft run`.")
        return fake

    monkeypatch.setattr(common, "adopt", adopt)
    return fake


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    out, err = capsys.readouterr()
    assert f"turbo-hft {command}" in out and len(out.splitlines()) > 5
    assert err == ""


def test_help_lists_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(command in out for command in COMMANDS)
    assert all(f"\n  {code}" in out for code in (0, 1, 2, 3, 130))


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["lab"],
        ["lab", "sideways"],
        ["demo", "--duration", "0"],
        ["demo", "--duration", "inf"],
        ["demo", "--rate", "-1"],
        ["demo", "--symbols", "AAPL,AAPL"],
        ["demo", "--transport", "tcp"],
        ["demo", "--merge-cpu", "-1"],
        ["run", "--remote", "10.0.0.1:0"],
        ["run", "--symbol", "AAPL:nonsense=1"],
        ["run", "--feed", "10.0.0.1"],
        ["dashboard", "--remote", "10.0.0.1:70000"],
        ["run", "--max-symbols", "0"],
        ["run", "--rerequest", "10.0.0.1"],
        ["set"],
        ["set", "AAPL"],
        ["set", "AAPL", "buy_below"],
        ["set", "AAPL", "max_orders_per_second=1"],
        ["set", "AAPL", "buy_below=1.00001"],
        ["set", "AAPL", "buy_below=1", "buy_below=2"],
        ["set", "AAPL", "base_qty=1.5"],
        ["set", "AAPL", "base_qty=-1"],
        ["set", "buy_below=1"],
        ["set", "TSLA", "base_qty=1"],
        ["halt", "TSLA"],
        ["exchange", "--symbols", "TOOLONGNAME"],
        ["exchange", "--live-orders", "5"],
        ["exchange", "--market", "0"],
        ["book", "/nowhere", "--symbol", "AAPL"],
        ["replay", "/nowhere"],
    ],
)
def test_wrong_command_lines_exit_2(engine: FakeEngine, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.strip() and "Traceback" not in err


@pytest.mark.parametrize("words", [["status"], ["halt"], ["resume"], ["set", "AAPL", "base_qty=1"], ["dashboard"]])
def test_nothing_running_exits_3_with_one_line(
    engine: FakeEngine, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--interface", "nowhere0"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [f"turbo-hft {words[0]}: no engine runs on nowhere0: start one with `turbo-hft run`."]


def test_debug_shows_the_traceback_and_the_verifier(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def adopt(args: Namespace) -> FakeEngine:
        raise LoadError("the kernel refused the program", "R1 invalid mem access")

    monkeypatch.setattr(common, "adopt", adopt)
    assert main(["status"]) == 1
    assert capsys.readouterr().err == "turbo-hft status: the kernel refused the program\n"
    for words in (["--debug", "status"], ["status", "--debug"]):
        assert main(words) == 1
        err = capsys.readouterr().err
        assert "Traceback" in err and "R1 invalid mem access" in err
        assert err.splitlines()[-1] == "turbo-hft status: the kernel refused the program"


def test_unbuilt_package_names_the_remedy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def adopt(args: Namespace) -> FakeEngine:
        raise ImportError("libbpf.so.1: cannot open shared object file", name="turbo_hft._native")

    monkeypatch.setattr(common, "adopt", adopt)
    assert main(["status"]) == 1
    assert capsys.readouterr().err.startswith("turbo-hft status: libbpf.so.1: cannot open shared object file; build")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("SIGTERM")])
def test_interrupted_exits_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    def adopt(args: Namespace) -> FakeEngine:
        raise error

    monkeypatch.setattr(common, "adopt", adopt)
    assert main(["status"]) == 130
    assert capsys.readouterr().err == "turbo-hft: interrupted\n"


def test_halt_and_resume(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["halt"]) == 0
    assert engine.halted
    assert capsys.readouterr().out == "veth_hft: halted\n"
    assert main(["resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "interface": "veth_hft",
        "state": "active",
        "symbols": {"AAPL": "active", "MSFT": "active"},
        "strategies": dict.fromkeys(("threshold", "imbalance", "momentum", "quoter", "user", "manual"), "active"),
        "epoch": engine.epoch,
    }
    assert engine.closed


def test_halt_one_symbol(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["halt", "MSFT"]) == 0
    assert (engine.halted, engine.symbols["AAPL"].halted, engine.symbols["MSFT"].halted) == (False, False, True)
    assert capsys.readouterr().out == "veth_hft: trading, symbols: MSFT halted\n"
    assert main(["resume", "MSFT"]) == 0
    assert not any(symbol.halted for symbol in engine.symbols)


def test_set_targets_and_limits(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["set", "AAPL", "buy_below=163.19", "sell_above=163.22", "max_long=400", "tick=0.0001", "--json"]
    assert main(words) == 0
    symbol = engine.symbols["AAPL"]
    assert (symbol.buy_below, symbol.sell_above) == (Decimal("163.19"), Decimal("163.22"))
    assert (symbol.limits.max_long, symbol.tick) == (400, Decimal("0.0001"))
    shown = json.loads(capsys.readouterr().out)
    assert (shown["symbol"], shown["buy_below"], shown["tick"]) == ("AAPL", "163.19", "0.0001")


def test_set_moves_both_targets_across_each_other(engine: FakeEngine) -> None:
    assert main(["set", "AAPL", "buy_below=10", "sell_above=11"]) == 0
    assert main(["set", "AAPL", "buy_below=20", "sell_above=21"]) == 0
    assert main(["set", "AAPL", "sell_above=off"]) == 0
    assert (engine.symbols["AAPL"].buy_below, engine.symbols["AAPL"].sell_above) == (Decimal(20), None)


@pytest.mark.parametrize(
    "words",
    [
        ["base_qty=7", "max_long=1000000001"],
        ["base_qty=7", "buy_below=12", "sell_above=11.99"],
        ["base_qty=7", "cap_qty=nonsense"],
        ["max_long=7", "buy_below=12", "sell_above=11.99"],
        ["max_long=7", "strategy=nonsense"],
        ["max_long=7", "shadow=quoter+nonsense"],
        ["quoter.qty=7", "collar=5000"],
        ["reference=bid", "max_long=7"],
    ],
)
def test_set_is_all_or_nothing(engine: FakeEngine, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["set", "AAPL", "buy_below=10", "sell_above=11"]) == 0
    before = settings.current(engine.symbols["AAPL"])
    assert main(["set", "AAPL", *words]) == 2
    assert settings.current(engine.symbols["AAPL"]) == before
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_set_of_a_strategy_arms_and_shows_itself(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "strategy=quoter",
        "shadow=momentum+imbalance",
        "quoter.half_spread=0.02",
        "quoter.qty=100",
        "short_ok=yes",
    ]
    assert main(["set", "AAPL", *words, "collar=50bp"]) == 0
    symbol = engine.symbols["AAPL"]
    assert symbol.strategy == "quoter" and symbol.shadow == {"momentum", "imbalance"}
    assert symbol.memory.share("books")[0].armed == 1
    assert (symbol.limits.short_ok, symbol.limits.collar) == (True, Decimal("0.005"))
    shown = capsys.readouterr().out
    assert shown.startswith("AAPL strategy=quoter shadow=imbalance+momentum buy_below=off ")
    assert main(["set", "AAPL", *shown.split()[1:-1]]) == 0, "what is shown can be given"
    assert capsys.readouterr().out.split()[:-1] == shown.split()[:-1]
    assert main(["set", "AAPL", "strategy=off", "shadow=off"]) == 0
    again = engine.symbols["AAPL"]
    assert again.strategy is None and not again.shadow and not again.memory.share("books")[0].armed


def test_set_of_the_whole_engine_is_one_change(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    before = engine.epoch
    words = ["orders_per_second=7", "max_gross=2500.50", "quoter.max_executions=9", "manual.burst=1"]
    assert main(["set", *words]) == 0
    assert (engine.limits.orders_per_second, engine.limits.max_gross) == (7, Decimal("2500.5"))
    assert (engine.strategies["quoter"].limits.max_executions, engine.strategies["manual"].limits.burst) == (9, 1)
    assert engine.epoch == before + 1
    out = capsys.readouterr().out
    assert "orders_per_second=7 " in out and "quoter.max_executions=9 " in out and "max_gross=2500.50 " in out
    assert main(["set", "fee.R=0.0030", "fee.A=-0.0020", "mark=mid"]) == 0
    assert (engine.fees["R"], engine.fees["A"], engine.mark) == (Decimal("0.003"), Decimal("-0.002"), "mid")


@pytest.mark.parametrize("wrong", ["quoter.max_long=3", "burst=x", "max_gross=-1", "nonsense.burst=1", "fee.RR=1"])
def test_set_of_the_whole_engine_is_all_or_nothing(engine: FakeEngine, wrong: str) -> None:
    before = engine.limits.as_dict()
    assert main(["set", "max_open_orders=3", wrong]) == 2
    assert engine.limits.as_dict() == before


def test_limits_shows_all_of_them(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["limits"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 6 + 2
    assert lines[0].startswith("all orders: max_order_qty=10000 max_notional=1000000.00 ")
    assert "collar=0.10 reference=mid reference_age_s=5 restricted=no short_ok=no" in lines[-1]
    assert main(["limits", "MSFT", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert list(shown["symbols"]) == ["MSFT"] and shown["strategies"]["quoter"]["max_executions"] == 10_000


def test_reduce_and_strategies_have_switches(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reduce"]) == 0
    assert main(["halt", "--strategy", "quoter"]) == 0
    assert main(["reduce", "MSFT"]) == 0
    assert (engine.state, engine.strategies["quoter"].state, engine.symbols["MSFT"].state) == (
        "reducing", "halted", "reducing",
    )  # fmt: skip
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == "veth_hft: reducing only, symbols: MSFT reducing only, strategies: quoter halted"
    assert main(["resume", "--strategy", "quoter"]) == 0
    assert engine.strategies["quoter"].state == "active"
    assert main(["halt", "AAPL", "--strategy", "quoter"]) == 2
    assert main(["halt", "--strategy", "nonsense"]) == 2


def test_halt_cancel_says_what_is_left(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.orders.working = [order(1), order(2, pending=("cancel",))]
    assert main(["halt", "--cancel", "--timeout", "3"]) == 0
    assert engine.halted and engine.orders.asked == [(None, None, 3.0)]
    assert capsys.readouterr().out.endswith("2 orders ended, 0 left\n")
    engine.orders.left = [engine.orders.working[1]]
    assert main(["halt", "--cancel", "AAPL"]) == 1
    assert engine.symbols["AAPL"].halted and engine.orders.asked[-1] == ("AAPL", None, 2.0)
    out = capsys.readouterr().out
    assert "1 orders ended, 1 left" in out
    assert "#2 live (cancel pending) threshold buy 100 of 100 AAPL @ 163.20: session_down" in out
    assert main(["halt", "--cancel", "--strategy", "quoter", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["canceled"], shown["left"][0]["user_ref"], shown["left"][0]["refused"]) == (1, 2, "session_down")
    assert shown["strategies"]["quoter"] == "halted"


def test_orders_and_cancel(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.orders.working = [order(1), order(2, symbol="MSFT", side="sell", short_sale=True, strategy="quoter")]
    assert main(["orders"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "#1 live threshold buy 100 of 100 AAPL @ 163.20",
        "#2 live quoter sell short 100 of 100 MSFT @ 163.20",
    ]
    assert main(["orders", "--json", "--symbol", "MSFT", "--all"]) == 0
    assert json.loads(capsys.readouterr().out)["user_ref"] == 2
    assert main(["cancel", "1", "2"]) == 0
    assert main(["cancel", "--all", "--symbol", "AAPL"]) == 0
    assert engine.orders.asked == [1, 2, ("AAPL", None, 2.0)]
    engine.orders.left = engine.orders.working
    assert main(["cancel", "--all"]) == 1
    assert [main(["cancel", *words]) for words in ([], ["1", "--all"], ["1", "--symbol", "AAPL"])] == [2, 2, 2]


def test_strategies_rearm_and_trust(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.fake_account[0].strategy[4].latched, engine.fake_account[0].strategy[4].executions = 1, 12
    engine.symbols["MSFT"].strategy = "quoter"
    assert main(["strategies"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("quoter"))
    assert line == "quoter    active LATCHED: 0 orders, 0 open, 12 executions, 1 symbols"
    assert main(["rearm", "--strategy", "quoter"]) == 0
    assert main(["rearm", "--all"]) == 0
    assert main(["trust"]) == 0
    assert engine.rearmed == [4, "account", "session"]
    assert main(["rearm"]) == 2


def test_status_as_lines_and_as_json(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.count["frames"] = 12
    assert main(["status"]) == 0
    out = capsys.readouterr().out
    assert (
        "generation 2, sha256 abababababababab, since " in out
        and "with strategy lean, pinned, run by process 17" in out
    )
    assert "veth_hft TRADING" in out and "counters: frames 12" in out and "itch: A 7" in out
    assert main(["status", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["counters"]["events"] == 0 and shown["itch"] == {"A": 7, "D": 0} and len(shown["symbols"]) == 2


def test_dashboard_json_is_a_line_a_snapshot(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "query", lambda interface: (17, 0))
    assert main(["dashboard", "--json", "--duration", "0.05"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert [feed["health"] for feed in json.loads(line)["feeds"]] == ["live"]


def test_dashboard_ends_with_its_engine(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = iter([17, 17, 18, 18])
    monkeypatch.setattr(program, "query", lambda interface: (next(ids), 0))
    monkeypatch.setattr("turbo_hft.cli.dashboard._ALIVE_PERIOD_S", 0.0)
    assert main(["dashboard", "--duration", "20"]) == 0
    assert "has ended" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--json"]) == 0
    assert {"turbo_hft", "abi", "python", "kernel"} == set(json.loads(capsys.readouterr().out))
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith("turbo-hft ")


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    session_options.add_session_options(parser)
    session_options.add_symbol_option(parser)
    return parser.parse_args(words)


def test_session_defaults_are_the_labs() -> None:
    session, feed = session_options.session_from(options())
    assert (session.local, session.remote) == (("10.77.0.1", 26400), ("10.77.0.2", 26450))
    assert (session.username, session.password, session.tif) == ("HFT001", "SECRET", "ioc")
    assert (feed.group, feed.port) == ("239.77.0.1", 26477)
    session, feed = session_options.session_from(options("--transport", "soupbintcp"))
    assert session == lab_session(transport="soupbintcp") and session.local == ("10.77.0.1", 0)
    assert feed.rerequest == Rerequest(("10.77.0.2", 26478), ("10.77.0.1", 26401))
    with pytest.raises(ConfigError, match="--local: the port is 1 to 65535 over UFO"):
        session_options.session_from(options("--local", "10.77.0.1:0"))
    session, _ = session_options.session_from(options("--protocol", "ouch42", "--firm", "TEST", "--vlan", "7"))
    assert (session.remote[1], session.firm, session.vlan) == (26442, "TEST", 7)


def test_session_given_in_full() -> None:
    words = "--no-lab-defaults --local 10.1.0.1:1 --remote 10.1.0.2:2 --local-mac 02:00:00:00:00:01 "
    words += "--remote-mac 02:00:00:00:00:02 --account ME:IT:SELF --feed 239.1.1.1:3 --feed-source 10.1.0.9"
    session, feed = session_options.session_from(options(*words.split()))
    assert (session.local, session.remote) == (("10.1.0.1", 1), ("10.1.0.2", 2))
    assert (session.username, session.password) == ("ME", "IT:SELF")
    assert (feed.group, feed.port, feed.source) == ("239.1.1.1", 3, "10.1.0.9")
    with pytest.raises(ConfigError, match="--remote-mac, --account, --feed missing"):
        session_options.session_from(options(*words.split()[:7]))
    with pytest.raises(ConfigError, match="USER:PASS"):
        session_options.session_from(options("--account", "nobody"))


def test_line_b_and_rerequest() -> None:
    _, feed = session_options.session_from(
        options("--feed-b", "239.77.1.1:26478", "--feed-b-source", "10.77.0.9", "--rerequest", "10.77.0.2:26500")
    )
    assert (feed.group, feed.source) == ("239.77.0.1", "10.77.0.2"), "line A stays the lab's"
    assert [(line.line, line.address, line.port, line.peer) for line in feed.lines()] == [
        ("a", "239.77.0.1", 26477, ("10.77.0.2", 0)),
        ("b", "239.77.1.1", 26478, ("10.77.0.9", 0)),
        ("rerequest", "10.77.0.1", 26401, ("10.77.0.2", 26500)),
    ]
    _, feed = session_options.session_from(
        options("--rerequest", "10.77.0.2:26500", "--rerequest-local", "10.77.0.1:3000")
    )
    assert feed.rerequest is not None and feed.rerequest.local == ("10.77.0.1", 3000)
    with pytest.raises(ConfigError, match="--rerequest too"):
        session_options.session_from(options("--rerequest-local", "10.77.0.1:3000"))


def test_a_line_b_needs_a_place_of_its_own() -> None:
    feed = FeedAddress("239.1.1.1", 1000, port_b=1001)
    assert [(line.address, line.port) for line in feed.lines()] == [("239.1.1.1", 1000), ("239.1.1.1", 1001)]
    feed = FeedAddress("239.1.1.1", 1000, group_b="239.1.1.2")
    assert [(line.address, line.port) for line in feed.lines()] == [("239.1.1.1", 1000), ("239.1.1.2", 1000)]
    with pytest.raises(ConfigError, match="group_b or port_b"):
        FeedAddress("239.1.1.1", 1000, source_b="10.0.0.1").lines()


def test_sizes() -> None:
    parser = argparse.ArgumentParser()
    session_options.add_size_options(parser)
    assert session_options.sizes_from(parser.parse_args([])) == {}
    given = session_options.sizes_from(parser.parse_args(["--max-symbols", "10000", "--max-orders", "2000000"]))
    assert given == {"symbols": 10_000, "orders": 2_000_000}


def test_symbol_words() -> None:
    spec = settings.parse_symbol("AAPL:buy_below=163.20,sell_above=off,base_qty=10")
    assert (spec.name, spec.settings) == ("AAPL", {"buy_below": "163.20", "sell_above": None, "base_qty": 10})
    assert settings.parse_symbol("AAPL").settings == {}
    for wrong in (":base_qty=1", "AAPL:", "AAPL:base_qty", "AAPL:base_qty=", "AAPL:buy_below=-1", "AAPL:tick=off"):
        if wrong == "AAPL:":
            continue
        with pytest.raises(ConfigError):
            settings.parse_symbol(wrong)


def test_default_symbols_trade_both_ways() -> None:
    for spec in session_options.default_symbols():
        buy, sell = (parse_price_e4(str(spec.settings[key])) for key in ("buy_below", "sell_above"))
        assert 0 < buy < sell


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_the_wait_and_is_noted(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopFlag() as stop:
        assert not stop.wait(0)
        stop.check()
        start = time.monotonic()
        os.kill(os.getpid(), number)
        assert stop.wait(5)
        assert time.monotonic() - start < 1
        assert stop.number == number
        with pytest.raises(Interrupted, match=number.name):
            stop.check()
    assert signal.getsignal(number) is before


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopFlag() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.wait(0.05)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_every_error_of_the_package_has_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = {"NotRunning": 3, "ConfigError": 2, "MalformedMessage": 2}
    for kind in TurboHftError.__subclasses__():

        def adopt(args: Namespace, kind: type[TurboHftError] = kind) -> FakeEngine:
            raise kind("wrong")

        monkeypatch.setattr(common, "adopt", adopt)
        assert main(["status", "--control-root", "/nonexistent"]) == expected.get(kind.__name__, 1), kind
        said = capsys.readouterr().err
        if kind is CapabilityError:  # there is another way, and it is named
            assert said.startswith("turbo-hft status: wrong Without it: nobody listens at "), said
        else:
            assert said == "turbo-hft status: wrong\n"

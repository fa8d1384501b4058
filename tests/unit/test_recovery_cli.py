"""`turbo-hft resync`: the command line, and how recovery is chosen for `run`."""

from __future__ import annotations

import argparse

import pytest
from turbo_hft.cli import main, session_options
from turbo_hft.cli.resync import _line
from turbo_hft.errors import ConfigError
from turbo_hft.recovery import Glimpse, Incident, RecoveryCounters, RecoveryStatus
from turbo_hft.recovery.by_hand import Resynced


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    session_options.add_session_options(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    "words",
    [[], ["--all", "AAPL"], ["AAPL", "--timeout", "0"], ["AAPL", "--glimpse", "nowhere"], ["AAPL", "--account", "ME"]],
)
def test_usage_errors(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resync", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err


def test_no_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resync", "AAPL", "--interface", "nowhere0"]) == 3
    assert "nowhere0" in capsys.readouterr().err


def test_the_servers_are_the_labs_by_default() -> None:
    session, feed = session_options.session_from(options())
    assert feed.rerequest is not None
    assert (feed.rerequest.server, feed.rerequest.local) == (("10.77.0.2", 26478), ("10.77.0.1", 26401))
    assert session_options.glimpse_from(options(), session) == Glimpse(("10.77.0.2", 26479), "HFT001", "SECRET")
    given = options("--glimpse", "10.1.0.2:5", "--account", "ME:IT")
    session, _ = session_options.session_from(given)
    assert session_options.glimpse_from(given, session) == Glimpse(("10.1.0.2", 5), "ME", "IT")


def test_without_the_labs_defaults_there_are_none() -> None:
    words = "--no-lab-defaults --local 10.1.0.1:1 --remote 10.1.0.2:2 --local-mac 02:00:00:00:00:01 "
    words += "--remote-mac 02:00:00:00:00:02 --account ME:IT --feed 239.1.1.1:3"
    session, feed = session_options.session_from(options(*words.split()))
    assert feed.rerequest is None and session_options.glimpse_from(options(*words.split()), session) is None
    with pytest.raises(ConfigError, match="USER:PASS"):
        session_options.account_from("ME")


def test_what_people_read() -> None:
    assert _line(Resynced("AAPL", 0, True, "us", 77, 12.34, "")) == "AAPL: restored in 12.3 ms, from message 77 on"
    assert _line(Resynced("AAPL", 0, True, "service", 0, 5.0, "")).endswith("by the engine's own recovery")
    assert "NOT restored in 1000 ms: no server" in _line(Resynced("AAPL", 0, False, "us", 0, 1000.0, "no server"))
    history = (Incident("gap", 0, 2_000_000, ""), Incident("gap", 0, 9_000_000, ""), Incident("symbols", 0, 1, ""))
    status = RecoveryStatus(0, "stuck", 0, (), "no server", RecoveryCounters(requests=3), history)
    assert status.line().startswith("recovery of feed 0: 2 gap, 1 symbols, at most 9.0 ms; 3 requests")
    assert status.line().endswith("stuck: no server")

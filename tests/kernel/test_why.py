"""`why`: out of the journal alone, an order, a refusal and a silence are explained with what was in force then."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gate_rig import GateRig
from turbo_hft import abi
from turbo_hft.addresses import lab_session
from turbo_hft.announce import because
from turbo_hft.cli import main
from turbo_hft.errors import ConfigError, OrderRefused
from turbo_hft.events import Event
from turbo_hft.journal import EventRecord, Journal, JournalReader, Recorder
from turbo_hft.journal.reasons import EXPLAINED, Case, met
from turbo_hft.journal.why import _transport, explain_event, explain_order, explain_sequence, lines
from turbo_hft.template import order_template
from turbo_hft.testing import Hook

pytestmark = pytest.mark.kernel


@pytest.fixture
def rig(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> GateRig:
    rig = GateRig(hook)
    monkeypatch.setattr(rig.engine.orders, "send", lambda frame: None)
    return rig


def seen(recorder: Recorder) -> None:
    """Until the recorder has looked: a person's changes are further apart than its looks."""
    end = time.monotonic() + 10
    while recorder._watch.epoch != recorder.engine.epoch:
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.fixture
def recorded(rig: GateRig, tmp_path: Path) -> Iterator[Path]:
    """A limit, an order, a tighter limit, a refusal, the wide limit again, a halt, and a refusal."""
    orders, symbol = rig.engine.orders, rig.engine.symbols["AAPL"]
    with Journal.open(tmp_path) as journal, Recorder(rig.engine, journal) as recorder:
        orders.enter("AAPL", "buy", 100, "150.10")
        with because("too much for a Friday"):
            symbol.limits.max_order_qty = 40
        seen(recorder)
        with pytest.raises(OrderRefused):
            orders.enter("AAPL", "buy", 41, "150.10")
        symbol.limits.max_order_qty = 1000
        seen(recorder)
        with because("lunch"):
            rig.engine.halt()
        seen(recorder)
        with pytest.raises(OrderRefused):
            orders.enter("AAPL", "buy", 5, "150.00")
    yield tmp_path


def by_qty(directory: Path, qty: int) -> EventRecord:
    return next(r for r in JournalReader(directory) if isinstance(r, EventRecord) and r.event.qty == qty)


def test_a_refusal_has_the_limit_of_then_and_who_set_it(recorded: Path) -> None:
    (decision,) = explain_event(JournalReader(recorded), by_qty(recorded, 41).event.id)["decisions"]
    refusal = decision["refusal"]
    assert refusal["reason"] == "max_order_qty" and refusal["values"]["qty"] == 41
    assert refusal["limits"]["symbol.AAPL.limits.max_order_qty"] == 40, "the limit of then, not of later"
    assert "(uid 0" in refusal["set_by"] or "uid" in refusal["set_by"]
    assert "too much for a Friday" in decision["last_change"]["line"]
    assert decision["intent"] == {
        "action": "enter", "side": "buy", "qty": 41, "price_e4": 1_501_000, "replaces_or_cancels": None,
    }  # fmt: skip
    assert decision["open_orders_before"]["buy_qty"] == 100 and decision["strategy"] == "manual"
    assert decision["book"] == {"bid_e4": 1_500_000, "ask_e4": 1_501_000}


@pytest.mark.parametrize("vlan", [None, 7])
def test_what_carried_an_order_is_named(vlan: int | None) -> None:
    for session, name in ((lab_session(), "UFO"), (lab_session(transport="soupbintcp"), "SoupBinTCP")):
        template = order_template(replace(session, vlan=vlan))[0]
        assert _transport(bytes(template.headers)[: template.headers_len]) == name


def test_a_halt_is_named(recorded: Path) -> None:
    (decision,) = explain_event(JournalReader(recorded), by_qty(recorded, 5).event.id)["decisions"]
    assert decision["refusal"]["reason"] == "halted_global"
    assert decision["kill_switches"]["engine.kill"] == "halted"
    assert "lunch" in decision["last_change"]["line"]
    text = "\n".join(lines({"run": 1, "decisions": [decision]}))
    assert "Refused (halted_global): buy 5 AAPL at 150.0000" in text and "the engine was halted" in text


def test_an_order_from_the_tick_to_its_replies(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    event = by_qty(recorded, 100).event
    (decision,) = explain_order(JournalReader(recorded), event.user_ref)["decisions"]
    assert decision["limits"]["symbol.AAPL.limits.max_order_qty"] == 2**63 - 1
    assert decision["frame"]["message"] == "enter" and decision["frame"]["user_ref"] == event.user_ref
    assert decision["frame"]["protocol"] == "OUCH 5.0 in UFO" and decision["frame"]["quantity"] == 100
    assert decision["became"] == [] and decision["not_known"] == []
    assert main(["why", "--order", str(event.user_ref), "--journal", str(recorded)]) == 0
    assert "no reply is recorded" in capsys.readouterr().out
    assert main(["why", str(event.feed_seq), "--journal", str(recorded), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {d["event"]["kind"] for d in found["decisions"]} == {"order", "refused"} and "not_answered" not in found


def test_a_tick_that_was_not_answered(recorded: Path) -> None:
    found = explain_sequence(JournalReader(recorded), 1)
    silent = found["not_answered"]
    assert found["decisions"] == []
    assert set(silent["symbols"]) == {"AAPL", "MSFT"}
    assert "switched off" in silent["symbols"]["MSFT"]["why_not"][0] or "none was asked" in str(silent["symbols"])
    assert any("would have left a record" in line for line in silent["sure"])
    assert any("which symbol the message was of" in line for line in silent["cannot_be_known"])
    later = explain_sequence(JournalReader(recorded), 10**9)["not_answered"]
    assert later["cannot_be_known"][0].startswith("whether it passed at all")
    assert "was not answered" in next(lines(found))


def test_what_is_not_there_is_said(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for explain in (explain_event, explain_order):
        with pytest.raises(ConfigError, match=r"no (event|order)"):
            explain(JournalReader(recorded), 4_000_000_000)
    for words in (["why", "--journal", str(recorded)], ["why", "3", "--order", "4", "--journal", str(recorded)]):
        assert main(words) == 2
    assert main(["why", "3", "--journal", str(recorded / "nothing")]) == 1
    assert capsys.readouterr().out == ""


def test_changes_that_were_seen_in_one_look_are_not_told_apart(
    rig: GateRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = rig.engine
    with Journal.open(tmp_path) as journal, Recorder(engine, journal) as recorder:
        # It looks once, at the end.
        recorder._looked = time.monotonic() + 3600
        monkeypatch.setattr(recorder._watch, "stirred", lambda: False)
        monkeypatch.setattr(recorder, "_hear", lambda: None)
        engine.symbols["AAPL"].limits.max_order_qty = 10
        orders_epoch = engine.epoch
        with pytest.raises(OrderRefused):
            engine.orders.enter("AAPL", "buy", 11, "150.10")
        engine.symbols["AAPL"].limits.max_order_qty = 20
    (decision,) = explain_event(JournalReader(tmp_path), by_qty(tmp_path, 11).event.id)["decisions"]
    assert decision["event"]["epoch"] == orders_epoch
    assert any("is not told apart: symbol.AAPL.limits.max_order_qty" in doubt for doubt in decision["not_known"])


def test_every_reason_of_the_gate_is_explained() -> None:
    assert set(EXPLAINED) == set(abi.reasons().values()) - {"none", "s"}
    names: dict[str, Any] = dict.fromkeys(Event.__dataclass_fields__, 0)
    for reason in EXPLAINED:
        names |= {"kind": "refused", "reason": reason, "symbol": "A", "side": "buy", "strategy": "user"}
        why = met(Case(Event(**names), {}, 0, 0))
        assert why.words and all(value == "not recorded" for value in why.limits.values())

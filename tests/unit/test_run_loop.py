"""The loop of `run`: when it renews the lease, and where its output goes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from turbo_hft.cli import run
from turbo_hft.engine import Engine
from unit.fakes import FakeEngine


@pytest.mark.parametrize(("on_failure", "beats"), [("halt", 1), ("go-on", 3)])
def test_no_lease_while_nothing_is_recorded(
    on_failure: str, beats: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    counted: list[int] = []
    engine = cast(Engine, FakeEngine())
    monkeypatch.setattr(engine.lease, "beat", lambda: counted.append(1), raising=False)
    recorder = SimpleNamespace(on_failure=on_failure, still_s=0.0)
    running = run._Running(cast(Any, None), None, None, None, None, cast(Any, recorder))
    running.beat(engine)
    recorder.still_s = run._STILL_S + 1
    running.beat(engine)
    running.beat(engine)
    assert len(counted) == beats
    said = capsys.readouterr().err
    assert said.count("stands still") == (on_failure == "halt")
    recorder.still_s = 0.0
    running.beat(engine)
    assert len(counted) == beats + 1

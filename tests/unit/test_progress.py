"""The progress line: on a terminal only, not at once, and gone before anything else is written."""

from __future__ import annotations

import io
import sys

import pytest
from turbo_hft.recorded import progress
from turbo_hft.recorded.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_shown_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_FIRST_S", 0.0)
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    shown = Progress()
    shown.tell(lambda: "half")
    shown.clear()
    assert file.getvalue() == ""


def test_a_line_comes_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    Progress().tell(lambda: "too early")
    assert terminal.getvalue() == ""
    monkeypatch.setattr(progress, "_FIRST_S", 0.0)
    shown = Progress()
    shown.tell(lambda: "half")
    shown.tell(lambda: "too often")
    shown.clear()
    shown.clear()
    assert terminal.getvalue() == "\r\x1b[Khalf\r\x1b[K"

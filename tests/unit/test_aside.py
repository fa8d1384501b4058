"""Lines for people that hold up nobody."""

from __future__ import annotations

import threading

import pytest
from turbo_hft.cli import aside
from turbo_hft.cli.aside import Aside


def test_lines_come_in_order() -> None:
    said: list[str] = []
    with Aside(said.append) as talk:
        for number in range(100):
            talk(str(number))
    assert said == [str(number) for number in range(100)]


def test_who_does_not_read_holds_up_nobody_and_hears_what_was_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "_MOST_LINES", 2)
    reads, begun, said = threading.Event(), threading.Event(), list[str]()

    def say(line: str) -> None:
        begun.set()
        assert reads.wait(10)
        said.append(line)

    with Aside(say) as talk:
        talk("0")
        assert begun.wait(10)
        for number in range(1, 5):
            talk(str(number))  # two of them find room
        reads.set()
        end = threading.Event()
        while len(said) < 4 and not end.wait(0.01):
            pass
    assert said[0] == "0" and "2 lines" in said[1] and said[2:] == ["1", "2"]

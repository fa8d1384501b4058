"""What a recorder hears of who changes an engine, and what it does not take for a word."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator

import pytest
from turbo_hft.announce import Listener, address, announce
from turbo_hft.locks import Locks

LOCKS = Locks(os.getpid())
NOBODY = 65_534


@pytest.fixture
def listener() -> Iterator[Listener]:
    LOCKS.begin()
    made = Listener(LOCKS)
    yield made
    made.close()
    LOCKS.end()


def send(text: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
        way.sendto(text, address(LOCKS.directory))


def as_nobody(what: Callable[[], None]) -> None:
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            what()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 60_000,
        b"{",
        b"[]",
        b"\xff",
        b'{"note": []}',
        b'{"epoch": "7"}',
        b'{"epoch": []}',
        b'{"client": 1}',
        b'{"what": "\\ud800"}',
        b'{"note": "upgrade", "took_s": NaN}',
        b'{"epoch": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_word_is_dropped_and_the_next_one_heard(listener: Listener, text: bytes) -> None:
    send(text)
    announce(LOCKS.directory, epoch=7)
    assert [(word.get("epoch"), word["by"]["pid"]) for word in listener.heard()] == [(7, os.getpid())]


def test_who_cannot_change_an_engine_is_not_heard(listener: Listener) -> None:
    if os.geteuid():
        pytest.skip("only root can be somebody else")
    lie = b'{"note": "upgrade", "outcome": "in force"}'

    def cannot_reach_it() -> None:
        with pytest.raises(PermissionError):
            send(lie)

    as_nobody(cannot_reach_it)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as given:  # and who was given a way by somebody who could
        given.connect(address(LOCKS.directory))
        as_nobody(lambda: given.sendall(lie))
    announce(LOCKS.directory, what="rearms")
    assert [word.get("what") for word in listener.heard()] == ["rearms"]


def test_a_flood_does_not_keep_the_recorder(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turbo_hft.announce._MOST_AT_ONCE", 3)
    for number in range(5):
        announce(LOCKS.directory, epoch=number)
    assert [word["epoch"] for word in listener.heard()] == [0, 1, 2]
    assert [word["epoch"] for word in listener.heard()] == [3, 4]

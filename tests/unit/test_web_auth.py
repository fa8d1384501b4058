"""Tokens, sessions, and how often a wrong token is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from turbo_hft.dashboard.web.auth import (
    Sessions,
    Tokens,
    WrongTokens,
    csrf_fits,
    is_loopback,
    new_token,
    read_token,
)
from turbo_hft.errors import ConfigError


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_made_tokens_are_long_and_never_the_same() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100 and min(map(len, made)) >= 43


def test_a_token_gives_its_role_and_no_other() -> None:
    tokens = Tokens("t" * 40, "r" * 40, "m" * 40)
    assert (tokens.role("t" * 40), tokens.role("r" * 40)) == ("trade", "read")
    for wrong in ("m" * 40, "t" * 39, "t" * 41, "", "é" * 40, "\ud800"):
        assert tokens.role(wrong) is None


def test_metrics_are_for_the_read_token_and_here_for_their_own() -> None:
    tokens = Tokens("t" * 40, "r" * 40, "m" * 40)
    asked = [("r", False), ("r", True), ("m", True), ("m", False), ("t", True), ("x", True)]
    assert [tokens.scrapes(each * 40, loopback=here) for each, here in asked] == [True, True, True, False, False, False]


def test_two_roles_with_one_token_are_refused() -> None:
    with pytest.raises(ConfigError, match="equal"):
        Tokens("t" * 40, "t" * 40)


def token_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "token"
    path.write_text(text, encoding="latin-1")
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_token_file_of_ours_is_read(tmp_path: Path, mode: int) -> None:
    assert read_token(token_file(tmp_path, f"{'a' * 32}\n", mode)) == "a" * 32


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match=f"mode {mode:04o}.*chmod 0600"):
        read_token(token_file(tmp_path, "a" * 32, mode))


@pytest.mark.parametrize(
    "text", ["", "short", "a" * 257, f"{'a' * 20} {'b' * 20}", f"{'a' * 32}\n{'b' * 32}", "é" * 40]
)
def test_what_is_no_token_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="holds no token"):
        read_token(token_file(tmp_path, text))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the token file .*none"):
        read_token(tmp_path / "none")
    with pytest.raises(ConfigError, match="cannot read the token file"):
        read_token(tmp_path)
    with pytest.raises(ConfigError, match="no regular file"):
        read_token("/dev/null")


def test_a_session_ends_with_its_time_and_at_logout() -> None:
    clock = Clock()
    sessions = Sessions(60.0, clock)
    secret, session = sessions.begin("trade", "127.0.0.1")
    other, _ = sessions.begin("read", "127.0.0.1")
    assert sessions.find(secret) == session and sessions.find("x") is None and sessions.find("") is None
    sessions.end(secret)
    assert sessions.find(secret) is None and sessions.find(other) is not None
    clock.now += 60.0
    assert sessions.find(other) is None and len(sessions) == 0


def test_those_who_only_look_cannot_push_a_trader_out() -> None:
    sessions = Sessions(60.0)
    trader, _ = sessions.begin("trade", "127.0.0.1")
    lookers = [sessions.begin("read", "127.0.0.1")[0] for _ in range(100)]
    assert sessions.find(trader) is not None
    assert len(sessions) == 33 and [sessions.find(each) is not None for each in lookers] == [False] * 68 + [True] * 32


def test_csrf_is_of_one_session() -> None:
    sessions = Sessions(60.0)
    one, two = sessions.begin("trade", "a")[1], sessions.begin("trade", "a")[1]
    assert csrf_fits(one, one.csrf) and not csrf_fits(one, two.csrf) and not csrf_fits(one, "")


def test_wrong_tokens_are_limited_for_each_address() -> None:
    clock = Clock()
    wrong = WrongTokens(3, 60.0, clock)
    for _ in range(3):
        assert wrong.wait_s("10.0.0.1") == 0
        wrong.note("10.0.0.1")
        clock.now += 10
    assert wrong.wait_s("10.0.0.1") == 30 and wrong.wait_s("10.0.0.2") == 0
    clock.now += 30
    assert wrong.wait_s("10.0.0.1") == 0


def test_an_ipv6_network_is_one_address() -> None:
    wrong = WrongTokens(1, 60.0)
    wrong.note("2001:db8::1")
    assert wrong.wait_s("2001:db8::ffff") > 0 and wrong.wait_s("2001:db8:0:1::1") == 0


def test_many_addresses_take_no_more_memory() -> None:
    wrong = WrongTokens(1, 60.0)
    for number in range(3000):
        wrong.note(f"10.0.{number // 256}.{number % 256}")
    assert len(wrong._wrong) == 1024


def test_loopback() -> None:
    assert is_loopback("127.0.0.1") and is_loopback("127.9.9.9") and is_loopback("::1")
    assert not any(map(is_loopback, ("0.0.0.0", "10.0.0.1", "::", "localhost", "")))

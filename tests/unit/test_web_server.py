"""The web face: what a request must pass, who may do what, what is done, and the stream of pictures."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from turbo_hft.dashboard.web import pictures, server
from turbo_hft.dashboard.web.exposition import WebCounts
from turbo_hft.dashboard.web.guard import host_names
from turbo_hft.dashboard.web.pictures import MOST_CLIENTS, MOST_WATCHED, Busy, Pictures
from turbo_hft.dashboard.web.server import _PAGE
from turbo_hft.errors import ConfigError, NotRunning
from unit.fakes import order
from unit.web_rig import HERE, OWN, PORT, READ, TRADE, Rig, web


@pytest.fixture
def rig() -> Iterator[Rig]:
    with web() as made:
        made.login()
        yield made


# What every request must pass


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", f"127.0.0.1.evil:{PORT}", ""]
)
def test_another_name_is_refused_whatever_it_asks_for(rig: Rig, host: str) -> None:
    for path in ("/", "/static/main.js", "/api/session", "/metrics", "/nothing"):
        answer = rig.client.get(path, headers={"host": host})
        assert answer.status_code == 421 and "this server is not" in answer.json()["error"]
    assert rig.act("halt", host=host or "x").status_code == 421
    assert rig.engine.state == "active"


@pytest.mark.parametrize("host", [f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"127.0.0.1:{PORT}"])
def test_its_own_names_are_known(rig: Rig, host: str) -> None:
    assert rig.client.get("/", headers={"host": host}).status_code == 200


def test_names_of_a_server() -> None:
    assert host_names(["::1", "A.example"], 443, "https") == {"[::1]:443", "[::1]", "a.example:443", "a.example"}
    assert host_names(["a"], 443, "http") == {"a:443"}


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"https://127.0.0.1:{PORT}", "http://127.0.0.1", f"{HERE}.evil"]
)
def test_a_foreign_page_may_not_ask(rig: Rig, origin: str) -> None:
    answer = rig.act("halt", origin=origin)
    assert answer.status_code == 403 and "may not ask here" in answer.json()["error"]
    assert rig.client.get("/api/session", headers={"origin": origin}).status_code == 403
    assert rig.client.post("/login", json={"token": TRADE}, headers={"origin": origin}).status_code == 403
    assert rig.engine.state == "active"


def test_a_change_without_an_origin_is_refused(rig: Rig) -> None:
    answer = rig.act("halt", origin="")
    assert answer.status_code == 403 and "Origin" in answer.json()["error"]


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", "what"])
def test_what_the_browser_says_of_a_change_counts(rig: Rig, site: str) -> None:
    answer = rig.act("halt", sec_fetch_site=site)
    assert answer.status_code == 403 and site in answer.json()["error"]
    assert rig.engine.state == "active"


def test_a_link_from_elsewhere_opens_the_front_page_only(rig: Rig) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert rig.client.get("/", headers=link).status_code == 200
    inner, other = {**link, "sec-fetch-dest": "iframe"}, {"sec-fetch-site": "same-site"}
    for path, headers in (("/api/session", link), ("/static/main.js", link), ("/", inner), ("/static/main.js", other)):
        answer = rig.client.get(path, headers=headers)
        assert answer.status_code == 403 and "the browser says" in answer.json()["error"]


def test_every_answer_is_private_and_takes_nothing_from_elsewhere(rig: Rig) -> None:
    answers = [rig.client.get(path) for path in ("/", "/static/style.css", "/api/session", "/nothing", "/metrics")]
    answers += [rig.act("halt"), rig.act("nothing"), rig.client.get("/", headers={"host": "evil"})]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'self';")
        assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["x-frame-options"] == "DENY"


# The page


def test_the_page_has_no_inline_script_or_style_and_nothing_from_elsewhere(rig: Rig) -> None:
    used = set()

    class Look(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            names = dict(attrs)
            assert tag != "style" and "style" not in names and not any(name.startswith("on") for name in names)
            assert tag != "script" or names.get("src")
            for name in ("src", "href"):
                target = names.get(name)
                if target and not target.startswith("#"):
                    assert target.startswith("/static/")
                    used.add(target)

        def handle_data(self, data: str) -> None:
            assert self.cdata_elem is None or not data.strip()

    Look().feed(rig.client.get("/").text)
    for name in _PAGE:
        text = files("turbo_hft.dashboard.web").joinpath("page", name).read_text()
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text
        assert "innerHTML" not in text and "eval(" not in text
        assert rig.client.get(f"/static/{name}").headers["content-type"] == _PAGE[name]
    assert used <= {f"/static/{name}" for name in _PAGE}
    there = {entry.name for entry in files("turbo_hft.dashboard.web").joinpath("page").iterdir()}
    assert there == set(_PAGE)


@pytest.mark.parametrize("path", ["/static/../server.py", "/static/..%2fserver.py", "/static/none", "/static/"])
def test_no_other_file_is_given_out(rig: Rig, path: str) -> None:
    answer = rig.client.get(path)
    assert answer.status_code == 404 and answer.json()["error"]


# Logging in


def test_a_session_is_a_cookie_that_no_script_reads() -> None:
    with web() as rig:
        answer = rig.login()
        assert answer.json()["role"] == "trade" and answer.json()["may_trade"] is True
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie and "Secure" not in cookie
        assert TRADE not in cookie and TRADE not in "".join(rig.said)
        about = rig.get("/api/session").json()
        assert {**about, "csrf": rig.csrf} == answer.json() and "csrf" not in about


def test_with_tls_the_cookie_is_secure_and_of_this_host() -> None:
    with web(scheme="https") as rig:
        here = {"origin": HERE.replace("http", "https")}
        answer = rig.client.post("/login", json={"token": TRADE}, headers=here)
        cookie, rig.csrf = answer.headers["set-cookie"], answer.json()["csrf"]
        assert cookie.startswith("__Host-") and "Secure" in cookie
        assert rig.get("/api/session").status_code == 200


@pytest.mark.parametrize("token", ["", "x", TRADE[:-1], TRADE + "x", TRADE.upper(), "é"])
def test_a_wrong_token_is_refused(token: str) -> None:
    with web() as rig:
        answer = rig.login(token)
        assert answer.status_code == 401 and "not a token" in answer.json()["error"]
        assert "set-cookie" not in answer.headers
        assert rig.get("/api/session").status_code == 401


def test_a_cookie_alone_opens_nothing(rig: Rig) -> None:
    """A browser sends it to every port of this machine, and so to servers of others."""
    for answer in (rig.client.get("/api/session"), rig.client.get("/api/stream"), rig.act("halt", x_csrf_token="")):
        assert answer.status_code == 403 and "X-CSRF-Token" in answer.json()["error"]
    assert rig.client.get("/api/stream?csrf=x").status_code == 403


def test_after_five_wrong_tokens_none_is_looked_at() -> None:
    with web() as rig:
        assert [rig.login("x" * 40).status_code for _ in range(6)] == [401] * 5 + [429]
        right = rig.login()
        assert right.status_code == 429 and 0 < int(right.headers["retry-after"]) <= 60
        assert "too many wrong tokens from 127.0.0.1" in right.json()["error"]
        assert rig.face.counts.refused == {"token": 5, "rate": 2}


def test_who_is_logged_in_already_halts_while_others_guess(rig: Rig) -> None:
    for _ in range(9):
        rig.client.post("/login", json={"token": "x" * 40}, headers=OWN)
    assert rig.act("halt").status_code == 200 and rig.engine.state == "halted"


def test_logout_ends_the_session_on_the_server(rig: Rig) -> None:
    cookie = rig.client.cookies["turbo_hft"]
    assert rig.client.post("/logout", json={}, headers={**OWN, "x-csrf-token": rig.csrf}).status_code == 200
    rig.client.cookies.set("turbo_hft", cookie)
    assert rig.get("/api/session").status_code == 401
    assert rig.act("halt").status_code == 401


def test_a_session_that_is_over_may_do_nothing() -> None:
    with web(session_s=0.05) as rig:
        rig.login()
        time.sleep(0.1)
        answer = rig.act("halt")
        assert answer.status_code == 401 and "over" in answer.json()["error"]
        assert rig.engine.state == "active"


def test_what_a_client_sends_makes_no_line_of_its_own(rig: Rig) -> None:
    rig.act("x%0aturbo-hft: session 1234: resume: done", x_csrf_token="")
    rig.act("change", {**CHANGE, "settings": ["buy_below=1\x1b[2J"]})
    assert rig.said and all(line.isprintable() for line in rig.said)


def test_many_refusals_are_counted_not_told() -> None:
    with web() as rig:
        for _ in range(200):
            rig.act("halt", x_csrf_token="")
        assert len(rig.said) == server.Log.MOST and rig.face.counts.refused == {"token": 200}


# What may be done, by whom

CONFIRMED = {"confirm": True}
CHANGE = {"confirm": True, "symbol": "AAPL", "settings": ["buy_below=164.00"]}
ACTS: list[tuple[str, dict[str, Any]]] = [
    ("halt", {}), ("halt_and_cancel", CONFIRMED), ("reduce", CONFIRMED), ("resume", CONFIRMED), ("change", CHANGE),
]  # fmt: skip


def state(rig: Rig) -> tuple[object, ...]:
    return rig.engine.state, rig.engine.symbols["AAPL"].buy_below, rig.engine.orders.asked


@pytest.mark.parametrize(("act", "body"), ACTS)
def test_nothing_is_done_without_session_csrf_and_role(act: str, body: dict[str, Any]) -> None:
    with web() as rig:
        before = state(rig)
        assert rig.act(act, body, x_csrf_token="x").status_code == 401
        rig.login()
        for csrf in ("", "x", rig.csrf + "x", rig.client.cookies["turbo_hft"]):
            answer = rig.act(act, body, x_csrf_token=csrf)
            assert answer.status_code == 403 and "X-CSRF-Token" in answer.json()["error"]
        rig.login(READ)
        answer = rig.act(act, body)
        assert answer.status_code == 403 and "may only look" in answer.json()["error"]
        assert rig.get("/api/session").json()["may_trade"] is False
        assert state(rig) == before
        rig.login(TRADE)
        assert rig.act(act, body).status_code == 200


@pytest.mark.parametrize(("act", "body"), ACTS)
def test_a_desk_that_may_only_look_refuses_the_trading_token_too(act: str, body: dict[str, Any]) -> None:
    with web(may_trade=False) as rig:
        assert rig.login().json()["may_trade"] is False
        before = state(rig)
        assert rig.act(act, body).status_code == 403 and state(rig) == before


@pytest.mark.parametrize(("act", "body"), ACTS[1:])
def test_everything_but_halting_has_to_be_confirmed(rig: Rig, act: str, body: dict[str, Any]) -> None:
    before = state(rig)
    for confirm in (None, False, 1, "true"):
        answer = rig.act(act, {**body, "confirm": confirm})
        assert answer.status_code == 428 and "confirmed" in answer.json()["error"]
    assert state(rig) == before


def test_halting_reads_nothing_of_what_came_with_it(rig: Rig) -> None:
    answer = rig.client.post("/api/halt", content=b"\xff{", headers={**OWN, "x-csrf-token": rig.csrf})
    assert answer.status_code == 200 and rig.engine.state == "halted"


def test_halting_waits_for_nothing_else_that_is_under_way(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    held, under_way = threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        under_way.release()
        held.wait(20)

    monkeypatch.setattr(rig.engine, "resume", hang)
    others = [threading.Thread(target=rig.act, args=("resume", CONFIRMED)) for _ in range(20)]
    for each in others:
        each.start()
    assert all(under_way.acquire(timeout=10) for _ in range(8)), "as many as there are threads for"
    try:
        assert rig.act("halt").status_code == 200 and rig.engine.state == "halted"
        assert not held.is_set() and all(each.is_alive() for each in others)
    finally:
        held.set()
        for each in others:
            each.join()


def test_halt_and_cancel_says_what_is_left(rig: Rig) -> None:
    rig.engine.orders.working = [order(1), order(2)]
    rig.engine.orders.left = [order(2)]
    answer = rig.act("halt_and_cancel", CONFIRMED).json()
    assert answer["result"] == {"canceled": 1, "left": [2], "refused": {"2": "session_down"}}
    assert rig.engine.state == "halted"


def test_reduce_and_resume(rig: Rig) -> None:
    for act, after in (("reduce", "reducing"), ("resume", "active")):
        assert rig.act(act, CONFIRMED).status_code == 200 and rig.engine.state == after


def test_changes_of_a_symbol_and_of_all_orders(rig: Rig) -> None:
    assert rig.act("change", CHANGE).status_code == 200
    assert str(rig.engine.symbols["AAPL"].buy_below) == "164"
    both = {"confirm": True, "symbol": None, "settings": ["max_open_orders=7", "max_gross=1000"]}
    assert rig.act("change", both).status_code == 200
    assert rig.engine.limits.as_dict()["max_open_orders"] == 7
    assert any("set AAPL buy_below=164.00: done" in line for line in rig.said)


def test_a_change_of_what_has_moved_meanwhile_is_refused(rig: Rig) -> None:
    rig.engine.symbols["AAPL"].buy_below = "163.00"
    answer = rig.act("change", {**CHANGE, "was": {"buy_below": "162.00"}})
    assert answer.status_code == 409 and "buy_below is 163.00 by now, not 162.00" in answer.json()["error"]
    assert str(rig.engine.symbols["AAPL"].buy_below) == "163"
    assert rig.act("change", {**CHANGE, "was": {"buy_below": "163.00"}}).status_code == 200


@pytest.mark.parametrize(
    ("wrong", "status", "word"),
    [
        ({"settings": []}, 400, "settings"),
        ({"settings": "buy_below=1"}, 400, "settings"),
        ({"settings": ["a=1"] * 65}, 400, "settings"),
        ({"settings": [7]}, 400, "settings"),
        ({"symbol": "max_gross=1", "settings": ["max_net=1"]}, 400, "a symbol has none"),
        ({"symbol": None, "settings": ["AAPL", "base_qty=1"]}, 400, "has a = in it"),
        ({"settings": ["buy_below=1 sell_above=2"]}, 400, "space"),
        ({"settings": [""]}, 400, "empty"),
        ({"symbol": 7}, 400, "symbol"),
        ({"symbol": "AAPL MSFT"}, 400, "space"),
        ({"symbol": ""}, 400, "empty"),
        ({"was": []}, 400, "was"),
        ({"why": "x" * 201}, 400, "why"),
        ({"why": 7}, 400, "why"),
        ({"settings": ["nothing=1"]}, 422, "nothing"),
        ({"settings": ["buy_below=-1"]}, 422, "buy_below"),
        ({"settings": ["buy_below=1", "buy_below=2"]}, 422, "twice"),
        ({"symbol": "NONE"}, 422, "NONE"),
        ({"symbol": None, "settings": ["buy_below=1"]}, 422, "buy_below"),
        ({"symbol": "AAPL", "settings": ["=1"]}, 422, "=1"),
    ],
)
def test_input_that_cannot_be_is_named_and_changes_nothing(
    rig: Rig, wrong: dict[str, Any], status: int, word: str
) -> None:
    before = state(rig), rig.engine.limits.as_dict()
    answer = rig.act("change", {**CHANGE, **wrong})
    assert answer.status_code == status and word in answer.json()["error"]
    assert (state(rig), rig.engine.limits.as_dict()) == before


def test_bodies_that_are_no_json_object_are_refused(rig: Rig) -> None:
    headers = {**OWN, "x-csrf-token": rig.csrf, "content-type": "application/json"}
    for data in (b"", b"[]", b"{", b"\xff", b"[" * 16_000, b"1"):
        assert rig.client.post("/api/resume", content=data, headers=headers).status_code == 400
    assert rig.client.post("/api/resume", content=b" " * 20_000, headers=headers).status_code == 413
    form = {**headers, "content-type": "application/x-www-form-urlencoded"}
    assert rig.client.post("/api/resume", content=b"confirm=true", headers=form).status_code == 415


def test_unknown_acts_and_methods_are_named(rig: Rig) -> None:
    assert rig.act("sell_everything").status_code == 404
    assert rig.client.get("/api/halt").status_code == 405
    assert rig.client.put("/", headers=OWN).status_code == 405


def test_an_engine_that_has_gone_is_said(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise NotRunning("no engine runs on veth_hft")

    monkeypatch.setattr(rig.engine, "halt", gone)
    answer = rig.act("halt")
    assert answer.status_code == 503 and answer.json()["error"] == "no engine runs on veth_hft"
    assert any("halt: no engine runs" in line for line in rig.said)


# Pictures


def test_a_stream_needs_a_session() -> None:
    with web() as rig:
        assert rig.client.get("/api/stream").status_code == 401
        rig.login(READ)
        assert rig.client.get(f"/api/stream?csrf={rig.csrf}&watch=NINE_CHARS").status_code == 400


def collected(counts: WebCounts, look: Any, **values: Any) -> tuple[list[str | None], Any]:
    """Run `look(pictures)`; which collections there were, and what it returned."""
    asked: list[str | None] = []

    def collect(watch: str | None) -> dict[str, object]:
        asked.append(watch)
        return {"n": len(asked), "same": [1, 2], "watch": watch}

    async def run() -> Any:
        pictures = Pictures(values.pop("collect", collect), counts, interval_s=0.02, **values)
        try:
            return await look(pictures)
        finally:
            await pictures.close()

    return asked, asyncio.run(run())


def event(text: bytes) -> dict[str, Any]:
    assert text.startswith(b"data: ") and text.endswith(b"\n\n")
    value: dict[str, Any] = json.loads(text.removeprefix(b"data: "))
    return value


def test_nothing_is_collected_while_nobody_looks() -> None:
    async def look(pictures: Pictures) -> tuple[int, int]:
        await asyncio.sleep(0.1)
        before = counts.collections
        follower = pictures.follow(None, lambda: True)
        await anext(follower)
        await follower.aclose()
        await asyncio.sleep(0.05)
        after = counts.collections
        await asyncio.sleep(0.2)
        return before, counts.collections - after

    counts = WebCounts()
    asked, found = collected(counts, look)
    assert found == (0, 0) and asked and counts.clients == 0


def test_many_who_look_share_one_collection() -> None:
    async def look(pictures: Pictures) -> int:
        followers = [pictures.follow("AAPL", lambda: True) for _ in range(20)]
        seen = 0
        for _ in range(5):
            seen += len([event(text) for text in await asyncio.gather(*(anext(each) for each in followers))])
        assert counts.clients == 20
        return seen

    counts = WebCounts()
    asked, seen = collected(counts, look)
    assert seen == 100 and len(asked) <= 10 and set(asked) == {"AAPL"}


def test_only_what_changed_is_sent_and_a_slow_one_gets_the_newest() -> None:
    async def look(pictures: Pictures) -> list[dict[str, Any]]:
        follower = pictures.follow(None, lambda: True)
        first = event(await anext(follower))
        await asyncio.sleep(0.2)  # many pictures meanwhile: one of them is sent
        return [first, event(await anext(follower))]

    _, (first, second) = collected(WebCounts(), look)
    assert set(first["changed"]) == {"n", "same", "watch"} == set(second["names"])
    assert set(second["changed"]) == {"n"} and second["changed"]["n"] > first["changed"]["n"] + 1


def test_heavy_sections_move_once_a_second() -> None:
    async def look(pictures: Pictures) -> int:
        follower, end, seen = pictures.follow(None, lambda: True), time.monotonic() + 0.5, 0
        while time.monotonic() < end:
            seen += "n" in event(await anext(follower))["changed"]
        return seen

    assert collected(WebCounts(), look, heavy=frozenset({"n"}))[1] == 1


def replayed(had: tuple[int, list[Any]], sent: dict[str, Any] | None) -> tuple[int, list[Any]]:
    """What the page makes of an event of a stream."""
    if sent is None:
        return had
    start, rows = had
    kept = rows[max(0, sent["start"] - start) : max(0, sent["from"] - start)]
    return sent["start"], kept + sent["rows"]


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 6), st.booleans(), st.booleans()), min_size=1, max_size=25
    ),
    words=st.integers(1, 3),
)
def test_a_log_that_grows_is_rebuilt_from_what_is_sent(steps: list[tuple[int, int, bool, bool]], words: int) -> None:
    """However often the other side looks, and with rows that are equal: it has what there is, and was sent the end."""
    log, rows, had = pictures._Log(), list[Any](), (0, list[Any]())
    made = seen = 0
    for number, (grown, lost, last_changes, looks) in enumerate(steps, 1):
        if last_changes and rows:
            rows[-1] = ["again", made]
        for _ in range(grown):
            made += 1
            rows.append([made % words])
        del rows[: min(lost, len(rows))]
        log.take(rows, number)
        if looks:
            text = log.since(seen)
            had, seen = replayed(had, None if text is None else json.loads(text)), number
            assert had[1] == rows


def test_rows_that_were_sent_are_not_sent_again() -> None:
    log = pictures._Log()
    log.take([[n] for n in range(100)], 1)
    log.take([[n] for n in range(3, 103)], 2)
    assert json.loads(log.since(1) or b"") == {"start": 3, "from": 100, "rows": [[100], [101], [102]]}
    assert log.since(2) is None
    log.take([[n] for n in range(3, 102)] + [["again"]], 3)
    assert json.loads(log.since(2) or b"")["rows"] == [["again"]]


def test_a_picture_that_fails_is_said_and_the_next_one_made() -> None:
    async def look(pictures: Pictures) -> list[dict[str, Any]]:
        follower = pictures.follow(None, lambda: True)
        return [event(await anext(follower))["changed"] for _ in range(3)]

    answers = iter([NotRunning("no engine runs"), ZeroDivisionError("0"), None])
    said: list[str] = []

    def collect(watch: str | None) -> dict[str, object]:
        answer = next(answers, None)
        if answer is not None:
            raise answer
        return {"n": 1}

    seen = collected(WebCounts(), look, collect=collect, log=said.append)[1]
    assert seen[0] == {"problem": "no engine runs"} and "ZeroDivisionError" in seen[1]["problem"]
    assert seen[2] == {"n": 1} and len(said) == 1


def test_who_is_not_welcome_any_more_sees_nothing_more() -> None:
    async def look(pictures: Pictures) -> int:
        welcome = iter([True, True])
        return len([text async for text in pictures.follow(None, lambda: next(welcome, False))])

    assert collected(WebCounts(), look)[1] <= 1


def test_there_is_a_bound_to_pages_and_watched_symbols() -> None:
    async def look(pictures: Pictures) -> None:
        followers = [pictures.follow(f"S{n}", lambda: True) for n in range(MOST_WATCHED)]
        for each in followers:
            await anext(each)
        with pytest.raises(Busy, match="different symbols"):
            await anext(pictures.follow("MORE", lambda: True))
        followers += [pictures.follow("S0", lambda: True) for _ in range(MOST_CLIENTS - MOST_WATCHED)]
        for each in followers[MOST_WATCHED:]:
            await anext(each)
        with pytest.raises(Busy, match="close one"):
            await anext(pictures.follow("S0", lambda: True))

    collected(WebCounts(), look)


def test_a_client_that_takes_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its one unsent picture is all that it costs; the follower ends with it."""
    monkeypatch.setattr(server, "_STALLED_S", 0.2)

    async def look(pictures: Pictures) -> float:
        follower, begun = pictures.follow(None, lambda: True), time.monotonic()
        response = server.LiveResponse(await anext(follower), follower)

        async def receive() -> Any:
            await asyncio.sleep(60)

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await asyncio.sleep(60)

        await response({"type": "http"}, receive, send)
        return time.monotonic() - begun

    counts = WebCounts()
    assert collected(counts, look)[1] < 30 and counts.clients == 0


def test_a_client_that_goes_ends_its_stream() -> None:
    async def look(pictures: Pictures) -> int:
        sent: list[Any] = []
        follower = pictures.follow(None, lambda: True)
        response = server.LiveResponse(await anext(follower), follower)

        async def receive() -> Any:
            while len(sent) < 3:
                await asyncio.sleep(0.01)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await response({"type": "http"}, receive, send)
        return len(sent)

    counts = WebCounts()
    assert collected(counts, look)[1] >= 3 and counts.clients == 0


def test_a_symbol_that_is_not_tracked_is_a_problem_not_a_crash(rig: Rig) -> None:
    assert rig.face._collect("AAPL")["watched.symbol"]
    with pytest.raises(ConfigError, match="NONE is not tracked"):
        rig.face._collect("NONE")

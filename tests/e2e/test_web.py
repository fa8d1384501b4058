"""The web face in a real browser, beside a real engine and the simulator, with the network cut off."""

from __future__ import annotations

import http.server
import signal
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from browser_rig import MISSING, READ, TRADE, Rig, browser, rig, settled, text, until
from e2e.helpers import ON, leftovers, pins, turbo_hft, turbo_hft_json
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.kernel,
    pytest.mark.timeout(180),
    pytest.mark.skipif(MISSING is not None, reason=MISSING or ""),
]

# How many different pixels a canvas has.
PIXELS = """
const canvas = document.getElementById(arguments[0]);
const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
return new Set(new Uint32Array(data.buffer)).size;
"""
POST = """
const done = arguments[1];
fetch(arguments[0], {method: "POST", mode: "no-cors", credentials: "include"}).then(() => done(), () => done());
"""
HALT = """
const done = arguments[0];
(async () => {
  const csrf = localStorage.getItem("turbo-hft csrf");
  const answer = await fetch("/api/halt", {method: "POST", headers: {"x-csrf-token": csrf}});
  done([answer.status, (await answer.json()).error]);
})();
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    before = pins()
    symbol = "AAPL:buy_below=300,base_qty=1,cap_qty=1,max_long=1000000,max_open_orders=8"
    with rig(tmp_path_factory.mktemp("web"), symbol, "MSFT") as made:
        yield made
    assert leftovers() == [] and pins() == before


@pytest.fixture(scope="module")
def page(place: Rig) -> Iterator[webdriver.Chrome]:
    """Logged in to trade. Its calls only go through in the rig's thread."""
    opened = browser()
    driver = place.run(opened.__enter__)
    try:
        place.run(lambda: driver.get(f"{place.url}#token={TRADE}"))
        place.run(lambda: until(lambda: text(driver, "#state") == "TRADING", f"it trades: {text(driver, '#state')}"))
        yield driver
    finally:
        place.run(lambda: opened.__exit__(None, None, None))


def press(page: webdriver.Chrome, keys: str) -> None:
    ActionChains(page).send_keys(keys).perform()


def shown(page: webdriver.Chrome, name: str) -> bool:
    """In one question: the page may be loaded anew between two."""
    return bool(page.execute_script("return document.getElementById(arguments[0])?.checkVisibility() ?? false", name))


def figure(page: webdriver.Chrome, title: str) -> int:
    """A count of the lists below the panels, by its name."""
    found: Any = page.execute_script(
        "return [...document.querySelectorAll('.facts div')].find(d => d.firstChild.textContent === arguments[0])"
        "?.lastChild.textContent",
        title,
    )
    return int(str(found).replace(",", "")) if found else -1


def _is_drawn(page: webdriver.Chrome, name: str) -> bool:
    return int(page.execute_script(PIXELS, name)) > 10


def test_the_page_loads_without_a_network_and_prices_move(place: Rig, page: webdriver.Chrome) -> None:
    def body() -> None:
        assert "token" not in page.current_url, "the token is taken off the address"
        cookie = page.get_cookie("turbo_hft") or {}
        assert cookie["httpOnly"] is True and cookie["sameSite"] == "Strict"
        assert page.execute_script("return document.cookie") == ""
        urls = page.execute_script("return performance.getEntriesByType('resource').map(each => each.name)")
        assert urls and all(url.startswith(place.url) for url in urls)
        bids: set[str] = set()

        def moves() -> bool:
            bids.add(text(page, "#bids td:nth-child(2)"))
            return len(bids) >= 4

        until(moves, "the best bid moves")
        before = figure(page, "messages")
        until(lambda: figure(page, "messages") > before > 0, "messages go on")
        # There is something on each chart.
        for name in ("price", "pnl", "latency"):
            until(partial(_is_drawn, page, name), f"{name} is drawn")
        until(lambda: text(page, "#fills tbody td:nth-child(2)") == "AAPL", "fills are listed")
        until(lambda: "executed" in text(page, "#events"), "events come by the control socket")
        page.find_element(By.ID, "price").send_keys(Keys.END)
        assert "AAPL bid 1" in page.find_element(By.CSS_SELECTOR, "output[for=price]").text
        page.find_element(By.ID, "price").send_keys(Keys.ESCAPE)
        said: list[dict[str, str]] = page.get_log("browser")  # type: ignore[no-untyped-call]
        assert [line for line in said if line["level"] in ("SEVERE", "WARNING")] == []

    place.run(body)


def test_halting_from_the_page_stops_orders_while_ticks_go_on(place: Rig, page: webdriver.Chrome) -> None:
    def body() -> None:
        before = place.orders_at_exchange()
        until(lambda: place.orders_at_exchange() > before, "orders arrive at the exchange")
        press(page, "h")
        until(lambda: text(page, "#state") == "HALTED", "the page says so")
        assert turbo_hft_json("status", *ON)["state"] == "halted"
        stopped = settled(place.orders_at_exchange)
        ticks = figure(page, "messages")
        until(lambda: figure(page, "messages") > ticks + 500, "ticks go on")
        assert place.orders_at_exchange() == stopped

        press(page, "r")
        until(lambda: shown(page, "confirm"), "resuming asks")
        press(page, Keys.ESCAPE)
        until(lambda: not shown(page, "confirm"), "going back is possible")
        assert turbo_hft_json("status", *ON)["state"] == "halted"
        press(page, "r")
        page.find_element(By.ID, "confirm-yes").click()
        until(lambda: text(page, "#state") == "TRADING", "it trades again")
        until(lambda: place.orders_at_exchange() > stopped, "orders leave again")

        page.find_element(By.CSS_SELECTOR, "#kill .halt").click()
        until(lambda: text(page, "#state") == "HALTED", "one click halts")

    place.run(body)


def test_a_change_is_shown_again_before_it_is_done(place: Rig, page: webdriver.Chrome) -> None:
    def body() -> None:
        press(page, "e")
        field = page.find_element(By.CSS_SELECTOR, "#edit input[name=buy_below]")
        field.clear()
        field.send_keys("123.45", Keys.ENTER)
        until(lambda: shown(page, "confirm"), "it asks")
        assert text(page, "#confirm-lines") == "buy_below: 300.00 → 123.45"
        page.find_element(By.ID, "why").send_keys("hr")
        until(lambda: text(page, "#state") == "HALTED", "letters in a field are no shortcuts")
        page.find_element(By.ID, "confirm-yes").click()
        until(lambda: "Changed AAPL" in text(page, "#said"), "it is said")
        settings = {row["name"]: row for row in turbo_hft_json("status", *ON)["symbols"]}
        assert settings["AAPL"]["buy_below_e4"] == 1_234_500

        press(page, "e")
        field = page.find_element(By.CSS_SELECTOR, "#edit input[name=buy_below]")
        field.clear()
        field.send_keys("nonsense", Keys.ENTER)
        page.find_element(By.ID, "confirm-yes").click()
        until(lambda: "buy_below" in text(page, "#problem"), "what was wrong is said")

    place.run(body)


class _Foreign(http.server.BaseHTTPRequestHandler):
    """A page of somebody else on this machine: for a browser it is of the same site."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>foreign</title><form method=post></form>")

    def log_message(self, *words: object) -> None:
        """Say nothing."""


def test_a_foreign_page_and_a_rebound_name_are_refused(place: Rig, page: webdriver.Chrome) -> None:
    def body() -> None:
        page.find_element(By.ID, "resume").click()
        page.find_element(By.ID, "confirm-yes").click()
        until(lambda: text(page, "#state") == "TRADING", "it trades")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Foreign)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            page.switch_to.new_window("tab")
            page.get(f"http://127.0.0.1:{server.server_port}/")
            halt = f"{place.url}api/halt"
            page.execute_async_script(POST, halt)
            until(lambda: "may not ask here" in place.talk.read_text(), "the server refuses it")
            page.execute_script("const f = document.forms[0]; f.action = arguments[0]; f.submit()", halt)
            until(lambda: place.talk.read_text().count("may not ask here") >= 2, "a form too")
            until(lambda: "may not ask here" in text(page, "body"), "and says so to the browser")
            page.get(place.url.replace("127.0.0.1", "rebound.example"))
            assert "this server is not" in text(page, "body")
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            page.close()
            page.switch_to.window(page.window_handles[0])
        until(lambda: text(page, "#state") == "TRADING", "it trades on")
        assert turbo_hft_json("status", *ON)["state"] == "active"

    place.run(body)


@pytest.mark.long
def test_a_halt_finds_its_way_however_many_pages_are_open(place: Rig, page: webdriver.Chrome) -> None:
    """A browser has six connections to a server, and each page that is kept up to date has one of them for good."""

    def body() -> None:
        first = page.current_window_handle
        try:
            page.set_page_load_timeout(15)
            for _ in range(6):
                page.switch_to.new_window("window")
                page.get(place.url)
                until(lambda: text(page, "#state") == "TRADING", "one more page shows it")
            page.switch_to.window(first)
            assert text(page, "#state") == "PAUSED" and page.title.startswith("PAUSED")
            press(page, "h")
            until(lambda: text(page, "#said").startswith("Halted"), "it is confirmed")
            assert turbo_hft_json("status", *ON)["state"] == "halted"
            until(lambda: text(page, "#state") == "HALTED", "and seen: who presses a key has a picture again")
            assert page.title.startswith("HALTED")
            assert turbo_hft("resume", *ON).returncode == 0
            until(lambda: text(page, "#state") == "TRADING", "it trades again")
        finally:
            for handle in page.window_handles:
                if handle != first:
                    page.switch_to.window(handle)
                    page.close()
            page.switch_to.window(first)

    place.run(body)


def test_a_page_that_cannot_draw_says_so_and_halts(place: Rig, page: webdriver.Chrome) -> None:
    def body() -> None:
        page.execute_script("Number.prototype.toLocaleString = () => { throw new Error('no figures') }")
        until(lambda: text(page, "#state") == "NO PICTURE", "what is there is not shown as live")
        assert "could not draw the picture (no figures)" in text(page, "#contact")
        press(page, "h")
        until(lambda: text(page, "#said").startswith("Halted"), "it halts")
        assert turbo_hft_json("status", *ON)["state"] == "halted"
        page.refresh()
        assert turbo_hft("resume", *ON).returncode == 0
        until(lambda: text(page, "#state") == "TRADING", "a new page draws")

    place.run(body)


@pytest.mark.long
def test_who_does_not_answer_is_not_taken_for_one_that_trades(place: Rig, page: webdriver.Chrome) -> None:
    def body() -> None:
        assert not shown(page, "events-note")
        place.engine.send_signal(signal.SIGSTOP)
        try:
            until(lambda: text(page, "#state") == "NO CONTACT", "there is no new picture")
            assert page.title.startswith("NO CONTACT")
            press(page, "h")
            until(lambda: text(page, "#said").startswith("Halted"), "halting needs nobody but the engine")
            assert turbo_hft_json("status", *ON)["state"] == "halted"
            until(
                lambda: text(page, "#state") == "HALTED" and shown(page, "events-note"), "seen in the engine's tables"
            )
        finally:
            place.engine.send_signal(signal.SIGCONT)
        place.server.send_signal(signal.SIGSTOP)
        try:
            until(lambda: text(page, "#state") == "NO CONTACT", "the server is asked in vain")
            assert "NO CONTACT for" in text(page, "#contact")
        finally:
            place.server.send_signal(signal.SIGCONT)
        assert turbo_hft("resume", *ON).returncode == 0
        until(lambda: text(page, "#state") == "TRADING", "it trades again")

    place.run(body)


def test_a_phone_has_one_column_and_nothing_to_the_side(place: Rig, page: webdriver.Chrome) -> None:
    def body() -> None:
        try:
            for width, height in ((320, 640), (375, 812)):
                phone = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
                page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
                until(partial(page.execute_script, "return innerWidth === arguments[0]", width), "the size is taken")
                assert page.execute_script("return document.documentElement.scrollWidth") <= width
                lefts = page.execute_script(
                    "return [...document.querySelectorAll('main > .panel')].map(p => [p.getBoundingClientRect().left,"
                    " p.getBoundingClientRect().right])"
                )
                assert len({left for left, _ in lefts}) == 1 and all(right <= width for _, right in lefts)
                # The kill switch is in reach wherever the page is scrolled to.
                for place_y in (0, 100_000):
                    page.execute_script("scrollTo(0, arguments[0])", place_y)
                    box = page.execute_script(
                        "const b = document.querySelector('#kill .halt').getBoundingClientRect();"
                        "const at = document.elementFromPoint((b.left + b.right) / 2, (b.top + b.bottom) / 2);"
                        "return [b.width, b.height, at?.className]"
                    )
                    assert box[0] >= 44 and box[1] >= 30 and box[2] == "halt"
        finally:
            page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    place.run(body)


def test_the_keyboard_reaches_everything_and_halting_comes_first(place: Rig, page: webdriver.Chrome) -> None:
    def body() -> None:
        page.execute_script("document.querySelector('.skip').focus()")
        seen = ["skip"]
        for _ in range(11):
            press(page, Keys.TAB)
            at = page.switch_to.active_element
            seen.append(at.get_attribute("id") or at.get_attribute("class") or "")
        wanted = ["skip", "halt", "cancel", "reduce", "resume", "keys-button", "logout", "watch", "span", "edit-symbol"]
        assert [each for each in seen if each in wanted] == wanted
        page.execute_script("document.activeElement.blur()")
        press(page, "?")
        assert shown(page, "keys")
        press(page, Keys.ESCAPE)
        press(page, "j")
        until(lambda: text(page, "#depth-name") == "MSFT", "the next symbol is shown")
        press(page, "k")
        until(lambda: text(page, "#depth-name") == "AAPL", "and the one before")

    place.run(body)


def test_wrong_tokens_are_refused_and_who_may_look_has_no_buttons(place: Rig, page: webdriver.Chrome) -> None:
    def body() -> None:
        page.find_element(By.ID, "logout").click()
        until(lambda: shown(page, "login"), "logged out")
        field = page.find_element(By.ID, "token")
        field.send_keys("x" * 40, Keys.ENTER)
        until(lambda: "not a token of this server" in text(page, "#login-error"), "it says what was wrong")
        assert not shown(page, "app")
        field.clear()
        field.send_keys(READ, Keys.ENTER)
        until(lambda: text(page, "#state") == "TRADING", "who may look sees")
        assert page.find_elements(By.CSS_SELECTOR, "#kill, .halt, .trades, #edit, #confirm") == []
        press(page, "h")
        refused = page.execute_async_script(HALT)
        assert refused[0] == 403 and "may only look" in refused[1]
        assert turbo_hft_json("status", *ON)["state"] == "active"

    place.run(body)

"""A browser beside a trading engine in a network namespace with no way out: loopback and the lab's wire are all it has.

Everything runs in one thread that has entered the namespace, and so do all its children.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from e2e.helpers import EXCHANGE, NAME_OPTIONS, ON, SESSION, TAG, environment, eventually, running, turbo_hft
from pyroute2 import netns as named
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from turbo_hft import netns

Result = TypeVar("Result")

NAMESPACE = f"web_{TAG}"
TRADE, READ = "trade-token-" + "t" * 32, "read-token-" + "r" * 32
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = None if CHROMIUM and DRIVER else "chromium and chromium-driver are not installed: run tools/deps.sh browser"


@dataclass
class Rig:
    """`url` of the server; `log` is the exchange's own, `talk` what the server has said. `engine`: who keeps it."""

    inside: ThreadPoolExecutor
    url: str
    engine: subprocess.Popen[bytes]
    server: subprocess.Popen[bytes]
    log: Path
    talk: Path

    def run(self, body: Callable[[], Result]) -> Result:
        """In the namespace."""
        return self.inside.submit(body).result()

    def orders_at_exchange(self) -> int:
        """Enter Orders that the exchange has noted."""
        return self.log.read_text().count('"kind": "order"')


@contextmanager
def rig(directory: Path, *symbols: str, exchange: Sequence[str] = ()) -> Iterator[Rig]:
    """Lab, exchange, engine and server, all ready; nothing of them is left afterwards."""
    named.create(NAMESPACE)
    try:
        with ThreadPoolExecutor(1, initializer=lambda: netns.enter(NAMESPACE)) as inside:
            stack = ExitStack()
            try:
                started = inside.submit(_raise, stack, directory, symbols, exchange).result()
                yield Rig(inside, *started, directory / "exchange.log", directory / "serve.talk")
            finally:
                inside.submit(stack.close).result()
    finally:
        named.remove(NAMESPACE)


def _raise(
    stack: ExitStack, directory: Path, symbols: Sequence[str], exchange: Sequence[str]
) -> tuple[str, subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    """In the namespace: where the server is asked, the process that keeps the engine, and the server."""
    subprocess.run(["ip", "link", "set", "dev", "lo", "up"], check=True)
    up = turbo_hft("lab", "up", *NAME_OPTIONS)
    assert up.returncode == 0, up.stderr
    stack.callback(lambda: turbo_hft("lab", "down", *NAME_OPTIONS))
    for name, token in (("trade", TRADE), ("read", READ)):
        (directory / name).write_text(token)
        (directory / name).chmod(0o600)

    def start(name: str, what: str, *words: str) -> subprocess.Popen[bytes]:
        said = directory / f"{name}.talk"
        process = stack.enter_context(running(*words, out=directory / f"{name}.out", talk=said))
        eventually(lambda: what in said.read_text(), f"{what}, in {said.name}", 30)
        return process

    log = str(directory / "exchange.log")
    start("exchange", "exchange ready", *EXCHANGE, "--json", "--log", log, *exchange)
    given = [word for symbol in symbols for word in ("--symbol", symbol)]
    group, sockets = str(os.getgid()), ["--control-root", str(directory / "control")]
    engine = start(
        "run", "trading", "run", *ON, *SESSION, *given, *sockets, "--read-group", group, "--trade-group", group,
        "--journal", str(directory / "journal"),
    )  # fmt: skip
    tokens = ["--token-file", str(directory / "trade"), "--read-token-file", str(directory / "read")]
    server = start("serve", "serving the engine", "serve", *ON, "--port", "0", *tokens, *sockets)
    said = (directory / "serve.talk").read_text()
    found = re.search(r"at (http://127\.0\.0\.1:\d+/)", said)
    assert found is not None, said
    return found[1], engine, server


@contextmanager
def browser(width: int = 1280, height: int = 900, *, dark: bool = False) -> Iterator[webdriver.Chrome]:
    """Headless Chromium; to be used in the thread that made it."""
    assert CHROMIUM is not None and DRIVER is not None
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    words = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"]
    words += [f"--window-size={width},{height}", "--force-device-scale-factor=1", "--disable-background-networking"]
    # A name that its owner has let point to this machine.
    words += ["--host-resolver-rules=MAP rebound.example 127.0.0.1"]
    for word in words:
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER, env=environment()))
    try:
        driver.set_script_timeout(20)
        scheme = "dark" if dark else "light"
        driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        yield driver
    finally:
        driver.quit()


def text(driver: webdriver.Chrome, selector: str) -> str:
    """What stands in an element."""
    found: Any = driver.execute_script("return document.querySelector(arguments[0])?.textContent", selector)
    return str(found)


def until(condition: Callable[[], object], what: str, timeout_s: float = 20) -> None:
    """Wait; fails the test, saying what, when it does not come true in time."""
    eventually(lambda: bool(condition()), what, timeout_s)


def settled(read: Callable[[], int], for_s: float = 1.0) -> int:
    """A figure that has not moved for so long."""
    value, since = read(), time.monotonic()
    end = since + 20
    while time.monotonic() - since < for_s:
        assert time.monotonic() < end, f"it goes on moving: {value}"
        time.sleep(0.05)
        if (now := read()) != value:
            value, since = now, time.monotonic()
    return value

"""Commands as a user runs them, on a lab of this test process's own, and a look at what they leave behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from turbo_hft.lab import PASSWORD, USERNAME, LabAddresses

TAG = f"{os.getpid() % 100_000:05d}"
MARK = "TURBO_HFT_TEST_MARK"
NAMES = (f"e2e_{TAG}", f"e2e{TAG}a", f"e2e{TAG}b", f"10.{192 + os.getpid() % 60}.{os.getpid() // 60 % 250}.0/24")
ADDRESSES = LabAddresses.of(*NAMES)
NAME_OPTIONS = [
    word for option, name in zip(("namespace", "device", "peer", "subnet"), NAMES, strict=True)
    for word in (f"--{option}", name)
]  # fmt: skip
_A = ADDRESSES
ON = ["--interface", _A.device]
EXCHANGE = [
    "exchange", "--netns", _A.namespace, "--bind", _A.exchange_address, "--feed", f"{_A.feed_group}:{_A.feed_port}",
    "--wait-for-login", "--symbols", "AAPL=163.20", "--rate", "1000", "--duration", "60",
]  # fmt: skip
SESSION = [
    "--no-lab-defaults", "--local", f"{_A.host_address}:{_A.engine_port}",
    "--remote", f"{_A.exchange_address}:{_A.ouch50_port}", "--local-mac", _A.host_mac, "--remote-mac", _A.exchange_mac,
    "--account", f"{USERNAME}:{PASSWORD}", "--feed", f"{_A.feed_group}:{_A.feed_port}",
    "--feed-source", _A.exchange_address,
]  # fmt: skip
BPF_FS = Path("/sys/fs/bpf")
PACKAGE_ROOT = Path(__file__).parents[2] / "python"


def environment() -> dict[str, str]:
    """With a mark that every descendant process inherits."""
    return {**os.environ, MARK: TAG, "PYTHONPATH": str(PACKAGE_ROOT)}


def command(*words: str) -> list[str]:
    """A `turbo-hft` command line."""
    return [sys.executable, "-m", "turbo_hft.cli", *words]


def turbo_hft(*words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(*words),
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def turbo_hft_json(*words: str) -> Any:
    """Run a command that must succeed, with --json; what it printed."""
    done = turbo_hft(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def running(
    *words: str, out: Path, talk: Path, end: signal.Signals = signal.SIGINT
) -> Iterator[subprocess.Popen[bytes]]:
    """A command in the background, its output in files; it is asked to end afterwards if it has not, and waited for."""
    with out.open("wb") as out_file, talk.open("wb") as talk_file:
        process = subprocess.Popen(
            command(*words), env=environment(), stdin=subprocess.DEVNULL, stdout=out_file, stderr=talk_file
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(end)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def eventually(condition: Callable[[], bool], what: str, timeout_s: float = 15) -> None:
    """Wait until it holds. Fails the test, saying what, when it does not in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)


def pins() -> set[str]:
    """What is pinned in the BPF file system."""
    return {path.name for path in BPF_FS.iterdir()} if BPF_FS.is_dir() else set()


def leftovers() -> list[str]:
    """Namespaces, interfaces, processes and files of ours that are still there."""
    found = [f"namespace {line}" for line in _run("ip", "netns").splitlines() if NAMES[0] in line]
    found += [f"interface {line}" for line in _run("ip", "-o", "link").splitlines() if TAG in line]
    # The latency comparison names its namespace after its process.
    found += [f"namespace {name}" for name in _run("ip", "netns").split() if _is_orphan(name)]
    wanted = f"{MARK}={TAG}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(f"process {entry.name} {(entry / 'cmdline').read_bytes()!r}")
            except OSError:
                continue  # ended meanwhile
    return found


@contextmanager
def beside_an_exchange(directory: Path, *words: str) -> Iterator[None]:
    """The lab with a running exchange, whose files lie in `directory`; nothing of it is left behind."""
    before = pins()
    assert turbo_hft("lab", "up", *NAME_OPTIONS).returncode == 0
    talk = directory / "exchange.talk"
    with running(*EXCHANGE, *words, out=directory / "exchange.out", talk=talk):
        eventually(lambda: "exchange ready" in talk.read_text(), "the exchange is ready")
        yield
    down = turbo_hft("lab", "down", *NAME_OPTIONS)
    found = leftovers()
    remove_lab()
    assert down.returncode == 0 and found == [] and pins() == before


def _is_orphan(namespace: str) -> bool:
    prefix, _, pid = namespace.rpartition("_")
    return prefix.startswith("hft_lat") and not Path(f"/proc/{pid}").exists()


def remove_lab() -> None:
    """After a failed test: take away what is left."""
    subprocess.run(["ip", "link", "delete", "dev", NAMES[1]], check=False, capture_output=True)
    subprocess.run(["ip", "netns", "delete", NAMES[0]], check=False, capture_output=True)


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout

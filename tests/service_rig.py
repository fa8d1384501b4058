"""The service unit's own command line, run as the unit says: user, groups, capabilities, system calls, paths.

All of that is read from the unit file, so that what is tested is what is deployed.
"""

from __future__ import annotations

import functools
import json
import os
import re
import site
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e_rig import Rig
from turbo_hft import lab

DEPLOY = Path(__file__).parents[1] / "deploy"
UNIT = DEPLOY / "systemd" / "turbo-hft@.service"
SOURCES = Path(__file__).parents[1] / "python"
LAUNCH = Path(__file__).with_name("as_service.py")
# Nobody's on this machine.
ENGINE, READER, TRADER, STRANGER = 64_101, 64_102, 64_103, 64_104
GROUPS = {"turbo-hft": 64_101, "turbo-hft-read": 64_201, "turbo-hft-trade": 64_202}
_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_NETLINK": 16, "AF_PACKET": 17}
_COMMAND = "/usr/bin/turbo-hft"


def unit() -> dict[str, list[str]]:
    """[Service] of the unit: all values of a key, in order."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif section == "Service" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def _calls(words: str) -> set[str]:
    """System calls by name, sets of them spelled out."""
    found: set[str] = set()
    for word in words.split():
        if not word.startswith("@"):
            found.add(word)
            continue
        listed = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True)
        inner = [line.strip() for line in listed.stdout.splitlines()[1:]]
        found |= _calls(" ".join(line for line in inner if line and not line.startswith("#")))
    return found


def filter_of(service: dict[str, list[str]]) -> dict[str, list[int]]:
    """What `as_service.py filter` takes: the unit's SystemCallFilter and RestrictAddressFamilies as numbers."""
    header = subprocess.run(
        ["gcc", "-dM", "-E", "-"], input="#include <sys/syscall.h>", capture_output=True, text=True, check=True
    ).stdout
    numbers = {name: int(value) for name, value in re.findall(r"#define __NR_(\w+) (\d+)", header)}
    allowed = _calls("@default")
    for value in service["SystemCallFilter"]:
        allowed = allowed - _calls(value[1:]) if value.startswith("~") else allowed | _calls(value)
    families = service["RestrictAddressFamilies"][0].split()
    return {
        "calls": sorted(numbers[name] for name in allowed & numbers.keys()),
        "families": [_FAMILIES[name] for name in families],
        "special": [numbers["socket"], numbers["mmap"], numbers["mprotect"]],
    }


def caps(names: list[str]) -> str:
    """As setpriv takes them."""
    return ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in names)])


def as_user(uid: int, groups: list[int], capabilities: list[str], *words: str) -> list[str]:
    """A command as an ordinary user with these capabilities, ambient, and no way to others."""
    mask = caps(capabilities)
    supplementary = [f"--groups={','.join(map(str, groups))}"] if groups else ["--clear-groups"]
    return [
        "setpriv", f"--reuid={uid}", f"--regid={uid}", *supplementary, "--no-new-privs", f"--inh-caps={mask}",
        f"--ambient-caps={mask}", f"--bounding-set={mask}", *words,
    ]  # fmt: skip


def environment() -> dict[str, str]:
    """For an interpreter that is not the one of this venv, too."""
    path = os.pathsep.join([str(SOURCES), *site.getsitepackages()])
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


@functools.cache
def interpreter() -> str:
    """A Python that an ordinary user can run this checkout with: ours, if it is not in somebody's home; "" if none."""
    for python in (sys.executable, "/usr/bin/python3"):
        script = f"exec {python} -c 'import turbo_hft._native, msgspec'"
        done = subprocess.run(
            as_user(STRANGER, [], [], "/bin/sh", "-c", script),
            env=environment(), cwd="/", capture_output=True, check=False,
        )  # fmt: skip
        if not done.returncode:
            return python
    return ""


@dataclass
class Service:
    """Where it runs. `pins`, `run`, `state`: the directories that the unit, sysusers and tmpfiles would have made."""

    rig: Rig
    folder: Path
    pins: Path
    capabilities: list[str] = field(default_factory=list)

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def interface(self) -> str:
        return self.rig.addresses.device

    def prepare(self) -> None:
        """Directories and files, owned as they are deployed."""
        self.capabilities = unit()["AmbientCapabilities"][0].split()
        for directory in (self.pins, self.run / self.interface, self.state):
            directory.mkdir(parents=True)
            os.chown(directory, ENGINE, ENGINE)
        self.pins.chmod(0o700)
        self.configure()
        (self.folder / "filter.json").write_text(json.dumps(filter_of(unit())), encoding="utf-8")

    def configure(self, more: str = "") -> None:
        """The file that ExecStart names."""
        a = self.rig.addresses
        (self.folder / "engine.toml").write_text(
            f'[engine]\ninterface = "{a.device}"\npin_root = "{self.pins}"\non_restart = "trade"\nrecovery = false\n'
            f'[session]\nlocal = "{a.host_address}:{a.engine_port}"\nremote = "{a.exchange_address}:{a.ouch50_port}"\n'
            f'local_mac = "{a.host_mac}"\nremote_mac = "{a.exchange_mac}"\n'
            f'username = "{lab.USERNAME}"\npassword = "{lab.PASSWORD}"\n'
            f'[feed]\nat = "{a.feed_group}:{a.feed_port}"\nsource = "{a.exchange_address}"\n'
            f'[journal]\ndirectory = "{self.state}/journal"\n'
            f'[control]\nroot = "{self.run}"\nread_group = "{GROUPS["turbo-hft-read"]}"\n'
            f'trade_group = "{GROUPS["turbo-hft-trade"]}"\n'
            f'[symbols.AAPL]\nbuy_below = "170"\nmax_long = 100000\nbase_qty = 1\n{more}',
            encoding="utf-8",
        )

    def words(self) -> list[str]:
        """ExecStart, under all that the unit says."""
        service = unit()
        binary, *rest = service["ExecStart"][0].split()
        assert binary == _COMMAND and service["ReadWritePaths"] == ["/sys/fs/bpf/turbo_hft"]
        rest = [word.replace("/etc/turbo-hft/%i.toml", str(self.folder / "engine.toml")) for word in rest]
        groups = [GROUPS[name] for name in service["SupplementaryGroups"][0].split()]
        writable = [str(self.pins), str(self.run / self.interface), str(self.state)]
        inside = [interpreter(), str(LAUNCH), "filter", str(self.folder / "filter.json"), "--"]
        return [
            "unshare", "--mount", interpreter(), str(LAUNCH), "mounts", *writable, "--",
            *as_user(ENGINE, groups, self.capabilities, *inside, interpreter(), "-m", "turbo_hft.cli", *rest),
        ]  # fmt: skip

    @contextmanager
    def running(self, number: int) -> Iterator[subprocess.Popen[bytes]]:
        """ExecStart; ended as `systemctl stop` does if it has not."""
        umask = int(unit()["UMask"][0], 8)
        with (self.folder / f"out{number}").open("wb") as out, (self.folder / f"talk{number}").open("wb") as talk:
            process = subprocess.Popen(
                self.words(), env=environment(), cwd="/", stdout=out, stderr=talk, stdin=subprocess.DEVNULL, umask=umask
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def talk(self, number: int) -> str:
        return (self.folder / f"talk{number}").read_text(encoding="utf-8", errors="replace")

    def orders(self, number: int) -> int:
        """Orders that were printed."""
        return (self.folder / f"out{number}").read_text(encoding="utf-8", errors="replace").count(" order ")

    def at(self, *words: str) -> list[str]:
        """A command on this engine."""
        where = ["--interface", self.interface, "--pin-root", str(self.pins), "--control-root", str(self.run)]
        return [*words, *where]

    @contextmanager
    def serving(self, uid: int, groups: list[int], tokens: dict[str, str]) -> Iterator[Callable[[], str]]:
        """`turbo-hft serve` of a user without capabilities; where, as soon as it listens."""
        for name, token in tokens.items():
            path = self.folder / f"{name}{uid}"
            path.write_text(token, encoding="utf-8")
            path.chmod(0o600)
            os.chown(path, uid, uid)
        files = ["--token-file", f"{self.folder}/trade{uid}", "--read-token-file", f"{self.folder}/read{uid}"]
        talk = self.folder / f"serve{uid}"
        words = self.at("serve", "--port", "0", *files)
        with talk.open("wb") as out:
            process = subprocess.Popen(
                as_user(uid, groups, [], interpreter(), "-m", "turbo_hft.cli", *words),
                env=environment(), cwd="/", stdout=out, stderr=out, stdin=subprocess.DEVNULL,
            )  # fmt: skip

        def url() -> str:
            end = time.monotonic() + 30
            while (
                found := re.search(r"serving the engine on \S+ at (http://\S+/)\n", talk.read_text(encoding="utf-8"))
            ) is None:
                assert process.poll() is None and time.monotonic() < end, talk.read_text(encoding="utf-8")
                time.sleep(0.05)
            return found[1]

        try:
            yield url
        finally:
            process.terminate()
            assert process.wait(20) == 130, talk.read_text(encoding="utf-8")

    def person(self, uid: int, groups: list[int], *commands: list[str]) -> list[dict[str, Any]]:
        """`turbo-hft` commands one after the other in one process of a user without capabilities: code, out, err."""
        script = (
            "import sys,json,io,contextlib\nfrom turbo_hft.cli import main\nfound=[]\n"
            "for words in json.loads(sys.argv[1]):\n"
            "  out,err=io.StringIO(),io.StringIO()\n"
            "  with contextlib.redirect_stdout(out),contextlib.redirect_stderr(err): code=main(words)\n"
            "  found.append(dict(code=code,out=out.getvalue(),err=err.getvalue()))\n"
            "print(json.dumps(found))"
        )
        done = subprocess.run(
            as_user(uid, groups, [], interpreter(), "-c", script, json.dumps([self.at(*words) for words in commands])),
            env=environment(), cwd="/", capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        results: list[dict[str, Any]] = json.loads(done.stdout)
        return results

"""Where a run of the lab happens: what the machine says of itself, and the versions of what takes part."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from turbo_hft.latency.results import Machine

_TOOL_S = 5.0


def describe() -> Machine:
    """This machine. What it does not say is "" or left out."""
    return Machine(
        kernel=platform.release(),
        cpu=cpu_model(),
        cpus=os.cpu_count() or 1,
        memory_mib=_memory_mib(),
        hypervisor=_hypervisor(),
        clocksource=_word("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        governor=_word("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        python=platform.python_version(),
        versions=_versions(),
    )


def cpu_model() -> str:
    """What /proc/cpuinfo calls the processor; the architecture if it does not say."""
    for name, value in _fields("/proc/cpuinfo"):
        if name in ("model name", "Model"):
            return value
    return platform.machine()


def _fields(path: str) -> list[tuple[str, str]]:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return []
    return [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]


def _word(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _memory_mib() -> int:
    return next((int(value.split()[0]) // 1024 for name, value in _fields("/proc/meminfo") if name == "MemTotal"), 0)


def _hypervisor() -> str:
    """By the processor's own flag; the vendor's name where the firmware has one."""
    flags = next((value.split() for name, value in _fields("/proc/cpuinfo") if name == "flags"), [])
    if "hypervisor" not in flags:
        return ""
    return _word("/sys/class/dmi/id/sys_vendor") or "yes"


def _versions() -> dict[str, str]:
    found = {"turbo_hft": _own()}
    for name in ("numpy", "matplotlib", "hdrhistogram"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    for name in ("libbpf", "liburing", "libdpdk"):
        if version := _said("pkg-config", "--modversion", name):
            found[name] = version
    if clang := re.search(r"version (\S+)", _said("clang-19", "--version") or _said("clang", "--version")):
        found["clang"] = clang.group(1)
    return found


def _own() -> str:
    """The package's version, with the commit where it runs out of a checkout."""
    try:
        version = importlib.metadata.version("turbo-hft")
    except importlib.metadata.PackageNotFoundError:
        version = "uninstalled"
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return version
    commit = _said("git", "-C", str(root), "rev-parse", "--short", "HEAD")
    changed = _said("git", "-C", str(root), "status", "--porcelain", "--untracked-files=no")
    return f"{version} ({commit}{', changed' if changed else ''})" if commit else version


def _said(*command: str) -> str:
    """What a program prints first; "" when it is not there or fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TOOL_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

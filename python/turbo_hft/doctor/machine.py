"""The machine: kernel, privileges, clock, power saving."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from turbo_hft import privileges
from turbo_hft._native import lib
from turbo_hft.doctor.findings import Finding, bad, ok, warn
from turbo_hft.errors import TurboHftError

_OLDEST = (6, 1)
_SLOW_EXIT_US = 10
_MOST_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Machine:
    """Where /proc and /sys are looked for, and which kernel it says it is."""

    root: Path = Path("/")
    release: str = ""

    def text(self, path: str) -> str | None:
        """A file of /proc or /sys without its last line end, None if it cannot be read."""
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None

    def paths(self, pattern: str) -> list[Path]:
        """Those that match, in order."""
        return sorted(self.root.glob(pattern))

    @property
    def kernel(self) -> str:
        """Its release."""
        return self.release or platform.release()


def machine_findings(machine: Machine, *, load: bool = True) -> list[Finding]:
    """All of them; `load`: try to load a program too."""
    found = [
        _kernel(machine),
        _btf(machine),
        _jit(machine),
        _hardening(machine),
        _unprivileged(machine),
        *_capabilities(machine),
        _bpffs(machine),
        _memlock(machine),
        _libbpf(),
        _clock(machine),
        _idle(machine),
        _governor(machine),
        _isolated(machine),
    ]
    return [*found, _loads()] if load else found


def _kernel(machine: Machine) -> Finding:
    numbers = tuple(int(number) for number in re.findall(r"\d+", machine.kernel)[:2])
    if numbers < _OLDEST:
        return bad("kernel", machine.kernel, "Linux 6.1 or newer is needed")
    return ok("kernel", machine.kernel)


def _btf(machine: Machine) -> Finding:
    if not (machine.root / "sys/kernel/btf/vmlinux").exists():
        return bad("kernel's BTF", "there is none", "Use a kernel with CONFIG_DEBUG_INFO_BTF")
    return ok("kernel's BTF", "there")


def _jit(machine: Machine) -> Finding:
    value = machine.text("proc/sys/net/core/bpf_jit_enable")
    if value == "0":
        return bad("BPF compiler", "off: programs are interpreted", "sysctl -w net.core.bpf_jit_enable=1")
    return ok("BPF compiler", "on" if value else "always on in this kernel")


def _hardening(machine: Machine) -> Finding:
    value = machine.text("proc/sys/net/core/bpf_jit_harden")
    if value == "2":
        return warn(
            "BPF constant blinding", "for everybody: code is larger and slower", "sysctl -w net.core.bpf_jit_harden=1"
        )
    return ok("BPF constant blinding", "not for who has CAP_BPF")


def _unprivileged(machine: Machine) -> Finding:
    value = machine.text("proc/sys/kernel/unprivileged_bpf_disabled")
    if value == "0":
        return warn("BPF for everybody", "allowed", "sysctl -w kernel.unprivileged_bpf_disabled=2")
    return ok("BPF for everybody", "not allowed")


def _capabilities(machine: Machine) -> list[Finding]:
    status = machine.text("proc/self/status") or ""
    found = []
    for needed, level in ((privileges.TO_LOAD, bad), (privileges.TO_SEND, warn)):
        absent = privileges.missing(needed, status)
        for name, purpose in needed.items():
            remedy = "Run as root, or give the process this capability (deploy/README.md)"
            found.append(level(name, f"missing: needed to {purpose}", remedy) if name in absent else ok(name, "there"))
    return found


def _bpffs(machine: Machine) -> Finding:
    where = machine.root / "sys/fs/bpf"
    if not where.is_dir() or lib.hft_on_bpffs(os.fsencode(where)) != 1:
        return warn(
            "BPF file system", f"none on {where}: an engine cannot outlive its process", "mount -t bpf bpf /sys/fs/bpf"
        )
    return ok("BPF file system", f"on {where}")


def _memlock(machine: Machine) -> Finding:
    limits = machine.text("proc/self/limits") or ""
    line = re.search(r"^Max locked memory\s+(\S+)", limits, re.MULTILINE)
    # From Linux 5.11 on maps are charged to the memory cgroup.
    return ok("locked memory", f"limit {line[1] if line else 'unknown'}, which maps do not count against")


def _libbpf() -> Finding:
    try:
        library = ctypes.CDLL("libbpf.so.1")
        library.libbpf_version_string.restype = ctypes.c_char_p
        return ok("libbpf", str(library.libbpf_version_string().decode()))
    except (OSError, AttributeError) as error:
        return bad("libbpf", str(error), "Install libbpf1, 1.0 or newer")


def _clock(machine: Machine) -> Finding:
    at = "sys/devices/system/clocksource/clocksource0"
    now = machine.text(f"{at}/current_clocksource")
    if now is None:
        return ok("clock source", "unknown")
    fast = {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "timebase"}
    if now in fast:
        return ok("clock source", now)
    choices = (machine.text(f"{at}/available_clocksource") or "").split()
    better = next((one for one in choices if one in fast), None)
    remedy = f"echo {better} > /{at}/current_clocksource" if better else "Boot with tsc=reliable, if the hardware is"
    return warn("clock source", f"{now}: reading it takes long", remedy)


def _idle(machine: Machine) -> Finding:
    slow = []
    for state in machine.paths("sys/devices/system/cpu/cpu[0-9]*/cpuidle/state[0-9]*"):
        at = state.relative_to(machine.root)
        latency, disabled = machine.text(f"{at}/latency"), machine.text(f"{at}/disable")
        if latency and int(latency) > _SLOW_EXIT_US and disabled != "1":
            slow.append(f"{state.parent.parent.name} {machine.text(f'{at}/name')} ({latency} µs)")
    if not slow:
        return ok("idle states", f"none that takes more than {_SLOW_EXIT_US} µs to leave")
    shown = ", ".join(slow[:_MOST_SHOWN]) + (f" and {len(slow) - _MOST_SHOWN} more" if len(slow) > _MOST_SHOWN else "")
    return warn("idle states", shown, "Hold /dev/cpu_dma_latency open at 0, or boot with processor.max_cstate=1")


def _governor(machine: Machine) -> Finding:
    governors = {
        machine.text(str(path.relative_to(machine.root))) or ""
        for path in machine.paths("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
    }
    if not governors <= {"performance"}:
        return warn(
            "clock rate", f"governed by {', '.join(sorted(governors))}", "cpupower frequency-set -g performance"
        )
    return ok("clock rate", "governor performance" if governors else "not governed by this kernel")


def _isolated(machine: Machine) -> Finding:
    isolated = machine.text("sys/devices/system/cpu/isolated")
    if not isolated:
        return warn(
            "isolated CPUs", "none: the scheduler may put others beside the hook", "Boot with isolcpus= for its CPU"
        )
    return ok("isolated CPUs", isolated)


def _loads() -> Finding:
    """The one check that says it all."""
    from turbo_hft.program import Program

    try:
        program = Program.load(symbols=1, orders=1, kept=1)
    except TurboHftError as error:
        return bad("loading the program", " ".join(str(error).split()), "See the findings above")
    program.close()
    return ok("loading the program", "the verifier takes it")

"""What a doctor says of machines that are only files: every finding once well and once not, with its remedy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from turbo_hft.cli import main
from turbo_hft.doctor import Finding, Level, Machine, interface_findings, machine_findings

Changes = dict[str, str | None]
ALL_CAPABILITIES = "000001ffffffffff"
GOOD_MACHINE = {
    "sys/kernel/btf/vmlinux": "",
    "proc/sys/net/core/bpf_jit_enable": "1",
    "proc/sys/net/core/bpf_jit_harden": "0",
    "proc/sys/kernel/unprivileged_bpf_disabled": "2",
    "proc/self/status": f"Name:\tx\nCapEff:\t{ALL_CAPABILITIES}\n",
    "proc/self/limits": "Max locked memory         8388608              8388608              bytes\n",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
    "sys/devices/system/cpu/cpu0/cpuidle/state1/latency": "2",
    "sys/devices/system/cpu/cpu0/cpuidle/state1/name": "C1",
    "sys/devices/system/cpu/cpu0/cpuidle/state1/disable": "0",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance",
    "sys/devices/system/cpu/isolated": "2-3",
}
NET = "sys/class/net/eth9"
GOOD_INTERFACE = {
    f"{NET}/ifindex": "7",
    f"{NET}/flags": "0x1003",
    f"{NET}/carrier": "1",
    f"{NET}/mtu": "1500",
    f"{NET}/queues/rx-0/rps_cpus": "0",
    "proc/interrupts": "           CPU0       CPU1\n  33:   5   0   PCI-MSI   eth9-TxRx-0\n",
    "proc/irq/33/effective_affinity_list": "1",
}


def machine(folder: Path, changes: Changes | None = None, release: str = "6.1.0-18-amd64") -> Machine:
    for path, text in {**GOOD_MACHINE, **GOOD_INTERFACE, **(changes or {})}.items():
        if text is not None:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
    return Machine(folder, release)


def found(findings: list[Finding], what: str) -> Finding:
    (one,) = [one for one in findings if one.what == what]
    assert (one.level is Level.OK) == (one.remedy == "")
    return one


def on_machine(folder: Path, what: str, changes: Changes | None = None, release: str = "6.1") -> Finding:
    return found(machine_findings(machine(folder, changes, release), load=False), what)


def on_interface(
    folder: Path, what: str, changes: Changes | None = None, features: dict[str, bool] | None = None
) -> Finding:
    given = {"rx-gro": True} if features is None else features
    return found(interface_findings(machine(folder, changes), "eth9", lambda name: given), what)


def test_a_good_machine_has_nothing_bad(tmp_path: Path) -> None:
    levels = {one.what: one.level for one in machine_findings(machine(tmp_path), load=False)}
    assert [what for what, level in levels.items() if level is not Level.OK] == ["BPF file system"]
    for one in interface_findings(machine(tmp_path), "eth9", lambda name: {"rx-gro": True}):
        assert one.level is Level.OK, one


@pytest.mark.parametrize(
    ("what", "path", "text", "level", "remedy"),
    [
        ("kernel's BTF", "sys/kernel/btf/vmlinux", None, "bad", "CONFIG_DEBUG_INFO_BTF"),
        ("BPF compiler", "proc/sys/net/core/bpf_jit_enable", "0", "bad", "bpf_jit_enable=1"),
        ("BPF constant blinding", "proc/sys/net/core/bpf_jit_harden", "2", "warn", "bpf_jit_harden=1"),
        ("BPF for everybody", "proc/sys/kernel/unprivileged_bpf_disabled", "0", "warn", "unprivileged_bpf_disabled=2"),
        ("CAP_BPF", "proc/self/status", "CapEff:\t0000000000000000", "bad", "capability"),
        ("CAP_NET_ADMIN", "proc/self/status", "CapEff:\t0000008000000000", "bad", "capability"),
        ("CAP_PERFMON", "proc/self/status", "nothing of it", "bad", "capability"),
        ("CAP_NET_RAW", "proc/self/status", "CapEff:\t000000c000001000", "warn", "capability"),
        (
            "clock source", "sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet", "warn", "tsc",
        ),
        ("idle states", "sys/devices/system/cpu/cpu0/cpuidle/state1/latency", "133", "warn", "cpu_dma_latency"),
        ("clock rate", "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave", "warn", "cpupower"),
        ("isolated CPUs", "sys/devices/system/cpu/isolated", "", "warn", "isolcpus="),
    ],
)  # fmt: skip
def test_what_is_not_well_comes_with_its_remedy(
    tmp_path: Path, what: str, path: str, text: str | None, level: str, remedy: str
) -> None:
    good = on_machine(tmp_path / "good", what)
    worse = on_machine(tmp_path / "worse", what, {path: text})
    assert (good.level, worse.level.value) == (Level.OK, level)
    assert remedy in worse.remedy


def test_capabilities_are_told_apart(tmp_path: Path) -> None:
    only_bpf: Changes = {"proc/self/status": "CapEff:\t0000008000000000"}
    assert on_machine(tmp_path, "CAP_BPF", only_bpf).level is Level.OK


@pytest.mark.parametrize(("release", "good"), [("6.1", True), ("6.18.3-x", True), ("5.15.0", False), ("6.0.9", False)])
def test_the_oldest_kernel(tmp_path: Path, release: str, good: bool) -> None:
    assert (on_machine(tmp_path, "kernel", release=release).level is Level.OK) == good


def test_an_idle_state_that_is_switched_off_is_none(tmp_path: Path) -> None:
    state = "sys/devices/system/cpu/cpu0/cpuidle/state1"
    assert on_machine(tmp_path, "idle states", {f"{state}/latency": "133", f"{state}/disable": "1"}).level is Level.OK


@pytest.mark.parametrize(
    ("what", "path", "text", "level", "remedy"),
    [
        ("interface", f"{NET}/ifindex", None, "bad", "ip link"),
        ("interface", f"{NET}/flags", "0x1002", "bad", "ip link set dev eth9 up"),
        ("interface", f"{NET}/flags", "0x9", "bad", "exchange"),
        ("interface", f"{NET}/carrier", "0", "bad", "cable"),
        ("MTU", f"{NET}/mtu", "9000", "bad", "mtu 1500"),
        ("receive queues", f"{NET}/queues/rx-1/rps_cpus", "0", "warn", "ethtool -L eth9 combined 1"),
        ("RPS", f"{NET}/queues/rx-0/rps_cpus", "3", "warn", "rps_cpus"),
        ("interrupts", "proc/irq/33/effective_affinity_list", "0-1", "warn", "smp_affinity_list"),
    ],
)
def test_what_is_not_well_with_an_interface(
    tmp_path: Path, what: str, path: str, text: str | None, level: str, remedy: str
) -> None:
    worse = on_interface(tmp_path, what, {path: text})
    assert worse.level.value == level and remedy in worse.remedy


@pytest.mark.parametrize(
    ("what", "features", "level", "remedy"),
    [
        ("LRO", {"rx-lro": True}, "bad", "ethtool -K eth9 lro off"),
        ("hardware GRO", {"rx-gro-hw": True}, "warn", "rx-gro-hw off"),
        ("VLAN tags", {"rx-vlan-hw-parse": True}, "warn", "rxvlan off"),
        ("offloads", {}, "warn", "ethtool -k eth9"),
    ],
)
def test_offloads(tmp_path: Path, what: str, features: dict[str, bool], level: str, remedy: str) -> None:
    worse = on_interface(tmp_path, what, features=features)
    assert worse.level.value == level and remedy in worse.remedy


@pytest.mark.kernel
def test_the_command_says_what_it_sees_of_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--interface", "lo", "--json"]) == 1
    listed = {one["what"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed["interface"]["level"] == "bad" and listed["loading the program"]["level"] == "ok"
    assert {one["level"] for one in listed.values()} <= {"ok", "warn", "bad"}
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert all(line[:4].strip() in ("ok", "warn") for line in out.splitlines())


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completions_know_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("upgrade", "doctor", "tap", "--strategy-object", "--on-restart", "apply"):
        assert word in script


def test_the_manual_page_is_made_from_the_parsers(tmp_path: Path) -> None:
    """As `make man` does."""
    page = tmp_path / "turbo-hft.1"
    words = ["--module", "turbo_hft.cli.entry", "--function", "build_parser", "--prog", "turbo-hft"]
    maker = Path(sys.executable).with_name("argparse-manpage")
    subprocess.run([str(maker), *words, "--project-name", "turbo-hft", "--output", str(page)], check=True)
    text = page.read_text().replace("\\-", "-").replace("\\fI", "").replace("\\fR", "").replace("\\fB", "")
    assert text.startswith(".TH") and all(word in text for word in ("tap", "upgrade", "--strategy-object", "130"))

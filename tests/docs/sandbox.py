"""Runs the blocks of a page in order in a sandbox: namespaces for net, mounts and processes, HOME and TMP of its own.

Its directory looks like the checkout (links to what is in there), and takes the files that blocks write. Nothing that
is started in it outlives it.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from docs.pages import ROOT, Block

TIMEOUT_S = 240
_MACHINE = """\
set -e -o pipefail
mount -t tmpfs tmpfs /run && mkdir /run/netns
mount -t sysfs sysfs /sys && mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmpfs {work}/etc && cp -a /etc/. {work}/etc && mount --bind {work}/etc /etc
ip link set dev lo up
export PATH={root}/.venv/bin:{work}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME={work}/home TMPDIR={work}/tmp NO_COLOR=1 PYTHONPATH={root}/tests
unset PYTEST_ADDOPTS PYTEST_CURRENT_TEST
trading() {{ until sleep 1; turbo-hft status 2>/dev/null | grep -q TRADING; do :; done; }}  # asking takes CPU
cd {work}/checkout
"""
_ALIKE = re.compile(r"-?\d(?:[\d,.:]*\d)?")


@dataclass(frozen=True, slots=True)
class Step:
    """A block as shell."""

    block: Block
    shell: str


class BlockFailed(Exception):
    """A block of a page did not do what the page says."""


def run_page(name: str, blocks: Sequence[Block], work: Path, *, long: bool) -> list[tuple[str, float]]:
    """Run all of it; (place, seconds) of each block that was run. Raises BlockFailed."""
    steps = _steps(blocks, work, long=long)
    if not steps:
        return []
    for directory in ("home", "tmp", "etc", "checkout", "out", "bin"):
        (work / directory).mkdir()
    clang = shutil.which("clang") or shutil.which("clang-19")  # Debian's has a number
    if clang is not None:
        (work / "bin" / "clang").symlink_to(clang)
    for entry in ROOT.iterdir():
        if entry.name not in (".git", ".gitignore") and not entry.name.startswith(".hypothesis"):
            (work / "checkout" / entry.name).symlink_to(entry)
    script = _MACHINE.format(work=work, root=ROOT)
    for number, step in enumerate(steps):
        (work / "out" / f"{number}.sh").write_text(step.shell, encoding="utf-8")
        script += f"echo $EPOCHREALTIME >> {work}/out/began\n"
        script += f". {work}/out/{number}.sh > {work}/out/{number}.txt 2>&1 < /dev/null\n"
    script += f"echo $EPOCHREALTIME >> {work}/out/began\n"
    (work / "page.sh").write_text(script, encoding="utf-8")
    # Ends with us, whatever ends us; and everything in it ends with it.
    machine = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    try:
        result = subprocess.run(
            [*machine, "bash", str(work / "page.sh")], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        failure = f"exit code {result.returncode}" if result.returncode else ""
        stderr = result.stderr
    except subprocess.TimeoutExpired:
        failure, stderr = f"not done after {TIMEOUT_S} s", ""
    began = work / "out" / "began"
    if not began.exists():
        raise BlockFailed(f"{name}: no sandbox: {stderr}")
    times = [float(line) for line in began.read_text().split()]
    if failure:
        number = len(times) - 1
        said = (work / "out" / f"{number}.txt").read_text(errors="replace")
        raise BlockFailed(
            f"{steps[number].block.place}: {failure}\n{steps[number].block.text}\n--- it said\n{said}{stderr}"
        )
    _compare(blocks, steps, work)
    shutil.rmtree(work)
    return [(step.block.place, end - begin) for step, (begin, end) in zip(steps, pairwise(times), strict=True)]


def _steps(blocks: Sequence[Block], work: Path, *, long: bool) -> list[Step]:
    steps: list[Step] = []
    together: list[Block] = []  # Python with an engine: one lab for all of a page
    for number, block in enumerate(blocks):
        if block.find("not run") or (block.find("long") and not long) or block.find("shows"):
            continue
        named = block.find("file")
        file = work / f"block{number}.{block.language}" if named is None else Path(named.value)
        write = f"cat > {shlex.quote(str(file))} <<'END OF THE BLOCK'\n{block.text}END OF THE BLOCK\n"
        exits = block.find("exits")
        if block.language in ("sh", "do"):
            shell = block.text
            if exits is not None:
                shell = f"set +e\n{block.text}\ntest $? -eq {int(exits.value)} || exit 99\nset -e\n"
            steps.append(Step(block, shell))
        elif block.language == "python" and block.find("with"):
            together.append(block)
            (work / f"with{len(together)}.py").write_text(block.text, encoding="utf-8")
            if len(together) == 1:
                steps.append(Step(block, f"python -m docs.with_engine {work}/with*.py\n"))
        elif block.language == "python" and re.search(r"^def test_", block.text, re.MULTILINE):
            file = work / f"test_block{number}.py" if named is None else file
            write = write.replace(str(work / f"block{number}.python"), str(file))
            steps.append(Step(block, f"{write}python -m pytest -q -c /dev/null -p no:cacheprovider {file}\n"))
        elif block.language == "python":
            steps.append(Step(block, f"{write}python {shlex.quote(str(file))}\n"))
        elif block.language == "toml":
            steps.append(Step(block, f"{write}turbo-hft config check {shlex.quote(str(file))}\n"))
        elif block.language == "c":
            made = work / f"block{number}.o" if named is None else file.with_suffix(".o")
            steps.append(
                Step(block, f"{write}turbo-hft strategy build {file} -o {made} && turbo-hft strategy check {made}\n")
            )
        elif named is not None:
            steps.append(Step(block, write))
    return steps


def _compare(blocks: Sequence[Block], steps: Sequence[Step], work: Path) -> None:
    """What a page shows stands in what the block before printed: line by line, in order, whatever the numbers are."""
    for before, block in pairwise(blocks):
        if block.find("shows") is None:
            continue
        number = next((at for at, step in enumerate(steps) if step.block is before), None)
        if number is None:  # a long one, left out
            continue
        printed = (work / "out" / f"{number}.txt").read_text(errors="replace")
        lines = iter([alike(line) for line in printed.splitlines()])
        for line in block.text.splitlines():
            wanted = alike(line)
            if wanted and not any(_fits(wanted, one) for one in lines):
                raise BlockFailed(
                    f"{block.place}: the page shows a line that was not printed there:\n{line}\n---\n{printed}"
                )


def alike(line: str) -> str:
    """A line with every number the same, and blanks that do not count."""
    return " ".join(_ALIKE.sub("0", line).split())


def _fits(wanted: str, printed: str) -> bool:
    """`…` stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, wanted.split("…"))), printed) is not None

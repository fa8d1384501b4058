"""Builds of the engine's program that differ from this one in one place."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tools.clauses import ROOT, compiler


def built(folder: Path, *edits: tuple[str, str, str], name: str = "other") -> Path:
    """Compile the program after replacing text in files below bpf/: (file, old, new), each of which is there once."""
    source = folder / f"{name}.src"
    shutil.copytree(ROOT / "bpf", source)
    for file, old, new in edits:
        text = (source / file).read_text()
        assert text.count(old) == 1, f"{file} has {text.count(old)} times {old!r}"
        (source / file).write_text(text.replace(old, new))
    target = folder / f"{name}.o"
    command = [*(flag for flag in compiler() if flag != "-Ibpf"), f"-I{source}", "-Wno-unused"]
    subprocess.run([*command, "-c", str(source / "xdp_hft.bpf.c"), "-o", str(target)], check=True)
    return target


# The self-check sees fewer packets than this; under traffic it stops to handle any.
GOES_DEAF = (
    "xdp_hft.bpf.c",
    "\tcount_outside(HFT_C_FRAMES);\n",
    "\tif (tallies.counter[HFT_C_FEED_PACKETS] > 500)\n\t\treturn XDP_PASS;\n\tcount_outside(HFT_C_FRAMES);\n",
)
# An order leaves although its engine is halted.
IGNORES_HALT = (
    "hft/risk.bpf.h",
    "RISK_LAST_CHECK(HALTED_GLOBAL, halted(live->kill));",
    "RISK_LAST_CHECK(HALTED_GLOBAL, live->kill == 99);",
)

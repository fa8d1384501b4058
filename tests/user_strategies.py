"""User strategies for tests: compiled from C, as a user would."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "docs" / "examples" / "lean.c"
CLANG = shutil.which("clang-19") or shutil.which("clang") or "clang"

# Buys `params.qty` shares at the offer whenever it is asked.
BUYER = """
#include <hft/strategy_api.h>

HFT_PARAMS struct {
	__u32 qty;
} params = { .qty = 100 };

int hft_user_strategy(const struct hft_signal *signal, struct hft_intents *intents)
{
	if (!signal || !intents)
		return 0;
	if (signal->after.price_e4[HFT_SELL] && !signal->open_orders)
		hft_enter(intents, HFT_BUY, signal->after.price_e4[HFT_SELL], params.qty, HFT_TIF_SESSION);
	return 0;
}
"""


def body(text: str, before: str = "") -> str:
    """A strategy of these statements."""
    return f"""
#include <hft/strategy_api.h>
{before}
int hft_user_strategy(const struct hft_signal *signal, struct hft_intents *intents)
{{
	if (!signal || !intents)
		return 0;
	{text}
	return 0;
}}
"""


def compiled(directory: Path, text: str, name: str = "mine", *flags: str) -> Path:
    """An object made of that source."""
    source, made = directory / f"{name}.c", directory / f"{name}.o"
    source.write_text(text)
    command = [CLANG, "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-target", "bpf", "-mcpu=v3", f"-I{ROOT / 'bpf'}"]
    command += [*flags, "-c", str(source), "-o", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made

"""A wheel brings the header that a strategy is compiled against, and links the object where nothing can be compiled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from user_strategies import CLANG, EXAMPLE, ROOT

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

LOAD = """
import os, shutil, sys
assert not any(shutil.which(tool) for tool in ("clang", "clang-19", "bpftool", "gcc", "cc"))
import turbo_hft
assert turbo_hft.__file__.startswith(sys.prefix), turbo_hft.__file__
with turbo_hft.Engine.load(symbols=16, orders=256, kept=64) as engine:
    print(engine.load_strategy(sys.argv[1]).name)
    engine.user.params.qty = 7
    print(engine.user.params.as_dict()["qty"])
"""


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_wheel_links_a_strategy_with_an_empty_path(tmp_path: Path) -> None:
    pip = ["-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheel = [sys.executable, *pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    subprocess.run([*wheel, str(ROOT)], check=True, capture_output=True, text=True)
    (built,) = tmp_path.glob("turbo_hft-*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    scripts = tmp_path / "venv" / "bin"
    python = str(scripts / "python")
    subprocess.run([python, "-I", *pip, "install", str(built)], check=True, capture_output=True, text=True)
    found = subprocess.run(
        [str(scripts / "turbo-hft"), "strategy", "header-dir"], check=True, capture_output=True, text=True
    )
    include = Path(found.stdout.strip())
    assert include.is_relative_to(tmp_path)
    assert sorted(path.name for path in (include / "hft").iterdir()) == ["abi.h", "limits.h", "strategy_api.h"]
    compiled = tmp_path / "lean.o"
    flags = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", f"-I{include}"]
    subprocess.run([CLANG, *flags, "-c", str(EXAMPLE), "-o", str(compiled)], check=True)
    done = subprocess.run(
        [python, "-I", "-c", LOAD, str(compiled)], env={"PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "lean\n7\n"

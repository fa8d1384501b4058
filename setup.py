"""What pyproject.toml cannot say: the hook of cffi, the headers that user strategies are written against, and the
object that `turbo-hft bench --slow` links in.

The headers are those of the hook itself, so they are copied into the package and not kept there; the object is built
before the package is.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SLOW = "slow.bpf.o"
HEADERS = ("abi.h", "limits.h", "strategy_api.h")


class BuildWithHeaders(build_py):
    """An editable install finds them where they are."""

    def run(self) -> None:
        """Build, then copy them."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "turbo_hft", "include", "hft")
        target.mkdir(parents=True, exist_ok=True)
        for header in HEADERS:
            shutil.copyfile(ROOT / "bpf" / "hft" / header, target / header)
        shutil.copyfile(ROOT / "build" / SLOW, Path(self.build_lib, "turbo_hft", "latency", SLOW))


setup(cffi_modules=["build.py:ffibuilder", "build.py:peers_ffibuilder"], cmdclass={"build_py": BuildWithHeaders})

"""What pyproject.toml cannot say: the hook of cffi, and the headers that user strategies are written against.

The headers are those of the hook itself, so they are copied into the package and not kept there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

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
            shutil.copyfile(Path(__file__).resolve().parent / "bpf" / "hft" / header, target / header)


setup(cffi_modules=["build.py:ffibuilder", "build.py:peers_ffibuilder"], cmdclass={"build_py": BuildWithHeaders})

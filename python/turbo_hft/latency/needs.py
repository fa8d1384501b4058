"""The packages that measuring and its report need, and that nothing else does: the extra `bench`."""

from __future__ import annotations

import importlib.util

_NEEDS = {"hdrh": "hdrhistogram", "matplotlib": "matplotlib", "numpy": "numpy"}


def missing() -> str:
    """What to install, in words; "" = all are there."""
    absent = [package for module, package in _NEEDS.items() if importlib.util.find_spec(module) is None]
    return f"{', '.join(absent)} is not installed: pip install 'turbo-hft[bench]'" if absent else ""

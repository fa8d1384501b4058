"""What a run draws by lot for the parameters of its tests: the same in the processes of one run (pytest-xdist)."""

from __future__ import annotations

import os
import random


def lots() -> random.Random:
    """A generator that starts alike wherever it is asked for in one run of pytest-xdist; without that, anywhere."""
    return random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID"))


def some_seeds(number: int) -> list[int]:
    """Numbers of 32 bits."""
    draw = lots()
    return [draw.randrange(1 << 32) for _ in range(number)]

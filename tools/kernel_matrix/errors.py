"""What can go wrong, apart by what the caller can do about it."""

from __future__ import annotations

UNAVAILABLE = 77  # exit code: QEMU or a kernel is not here and cannot be had; anything else is a failure


class MatrixError(Exception):
    """A kernel refused the program or did something else with it, or a step before that failed."""


class Unavailable(MatrixError):
    """Something that has to be installed or downloaded first is not here and cannot be had."""

"""What can go wrong, apart by what becomes of the run."""

from __future__ import annotations


class BenchError(Exception):
    """Nothing can be measured."""


class NoFigureError(Exception):
    """This contestant did not handle this day, or did not end with its book: its time says nothing."""

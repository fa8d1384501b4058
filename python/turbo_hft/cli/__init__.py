"""The command line `turbo-hft`: one module per command, the entry point in `entry`."""

from __future__ import annotations

from turbo_hft.cli.entry import main

__all__ = ["main"]

"""`python -m turbo_hft.exchange`."""

from __future__ import annotations

import sys

from turbo_hft.exchange.cli import run

sys.exit(run())

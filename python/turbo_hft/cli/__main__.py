"""`python -m turbo_hft.cli`."""

from __future__ import annotations

import sys

from turbo_hft.cli.entry import main

sys.exit(main())

"""Where the header is that user strategies are written against."""

from __future__ import annotations

from pathlib import Path

from turbo_hft.errors import ConfigError

_HEADER = Path("hft", "strategy_api.h")


def include_dir() -> Path:
    """The directory for ``clang -I``: ``#include <hft/strategy_api.h>`` is found there. Raises ConfigError."""
    package = Path(__file__).resolve().parent
    # In a wheel they are beside the modules, in a source tree where the hook has them.
    for directory in (package / "include", package.parents[1] / "bpf"):
        if (directory / _HEADER).is_file():
            return directory
    raise ConfigError("this installation has no headers for strategies: install the wheel, or work in the source tree.")

"""The pytest plugin: registered by the package, so that installing it is enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from turbo_hft.testing.hook import Hook


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--engine-object`: which build of the program is tested."""
    parser.addoption(
        "--engine-object", type=Path, metavar="FILE", help="load this build of the XDP program, not the package's"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Before any test loads anything."""
    built: Path | None = config.getoption("--engine-object")
    if built is not None:
        from turbo_hft.program import use_engine_object

        use_engine_object(built.read_bytes())


@pytest.fixture(scope="session")
def _loaded_hook() -> Iterator[Hook]:
    with Hook() as hook:
        yield hook


@pytest.fixture
def hook(_loaded_hook: Hook) -> Hook:
    """The loaded program with fresh maps: nothing configured or tracked, default limits. Loaded once a session."""
    _loaded_hook.reset()
    _loaded_hook.engine.use_default_limits()
    return _loaded_hook

"""The pytest plugin: registered by the package, so that installing it is enough."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from turbo_hft.testing.hook import Hook


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

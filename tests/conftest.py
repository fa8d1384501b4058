"""hypothesis profiles: short in `make test`, long in `make fuzz`. The option of `make docs-test`."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

FUZZ_EXAMPLES = 3000

_COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)

settings.register_profile("default", _COMMON, max_examples=100)
settings.register_profile("fuzz", _COMMON, max_examples=FUZZ_EXAMPLES)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--all-blocks`: of README.md and docs/ (tests/docs)."""
    parser.addoption("--all-blocks", action="store_true", help="run the long blocks of the documentation too")

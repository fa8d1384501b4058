"""hypothesis profiles: short in `make test`, long in `make fuzz`. The option of `make docs-test`.

What may run side by side in `make test`.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

FUZZ_EXAMPLES = 3000

_COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)

settings.register_profile("default", _COMMON, max_examples=100)
settings.register_profile("fuzz", _COMMON, max_examples=FUZZ_EXAMPLES)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--all-blocks`: of README.md and docs/ (tests/docs)."""
    parser.addoption("--all-blocks", action="store_true", help="run the long blocks of the documentation too")


ALONE = ("e2e", "kernel")
NOT_ALONE = (  # they boot their own machine, or need no device
    *("e2e/test_wheel.py", "kernel/test_bench_book.py", "kernel/test_book_depth.py", "kernel/test_mutation.py"),
    *("kernel/test_kernel_matrix.py", "kernel/test_kernel_matrix_orders.py"),
)


class _ByFile(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    """What needs devices or time goes one after the other, in one process; the rest beside it, by file."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        room, _, _ = (inside := file.removeprefix("tests/")).partition("/")
        return "machine" if room in ALONE and inside not in NOT_ALONE else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByFile:
    """`-n 2`, as in `make test`."""
    return _ByFile(config, log)

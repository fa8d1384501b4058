"""The pages that are made from code are as they would be made now."""

from __future__ import annotations

import pytest
from turbo_hft import abi

from tools.generated_docs import PAGES, ROOT


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_current(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == PAGES[name](), f"{name} is not current: run `make docs`"


def test_every_reason_has_a_section() -> None:
    page = (ROOT / "docs" / "reject-reasons.md").read_text(encoding="utf-8")
    for number, name in abi.reasons().items():
        assert (f"\n## `{name}`\n" in page) == (number != 0)

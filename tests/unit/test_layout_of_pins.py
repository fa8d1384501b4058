"""Where things are pinned: names that a BPF file system takes, and that say again what they are of."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from turbo_hft.errors import ConfigError
from turbo_hft.layout import Layout, abi_of, quoted, unquoted, version_directory

ROOT = Path("/pins")


def test_the_paths() -> None:
    layout = Layout(ROOT, 3, "eth0.100")
    assert layout.link == Path("/pins/v3/eth0%2e100/link")
    assert layout.program == Path("/pins/v3/eth0%2e100/program")
    assert layout.of(57).program == Path("/pins/v3/eth0%2e100/57/program")
    assert layout.of(57).map(".data.books") == Path("/pins/v3/eth0%2e100/57/maps/%2edata%2ebooks")


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/"), min_size=1))
def test_names_have_no_dots_and_come_back(name: str) -> None:
    assert "." not in quoted(name)
    assert unquoted(quoted(name)) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "sixteen_letters_", "eth0:1"])
def test_what_is_no_interface_makes_no_path(name: str) -> None:
    with pytest.raises(ConfigError, match="interface"):
        Layout(ROOT, 3, name)


def test_versions_have_directories_of_their_own() -> None:
    assert abi_of(version_directory(ROOT, 12).name) == 12
    assert [abi_of(name) for name in ("12", "v", "vx", "v1x", "maps.debug")] == [None] * 5

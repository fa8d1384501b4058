"""One contract, three readers: clang's BTF, the extension module and the documentation agree on every byte."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from turbo_hft import abi
from turbo_hft._native import ffi, lib

ROOT = Path(__file__).resolve().parents[2]
HEADER = (ROOT / "bpf" / "hft" / "abi.h").read_text()
STRUCTS = re.findall(r"^struct (hft_\w+) \{", HEADER, flags=re.MULTILINE)


def _btf() -> list[dict[str, Any]]:
    bpftool = shutil.which("bpftool", path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert bpftool, "bpftool is missing: `make deps`"
    command = [bpftool, "--json", "btf", "dump", "file", str(ROOT / "build" / "xdp_hft.bpf.o")]
    types: list[dict[str, Any]] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["types"]
    return types


@pytest.fixture(scope="module")
def btf() -> dict[str, dict[str, Any]]:
    return {
        entry["name"]: entry for entry in _btf() if entry["kind"] in ("STRUCT", "ENUM") and entry["name"] != "(anon)"
    }


def _cffi_layout(struct: str) -> dict[str, int]:
    return {name: field.offset for name, field in ffi.typeof(f"struct {struct}").fields}


@pytest.mark.parametrize("struct", STRUCTS)
def test_btf_and_cffi_have_the_same_layout(btf: dict[str, dict[str, Any]], struct: str) -> None:
    entry = btf[struct]
    assert entry["size"] == ffi.sizeof(f"struct {struct}")
    assert {m["name"]: m["bits_offset"] // 8 for m in entry["members"]} == _cffi_layout(struct)


@pytest.mark.parametrize("struct", STRUCTS)
def test_the_documentation_has_the_same_layout(struct: str) -> None:
    page = (ROOT / "docs" / "abi.md").read_text()
    section = re.search(rf"^## `{struct}`: (\d+) bytes\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL)
    assert section, f"docs/abi.md misses {struct}: run `make abi-doc`"
    rows = re.findall(r"^\| (\d+) \| (\d+) \| `(\w+)`", section.group(2), flags=re.MULTILINE)
    fields = ffi.typeof(f"struct {struct}").fields
    assert int(section.group(1)) == ffi.sizeof(f"struct {struct}")
    assert rows == [(str(f.offset), str(ffi.sizeof(f.type)), name) for name, f in fields]


@pytest.mark.parametrize("struct", STRUCTS)
def test_no_struct_has_hidden_padding(struct: str) -> None:
    end = 0
    for name, field in ffi.typeof(f"struct {struct}").fields:
        assert field.offset == end, f"hole before {name}"
        end = field.offset + ffi.sizeof(field.type)
    assert end == ffi.sizeof(f"struct {struct}")


def test_enums_agree(btf: dict[str, dict[str, Any]]) -> None:
    names = [name for name, entry in btf.items() if entry["kind"] == "ENUM" and name.startswith("hft_")]
    assert set(names) == set(re.findall(r"^enum (hft_\w+) \{", HEADER, flags=re.MULTILINE))
    for name in names:
        values = {v["name"]: v["val"] for v in btf[name]["values"]}
        assert values == {text: value for value, text in ffi.typeof(f"enum {name}").elements.items()}


def test_map_names_fit_the_kernel(btf: dict[str, dict[str, Any]]) -> None:
    names = re.findall(
        r"^(?:HFT_ARRAY\((\w+)|\} (\w+) SEC\(\"\.maps\"\))", (ROOT / "bpf/hft/maps.bpf.h").read_text(), re.M
    )
    found = [first or second for first, second in names if (first or second) != "name_"]
    assert len(found) >= 15
    assert all(len(name) <= 15 for name in found)


def test_bounds_of_the_extension_are_those_of_the_header() -> None:
    limits = (ROOT / "bpf" / "hft" / "limits.h").read_text()
    for name, value in re.findall(r"^#define (HFT_\w+) (\d+)\b", limits, flags=re.MULTILINE):
        assert getattr(lib, name) == int(value)
    assert abi.VERSION == lib.HFT_ABI_VERSION

"""One contract, three readers: clang's BTF, the extension module and the documentation agree on every byte."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.engine import Engine
from turbo_hft.program import map_shapes

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
    assert section, f"docs/abi.md misses {struct}: run `make docs`"
    rows = re.findall(r"^\| (\d+) \| (\d+) \| `(\w+)` \| ([^|]+) \|", section.group(2), flags=re.MULTILINE)
    fields = ffi.typeof(f"struct {struct}").fields
    assert int(section.group(1)) == ffi.sizeof(f"struct {struct}")
    assert [row[:3] for row in rows] == [(str(f.offset), str(ffi.sizeof(f.type)), name) for name, f in fields]
    for _, size, name, kind in rows:
        assert _documented_bytes(kind) == int(size), f"{name} is no {kind}"


def _documented_bytes(kind: str) -> int:
    """Of u8, s64[3], u8[4][64] or struct hft_window[2]."""
    found = re.fullmatch(r"([us]\d+|struct hft_\w+)((?:\[\d+\])*)", kind)
    assert found, kind
    named, lengths = found.groups()
    each = ffi.sizeof(named) if named.startswith("struct") else int(named[1:]) // 8
    return int(each) * math.prod(map(int, re.findall(r"\d+", lengths)))


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


def test_map_names_fit_the_kernel() -> None:
    """15 characters, or a running engine's maps are not found again; a global array is named after its section."""
    maps = (ROOT / "bpf/hft/maps.bpf.h").read_text()
    names = [name for name in re.findall(r"^HFT_ARRAY\((\w+)", maps, re.M) if name != "name_"]
    names += re.findall(r"^\} (\w+) SEC\(\"\.maps\"\)", maps, re.M)
    names += [f".data.{section}" for section in re.findall(r"HFT_TABLE\(\"(\w+)\"\)", maps)]
    assert len(names) >= 15
    assert all(len(name) <= 15 for name in names)


def test_every_shared_map_is_of_the_size_the_package_expects() -> None:
    """What adoption checks, on a program of other sizes than a bare load's."""
    with Engine.load(symbols=1000, feeds=2, orders=10_000, levels=2000, kept=500) as engine:
        for name, shape in map_shapes(engine.program.config).items():
            found = ffi.new("struct hft_map_shape *")
            assert lib.hft_map_shape(engine.program.map(name), found) == 0
            assert found.value_size * found.max_entries == shape.bytes, name


def test_bounds_of_the_extension_are_those_of_the_header() -> None:
    limits = (ROOT / "bpf" / "hft" / "limits.h").read_text()
    for name, value in re.findall(r"^#define (HFT_\w+) (\d+)\b", limits, flags=re.MULTILINE):
        assert getattr(lib, name) == int(value)
    assert abi.VERSION == lib.HFT_ABI_VERSION

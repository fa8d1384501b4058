"""Write docs/abi.md: every struct of bpf/hft/abi.h with offsets and sizes, as the compiled extension has them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

from turbo_hft import abi
from turbo_hft._native import ffi

ROOT = Path(__file__).resolve().parent.parent
HEADER = ROOT / "bpf" / "hft" / "abi.h"


def structs() -> list[str]:
    """Names of the contract's structs, in its order."""
    return re.findall(r"^struct (hft_\w+) \{", HEADER.read_text(), flags=re.MULTILINE)


def type_name(kind: Any) -> str:
    """As the header has it, without underscores: u8, s64, struct hft_window; of an array with its length."""
    if kind.kind == "array":
        item, bracket, inner = type_name(kind.item).partition("[")  # the outermost length comes first
        return f"{item}[{kind.length}]{bracket}{inner}"
    if kind.kind == "struct":
        return str(kind.cname)
    return f"{'u' if kind.cname.startswith('unsigned') else 's'}{8 * ffi.sizeof(kind)}"


def layout(struct: str) -> list[tuple[str, int, int, str]]:
    """(field, offset, size, type) of every field."""
    kind = ffi.typeof(f"struct {struct}")
    return [(name, field.offset, ffi.sizeof(field.type), type_name(field.type)) for name, field in kind.fields]


def _plain(comment: str) -> str:
    """A comment's words, without what frames its lines."""
    return " ".join(re.sub(r"^\s*\*", "", comment, flags=re.MULTILINE).split())


def above(struct: str) -> list[str]:
    """Paragraphs of the header's comment above a struct."""
    found = re.search(rf"/\*((?:(?!\*/).)*)\*/\nstruct {struct} \{{", HEADER.read_text(), flags=re.DOTALL)
    return [_plain(part) for part in re.split(r"\n \*\n", found.group(1))] if found else []


def comments(struct: str) -> dict[str, str]:
    """The header's comment behind each field, on its line."""
    body = re.search(rf"^struct {struct} \{{(.*?)^\}};", HEADER.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert body is not None, struct
    found = re.findall(r"(\w+)(?:\[\w+\])*;[ \t]*/\* (.*?) \*/", body.group(1), flags=re.DOTALL)
    return {name: _plain(comment) for name, comment in found}


def document() -> str:
    """The whole page."""
    lines = [
        "# The ABI",
        "",
        f"Version {abi.VERSION}. Written by `make docs` from `bpf/hft/abi.h`, the contract; a test holds this page,",
        "the object's BTF and the extension module against each other. Offsets and sizes are bytes.",
    ]
    for struct in structs():
        said = comments(struct)
        lines += ["", f"## `{struct}`: {ffi.sizeof('struct ' + struct)} bytes", ""]
        for paragraph in above(struct):
            lines += [*textwrap.wrap(paragraph, 120, break_long_words=False), ""]
        lines += ["| offset | size | field | type | meaning |", "|---:|---:|---|---|---|"]
        for name, offset, size, kind in layout(struct):
            lines.append(f"| {offset} | {size} | `{name}` | {kind} | {said.get(name, '').replace('|', '&#124;')} |")
    return "\n".join(lines) + "\n"

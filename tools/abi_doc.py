"""Write docs/abi.md: every struct of bpf/hft/abi.h with offsets and sizes, as the compiled extension has them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from turbo_hft import abi
from turbo_hft._native import ffi

ROOT = Path(__file__).resolve().parent.parent
HEADER = ROOT / "bpf" / "hft" / "abi.h"


def structs() -> list[str]:
    """Names of the contract's structs, in its order."""
    return re.findall(r"^struct (hft_\w+) \{", HEADER.read_text(), flags=re.MULTILINE)


def layout(struct: str) -> list[tuple[str, int, int]]:
    """(field, offset, size) of every field."""
    kind = ffi.typeof(f"struct {struct}")
    return [(name, field.offset, ffi.sizeof(field.type)) for name, field in kind.fields]


def comments(struct: str) -> dict[str, str]:
    """The header's comment behind each field."""
    body = re.search(rf"^struct {struct} \{{(.*?)^\}};", HEADER.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert body is not None, struct
    return dict(re.findall(r"(\w+)(?:\[\w+\])?;\s*/\* (.*?) \*/", body.group(1)))


def document() -> str:
    """The whole page."""
    lines = [
        "# The ABI",
        "",
        f"Version {abi.VERSION}. Written by `make abi-doc` from `bpf/hft/abi.h`, the contract; a test holds this page,",
        "the object's BTF and the extension module against each other. Offsets and sizes are bytes.",
    ]
    for struct in structs():
        said = comments(struct)
        lines += ["", f"## `{struct}`: {ffi.sizeof('struct ' + struct)} bytes", ""]
        lines += ["| offset | size | field | meaning |", "|---:|---:|---|---|"]
        for name, offset, size in layout(struct):
            lines.append(f"| {offset} | {size} | `{name}` | {said.get(name, '').replace('|', '&#124;')} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    (ROOT / "docs" / "abi.md").write_text(document())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Generate bpf/vmlinux.h: the kernel types the program uses, and what these need, from a kernel's BTF.

The full dump has some 150,000 lines of which the program needs a hundred. CO-RE stays intact: the few structures kept
are kept whole, and carry `preserve_access_index` as in the full dump.
"""

from __future__ import annotations

import argparse
import platform
import re
import subprocess
import sys
from pathlib import Path

ROOTS = (
    "struct xdp_md",
    "struct __sk_buff",
    "enum xdp_action",
    "enum bpf_map_type",
    "struct ethhdr",
    "struct iphdr",
    "struct udphdr",
)
# Flags live in anonymous enums: each one that holds one of these names is kept whole.
ENUMERATORS = ("BPF_ANY", "BPF_F_MMAPABLE", "BPF_RB_NO_WAKEUP", "BPF_F_NO_PREALLOC")
TYPEDEFS = (
    "__s8",
    "__u8",
    "__s16",
    "__u16",
    "__s32",
    "__u32",
    "__s64",
    "__u64",
    "__be16",
    "__be32",
    "__sum16",
    "__wsum",
)

PRAGMA_PUSH = """#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif
"""
PRAGMA_POP = """#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif
"""


def definitions(dump: str) -> list[str]:
    """Split bpftool's C dump into top-level definitions, in their order."""
    parts: list[str] = []
    current: list[str] = []
    for line in dump.splitlines():
        if line.startswith("#") or (not line.strip() and not current):
            continue
        current.append(line)
        if line and not line[0].isspace() and line.rstrip().endswith(";"):
            parts.append("\n".join(current).strip())
            current = []
    return parts


def name_of(definition: str) -> str:
    """`struct x`, `enum y`, the name of a typedef, or nothing for anonymous enums."""
    if definition.startswith("typedef"):
        match = re.search(r"(\w+)(?:\[\w*\])?;$|\(\*(\w+)\)", definition)
        return (match.group(1) or match.group(2)) if match else ""
    match = re.match(r"(struct|union|enum) (\w+) \{", definition)
    return f"{match.group(1)} {match.group(2)}" if match else ""


def trim(dump: str) -> str:
    """Keep the roots and everything they use."""
    parts = definitions(dump)
    by_name = {name_of(part): part for part in parts if name_of(part)}
    wanted = [*TYPEDEFS, *ROOTS]
    keep: set[str] = {
        part for part in parts if part.startswith("enum {") and any(re.search(rf"\b{e}\b", part) for e in ENUMERATORS)
    }
    while wanted:
        part = by_name.get(wanted.pop())
        if part is None or part in keep:
            continue
        keep.add(part)
        for kind, name in re.findall(r"\b(struct|union|enum) (\w+)", part):
            wanted.append(f"{kind} {name}")
        wanted.extend(word for word in re.findall(r"\b\w+\b", part) if word in by_name)
    return "\n\n".join(part for part in parts if part in keep)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--btf", default="/sys/kernel/btf/vmlinux", help="BTF to dump")
    parser.add_argument("output", type=Path, help="header to write, e.g. bpf/vmlinux.h")
    args = parser.parse_args()
    command = ["bpftool", "btf", "dump", "file", args.btf, "format", "c"]
    try:
        dump = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        print(
            f"vmlinux: {' '.join(command)} failed: {error}. Install bpftool; the kernel needs CONFIG_DEBUG_INFO_BTF.",
            file=sys.stderr,
        )
        return 1
    body = trim(dump)
    args.output.write_text(
        f"/*\n * Generated on Linux {platform.release().split('-')[0]} by `make vmlinux` from: {' '.join(command)}\n"
        f" * and trimmed to what the program uses by tools/vmlinux.py. Do not edit.\n */\n"
        f"#ifndef __VMLINUX_H__\n#define __VMLINUX_H__\n\n{PRAGMA_PUSH}\n{body}\n\n{PRAGMA_POP}\n#endif\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

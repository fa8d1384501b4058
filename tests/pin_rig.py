"""A BPF file system of a test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def bpffs(directory: Path) -> Iterator[Path]:
    """A root for pins on a BPF file system that is mounted in `directory`, and unmounted afterwards."""
    at = directory / "bpf"
    at.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(at)], check=True)
    try:
        yield at / "turbo_hft"
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def pinned(root: Path) -> list[str]:
    """Names of all that is pinned below a root."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*")) if root.exists() else []

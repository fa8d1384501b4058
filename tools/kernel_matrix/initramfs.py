"""The guest's whole file system: busybox, the modules it needs, and the files of a run."""

from __future__ import annotations

import lzma
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.kernel_matrix.errors import MatrixError, Unavailable
from tools.kernel_matrix.kernels import Kernel

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do insmod "$module"; done
{steps} 2>&1
echo "smoke exit $?"
reboot -f
"""
_SMOKE = """ip link add hft0 type veth
ip link set hft0 up
ip link set veth0 up
/smoke /object.bpf.o $(cat /arguments)"""
WIRE = ("hft0", "veth0")  # a veth made without naming its peer gets veth0
_NEWC = "070701"
_HEADER_FIELDS = 13


def _entry(name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """One file of a cpio archive in the "newc" format."""
    fields = [0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0]
    assert len(fields) == _HEADER_FIELDS
    header = (_NEWC + "".join(f"{field:08x}" for field in fields)).encode() + name.encode() + b"\0"
    return header + bytes(-len(header) % 4) + content + bytes(-len(content) % 4)


def archive(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """A cpio archive of files (path -> mode, content), with their directories and a console."""
    directories = {"proc", "sys", "dev", "bin", "modules", "tmp", "run"}
    directories |= {str(parent) for name in files for parent in Path(name).parents[:-1]}
    parts = [_entry(name, stat.S_IFDIR | 0o755) for name in sorted(directories)]
    parts.append(_entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
    parts += [_entry(name, stat.S_IFREG | mode, content) for name, (mode, content) in files.items()]
    return b"".join(parts) + _entry("TRAILER!!!", 0)


def _decompressed(module: Path) -> bytes:
    raw = module.read_bytes()
    if module.suffix == ".xz":
        return lzma.decompress(raw)
    if module.suffix == ".zst":
        if not shutil.which("zstd"):
            raise Unavailable(f"zstd is missing, {module.name} is packed with it: run tools/deps.sh matrix.")
        return subprocess.run(["zstd", "-dc", str(module)], check=True, capture_output=True).stdout
    return raw


def modules(kernel: Kernel, name: str) -> list[tuple[str, bytes]]:
    """A module and what it depends on, dependencies first. Empty when the kernel has it built in."""
    normal = name.replace("-", "_")
    built_in = {Path(line).stem.replace("-", "_") for line in (kernel.modules / "modules.builtin").read_text().split()}
    if normal in built_in:
        return []
    files = {path.name.split(".")[0].replace("-", "_"): path for path in kernel.modules.rglob("*.ko*")}
    if normal not in files:
        raise MatrixError(f"Linux {kernel.release} has no module {name}: the wire cannot be tested on it.")
    content = _decompressed(files[normal])
    needs = re.search(rb"\0depends=([^\0]*)\0", content)
    found: dict[str, bytes] = {}
    for needed in needs.group(1).decode().split(",") if needs else []:
        if needed:
            found.update(modules(kernel, needed))
    return [*found.items(), (normal, content)]


def _busybox() -> bytes:
    path = shutil.which("busybox")
    if path is None:
        raise Unavailable("busybox is missing: run tools/deps.sh matrix.")
    content = Path(path).read_bytes()
    if b"/ld-linux" in content[:4096]:  # names its loader
        raise Unavailable(f"{path} is not static, and a guest has no libraries: install busybox-static.")
    return content


def base(kernel: Kernel, needed: Sequence[str], steps: str) -> dict[str, tuple[int, bytes]]:
    """Files of every guest: it loads these modules and takes these steps of a shell; their exit code is its own."""
    files = {"init": (0o755, INIT.format(steps=steps).encode()), "bin/busybox": (0o755, _busybox())}
    loaded: dict[str, bytes] = {}
    for name in needed:
        loaded |= modules(kernel, name)
    for index, (name, content) in enumerate(loaded.items()):
        files[f"modules/{index:02}-{name}.ko"] = (0o644, content)
    return files


def build(kernel: Kernel, smoke: Path, bpf_object: Path, script: Path | None) -> bytes:
    """The archive for one run of the smoke program."""
    files = base(kernel, ("veth",), _SMOKE) | {
        "smoke": (0o755, smoke.read_bytes()),
        "object.bpf.o": (0o644, bpf_object.read_bytes()),
        "arguments": (0o644, " ".join(("/script", *WIRE)).encode() if script else b""),
    }
    if script:
        files["script"] = (0o644, script.read_bytes())
    return archive(files)

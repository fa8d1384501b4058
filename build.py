"""Build: clang -> CO-RE object -> bpftool gen object -> skeleton -> cffi extension ``turbo_hft._native``.

Called by the package build (setuptools asks for ``ffibuilder``) and by ``make``. The object lies inside the
extension, so a
machine that runs the wheel needs libbpf.so.1 and nothing else. ``build/xdp_hft.bpf.o`` is left for loaders like
``ip link set dev X xdpgeneric obj build/xdp_hft.bpf.o sec xdp``.

Run it alone (``python build.py``) to make the object and the skeleton.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent
BUILD = ROOT / "build"
PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"  # where Debian keeps bpftool

# The instruction set of Linux 6.1; -mcpu=v4 needs 6.6.
BPF_FLAGS = ["-g", "-fdebug-compilation-dir=.", "-O2", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra", "-Werror"]
BPF_ARCH = {"x86_64": "x86", "aarch64": "arm64", "riscv64": "riscv", "s390x": "s390", "ppc64le": "powerpc"}
NATIVE_SOURCES = [
    "native/engine.c",
    "native/depth.c",
    "native/inside.c",
    "native/journal.c",
    "native/link.c",
    "native/market.c",
    "native/pin.c",
    "native/privileges.c",
    "native/reference.c",
    "native/replay.c",
    "native/ring.c",
    "native/rig/script.c",
    "native/rig/wire.c",
    "native/tap.c",
    "native/torture.c",
]
NATIVE_HEADERS = [
    "native/hft.h",
    "native/inside.h",
    "native/journal.h",
    "native/market.h",
    "native/privileges.h",
    "native/reference.h",
    "native/replay.h",
    "native/rig/wire.h",
    "native/rig/script.h",
    "native/tap.h",
    "native/torture.h",
]

# The responders of the latency lab. The hook's own code among them is made by clang, as the hook is: gcc refuses it.
PEER_SOURCES = [
    "native/peers/blocking.c",
    "native/peers/busy.c",
    "native/peers/recvmmsg.c",
    "native/peers/uring.c",
    "native/peers/xsk.c",
]
PEER_HEADERS = ["native/peers/pipeline.h", "native/peers/peers.h"]
PIPELINE_FLAGS = ["-O2", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
PIPELINE_FLAGS += ["-Wno-unused-parameter", "-Wno-sign-compare"]

# What a kernel header would say; cffi reads declarations only.
KERNEL_TYPES = """
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;
#define HFT_XDP_GENERIC ...
#define HFT_VERDICT_DROP ...
#define HFT_VERDICT_PASS ...
#define HFT_VERDICT_TX ...
#define HFT_XDP_NATIVE ...
"""

PREAMBLE = """
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include "hft/limits.h"
#include "hft/abi.h"
#include "hft.h"
#include "inside.h"
#include "journal.h"
#include "market.h"
#include "privileges.h"
#include "reference.h"
#include "replay.h"
#include "rig/wire.h"
#include "rig/script.h"
#include "tap.h"
#include "torture.h"
#define HFT_XDP_GENERIC XDP_FLAGS_SKB_MODE
#define HFT_VERDICT_DROP XDP_DROP
#define HFT_VERDICT_PASS XDP_PASS
#define HFT_VERDICT_TX XDP_TX
#define HFT_XDP_NATIVE XDP_FLAGS_DRV_MODE
"""


def tool(*names: str) -> str:
    """The first of these programs that is installed."""
    for name in names:
        found = shutil.which(name, path=PATH)
        if found:
            return found
    sys.exit(f"build: {names[0]} is not installed. `make deps` installs what a build needs.")


def run(command: list[str], stdout: Path | None = None) -> None:
    """Run a build step; its own messages are the error."""
    result = subprocess.run(command, stdout=subprocess.PIPE if stdout else None, check=False, cwd=ROOT)
    if result.returncode:
        sys.exit(f"build: failed ({result.returncode}): {' '.join(command)}")
    if stdout:
        stdout.write_bytes(result.stdout)


def clang(*includes: str) -> list[str]:
    """The compiler of BPF objects."""
    machine = platform.machine()
    if machine not in BPF_ARCH:
        sys.exit(f"build: no BPF architecture name known for {machine}; add it to BPF_ARCH in build.py.")
    return [tool("clang-19", "clang"), *BPF_FLAGS, f"-D__TARGET_ARCH_{BPF_ARCH[machine]}", "-Ibpf", *includes]


def build_object() -> None:
    """Make build/xdp_hft.bpf.o, its skeleton build/xdp_hft.skel.h, and build/slow.bpf.o."""
    BUILD.mkdir(exist_ok=True)
    compiled, linked = BUILD / "xdp_hft.tmp.o", BUILD / "xdp_hft.bpf.o"
    run([*clang(), "-c", "bpf/xdp_hft.bpf.c", "-o", str(compiled)])
    bpftool = tool("bpftool")
    run([bpftool, "gen", "object", str(linked), str(compiled)])
    compiled.unlink()
    run([bpftool, "gen", "skeleton", str(linked), "name", "xdp_hft"], stdout=BUILD / "xdp_hft.skel.h")
    # A strategy like a user's, which the latency lab links in where there is no compiler.
    run([*clang(), "-c", "bpf/slow.bpf.c", "-o", str(BUILD / "slow.bpf.o")])


def build_skeleton(source: str, *includes: str) -> None:
    """Make build/NAME.skel.h of a small BPF program, bpf/NAME.bpf.c; its struct is NAME_bpf."""
    compiled = BUILD / f"{source}.bpf.o"
    run([*clang(*includes), "-c", f"bpf/{source}.bpf.c", "-o", str(compiled)])
    run([tool("bpftool"), "gen", "skeleton", str(compiled), "name", f"{source}_bpf"], stdout=BUILD / f"{source}.skel.h")


def build_pipeline() -> Path:
    """Make build/pipeline.o: the hook's own code, by the host's compiler."""
    pipeline = BUILD / "pipeline.o"
    includes = ["-Ibpf", "-Inative", "-Inative/peers"]
    run([tool("clang-19", "clang"), *PIPELINE_FLAGS, *includes, "-c", "native/peers/pipeline.c", "-o", str(pipeline)])
    return pipeline


def declarations(header: str) -> str:
    """A header as cffi reads it: no preprocessor, integer macros as constants."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / header).read_text(), flags=re.DOTALL).replace("\\\n", " ")
    kept: list[str] = []
    for line in text.splitlines():
        macro = re.match(r"#define (HFT_\w+)\s+\S", line)
        if macro:
            kept.append(f"#define {macro.group(1)} ...")
        elif not line.startswith(("#", "_Static_assert", "\t       ")):
            kept.append(line)
    return "\n".join(kept)


def ffibuilder() -> FFI:
    """The cffi module, with the skeleton made first: setuptools calls this."""
    build_object()
    build_skeleton("rig", "-Inative/rig")
    build_skeleton("tap", "-Inative")
    ffi = FFI()
    ffi.cdef(KERNEL_TYPES)
    for header in ("bpf/hft/limits.h", "bpf/hft/abi.h", *NATIVE_HEADERS):
        ffi.cdef(declarations(header))
    ffi.set_source(
        "turbo_hft._native",
        PREAMBLE,
        sources=NATIVE_SOURCES,
        include_dirs=["build", "bpf", "native"],
        libraries=["bpf", "elf", "z"],
        extra_compile_args=["-O2", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-sign-compare"],
        depends=["build/xdp_hft.skel.h", "build/rig.skel.h", "build/tap.skel.h"],
    )
    return ffi


def peers_ffibuilder() -> FFI:
    """The cffi module of the latency lab's responders. liburing is linked in: no wheel needs it."""
    BUILD.mkdir(exist_ok=True)
    build_skeleton("peer")
    pipeline = build_pipeline()
    ffi = FFI()
    for header in PEER_HEADERS:
        ffi.cdef(declarations(header))
    ffi.set_source(
        "turbo_hft.latency._peers",
        '#include <stddef.h>\n#include "pipeline.h"\n#include "peers.h"\n',
        sources=PEER_SOURCES,
        include_dirs=["build", "native/peers"],
        extra_objects=[str(pipeline)],
        extra_link_args=["-l:liburing.a"],
        libraries=["bpf", "elf", "z"],
        extra_compile_args=["-O2", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"],
        depends=[str(pipeline), *PEER_HEADERS, "native/peers/sockets.h", "build/peer.skel.h"],
    )
    return ffi


if __name__ == "__main__":
    build_object()

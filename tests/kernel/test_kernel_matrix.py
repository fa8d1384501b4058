"""Other kernels take the object, and do with every recorded frame what this machine's kernel did."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.kernel_matrix.errors import UNAVAILABLE

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ("6.1", "6.12")
LIMIT_S = 240  # two downloads and two boots on a busy machine; some 20 s once downloaded
# As in test_verifier_budget.py, which looks at this machine's kernel.
INSNS = 250_000
STACK_BYTES = 512
FOLLOWED = {
    ".data.books",
    ".data.orders",
    ".data.spill",
    ".data.levels",
    ".data.ladder",
}  # compared whole after every frame
# Operations of a script, as native/smoke.c numbers them.
RUN, EXPECT, FOLLOW, EVENTS = 6, 8, 9, 10

Records = list[tuple[int, list[bytes]]]


@pytest.fixture(scope="module")
def matrix() -> dict[str, Any]:
    """What a whole run says."""
    command = [sys.executable, "-m", "tools.kernel_matrix", *KERNELS, "--json"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if result.returncode == UNAVAILABLE:
        pytest.skip(result.stderr.strip().splitlines()[-1])
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_every_kernel_repeats_the_recorded_run(matrix: dict[str, Any]) -> None:
    assert [run["series"] for run in matrix["kernels"]] == list(KERNELS)
    for run in matrix["kernels"]:
        assert run["release"].startswith(run["series"] + ".")
        assert run["passed"]
        assert run["frames"] == matrix["host"]["frames"] >= 5000
        assert run["order_frames"] == matrix["host"]["order_frames"] >= 100
        assert run["wire_frames"] > 0
        assert run["comparisons"] == len(matrix["recorded"]["followed"]) * run["frames"]
        # Commands come unseen; of all else what came and what left is compared.
        assert run["untapped"] == "" and run["tapped"] > run["frames"] / 2
    assert set(matrix["recorded"]["followed"]) >= FOLLOWED


@pytest.mark.parametrize(
    "what",
    [
        *("orders", "fills", "fills on the wire", "golden messages"),
        *("feed_holds", "feed_gaps", "event feed_live", "first by line b", "first by rerequest"),
        *("book_quarantines", "book_kept", "commands", "book_restores"),
        *("far levels", "windows forward", "windows back", "spilled orders"),
    ],
)
def test_the_recorded_run_holds_what_it_has_to_prove(matrix: dict[str, Any], what: str) -> None:
    assert matrix["recorded"]["did"].get(what, 0) > 0


def test_the_recorded_books_are_deeper_than_their_top(matrix: dict[str, Any]) -> None:
    assert matrix["recorded"]["did"]["levels of a side"] > 10


def test_every_kernel_verifies_the_object_within_the_budget(matrix: dict[str, Any]) -> None:
    """With the object's own tables, and with those of the recording."""
    for run in (matrix["host"], *matrix["kernels"]):
        assert [(program["load"], program["section"]) for program in run["programs"]] == [
            ("bare", "xdp"),
            ("sized", "xdp"),
        ]
        for program in run["programs"]:
            assert 0 < program["verified_insns"] <= INSNS, f"Linux {run['release']}, {program['load']}"
            assert 0 < program["stack_chain_bytes"] <= STACK_BYTES, f"Linux {run['release']}, {program['load']}"


# What is compared, or a run that passes says nothing: the player, on this machine's kernel, and a script with one lie.


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """A recorded run, which this machine's kernel repeats."""
    path = tmp_path_factory.mktemp("matrix") / "script"
    command = [sys.executable, "-m", "tools.kernel_matrix", "--record", str(path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    records: Records = []
    raw, at = path.read_bytes(), 0
    while at < len(raw):
        operation, count = struct.unpack_from("=II", raw, at)
        at += 8
        fields = []
        for _ in range(count):
            (length,) = struct.unpack_from("=I", raw, at)
            fields.append(raw[at + 4 : at + 4 + length])
            at += 4 + length
        records.append((operation, fields))
    return records


def _play(records: Records, path: Path) -> subprocess.CompletedProcess[str]:
    packed = [
        struct.pack("=II", operation, len(fields)) + b"".join(struct.pack("=I", len(field)) + field for field in fields)
        for operation, fields in records
    ]
    path.write_bytes(b"".join(packed))
    command = [str(ROOT / "build" / "smoke"), str(ROOT / "build" / "xdp_hft.bpf.o"), str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def _flip_last_byte(fields: list[bytes]) -> list[bytes]:
    return [*fields[:-1], fields[-1][:-1] + bytes([fields[-1][-1] ^ 1])]


def _is_map(name: bytes) -> Callable[[list[bytes]], bool]:
    return lambda fields: fields[0] == name and len(fields) > 2


LIES: dict[str, tuple[int, Callable[[list[bytes]], bool], Callable[[list[bytes]], list[bytes]], str]] = {
    "verdict": (
        RUN,
        lambda _: True,
        lambda fields: [fields[0], struct.pack("=I", 0), fields[2]],
        "recorded XDP_ABORTED",
    ),
    "output frame": (RUN, lambda fields: fields[2] != b"", _flip_last_byte, "the frame differs"),
    "event": (EVENTS, _is_map(b"events"), _flip_last_byte, "event 0 of ring events differs"),
    "book after a frame": (FOLLOW, _is_map(b".data.books"), _flip_last_byte, "map .data.books differs"),
    "ladder after a frame": (FOLLOW, _is_map(b".data.ladder"), _flip_last_byte, "map .data.ladder differs"),
    "orders after a day": (EXPECT, _is_map(b".data.orders"), _flip_last_byte, ".data.orders"),
    "counters after a day": (EXPECT, _is_map(b".data.tallies"), _flip_last_byte, ".data.tallies"),
    "kept messages after a day": (EXPECT, _is_map(b"kept"), _flip_last_byte, "kept"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_single_difference_fails_the_run(recorded: Records, tmp_path: Path, lie: str) -> None:
    operation, fits, change, told = LIES[lie]
    index = next(i for i, (number, fields) in enumerate(recorded) if number == operation and fits(fields))
    changed = list(recorded)
    changed[index] = (operation, change(recorded[index][1]))
    result = _play(changed, tmp_path / "script")
    assert result.returncode == 1
    assert told in result.stderr.splitlines()[0] and f"record {index + 1}" in result.stderr, result.stderr[:500]


def test_a_change_that_is_not_recorded_fails_the_run(recorded: Records, tmp_path: Path) -> None:
    """The followed tables are compared whole, not only where the recorded run changed them."""
    index = next(
        i for i, (number, fields) in enumerate(recorded) if number == FOLLOW and _is_map(b".data.orders")(fields)
    )
    changed = [*recorded[:index], (FOLLOW, recorded[index][1][:1]), *recorded[index + 1 :]]
    result = _play(changed, tmp_path / "script")
    assert result.returncode == 1 and "map .data.orders differs" in result.stderr

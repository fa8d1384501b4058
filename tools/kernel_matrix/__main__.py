"""Boot Debian's kernels and hold each against a run recorded on this machine's kernel.

In each guest the object is loaded and verified, as it is and with the recording's tables. Then the recorded frames are
repeated: verdicts, output frames and events must be the same, byte for byte, after every frame the books too (their
depth near the touch and away from it, the orders and the ladder), and after every day all maps. The program is attached
in native mode to a veth, and the last frames, a trade among them, go over that wire.

Exit codes: 0 every kernel did the same, 1 one did not, 2 usage, 77 a kernel or QEMU is not here and cannot be had,
130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tools.kernel_matrix import guest, kernels, smoke
from tools.kernel_matrix.command import ended
from tools.kernel_matrix.errors import MatrixError, Unavailable
from tools.kernel_matrix.figures import INSNS, STACK_BYTES, Run

EMULATION = f"QEMU -accel {guest.ACCELERATOR}: software emulation, times are not those of a machine"
COLUMNS = "{:<28} {:>8} {:>7} {:>7} {:>6} {:>5} {:>7} {:>6}  {:<4}  {}"


def _talk(text: str) -> None:
    print(f"kernel-matrix: {text}", file=sys.stderr, flush=True)


def row(run: Run, seconds: float | None) -> str:
    """One kernel's line of the table."""
    program = run.main
    chain = f"{'+'.join(map(str, program.chain))} = {program.chain_bytes}/{STACK_BYTES}"
    took = "" if seconds is None else f"{seconds:.1f}"
    counted = (run.frames, run.order_frames, run.wire_frames, run.comparisons)
    figures = (f"{run.load_ms:.0f}", run.most_insns, *counted, took)
    return COLUMNS.format(run.release, *figures, "pass" if run.passed else "FAIL", chain)


HEADER = COLUMNS.format(
    "kernel", "load ms", "insns", "frames", "orders", "wire", "tables", "run s", "", "stack, deepest chain"
)


def _record(path: Path) -> dict[str, Any]:
    # Not before the options are read: --help needs no built package.
    from tools.kernel_matrix import day

    recorded = day.record(path)
    did = recorded.did
    _talk(
        f"recorded {recorded.frames} frames, {recorded.order_frames} of them answered by an order; {did['fills']} fills"
    )
    _talk(
        f"{did['feed_holds']} holds, {did['feed_gaps']} gaps, {did['book_quarantines']} quarantines, "
        f"{did['book_restores']} books restored, {did['commands']} commands; {did['levels of a side']} levels a side"
    )
    _talk(f"the books ({', '.join(day.FOLLOWED)}) are compared whole after every frame, all maps after every day")
    return {"followed": day.FOLLOWED, "did": did}


def _judge(run: Run) -> None:
    """Raises MatrixError when the guest refused the program or did something else with it."""
    if not run.passed:
        what = "does something else than the recording" if run.programs else "refuses the program"
        raise MatrixError(f"Linux {run.release} {what}:\n" + "\n".join(run.messages))
    if not run.wire_frames:
        raise MatrixError(f"Linux {run.release}: no frame went over the wire.")
    if run.untapped:
        raise MatrixError(f"Linux {run.release} takes no tap beside the program: {run.untapped}.")
    if run.most_insns > INSNS:
        raise MatrixError(f"Linux {run.release}: {run.most_insns} instructions verified, the budget is {INSNS}.")


def _here(args: argparse.Namespace) -> int:
    _record(args.record)
    host = smoke.run_here(args.object, args.record)
    print(HEADER)
    print(row(host, None))
    return 0


def _matrix(args: argparse.Namespace, scratch: Path) -> int:
    guest.qemu()
    found = [kernels.kernel(series, update=args.update) for series in args.kernels]
    began = time.monotonic()
    script = scratch / "script"
    recorded = _record(script)
    results: list[dict[str, Any]] = []
    failures = []
    host = smoke.run_here(args.object, script)
    _talk(EMULATION)
    if not args.json:
        print(HEADER)
        print(row(host, None) + "  (this machine, no wire)", flush=True)
    for kernel in found:
        try:
            booted = guest.boot(kernel, args.object, script, args.timeout)
            results.append({"series": kernel.series, "seconds": round(booted.seconds, 2), **booted.run.as_json()})
            if not args.json and booted.run.programs:
                print(row(booted.run, booted.seconds), flush=True)
            _judge(booted.run)
        except MatrixError as error:
            if isinstance(error, Unavailable):
                raise
            failures.append(str(error))
            _talk(str(error))
    if args.json:
        whole = {
            "emulation": EMULATION,
            "recorded": recorded,
            "host": host.as_json(),
            "kernels": results,
            "failures": failures,
        }
        print(json.dumps(whole | {"seconds": round(time.monotonic() - began, 2)}, indent=2))
    if failures:
        _talk(f"{len(failures)} of {len(found)} kernels failed")
        return 1
    _talk(f"{len(found)} kernels do with every byte what this machine's does ({time.monotonic() - began:.0f} s)")
    return 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="kernel-matrix", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kernels", nargs="*", default=kernels.DEFAULT, metavar="SERIES", help="(6.1 6.12)")
    parser.add_argument("--object", type=Path, default=smoke.OBJECT, help="the object to load (build/xdp_hft.bpf.o)")
    parser.add_argument("--update", action="store_true", help="look for a newer kernel than the cached one")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for one kernel (60)")
    parser.add_argument(
        "--record", type=Path, metavar="SCRIPT", help="keep the recorded run, repeat it on this kernel and boot none"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    args = parser.parse_args()

    def run() -> int:
        if args.record:
            return _here(args)
        with tempfile.TemporaryDirectory(prefix="turbo-hft-matrix-") as scratch:
            return _matrix(args, Path(scratch))

    return ended(run, _talk)


if __name__ == "__main__":
    sys.exit(main())

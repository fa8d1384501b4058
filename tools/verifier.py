"""What the verifier says of the object: instructions, states, stack, sizes, time; here and on the matrix's kernels.

"insns": instructions the verifier processed, its measure of work, of at most 1,000,000. "stack": depths along the
deepest chain of calls and their sum, each rounded up to 32 bytes as Linux 6.1 does, of at most 512 bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tools import verifier_ledger
from tools.kernel_matrix import guest, kernels, smoke
from tools.kernel_matrix.errors import UNAVAILABLE, MatrixError, Unavailable
from tools.kernel_matrix.figures import STACK_BYTES, Run

COLUMNS = "{:<27} {:<10} {:>8} {:>9} {:>8} {:>7} {:>7} {:>7} {:>6}  {}"
HEADER = COLUMNS.format(
    "kernel", "program", "load ms", "verify ms", "insns", "states", "peak", "xlated", "jited", "stack"
)


def rows(run: Run) -> list[str]:
    """A line for each program."""
    return [
        COLUMNS.format(
            run.release,
            program.name,
            f"{run.load_ms:.0f}",
            f"{program.verification_ms:.0f}",
            # The kernel's own figure; 5.16 and later have it.
            program.verified_insns or program.processed,
            program.total_states,
            program.peak_states,
            program.xlated_bytes,
            program.jited_bytes,
            f"{'+'.join(map(str, program.chain))} = {program.chain_bytes}/{STACK_BYTES}",
        )
        for program in run.programs
    ]


def _on_guest(series: str, bpf_object: Path, timeout: float) -> Run:
    run = guest.boot(kernels.kernel(series), bpf_object, None, timeout).run
    if not run.passed:
        raise MatrixError(f"Linux {run.release} refuses the program:\n" + "\n".join(run.messages))
    return run


def _measure(args: argparse.Namespace) -> None:
    runs = [smoke.run_here(args.object)]
    if args.kernels is not None:
        guest.qemu()
        print(
            f"verifier: guests run under {guest.ACCELERATOR}, software emulation: their times are slow", file=sys.stderr
        )
        runs += [_on_guest(series, args.object, args.timeout) for series in args.kernels or kernels.DEFAULT]
    if args.record:
        for run in runs:
            line = verifier_ledger.Line.of(run, args.object)
            said = "recorded" if verifier_ledger.record(line) else "nothing new"
            print(f"verifier: {verifier_ledger.LEDGER.name}: Linux {line.kernel}: {said}", file=sys.stderr)
    if args.json:
        print(json.dumps([run.as_json() for run in runs], indent=2))
        return
    print(HEADER)
    for run in runs:
        print("\n".join(rows(run)))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="verifier", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--object", type=Path, default=smoke.OBJECT, help="the object to load (build/xdp_hft.bpf.o)")
    parser.add_argument("--kernels", nargs="*", metavar="SERIES", help="on these kernels too (6.1 6.12), in QEMU")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for one kernel (60)")
    parser.add_argument("--record", action="store_true", help="keep the figures in docs/verifier.csv: commit it")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    args = parser.parse_args()
    try:
        _measure(args)
    except MatrixError as error:
        print(f"verifier: {error}", file=sys.stderr)
        return UNAVAILABLE if isinstance(error, Unavailable) else 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The kill switches, for `halt` and `resume`."""

from __future__ import annotations

import argparse

from turbo_hft.cli import codes, common


def throw(args: argparse.Namespace, *, halted: bool) -> int:
    """Set the global switch, or that of `args.symbol`, and say how all of them stand now."""
    with common.adopt(args.interface) as engine:
        target = engine if args.symbol is None else engine.symbols[args.symbol]
        if halted:
            target.halt()
        else:
            target.resume()
        state = {
            "interface": args.interface,
            "halted": engine.halted,
            "symbols": {symbol.name: symbol.halted for symbol in engine.symbols},
            "epoch": engine.epoch,
        }
        stopped = [symbol.name for symbol in engine.symbols if symbol.halted]
        all_halted = engine.halted
    if args.json:
        common.print_json(state)
    else:
        word = "halted" if all_halted else "trading"
        print(f"{args.interface}: {word}" + (f", halted symbols: {', '.join(stopped)}" if stopped else ""))
    return codes.OK

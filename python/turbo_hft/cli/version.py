"""Print the version of the package and of its contract with the loaded program (ABI)."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform

from turbo_hft.cli import codes
from turbo_hft.cli.common import add_json, print_json

NAME = "version"
HELP = "versions of the package, its ABI, the kernel"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_json(parser, "as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    values = {
        "turbo_hft": package_version(),
        "abi": abi_version(),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }
    if args.json:
        print_json(values)
    else:
        abi = "not built" if values["abi"] is None else values["abi"]
        print(f"turbo-hft {values['turbo_hft']} (ABI {abi}), Python {values['python']}, Linux {values['kernel']}")
    return codes.OK


def package_version() -> str:
    """Version of the installed package; a source tree on PYTHONPATH has none."""
    try:
        return importlib.metadata.version("turbo-hft")
    except importlib.metadata.PackageNotFoundError:
        return "uninstalled"


def abi_version() -> int | None:
    """ABI of the compiled extension, None when it is not built."""
    try:
        from turbo_hft import abi
    except ImportError:
        return None
    return abi.VERSION

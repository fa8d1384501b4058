"""Print a shell's completion of this command's words, made from the parsers.

It needs the package shtab (`pip install 'turbo-hft[completion]'`); what it prints needs nothing.
"""

from __future__ import annotations

import argparse

from turbo_hft.cli import codes
from turbo_hft.errors import ConfigError

NAME = "completion"
HELP = "print the completion of bash, zsh or tcsh"
EPILOG = """\
examples:
  turbo-hft completion bash > /usr/share/bash-completion/completions/turbo-hft
  turbo-hft completion zsh > "${fpath[1]}/_turbo-hft\""""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"))


def run(args: argparse.Namespace) -> int:
    """Print it."""
    from turbo_hft.cli.entry import build_parser

    try:
        import shtab
    except ImportError:
        raise ConfigError("the package shtab is not installed: pip install 'turbo-hft[completion]'") from None
    print(shtab.complete(build_parser(), shell=args.shell))
    return codes.OK

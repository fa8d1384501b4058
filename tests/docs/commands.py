"""Do the commands of a page exist, with the options that they are given? Asked of make and of the parsers."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache

from docs.pages import ROOT
from turbo_hft.cli.entry import build_parser

from tools.cli_doc import subcommands

_OURS = ("turbo-hft", ".venv/bin/turbo-hft")
_ENDS = {"&", "&&", "||", ";", "|", "(", ")", "$(", ";;"}


class CommandWrong(Exception):
    """A command that cannot be given like this."""


def check_shell(text: str) -> list[str]:
    """Every command of a shell block that is not run: it is shell, its `make` and `turbo-hft` commands can be given.
    The commands that were looked at. Raises CommandWrong."""
    result = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    if result.returncode:
        raise CommandWrong(f"it is no shell: {result.stderr}")
    looked_at = []
    for words in _commands(text):
        if words[0] == "make":
            check_make(words)
        elif words[0] in _OURS:
            check_whole(words)
        looked_at.append(" ".join(words))
    return looked_at


def check_make(words: list[str]) -> None:
    """`make -n`: there is such a target. (Without what `build` would do first.) Raises CommandWrong."""
    result = subprocess.run(
        ["make", "-n", "-o", "build", "-o", "deps", *words[1:]], capture_output=True, text=True, check=False, cwd=ROOT
    )
    if result.returncode:
        raise CommandWrong(f"`{' '.join(words)}`: {result.stderr.strip()}")


def check_whole(words: list[str]) -> None:
    """A `turbo-hft` command as argparse takes it. Raises CommandWrong."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            _parser().parse_args(words[1:])
    except SystemExit as end:
        if end.code:
            raise CommandWrong(f"`{' '.join(words)}`: {said.getvalue().strip().splitlines()[-1]}") from None


def check_mentioned(text: str) -> None:
    """A command in a sentence, where values may be left away: command and options exist. Raises CommandWrong."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    if words[0] == "make":
        check_make([word for word in words if word[:1].islower()])
        return
    parser, name = _parser(), words[0]
    for word in words[1:]:
        below = {command: made for command, _, made in subcommands(parser)}
        if word in below:
            parser, name = below[word], f"{name} {word}"
        elif word.startswith("-") and word.partition("=")[0] not in parser._option_string_actions:
            raise CommandWrong(f"`{text}`: {name} has no option {word}")
        elif below and name == words[0] and word[:1].isalpha() and word.islower():
            raise CommandWrong(f"`{text}`: {name} has no command {word}")


@cache
def _parser() -> argparse.ArgumentParser:
    """Of all commands: making it takes longer than asking it."""
    return build_parser()


@cache
def is_command(text: str) -> bool:
    """Does a code span name a command, more than the program alone?"""
    return re.match(r"(turbo-hft|make) [a-z-]", text) is not None


def _commands(text: str) -> Iterator[list[str]]:
    text = re.sub(r"\\\n", " ", text)
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;()<>")
        lexer.whitespace_split = True
        words: list[str] = []
        skip = False
        for word in [*lexer, ";"]:
            if skip:
                skip = False
            elif word in (">", "<", ">>", ">&"):
                skip = True
            elif word in _ENDS:
                words = [one for one in words if not re.fullmatch(r"\w+=.*", one)] if _only_sets(words) else words
                if words:
                    yield words
                words = []
            else:
                words.append(word)


def _only_sets(words: list[str]) -> bool:
    """Assignments, before a command or alone."""
    return bool(words) and re.fullmatch(r"[A-Z_]\w*=.*", words[0]) is not None

"""Write docs/cli.md: every command with its arguments, options and exit codes, from the argparse parsers.

It is made from the parsers' actions and not from their help, which differs with the terminal and the version of Python.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from turbo_hft.cli import codes
from turbo_hft.cli.entry import build_parser

_INTRO = """\
# The command line

Made by `make docs` from the parsers of `turbo_hft/cli/`: do not edit. `turbo-hft COMMAND --help` says the same.

Standard output is data, standard error is talk. `--json` gives what a program would read. `NO_COLOR` is obeyed.
`--debug`, with every command, shows the traceback of an error and the verifier's log. `turbo-hft completion bash`
prints a completion, `make man` writes `build/turbo-hft.1`.

## Exit codes
"""
_NO_EXIT_CODE = "exit codes:"


def text() -> str:
    """The page."""
    parser = build_parser()
    lines = [_INTRO, "| code | |", "|---:|---|", *_codes(), "", "## Commands", "", "| | |", "|---|---|"]
    commands = list(subcommands(parser))
    lines += [f"| [`{name}`](#turbo-hft-{name}) | {_cell(about)} |" for name, about, _ in commands]
    for name, _, command in commands:
        lines += _section(f"turbo-hft {name}", "##", command)
    return "\n".join(lines) + "\n"


def subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """(name, one line about it, its parser) of each command below a parser, in their order."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            abouts = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                yield name, abouts.get(name, ""), command


def _codes() -> list[str]:
    """The exit codes, from the text that the help prints: a code, and what it means, which may go on below."""
    rows: list[tuple[str, str]] = []
    for line in codes.EXPLAINED.removeprefix(_NO_EXIT_CODE).strip("\n").splitlines():
        first, _, rest = line.strip().partition(" ")
        if first.isdecimal():
            rows.append((first, rest.strip()))
        else:
            rows[-1] = (rows[-1][0], f"{rows[-1][1]} {line.strip()}")
    return [f"| {code} | {_cell(about)} |" for code, about in rows]


def _section(title: str, mark: str, parser: argparse.ArgumentParser) -> list[str]:
    lines = ["", f"{mark} `{title}`", ""]
    if parser.description:
        lines += [parser.description.strip(), ""]
    lines += ["```text", _usage(title, parser), "```"]
    for group in parser._action_groups:
        rows = [action for action in group._group_actions if _shown(action)]
        if rows:
            own = group.title not in ("positional arguments", "options")
            if own and group.description:
                lines += ["", " ".join(group.description.split())]
            lines += [
                "",
                f"| {_cell(group.title or '') if own else 'argument' if not rows[0].option_strings else 'option'} | |",
            ]
            lines += ["|---|---|", *(f"| {_words(action)} | {_cell(_help(parser, action))} |" for action in rows)]
    if parser.epilog:
        lines += ["", "```text", parser.epilog.strip("\n"), "```"]
    for name, about, command in subcommands(parser):
        if about and not command.description:
            command.description = about[0].upper() + about[1:] + "."
        lines += _section(f"{title} {name}", mark + "#", command)
    return lines


def _shown(action: argparse.Action) -> bool:
    hidden = action.help == argparse.SUPPRESS or isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))
    return not hidden


def _usage(title: str, parser: argparse.ArgumentParser) -> str:
    words = [title]
    if any(action.option_strings and _shown(action) for action in parser._actions):
        words.append("[options]")
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            words.append(f"{action.metavar or 'ACTION'} …" if action.required else f"[{action.metavar or 'ACTION'} …]")
        elif not action.option_strings:
            words.append(_value(action))
    return " ".join(words)


def _value(action: argparse.Action) -> str:
    """What stands for the value, as in `FILE`, `[NAME ...]`."""
    name: str = str(action.metavar or "")
    if not name:
        name = "|".join(map(str, action.choices)) if action.choices is not None else action.dest.upper()
    if action.nargs == "?":
        return f"[{name}]"
    if action.nargs == "*":
        return f"[{name} …]"
    if action.nargs == "+":
        return f"{name} …"
    return name if action.nargs is None else " ".join([name] * int(action.nargs))


def _words(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{_value(action)}`".replace("|", "\\|")
    value = "" if action.nargs == 0 else f" {_value(action)}"
    return ", ".join(f"`{one}{value}`".replace("|", "\\|") for one in action.option_strings)


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Its help, with what argparse puts into it."""
    if not action.help:
        return "one of them" if action.choices is not None else ""
    values = {name: value for name, value in vars(action).items() if value is not argparse.SUPPRESS}
    return action.help % {**values, "prog": parser.prog, "choices": ", ".join(map(str, action.choices or ()))}


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())

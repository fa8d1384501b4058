"""Write docs/control-socket.md: the protocol in words, and every request of it from its own class."""

# ruff: noqa: E501 - a page's lines are as long as its neighbours' are

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect as look
from turbo_hft.control import requests as ask
from turbo_hft.control import server

_INTRO = f"""\
# The control socket

Made by `make docs` from `turbo_hft/control/requests.py`: do not edit.

`turbo-hft run --control` (in a file: `[control] socket = true`) lets others read and steer its engine who have no capabilities
themselves. Two Unix stream sockets stand for two rights; who may connect to one has it:

| socket | who | may |
|---|---|---|
| `/run/turbo-hft/INTERFACE/read.sock` | the user who runs the engine, root, members of `turbo-hft-read` and of `turbo-hft-trade` | read |
| `/run/turbo-hft/INTERFACE/trade.sock` | the user who runs the engine, root, members of `turbo-hft-trade` | read and trade |

`[control]` of the [configuration](config.md), and `--control-root`, `--read-group`, `--trade-group`, name another directory and other groups.
A directory that is there must belong to root or to that user, and nobody else may write into it.
Both sockets are mode 0660, or 0600 without a group. The server asks the kernel once more for the groups of who has connected. The commands of
`turbo-hft`, the dashboard and `serve` use the sockets by themselves where the user may not adopt the engine, and say which group is missing where he may
not use them either. In Python: `turbo_hft.control.client.ControlClient`, `turbo_hft.dashboard.socket_desk.SocketDesk`.

The flight recorder notes whoever asked for a change as the one who made it: process, user and who logged in as the kernel says them, with
`by_way_of` naming the process that did it for him; `because` is its reason.

## Lines

A request is one line of UTF-8 JSON, at most {ask.MOST_REQUEST_BYTES:,} bytes with its end; an answer is one line, at most
{ask.MOST_ANSWER_BYTES >> 20} MB. They are answered in order, one at a time for each connection.

```text
→ {{"v": 1, "id": 7, "do": "halt", "symbol": "AAPL", "because": "fat finger"}}
← {{"v": 1, "id": 7, "ok": {{"interface": "eth1", "state": "active", "symbols": {{"AAPL": "halted"}}, ...}}}}
→ {{"v": 1, "id": 8, "do": "halt", "symbol": "BANANA"}}
← {{"v": 1, "id": 8, "error": {{"kind": "ConfigError", "message": "BANANA is not tracked ..."}}}}
```

`v` is the version, {ask.VERSION} now: another one is refused, and so are fields that are not known. `id` comes back with the answer. `kind` is the
name of a class in `turbo_hft/errors.py`, `reason` of an order that was refused the gate's own word. An error means that nothing has changed,
but for what is done in steps: orders cancelled one after the other, parameters of your own strategy, a halt that cancels and has halted. Every request may have `because` and `command` (text, at most
{ask.MOST_WORDS:,} characters).

## What a client cannot do

- **Hold up trading.** Each connection has a thread of its own; the loop that renews the lease waits for none of them. What halts waits for nobody.
- **Fill memory.** At most {server.MOST_CONNECTIONS} connections of each socket, {server.MOST_OF_A_USER} of one user; a longer request, or ten lines in a row that are no
  request, end the connection, and so does an answer that is not fetched within {server._SEND_S:g} seconds. At most {server.MOST_EVENTS:,} events wait for a subscriber;
  what comes then is dropped, and counted to him.
- **Keep a halt out.** Where a user's connections for trading, or all, are taken, the one that has said nothing for longest is closed for the new one. Where
  every one is at work there are {server.MOST_TO_HALT} places more, which take a `halt` without `cancel` and nothing else.
- **Take the CPU.** All reading of one user together gets a quarter of one CPU; who asks for more waits.
- **Get in the way of an end.** While `run` is ending, only what halts and cancels is done; before it has logged in, nobody is answered.

## Requests
"""


def text() -> str:
    """The page."""
    lines = [_INTRO]
    for role, title in (("read", "For who may read"), ("trade", "For who may trade")):
        lines += [f"### {title}\n", "| `do` | fields | |", "|---|---|---|"]
        for kind in ask.ALL:
            if kind.role() == role:
                about = " ".join((kind.__doc__ or "").split()).replace("``", "`").replace("|", "\\|")
                lines.append(f"| `{kind.__struct_config__.tag}` | {_fields(kind)} | {about} |")
        lines.append("")
    return "\n".join(lines)


def _fields(kind: type[ask.Request]) -> str:
    common = {one.name for one in msgspec.structs.fields(ask.Request)}
    made: Any = look.type_info(kind)
    shown = []
    for one in made.fields:
        if one.name not in common:
            default = "" if one.default in (msgspec.NODEFAULT, None) else f" ({_json(one.default)})"
            needed = " **needed**" if one.required else ""
            shown.append(f"`{one.name}`: {_what(one.type)}{default}{needed}")
    return "<br>".join(shown) or "none"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _what(kind: Any) -> str:
    match kind:
        case look.UnionType():
            return " or ".join(_what(one) for one in kind.types if not isinstance(one, look.NoneType))
        case look.IntType():
            return f"whole number, {kind.ge:,} or more"
        case look.FloatType():
            return f"seconds, at most {kind.le:g}"
        case look.BoolType():
            return "true or false"
        case look.LiteralType():
            return ", ".join(map(str, kind.values))
        case look.VarTupleType():
            return f"list, at most {kind.max_length:,}, of {_what(kind.item_type)}"
        case look.StrType():
            return f"text, at most {kind.max_length:,}"
        case _:
            raise TypeError(f"how is {kind} called?")

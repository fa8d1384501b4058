"""Write docs/config.md: every key of a configuration, from the dataclasses and the live attributes that keys name."""

from __future__ import annotations

import types
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from turbo_hft import settings
from turbo_hft.config.schema import OTHERS, TABLES, Endpoint
from turbo_hft.limits import ACCOUNT_DEFAULTS, STRATEGY_DEFAULTS, SYMBOL_DEFAULTS
from turbo_hft.words import Dollars, Flag, Fraction, Rate, ReferencePrice, Seconds, Whole

_INTRO = """\
# The configuration of an engine

Made by `make docs` from the dataclasses of `turbo_hft/config/schema.py`: do not edit.

`turbo-hft run --config FILE.toml` starts an engine, or takes over the one that is pinned and changes it to the file.
`turbo-hft config check FILE` needs no engine, `config diff FILE` says what differs from the running one, `config apply
FILE` changes it, all of it at once or nothing, as SIGHUP to `run` does; `config show` prints the running engine as a
file. Unknown keys, wrong types and values that cannot be are refused with key and line. What the file does not name
stays as it is in a running engine: a limit that was set by hand, a symbol that was added. Another value of `[sizes]`,
`[session]`, `[feed]` or `engine.mode` needs a new start, and is refused by name. Of `[engine]` only `lease_s` is taken
up by a running process; the rest of it and `[control]` say how the next one starts.

<!-- docs: do
mkdir -p /etc/turbo-hft && echo SECRET > /etc/turbo-hft/password
-->

```toml
mark = "mid"

[engine]
interface = "eth1"
pin = true
on_restart = "halt"

[control]
socket = true

[session]
local = "10.1.0.7:26400"
remote = "10.1.0.2:26450"
local_mac = "02:00:00:00:00:07"
remote_mac = "02:00:00:00:00:02"
username = "HFT001"
password_file = "/etc/turbo-hft/password"

[feed]
at = "239.1.0.1:26477"
source = "10.1.0.2"

[limits]
max_gross = "2000000"

[strategies.quoter]
max_executions = 500

[fees]
R = "0.0030"

[symbols.AAPL]
strategy = "quoter"
max_long = 500
quoter.half_spread = "0.02"
quoter.qty = 100
```
"""
_KINDS = {
    Whole: "whole number",
    Dollars: "dollars, as text or whole number",
    Fraction: 'fraction: 0.1, "10%", "1000bp"',
    Seconds: "seconds",
    Rate: "a second",
    Flag: "true, false",
    ReferencePrice: "none, last, mid",
}


def text() -> str:
    """The page."""
    lines = [_INTRO]
    for name, kind in TABLES.items():
        lines += [f"## [{name}]\n", f"{(kind.__doc__ or '').strip()}\n", *_head()]
        hints = get_type_hints(kind)
        for one in fields(kind):
            default = "" if one.default is MISSING else _shown(one.default)
            shown = default or "**needed**"
            lines.append(_row(one.name, _kind(hints[one.name], one.metadata), shown, one.metadata["doc"]))
        lines.append("")
    words = settings.account_words()
    plain = {key: word for key, word in words.items() if "." not in key}
    own = {key.removeprefix("quoter."): word for key, word in words.items() if key.startswith("quoter.")}
    lines += _words("[limits]", "Of all orders together.", plain, ACCOUNT_DEFAULTS)
    names = "threshold, imbalance, momentum, quoter, user, manual (orders by hand)"
    lines += _words("[strategies.NAME]", f"Of one strategy's orders: {names}.", own, STRATEGY_DEFAULTS)
    lines += _words("[symbols.NAME]", "A symbol that is tracked.", settings.symbol_words(), SYMBOL_DEFAULTS)
    lines += ["## Others\n", "| key | |", "|---|---|", *(f"| `{key}` | {about} |" for key, about in OTHERS.items())]
    return "\n".join(lines) + "\n"


def _head() -> list[str]:
    return ["| key | what | default | |", "|---|---|---|---|"]


def _row(name: str, kind: str, default: str, about: str) -> str:
    return f"| `{name}` | {kind} | {default} | {about} |"


def _words(title: str, about: str, words: Any, defaults: Any) -> list[str]:
    kinds = {key: next(text for kind, text in _KINDS.items() if isinstance(word, kind)) for key, word in words.items()}
    rows = [_row(key, kinds[key], _shown(defaults.get(key)), word.__doc__) for key, word in words.items()]
    return [f"## {title}\n", f"{about}\n", *_head(), *rows, ""]


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else str(value) or '""'


def _kind(kind: Any, bounds: Any) -> str:
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(one for one in get_args(kind) if one is not type(None))
    if get_origin(kind) is Literal:
        return ", ".join(map(str, get_args(kind)))
    kinds = {bool: "true, false", int: "whole number", float: "number", Endpoint: "ADDR:PORT", Path: "path"}
    text = kinds.get(kind, "text")
    least, most = bounds["least"], bounds["most"]
    if kind is not Endpoint and (least is not None or most is not None):
        text += f", {least if least is not None else ''}" + (f" to {most:,}" if most is not None else " or more")
    return text

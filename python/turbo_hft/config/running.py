"""A running engine and a configuration: what differs, what of it can be changed live, and the change.

Only what the file names is compared. What it does not name stays as it is: a value that a person has set live, a symbol
that was added. Session, feed and sizes belong to the program that was loaded: another value needs a new one.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from turbo_hft import settings
from turbo_hft._native import lib
from turbo_hft.config.read import read
from turbo_hft.config.schema import Config
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.program import load_config
from turbo_hft.template import order_template
from turbo_hft.user_strategy import objects
from turbo_hft.wire import blocks, ouch50
from turbo_hft.wire.price import parse_price_e4
from turbo_hft.words import Dollars, Fraction

# Of struct hft_config: which key of [sizes] it comes from.
_SIZES = {
    "symbols": "symbols",
    "order_mask": "orders",
    "level_mask": "levels",
    "kept_mask": "kept",
    "hold_ns": "hold_ns",
    "crossed_ns": "crossed_ns",
    "verify_checksums": "verify_checksums",
    "time_all": "time_all",
}
_MASKED = "_mask"
_STRATEGY = "engine.strategy_object"
_OF_THE_PROCESS = ("engine", "session", "feed", "journal", "control")
_LIVE = (("engine", "lease_s"),)
_MOST_SHOWN = 40  # changes in a note, which a datagram carries to the recorder
_MOST_NAMED = 6
_MOST_REASON = 4000  # characters
_LINES = {"a": lib.HFT_LINE_A, "b": lib.HFT_LINE_B, "rerequest": lib.HFT_LINE_REREQUEST}


@dataclass(frozen=True, slots=True)
class Difference:
    """A key whose value in the file is not that of the engine. `live`: it can be changed while the engine runs."""

    key: str
    engine: Any
    file: Any
    live: bool

    def line(self) -> str:
        """For people."""
        how = "" if self.live else " (needs a new start)"
        if self.key == _STRATEGY:
            how = " (needs `turbo-hft strategy swap`, or a new start)"
        return f"{self.key}: {_said(self.engine)} -> {_said(self.file)}{how}"


def _said(value: Any) -> str:
    if value is None:
        return "off"
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def differences(engine: Engine, config: Config) -> list[Difference]:
    """What the file would have otherwise, fixed things first."""
    found = _sizes(engine, config) + _session(engine, config) + _feed(engine, config)
    if engine.mode.value != config.engine.mode:
        found.insert(0, Difference("engine.mode", engine.mode.value, config.engine.mode, live=False))
    found += _strategy(engine, config)
    return found + _account(engine, config) + _symbols(engine, config)


def _strategy(engine: Engine, config: Config) -> list[Difference]:
    """What decides orders, by its bytes: a name says nothing of them."""
    if config.engine.strategy_object is None:
        return []
    has, wants = engine.user.sha256, hashlib.sha256(objects.read(config.engine.strategy_object).data).hexdigest()
    if has == wants:
        return []
    return [Difference(_STRATEGY, f"sha256 {has[:16]}" if has else None, f"sha256 {wants[:16]}", live=False)]


def _sizes(engine: Engine, config: Config) -> list[Difference]:
    loaded, wanted = engine.program.config, load_config(**config.load_settings())
    found = []
    for field, key in _SIZES.items():
        has, wants = getattr(loaded, field), getattr(wanted, field)
        more = field.endswith(_MASKED)  # as many as the mask, and one
        if int(has) != int(wants):
            found.append(Difference(f"sizes.{key}", int(has) + more, int(wants) + more, live=False))
    return found


def _frame_facts(template: Any) -> dict[str, Any]:
    """What an order frame says of its session."""
    headers = bytes(template.headers[0 : template.headers_len])
    at, vlan = 12, None
    if headers[at : at + 2] == b"\x81\x00":
        vlan = int.from_bytes(headers[at + 2 : at + 4], "big") & 0xFFF
        at += 4
    ip = at + 2
    udp = ip + 20
    (message,) = blocks.split(bytes(template.msg[lib.HFT_ACTION_ENTER][0 : template.msg_len[lib.HFT_ACTION_ENTER]]))
    is_50 = template.protocol == lib.HFT_OUCH50
    if is_50:
        order: Any = ouch50.decode_inbound(message[1:])
    else:
        from turbo_hft.wire import ouch42

        order = ouch42.decode_inbound(message[1:])
    return {
        "protocol": "ouch50" if is_50 else "ouch42",
        "local": _endpoint(headers[ip + 12 : ip + 16], headers[udp : udp + 2]),
        "remote": _endpoint(headers[ip + 16 : ip + 20], headers[udp + 2 : udp + 4]),
        "local_mac": headers[6:12].hex(":"),
        "remote_mac": headers[0:6].hex(":"),
        "vlan": vlan,
        "tif": order.tif,
        "firm": "" if is_50 else order.firm,
    }


def _endpoint(address: bytes, port: bytes) -> str:
    return f"{socket.inet_ntoa(address)}:{int.from_bytes(port, 'big')}"


def _session(engine: Engine, config: Config) -> list[Difference]:
    if not engine.configured:
        return []
    has = {"transport": engine.program.config.transport, **_frame_facts(engine.template)}
    wants = {"transport": config.session.transport, **_frame_facts(order_template(config.session.order_session())[0])}
    if not config.session.local.port:  # any will do
        has["local"], wants["local"] = (facts["local"].partition(":")[0] for facts in (has, wants))
    return [Difference(f"session.{key}", has[key], wants[key], live=False) for key in has if has[key] != wants[key]]


def _feed(engine: Engine, config: Config) -> list[Difference]:
    names = {number: name for name, number in _LINES.items()}
    has: dict[str, Any] = {
        names[flow.line]: (f"{at[0]}:{at[1]}", _peer(flow.peer_addr_be, flow.peer_port_be))
        for at, flow in engine.flow_table()
        if flow.role == lib.HFT_ROLE_FEED and flow.feed == 0
    }
    wants: dict[str, Any] = {
        line.line: (f"{line.address}:{line.port}", (line.peer[0] or "any", line.peer[1]))
        for line in config.feed.address().lines()
    }
    if not engine.configured:
        return []
    words = {"a": ("at", "source"), "b": ("b", "b_source"), "rerequest": ("rerequest_local", "rerequest")}
    found = []
    for line, keys in words.items():
        before, after = has.get(line, (None, None)), wants.get(line, (None, None))
        for key, old, new in zip(keys, before, after, strict=True):
            if old != new:
                found.append(Difference(f"feed.{key}", _shown_peer(old), _shown_peer(new), live=False))
    return found


def _peer(address_be: int, port_be: int) -> tuple[str, int]:
    address = socket.inet_ntoa(int(address_be).to_bytes(4, "little")) if address_be else "any"
    return address, socket.ntohs(port_be)


def _shown_peer(peer: Any) -> Any:
    if not isinstance(peer, tuple):
        return peer
    return f"{peer[0]}:{peer[1]}" if peer[1] else peer[0]


def _account(engine: Engine, config: Config) -> list[Difference]:
    now = settings.account(engine)
    for strategy in engine.strategies:
        now |= {f"{strategy.name}.{key}": settings.shown(value) for key, value in strategy.limits.as_dict().items()}
    words = settings.account_words()
    found = []
    for key, value in config.account.items():
        if key.startswith("fee."):
            wants: Any = settings.shown(Decimal(str(value)))
            has = now.get(key, "0.00")
        else:
            wants = value if key == "mark" else _normal(words[key], value)
            has = now[key]
        if has != wants:
            group, _, name = key.rpartition(".")
            path = f"fees.{name}" if group == "fee" else f"strategies.{key}" if group else f"limits.{key}"
            found.append(Difference("mark" if key == "mark" else path, has, wants, live=True))
    return found


def _normal(word: Any, value: Any) -> Any:
    """A value as the engine would show it."""
    return settings.shown(word.shown(word.word("", value)))


def _symbols(engine: Engine, config: Config) -> list[Difference]:
    words = settings.symbol_words()
    found = []
    for name, wanted in config.symbols.items():
        if name not in engine.symbols:
            found.append(Difference(f"symbols.{name}", "not tracked", "tracked", live=True))
            continue
        now = settings.current(engine.symbols[name])
        for key, value in wanted.items():
            wants = _normal(words[key], value) if key in words else _choice(key, value)
            if now[key] != wants:
                found.append(Difference(f"symbols.{name}.{key}", now[key], wants, live=True))
    return found


def _choice(key: str, value: Any) -> Any:
    if key in settings.TARGETS:
        return None if value is None else settings.shown(Decimal(parse_price_e4(value)) / 10_000)
    return settings.shown(value)


def apply_file(engine: Engine, path: Path) -> tuple[Config, list[Difference]]:
    """Read a file and change the engine to it: what it says, and what was changed. A recorder notes what came of it.

    Raises ConfigError as `read` and `apply` do; nothing is changed then.
    """
    try:
        config = read(path)
        changed = apply(engine, config)
    except TurboHftError as error:
        engine.report("config", file=str(path), outcome="refused", reason=str(error)[:_MOST_REASON])
        raise
    shown = [one.line() for one in changed[:_MOST_SHOWN]]
    engine.report("config", file=str(path), outcome="applied", count=len(changed), changed=shown)
    return config, changed


def checked(engine: Engine, config: Config) -> list[Difference]:
    """What differs, all of which can be changed live. Raises ConfigError for what needs a new start, naming it."""
    found = differences(engine, config)
    fixed = [one.line() for one in found if not one.live]
    if fixed:
        raise ConfigError(f"nothing was changed; these need a new start of the engine: {'; '.join(fixed)}.")
    return found


def later(before: Config, now: Config) -> list[str]:
    """Keys that are told to the process when it starts, and whose new value it therefore has not."""
    return [
        f"{table}.{one.name}"
        for table in _OF_THE_PROCESS
        for one in fields(getattr(now, table))
        if getattr(getattr(before, table), one.name) != getattr(getattr(now, table), one.name)
        and (table, one.name) not in _LIVE
    ]


def apply(engine: Engine, config: Config) -> list[Difference]:
    """Change the engine to what the file says, all of it or nothing; what was changed.

    Raises ConfigError for what needs a new start, naming it, and for values that the engine refuses together.
    """
    found = checked(engine, config)
    before = {name: settings.parameters(engine.symbols[name]) for name in config.symbols if name in engine.symbols}
    new = [name for name in config.symbols if name not in engine.symbols]
    room = engine.program.config.symbols - len(engine.symbols)
    if len(new) > room:
        raise ConfigError(
            f"nothing was changed: {len(new)} symbols are new ({', '.join(new[:_MOST_NAMED])}), the engine has room "
            f"for {room} more. Start it anew with a larger sizes.symbols."
        )
    mark, fees = engine.mark, dict(engine.fees)
    try:
        with engine.change():
            settings.apply_account(engine, config.account)
            for name in before:
                changed = {one.key.removeprefix(f"symbols.{name}.") for one in found if _is_of(one, name)}
                wanted = {key: value for key, value in config.symbols[name].items() if key in changed}
                if wanted:
                    settings.apply_symbol(engine, engine.symbols[name], wanted)
            for name in new:
                settings.add(engine, settings.SymbolSpec(name, config.symbols[name]))
    except TurboHftError:
        _put_back(engine, before, mark, fees)
        for name in new:
            if name in engine.symbols:  # what is tracked stays so, but trades nothing
                engine.symbols[name].strategy = None
        raise
    return found


def _is_of(difference: Difference, symbol: str) -> bool:
    return difference.key.startswith(f"symbols.{symbol}.")


def _put_back(engine: Engine, symbols: Mapping[str, Mapping[str, Any]], mark: Any, fees: Mapping[str, Decimal]) -> None:
    """What is no limit, and so was in force at once."""
    for name, values in symbols.items():
        settings.apply_symbol(engine, engine.symbols[name], values)
    engine.mark = mark
    for flag in {*fees, *engine.fees}:
        engine.fees[flag] = fees.get(flag, Decimal(0))


def as_toml(engine: Engine) -> str:
    """A running engine as a file that could be run; what only its process knows is left to be filled in."""
    lines = ["[engine]", f'interface = "{engine.interface}"', f'mode = "{engine.mode.value}"']
    if engine.pins is not None:
        lines.append(f'pin_root = "{engine.pins.layout.root}"')
    lines += ["", "[sizes]"]
    for field, key in _SIZES.items():
        value = getattr(engine.program.config, field)
        shown = _toml(value + field.endswith(_MASKED) if not isinstance(value, bool) else value)
        lines.append(f"{key} = {shown}")
    lines += _session_toml(engine)
    lines += ["", "[limits]"]
    words = settings.account_words()
    for key, value in engine.limits.as_dict().items():
        lines.append(f"{key} = {_of_word(words[key], value)}")
    for strategy in engine.strategies:
        lines += ["", f"[strategies.{strategy.name}]"]
        for key, value in strategy.limits.as_dict().items():
            lines.append(f"{key} = {_of_word(words[f'{strategy.name}.{key}'], value)}")
    if len(engine.fees):
        lines += ["", "[fees]", *(f'"{flag}" = "{format(fee, "f")}"' for flag, fee in engine.fees.items())]
    lines.insert(0, f'mark = "{engine.mark}"\n')
    for symbol in engine.symbols:
        lines += _symbol_toml(symbol)
    return "\n".join(lines) + "\n"


def _session_toml(engine: Engine) -> list[str]:
    if not engine.configured:
        return ["", "# It is not configured yet: no session, no feed."]
    facts = _frame_facts(engine.template)
    if (transport := engine.program.config.transport) != "ufo":
        # The port is that of a connection which ends with the process: the next one takes any other.
        facts |= {"transport": transport, "local": facts["local"].partition(":")[0] + ":0"}
    tif = "ioc" if facts["tif"] in ("3", 0) else "day"
    lines = ["", "[session]"]
    for key, value in facts.items():
        if value not in (None, ""):
            lines.append(f"{key} = {_toml(tif if key == 'tif' else value)}")
    lines += ['# username = "…"   what the login said, the engine does not know', '# password = "…"', "", "[feed]"]
    words = {"a": ("at", "source"), "b": ("b", "b_source"), "rerequest": ("rerequest_local", "rerequest")}
    names = {number: name for name, number in _LINES.items()}
    for at, flow in sorted(engine.flow_table(), key=lambda one: int(one[1].line)):
        if flow.role == lib.HFT_ROLE_FEED and flow.feed == 0:
            here, there = words[names[flow.line]]
            peer = _peer(flow.peer_addr_be, flow.peer_port_be)
            lines.append(f'{here} = "{at[0]}:{at[1]}"')
            if peer[0] != "any":
                lines.append(f'{there} = "{_shown_peer(peer)}"')
    return lines


def _symbol_toml(symbol: Any) -> list[str]:
    words, now = settings.symbol_words(), {**settings.parameters(symbol), **symbol.limits.as_dict()}
    lines, groups = ["", f'[symbols."{symbol.name}"]'], list[str]()
    for key, value in now.items():
        if key in ("strategy", *settings.TARGETS):
            shown = _toml("off" if value is None else str(settings.shown(value)))
        elif key == "shadow":
            shown = "[" + ", ".join(f'"{name}"' for name in sorted(value)) + "]"
        else:
            shown = _of_word(words[key], value)
        (groups if "." in key else lines).append(f"{key} = {shown}")
    return lines + groups


def _of_word(word: Any, value: Any) -> str:
    if isinstance(word, Dollars):
        return f'"{settings.shown(value)}"'
    return f'"{format(value, "f")}"' if isinstance(word, Fraction) else _toml(settings.shown(value))


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else f'"{value}"'

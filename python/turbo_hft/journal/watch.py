"""What an engine is told, as a flat table of settings, and what of it has changed since the last look.

The recorder reads the maps themselves: a change is seen whoever made it and however. Values are the hook's own words
with their units in the name, because those are what a decision was held against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.strategies import TRADING, strategy_number

if TYPE_CHECKING:
    from turbo_hft.engine import Engine

Changed = dict[str, list[Any]]  # setting -> [old, new]
_TRIES = 100
_CONTROL_BYTES = int(ffi.sizeof("struct hft_control"))
_LEASE = slice(ffi.offsetof("struct hft_control", "lease_until_ns"), ffi.offsetof("struct hft_control", "epoch"))
_CHUNK = 50  # symbols in one table of settings
_STRATEGIES = (*TRADING, "manual")


def _struct(ctype: str, raw: bytes) -> dict[str, int]:
    return {name: int(value) for name, value in abi.fields(ffi.from_buffer(f"{ctype} *", raw)[0]).items()}


class Watch:
    """Looks at one engine."""

    def __init__(self, engine: Engine) -> None:
        program = engine.program
        self._engine = engine
        self._control = program.share("control")
        self._limits = program.share("limits")
        self._symbol_limits = program.share("symbol_limits")
        self._params = program.share("symbol_params")
        self._fees = program.share("fees")
        self._template = program.share("order_template")
        self._session = program.share("session_state")
        self._capacity = int(program.config.symbols)
        self._raw: dict[str, bytes] = {}
        self._shown: dict[str, dict[str, Any]] = {}
        self.epoch = -1

    @property
    def last_event(self) -> int:
        """Id of the newest event that the hook gave out."""
        return int(self._session[0].event_id)

    def stirred(self) -> bool:
        """Has an epoch passed, or a kill switch moved? A few loads."""
        return self._switches() != self._raw.get("switches")

    def _switches(self) -> bytes:
        raw = bytes(ffi.buffer(self._control, _CONTROL_BYTES))
        return raw[: _LEASE.start] + raw[_LEASE.stop :]

    def look(self) -> tuple[int, int, Changed]:
        """(epoch of the look before, epoch now, what has changed between the two)."""
        before = self.epoch
        for _ in range(_TRIES):
            epoch, switches = int(self._control[0].epoch), self._switches()
            raw = dict(self._regions(epoch))
            if int(self._control[0].epoch) == epoch:
                break
        raw["switches"] = switches
        changed: Changed = {}
        for name, bytes_now in raw.items():
            if self._raw.get(name) != bytes_now:
                self._difference(name, bytes_now, changed)
        for name, show in self._others():
            self._compare(name, show(), changed)
        self._raw, self.epoch = raw, epoch
        return before, epoch, changed

    def everything(self) -> Iterator[Changed]:
        """All settings as of the last look, old ones None, in tables of bounded size."""
        table: Changed = {}
        for count, shown in enumerate(self._shown.values(), 1):
            table |= {key: [None, value] for key, value in shown.items()}
            if count % _CHUNK == 0:
                yield table
                table = {}
        if table:
            yield table

    def _regions(self, epoch: int) -> Iterator[tuple[str, bytes]]:
        half = epoch & 1
        yield "limits", bytes(ffi.buffer(self._limits + half, ffi.sizeof("struct hft_limits")))
        yield "fees", bytes(ffi.buffer(self._fees, 8 * 256))
        yield "template", bytes(ffi.buffer(self._template, ffi.sizeof("struct hft_template")))
        tracked = len(self._engine.symbols)
        params, limits = ffi.sizeof("struct hft_symbol_params"), ffi.sizeof("struct hft_symbol_limits")
        all_params = bytes(ffi.buffer(self._params, params * tracked))
        all_limits = bytes(ffi.buffer(self._symbol_limits + half * self._capacity, limits * tracked))
        for slot in range(tracked):
            yield (
                f"slot {slot}",
                all_params[slot * params : (slot + 1) * params] + all_limits[slot * limits : (slot + 1) * limits],
            )

    def _difference(self, name: str, raw: bytes, changed: Changed) -> None:
        kind, _, slot = name.partition(" ")
        shown: dict[str, Any]
        match kind:
            case "limits":
                shown = self._show_limits(raw)
            case "fees":
                values = ffi.from_buffer("int64_t[]", raw)
                shown = {f"fee.{chr(flag)}_e8": int(values[flag]) for flag in range(256) if values[flag]}
            case "template":
                shown = self._show_template(raw)
            case "switches":
                shown = self._show_switches()
            case _:
                shown = self._show_symbol(int(slot), raw)
        self._compare(name, shown, changed)

    def _compare(self, name: str, shown: dict[str, Any], changed: Changed) -> None:
        old = self._shown.get(name, {})
        for key in old.keys() | shown.keys():
            if old.get(key) != shown.get(key):
                changed[key] = [old.get(key), shown.get(key)]
        self._shown[name] = shown

    def _show_limits(self, raw: bytes) -> dict[str, Any]:
        limits = ffi.from_buffer("struct hft_limits *", raw)[0]
        shown = {f"account.{key}": int(value) for key, value in abi.fields(limits.account).items()}
        for name in _STRATEGIES:
            values = abi.fields(limits.strategy[strategy_number(name)])
            shown |= {f"strategy.{name}.{key}": int(value) for key, value in values.items()}
        return shown

    def _show_switches(self) -> dict[str, Any]:
        control = self._control[0]
        shown: dict[str, Any] = {"engine.kill": kill_name(int(control.kill)), "engine.mark": int(control.mark)}
        for name in _STRATEGIES:
            shown[f"strategy.{name}.kill"] = kill_name(int(control.strategy_kill[strategy_number(name)]))
        return shown

    @staticmethod
    def _show_symbol(slot: int, raw: bytes) -> dict[str, Any]:
        size = int(ffi.sizeof("struct hft_symbol_params"))
        params = ffi.from_buffer("struct hft_symbol_params *", raw[:size])[0]
        name = bytes(ffi.buffer(params.name)).decode("ascii", "replace").rstrip(" ")
        shown: dict[str, Any] = {f"symbol.{name}.slot": slot}
        for key, value in abi.fields(params).items():
            if key == "kill":
                shown[f"symbol.{name}.kill"] = kill_name(int(value))
            elif key != "name":
                shown[f"symbol.{name}.params.{key}"] = int(value)
        limits = _struct("struct hft_symbol_limits", raw[size:])
        return shown | {f"symbol.{name}.limits.{key}": value for key, value in limits.items()}

    @staticmethod
    def _show_template(raw: bytes) -> dict[str, Any]:
        template = ffi.from_buffer("struct hft_template *", raw)[0]
        shown: dict[str, Any] = {"template.protocol": int(template.protocol)}
        shown["template.headers"] = bytes(ffi.buffer(template.headers))[: template.headers_len].hex()
        for action in (lib.HFT_ACTION_ENTER, lib.HFT_ACTION_REPLACE, lib.HFT_ACTION_CANCEL):
            name = abi.names("hft_action", "HFT_ACTION_")[action]
            shown[f"template.{name}"] = bytes(ffi.buffer(template.msg[action]))[: template.msg_len[action]].hex()
        return shown

    def _others(self) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
        """What is no array in shared memory."""
        yield "user", self._show_user
        yield "load", self._show_load

    def _show_user(self) -> dict[str, Any]:
        user = self._engine.user
        now = user.now
        shown: dict[str, Any] = {
            "user.generation": now.number, "user.name": now.name, "user.sha256": now.sha256,
            "program.id": now.program_id, "program.sha256": now.engine_sha256,
        }  # fmt: skip
        if user.size and user.has_params:
            shown |= {f"user.params.{key}": value for key, value in _flat(user.params.as_dict())}
        return shown

    def _show_load(self) -> dict[str, Any]:
        config = self._engine.program.config
        return {f"load.{name}": getattr(config, name) for name in config.__slots__}


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield path, value
        return
    for key, inner in items:
        yield from _flat(inner, f"{path}.{key}" if path else str(key))


def kill_name(value: int) -> str:
    """``halted``, ``active``, ``reducing``, ``suspended`` (by order entry itself); anything else counts as halted."""
    return abi.names("hft_kill", "HFT_").get(value, f"halted ({value})")

"""What each request does with an engine, wherever that happens: in the process that adopted it, or behind the socket.

So `turbo-hft halt` and a `halt` that comes by the socket are the same lines of code, and their answers have one shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

from turbo_hft import settings
from turbo_hft.control import requests as ask
from turbo_hft.errors import ConfigError

if TYPE_CHECKING:
    from turbo_hft.dashboard.local_desk import LocalDesk
    from turbo_hft.engine import Engine
    from turbo_hft.kill import Switch
    from turbo_hft.orders import CancelReport

Result = dict[str, Any]


class Operations:
    """Those of one engine. Safe to be called from any thread."""

    def __init__(self, engine: Engine, desk: LocalDesk) -> None:
        """`desk`: whose pictures are shown, and which learns that something was changed."""
        self._engine = engine
        self._desk = desk
        self._do: Mapping[type[ask.Request], Callable[[Any], Result]] = {
            ask.View: self._view,
            ask.Status: self._status,
            ask.Metrics: self._metrics,
            ask.Limits: self._limits,
            ask.Orders: self._orders,
            ask.Strategies: self._strategies,
            ask.UserStrategy: lambda _: self._user_strategy(),
            ask.Halt: self._halt,
            ask.Reduce: self._reduce,
            ask.Resume: self._resume,
            ask.Change: self._change,
            ask.Cancel: self._cancel,
            ask.CancelAll: self._cancel_all,
            ask.Enter: self._enter,
            ask.Replace: self._replace,
            ask.Rearm: self._rearm,
            ask.Trust: self._trust,
            ask.SetUserStrategy: self._set_user_strategy,
        }

    def __call__(self, request: ask.Request) -> Result:
        """Do it; the answer, JSON-ready. Raises the errors of what it does; then nothing has changed."""
        do = self._do[type(request)]
        try:
            result: Result = msgspec.to_builtins(do(request), enc_hook=str)
            return result
        finally:
            if request.role() == "trade":
                self._desk.stale()

    # Reading

    def _view(self, request: ask.View) -> Result:
        return self._desk.view(request.watch).as_dict()

    def _status(self, request: ask.Status) -> Result:
        engine = self._engine
        return {
            "view": self._desk.view().as_dict(),
            "counters": engine.counters(),
            "itch": engine.itch_counts(),
            "refusals": engine.refusals(),
            "working": [asdict(order) for order in engine.orders.open()],
            "program": {
                **asdict(engine.user.now),
                "controller": engine.controller,
                "pinned": engine.pins is not None,
            },
        }

    def _metrics(self, request: ask.Metrics) -> Result:
        return dict(self._desk.metrics(request.most_symbols))

    def _limits(self, request: ask.Limits) -> Result:
        engine = self._engine
        symbols = engine.symbols if request.symbol is None else [engine.symbols[request.symbol]]
        return {
            "account": settings.account(engine),
            "strategies": {each.name: _plain(each.limits.as_dict()) for each in engine.strategies},
            "symbols": {symbol.name: _plain(symbol.limits.as_dict()) for symbol in symbols},
            "epoch": engine.epoch,
        }

    def _orders(self, request: ask.Orders) -> Result:
        orders = self._engine.orders
        found = [
            asdict(order)
            for order in (orders.all() if request.all else orders.open())
            if request.symbol in (None, order.symbol) and request.strategy in (None, order.strategy)
        ]
        return {"orders": found}

    def _strategies(self, request: ask.Strategies) -> Result:
        found = []
        for strategy in self._engine.strategies:
            trading = [symbol.name for symbol in self._engine.symbols if symbol.strategy == strategy.name]
            shadow = [symbol.name for symbol in self._engine.symbols if strategy.name in symbol.shadow]
            found.append({**strategy.as_dict(), "symbols": trading, "shadow": shadow})
        return {"strategies": found}

    def _user_strategy(self) -> Result:
        now = self._engine.user.now
        params = self._engine.user.params.as_dict() if self._engine.user.has_params else {}
        values = {"generation": now.number, "name": now.name, "sha256": now.sha256, "size": now.size}
        return {**values, "first_epoch": now.first_epoch, "params": params}

    # Kill switches

    def _switch(self, request: ask.Halt | ask.Reduce | ask.Resume) -> Switch:
        if request.symbol is not None and request.strategy is not None:
            raise ConfigError("a symbol and --strategy: each has a switch of its own, give one of them")
        if request.strategy is not None:
            return self._engine.strategies[request.strategy]
        return self._engine if request.symbol is None else self._engine.symbols[request.symbol]

    def _states(self) -> Result:
        engine = self._engine
        return {
            "interface": engine.interface,
            "state": engine.state,
            "symbols": {symbol.name: symbol.state for symbol in engine.symbols},
            "strategies": {strategy.name: strategy.state for strategy in engine.strategies},
            "epoch": engine.epoch,
        }

    def throw(self, request: ask.Halt) -> Result:
        """The switch of a `halt`, before anything else is done for it. Raises ConfigError for one that is not there."""
        self._switch(request).throw()
        return {}

    def _halt(self, request: ask.Halt) -> Result:
        self._switch(request).halt()
        if not request.cancel:
            return self._states()
        report = self._engine.orders.cancel_all(request.symbol, request.strategy, timeout_s=request.timeout_s)
        return {**self._states(), **_report(report)}

    def _reduce(self, request: ask.Reduce) -> Result:
        self._switch(request).reduce()
        return self._states()

    def _resume(self, request: ask.Resume) -> Result:
        self._switch(request).resume()
        return self._states()

    # Changes

    def _change(self, request: ask.Change) -> Result:
        change = settings.parse_change(request.line.split())
        after = settings.apply(self._engine, change)
        return {"symbol": change.symbol, "settings": after, "epoch": self._engine.epoch}

    def _rearm(self, request: ask.Rearm) -> Result:
        if request.symbol is not None and request.strategy is not None:
            raise ConfigError("a symbol and a strategy: each has a latch of its own, give one of them")
        if request.symbol is not None:
            self._engine.symbols[request.symbol].rearm()
        elif request.strategy is not None:
            self._engine.strategies[request.strategy].rearm()
        else:
            self._engine.rearm()
        return {}

    def _trust(self, request: ask.Trust) -> Result:
        self._engine.trust_session()
        return {"health": self._engine.session.health}

    def _set_user_strategy(self, request: ask.SetUserStrategy) -> Result:
        for assignment in request.values:
            assign(self._engine.user.params, assignment)
        return self._user_strategy()

    # Orders

    def _cancel(self, request: ask.Cancel) -> Result:
        for number in request.orders:
            self._engine.orders.cancel(number)
        return {"asked": list(request.orders)}

    def _cancel_all(self, request: ask.CancelAll) -> Result:
        return _report(self._engine.orders.cancel_all(request.symbol, request.strategy, timeout_s=request.timeout_s))

    def _enter(self, request: ask.Enter) -> Result:
        return {
            "user_ref": self._engine.orders.enter(request.symbol, request.side, request.qty, request.price, request.tif)
        }

    def _replace(self, request: ask.Replace) -> Result:
        return {"user_ref": self._engine.orders.replace(request.order, request.qty, request.price, request.tif)}


def _plain(values: Mapping[str, Any]) -> Result:
    return {key: settings.shown(value) for key, value in values.items()}


def _report(report: CancelReport) -> Result:
    left = [{**asdict(order), "refused": report.refused.get(order.user_ref)} for order in report.left]
    return {"canceled": report.canceled, "left": left}


def assign(params: Any, assignment: str) -> None:
    """`name=value`, `name[3]=value`, `name.field=value`. Raises ConfigError."""
    path, equals, text = assignment.partition("=")
    steps = re.findall(r"([A-Za-z_]\w*)|\[(\d+)\]", path)
    if not equals or not steps or "".join(name or f"[{index}]" for name, index in steps) != path.replace(".", ""):
        raise ConfigError(f"{assignment!r}: give NAME=VALUE, as in qty=100, levels[2]=7 or leg.x=1.")
    try:
        for name, index in steps[:-1]:
            params = params[name or int(index)]
        name, index = steps[-1]
        params[name or int(index)] = _value(text)
    except (KeyError, IndexError, TypeError) as error:
        raise ConfigError(f"{path}: {error.args[0]}") from None


def _value(text: str) -> object:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text, 0)
    except ValueError:
        return text

"""Every engine of this machine: those that are pinned, and those that only are on an interface."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from turbo_hft import abi
from turbo_hft.engine import Engine, Mode
from turbo_hft.errors import AbiMismatch, CapabilityError, NotRunning, TurboHftError
from turbo_hft.layout import DEFAULT_ROOT
from turbo_hft.pins import Pins, found
from turbo_hft.program import Program


@dataclass(frozen=True, slots=True)
class EngineFound:
    """One of them. `state` is empty where it cannot be asked; `problem` says why, or what it is instead of an engine.

    `stale`: nobody can trade with it any more, because its interface is gone or it never was whole. One whose interface
    is in another network namespace is not. `open_orders` are those of its maps, None where they cannot be read.
    """

    interface: str
    abi: int
    pinned: bool
    state: str = ""
    mode: str = ""
    controller: int | None = None
    program_id: int | None = None
    generation: int | None = None
    open_orders: int | None = None
    stale: bool = False
    problem: str = ""

    def line(self) -> str:
        """For people."""
        words = ["pinned" if self.pinned else "not pinned"]
        if self.state:
            words[:0] = [self.state, self.mode]
            words.append(f"program {self.program_id} (generation {self.generation})")
            words.append(f"run by process {self.controller}" if self.controller else "run by nobody")
        if self.open_orders is not None:
            words.append(f"{self.open_orders} orders open")
        if self.problem:
            words.append(self.problem)
        return f"{self.interface}: {', '.join(words)}"


def engines(root: str | Path = DEFAULT_ROOT) -> list[EngineFound]:
    """All of them, by interface. What belongs to another package version or was left half-made is listed too."""
    pinned = {(one.interface, one.abi): one for one in found(root)}
    listed = [_pinned(root, interface, number, link=one.link) for (interface, number), one in pinned.items()]
    known = {one.interface for one in listed if not one.stale}
    for _, interface in socket.if_nameindex():
        if interface not in known:
            with contextlib.suppress(NotRunning):
                listed.append(_on(interface))
    return sorted(listed, key=lambda one: (one.interface, one.abi))


def _pinned(root: str | Path, interface: str, number: int, *, link: bool) -> EngineFound:
    if not link and number == abi.VERSION and Pins(root, interface).starting:
        return EngineFound(interface, number, pinned=True, problem="a process is starting it")
    if not link:
        why = "left by a process that died before its engine was whole"
        return EngineFound(interface, number, pinned=True, stale=True, problem=why, open_orders=0)
    if number != abi.VERSION:
        why = f"it speaks ABI version {number}, this package {abi.VERSION}: use the package that started it"
        return EngineFound(interface, number, pinned=True, problem=why)
    pins = Pins(root, interface)
    try:
        with Engine.adopt(interface, pin=root) as engine:
            return _described(engine, interface)
    except NotRunning as error:
        return EngineFound(
            interface, number, pinned=True, stale=pins.orphaned, problem=str(error), open_orders=orders_left(pins)
        )
    except TurboHftError as error:
        return EngineFound(interface, number, pinned=True, problem=str(error))


def _described(engine: Engine, interface: str) -> EngineFound:
    return EngineFound(
        interface=interface,
        abi=abi.VERSION,
        pinned=engine.pins is not None,
        state=engine.state,
        mode=engine.mode.value,
        controller=engine.controller,
        program_id=engine.program.facts().id,
        generation=engine.user.generation,
        open_orders=len(engine.orders.open()),
    )


def _on(interface: str) -> EngineFound:
    """Raises NotRunning for an interface without an engine."""
    try:
        with Engine.adopt(interface) as engine:
            return _described(engine, interface)
    except (AbiMismatch, CapabilityError) as error:
        return EngineFound(interface, 0, pinned=False, problem=str(error))


def orders_left(pins: Pins) -> int | None:
    """Orders that the maps of a pinned engine have as open, whether its interface is there or not; None if they cannot
    be read."""
    try:
        link = pins.open_link()
        try:
            number = link.facts().program_id
        finally:
            os.close(link.fd)
        handle = pins.open_program(number)
        program = Program.adopt_pinned(handle, lambda program_id, what: pins.open_program(program_id))
        engine = Engine(program, interface=None, mode=Mode.NATIVE)
    except TurboHftError:
        return None
    try:
        return len(engine.orders.open())
    finally:
        engine.close()

"""An upgrade whose process died before the new program was believed: the program of before is put in force again.

Nobody has seen that the new one does what it must, and of the one before that is known. What was published was believed
already, and stays.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from turbo_hft._native import lib
from turbo_hft.errors import ConfigError, NotRunning, TurboHftError
from turbo_hft.pins import PinnedLink
from turbo_hft.program import adopt_program
from turbo_hft.user_strategy.lock import SwapLock

if TYPE_CHECKING:
    from turbo_hft.engine import Engine


def mend(engine: Engine) -> str | None:
    """What was done, if anything was to be. Raises TurboHftError if it cannot be: the engine is halted then."""
    table = engine.program.generations
    if not table.watched or engine.program.locks.held("strategy"):
        return None
    try:
        with SwapLock(engine.program):
            return _mend(engine) if table.watched else None
    except ConfigError:  # somebody else is at it, or upgrades
        return None
    except (TurboHftError, OSError) as error:
        engine.halt()
        raise TurboHftError(
            f"an upgrade ended while program {int(table.watched)} was watched, and the one before cannot be put in "
            f"force again: {error} The engine is halted: end it (`turbo-hft detach`), and start it anew with --recover."
        ) from error


def _mend(engine: Engine) -> str:
    table, pins = engine.program.generations, engine.pins
    new, before = int(table.watched), engine.user.now.program_id
    with engine.user.link() as link:
        in_force = before if link is None else PinnedLink(link).facts().program_id
        rolls_back = link is not None and in_force == new != before
        if rolls_back:
            handles = [_opened(engine, number) for number in (before, new)]
            try:
                error = lib.hft_link_update(link, *(lib.hft_program_fd(handle) for handle in handles))
            finally:
                for handle in handles:
                    lib.hft_unload(handle)
            if error:
                raise TurboHftError(f"the link does not take it: {os.strerror(-error)}.")
            in_force = before
    if pins is not None:
        pins.keep_only(in_force)
    lib.hft_wait_for_packets()
    engine.note_swap(in_force)
    table.watched = 0
    if in_force == new:
        return f"an upgrade ended when program {new} was in force and believed: it stays"
    what = f"program {before} is in force again" if rolls_back else f"program {before} stayed in force"
    engine.report("upgrade", outcome="rolled back", reason="its process died before the new program was believed")
    return f"an upgrade ended before program {new} was believed: {what}"


def _opened(engine: Engine, program_id: int) -> object:
    if engine.pins is not None:
        try:
            return engine.pins.open_program(program_id)
        except NotRunning:  # somebody swapped it who did not know of the pins
            pass
    return adopt_program(program_id, "the program of an upgrade")

"""Kill switches: one of all orders, one of each strategy, one of each symbol. The strictest of the three counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from turbo_hft._native import lib

KillState = Literal["halted", "active", "reducing"]
_STATES: dict[int, KillState] = {lib.HFT_ACTIVE: "active", lib.HFT_REDUCING: "reducing"}


def state_of(word: int) -> KillState:
    """What a kill word says; one that says nothing halts."""
    return _STATES.get(word, "halted")


class Switch(ABC):
    """Base of what has one. Cancels leave in every state."""

    __slots__ = ()

    @abstractmethod
    def _read_kill(self) -> int:
        """The word as it is."""

    @abstractmethod
    def _store_kill(self, value: int) -> None:
        """One store."""

    @abstractmethod
    def _note_kill(self) -> None:
        """An epoch of its own, if it can be had without waiting."""

    def _write_kill(self, value: int) -> None:
        """What holds orders back is stored at once, whatever becomes of its number. What lets them leave gets its
        number first: so that no order of the epoch of a halt is one that left after it."""
        if value == lib.HFT_ACTIVE or (value == lib.HFT_REDUCING and self.halted):
            self._note_kill()
            self._store_kill(value)
        else:
            self._store_kill(value)
            self._note_kill()

    @property
    def state(self) -> KillState:
        """``halted``: nothing leaves. ``reducing``: only what brings a position towards zero. ``active``."""
        return state_of(self._read_kill())

    @property
    def halted(self) -> bool:
        """May nothing but cancels leave?"""
        return self.state == "halted"

    def halt(self) -> None:
        """No order leaves after this store. Working orders stay at the exchange."""
        self._write_kill(lib.HFT_HALTED)

    def throw(self) -> None:
        """The store of `halt` alone, which waits for nobody: for who has to find out first who it was. `halt` follows,
        and gives it an epoch."""
        self._store_kill(lib.HFT_HALTED)

    def reduce(self) -> None:
        """From now on only orders that bring a position towards zero, and not beyond it."""
        self._write_kill(lib.HFT_REDUCING)

    def resume(self) -> None:
        """Let orders leave, as far as the limits and the other switches do."""
        self._write_kill(lib.HFT_ACTIVE)

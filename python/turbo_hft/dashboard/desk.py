"""What a face needs of an engine, wherever that runs: pictures, and the few things that a person does to it.

Everything that goes in or out is JSON-ready, so that a desk can stand at the other end of a socket: a view as
`View.as_dict` and `View.from_dict`, a change as the words of `turbo-hft set`, an error as the name of its class and its
message. What cannot be done raises one of `turbo_hft.errors`, and then nothing has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from turbo_hft.dashboard.view import View
from turbo_hft.errors import MalformedMessage
from turbo_hft.metrics import MOST_SYMBOLS, Measured


@dataclass(frozen=True, slots=True)
class Canceled:
    """What came of halting and cancelling. `canceled`: how many orders ended. `left`: UserRefNums of those that are
    still open; `refused`: of those, as text -> why no cancel left."""

    canceled: int
    left: tuple[int, ...]
    refused: Mapping[str, str]

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        built: dict[str, object] = msgspec.to_builtins(self)
        return built

    @classmethod
    def from_dict(cls, values: object) -> Canceled:
        """The other way. Raises MalformedMessage."""
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise MalformedMessage(f"this is no answer to a halt of this version: {error}") from None


class Desk(Protocol):
    """One engine, as a face sees it. All of it may be called from any thread."""

    @property
    def may_trade(self) -> bool:
        """May this face do anything but look? If not, everything but `view` raises ConfigError."""
        ...

    def view(self, watch: str | None = None) -> View:
        """A picture that is not older than the desk's interval; with `watched` filled in for the symbol named `watch`.

        The engine is read only when this is called. Raises ConfigError for a symbol that is not tracked, NotRunning
        when the engine has gone.
        """
        ...

    def metrics(self, most_symbols: int = MOST_SYMBOLS) -> Measured:
        """All metrics of the engine, read now: see `turbo_hft.metrics.measure`. Raises as `view` does."""
        ...

    def halt(self) -> None:
        """No order leaves after this. Working orders stay at the exchange. Never waits for anybody."""
        ...

    def halt_and_cancel(self) -> Canceled:
        """The same, then cancel every working order and wait for the answers, about two seconds at most."""
        ...

    def reduce(self) -> None:
        """Let only orders leave that bring a position towards zero. Raises ConfigError when nobody keeps the lease."""
        ...

    def resume(self) -> None:
        """Let orders leave, within every limit. Raises ConfigError when nobody keeps the lease."""
        ...

    def change(self, line: str) -> Mapping[str, object]:
        """Set what ``turbo-hft set LINE`` sets, such as ``AAPL buy_below=164.00`` or ``max_gross=2000000``: all of it
        or none. The settings afterwards. Raises ConfigError, MalformedMessage, TurboHftError."""
        ...

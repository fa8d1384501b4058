"""One swap at a time: two at once would each share the maps of a program that the other takes out of force."""

from __future__ import annotations

from types import TracebackType

from turbo_hft.errors import ConfigError
from turbo_hft.program import Program


class SwapLock:
    """Held while a context is open, or until this process ends. Raises ConfigError when somebody has it."""

    def __init__(self, program: Program) -> None:
        self._locks = program.locks  # the same for all programs that take each other's place

    def __enter__(self) -> SwapLock:
        lock = self._locks.take("strategy")
        if lock is None:
            raise ConfigError("another strategy is being loaded into this engine: try again when it is done.")
        self._lock = lock
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.close()

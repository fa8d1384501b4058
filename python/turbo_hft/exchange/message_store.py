"""The messages of one MoldUDP64 session, kept by sequence number so that they can be sent again."""

from __future__ import annotations

from collections.abc import Sequence

from turbo_hft.errors import ConfigError


class MessageStore:
    """Append-only; the first message is number 1. With `keep`, only so many of the newest can still be had."""

    def __init__(self, keep: int | None = None) -> None:
        """Errors: ConfigError if `keep` is below 1."""
        if keep is not None and keep < 1:
            raise ConfigError(f"{keep} messages to keep: give 1 or more")
        self._keep = keep
        self._messages: list[bytes] = []  # a ring once `keep` is reached
        self.last = 0
        """Sequence of the newest message; 0 when there is none."""

    @property
    def first(self) -> int:
        """Sequence of the oldest message that is kept; `last` + 1 when there is none."""
        return self.last - len(self._messages) + 1

    def append(self, message: bytes) -> None:
        """Keep the next message."""
        if self._keep is not None and len(self._messages) == self._keep:
            self._messages[self.last % self._keep] = message
        else:
            self._messages.append(message)
        self.last += 1

    def extend(self, messages: Sequence[bytes]) -> None:
        """Keep the next messages."""
        if self._keep is None or len(self._messages) + len(messages) <= self._keep:
            self._messages += messages
            self.last += len(messages)
        else:
            for message in messages:
                self.append(message)

    def message(self, sequence: int) -> bytes | None:
        """The message of a number; None if it is not there yet or not kept any more."""
        if not self.first <= sequence <= self.last:
            return None
        at = sequence - 1
        return self._messages[at if self._keep is None else at % self._keep]

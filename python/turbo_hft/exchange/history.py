"""What was published, session by session: messages to send again, and the market they tell."""

from __future__ import annotations

import re
from collections.abc import Sequence

from turbo_hft.exchange.message_store import MessageStore
from turbo_hft.exchange.published_market import PublishedMarket

_NAME_BYTES = 10


def following_name(name: str) -> str:
    """The name of the session after `name`: its last digits counted on; the same length if there is no more room."""
    match = re.search(r"\d+$", name)
    if match is None:
        return name[: _NAME_BYTES - 1] + "2"
    stem, number = name[: match.start()], str(int(match.group()) + 1).zfill(len(match.group()))
    return stem + number if len(stem) + len(number) <= _NAME_BYTES else stem + number[1:]


class PublishedSession:
    """One MoldUDP64 session."""

    def __init__(self, name: str, keep: int | None = None) -> None:
        self.name = name
        self.store = MessageStore(keep)
        self.market = PublishedMarket()
        self.messages = 0


class History:
    """All sessions of an exchange, the newest last. `stores` and `mirrors` say what is kept of their messages."""

    def __init__(self, name: str, *, keep: int | None = None, stores: bool = True, mirrors: bool = True) -> None:
        self._keep = keep
        self._stores = stores
        self._mirrors = mirrors
        self.sessions: list[PublishedSession] = []
        self.begin(name)

    @property
    def current(self) -> PublishedSession:
        """The session that is being published."""
        return self.sessions[-1]

    def begin(self, name: str) -> None:
        """A new session; what is added from now on belongs to it."""
        self.sessions.append(PublishedSession(name, self._keep))

    def add(self, messages: Sequence[bytes]) -> None:
        """The next messages of the current session."""
        session = self.current
        session.messages += len(messages)
        if self._stores:
            session.store.extend(messages)
        if self._mirrors:
            for message in messages:
                session.market.apply(message)

    def store_of(self, name: str) -> MessageStore | None:
        """The messages of a session; None if there was no such session."""
        return next((session.store for session in reversed(self.sessions) if session.name == name), None)

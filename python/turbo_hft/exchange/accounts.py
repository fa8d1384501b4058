"""The accounts of one OUCH version: who may log in, and what was said to each today, whatever way it comes.

An account is on one connection at a time. Who logs in takes its seat, and whoever had it is told to leave, be it on
another address or over another protocol. Names, passwords and session names compare without regard to case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from turbo_hft.exchange.client import Client, Dialect


class Credentials:
    """Names and passwords."""

    def __init__(self, accounts: Mapping[str, str]) -> None:
        self._passwords = {name.upper(): password.upper() for name, password in accounts.items()}

    def authorised(self, username: str, password: str) -> bool:
        """Is this the password of that user?"""
        return self._passwords.get(username.strip().upper()) == password.strip().upper()

    @staticmethod
    def available(asked: str, current: str) -> bool:
        """Does a request for session `asked` mean the current one? A blank one does."""
        return not asked.strip() or asked.strip().upper() == current.strip().upper()


class Accounts:
    """`clients` are those that have logged in today, by name in upper case."""

    def __init__(self, dialect: Dialect, accounts: Mapping[str, str], session: str) -> None:
        self.dialect = dialect
        self.session = session
        self.clients: dict[str, Client] = {}
        self._credentials = Credentials(accounts)

    def refusal(self, username: str, password: str, session: str) -> str:
        """Why a login is rejected: A not authorised, S no such session; empty if it is not."""
        if not self._credentials.authorised(username, password):
            return "A"
        return "" if self._credentials.available(session, self.session) else "S"

    def client(self, username: str) -> Client:
        """The day of an account, which may have just begun."""
        name = username.strip().upper()
        if name not in self.clients:
            self.clients[name] = Client(name, self.dialect)
        return self.clients[name]

    def greet(self, client: Client, now_ns: int) -> None:
        """Somebody is logged in: the first time this day, that starts it."""
        if not client.replies:
            client.say(self.dialect.system_event("S", now_ns))

    def announce(self, code: str, now_ns: int) -> None:
        """Say an OUCH system event to every client of the day."""
        for client in self.clients.values():
            client.say(self.dialect.system_event(code, now_ns))

    def replies_by_type(self) -> dict[str, int]:
        """How many replies of each OUCH type were made today."""
        types = Counter(chr(reply[0]) for client in self.clients.values() for reply in client.replies)
        return dict(sorted(types.items()))

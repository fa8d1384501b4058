"""One order-entry port of datagrams: UFO 1.0 sessions of all accounts, for one OUCH version.

No sockets here: datagrams in, datagrams out. A client logs in from an address; that address then is the account
until it logs off or the account logs in from elsewhere (`accounts`). Replies are numbered from 1 for the whole day,
kept, and sent again on request; the first is the OUCH start-of-day event. What does not decode or comes from an address
that is not logged in is counted, logged and otherwise ignored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from turbo_hft.errors import MalformedMessage
from turbo_hft.exchange.accounts import Accounts
from turbo_hft.exchange.client import Address, Client
from turbo_hft.wire import ufo

HEARTBEAT_NS = 1_000_000_000
MAX_PAYLOAD = 1400
MAX_MESSAGES = 256  # sequenced messages in one datagram: what the hook takes (HFT_MAX_REPLIES)
_HEADER = 7

Datagram = tuple[Address, bytes]
Log = Callable[..., None]


class UfoPort:
    """Server side of UFO."""

    def __init__(self, accounts: Accounts, log: Log) -> None:
        self.accounts = accounts
        self.dialect = accounts.dialect
        self.count: Counter[str] = Counter()
        self._by_address: dict[Address, Client] = {}
        self._outbox: list[Datagram] = []
        self._log = log

    @property
    def logged_in(self) -> bool:
        """Is anybody logged in?"""
        return bool(self._by_address)

    def receive(self, address: Address, datagram: bytes, now_ns: int, monotonic_ns: int) -> None:
        """Handle one datagram; answers wait in the outbox. Never raises for anything a client can send."""
        self.count["datagrams"] += 1
        try:
            messages = ufo.decode_upstream(datagram)
        except MalformedMessage as error:
            self._malformed(address, datagram, error)
            return
        for message in messages:
            self._one(address, message, now_ns, monotonic_ns)
        self._send_new(monotonic_ns)

    def drain(self, monotonic_ns: int) -> list[Datagram]:
        """Datagrams to send now, those for replies that came up elsewhere included."""
        self._send_new(monotonic_ns)
        outbox, self._outbox = self._outbox, []
        return outbox

    def heartbeat(self, monotonic_ns: int) -> None:
        """Queue a heartbeat to each client that has heard nothing for a second."""
        for client in self._by_address.values():
            if monotonic_ns - client.last_sent_ns >= HEARTBEAT_NS:
                self._send(client, ufo.Sequenced(client.next_sequence, ()).encode(), monotonic_ns)
                self.count["heartbeats"] += 1

    def drop(self) -> None:
        """Forget who is logged in, without a word: until they log in again nobody is heard or answered."""
        for client in list(self._by_address.values()):
            self._forget(client)
            self.count["dropped"] += 1
            self._log("dropped", port=self.dialect.name, account=client.account)

    def end(self, monotonic_ns: int) -> None:
        """Queue end of session to everybody who is logged in."""
        self._send_new(monotonic_ns)
        for client in self._by_address.values():
            self._send(client, ufo.EndOfSession(client.next_sequence).encode(), monotonic_ns)

    def _one(self, address: Address, message: ufo.Upstream, now_ns: int, monotonic_ns: int) -> None:
        if isinstance(message, ufo.LoginRequest):
            self._login(address, message, now_ns, monotonic_ns)
            return
        client = self._by_address.get(address)
        if client is None:
            self.count["not_logged_in"] += 1
            self._log("ignored", port=self.dialect.name, address=list(address), reason="not logged in")
            return
        match message:
            case ufo.Unsequenced(payload):
                self._ouch(client, payload, now_ns)
            case ufo.RetransmissionRequest(sequence, count):
                self._resend(client, sequence, count, monotonic_ns)
            case ufo.Logoff():
                self._forget(client)
                self._log("logoff", port=self.dialect.name, account=client.account)
            case _:
                self.count["client_heartbeats"] += 1

    def _login(self, address: Address, request: ufo.LoginRequest, now_ns: int, monotonic_ns: int) -> None:
        reason = self.accounts.refusal(request.username, request.password, request.session)
        if reason:
            self.count["logins_rejected"] += 1
            self._outbox.append((address, ufo.LoginRejected(reason).encode()))
            name = request.username.strip().upper()
            self._log("login", port=self.dialect.name, account=name, outcome="rejected", reason=reason)
            return
        self.count["logins"] += 1
        client = self.accounts.client(request.username)
        client.sit(lambda _: self._forget(client), monotonic_ns)
        previous = self._by_address.get(address)
        if previous is not None:
            self._forget(previous)
        client.address = address
        client.sent = len(client.replies)  # older ones are sent when asked for
        self._by_address[address] = client
        accepted = ufo.LoginAccepted(self.accounts.session, client.next_sequence)
        self._send(client, accepted.encode(), monotonic_ns)
        self.accounts.greet(client, now_ns)
        self._log("login", port=self.dialect.name, account=client.account, outcome="accepted", address=list(address))

    def _ouch(self, client: Client, payload: bytes, now_ns: int) -> None:
        try:
            entry = self.dialect.handle(client, payload, now_ns)
        except MalformedMessage as error:
            assert client.address is not None  # it has just sent this
            self._malformed(client.address, payload, error)
            return
        self.count["messages"] += 1
        kind = str(entry.pop("kind"))
        self._log(kind, port=self.dialect.name, account=client.account, **entry)

    def _resend(self, client: Client, sequence: int, count: int, monotonic_ns: int) -> None:
        self.count["retransmission_requests"] += 1
        last = min(sequence + count - 1, client.sent)
        if not 1 <= sequence <= last:
            # Nothing there (yet): a heartbeat tells the client where the stream stands.
            self._send(client, ufo.Sequenced(client.sent + 1, ()).encode(), monotonic_ns)
            return
        for datagram in _packed(client.replies, sequence, last):
            self._send(client, datagram, monotonic_ns)
        self._log("retransmission", port=self.dialect.name, account=client.account, first=sequence, last=last)

    def _send_new(self, monotonic_ns: int) -> None:
        for client in self._by_address.values():
            if client.sent < len(client.replies):
                for datagram in _packed(client.replies, client.sent + 1, len(client.replies)):
                    self._send(client, datagram, monotonic_ns)
                client.sent = len(client.replies)

    def _send(self, client: Client, datagram: bytes, monotonic_ns: int) -> None:
        assert client.address is not None  # only clients that are logged in are sent to
        self._outbox.append((client.address, datagram))
        client.last_sent_ns = monotonic_ns

    def _forget(self, client: Client) -> None:
        if client.address is not None:
            self._by_address.pop(client.address, None)
            client.address = client.leave = None

    def _malformed(self, address: Address, data: bytes, error: MalformedMessage) -> None:
        self.count["malformed"] += 1
        self._log("malformed", port=self.dialect.name, address=list(address), reason=str(error), hex=data[:64].hex())


def _packed(replies: list[bytes], first: int, last: int) -> Iterator[bytes]:
    """Replies number `first` to `last` in as few datagrams as they fit."""
    batch: list[bytes] = []
    start, size = first, _HEADER
    for sequence in range(first, last + 1):
        message = replies[sequence - 1]
        if batch and (size + 2 + len(message) > MAX_PAYLOAD or len(batch) == MAX_MESSAGES):
            yield ufo.Sequenced(start, tuple(batch)).encode()
            batch, start, size = [], sequence, _HEADER
        batch.append(message)
        size += 2 + len(message)
    yield ufo.Sequenced(start, tuple(batch)).encode()

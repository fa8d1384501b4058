"""One order-entry port of streams: SoupBinTCP sessions of all accounts, for one OUCH version.

No sockets here, as in UFO's port (`order_entry`), with which it shares the accounts, and so the desk and the numbered
replies of the day: a client may leave the one and go on over the other. What does not decode as OUCH is counted,
logged and otherwise ignored; what does not decode as SoupBinTCP ends the connection, since nothing behind it can be
trusted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from turbo_hft.errors import MalformedMessage
from turbo_hft.exchange.accounts import Accounts
from turbo_hft.exchange.client import Address, Client
from turbo_hft.exchange.desk import Desk
from turbo_hft.exchange.soup_conversation import OrderConversation, SoupRules
from turbo_hft.wire.soupbintcp import LoginRequest

MAX_CLIENTS = 64
TRANSPORT = "soupbintcp"
# Why conversations end stands at the end: each one has one of these.
_COUNTERS = (
    "connections", "refused", "logins", "messages", "malformed_messages", "replies", "replayed", "heartbeats",
    "canceled_on_disconnect",
    "logins_rejected", "login_timeouts", "malformed", "silent", "slow", "logouts", "left", "superseded", "cut",
    "dropped", "ended",
)  # fmt: skip

Log = Callable[..., None]


class SoupPort:
    """Server side of SoupBinTCP. `wall` says what time of the day a monotonic time is."""

    def __init__(self, accounts: Accounts, desk: Desk, rules: SoupRules, log: Log, wall: Callable[[int], int]) -> None:
        self.accounts = accounts
        self.rules = rules
        self.count: Counter[str] = Counter()
        self._dialect = accounts.dialect
        self._desk = desk
        self._conversations: list[OrderConversation] = []
        self._log = log
        self._wall = wall

    @property
    def logged_in(self) -> bool:
        """Is anybody logged in?"""
        return any(each.client is not None for each in self._conversations)

    def connect(self, peer: Address, now_ns: int) -> OrderConversation:
        """Somebody has connected."""
        conversation = OrderConversation(self, self.rules, peer, now_ns)
        self._conversations.append(conversation)
        return conversation

    def drop(self, now_ns: int) -> None:
        """Cut every connection, without a word and with a RST."""
        for conversation in tuple(self._conversations):
            conversation.drop("dropped", now_ns, resets=True)

    def end(self) -> None:
        """The day is over: everybody gets the rest of the replies and the end of the session."""
        for conversation in self._conversations:
            conversation.close()

    def counters(self) -> dict[str, int]:
        """JSON-ready."""
        return {name: self.count[name] for name in _COUNTERS}

    def login(self, conversation: OrderConversation, request: LoginRequest, now_ns: int) -> tuple[Client, str] | str:
        """The account and its session's name, or the reason of a rejection."""
        self._wall(now_ns)  # what is logged has arrived now
        reason = self.accounts.refusal(request.username, request.password, request.session)
        if reason:
            self._say("login", account=request.username.upper(), outcome="rejected", reason=reason)
            return reason
        self.count["logins"] += 1
        client = self.accounts.client(request.username)
        client.sit(lambda when_ns: conversation.drop("superseded", when_ns), now_ns)
        address = list(conversation.peer)
        self._say("login", account=client.account, outcome="accepted", address=address, sequence=request.sequence)
        return client, self.accounts.session

    def opened(self, client: Client, now_ns: int) -> None:
        """The client has been told where its replies go on."""
        self.accounts.greet(client, self._wall(now_ns))

    def carry_out(self, conversation: OrderConversation, message: bytes, now_ns: int) -> None:
        """The client sent an OUCH message."""
        client = conversation.client
        assert client is not None  # only who is logged in gets here
        try:
            entry = self._dialect.handle(client, message, self._wall(now_ns))
        except MalformedMessage as error:
            self.count["malformed_messages"] += 1
            self._say("malformed", account=client.account, reason=str(error), hex=message[:64].hex())
            return
        self.count["messages"] += 1
        self._say(str(entry.pop("kind")), account=client.account, **entry)

    def sent(self, what: str, count: int) -> None:
        """Count what was made into packets."""
        self.count[what] += count

    def ended(self, conversation: OrderConversation, why: str, now_ns: int) -> None:
        """A conversation is over: the account's seat is free, and its orders are canceled if that is the rule."""
        self._conversations.remove(conversation)
        self.count[why] += 1
        client = conversation.client
        if client is None:
            return
        client.leave = None
        time_ns = self._wall(now_ns)
        canceled = self._desk.cancel_all(client, time_ns) if self.rules.cancel_on_disconnect else 0
        self.count["canceled_on_disconnect"] += canceled
        self._say("disconnected", account=client.account, reason=why, canceled=canceled)

    def _say(self, kind: str, **fields: object) -> None:
        self._log(kind, port=self._dialect.name, transport=TRANSPORT, **fields)

"""What the exchange remembers about a client (an account on one order-entry port) and about its orders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from turbo_hft.exchange.venue import Fill

Address = tuple[str, int]
Key = int | str


class Dialect(Protocol):
    """An OUCH version: reads a client's messages, words the answers. Times in ns since midnight."""

    name: str
    has_reference_price: bool
    """Can an execution name the price that it was measured against?"""

    def handle(self, client: Client, message: bytes, now_ns: int) -> dict[str, object]:
        """Carry out one inbound message; what was done, as fields for the log."""

    def accepted(self, order: ClientOrder, now_ns: int) -> bytes:
        """The order is in the market, or dead."""

    def replaced(self, order: ClientOrder, previous: Key, now_ns: int) -> bytes:
        """The order took over from the one under key `previous`."""

    def executed(self, order: ClientOrder, fill: Fill, now_ns: int, reference_e4: int | None = None) -> bytes:
        """The order traded; `reference_e4` only where there is such a price."""

    def broken(self, trade: Trade, reason: str, now_ns: int) -> bytes:
        """An execution was undone."""

    def canceled(self, order: ClientOrder, qty: int, reason: str, now_ns: int) -> bytes:
        """`qty` shares of the order left the market untraded."""

    def self_match(self, order: ClientOrder, qty: int, price_e4: int, liquidity: str, now_ns: int) -> bytes:
        """`qty` shares left the order instead of trading with another one of the same account."""

    def cancel_pending(self, order: ClientOrder, now_ns: int) -> bytes:
        """The cancel will be carried out later."""

    def cancel_reject(self, order: ClientOrder, now_ns: int) -> bytes:
        """The cancel is not carried out."""

    def priority_update(self, order: ClientOrder, now_ns: int) -> bytes:
        """The order has another price or reference."""

    def modified(self, order: ClientOrder, now_ns: int) -> bytes:
        """The order has fewer shares, or another kind of sale."""

    def restated(self, order: ClientOrder, reason: str, now_ns: int) -> bytes | None:
        """The order shows itself differently (R refreshed, P at another price); None where nobody says so."""

    def system_event(self, code: str, now_ns: int) -> bytes:
        """S start of day, E end of day."""


@dataclass(slots=True, eq=False)
class Client:
    """An account of an OUCH version: its sequenced replies of the day (first = sequence 1), keys used, live orders.

    `address`, `sent` and `last_sent_ns` are those of UFO; a SoupBinTCP connection keeps its own place.
    """

    account: str
    dialect: Dialect
    address: Address | None = None
    replies: list[bytes] = field(default_factory=list)
    sent: int = 0
    last_sent_ns: int = 0
    orders: dict[Key, ClientOrder] = field(default_factory=dict)
    used_tokens: set[str] = field(default_factory=set)
    last_user_ref: int = 0
    disabled_firms: set[str] = field(default_factory=set)
    leave: Callable[[int], None] | None = None
    """What whoever is logged in as this account does, at a monotonic time, when another one takes its seat."""

    @property
    def next_sequence(self) -> int:
        """Sequence number of the next reply to be made."""
        return len(self.replies) + 1

    def say(self, message: bytes) -> None:
        """Append a reply to the sequenced stream; the port sends it."""
        self.replies.append(message)

    def sit(self, leave: Callable[[int], None], monotonic_ns: int) -> None:
        """Somebody is logged in as this account from now on, and nobody else."""
        if self.leave is not None:
            self.leave(monotonic_ns)
        self.leave = leave


@dataclass(slots=True, eq=False)
class ClientOrder:
    """A live order of a client. `total` is all shares the client is liable for, executed ones included.

    `form` is the inbound message that the dialect echoes in its answers; `side` as on the wire (B, S, T, E). `dead`:
    accepted or replaced, and canceled with the same answer. `firm` is what the order named, blank if nothing.
    """

    client: Client
    key: Key
    symbol: str
    side: str
    total: int
    price_e4: int
    ioc: bool
    form: object
    mpid: str = ""
    expires_ns: int | None = None
    order_ref: int = 0
    executed: int = 0
    open_qty: int = 0
    firm: str = ""
    dead: bool = False
    cancel_pending: bool = False

    @property
    def book_side(self) -> str:
        """B or S: short sales are sales to a book."""
        return "B" if self.side == "B" else "S"


@dataclass(frozen=True, slots=True)
class Trade:
    """An execution as its client was told it: the order's key and message of then, which a replacement changes."""

    order: ClientOrder
    key: Key
    form: object
    side: str
    fill: Fill

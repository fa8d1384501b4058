"""The market as the feed has told it: a mirror made from published messages, and a snapshot of it in messages.

Who applies a snapshot to nothing, and the feed from the number it ends with, has what one has who saw every message.
Orders are kept as the Add Order messages that would make them now, so a snapshot is a copy of references and is
taken at once, however large the market is.
"""

from __future__ import annotations

from turbo_hft.wire import glimpse, itch50

_SYSTEM_EVENT = ord("S")
# What is told of a symbol before its orders, in this order.
_STATES = b"RHYh"
_ADDS = b"AF"
_REDUCTIONS = b"ECX"
_DELETE = ord("D")
_REPLACE = ord("U")
_LENGTHS = {ord(kind): length for kind, length in itch50.LENGTHS.items()}
_MARKET_CODE = 19  # of an operational halt: each market has its own


class _Symbol:
    """One stock locate: its newest state messages and its live orders, oldest first."""

    __slots__ = ("orders", "states")

    def __init__(self) -> None:
        self.states: dict[bytes, bytes] = {}
        self.orders: dict[bytes, bytes] = {}


class PublishedMarket:
    """Follows one session. Messages that do not fit what was told before are counted and not applied."""

    def __init__(self) -> None:
        self.last_sequence = 0
        self.misfits = 0
        self._events: dict[int, bytes] = {}
        self._symbols: dict[bytes, _Symbol] = {}
        self._home: dict[bytes, _Symbol] = {}  # live order reference -> its symbol

    @property
    def orders(self) -> int:
        """How many orders live."""
        return len(self._home)

    def apply(self, message: bytes) -> None:
        """Follow the next message of the session. Never raises: a replayed file may hold anything."""
        self.last_sequence += 1
        kind = message[0] if message else 0
        if _LENGTHS.get(kind) != len(message):
            self.misfits += 1
        elif kind in _ADDS:
            self._add(message[11:19], message)
        elif kind in _REDUCTIONS:
            self._reduce(message[11:19], int.from_bytes(message[19:23], "big"))
        elif kind == _DELETE:
            self._remove(message[11:19])
        elif kind == _REPLACE:
            self._replace(message)
        elif kind in _STATES:
            # The halts of a symbol differ by market, its other states only by type.
            key = message[:1] + message[_MARKET_CODE : _MARKET_CODE + 1] if kind == ord("h") else message[:1]
            self._symbol(message[1:3]).states[key] = message
        elif kind == _SYSTEM_EVENT:
            self._events.pop(message[11], None)
            self._events[message[11]] = message

    def snapshot(self) -> list[bytes]:
        """System events; then, symbol by symbol, states and orders; then the end of the snapshot.

        Each system event that was published appears once, the newest last. Orders come in the order in which they
        must be added, with the shares they have left.
        """
        messages = list(self._events.values())
        for symbol in self._symbols.values():
            messages += sorted(symbol.states.values(), key=lambda message: _STATES.index(message[0]))
            messages += symbol.orders.values()
        messages.append(glimpse.EndOfSnapshot(self.last_sequence + 1).encode())
        return messages

    def _symbol(self, locate: bytes) -> _Symbol:
        symbol = self._symbols.get(locate)
        if symbol is None:
            symbol = self._symbols[locate] = _Symbol()
        return symbol

    def _add(self, reference: bytes, message: bytes) -> None:
        if reference in self._home or message[20:24] == bytes(4):
            self.misfits += 1
            return
        symbol = self._home[reference] = self._symbol(message[1:3])
        symbol.orders[reference] = message

    def _reduce(self, reference: bytes, shares: int) -> None:
        symbol = self._home.get(reference)
        if symbol is None:
            self.misfits += 1
            return
        order = symbol.orders[reference]
        left = int.from_bytes(order[20:24], "big") - shares
        if left > 0:
            symbol.orders[reference] = order[:20] + left.to_bytes(4, "big") + order[24:]
            return
        if left < 0:
            self.misfits += 1
        self._remove(reference)

    def _remove(self, reference: bytes) -> bytes | None:
        symbol = self._home.pop(reference, None)
        if symbol is None:
            self.misfits += 1
            return None
        return symbol.orders.pop(reference)

    def _replace(self, message: bytes) -> None:
        old = self._remove(message[11:19])
        if old is not None:
            # Head and time of the replacement; side, symbol and MPID of the order it takes over from.
            order = old[:3] + message[3:11] + message[19:27] + old[19:20] + message[27:31] + old[24:32] + message[31:35]
            self._add(message[19:27], order + old[36:])

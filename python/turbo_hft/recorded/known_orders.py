"""The orders of one symbol that a recording has shown: messages about others cannot be applied to its book."""

from __future__ import annotations


class KnownOrders:
    """Reference -> shares left."""

    def __init__(self) -> None:
        self._shares: dict[bytes, int] = {}

    def follow(self, message: bytes) -> bool:
        """Take note of a message; False if it is about an order that was never added here.

        Only that is judged: whatever else may be wrong with it is for the program to find.
        """
        kind, reference = message[:1], message[11:19]
        shares = self._shares
        if kind in b"AF":
            shares[reference] = int.from_bytes(message[20:24], "big")
        elif kind in b"ECXDU":
            if reference not in shares:
                return False
            if kind in b"DU":
                del shares[reference]
                if kind == b"U":
                    shares[message[19:27]] = int.from_bytes(message[27:31], "big")
            else:
                shares[reference] -= int.from_bytes(message[19:23], "big")
                if shares[reference] <= 0:
                    del shares[reference]
        return True

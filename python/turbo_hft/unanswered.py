"""What became of orders that were sent and never answered.

An order that got lost on its way holds its part of every limit for ever; one that is declared lost, and is not, is a
position nobody reckons with. So it is declared lost only when that is certain: the stream of replies is whole, and

- OUCH 5.0: the exchange says (Account Query) that its next UserRefNum is above the order's, and every reply up to that
  answer was applied. It has seen a later number and takes this one never more; had it taken it before, its reply would
  have been among them.
- or, only while the engine is halted, so that none is added: it has had no answer for `lost_after_s` since the stream
  was whole. No network keeps a datagram so long. OUCH 4.2 has nothing better.

Neither, while bytes of ours may still be on their way because TCP sends them again (`delivered`): those keep.

What is left is `uncertain`.

A cancel without an answer is sent again: it says the same a second time. Without that its order could not be cancelled
any more, because the gate takes no second one.
"""

from __future__ import annotations

from collections.abc import Callable

from turbo_hft.engine import Engine
from turbo_hft.errors import TurboHftError
from turbo_hft.snapshots import WorkingOrder

_QUERY_S = 0.5
CANCEL_AGAIN_S = 1.0


class Unanswered:
    """Call `step` often; ask the exchange when `query_due` says so, and hand its answer to `answered`.

    `delivered`: can nothing that was sent arrive any more that has not arrived?
    """

    def __init__(
        self,
        engine: Engine,
        *,
        can_query: bool,
        lost_after_s: float,
        delivered: Callable[[], bool] = lambda: True,
    ) -> None:
        self._delivered = delivered
        self._engine = engine
        self._can_query = can_query
        self._lost_after_s = lost_after_s
        self._whole_since: float | None = None
        self._asked = float("-inf")
        self._next_user_ref = self._answer_seq = 0
        self.lost: list[int] = []  # UserRefNums of the orders that were declared lost
        self.uncertain: tuple[WorkingOrder, ...] = ()

    def query_due(self, now_s: float) -> bool:
        """Would the answer to an Account Query tell more?"""
        if not self._can_query or not self.uncertain or now_s - self._asked < _QUERY_S:
            return False
        self._asked = now_s
        return True

    def answered(self, next_user_ref: int, sequence: int) -> None:
        """The exchange's next UserRefNum, as its reply number `sequence` said."""
        if sequence > self._answer_seq:  # not one that is only sent again
            self._next_user_ref, self._answer_seq = next_user_ref, sequence

    def step(self, now_s: float) -> None:
        """Declare lost what is; `now_s` is time.monotonic()."""
        session = self._engine.session
        if session.health != "up" or session.expected_seq < session.highest_seq or not self._delivered():
            self._whole_since = None
            self.uncertain = _open_orders(self._engine, "sent")
            return
        if self._whole_since is None:
            self._whole_since = now_s
        bound = self._next_user_ref if session.expected_seq > self._answer_seq else 0
        left = []
        for order in _open_orders(self._engine, "sent"):
            waited_s = now_s - max(self._whole_since, order.sent_ns / 1e9)
            if order.user_ref >= bound and not (self._engine.halted and waited_s >= self._lost_after_s):
                left.append(order)
                continue
            try:
                self._engine.orders.declare_lost(order.user_ref)
            except TurboHftError:  # it was answered meanwhile, or a reply is missing again: the next step sees
                left.append(order)
            else:
                self.lost.append(order.user_ref)
        self.uncertain = tuple(left)


class UnansweredCancels:
    """Cancels whose orders are still live although no reply is missing. Like all cancels they may leave in doubt."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._since: dict[int, float] = {}  # UserRefNum -> when its cancel was first seen, or sent again

    def due(self, now_s: float) -> list[int]:
        """UserRefNums of the orders whose cancel is to be sent again now; `now_s` is time.monotonic()."""
        session = self._engine.session
        if session.health not in ("up", "suspect") or session.expected_seq < session.highest_seq:
            return []
        live = _open_orders(self._engine, "live")
        waiting = [order.user_ref for order in live if "cancel" in order.pending and "later" not in order.pending]
        self._since = {ref: self._since.get(ref, now_s) for ref in waiting}
        again = [ref for ref, since in self._since.items() if now_s - since >= CANCEL_AGAIN_S]
        self._since.update(dict.fromkeys(again, now_s))
        return again


def _open_orders(engine: Engine, state: str) -> tuple[WorkingOrder, ...]:
    if not engine.account.open_orders:
        return ()
    return tuple(order for order in engine.orders.open() if order.state == state)

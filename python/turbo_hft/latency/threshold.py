"""The decision that engine and bot both take on the rig, and the order that follows from it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from turbo_hft.wire.ouch50 import EnterOrder


@dataclass(frozen=True, slots=True)
class Threshold:
    """Buy when the best offer is at or below a target; more, the further below it is (docs/rules.md, section 5).

    Prices in 1/10000 dollar, quantities in shares.
    """

    symbol: str = "AAPL"
    buy_below_e4: int = 1_632_000
    base_qty: int = 100
    step_qty: int = 10
    tick_e4: int = 100
    cap_qty: int = 1_000
    max_position: int = 1_000_000

    def quantity(self, ask_e4: int, position: int = 0) -> int:
        """Shares to buy at this best offer (0 = no offer); 0 = leave it."""
        if not 0 < ask_e4 <= self.buy_below_e4:
            return 0
        ticks = (self.buy_below_e4 - ask_e4) // self.tick_e4
        return max(0, min(self.base_qty + self.step_qty * ticks, self.cap_qty, self.max_position - position))

    def order(self, user_ref_num: int, ask_e4: int) -> EnterOrder:
        """The order that this decision sends at this best offer."""
        return EnterOrder(
            user_ref_num=user_ref_num,
            side="B",
            quantity=self.quantity(ask_e4),
            symbol=self.symbol,
            price=ask_e4,
            tif="3",
            display="Y",
            capacity="P",
            iso="N",
            cross_type="N",
            cl_ord_id="TURBO-HFT",
        )

    def to_json(self) -> str:
        """For a command line; `from_json` reads it back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Threshold:
        """What `to_json` wrote. Raises TypeError for other fields."""
        return cls(**json.loads(text))

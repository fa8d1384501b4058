"""Replies of an exchange with many fields of which a test cares for few."""

from __future__ import annotations

from typing import Any

from turbo_hft.wire import ouch50


def accepted(user_ref: int, side: str, qty: int, price_e4: int, **values: Any) -> ouch50.Accepted:
    """OUCH 5.0 Accepted, live, of a day order for AAPL; `values` are what is to be otherwise."""
    usual: dict[str, Any] = {
        "timestamp": 0, "user_ref_num": user_ref, "side": side, "quantity": qty, "symbol": "AAPL", "price": price_e4,
        "tif": "0", "display": "Y", "order_ref": 7, "capacity": "P", "iso": "N", "cross_type": "N", "order_state": "L",
        "cl_ord_id": "",
    }  # fmt: skip
    return ouch50.Accepted(**(usual | values))

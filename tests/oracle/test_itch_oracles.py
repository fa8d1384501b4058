"""Two other ITCH 5.0 implementations read what we write, with equal fields, and write it back byte for byte.

meatpy 0.5.0 has a layout of its own for `O` (Direct Listing with Capital Raise): it expects 52 bytes where the
exchange sends 48, and other fields. It is held to 22 types, and to failing on the 23rd: when it stops failing, the
exception here has had its day. What it calls `halt_status` and `halt_reason` are market code and action.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import fields
from typing import Any, get_args

import pytest
from recordings import REAL_DAY
from turbo_hft.wire import binaryfile, itch50
from turbo_hft.wire.record import Alpha, codec_of

itch_messages = pytest.importorskip("itch.messages", reason="itchfeed is not installed: pip install itchfeed")
meatpy_messages = pytest.importorskip(
    "meatpy.itch50.itch50_market_message", reason="meatpy is not installed: pip install meatpy"
)

CLASSES: dict[str, type[itch50.Message]] = {cls.TYPE: cls for cls in get_args(itch50.Message)}
MEATPY_WRONG = "O"
SAMPLES = 50

# Our name -> theirs, by type, where they differ.
ITCHFEED: dict[str, dict[str, str]] = {
    "R": {
        "financial_status": "financial_status_indicator",
        "issue_subtype": "issue_sub_type",
        "short_sale_threshold": "short_sale_threshold_indicator",
        "luld_tier": "luld_ref",
        "etp_leverage": "etp_leverage_factor",
        "inverse": "inverse_indicator",
    },
    "L": {
        "primary_mm": "primary_market_maker",
        "mm_mode": "market_maker_mode",
        "participant_state": "market_participant_state",
    },
    "V": {"level1": "level1_price", "level2": "level2_price", "level3": "level3_price"},
    "K": {"release_time_s": "ipo_release_time", "release_qualifier": "ipo_release_qualifier"},
    "J": {
        "reference_price": "auction_collar_reference_price",
        "upper_price": "upper_auction_collar_price",
        "lower_price": "lower_auction_collar_price",
        "extension": "auction_collar_extention",
    },
    "h": {"halt_action": "operational_halt_action"},
    "A": {"order_ref": "order_reference_number", "side": "buy_sell_indicator"},
    "F": {"order_ref": "order_reference_number", "side": "buy_sell_indicator", "mpid": "attribution"},
    "E": {"order_ref": "order_reference_number"},
    "C": {"order_ref": "order_reference_number"},
    "X": {"order_ref": "order_reference_number"},
    "D": {"order_ref": "order_reference_number"},
    "U": {"orig_order_ref": "order_reference_number", "new_order_ref": "new_order_reference_number"},
    "P": {"order_ref": "order_reference_number", "side": "buy_sell_indicator"},
    "I": {"reference_price": "current_reference_price", "price_variation": "variation_indicator"},
    "O": {
        "open_eligibility": "open_eligibility_status",
        "min_price": "minimum_allowable_price",
        "max_price": "maximum_allowable_price",
        "near_exec_price": "near_execution_price",
        "near_exec_time": "near_execution_time",
        "lower_collar": "lower_price_range_collar",
        "upper_collar": "upper_price_range_collar",
    },
}
MEATPY: dict[str, dict[str, str]] = {
    "S": {"event_code": "code"},
    "R": {
        "market_category": "category",
        "financial_status": "status",
        "round_lot_size": "lotsize",
        "round_lots_only": "lotsonly",
        "issue_classification": "issue_class",
        "issue_subtype": "issue_sub",
        "short_sale_threshold": "shortsale_thresh",
        "luld_tier": "luld_ref",
        "inverse": "inverse_ind",
    },
    "H": {"trading_state": "state"},
    "Y": {"reg_sho_action": "action"},
    "L": {"primary_mm": "primary_market_maker", "mm_mode": "market_maker_mode", "participant_state": "state"},
    "K": {
        "release_time_s": "ipo_quotation_release_time",
        "release_qualifier": "ipo_quotation_release_qualifier",
    },
    "J": {
        "reference_price": "auction_collar_ref_price",
        "upper_price": "upper_auction_collar_price",
        "lower_price": "lower_auction_collar_price",
        "extension": "auction_collar_extension",
    },
    "h": {"market_code": "halt_status", "halt_action": "halt_reason"},
    "A": {"side": "bsindicator"},
    "F": {"side": "bsindicator", "mpid": "attribution"},
    "E": {"executed_shares": "shares", "match_number": "match"},
    "C": {"executed_shares": "shares", "match_number": "match"},
    "X": {"cancelled_shares": "canceled_shares"},
    "U": {"orig_order_ref": "original_ref", "new_order_ref": "new_ref"},
    "P": {"side": "bsindicator", "match_number": "match"},
    "Q": {"match_number": "match"},
    "B": {"match_number": "match"},
    "I": {"reference_price": "current_ref_price", "price_variation": "price_variation_indicator"},
    "N": {"interest_flag": "interest"},
}


def samples(code: str) -> list[itch50.Message]:
    """Messages with all bits of every number used, and text of every length."""
    rng = random.Random(f"itch {code}")
    cls: Any = CLASSES[code]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+="
    messages: list[itch50.Message] = []
    for _ in range(SAMPLES):
        values: dict[str, int | str] = {}
        for name, kind in codec_of(cls).fields:
            if isinstance(kind, Alpha):
                values[name] = "".join(rng.choices(alphabet, k=rng.randint(0, kind.size)))
            else:
                values[name] = rng.choice((0, 256**kind.size - 1, rng.randrange(256**kind.size)))
        messages.append(cls(**values))
    return messages


def assert_equal_fields(ours: itch50.Message, theirs: Any, names: dict[str, str]) -> None:
    for field in fields(ours):
        value = getattr(ours, field.name)
        other = getattr(theirs, names.get(field.name, field.name))
        if isinstance(value, str):
            assert isinstance(other, bytes)
            other = other.decode("ascii").rstrip(" ")
        assert other == value, f"{type(ours).__name__}.{field.name}"


@pytest.mark.parametrize("code", CLASSES)
def test_itchfeed(code: str) -> None:
    for ours in samples(code):
        raw = ours.encode()
        theirs = itch_messages.messages[code.encode()](raw)
        assert_equal_fields(ours, theirs, ITCHFEED.get(code, {}))
        assert theirs.to_bytes() == raw
        assert itch50.decode(theirs.to_bytes()) == ours


@pytest.mark.parametrize("code", [code for code in CLASSES if code != MEATPY_WRONG])
def test_meatpy(code: str) -> None:
    for ours in samples(code):
        raw = ours.encode()
        theirs = meatpy_messages.ITCH50MarketMessage.from_bytes(raw)
        assert_equal_fields(ours, theirs, MEATPY.get(code, {}))
        assert theirs.to_bytes() == raw


def test_meatpy_still_has_another_layout_for_direct_listings() -> None:
    raw = samples(MEATPY_WRONG)[0].encode()
    with pytest.raises(Exception, match=r"requires a buffer of \d+ bytes"):
        meatpy_messages.ITCH50MarketMessage.from_bytes(raw)


@pytest.mark.skipif(not REAL_DAY.exists(), reason="market data is not part of this repository")
def test_a_real_opening() -> None:
    counted: Counter[str] = Counter()
    for raw in binaryfile.read(REAL_DAY):
        ours = itch50.decode(raw)
        counted[ours.TYPE] += 1
        assert ours.encode() == raw
        assert_equal_fields(ours, itch_messages.messages[raw[:1]](raw), ITCHFEED.get(ours.TYPE, {}))
        assert_equal_fields(ours, meatpy_messages.ITCH50MarketMessage.from_bytes(raw), MEATPY.get(ours.TYPE, {}))
    assert counted == {"A": 7511, "D": 1237, "E": 729, "U": 437, "F": 109, "C": 17, "X": 6, "S": 3, "R": 1, "H": 1}

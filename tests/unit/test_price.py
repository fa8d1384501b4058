"""Prices from text and to text: exact, or refused with a remedy."""

from __future__ import annotations

from decimal import Decimal

import pytest
from turbo_hft.errors import MalformedMessage
from turbo_hft.wire.price import MAX_PRICE_E4, format_money_e4, format_price_e4, parse_price_e4


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("163.20", 1_632_000),
        ("163.2", 1_632_000),
        (" 163 ", 1_630_000),
        ("163.", 1_630_000),
        (".5", 5_000),
        ("0", 0),
        ("0.0001", 1),
        ("0.00010000", 1),
        ("199999.99", 0x7735939C),
        ("922337203685477.5807", MAX_PRICE_E4),
        (163, 1_630_000),
        (0, 0),
        (Decimal("163.2001"), 1_632_001),
        (Decimal("1E+2"), 1_000_000),
        (Decimal("0E-1000000"), 0),
        (Decimal("0E+1000000"), 0),
        (163.2, 1_632_000),
        (0.1, 1_000),
        (1e-4, 1),
    ],
)
def test_parse(value: str | int | float | Decimal, expected: int) -> None:
    assert parse_price_e4(value) == expected


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("", "plain digits"),
        (".", "plain digits"),
        ("abc", "plain digits"),
        ("1,000.00", "plain digits"),
        ("1e3", "plain digits"),
        ("-1", "plain digits"),
        ("1_000", "plain digits"),
        ("\u0661", "plain digits"),
        ("nan", "plain digits"),
        ("163.20001", "at most 4 decimals"),
        (0.1 + 0.2, "at most 4 decimals"),
        (1e-05, "at most 4 decimals"),
        (Decimal("1E-999999999999"), "at most 4 decimals"),
        (-1, "negative"),
        (-(10**5000), "negative"),
        (-0.5, "0 or more"),
        (float("nan"), "0 or more"),
        (float("inf"), "0 or more"),
        (Decimal("sNaN"), "0 or more"),
        (Decimal("-0.01"), "0 or more"),
        (True, "give dollars"),
        ("922337203685477.5808", "too large"),
        (1e300, "too large"),
        (10**5000, "too large"),
        (Decimal("1E+999999999999"), "too large"),
    ],
    ids=lambda value: repr(value)[:30] if not isinstance(value, int) else f"int of {value.bit_length()} bits",
)
def test_refused(value: str | int | float | Decimal, named: str) -> None:
    with pytest.raises(MalformedMessage, match=named):
        parse_price_e4(value)


@pytest.mark.parametrize(
    ("price_e4", "price", "money"),
    [
        (1_632_000, "163.20", "163.20"),
        (1_632_001, "163.2001", "163.2001"),
        (1_632_010, "163.2010", "163.2010"),
        (0, "0.00", "0.00"),
        (1, "0.0001", "0.0001"),
        (100, "0.01", "0.01"),
        (-5_000, "-0.50", "-0.50"),
        (-12_345_678_900, "-1234567.89", "-1,234,567.89"),
        (10_000_000, "1000.00", "1,000.00"),
        (12_345_678_999, "1234567.8999", "1,234,567.8999"),
    ],
)
def test_format(price_e4: int, price: str, money: str) -> None:
    assert format_price_e4(price_e4) == price
    assert format_money_e4(price_e4) == money

"""How many rounds make the engine so many times as slow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from turbo_hft.latency.slow import SlowError, calibrate


@given(st.floats(200, 30_000), st.floats(0, 100), st.floats(0.3, 5), st.floats(1.6, 10))
def test_the_factor_is_met(plain: float, asking: float, per_round: float, factor: float) -> None:
    def measure(rounds: int | None) -> float:
        return plain if rounds is None else plain + asking + per_round * rounds

    rounds = calibrate(measure, factor)
    assert measure(rounds) == pytest.approx(factor * plain, abs=2 * per_round)


def test_what_cannot_be_had_is_refused() -> None:
    with pytest.raises(SlowError, match="above 1"):
        calibrate(lambda _: 100.0, 1.0)
    with pytest.raises(SlowError, match="larger factor"):
        calibrate(lambda rounds: 100.0 if rounds is None else 400.0, 2.0)
    with pytest.raises(SlowError, match="not asked at all"):
        calibrate(lambda _: 100.0, 2.0)
    with pytest.raises(SlowError, match="smaller factor"):
        calibrate(lambda rounds: 50_000 + 0.3 * (rounds or 0), 10.0)

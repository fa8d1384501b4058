"""A control process that is killed, stopped or hangs takes the trading with it: the short form of `make lease-test`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from turbo_hft.testing.lease_trial import KINDS, LeaseTrial, Stop, report

pytestmark = pytest.mark.kernel

LEASE_S = 0.05
TIMES = 5
# One packet, and what a busy machine takes to deliver a signal.
SPARE_NS = 30_000_000


@pytest.fixture(scope="module")
def trial() -> Iterator[LeaseTrial]:
    with LeaseTrial(LEASE_S) as loaded:
        yield loaded


@pytest.mark.parametrize("kind", KINDS)
def test_orders_stop_within_the_lease_and_one_packet(trial: LeaseTrial, kind: str) -> None:
    for _ in range(TIMES):
        stop = trial.run(kind)
        assert stop.late == 0, "an order left in a packet that began after the lease"
        assert stop.before > 20 and stop.after > 20, f"no packets on both sides: the test shows nothing ({stop})"
        assert stop.last_ns <= LEASE_S * 1e9 + SPARE_NS
    assert trial.engine.refusals()["lease"] > 0


def test_a_report_names_each_kind() -> None:
    text = report([Stop("killed", 1_000_000, 0, 5, 7), Stop("hung", 2_000_000, 1, 5, 7)], 0.02)
    assert "killed       1 times: p50 1.000 ms" in text and "10 orders; 14 packets after the lease" in text
    assert text.endswith("orders in them: 1") and "stopped" not in text

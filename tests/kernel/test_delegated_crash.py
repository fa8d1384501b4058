"""The trading process is killed at every step: the peer sees whole orders, each once, and a clean close."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import wire_rig
from this_run import lots
from turbo_hft.lab import Lab
from wire_builds import native_without
from wire_crash import crash, orders_of
from wire_rig import HEARTBEAT

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

STEPS = range(1, 8)  # of a merge: DIE_AT in native/delegated/merge.c
ROUNDS = int(os.environ.get("TCP_CRASH", "0"))
CANCEL_STEPS = ((8, 0), (9, 1))  # of an ordinary send of what waits, and how many cancels have left then
NUMBER = 4
STALLED = "0.9"  # seconds between two merges: a kill within the first of them finds nothing merged


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A wire for all of them."""
    with Lab(f"hft_wire{NUMBER}", f"hftw{NUMBER}a", f"hftw{NUMBER}b", f"10.79.{NUMBER}.0/24") as raised:
        yield raised


@pytest.mark.parametrize("step", STEPS if ROUNDS else lots().sample(STEPS, 1))
def test_dies_at_a_step_of_a_merge(lab: Lab, tmp_path: Path, step: int) -> None:
    library = native_without(tmp_path, die_at=step)
    end = crash(lab, "--library", str(library))
    assert end.orders >= 1
    assert not end.reset, end


@pytest.mark.parametrize(("step", "cancels"), CANCEL_STEPS if ROUNDS else lots().sample(CANCEL_STEPS, 1))
def test_dies_as_a_cancel_is_sent_that_the_hook_could_not_send(
    lab: Lab, tmp_path: Path, step: int, cancels: int
) -> None:
    """Before it has it, or after the kernel has: the keeper sends nothing that only waited, and nothing twice."""
    library = native_without(tmp_path, die_at=step)
    end = crash(lab, "--library", str(library), "--poll-s", "0.00002", "--cancels")
    assert (end.orders, end.cancels, end.reset) == (1, cancels, False)


def test_is_killed_with_orders_that_are_not_merged(lab: Lab) -> None:
    """Nothing is merged meanwhile, so what it sent is known to nobody but the hook."""
    end = crash(lab, "--poll-s", STALLED, after_s=0.2)
    assert end.orders >= 5
    assert not end.reset, end


@pytest.mark.parametrize("number", range(max(1, ROUNDS)))
def test_is_killed_at_any_moment(lab: Lab, number: int) -> None:
    work = random.choice(((), ("--cancels",)))
    end = crash(lab, *work, "--poll-s", random.choice(("0", "0.00002", "0.001")), after_s=random.uniform(0, 0.4))
    assert not end.reset, end


def test_without_a_keeper_the_end_is_not_clean(lab: Lab, tmp_path: Path) -> None:
    """What the others show is the keeper's doing."""
    library = native_without(tmp_path, "KEEPER", die_at=3)
    assert crash(lab, "--library", str(library)).reset


def test_without_a_keeper_the_program_on_the_way_out_makes_the_best_of_it(lab: Lab, tmp_path: Path) -> None:
    """Killed outside a merge: the kernel's FIN gets the wire's number, so the peer believes it."""
    library = native_without(tmp_path, "KEEPER")
    end = crash(lab, "--library", str(library), "--poll-s", STALLED, after_s=0.2, talks=False)
    assert end.orders >= 5
    assert not end.reset, end


def test_without_both_the_peer_sees_no_end(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_rig, "WAIT_S", 2)
    library = native_without(tmp_path, "KEEPER", "EGRESS")
    with pytest.raises(AssertionError, match="does not see an end"):
        crash(lab, "--library", str(library), "--poll-s", STALLED, after_s=0.2, talks=False)


def test_a_spoiled_stream_would_be_noticed() -> None:
    order = b"\x00\x30UO" + (1).to_bytes(4, "big") + bytes(42)
    assert orders_of(HEARTBEAT + order + HEARTBEAT) == 1
    cancel = b"\x00\x0aUX" + (1).to_bytes(4, "big") + bytes(4)
    assert orders_of(order + cancel) == 1
    for spoiled in (order[:-1], order + order, HEARTBEAT[:1], order[1:], cancel, order + cancel + cancel):
        with pytest.raises(AssertionError):
            orders_of(spoiled)

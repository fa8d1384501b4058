"""Changes of the limits: all at once or not at all, whoever else changes them, and whatever ends a change."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from typing import Any

import pytest
from turbo_hft import change
from turbo_hft._native import ffi, lib
from turbo_hft.change import Changes
from turbo_hft.errors import TurboHftError
from turbo_hft.limits import AccountLimits, SymbolLimits, symbol_limits
from turbo_hft.locks import Locks
from unit.fakes import Memory

LOCK = Locks(os.getpid())


class Rig:
    """Limits of an account and of two symbols, and what the hook would read."""

    def __init__(self, lock: Locks | None = None) -> None:
        self.memory = Memory()
        self.changes = Changes(self.memory, lock, tracked=lambda: 2)
        self.account = AccountLimits("all orders", self.changes, lambda: self.changes.limits().account)
        self.symbols = [
            SymbolLimits(f"S{slot}", self.changes, lambda slot=slot: self.changes.symbol_limits(slot))  # type: ignore[misc]
            for slot in (0, 1)
        ]
        for slot in (0, 1):
            self.changes.new_symbol(slot, symbol_limits("S", {}))

    def in_force(self) -> tuple[int, int, int]:
        """(account, first, second symbol) `max_order_qty`, as the hook would read them."""
        half, capacity = self.changes.epoch & 1, self.memory.config.symbols
        limits, symbols = self.memory.share("limits"), self.memory.share("symbol_limits")
        return (
            limits[half].account.max_order_qty,
            symbols[half * capacity].max_order_qty,
            symbols[half * capacity + 1].max_order_qty,
        )

    def set(self, qty: int) -> None:
        self.account.max_order_qty = qty
        for symbol in self.symbols:
            symbol.max_order_qty = qty


def test_nothing_holds_before_the_end_and_all_of_it_then() -> None:
    rig = Rig()
    seen = []
    with rig.changes.change():
        rig.set(7)
        seen.append(rig.in_force())
        assert (rig.account.max_order_qty, rig.symbols[1].max_order_qty) == (7, 7), "who changes sees the change"
    seen.append(rig.in_force())
    assert seen == [(0, 500, 500), (7, 7, 7)] and rig.changes.epoch == 1


def test_an_error_undoes_all_of_it_for_good() -> None:
    rig = Rig()
    with pytest.raises(KeyError), rig.changes.change():
        rig.set(7)
        raise KeyError
    assert rig.in_force() == (0, 500, 500) and rig.changes.epoch == 0
    rig.account.max_order_qty = 8
    assert rig.in_force() == (8, 500, 500), "what was undone does not come back with the next change"


def test_parameters_are_stored_behind_a_sign_and_put_back_after_an_error() -> None:
    rig = Rig()
    control, params = rig.memory.share("control")[0], rig.memory.share("symbol_params")[0]
    with rig.changes.change():
        rig.account.max_order_qty = 7
        assert not control.changing, "limits need no sign"
        rig.changes.store(params, {"base_qty": 5, "step_qty": 6})
        assert (control.changing, rig.changes.epoch) == (1, 0)
    assert (control.changing, rig.changes.epoch, params.base_qty, rig.in_force()[0]) == (0, 1, 5, 7)
    with pytest.raises(KeyError), rig.changes.change():
        rig.account.max_order_qty = 8
        rig.changes.store(params, {"base_qty": 50})
        rig.changes.store(params, {"base_qty": 500, "step_qty": 600})
        raise KeyError
    assert (control.changing, params.base_qty, params.step_qty) == (0, 5, 6)
    assert rig.in_force()[0] == 7 and rig.changes.epoch == 2, "who has read half of it sees that the epoch moved"
    rig.changes.note()
    assert rig.in_force()[0] == 7


@pytest.mark.parametrize("next_one", ["note", "note_if_free", "settle"])
def test_a_change_that_was_cut_off_halts_whoever_comes_next(next_one: str) -> None:
    rig = Rig()
    control = rig.memory.share("control")[0]
    control.kill, control.changing = lib.HFT_ACTIVE, 1
    getattr(rig.changes, next_one)()
    assert (control.kill, control.changing) == (lib.HFT_HALTED, 0)
    assert not rig.changes.settle()


def test_a_single_one_keeps_all_others() -> None:
    """Both sets agree in what was not changed, whichever of them holds."""
    rig = Rig()
    for qty in range(1, 9):
        rig.symbols[qty % 2].max_order_qty = qty
        rig.changes.note()
        assert rig.in_force()[1:] == ((qty, qty - 1 or 500) if qty % 2 == 0 else (qty - 1 or 500, qty))


def test_one_inside_another_is_part_of_it() -> None:
    rig = Rig()
    with rig.changes.change():
        rig.account.max_order_qty = 1
        with rig.changes.change():
            rig.symbols[0].max_order_qty = 2
        rig.changes.note()
        assert rig.changes.epoch == 0
    assert rig.in_force() == (1, 2, 500) and rig.changes.epoch == 1


def test_a_bad_value_among_good_ones_changes_nothing() -> None:
    rig = Rig()
    before = rig.symbols[0].as_dict()
    with pytest.raises(TurboHftError):
        rig.symbols[0].set({"max_order_qty": 1, "collar": "nonsense"})
    with pytest.raises(TurboHftError):
        rig.symbols[0].set({"max_order_qty": 1, "max_lomg": 1})
    assert rig.symbols[0].as_dict() == before and rig.changes.epoch == 0


def test_threads_do_not_mix_their_changes() -> None:
    """Four threads set all three to a number of their own; a fifth looks, as the hook does, and sees no mixture."""
    rig = Rig()
    rig.set(1)
    mixed: list[tuple[int, ...]] = []
    end = time.monotonic() + 0.5

    def write(number: int) -> None:
        while time.monotonic() < end:
            with rig.changes.change():
                rig.set(number)

    def read() -> None:
        while time.monotonic() < end:
            epoch = rig.changes.epoch
            seen = rig.in_force()
            if rig.changes.epoch == epoch and len(set(seen)) > 1:
                mixed.append(seen)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2, 6)]
    threads.append(threading.Thread(target=read))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not mixed and len(set(rig.in_force())) == 1 and rig.changes.epoch > 20


def _hold(lock: Locks, held: Any) -> None:
    rig = Rig(lock)
    with rig.changes.change():
        held.set()
        time.sleep(60)


@pytest.fixture
def holder() -> Any:
    """Another process in the middle of a change."""
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=_hold, args=(LOCK, held))
    process.start()
    assert held.wait(20)
    yield process
    process.kill()
    process.join()
    LOCK.end()


def test_a_stopped_process_keeps_changes_waiting_but_no_halt(holder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change, "LOCK_TIMEOUT_S", 0.2)
    rig = Rig(LOCK)
    os.kill(holder.pid, signal.SIGSTOP)
    with pytest.raises(TurboHftError, match="another process has been changing"):
        rig.account.max_order_qty = 7
    assert rig.in_force()[0] == 0 and rig.changes.epoch == 0
    start = time.monotonic()
    rig.changes.note_if_free()  # what a halt does after its store
    assert time.monotonic() - start < 1 and rig.changes.epoch == 0
    holder.kill()
    holder.join()
    rig.account.max_order_qty = 7
    assert rig.in_force()[0] == 7, "a killed process leaves no stale lock"


def test_the_word_that_decides_is_stored_whole() -> None:
    from turbo_hft._native import lib

    word = ffi.new("unsigned long long *", (1 << 32) - 1)
    lib.hft_publish(word, 1 << 32)
    assert word[0] == 1 << 32

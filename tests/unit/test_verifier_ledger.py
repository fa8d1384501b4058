"""The ledger of the verifier's figures: a line for each change, and what it notices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tools import verifier_ledger as ledger
from tools.kernel_matrix.errors import MatrixError

OLD = ledger.Line("6.18.44", 100_000, 4000, 3000, 480, "96+64", 150_000, 80_000, 70, 2_000_000, "aa")
NEW = replace(OLD, insns=120_000, object_sha256="bb")
OTHER = replace(OLD, kernel="6.1.9", object_sha256="bb")


def test_a_ledger_is_read_as_it_was_written() -> None:
    assert ledger.parse(ledger.written([OLD, NEW])) == [OLD, NEW]
    assert ledger.parse("") == []


@pytest.mark.parametrize("text", ["kernel,insns\n6.1,2\n", ledger.written([OLD]).replace("100000", "many")])
def test_a_damaged_ledger_is_refused(text: str) -> None:
    with pytest.raises(MatrixError):
        ledger.parse(text)


def test_the_committed_ledger_is_one() -> None:
    lines = ledger.parse(ledger.LEDGER.read_text())
    assert lines and ledger.written(lines) == ledger.LEDGER.read_text()


def test_a_change_is_one_line_however_often_it_was_recorded() -> None:
    assert ledger.with_line([], [], OLD) == [OLD]
    assert ledger.with_line([OLD], [OLD], NEW) == [OLD, NEW]
    later = replace(NEW, object_sha256="cc")
    assert ledger.with_line([OLD], [OLD, NEW], later) == [OLD, later]
    # Back to the committed object: nothing to be said.
    assert ledger.with_line([OLD], [OLD, NEW], replace(OLD, load_ms=99)) == [OLD]


def test_kernels_have_lines_of_their_own() -> None:
    assert ledger.with_line([OLD], [OLD, NEW], OTHER) == [OLD, NEW, OTHER]
    assert ledger.newest([OLD, NEW, OTHER], "6.18") == NEW
    assert ledger.newest([OLD, NEW, OTHER], "6.1") == OTHER
    assert ledger.newest([OLD], "6.12") is None


def test_what_moves_by_more_than_the_tolerance_is_told() -> None:
    assert ledger.differences(OLD, replace(OLD, insns=100_900, load_ms=700, object_sha256="dd")) == []
    assert ledger.differences(OLD, replace(OLD, insns=101_100)) == ["insns is 101,100, and was 100,000"]
    assert len(ledger.differences(OLD, replace(OLD, stack_bytes=512, jited_bytes=70_000))) == 2

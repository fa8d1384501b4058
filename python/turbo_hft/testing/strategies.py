"""hypothesis strategies for frames. Needs hypothesis, which the package itself does not."""

from __future__ import annotations

from hypothesis import strategies as st

from turbo_hft.testing.hook import MAX_FRAME, MIN_FRAME

ACTIONS: tuple[str, ...] = (
    ("data",) * 16
    + ("reply",) * 10
    + ("order",) * 7
    + ("line_b",) * 5
    + ("rerequest",) * 4
    + ("resync",) * 2
    + ("market",) * 2
    + ("pile",) * 2
    + ("quiet", "control", "again", "login", "abandon", "command", "manual")
)

LIVES: tuple[str, ...] = (
    ("order",) * 6 + ("reply",) * 12 + ("data",) * 6 + ("market", "market", "manual", "again", "control")
)


def actions(max_size: int = 150) -> st.SearchStrategy[list[tuple[str, int]]]:
    """What happens, in order: (kind, seed) pairs for `Scenario.several`. Shrinks to few, early kinds first."""
    return st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 2**32 - 1)), min_size=20, max_size=max_size)


def lives(max_size: int = 300) -> st.SearchStrategy[list[tuple[str, int]]]:
    """As `actions`, of those that orders and their replies are made of."""
    return st.lists(st.tuples(st.sampled_from(LIVES), st.integers(0, 2**32 - 1)), min_size=60, max_size=max_size)


def any_frame(max_size: int = 200) -> st.SearchStrategy[bytes]:
    """Any bytes at all that the kernel will run as a frame."""
    return st.binary(min_size=MIN_FRAME, max_size=min(max_size, MAX_FRAME))

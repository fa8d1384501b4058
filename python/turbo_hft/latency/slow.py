"""The engine made slower on purpose, to see whether the report notices.

The hook has no knob for it. A strategy like a user's (bpf/slow.bpf.c) is linked into the running engine and asked in
shadow about every armed symbol: before the order leaves it turns a loop, and wants nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.lab import LabAddresses
from turbo_hft.latency.work import Work

#: An engine that trades while the block runs.
EngineResponder = Callable[[LabAddresses, Work], AbstractContextManager[Engine]]

MOST_ROUNDS = 1 << 20
_NAME = "slow.bpf.o"
_FIRST_ROUNDS = 256


class SlowError(TurboHftError):
    """The engine cannot be made as slow as was asked for."""


def slow_object() -> Path:
    """Beside this module in a wheel, in the build directory of a source tree. Raises ConfigError."""
    here = Path(__file__).resolve()
    for path in (here.parent / _NAME, here.parents[3] / "build" / _NAME):
        if path.is_file():
            return path
    raise ConfigError(
        f"this installation has no {_NAME}, which --slow links into the engine: run make (it needs clang), or install "
        "a wheel that was built by it"
    )


def slow_down(engine: Engine, symbols: tuple[str, ...], rounds: int) -> None:
    """Link the strategy in, or set its rounds anew, and have these symbols ask it; effective on the next packet.

    A round is about a nanosecond. Raises ConfigError, LoadError.
    """
    if not 0 <= rounds <= MOST_ROUNDS:
        raise SlowError(f"{rounds:,} rounds: the loop has at most {MOST_ROUNDS:,}; take a smaller factor")
    if engine.user.name != slow_object().name.removesuffix(".o"):
        engine.load_strategy(slow_object())
    engine.user.params.rounds = rounds
    for name in symbols:
        symbol = engine.symbols[name]
        symbol.shadow = symbol.shadow | {"user"}


def slowed(responder: EngineResponder, rounds: int) -> EngineResponder:
    """The same engine, that much slower."""

    @contextmanager
    def slow(addresses: LabAddresses, work: Work) -> Iterator[Engine]:
        with responder(addresses, work) as engine:
            slow_down(engine, tuple(one.symbol for one in work.armed), rounds)
            yield engine

    return slow


def calibrate(measure: Callable[[int | None], float], factor: float) -> int:
    """Rounds with which a trigger's order takes ``factor`` times as long.

    ``measure(rounds)``: the time of a trigger's order in ns, None = of the engine as it is. Raises SlowError when the
    loop shows nothing, and for a factor that cannot be had: being asked at all costs something.
    """
    if not factor > 1:
        raise SlowError(f"a factor of {factor:g} makes nothing slower: give one above 1")
    plain = measure(None)
    wanted = factor * plain
    low, rounds = measure(0), _FIRST_ROUNDS
    if low >= wanted:
        raise SlowError(
            f"the strategy that makes it slower takes {low - plain:.0f} ns before its first round, which is more than "
            f"{factor:g} times as slow: take a larger factor"
        )
    # Far enough up that one round's cost is not lost in the noise of the measurement.
    while (high := measure(rounds)) < max(2 * low, wanted):
        if rounds >= MOST_ROUNDS:
            raise SlowError(
                f"{rounds:,} rounds, the most there are, made {low:.0f} ns only {high:.0f}: take a smaller factor; if "
                "that is no more than before, the strategy is not asked at all"
            )
        rounds = min(4 * rounds, MOST_ROUNDS)
    return round((wanted - low) / (high - low) * rounds)

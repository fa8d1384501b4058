"""Who can answer on a rig: the engine, natively and behind the driver, the echo, and the peers in user space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from turbo_hft.engine import Engine, Mode
from turbo_hft.lab import LabAddresses
from turbo_hft.latency import slow
from turbo_hft.latency.engine_side import echo_responder, engine_responder
from turbo_hft.latency.headline import ECHO, ENGINE
from turbo_hft.latency.peers import peers
from turbo_hft.latency.results import Responder
from turbo_hft.latency.work import Work

#: Attached, configured and logged in when the block is entered, gone when it is left.
Answer = Callable[[LabAddresses, Work], AbstractContextManager[Any]]

GENERIC = "engine-generic"
_DOES = "the whole pipeline in the XDP hook: book, decision, gate, order frame, event"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of them. `echoes`: it sends every frame back, logs in nowhere, and sends no orders."""

    responder: Responder
    answer: Answer
    why_not: Callable[[], str | None] = lambda: None
    echoes: bool = False

    @property
    def name(self) -> str:
        """What series call it."""
        return self.responder.name


def contestants() -> tuple[Contestant, ...]:
    """All, in the order of the tables; whether each can run here is asked when it is its turn."""
    return (
        Contestant(Responder(ENGINE, "engine (XDP, native)", _DOES, headline=True), engine_responder),
        Contestant(
            Responder(GENERIC, "engine (XDP, generic)", f"{_DOES}, behind the driver", headline=False), _generic
        ),
        Contestant(
            Responder(ECHO, "echo (floor)", "two instructions of XDP that send the frame back; none of the work", True),
            lambda addresses, _: echo_responder(addresses),
            echoes=True,
        ),
        *(
            Contestant(Responder(one.name, one.title, one.does, headline=True), one.responder, one.why_not)
            for one in reversed(peers())
        ),
    )


@contextmanager
def _generic(addresses: LabAddresses, work: Work) -> Iterator[Engine]:
    with engine_responder(addresses, work, mode=Mode.GENERIC) as engine:
        yield engine


def slowed(everybody: Sequence[Contestant], factor: float, rounds: int) -> tuple[Contestant, ...]:
    """The same, the native engine slower by a strategy in shadow; no figure of it is a headline."""
    changed = []
    for one in everybody:
        if one.name == ENGINE:
            title = f"engine, made {factor:g}× slower"
            responder = replace(one.responder, title=title, headline=False)
            changed.append(replace(one, responder=responder, answer=slow.slowed(engine_responder, rounds)))
        else:
            changed.append(one)
    return tuple(changed)

"""What the verifier has to say of an object: for `turbo-hft strategy check`, nothing is attached."""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import asdict, dataclass
from typing import Any

from turbo_hft._native import lib
from turbo_hft.program import Program
from turbo_hft.user_strategy import btf as types
from turbo_hft.user_strategy.objects import UserObject
from turbo_hft.user_strategy.params import PARAMS_SECTION, Params, Source
from turbo_hft.user_strategy.user import check_apart, memory_of

_STACK = re.compile(r"^stack depth (\d+(?:\+\d+)*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Report:
    """`verified_insns`: what the verifier looked at, of the whole program; `own_insns`: how much more than without the
    strategy. `stack`: bytes of each of its functions, of `stack_budget` for the deepest chain of them."""

    name: str
    sha256: str
    size: int
    verified_insns: int
    own_insns: int
    xlated_bytes: int
    jited_bytes: int
    load_ms: float
    stack: dict[str, int]
    stack_budget: int
    params: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return asdict(self)


def report(user: UserObject) -> Report:
    """Link, load and verify an object, and forget it. Raises LoadError with the verifier's log, CapabilityError."""
    program = Program.load(symbols=1, orders=1, kept=1)
    try:
        return _report(program, user)
    finally:
        program.close()


def _report(program: Program, user: UserObject) -> Report:
    began = time.monotonic()
    successor = program.successor(user.name, user.data)
    took = time.monotonic() - began
    try:
        facts, btf = successor.facts(), types.parse(successor.btf())
        check_apart(successor, btf)
        names = [btf[number].name for number in successor.functions()]
        memory = memory_of(successor.user_map(PARAMS_SECTION), lambda: btf, user.name)
        values = {} if memory is None else Params(Source(memory, _nothing, None), memory.layout.shape).as_dict()
    finally:
        successor.close()
    explained = program.successor(user.name, user.data, explain=True)
    explained.close()
    found = _STACK.search(explained.log)
    depths = [int(depth) for depth in found[1].split("+")] if found else []
    own = {name: depth for name, depth in zip(names, depths, strict=False) if name in user.functions}
    return Report(
        user.name,
        hashlib.sha256(user.data).hexdigest(),
        len(user.data),
        facts.verified_insns,
        facts.verified_insns - program.facts().verified_insns,
        facts.xlated_bytes,
        facts.jited_bytes,
        1000 * took,
        own,
        lib.HFT_USER_STACK,
        values,
    )


def _nothing() -> None:
    pass

"""Which CPU does what on the latency rig: the exchange alone on one, all that answers in user space on the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

PROBE_CPU = 0
BOT_CPU = 1
CONTROL_CPU = BOT_CPU
NAPI_CPU = 2


def available(cpu: int) -> bool:
    """Whether the calling thread may run on this CPU."""
    return cpu in os.sched_getaffinity(0)


@contextmanager
def on_cpu(cpu: int | None) -> Iterator[None]:
    """Run the block's thread, and threads it starts, on one CPU; None or a CPU that is not available: no change."""
    before = os.sched_getaffinity(0)
    if cpu is None or cpu not in before:
        yield
        return
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def describe() -> str:
    """One line for a report."""
    probe = f"exchange on CPU {PROBE_CPU}" if available(PROBE_CPU) else "exchange not pinned"
    bot = f"bot on CPU {BOT_CPU}" if available(BOT_CPU) else "bot not pinned"
    return f"{probe}, engine on the CPU that sends, {bot}"

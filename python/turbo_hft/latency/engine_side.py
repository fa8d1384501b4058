"""What answers in the XDP hook on the latency rig.

The engine: loaded, configured with the rig's decision, attached, logged in. And the echo, a program of two
instructions that sends every frame back: the rig's own floor.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from turbo_hft._native import lib
from turbo_hft.engine import Engine, Mode
from turbo_hft.errors import AttachError, LoadError
from turbo_hft.lab import LabAddresses
from turbo_hft.latency.placement import CONTROL_CPU, on_cpu
from turbo_hft.latency.work import Work, configure, session_of
from turbo_hft.order_entry import OrderEntry


@contextmanager
def engine_responder(addresses: LabAddresses, work: Work, *, mode: Mode = Mode.NATIVE) -> Iterator[Engine]:
    """A fresh engine on the lab's wire, trading; gone when the block is left. Raises as Engine and OrderEntry do.

    Its limits are as wide as they go. It decides by the feed's clock, which knows no lease: what hangs is only a rig.
    """
    with Engine.open(addresses.device, mode=mode, clock="feed") as engine:
        configure(engine, addresses, work)
        engine.attach()
        with OrderEntry(engine, session_of(addresses)) as entry:
            # The thread that reads replies inherits this CPU and stays out of the exchange's way.
            with on_cpu(CONTROL_CPU):
                entry.login(start_flat=True)  # it measures; what was traded before is another measurement's
            engine.lease.forever()
            engine.resume()
            yield engine


@contextmanager
def echo_responder(addresses: LabAddresses) -> Iterator[None]:
    """XDP_TX for every frame on the lab's wire, natively; gone when the block is left.

    Raises LoadError and AttachError.
    """
    program = lib.hft_load_constant(lib.HFT_VERDICT_TX)
    if program < 0:
        raise LoadError(f"loading the echo program failed: {os.strerror(-program)}; it needs CAP_BPF and CAP_NET_ADMIN")
    try:
        link = lib.hft_attach(program, socket.if_nametoindex(addresses.device), lib.HFT_XDP_NATIVE)
    finally:
        os.close(program)
    if link < 0:
        raise AttachError(
            f"cannot attach the echo to {addresses.device}: {os.strerror(-link)}; is another XDP program there?"
        )
    try:
        yield
    finally:
        os.close(link)

"""The user-space responders there are, whether they can run here, and how to run one.

All of those in C do the engine's work with the engine's own code (`turbo_hft.latency.pipeline`); they differ in how a
packet gets to it. Each is a process of its own (`turbo_hft.latency.peer`) on one CPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import turbo_hft
from turbo_hft.errors import ExchangeError
from turbo_hft.lab import LabAddresses
from turbo_hft.latency import dpdk, placement
from turbo_hft.latency._peers import lib
from turbo_hft.latency.work import Work

_EXIT_S = 10


@dataclass(slots=True)
class Running:
    """A peer while its block runs, and what it told, once the block is left. `lost`: None = nobody counts them.

    `note`: what a report must say beside its figures, because the device did not let it be what it is.
    """

    packets: int = 0
    messages: int = 0
    orders: int = 0
    gaps: int = 0
    lost: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to receive, decide and send in user space. `does`: what happens on the way, for a report."""

    name: str
    title: str
    does: str
    _check: Callable[[], str | None] = field(default=lambda: None, repr=False)

    def why_not(self) -> str | None:
        """Why it cannot run on this machine; None = it can."""
        return self._check()

    @contextmanager
    def responder(self, addresses: LabAddresses, work: Work) -> Iterator[Running]:
        """Started, configured and logged in when the block is entered; it ends with the feed, and is gone afterwards.

        Raises ExchangeError with its own words when it failed, or when it did not notice the feed's end.
        """
        command = [sys.executable, "-m", "turbo_hft.latency.peer", self.name, "--device", addresses.device]
        command += ["--addresses", json.dumps(asdict(addresses)), "--work", work.to_json()]
        if placement.available(placement.BOT_CPU):
            command += ["--cpu", str(placement.BOT_CPU)]
        paths = [str(Path(turbo_hft.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
        running = Running()
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                if process.stdout.readline() == "ready\n":
                    yield running
                found, talk = process.communicate(timeout=_EXIT_S)
            except subprocess.TimeoutExpired:
                raise ExchangeError(
                    f"{self.title} did not notice the end of the feed: its last packets were lost"
                ) from None
            finally:
                process.kill()
                process.wait()
                if self.name in dpdk.DRIVERS:
                    dpdk.forget(addresses.device)
        if process.returncode or not found:
            raise ExchangeError(f"{self.title} failed: {talk.strip() or f'exit status {process.returncode}'}")
        for name, value in json.loads(found).items():
            setattr(running, name, value)


def _no_uring() -> str | None:
    error = lib.hft_peer_uring_check()
    if not error:
        return None
    return (
        f"this kernel makes no io_uring of this kind ({os.strerror(-error)}): see kernel.io_uring_disabled, Linux 6.1"
    )


def _no_af_xdp() -> str | None:
    error = lib.hft_xsk_check()
    return f"no AF_XDP socket can be had ({os.strerror(-error)}): CONFIG_XDP_SOCKETS, CAP_NET_RAW" if error else None


def peers() -> tuple[Peer, ...]:
    """All, from the plainest to the closest to the driver."""
    return (
        Peer("python", "Python recv()", "a loop of recv() in Python, its book in dicts; sleeps until a packet comes"),
        Peer("python-busy", "Python busy", "the same loop, asking again and again without sleeping"),
        Peer("blocking", "C recv()", "the engine's pipeline behind recv(), which sleeps until a packet comes"),
        Peer("busy", "C busy recv()", "the engine's pipeline behind recv(MSG_DONTWAIT), asked again and again"),
        Peer(
            "busy-poll",
            "C SO_BUSY_POLL",
            "the engine's pipeline behind recv(), which polls the device's NAPI for a second before it sleeps",
        ),
        Peer("recvmmsg", "C recvmmsg()", "the engine's pipeline behind recvmmsg(MSG_DONTWAIT) of up to 32 packets"),
        Peer(
            "io_uring",
            "C io_uring",
            "the engine's pipeline behind multishot receives into provided buffers; orders are sent by the same ring",
            _no_uring,
        ),
        Peer(
            "af_xdp",
            "AF_XDP, native copy",
            "whole frames by XDP_REDIRECT from the driver into shared memory, busy-polled; the engine's pipeline",
            _no_af_xdp,
        ),
        Peer(
            "af_xdp-skb",
            "AF_XDP, generic copy",
            "the same behind the driver: the frame has been an sk_buff before it is copied",
            _no_af_xdp,
        ),
        Peer(
            "dpdk-af_packet",
            "DPDK, af_packet",
            "a poll-mode loop on one lcore over a ring of AF_PACKET; the engine's pipeline on the frames in place",
            dpdk.why_not,
        ),
        Peer(
            "dpdk-af_xdp",
            "DPDK, af_xdp copy",
            "the same over AF_XDP in copy mode, all frames of the device redirected; the engine's pipeline in place",
            lambda: _no_af_xdp() or dpdk.why_not(),
        ),
    )


def peer(name: str) -> Peer:
    """The one of that name. Raises KeyError."""
    return {one.name: one for one in peers()}[name]

"""A trading process dies; what does the peer see? A victim in a process of its own, the peer here.

The stream has to end with a whole message, hold each order once and in order, and be closed as TCP closes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from turbo_hft import netns
from turbo_hft.lab import Lab, LabAddresses
from wire_rig import HEARTBEAT, Peer, listen, wait_for

_TESTS = Path(__file__).parent
_ORDER = b"\x00\x30UO"
_CANCEL = b"\x00\x0aUX"
_REF = slice(len(_ORDER), len(_ORDER) + 4)


@dataclass(frozen=True)
class End:
    """How the peer saw it end, `seconds` after the death, by a RST or not; `orders`, `cancels` of a whole stream."""

    orders: int
    reset: bool
    cancels: int
    seconds: float


def orders_of(stream: bytes) -> int:
    """How many orders it holds. AssertionError unless all is whole, and their numbers go up by one."""
    return read(stream)[0]


def read(stream: bytes) -> tuple[int, int]:
    """How many orders and cancels it holds. AssertionError as above, or if a cancel is not of the last order."""
    at = last = canceled = cancels = 0
    while at < len(stream):
        assert at + 2 <= len(stream), "the stream ends inside a length"
        end = at + 2 + int.from_bytes(stream[at : at + 2], "big")
        assert end <= len(stream), f"the stream ends inside a message: {stream[at:].hex()}"
        packet = stream[at:end]
        if packet.startswith(_CANCEL):
            ref = int.from_bytes(packet[_REF], "big")
            assert ref == last != canceled, f"a cancel of order {ref} follows order {last}, cancel {canceled}"
            canceled = ref
            cancels += 1
        elif packet != HEARTBEAT:
            assert packet.startswith(_ORDER), f"not what was sent: {packet.hex()}"
            ref = int.from_bytes(packet[_REF], "big")
            assert ref == last + 1, f"order {ref} follows order {last}"
            last = ref
        at = end
    return last, cancels


def victim(at: LabAddresses, port: int, *options: str) -> subprocess.Popen[str]:
    """A process that trades."""
    command = [sys.executable, str(_TESTS / "wire_victim.py"), json.dumps(asdict(at)), str(port), *options]
    paths = os.pathsep.join((str(_TESTS), str(_TESTS.parent)))
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": paths})


def crash(lab: Lab, *options: str, after_s: float | None = None, talks: bool = True) -> End:
    """Have a victim trade and kill it `after_s` seconds after it began; None: it dies by itself.

    `talks`: the peer answers. A kernel whose process dies with something unread says RST, whatever else it would say.
    """
    at = lab.addresses
    with netns.run_in(at.namespace, lambda: listen(at, 0)) as listener:
        process = victim(at, listener.getsockname()[1], *options)
        try:
            peer = Peer(listener.accept()[0])
            turn = peer.answer if talks else peer.read
            assert process.stdout is not None
            if process.stdout.readline() != "armed\n":
                raise AssertionError("the victim did not begin")
            if after_s is not None:
                end = time.monotonic() + after_s
                while time.monotonic() < end:
                    turn()
                process.send_signal(signal.SIGKILL)
            else:
                while process.poll() is None:
                    turn()
        finally:
            process.kill()
            process.communicate()
        died = time.monotonic()

        def over() -> bool:
            peer.read()
            return peer.ended

        wait_for(over, f"the peer does not see an end, {len(peer.stream)} bytes came")
        peer.socket.close()
        orders, cancels = read(bytes(peer.stream))
        return End(orders, peer.reset, cancels, time.monotonic() - died)

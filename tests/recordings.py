"""Small recordings for tests: a symbol's day as messages, as a BinaryFILE, and as a capture of two lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from turbo_hft.exchange.market import MarketConfig, MarketFlow
from turbo_hft.wire import binaryfile, moldudp64, pcapng
from turbo_hft.wire.frame import udp_frame

SESSION = "HFT0000001"
GROUPS = (("239.1.0.1", 26001), ("239.1.0.2", 26002))
REAL_DAY = Path(__file__).resolve().parents[2] / "shared" / "data" / "AAPL_20190130_0930.itch50"

MICROSECOND = 1_000
START_NS = 1_548_858_600_000_000_000


def market_day(messages: int, *, seed: int = 7) -> list[bytes]:
    """A day of six symbols, AAPL the most active."""
    flow = MarketFlow(MarketConfig(seed=seed, symbols=6, names=("AAPL",), live_orders=100))
    return list(flow.messages(messages))


def write_file(path: Path, messages: Iterable[bytes]) -> Path:
    """A BinaryFILE."""
    with path.open("wb") as file:
        binaryfile.write(file, messages)
    return path


def frame(payload: bytes, to: tuple[str, int] = GROUPS[0], vlans: tuple[int, ...] = ()) -> bytes:
    """A datagram of the feed as it was on the wire."""
    return udp_frame(
        src_mac="02:00:00:00:77:02",
        dst_mac="01:00:5e:01:00:01",
        src=("10.1.0.1", 9),
        dst=to,
        payload=payload,
        vlans=vlans,
    )


def packets(messages: Sequence[bytes], size: int, *, first: int = 1, session: str = SESSION) -> list[bytes]:
    """MoldUDP64 packets of `size` messages each."""
    return [
        moldudp64.Packet(session, first + at, tuple(messages[at : at + size])).encode()
        for at in range(0, len(messages), size)
    ]


def write_capture(
    path: Path, payloads: Sequence[bytes], arrives: Callable[[int, int], bool], vlans: tuple[int, ...] = ()
) -> Path:
    """A pcapng of two lines, a packet a microsecond; `arrives(line, index)` says what was not lost on the way."""
    with path.open("wb") as file:
        writer = pcapng.Writer(file, ("a", "b"))
        for index, payload in enumerate(payloads):
            for line, to in enumerate(GROUPS):
                if arrives(line, index):
                    writer.write(START_NS + index * MICROSECOND + line, frame(payload, to, vlans), line)
    return path

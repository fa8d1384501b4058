"""A loaded program without a device, and the struct of native/replay.c that plays messages through it."""

from __future__ import annotations

from typing import Any, Unpack

from turbo_hft._native import ffi, lib
from turbo_hft.addresses import FeedAddress, lab_session
from turbo_hft.engine import Engine
from turbo_hft.program import LoadSettings
from turbo_hft.wire.frame import udp_frame

SESSION = b"HFT0000001"

USUAL_PAYLOAD = 1472
"""Bytes of UDP payload in an Ethernet frame of 1,500 bytes."""

_MAC = "02:00:00:00:77:02"
_SOURCE = ("10.77.0.2", 26477)
_FEED = FeedAddress("239.77.0.1", 26477, group_b="239.78.0.1")
_HEADERS = 42
_MANY = 100
_ORDERS_OF_FEW, _ORDERS_OF_A_MARKET = 1 << 18, 1 << 22
_DEFAULTS: LoadSettings = {"clock": "feed", "verify_checksums": False, "crossed_ns": 0}


def load(**settings: Unpack[LoadSettings]) -> Engine:
    """An engine for the feed's two lines, halted, that goes by the feed's clock.

    A book may stay crossed for as long as it likes: what is shown is what was recorded. `settings` (`LoadSettings`) add
    to that. Raises ConfigError, CapabilityError, LoadError.
    """
    loaded: LoadSettings = {**_DEFAULTS, **settings}
    engine = Engine.load(**loaded)
    engine.configure(lab_session(), _FEED)
    return engine


def orders_for(symbols: int) -> int:
    """Resting orders to have room for: enough for a busy symbol, and for a whole market some hundred each."""
    return _ORDERS_OF_FEW if symbols < _MANY else _ORDERS_OF_A_MARKET


def into(engine: Engine, session: bytes = SESSION) -> Any:
    """A ``struct hft_replay *`` whose packets go into the program, as large as they can be, flat out."""
    replay = ffi.new("struct hft_replay *", {"program_fd": engine.program.fd, "wire_fd": -1, "sequence": 1})
    headers = [
        udp_frame(src_mac=_MAC, dst_mac=_MAC, src=_SOURCE, dst=(line.address, line.port), payload=b"")
        for line in _FEED.lines()
    ]
    set_headers(replay, headers)
    replay.payload_max = lib.HFT_MAX_FRAME - _HEADERS
    replay.session = session
    return replay


def set_headers(replay: Any, headers: list[bytes]) -> None:
    """Complete headers up to UDP, for each line."""
    replay.headers_len = len(headers[0])
    for place, header in zip(replay.headers, headers, strict=False):
        ffi.memmove(place, header, len(header))

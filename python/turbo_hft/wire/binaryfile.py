"""BinaryFILE: a day of messages in a file, each behind its length (2 bytes, big-endian).

A length of zero ends the stream, as does the end of the file. Source: Nasdaq's historical ITCH files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from turbo_hft.errors import MalformedMessage
from turbo_hft.wire.blocks import MAX_BLOCK

_CHUNK = 1 << 20


def read(source: str | os.PathLike[str] | BinaryIO) -> Iterator[bytes]:
    """The messages of a file (path, or file object open for reading bytes), in constant memory.

    Errors: MalformedMessage with the offset if the file ends inside a message; OSError.
    """
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as stream:
            yield from _messages(stream)
    else:
        yield from _messages(source)


def _messages(stream: BinaryIO) -> Iterator[bytes]:
    buffer = b""
    at = 0  # of the next message in the buffer
    base = 0  # of the buffer in the file
    while True:
        start = at + 2
        end = start + int.from_bytes(buffer[at:start], "big")
        if len(buffer) < start or len(buffer) < end:
            more = stream.read(_CHUNK)
            if not more:
                break
            base += at
            buffer, at = buffer[at:] + more, 0
            continue
        if end == start:
            return
        yield buffer[start:end]
        at = end
    if at < len(buffer):
        raise MalformedMessage(
            f"the file ends inside the message at offset {base + at}, {len(buffer) - at} bytes after it begins: "
            "fetch the file again, or cut it there"
        )


def write(stream: BinaryIO, messages: Iterable[bytes]) -> int:
    """Append messages to a file; how many. Errors: MalformedMessage if one is empty or above 65,535 bytes; OSError."""
    count = 0
    for message in messages:
        if not 0 < len(message) <= MAX_BLOCK:
            raise MalformedMessage(f"message {count} has {len(message)} bytes: BinaryFILE carries 1 to {MAX_BLOCK}")
        stream.write(len(message).to_bytes(2, "big") + message)
        count += 1
    return count

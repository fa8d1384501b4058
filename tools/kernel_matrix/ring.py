"""Looks on while somebody else reads a BPF ring buffer: the records as they were written, none consumed."""

from __future__ import annotations

import mmap
import struct

from tools.kernel_matrix.maps import LiveMap

_HEADER = 8
_BUSY, _DISCARDED = 1 << 31, 1 << 30


class RingPeek:
    """The records written since the last `take`. Take often enough: a ring overwrites what was consumed."""

    def __init__(self, live: LiveMap) -> None:
        self.name = live.name
        self._mask = live.entries - 1
        # The producer's position, then the data twice in a row, so that no record is torn at the end.
        length = mmap.PAGESIZE + 2 * live.entries
        self._memory = mmap.mmap(live.fd, length, mmap.MAP_SHARED, mmap.PROT_READ, offset=mmap.PAGESIZE)
        self._at = self._produced()

    def _produced(self) -> int:
        return int(struct.unpack_from("=Q", self._memory)[0])

    def take(self) -> list[bytes]:
        """The records since the last call."""
        records = []
        end = self._produced()
        while self._at < end:
            start = mmap.PAGESIZE + (self._at & self._mask)
            length = struct.unpack_from("=I", self._memory, start)[0]
            if length & _BUSY:
                raise RuntimeError(f"a record of ring {self.name} is being written: record with nothing attached.")
            size = length & ~(_BUSY | _DISCARDED)
            if not length & _DISCARDED:
                records.append(self._memory[start + _HEADER : start + _HEADER + size])
            self._at += (size + _HEADER + 7) & ~7
        return records

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()

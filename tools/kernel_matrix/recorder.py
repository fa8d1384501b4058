"""A hook that keeps a record: everything written to its maps, every frame and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Unpack

from turbo_hft._native import ffi
from turbo_hft.program import LoadSettings
from turbo_hft.testing import Hook, RunResult, Verdict

from tools.kernel_matrix.errors import MatrixError
from tools.kernel_matrix.image import contents, differences
from tools.kernel_matrix.maps import LiveMap, maps_of
from tools.kernel_matrix.ring import RingPeek
from tools.kernel_matrix.script import Op, Script, ranges, u32, u64

# Maps above this size are looked at before the first frame and across a reset, not around each frame: user space
# configures an engine through small ones.
_WATCHED_BYTES = 1 << 20

Span = tuple[int, int]
Contents = bytes | dict[bytes, bytes]


def span(struct: str, field: str) -> Span:
    """Where a field of the contract lies, as (offset, length)."""
    described = dict(ffi.typeof(f"struct {struct}").fields or ()).get(field)
    if described is None:
        raise MatrixError(f"struct {struct} has no field {field}: name what took its place where this is recorded.")
    return described.offset, ffi.sizeof(described.type)


# Bound to the program by user space, for itself: the object does not have it, and a guest does not need it.
_BOUND = ("generations", "types")


class RecordingHook(Hook):
    """Wherever a Hook is used, this one can stand: it does the same and writes a script of it.

    `ignored`: map or ring -> spans of its elements that depend on the moment (monotonic clock), which no other run can
    repeat. Decisions take the feed's clock. `followed`: arrays that are compared whole after every frame. Set `on_wire`
    to have frames sent over a wire where the script is played. `settings` as those of a Hook; the player's maps get the
    same sizes.
    """

    def __init__(
        self,
        ignored: Mapping[str, Sequence[Span]],
        followed: Collection[str] = (),
        **settings: Unpack[LoadSettings],
    ) -> None:
        super().__init__(**settings)
        self.script = Script()
        self.on_wire = False
        self._ignored = {name: ranges(spans) for name, spans in ignored.items()}
        self._maps = [live for live in maps_of(self.engine.program.fd) if live.name not in _BOUND]
        self._rings = [RingPeek(live) for live in self._maps if live.is_ring]
        unknown = (self._ignored.keys() | set(followed)) - {live.name for live in self._maps}
        if unknown:
            raise MatrixError(f"the program has no map {', '.join(sorted(unknown))}: name those it has.")
        for live in self._maps:
            if live.is_constant:
                self.script.add(Op.RODATA, live.name.encode(), live.image()[: live.value_size])
            else:
                self.script.add(Op.SIZE, live.name.encode(), u32(live.value_size), u32(live.entries))
        self._followed = {live: bytes(live.size) for live in self._maps if live.name in followed}
        self._variable = [live for live in self._maps if self._is_variable(live)]
        self._known: dict[str, Contents] = {
            live.name: {} if live.is_hash else bytes(live.size) for live in self._variable
        }
        self._fresh = True

    @staticmethod
    def _is_variable(live: LiveMap) -> bool:
        return live.is_hash or (live.is_array and not live.is_constant and not live.is_per_cpu)

    def _watched(self, everything: bool) -> list[LiveMap]:
        return [live for live in self._variable if everything or live.is_hash or live.size <= _WATCHED_BYTES]

    def _note(self, everything: bool) -> None:
        """Remember what the maps hold: what differs next time was written by user space."""
        for live in self._watched(everything):
            self._known[live.name] = live.elements() if live.is_hash else live.image()

    def _record_writes(self, everything: bool) -> None:
        """Record what user space wrote since the last note."""
        for live in self._watched(everything):
            name, before = live.name.encode(), self._known[live.name]
            if isinstance(before, dict):
                now = live.elements()
                for key in before.keys() - now.keys():
                    self.script.add(Op.DELETE, name, key)
                for key, value in now.items():
                    if before.get(key) != value:
                        self.script.add(Op.WRITE, name, key, value)
            else:
                image = live.image()
                for offset, piece in differences(before, image):
                    self.script.add(Op.POKE, name, u64(offset), piece)

    def _record_followed(self) -> None:
        for live, before in self._followed.items():
            image = live.image()
            fields = (part for offset, piece in differences(before, image) for part in (u64(offset), piece))
            self.script.add(Op.FOLLOW, live.name.encode(), *fields)
            self._followed[live] = image

    def _record_events(self, always: bool = False) -> None:
        for ring in self._rings:
            records = ring.take()
            if records or always:
                self.script.add(Op.EVENTS, ring.name.encode(), self._ignored.get(ring.name, b""), *records)

    def run(self, frame: bytes, *, repeat: int = 1) -> RunResult:
        """Run one frame, once, and record it."""
        if repeat != 1:
            raise ValueError("a recording hook runs each frame once: measure with a plain Hook.")
        self._record_writes(everything=self._fresh)
        self._fresh = False
        result = super().run(frame)
        # What a dropped frame looks like is nobody's business.
        after = b"" if result.verdict == Verdict.DROP else result.frame
        self.script.add(Op.WIRE if self.on_wire else Op.RUN, frame, u32(result.verdict), after)
        self._record_followed()
        self._record_events()
        self._note(everything=False)
        return result

    def reset(self) -> None:
        """Maps as after the load, in the record too."""
        if self._fresh:
            super().reset()
            return
        self._record_writes(everything=False)
        self._note(everything=True)
        super().reset()
        self._record_writes(everything=True)
        self._note(everything=True)

    def expect(self, but: Collection[str] = ()) -> None:
        """Record the whole contents of every map except those named in `but`, as what a player must find."""
        for live in self._maps:
            if live.name in but or live.is_constant:
                continue
            fields: list[bytes] = []
            if live.is_hash:
                fields += (part for pair in sorted(live.elements().items()) for part in pair)
            elif live.is_array:
                fields += (part for offset, piece in contents(live.image()) for part in (u64(offset), piece))
            else:
                continue
            self.script.add(Op.EXPECT, live.name.encode(), self._ignored.get(live.name, b""), *fields)
        self._record_events(always=True)

    def save(self, path: Path) -> None:
        """Write the script."""
        self.script.save(path)

    def __enter__(self) -> RecordingHook:
        return self

    def close(self) -> None:
        """Unload the program."""
        for ring in self._rings:
            ring.close()
        for live in self._maps:
            live.close()
        super().close()

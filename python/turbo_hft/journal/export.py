"""A journal as a table: Parquet for analysis, JSON lines for everything else. One batch is in memory at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from turbo_hft import abi
from turbo_hft.errors import ConfigError, JournalError
from turbo_hft.events import Event, reason_name
from turbo_hft.journal import format as form
from turbo_hft.journal.reader import EventRecord, JournalReader, Note, Record
from turbo_hft.journal.writer import os_problem
from turbo_hft.snapshots import side_name
from turbo_hft.strategies import strategy_name

_EVENT_FIELDS = tuple(field.name for field in fields(Event))
_values = attrgetter(*_EVENT_FIELDS)  # asdict() would copy each value deeply
_ROWS = 1 << 17  # of a row group of Parquet


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records: times are ns since 1970 (from inclusive, until exclusive); empty sets mean all. Notes have kinds
    too; `symbols` leaves them out."""

    since_utc_ns: int = 0
    until_utc_ns: int | None = None
    kinds: frozenset[str] = frozenset()
    symbols: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        known = set(abi.event_kinds().values())
        if not self.kinds <= known | NOTE_KINDS:
            names = ", ".join(sorted(known | NOTE_KINDS))
            raise ConfigError(f"no record is of kind {', '.join(sorted(self.kinds))}: give one of {names}.")


NOTE_KINDS = frozenset(
    (
        *("start", "settings", "continued", "change", "act", "attribution", "lost", "unrecorded", "clock", "stop"),
        *("recovered", "rotated", "closed"),
    )
)
"""Of records that are no events."""


def chosen(reader: JournalReader, selection: Selection) -> Iterator[Record]:
    """The records of a selection."""
    kind_at, symbol_at = (form.EVENT_FIELDS.index(name) for name in ("kind", "symbol"))
    kinds = {number for number, name in abi.event_kinds().items() if name in selection.kinds}

    def wanted(values: tuple[Any, ...]) -> bool:
        if selection.kinds and values[kind_at] not in kinds:
            return False
        return not selection.symbols or reader.symbols.get(values[symbol_at]) in selection.symbols

    records = reader.records(since_utc_ns=selection.since_utc_ns, until_utc_ns=selection.until_utc_ns, wanted=wanted)
    return (record for record in records if isinstance(record, EventRecord) or matches(record, selection))


def matches(record: Record, selection: Selection) -> bool:
    """Is it one of them?"""
    if record.utc_ns < selection.since_utc_ns:
        return False
    if selection.until_utc_ns is not None and record.utc_ns >= selection.until_utc_ns:
        return False
    kind, symbol = (record.kind, None) if isinstance(record, Note) else (record.event.kind, record.event.symbol)
    return (not selection.kinds or kind in selection.kinds) and (not selection.symbols or symbol in selection.symbols)


def as_dict(record: Record) -> dict[str, Any]:
    """JSON-ready: an event's own fields beside its number, run and time, a note's under ``data``."""
    if isinstance(record, EventRecord):
        named = zip(_EVENT_FIELDS, _values(record.event), strict=True)
        return {"record": record.number, "run": record.run, "utc_ns": record.utc_ns, **dict(named)}
    return {
        "record": record.number, "run": record.run, "utc_ns": record.utc_ns, "local_ns": record.mono_ns,
        "kind": record.kind, "data": record.data,
    }  # fmt: skip


def export(reader: JournalReader, file: Path, selection: Selection) -> int:
    """Write the selection to a file that ends in .parquet (events only) or .jsonl; how many rows.

    The file is there when it is whole, and not before. Raises ConfigError for another ending, and if pyarrow is needed
    and not installed; JournalError for what the disk or the journal has.
    """
    ways: dict[str, Callable[[JournalReader, Path, Selection], int]] = {".parquet": _parquet, ".jsonl": _jsonl}
    if file.suffix not in ways:
        raise ConfigError(f"{file}: give a name that ends in .parquet or .jsonl.")
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        rows = ways[file.suffix](reader, part, selection)
        part.replace(file)
    except OSError as error:
        if isinstance(error, JournalError):
            raise
        raise os_problem(error, f"cannot write {file}") from error
    finally:
        part.unlink(missing_ok=True)
    return rows


def _jsonl(reader: JournalReader, file: Path, selection: Selection) -> int:
    rows = 0
    with file.open("w", encoding="utf-8") as out:
        for record in chosen(reader, selection):
            out.write(json.dumps(as_dict(record), separators=(",", ":"), default=str) + "\n")
            rows += 1
    return rows


def _parquet(reader: JournalReader, file: Path, selection: Selection) -> int:
    try:
        import numpy as np
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError(
            f"{error.name} is not installed, which Parquet needs: pip install 'turbo-hft[journal]', or give .jsonl."
        ) from None
    cell = np.dtype([(name, _numpy(letter)) for name, letter in _letters()] + [("crc", "<u4")])
    words = {"kind": abi.event_kind, "side": side_name, "strategy": strategy_name}
    dictionary = pa.dictionary(pa.int32(), pa.string())
    named = {"kind": dictionary, "symbol": dictionary, "side": dictionary, "strategy": dictionary, "reason": dictionary}
    plain = [(name, pa.from_numpy_dtype(cell[name])) for name in form.EVENT_FIELDS]
    first = [("record", pa.int64()), ("run", pa.int32()), ("utc_ns", pa.timestamp("ns", tz="UTC"))]
    schema = pa.schema([*first, *((name, named.get(name, kind)) for name, kind in plain), ("reason_code", pa.uint32())])
    symbols: list[str] = []
    places: dict[int, int] = {}
    reasons: list[str] = [""]
    reason_places: dict[tuple[int, int], int] = {}
    rows = 0

    def symbol_place(slot: int) -> int:
        name = reader.symbols.get(slot, f"#{slot}")
        if slot not in places or symbols[places[slot]] != name:
            places[slot] = len(symbols)
            symbols.append(name)
        return places[slot]

    def reason_place(kind: int, code: int) -> int:
        if (kind, code) not in reason_places:
            reason_places[kind, code] = len(reasons)
            reasons.append(reason_name(abi.event_kind(kind), code))
        return reason_places[kind, code]

    def batch_of(part: Any, numbers: Any, runs: Any, utc: Any) -> Any:
        columns = [pa.array(numbers), pa.array(runs), pa.array(utc).cast(pa.timestamp("ns", tz="UTC"))]
        for name in form.EVENT_FIELDS:
            values = np.ascontiguousarray(part[name])
            if name == "symbol":
                slots, inverse = np.unique(values, return_inverse=True)
                at = np.array([-1 if slot == abi.NO_SYMBOL else symbol_place(int(slot)) for slot in slots], np.int32)
                indices = at[inverse]
                array = pa.DictionaryArray.from_arrays(
                    pa.array(indices, mask=indices < 0), pa.array(symbols, pa.string())
                )
            elif name == "reason":
                pairs, inverse = np.unique(part["kind"].astype("u8") << 32 | values, return_inverse=True)
                at = np.array([reason_place(int(pair) >> 32, int(pair) & 0xFFFFFFFF) for pair in pairs], np.int32)
                array = pa.DictionaryArray.from_arrays(pa.array(at[inverse]), pa.array(reasons, pa.string()))
            elif name in words:
                numbers_there, inverse = np.unique(values, return_inverse=True)
                texts = [words[name](int(number)) for number in numbers_there]
                array = pa.DictionaryArray.from_arrays(pa.array(inverse.astype(np.int32)), pa.array(texts, pa.string()))
            else:
                array = pa.array(values)
            columns.append(array)
        columns.append(pa.array(np.ascontiguousarray(part["reason"])))
        return pa.Table.from_arrays(columns, schema=schema)

    wanted_kinds = [number for number, name in abi.event_kinds().items() if name in selection.kinds]
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        held: list[Any] = []
        many = 0
        for frame in reader.frames(since_utc_ns=selection.since_utc_ns):
            if frame.kind == form.NOTE:
                before = dict(reader.symbols)
                reader.note_of(frame)
                if reader.symbols != before:
                    places.clear()
                continue
            part = np.frombuffer(frame.payload, cell)
            utc = part["local_ns"].astype("i8") + (frame.utc_ns - frame.mono_ns)
            keep = utc >= selection.since_utc_ns
            if selection.until_utc_ns is not None:
                keep &= utc < selection.until_utc_ns
            if selection.kinds:
                keep &= np.isin(part["kind"], wanted_kinds)
            if selection.symbols:
                slots = [slot for slot, name in reader.symbols.items() if name in selection.symbols]
                keep &= np.isin(part["symbol"], slots)
            if not keep.any():
                continue
            numbers = np.arange(frame.first, frame.first + frame.count, dtype="i8")
            runs = np.full(frame.count, frame.run, dtype="i4")
            held.append(batch_of(part[keep], numbers[keep], runs[keep], utc[keep]))
            many += held[-1].num_rows
            rows += held[-1].num_rows
            if many >= _ROWS:
                writer.write_table(pa.concat_tables(held).unify_dictionaries(), row_group_size=_ROWS)
                held, many = [], 0
        if held:
            writer.write_table(pa.concat_tables(held).unify_dictionaries(), row_group_size=_ROWS)
    return rows


def _letters() -> list[tuple[str, str]]:
    codes = form.CELL.format.lstrip("=").removesuffix("4x")
    return list(zip(form.EVENT_FIELDS, codes, strict=True))


def _numpy(letter: str) -> str:
    return {"I": "<u4", "i": "<i4", "Q": "<u8", "q": "<i8"}[letter]

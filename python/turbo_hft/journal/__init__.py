"""The flight recorder: every decision, reply and change of an engine, on disk, chained so that nothing of it can be
changed, removed or slipped in unnoticed. docs/journal.md has the format byte by byte.

`Journal` writes, `Recorder` fills it from an engine, `JournalReader` reads it, `verify` looks for damage, `explain`
says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from turbo_hft.journal.verify import Verdict, verify  # at once: function and module have one name
from turbo_hft.lazy import names_of

if TYPE_CHECKING:
    from turbo_hft.journal.reader import EventRecord, JournalReader, Note, Record
    from turbo_hft.journal.recorder import Alarm, Recorder, Subscription
    from turbo_hft.journal.writer import Fsync, Journal

__all__ = [
    "Alarm",
    "EventRecord",
    "Fsync",
    "Journal",
    "JournalReader",
    "Note",
    "Record",
    "Recorder",
    "Subscription",
    "Verdict",
    "verify",
]

__getattr__ = names_of(
    __name__,
    {
        "reader": ("EventRecord", "JournalReader", "Note", "Record"),
        "recorder": ("Alarm", "Recorder", "Subscription"),
        "writer": ("Fsync", "Journal"),
    },
)

"""Notes in plain words."""

from __future__ import annotations

from typing import Any

from turbo_hft.journal.reader import Note, changes_of

_FEW = 6


def who(by: Any) -> str:
    """A person and a process; ``unknown`` where nobody told."""
    if not isinstance(by, dict):
        return "unknown"
    login = f", logged in as {by['login']}" if by.get("login") else ""
    return f"{by.get('user')} (uid {by.get('uid')}{login}) by process {by.get('pid')}: {by.get('command')}"


def authors(note: Note) -> str:
    """Who made the changes of a note."""
    told = note.data.get("by") or []
    people = sorted({who(each) for each in (told if isinstance(told, list) else [told])})
    return "; ".join(people) or "somebody who did not tell"


def note_line(note: Note) -> str:
    """One line."""
    data = note.data
    changes = changes_of(note)
    why = f" because {'; '.join(data['why'])}" if isinstance(data.get("why"), list) else ""
    match note.kind:
        case "change":
            few = [f"{key} {old} -> {new}" for key, (old, new) in list(changes.items())[:_FEW]]
            more = f" and {len(changes) - _FEW} more" if len(changes) > _FEW else ""
            return f"change (epoch {data.get('epoch')}): {', '.join(few) or 'nothing'}{more}, by {authors(note)}{why}"
        case "settings":
            return f"settings in force at epoch {data.get('epoch')}: {len(changes)}"
        case "start" | "continued":
            return f"{note.kind}: engine on {data.get('interface')}, {data.get('how')}, by {who(data.get('by'))}"
        case "act":
            reason = f" because {data['why']}" if data.get("why") else ""
            return f"act: {data.get('what')}, by {who(data.get('by'))}{reason}"
        case "attribution":
            return f"epoch {data.get('epoch')} was made by {who(data.get('by'))}"
        case "lost":
            return f"LOST: {data.get('count')} events from id {data.get('first_id')} on did not fit into the ring"
        case "unrecorded":
            ids = f"id {data.get('first_id')} to {data.get('last_id')}"
            return f"UNRECORDED: {data.get('count')} events, {ids}: {data.get('why')}"
        case "clock":
            return f"the wall clock jumped by {int(data.get('jump_ns', 0)) / 1e9:+.3f} s"
        case _:
            return f"{note.kind}: " + ", ".join(f"{key} {value}" for key, value in data.items() if key != "counters")

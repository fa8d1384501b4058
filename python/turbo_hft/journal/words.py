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
    silent = "somebody, while nobody recorded" if note.data.get("while") else "somebody who did not tell"
    return "; ".join(people) or silent


def _because(data: dict[str, Any]) -> str:
    return f" because {data['why']}" if data.get("why") else ""


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
            return f"act: {data.get('what')}, by {who(data.get('by'))}{_because(data)}"
        case "attribution":
            return f"epoch {data.get('epoch')} was made by {who(data.get('by'))}"
        case "lost":
            how = data.get("why") or "did not fit into the ring"
            return f"LOST: {data.get('count')} events from id {data.get('first_id')} on: {how}"
        case "unrecorded":
            ids = f"id {data.get('first_id')} to {data.get('last_id')}"
            return f"UNRECORDED: {data.get('count')} events, {ids}: {data.get('why')}"
        case "takeover":
            after = f", after run {data.get('after_run')} ({data.get('ended')})" if data.get("after_run") else ""
            state = f"{data.get('state')}, {data.get('open_orders')} orders open"
            return f"takeover by {who(data.get('by'))}: {state}{after}"
        case "upgrade":
            build = f"to build {str(data.get('sha256'))[:16]} (was {str(data.get('before_sha256'))[:16] or 'unknown'})"
            came = f": {data['reason']}" if data.get("reason") else f", generation {data.get('generation')}"
            came = "" if data.get("outcome") == "begun" else came
            return f"upgrade {build} {data.get('outcome')}{came}, by {who(data.get('by'))}{_because(data)}"
        case "config":
            came = f": {data['reason']}" if data.get("reason") else f", {data.get('count')} changes"
            return f"config {data.get('file')} {data.get('outcome')}{came}, by {who(data.get('by'))}{_because(data)}"
        case "detach":
            what = f"detach: engine of {data.get('interface')} taken away with {data.get('open_orders')} orders open"
            return f"{what}, by {who(data.get('by'))}{_because(data)}"
        case "clock":
            return f"the wall clock jumped by {int(data.get('jump_ns', 0)) / 1e9:+.3f} s"
        case _:
            return f"{note.kind}: " + ", ".join(f"{key} {value}" for key, value in data.items() if key != "counters")

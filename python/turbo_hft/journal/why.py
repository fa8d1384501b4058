"""Why an order left, or did not: one decision, with all that was in force, out of the journal alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from turbo_hft import abi
from turbo_hft._native import lib
from turbo_hft.errors import ConfigError
from turbo_hft.events import Event
from turbo_hft.journal import format as form
from turbo_hft.journal.lives import Lives
from turbo_hft.journal.reader import EventRecord, JournalReader, Note, changes_of
from turbo_hft.journal.reasons import Case, met
from turbo_hft.journal.words import authors, note_line

DECISIONS = frozenset({"order", "cancel_sent", "refused", "shadow"})
_OURS = frozenset(
    ["order", "accepted", "executed", "canceled", "rejected", "replaced", "modified", "priority", "lost", "broken"]
)
_AROUND = frozenset(["feed_gap", "feed_live", "feed_ended", "book_quarantined", "book_restored", "latched"])
_SWITCHED_ON = {
    "threshold": ("buy_below_e4", "sell_above_e4"), "imbalance": ("imbalance_ppm",),
    "momentum": ("momentum_ticks",), "quoter": ("quote_half_spread_e4",),
}  # fmt: skip
_PARAMETERS = {
    "threshold": ("buy_below_e4", "sell_above_e4", "base_qty", "step_qty", "cap_qty"),
    "imbalance": ("imbalance_ppm", "imbalance_least", "imbalance_qty"),
    "momentum": ("momentum_ticks", "momentum_window_ns", "momentum_qty"),
    "quoter": ("quote_half_spread_e4", "quote_qty", "quote_skew_e4", "quote_inventory", "quote_requote_e4"),
}
_FEW = 10
_SENT_AS = {"session": "as the session was configured", "day": "day"}


@dataclass(slots=True)
class Timeline:
    """What an engine was told, by epoch, from the first recording of it on."""

    base: dict[str, Any] = field(default_factory=dict)
    base_epoch: int = -1
    base_run: int = 0
    notes: list[Note] = field(default_factory=list)

    def at(self, epoch: int) -> tuple[dict[str, Any], list[str]]:
        """Settings in force at an epoch, and what cannot be known of that."""
        settings, doubts = dict(self.base), []
        if self.base_epoch < 0:
            doubts.append("the journal does not have the settings at the run's start: its first segments are missing")
        elif epoch < self.base_epoch:
            doubts.append(f"it was decided before the recording began (epoch {epoch}, recorded from {self.base_epoch})")
        for note in self.notes:
            if int(note.data.get("epoch", 0)) <= epoch:
                settings |= {key: new for key, (_, new) in changes_of(note).items()}
            elif int(note.data.get("from", epoch)) < epoch:
                names = ", ".join(changes_of(note)) or "none of settings"
                doubts.append(
                    f"several changes, epochs {note.data['from'] + 1} to {note.data['epoch']}, were seen in one look: "
                    f"which of them held at {epoch} is not told apart: {names}"
                )
        return settings, doubts

    def last_change(self, keys: Iterable[str], epoch: int) -> Note | None:
        """The newest change of one of these settings up to an epoch."""
        wanted = set(keys)
        found = [n for n in self.notes if int(n.data.get("epoch", 0)) <= epoch and wanted & changes_of(n).keys()]
        return found[-1] if found else None


@dataclass(slots=True)
class _Day:
    """What one pass over the runs of an engine collects."""

    run: int
    timeline: Timeline = field(default_factory=Timeline)
    targets: list[tuple[EventRecord, dict[int, Event], int | None]] = field(default_factory=list)
    history: list[EventRecord] = field(default_factory=list)
    holes: list[Note] = field(default_factory=list)
    acts: list[Note] = field(default_factory=list)
    before: EventRecord | None = None
    after: EventRecord | None = None
    around: list[EventRecord] = field(default_factory=list)
    open_then: dict[int, Event] = field(default_factory=dict)
    feed_then: str = "no word of it before"
    doubtful: dict[str, Event] = field(default_factory=dict)
    latched: list[Event] = field(default_factory=list)


def explain_event(reader: JournalReader, event_id: int, run: int | None = None) -> dict[str, Any]:
    """One event by its id. Raises ConfigError if no record has it."""
    found = reader.find_event(event_id, run)
    if found is None:
        raise ConfigError(f"no event has id {event_id}{_of_run(run)}. `turbo-hft journal tail` shows which there are.")
    return _explain(reader, found.run, event_id=found.event.id)


def explain_order(reader: JournalReader, user_ref: int, run: int | None = None) -> dict[str, Any]:
    """One of our orders by its UserRefNum, from what made it to what became of it. Raises ConfigError."""
    found = reader.find_order(user_ref, run)
    if found is None:
        raise ConfigError(f"no order {user_ref} left{_of_run(run)}, as far as was recorded.")
    return _explain(reader, found.run, event_id=found.event.id)


def explain_sequence(reader: JournalReader, sequence: int, run: int | None = None) -> dict[str, Any]:
    """One message of the feed: the decisions on it, or why there is none."""
    chosen = run if run is not None else _newest_run(reader)
    return _explain(reader, chosen, sequence=sequence)


def _of_run(run: int | None) -> str:
    return "" if run is None else f" in run {run}"


def _newest_run(reader: JournalReader) -> int:
    newest = 0
    for frame in reader.frames():
        newest = max(newest, frame.run)
    return newest


def _explain(reader: JournalReader, run: int, *, event_id: int = 0, sequence: int = 0) -> dict[str, Any]:
    day = _collect(reader, run, event_id, sequence)
    decisions = [_decision(day, *target) for target in day.targets]
    found: dict[str, Any] = {"run": run, "decisions": decisions}
    if sequence:
        found = {"run": run, "feed_seq": sequence, "decisions": decisions}
        if not any(d["event"]["kind"] in DECISIONS for d in decisions):
            found["not_answered"] = _not_answered(day, sequence)
    return found


def _collect(reader: JournalReader, run: int, event_id: int, sequence: int) -> _Day:
    day = _Day(run)
    open_orders: dict[int, Event] = {}
    positions: dict[str | None, int] = {}
    refs: set[int] = set()
    runs = _runs_with(reader, run)
    for record in _of_them(reader, runs):
        if isinstance(record, Note):
            _take_note(day, record)
            continue
        event = record.event
        ours = event.feed_seq == sequence and event.kind in DECISIONS | _AROUND if sequence else event.id == event_id
        if ours:
            day.targets.append((record, dict(open_orders), positions.get(event.symbol)))
            refs |= {event.user_ref} - {0}
        elif refs and (event.user_ref in refs or event.other_ref in refs) and event.kind in _OURS | {"cancel_sent"}:
            day.history.append(record)
        if event.kind in _OURS:
            if event.open_qty:
                open_orders[event.user_ref] = event
            else:
                open_orders.pop(event.user_ref, None)
            if event.kind == "replaced":
                open_orders.pop(event.other_ref, None)
        if sequence:
            _take_around(day, record, sequence, open_orders)
        positions[event.symbol] = event.position
    if not sequence and day.targets:
        # What came before: of an executed order, the order itself.
        wanted = day.targets[0][0].event.user_ref
        if wanted and day.targets[0][0].event.kind in _OURS - {"order"}:
            sent = [order for each in runs if (order := reader.find_order(wanted, each)) is not None]
            day.history[:0] = sent[-1:]
    return day


def _runs_with(reader: JournalReader, run: int) -> list[int]:
    """The recordings of the engine that run is of: it goes on when its recorder is killed."""
    lives = Lives()
    for frame in reader.frames():
        lives.frame(frame)
    return next((life.runs for life in lives.known.values() if run in life.runs), [run])


def _of_them(reader: JournalReader, runs: list[int]) -> Iterator[EventRecord | Note]:
    for frame in reader.frames():
        if frame.run in runs:
            yield from reader.records_of(frame)
        elif frame.kind == form.NOTE:
            reader.note_of(frame)


def _take_note(day: _Day, note: Note) -> None:
    timeline = day.timeline
    match note.kind:
        case "start" if timeline.base_epoch < 0:
            timeline.base_epoch, timeline.base_run = int(note.data.get("epoch", -1)), note.run
        case "settings" if not timeline.notes and note.run == timeline.base_run:
            timeline.base |= {key: new for key, (_, new) in changes_of(note).items()}
        case "change":
            before = timeline.notes[-1] if timeline.notes else None
            if before is not None and not before.data.get("by") and not changes_of(note):
                # A switch was seen in the moment between its store and its epoch, which came with its author.
                before.data.update(by=note.data.get("by", []), why=note.data.get("why", []))
            timeline.notes.append(note)
        case "attribution":
            _attribute(timeline, note)
        case "lost" | "unrecorded":
            day.holes.append(note)
        case "act":
            day.acts.append(note)


def _attribute(timeline: Timeline, word: Note) -> None:
    """Who made a change was heard after the change was seen."""
    for note in timeline.notes:
        epoch = int(word.data.get("epoch", -1))
        if int(note.data.get("from", 0)) < epoch <= int(note.data.get("epoch", 0)):
            note.data.setdefault("by", []).append(word.data.get("by"))
            if word.data.get("why"):
                note.data.setdefault("why", []).append(word.data["why"])


def _take_around(day: _Day, record: EventRecord, sequence: int, open_orders: dict[int, Event]) -> None:
    event = record.event
    on_feed = event.kind in DECISIONS | _AROUND and event.feed_seq
    if on_feed and event.feed_seq < sequence:
        day.before = record
    elif on_feed and event.feed_seq > sequence and day.after is None:
        day.after = record
    if day.after is None:
        day.open_then = dict(open_orders)
        match event.kind:
            case "feed_gap" | "feed_live" | "feed_ended":
                day.feed_then = f"{event.kind} at sequence {event.feed_seq}"
            case "book_quarantined" if event.symbol:
                day.doubtful[event.symbol] = event
            case "book_restored" if event.symbol:
                day.doubtful.pop(event.symbol, None)
            case "latched":
                day.latched.append(event)


def _decision(day: _Day, record: EventRecord, open_orders: dict[int, Event], position: int | None) -> dict[str, Any]:
    event = record.event
    settings, doubts = day.timeline.at(event.epoch)
    mine = [each for each in open_orders.values() if each.symbol == event.symbol and each.user_ref != event.user_ref]
    buys, sells = (sum(each.open_qty for each in mine if each.side == side) for side in ("buy", "sell"))
    case = Case(event, settings, buys, sells)
    found: dict[str, Any] = {
        "event": asdict(event),
        "record": record.number,
        "utc_ns": record.utc_ns,
        "feed_seq": event.feed_seq,
        "book": {"bid_e4": event.bid_e4, "ask_e4": event.ask_e4},
        "position": {"before": position, "after": event.position},
        "open_orders_before": {"buy_qty": buys, "sell_qty": sells, "refs": sorted(each.user_ref for each in mine)},
        "strategy": event.strategy,
        "parameters": _parameters(settings, event),
        "limits": {
            key: value
            for key, value in settings.items()
            if key.startswith(("account.", f"strategy.{event.strategy}.", f"symbol.{event.symbol}.limits."))
        },
        "kill_switches": case.kills,
        "not_known": doubts,
    }
    keys = [*found["parameters"], *found["limits"], *found["kill_switches"]]
    change = day.timeline.last_change(keys, event.epoch)
    found["last_change"] = None if change is None else {"utc_ns": change.utc_ns, "line": note_line(change)}
    if event.kind in DECISIONS:
        found["intent"] = {
            "action": _action(event), "side": event.side, "qty": event.qty, "price_e4": event.price_e4,
            "replaces_or_cancels": event.other_ref or None,
        }  # fmt: skip
    if event.kind in ("refused", "shadow") and event.reason:
        why = met(case)
        found["refusal"] = asdict(why) | {"reason": event.reason}
        change = day.timeline.last_change(why.limits, event.epoch)
        if change is not None:
            found["refusal"]["set_by"] = f"{authors(change)} (record {change.number})"
        doubts += why.unknown
    if event.kind in ("order", "cancel_sent"):
        found["frame"] = _frame(event, settings)
        found["became"] = [
            {"id": r.event.id, "utc_ns": r.utc_ns, "line": _reply(r.event)} for r in day.history if _about(r, event)
        ]
    elif event.user_ref:
        found["order"] = [{"id": r.event.id, "utc_ns": r.utc_ns, "line": _reply(r.event)} for r in day.history]
    if day.holes:
        doubts.append(f"{sum(int(n.data.get('count', 0)) for n in day.holes)} events of this run are not recorded")
    return found


def _about(record: EventRecord, event: Event) -> bool:
    return event.user_ref in (record.event.user_ref, record.event.other_ref)


def _action(event: Event) -> str:
    if event.kind == "cancel_sent":
        return "cancel"
    if event.kind == "order":
        return "replace" if event.other_ref else "enter"
    if not event.other_ref:
        return "enter"
    return "replace" if event.qty else "cancel"


def _parameters(settings: dict[str, Any], event: Event) -> dict[str, Any]:
    if event.strategy == "user":
        return {key: value for key, value in settings.items() if key.startswith("user.")}
    prefix = f"symbol.{event.symbol}.params."
    names = (*_PARAMETERS.get(event.strategy, ()), "tick_e4")
    return {prefix + name: settings[prefix + name] for name in names if prefix + name in settings}


def _frame(event: Event, settings: dict[str, Any]) -> dict[str, Any]:
    """What the message carried, as far as the event and the template tell."""
    protocol = {lib.HFT_OUCH50: "OUCH 5.0", lib.HFT_OUCH42: "OUCH 4.2"}.get(settings.get("template.protocol", 0), "?")
    action = _action(event)
    carried = f"{protocol} in {_transport(bytes.fromhex(settings.get('template.headers', '')))}"
    frame: dict[str, Any] = {"protocol": carried, "message": action, "user_ref": event.user_ref}
    if action == "cancel":
        return frame | {"quantity": 0}
    tif = {"quoter": "day", "threshold": "session", "imbalance": "session", "momentum": "session"}.get(event.strategy)
    side = "B" if event.side == "buy" else "S, or T if it was marked as a short sale"
    frame |= {"side": side, "quantity": event.qty, "symbol": event.symbol, "price_e4": event.price_e4}
    frame["time_in_force"] = _SENT_AS[tif] if tif else "as its intent said, which is not recorded"
    if event.other_ref:
        frame |= {"replaces": event.other_ref}
        frame["quantity"] = f"{event.qty} shall be open; the message adds what its chain has executed"
    return frame


def _transport(headers: bytes) -> str:
    """What carried the order, by the IPv4 protocol of its headers."""
    tagged = headers[12:14] == b"\x81\x00"
    return {b"\x11": "UFO", b"\x06": "SoupBinTCP"}.get(headers[27:28] if tagged else headers[23:24], "?")


def _reply(event: Event) -> str:
    code = f", code {event.reason}" if event.reason else ""
    other = f", order {event.other_ref}" if event.other_ref else ""
    return (
        f"{event.kind} {event.side} {event.qty} at {_price(event.price_e4)}, order {event.user_ref}{other}{code}: "
        f"{event.open_qty} open, position {event.position}"
    )


def _not_answered(day: _Day, sequence: int) -> dict[str, Any]:
    """Why no decision is recorded of a message: what can be said, and what cannot."""
    # Between the two events: what changed there may have held already, or not yet.
    lowest = day.timeline.base_epoch if day.before is None else day.before.event.epoch
    settings, doubts = day.timeline.at(lowest)
    between = [
        f"whether it came before or after this: {note_line(note)}"
        for note in day.timeline.notes
        if changes_of(note)
        and int(note.data.get("epoch", 0)) > lowest
        and (day.after is None or int(note.data.get("from", 0)) < day.after.event.epoch)
    ]
    names = sorted(key.split(".")[1] for key in settings if key.startswith("symbol.") and key.endswith(".slot"))
    symbols = {name: _symbol_then(day, settings, name) for name in names}
    cannot = [
        "which symbol the message was of: the feed itself is not recorded",
        "what the book was: bid and offer are recorded with events only",
        "what a strategy waited for (wait_in_flight, wait_limit) and what had come in one packet: only counted",
        *doubts,
        *between[:_FEW],
        *([f"and {len(between) - _FEW} more changes"] if len(between) > _FEW else []),
    ]
    sure = ["no strategy's intent on it met the gate: an order, a refusal or a shadow's would have left a record"]
    if day.holes:
        spans = ", ".join(note_line(note) for note in day.holes)
        sure = [f"events of this run are missing, so an intent on it may have been among them: {spans}"]
    if day.before is None and day.after is None:
        cannot.insert(0, "whether it passed at all: no recorded event is before or behind it")
    elif day.after is None:
        cannot.insert(0, f"whether it passed at all: the newest event on the feed is of sequence {_seq(day.before)}")
    return {
        "sure": sure,
        "feed": day.feed_then,
        "event_before": _short(day.before),
        "event_after": _short(day.after),
        "engine": settings.get("engine.kill", "not recorded"),
        "symbols": symbols,
        "latched": [f"{event.reason} {event.symbol or event.strategy}" for event in day.latched],
        "cannot_be_known": cannot,
    }


def _symbol_then(day: _Day, settings: dict[str, Any], name: str) -> dict[str, Any]:
    reasons, prefix = [], f"symbol.{name}.params."
    strategy = abi.names("hft_strategy", "HFT_STRATEGY_").get(settings.get(f"{prefix}strategy", 0), "none")
    on = strategy == "user" or any(settings.get(prefix + key) for key in _SWITCHED_ON.get(strategy, ()))
    if strategy == "none":
        reasons.append("no strategy trades it: none was asked")
    elif not on:
        reasons.append(f"{strategy} is switched off by its parameters: it was not asked")
    if name in day.doubtful:
        doubt = day.doubtful[name]
        reasons.append(
            f"its book was in quarantine ({doubt.reason}, since sequence {doubt.feed_seq}): it was not asked"
        )
    mine = [event for event in day.open_then.values() if event.symbol == name]
    if mine and on:
        refs = ", ".join(str(event.user_ref) for event in mine)
        reasons.append(f"order {refs} was open: {strategy} waits for it, unless it changes its own orders")
    if on and not reasons:
        reasons.append(
            f"{strategy} was asked if the message touched its book, and wanted nothing: its condition did not hold"
        )
    return {"strategy": strategy, "armed": on, "why_not": reasons}


def _seq(record: EventRecord | None) -> int:
    return record.event.feed_seq if record else 0


def _short(record: EventRecord | None) -> str | None:
    if record is None:
        return None
    event = record.event
    return f"{event.kind} {event.symbol or ''} {event.reason} at sequence {event.feed_seq} (event {event.id})".replace(
        "  ", " "
    )


def _price(price_e4: int) -> str:
    return f"{price_e4 // 10_000}.{price_e4 % 10_000:04d}"


def lines(found: dict[str, Any]) -> Iterator[str]:
    """An explanation for people."""
    for decision in found["decisions"]:
        yield from _decision_lines(decision, found["run"])
    silent = found.get("not_answered")
    if silent is not None:
        yield f"Feed sequence {found['feed_seq']} was not answered (run {found['run']})."
        for line in silent["sure"]:
            yield f"  sure:     {line}"
        yield f"  engine:   {silent['engine']}; feed: {silent['feed']}"
        for where in ("before", "after"):
            yield f"  {where + ':':<9} {silent[f'event_{where}'] or 'no event'}"
        for name, symbol in silent["symbols"].items():
            yield f"  {name + ':':<9} {'; '.join(symbol['why_not'])}"
        for latch in silent["latched"]:
            yield f"  latched:  {latch}"
        for line in silent["cannot_be_known"]:
            yield f"  unknown:  {line}"


def _decision_lines(decision: dict[str, Any], run: int) -> Iterator[str]:
    event = decision["event"]
    what = f"{event['side']} {event['qty']} {event['symbol']} at {_price(event['price_e4'])}"
    heads = {
        "order": f"Order {event['user_ref']} left: {what}",
        "cancel_sent": f"A cancel of order {event['user_ref']} "
        + (f"was handed to user space to be sent ({event['reason']})" if event["reason"] else "left"),
        "refused": f"Refused ({event['reason']}): {what}",
        "shadow": f"In shadow, {event['strategy']} would have sent {what}"
        + (f", and the gate refused it ({event['reason']})" if event["reason"] else ", and it would have left"),
    }
    yield heads.get(event["kind"], f"{event['kind']} {event['reason']} {event['symbol'] or ''} {what}")
    clocks = f"exchange {event['exchange_ns']} ns after midnight, monotonic {event['local_ns']} ns"
    yield f"  when:     {decision['utc_ns']} ns since 1970 (UTC), {clocks}"
    yield f"  record:   {decision['record']} of run {run}, event {event['id']}, epoch {event['epoch']}"
    book = f"bid {_price(event['bid_e4'])}, offer {_price(event['ask_e4'])}"
    yield f"  tick:     feed sequence {event['feed_seq']}, {book}"
    if event["hook_ns"]:
        yield f"  took:     {event['hook_ns']} ns from the packet's entry to the decision"
    position = decision["position"]
    before = "not known" if position["before"] is None else position["before"]
    yield f"  position: {before} before, {position['after']} after"
    parameters = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in decision["parameters"].items())
    yield f"  strategy: {event['strategy']}" + (f" ({parameters})" if parameters else "")
    refusal = decision.get("refusal")
    if refusal is not None:
        yield f"  gate:     {refusal['words']}"
        for title in ("limits", "values"):
            if refusal[title]:
                yield f"  {title + ':':<9} " + ", ".join(f"{key} {value}" for key, value in refusal[title].items())
        if refusal.get("set_by"):
            yield f"  set by:   {refusal['set_by']}"
    elif event["kind"] in DECISIONS:
        yield "  gate:     every check passed"
    if "frame" in decision:
        yield "  frame:    " + ", ".join(f"{key} {value}" for key, value in decision["frame"].items())
        became = decision["became"]
        for line in became:
            yield f"  then:     {line['line']}"
        if not became:
            yield "  then:     no reply is recorded"
    for line in decision.get("order", ()):
        yield f"  order:    {line['line']}"
    if decision["last_change"]:
        yield f"  changed:  {decision['last_change']['line']}"
    for line in decision["not_known"]:
        yield f"  unknown:  {line}"

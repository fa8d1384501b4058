"""`make journal-check`: every truncation and every flipped bit of a small journal, ten million records exported, how
fast the recorder writes beside how fast the hook can make events, and writers that are killed under load.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from turbo_hft import lab_feed, lab_session
from turbo_hft._native import ffi
from turbo_hft.engine import Engine
from turbo_hft.errors import JournalError
from turbo_hft.journal import EventRecord, Journal, JournalReader, Recorder, verify
from turbo_hft.journal import format as form
from turbo_hft.journal.export import Selection, export
from turbo_hft.testing.scenario import stock_directory
from turbo_hft.wire import itch50, moldudp64
from turbo_hft.wire.frame import udp_frame

_BATCH = form.MOST_EVENTS


def _events(first: int, count: int) -> Any:
    records = ffi.new("struct hft_event[]", count)
    for i in range(count):
        record = records[i]
        record.id, record.local_ns, record.feed_seq = first + i, 1_000_000 + i, first + i
        record.kind, record.symbol, record.strategy = 1 + i % 5, i % 2, 1
        record.user_ref, record.price_e4, record.qty = first + i, 1_500_000 + i % 100, 100
    return records


def _small(directory: Path) -> None:
    with Journal.open(directory, fsync="none") as journal:
        journal.note("settings", {"epoch": 1, "changes": {"symbol.AAPL.slot": [None, 0]}})
        journal.events(_events(1, 1), 1)
        journal.events(_events(2, 4), 4)
        journal.rotate()
        journal.events(_events(6, 4), 4)


def bits(directory: Path, step: int = 1) -> dict[str, Any]:
    """Flip every bit of a small journal, or every so many-th, one at a time."""
    _small(directory)
    checked = missed = misplaced = 0
    for path in form.segment_paths(directory):
        good = path.read_bytes()
        frames = [f for s, f in JournalReader(directory).placed() if s.path == path]
        for number in range(0, 8 * len(good), step):
            at, bit = divmod(number, 8)
            expected = next((f.offset for f in frames if f.offset <= at < f.offset + f.length), 0)
            path.write_bytes(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
            damage = verify(directory).damage
            checked += 1
            missed += not damage
            misplaced += bool(damage) and (damage[0].segment, damage[0].offset) != (path.name, expected)
        path.write_bytes(good)
    return {"bits": checked, "not_detected": missed, "not_located": misplaced}


def truncations(directory: Path, step: int = 1) -> dict[str, Any]:
    """Cut the last segment of a small journal at every byte, or every so many-th: found, survived, and continued."""
    _small(directory)
    last = form.segment_paths(directory)[-1]
    good = last.read_bytes()
    ends = [(f.offset + f.length, f.count if f.kind == form.EVENTS else 0) for f in JournalReader(directory).frames()]
    in_last = [f for s, f in JournalReader(directory).placed() if s.path == last]
    earlier = sum(count for _, count in ends) - sum(f.count for f in in_last if f.kind == form.EVENTS)
    missed = lost = broken = 0
    for cut in range(0, len(good), step):
        last.write_bytes(good[:cut])
        missed += not verify(directory).damage
        with Journal.open(directory, fsync="none") as journal:
            journal.events(_events(100, 1), 1)
        whole = sum(f.count for f in in_last if f.kind == form.EVENTS and f.offset + f.length <= cut)
        found = sum(isinstance(record, EventRecord) for record in JournalReader(directory))
        lost += found != earlier + whole + 1
        broken += not verify(directory).whole
        for path in [*form.segment_paths(directory)[1:], *directory.glob("*.cut")]:
            path.unlink()
    return {"offsets": len(good), "not_detected": missed, "records_lost": lost, "chain_broken_after": broken}


def throughput(directory: Path, seconds: float) -> dict[str, Any]:
    """Events a second that a journal takes, by fsync policy and size of batch; the batches are made before."""
    found: dict[str, Any] = {}
    records = _events(1, _BATCH)
    for policy in ("none", "100ms", "10ms", "batch"):
        for batch in (64, _BATCH):
            where = directory / f"{policy}-{batch}"
            with Journal.open(where, fsync=policy) as journal:
                begin, count = time.monotonic(), 0
                while time.monotonic() - begin < seconds:
                    journal.events(records, batch)
                    count += batch
                took = time.monotonic() - begin
            shutil.rmtree(where)
            found[f"{policy}, batches of {batch}"] = round(count / took)
    return found


def _packets(first: int, many: int) -> list[bytes]:
    """Each takes the offer away and gives a new one: one decision."""
    stamp = {"tracking_number": 0, "timestamp": 34_200_000_000_000}
    packets = []
    for ref in range(1, many + 1):
        new = itch50.AddOrder(
            stock_locate=1, order_ref=ref + 1, side="S", shares=1, stock="AAPL", price=1_500_000, **stamp
        ).encode()  # fmt: skip
        gone = itch50.OrderDelete(stock_locate=1, order_ref=ref, **stamp).encode()
        packets.append(moldudp64.Packet("DAY", first + 2 * (ref - 1), (new, gone)).encode())
    return packets


def _day(engine: Engine) -> tuple[bytes, int]:
    """A symbol that trades, with one offer, on an engine that is halted: headers of the feed's datagrams, and the next
    sequence."""
    stamp: dict[str, int] = {"tracking_number": 0, "timestamp": 34_200_000_000_000}
    feed = lab_feed()
    engine.symbols.add("AAPL", buy_below="200.00", base_qty=1)
    engine.configure(lab_session(), feed)
    headers = udp_frame(
        src_mac="02:00:00:00:00:02", dst_mac="02:00:00:00:00:01", src=(feed.source or "10.77.0.2", 9),
        dst=(feed.group, feed.port), payload=b"",
    )  # fmt: skip
    first = (
        itch50.SystemEvent(stock_locate=0, event_code="Q", **stamp).encode(),
        stock_directory("AAPL", 1, stamp),
        itch50.StockTradingAction(1, 0, stamp["timestamp"], "AAPL", "T", "", "").encode(),
        itch50.AddOrder(
            stock_locate=1, order_ref=1, side="S", shares=1, stock="AAPL", price=1_500_000, **stamp
        ).encode(),
    )  # fmt: skip
    engine.program.inject_all(headers, [moldudp64.Packet("DAY", 1, first).encode()])
    return headers, 1 + len(first)


def peak(events: int) -> dict[str, Any]:
    """Events a second that the hook makes on one core when every packet is a decision that is refused, the cheapest one
    that leaves a record (BPF_PROG_TEST_RUN, without a pause); alone, and with a recorder on the other core."""
    found: dict[str, Any] = {}
    for recorded in (False, True):
        with tempfile.TemporaryDirectory() as name, Engine.load(symbols=64) as engine:
            before = engine.counters()
            headers, sequence = _day(engine)
            packets = _packets(sequence, events)
            if not recorded:
                took = _timed(partial(engine.program.inject_all, headers, packets))
                found["alone"] = {"events_a_second": round(_made(engine, before) / took)}
                continue
            with Journal.open(name, fsync="100ms") as journal:
                with Recorder(engine, journal, on_failure="go-on", on_alarm=lambda alarm: None) as recorder:
                    took = _timed(partial(engine.program.inject_all, headers, packets))
                found["recorded"] = {
                    "events_a_second": round(_made(engine, before) / took), "events": _made(engine, before),
                    "recorded": recorder.recorded, "lost": recorder.lost,
                }  # fmt: skip
            found["recorded"]["whole"] = verify(name).whole
    return found


def _timed(action: Callable[[], object]) -> float:
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def _made(engine: Engine, before: dict[str, int]) -> int:
    now = engine.counters()
    return sum(now[name] - before[name] for name in ("events", "events_lost"))


def exports(directory: Path, records: int) -> dict[str, Any]:
    """A journal of that many events as Parquet and as JSON lines, each in a process of its own: time and memory."""
    where = directory / "journal"
    batch = _events(1, _BATCH)
    begin = time.monotonic()
    with Journal.open(where, fsync="none") as journal:
        journal.note(
            "settings", {"epoch": 1, "changes": {"symbol.AAPL.slot": [None, 0], "symbol.MSFT.slot": [None, 1]}}
        )
        left = records
        while left:
            many = min(left, _BATCH)
            journal.events(batch, many)
            left -= many
    found: dict[str, Any] = {"records": records, "written_s": round(time.monotonic() - begin, 2)}
    found["bytes"] = sum(path.stat().st_size for path in form.segment_paths(where))
    begin = time.monotonic()
    verdict = verify(where)
    assert verdict.whole
    found["verify_s"] = round(time.monotonic() - begin, 2)
    for name in ("x.parquet", "x.jsonl"):
        file = directory / name
        words = [sys.executable, "-m", "turbo_hft.testing.journal_check"]
        done = subprocess.run(
            [*words, "--export-one", str(where), str(file)], capture_output=True, text=True, check=True
        )
        found[name] = json.loads(done.stdout) | {"bytes": file.stat().st_size}
        assert found[name]["rows"] == (records if name == "x.parquet" else verdict.records)
        file.unlink()
    shutil.rmtree(where)
    return found


def _export_one(where: str, file: str) -> None:
    begin = time.monotonic()
    rows = export(JournalReader(where), Path(file), Selection())
    took = round(time.monotonic() - begin, 2)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"rows": rows, "seconds": took, "peak_memory_mb": peak_mb}))


def kills(directory: Path, times: int) -> dict[str, Any]:
    """Kill a writer under load, again and again, over one journal; nothing that it said was synced may be missing."""
    lost = torn = synced_in_all = 0
    for number in range(times):
        words = [sys.executable, "-m", "turbo_hft.testing.journal_check", "--write", str(directory)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(0.05 + 0.013 * (number % 20))
            writer.send_signal(signal.SIGKILL)
            said = writer.stdout.read().split("\n")
        synced = max((int(word) for word in said[:-1] if word), default=0)
        with Journal.open(directory, fsync="none") as journal:
            torn += bool(journal.recovered)
            lost += max(0, synced - journal.next_record)
        synced_in_all += synced
        if not verify(directory).whole:
            raise JournalError(f"after kill {number} the chain is broken: {verify(directory).damage}")
    records = sum(frame.count for frame in JournalReader(directory).frames())
    return {"kills": times, "synced_and_lost": lost, "torn_tails": torn, "records": records}


def _write(where: str) -> None:
    records = _events(1, 500)
    with Journal.open(where, fsync="batch") as journal:
        while True:
            journal.events(records, 500)
            os.write(1, f"{journal.synced_record}\n".encode())


def main() -> int:
    """Run all of it; the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each throughput")
    parser.add_argument("--events", type=int, default=1_000_000, help="that the hook makes in one go")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--directory", help="on the file system that is to be measured (default: a temporary one)")
    parser.add_argument("--export-one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--write", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.export_one:
        _export_one(*args.export_one)
        return 0
    if args.write:
        _write(args.write)
        return 0
    with tempfile.TemporaryDirectory(dir=args.directory) as name:
        root = Path(name)
        found: dict[str, Any] = {}
        measures: tuple[tuple[str, Callable[[], dict[str, Any]]], ...] = (
            ("every_bit", lambda: bits(root / "bits")),
            ("every_truncation", lambda: truncations(root / "cuts")),
            ("killed_writers", lambda: kills(root / "kills", args.kills)),
            ("events_a_second_by_fsync", lambda: throughput(root / "rate", args.seconds)),
            ("hook_peak", lambda: peak(args.events)),
            ("export", lambda: exports(root / "export", args.records)),
        )
        for title, measure in measures:
            found[title] = measure()
            print(json.dumps({title: found[title]}), flush=True)
    zeros = ("not_detected", "not_located", "records_lost", "chain_broken_after", "synced_and_lost")
    bad = [f"{title}: {key}" for title, values in found.items() for key in zeros if values.get(key)]
    print("journal-check: " + ("; ".join(bad) if bad else "all as it should be"), file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

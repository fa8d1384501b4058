"""What the benches of start and watchers make of what they measured."""

from __future__ import annotations

import pytest

from bench.start.run import _by_kind
from bench.watch.run import WATCHERS, Cost, main


def test_a_watchers_cost_is_that_of_neighbours() -> None:
    """The machine got three times slower in the middle, and the watcher costs nothing."""
    cost = Cost("w", [100, 300], [100, 300], [200, 600], [210, 630])
    assert cost.ratio("p50") == 1.0 and cost.ratio("p99") == pytest.approx(1.05)
    cost.busy = 0.125
    assert "x 1.050" in cost.line() and "12.5 % of a CPU, 2 times" in cost.line()


def test_a_watcher_is_any_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for command in WATCHERS.values():
        assert "veth9" in command.format(interface="veth9", root="/r", folder="/f")
    for wrong in (["--watch", "nothing"], ["--watch", "=x"], ["--repetitions", "1"]):
        monkeypatch.setattr("sys.argv", ["watch-bench", *wrong])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
    assert "NAME=COMMAND" in capsys.readouterr().err


def test_memory_by_what_is_mapped() -> None:
    smaps = """\
55d0-55d1 r--p 00000000 08:01 1 /usr/bin/python3.11
Rss: 9 kB
Pss: 4 kB
7f00-7f01 rw-p 00000000 00:00 0
Pss: 10 kB
7f02-7f03 rw-s 00000000 00:0d 17 anon_inode:bpf-map
Pss: 20 kB
7f04-7f05 r--p 00000000 08:01 2 /lib/x86_64-linux-gnu/libc.so.6
Pss: 3 kB
"""
    assert _by_kind(smaps) == {"maps shared with the hook": 20, "heap and stacks": 10, "program and libraries": 7}

"""A wheel runs where nothing can be compiled: a fresh venv, no clang, no bpftool, no headers, an empty PATH."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

ROOT = Path(__file__).resolve().parents[2]
TRADE = """
import os, shutil, sys
assert not os.environ.get("PATH")
assert not any(shutil.which(tool) for tool in ("clang", "clang-19", "bpftool", "gcc", "cc", "ip"))
import turbo_hft
assert turbo_hft.__file__.startswith(sys.prefix), turbo_hft.__file__
from turbo_hft.addresses import lab_feed, lab_session
from turbo_hft.testing import Hook, Verdict
from turbo_hft.testing.scenario import stock_directory
from turbo_hft.wire import itch50, moldudp64, ufo
from turbo_hft.wire.frame import udp_frame

def frame(source, destination, payload):
    macs = {"src_mac": "02:00:00:00:77:02", "dst_mac": "02:00:00:00:77:01"}
    return udp_frame(src=source, dst=destination, payload=payload, **macs)

with Hook() as hook:
    session, feed = lab_session(), lab_feed()
    hook.engine.symbols.add("AAPL", buy_below="163.20")
    hook.engine.configure(session, feed)
    hook.engine.lease.forever()
    hook.engine.resume()
    hook.run(frame(session.remote, session.local, ufo.LoginAccepted("WHEEL", 1).encode()))
    stamp = {"tracking_number": 0, "timestamp": 1}
    offer = itch50.AddOrder(stock_locate=1, order_ref=1, side="S", shares=100, stock="AAPL", price=1632000, **stamp)
    opening = itch50.SystemEvent(stock_locate=0, event_code="Q", **stamp)
    trading = itch50.StockTradingAction(
        stock_locate=1, stock="AAPL", trading_state="T", reserved="", reason="", **stamp
    )
    bid = itch50.AddOrder(stock_locate=1, order_ref=2, side="B", shares=100, stock="AAPL", price=1631000, **stamp)
    messages = (opening.encode(), stock_directory("AAPL", 1, stamp), trading.encode(), bid.encode(), offer.encode())
    tick = moldudp64.Packet("WHEEL", 1, messages)
    result = hook.run(frame((feed.source, 1), (feed.group, feed.port), tick.encode()))
    assert result.verdict is Verdict.TX, hook.engine.refusals()
    print("traded", hook.engine.orders.open()[0].qty)
"""


@pytest.mark.timeout(300)
def test_a_wheel_trades_with_an_empty_path(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(wheel, check=True, capture_output=True, text=True)
    (built,) = tmp_path.glob("turbo_hft-*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run(
        [str(python), "-I", "-m", "pip", "--disable-pip-version-check", "--quiet", "install", str(built)],
        check=True,
        capture_output=True,
        text=True,
    )
    done = subprocess.run(
        [str(python), "-I", "-c", TRADE], env={"PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "traded 100\n"
    linked = subprocess.run(
        ["ldd", *map(str, tmp_path.rglob("_native*.so"))], capture_output=True, text=True, check=True
    )
    assert "libbpf.so.1" in linked.stdout
    peers = subprocess.run(["ldd", *map(str, tmp_path.rglob("_peers*.so"))], capture_output=True, text=True, check=True)
    assert "libbpf.so.1" in peers.stdout and not any(name in peers.stdout for name in ("liburing", "libxdp", "dpdk"))

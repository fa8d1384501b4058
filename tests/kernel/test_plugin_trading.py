"""A user's strategy trades: through test runs of the program, in shadow, over swaps, and from another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ouch_replies import accepted
from turbo_hft import Engine
from turbo_hft.addresses import lab_feed, lab_session
from turbo_hft.errors import ConfigError, LoadError
from turbo_hft.events import Event
from turbo_hft.lab import Lab
from turbo_hft.testing import Hook, Verdict
from turbo_hft.testing.scenario import stock_directory
from turbo_hft.wire import itch50, moldudp64, ouch50, ufo
from turbo_hft.wire.frame import udp_frame
from user_strategies import BUYER, EXAMPLE, ROOT, body, compiled

pytestmark = pytest.mark.kernel

SESSION, FEED = lab_session(), lab_feed()
BID_E4, ASK_E4 = 1_500_000, 1_501_000
Compile = Callable[..., Path]


class Day:
    """AAPL with a bid and an offer, asked of the user's strategy."""

    def __init__(self, hook: Hook, *, shadow: bool = False) -> None:
        self.hook, self.engine = hook, hook.engine
        self.sequence = self.reply_sequence = 1
        self.clock = 34_200_000_000_000
        symbol = self.engine.symbols.add("AAPL")
        symbol.strategy = None if shadow else "user"
        if shadow:
            symbol.shadow = frozenset({"user"})
        self.engine.configure(SESSION, FEED)
        self.engine.lease.forever()
        self.engine.resume()
        self._frame(SESSION.remote, SESSION.local, ufo.LoginAccepted("DAY", 1).encode())
        stamp = {"tracking_number": 0, "timestamp": self.clock}
        opening = itch50.SystemEvent(stock_locate=0, event_code="Q", **stamp).encode()
        trading = itch50.StockTradingAction(
            stock_locate=1, stock="AAPL", trading_state="T", reserved="", reason="", **stamp
        ).encode()
        self.feed(opening, stock_directory("AAPL", 1, stamp), trading)
        self.ref = 0

    def _frame(self, source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> Verdict:
        macs = (SESSION.remote_mac, SESSION.local_mac)
        frame = udp_frame(src_mac=macs[0], dst_mac=macs[1], src=source, dst=destination, payload=payload)
        return self.hook.run(frame).verdict

    def feed(self, *messages: bytes) -> Verdict:
        """The next packet."""
        packet = moldudp64.Packet("DAY", self.sequence, messages)
        self.sequence += len(messages)
        return self._frame((str(FEED.source), 9), (FEED.group, FEED.port), packet.encode())

    def rest(self, side: str, shares: int, price_e4: int) -> Verdict:
        """An order joins the book."""
        self.ref += 1
        self.clock += 1_000_000
        return self.feed(
            itch50.AddOrder(
                stock_locate=1,
                tracking_number=0,
                timestamp=self.clock,
                order_ref=self.ref,
                side=side,
                shares=shares,
                stock="AAPL",
                price=price_e4,
            ).encode()
        )

    def reject(self, user_ref: int) -> None:
        """The exchange does not take an order."""
        message = ouch50.Rejected(timestamp=self.clock, user_ref_num=user_ref, reason=1, cl_ord_id="").encode()
        self._frame(SESSION.remote, SESSION.local, ufo.Sequenced(self.reply_sequence, (message,)).encode())
        self.reply_sequence += 1

    def accept(self, order: Event) -> None:
        """The exchange takes it."""
        side = "B" if order.side == "buy" else "S"
        message = accepted(order.user_ref, side, order.qty, order.price_e4, timestamp=self.clock).encode()
        self._frame(SESSION.remote, SESSION.local, ufo.Sequenced(self.reply_sequence, (message,)).encode())
        self.reply_sequence += 1

    def events(self, *kinds: str) -> list[Event]:
        """Those of these kinds since the last call."""
        return [event for event in self.engine.events.drain() if event.kind in kinds]

    def order(self) -> Event:
        """The one order that left since the last call."""
        (order,) = self.events("order")
        return order


@pytest.fixture
def make(tmp_path: Path) -> Compile:
    def compile_it(text: str, name: str = "mine", *flags: str) -> Path:
        return compiled(tmp_path, text, name, *flags)

    return compile_it


@pytest.fixture
def day() -> Iterator[Day]:
    with Hook(symbols=16, orders=256, kept=64) as hook:
        yield Day(hook)


def test_none_linked_in_wants_nothing(day: Day) -> None:
    assert day.rest("S", 100, ASK_E4) is Verdict.DROP
    assert day.engine.counters()["signals"] == 1
    assert day.engine.counters()["intents"] == 0


def test_the_example_leans_on_the_heavier_side(day: Day, make: Compile) -> None:
    day.engine.load_strategy(make(EXAMPLE.read_text(), "lean"))
    params = day.engine.user.params
    params.most_spread_e4 = 1000
    assert day.rest("B", 700, BID_E4) is Verdict.DROP
    assert day.rest("S", 300, ASK_E4) is Verdict.DROP, "70 %"
    params.heavy_pct = 70
    assert day.rest("B", 1, BID_E4 - 100) is Verdict.TX
    order = day.order()
    assert (order.strategy, order.side, order.price_e4, order.qty) == ("user", "buy", ASK_E4, 100)
    assert day.rest("B", 1, BID_E4 - 100) is Verdict.DROP, "one order at a time"
    day.accept(order)
    params.rest_ns = 5_000_000
    day.rest("B", 1, BID_E4 - 100)
    assert not day.events("cancel_sent")
    day.clock += 10_000_000
    assert day.rest("B", 1, BID_E4 - 100) is Verdict.TX, "it rested for too long"
    (cancel,) = day.events("cancel_sent")
    assert cancel.user_ref == order.user_ref


def test_an_intent_is_subject_to_the_gate(day: Day, make: Compile) -> None:
    day.engine.load_strategy(make(BUYER))
    day.rest("B", 100, BID_E4)
    day.engine.user.params.qty = 501
    assert day.rest("S", 100, ASK_E4) is Verdict.DROP
    (refused,) = day.events("refused")
    assert (refused.reason, refused.strategy) == ("max_order_qty", "user")
    day.engine.strategies["user"].halt()
    day.engine.user.params.qty = 1
    day.rest("S", 100, ASK_E4)
    assert day.events("refused")[0].reason == "halted_strategy"
    day.engine.strategies["user"].resume()
    assert day.rest("S", 100, ASK_E4) is Verdict.TX


def test_in_shadow_it_says_what_it_would_have_done(make: Compile) -> None:
    with Hook(symbols=16, orders=256, kept=64) as hook:
        day = Day(hook, shadow=True)
        day.engine.load_strategy(make(BUYER))
        day.rest("B", 100, BID_E4)
        assert day.rest("S", 100, ASK_E4) is Verdict.DROP
        (shadow,) = day.events("shadow")
        assert (shadow.strategy, shadow.side, shadow.qty) == ("user", "buy", 100)
        assert day.engine.counters()["shadow_intents"] == 1
        assert day.engine.counters()["orders"] == 0


def test_every_order_tells_its_generation(day: Day, make: Compile) -> None:
    table = day.engine.user.generations
    day.rest("B", 100, BID_E4)
    orders = []
    for qty in range(1, 101):
        if qty <= 10:
            path = make(BUYER.replace(".qty = 100", f".qty = {qty}"), f"qty{qty}")
        done = day.engine.load_strategy(path.with_name(f"qty{(qty - 1) % 10 + 1}.o"), keep_params=False)
        assert done.number == qty
        day.clock += 20_000_000  # the throttles let 100 a second leave
        assert day.rest("S", 100, ASK_E4) is Verdict.TX
        order = day.order()
        day.reject(order.user_ref)
        orders.append(order)
    assert day.engine.feed.expected_seq == day.sequence
    for number, order in enumerate(orders, 1):
        generation = table.of_epoch(order.epoch)
        assert order.epoch >= generation.settled_epoch
        assert (generation.number, generation.name) == (number, f"qty{order.qty}")


def test_what_it_writes_into_its_signal_goes_nowhere(day: Day, make: Compile) -> None:
    scribble = """
	volatile __u64 *words = (volatile __u64 *)signal;
	for (int i = 0; i < (int)(sizeof(*signal) / 8); i++)
		words[i] = ~0ULL;
	intents->count = ~0U;
	"""
    day.engine.load_strategy(make(body(scribble), "mine", "-Wno-cast-qual"))
    day.rest("B", 100, BID_E4)
    day.rest("S", 200, ASK_E4)
    snapshot = day.engine.symbols["AAPL"].snapshot()
    assert (snapshot.health, snapshot.position, snapshot.orders_sent) == ("ok", 0, 0)
    day.engine.load_strategy(make(BUYER))
    assert day.rest("B", 100, BID_E4) is Verdict.TX
    assert day.order().price_e4 == ASK_E4


def test_a_refused_one_leaves_the_old_one_trading(day: Day, make: Compile) -> None:
    day.engine.load_strategy(make(BUYER, "good"))
    day.rest("B", 100, BID_E4)
    with pytest.raises(LoadError) as error:
        day.engine.load_strategy(make(body("intents->intent[signal->slot & 63].qty = 1;"), "bad"))
    assert "intents->intent[signal->slot & 63].qty = 1;" in error.value.verifier_log
    with pytest.raises(ConfigError):
        day.engine.load_strategy(make(body("control++;", "extern int control;"), "worse"))
    assert day.rest("S", 100, ASK_E4) is Verdict.TX
    order = day.order()
    assert (order.qty, day.engine.user.generations.of_epoch(order.epoch).name) == (100, "good")


def test_its_variables_are_its_own(day: Day, make: Compile) -> None:
    text = body("hft_enter(intents, HFT_BUY, signal->after.price_e4[1], ++calls, 0);", "static __u32 calls = 10;")
    day.engine.load_strategy(make(text))
    day.rest("S", 100, ASK_E4)
    day.rest("B", 100, BID_E4)
    assert [event.qty for event in day.events("order", "refused")] == [11, 12]


# From another process

ANOTHER = """
import json, sys
from turbo_hft import Engine
with Engine.adopt(sys.argv[1]) as engine:
    before = engine.user.generation
    engine.load_strategy(sys.argv[2])
    engine.user.params.qty = 55
    print(json.dumps([before, engine.user.generation, engine.epoch]))
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    tag = f"{os.getpid() % 100_000:05d}"
    with Lab(namespace=f"plug_{tag}", device=f"pl{tag}a", peer=f"pl{tag}b", subnet="10.204.7.0/24") as made:
        yield made


def test_another_process_swaps_and_the_owner_goes_on_with_it(lab: Lab, make: Compile) -> None:
    paths = make(BUYER, "first"), make(BUYER.replace(".qty = 100", ".qty = 200"), "second")
    with Engine.open(lab.addresses.device, symbols=16, orders=256, kept=64) as engine:
        engine.load_strategy(paths[0])
        engine.attach()
        first = engine.program.facts().id
        done = subprocess.run(
            [sys.executable, "-c", ANOTHER, lab.addresses.device, str(paths[1])],
            capture_output=True,
            text=True,
            check=True,
        )
        before, after, epoch = json.loads(done.stdout)
        assert (before, after, epoch) == (1, 2, engine.epoch)
        assert (engine.user.generation, engine.user.name, engine.user.params.qty) == (2, "second", 55)
        assert engine.program.facts().id != first
        assert engine.attached
        engine.load_strategy(paths[0])
        assert engine.user.generation == 3


def test_the_command_line(lab: Lab, make: Compile) -> None:
    device = lab.addresses.device

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "turbo_hft.cli", "strategy", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done

    source = make(EXAMPLE.read_text(), "lean").with_suffix(".c")
    assert (Path(run("header-dir").stdout.strip()) / "hft" / "strategy_api.h").is_file()
    built = source.with_name("built.o")
    run("build", str(source), "-o", str(built))
    report = json.loads(run("check", str(built), "--json").stdout)
    assert report["ok"] and report["params"]["qty"] == 100 and report["stack"]["hft_user_strategy"] <= 256
    bad = make(body("intents->intent[signal->slot & 63].qty = 1;"), "bad")
    refused = run("check", str(bad), "--json", code=1)
    assert not json.loads(refused.stdout)["ok"]
    assert "invalid access" in json.loads(refused.stdout)["log"]
    assert "strategy bad was refused" in run("check", str(bad), code=1).stderr
    assert "has no function" in run("check", str(make(body("").replace("hft_user", "my"), "no")), code=2).stderr
    assert "no interface" in run("swap", str(built), "--interface", "nowhere0", code=3).stderr
    with Engine.open(device, symbols=16, orders=256, kept=64) as engine:
        engine.attach()
        where = ("--interface", device)
        assert json.loads(run("swap", str(built), *where, "--json").stdout)["generation"] == 1
        assert engine.user.name == "built"
        run("set", "qty=7", "heavy_pct=0x50", *where)
        assert engine.user.params.qty == 7
        assert "qty" in run("set", "qty=-1", *where, code=2).stderr
        assert "no_such" in run("set", "no_such=1", *where, code=2).stderr
        assert "qty = 7" in run("show", *where).stdout
        assert json.loads(run("swap", str(built), *where, "--json").stdout)["params"]["qty"] == 7
        fresh = json.loads(run("swap", str(built), "--fresh-params", *where, "--json").stdout)
        assert (fresh["generation"], fresh["params"]["qty"]) == (3, 100)
        assert "strategy bad was refused" in run("swap", str(bad), *where, code=1).stderr
        assert engine.user.name == "built"
        run("unload", *where)
        assert (engine.user.size, engine.user.generation) == (0, 4)


def test_a_program_without_a_link_is_not_swapped(lab: Lab, make: Compile) -> None:
    path, device = make(BUYER), lab.addresses.device
    ip = ["ip", "link", "set", "dev", device]
    # iproute2 mounts a BPF file system for itself; in a mount namespace of its own that mount ends with it.
    load = ["unshare", "--mount", *ip, "xdp", "obj", str(ROOT / "build" / "xdp_hft.bpf.o"), "sec", "xdp"]
    subprocess.run(load, check=True)
    try:
        with Engine.adopt(device) as engine, pytest.raises(ConfigError, match="without a link"):
            engine.load_strategy(path)
    finally:
        subprocess.run([*ip, "xdp", "off"], check=True)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_swaps_under_a_whole_market(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.swap_test", "--swaps", "30", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["swaps"] == 30
    assert figures["orders_by_generation"] >= 25
    assert figures["messages"] > 100_000

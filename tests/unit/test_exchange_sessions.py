"""UFO sessions of the exchange, and the day around them: logins, repeats, heartbeats, open, close, log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from exchange_rig import PRICE, SECOND, enter50, exchange, logged_in, market, published
from turbo_hft.exchange import ExchangeConfig, ExchangeCore, Phase
from turbo_hft.exchange.inprocess import InProcessClient
from turbo_hft.wire import moldudp64, ouch50, ufo

# UFO sessions


def test_login_names_session_and_next_sequence() -> None:
    client = InProcessClient(exchange())
    assert client.login() == ufo.LoginAccepted("HFT0000001", 1)
    assert isinstance(client.replies[0], ouch50.SystemEvent)
    assert client.replies[0].event_code == "S"


@pytest.mark.parametrize(
    ("username", "password", "session", "reason"),
    [
        ("HFT001", "WRONG", "", "A"),
        ("NOBODY", "SECRET", "", "A"),
        ("HFT001", "SECRET", "OTHER", "S"),
        ("NOBODY", "SECRET", "OTHER", "A"),
    ],
)
def test_wrong_logins_are_rejected(username: str, password: str, session: str, reason: str) -> None:
    core = exchange()
    client = InProcessClient(core)
    assert client.login(username, password, session) == ufo.LoginRejected(reason)
    assert client.send(enter50(1)) == []
    assert core.ports["ouch50"].count["not_logged_in"] == 1


def test_login_to_the_session_by_name_and_without_regard_to_case() -> None:
    assert isinstance(InProcessClient(exchange()).login("hft001", "secret", "hft0000001"), ufo.LoginAccepted)


def test_a_second_login_takes_the_account_over() -> None:
    core = exchange()
    old, new = logged_in(core), logged_in(core, last_octet=9)
    assert old.send(enter50(1)) == []
    assert new.control[0] == ufo.LoginAccepted("HFT0000001", 2)
    assert isinstance(new.core.accounts["ouch50"].clients["HFT001"].address, tuple)
    assert new.core.accounts["ouch50"].clients["HFT001"].address == ("10.77.0.9", 26400)


def test_logoff() -> None:
    core = exchange()
    client = logged_in(core)
    client.upstream(ufo.Logoff())
    assert client.send(enter50(1)) == []
    assert core.ports["ouch50"].count["not_logged_in"] == 1


def test_replies_are_kept_and_sent_again() -> None:
    core = exchange()
    client = logged_in(core)
    client.send(enter50(1), enter50(2))
    wire = core.on_upstream(
        "ouch50", client.address, ufo.encode_upstream(ufo.RetransmissionRequest(2, 2)), 0
    )  # fmt: skip
    again = ufo.decode_downstream(wire[0][2])
    assert isinstance(again, ufo.Sequenced)
    assert again.sequence == 2
    assert [ouch50.decode_outbound(m) for m in again.messages] == client.replies[1:3]


def test_a_new_client_gets_the_whole_day_on_request() -> None:
    core = exchange()
    first = logged_in(core)
    for ref in range(1, 400):
        first.send(enter50(ref))
    second = logged_in(core, last_octet=2)
    accepted = second.control[0]
    assert isinstance(accepted, ufo.LoginAccepted)
    assert accepted.sequence == 401
    second.upstream(ufo.RetransmissionRequest(1, 65_535))
    assert second.replies == first.replies
    assert len(second.replies) == 400


@pytest.mark.parametrize(("first", "count"), [(0, 1), (5, 1), (1, 0)])
def test_a_request_for_nothing_is_answered_with_a_heartbeat(first: int, count: int) -> None:
    client = logged_in(exchange())
    client.upstream(ufo.RetransmissionRequest(first, count))
    assert client.control[-1] == ufo.Sequenced(2, ())


def test_heartbeat_after_a_second_of_silence() -> None:
    core = exchange()
    client = logged_in(core)
    client.take(core.replies(SECOND - 1))
    assert len(client.control) == 1
    client.take(core.replies(SECOND))
    client.take(core.replies(SECOND + 1))
    assert client.control[1:] == [ufo.Sequenced(2, ())]


@pytest.mark.parametrize("port", ["ouch50", "ouch42"])
@pytest.mark.parametrize(
    "datagram", [b"", b"\0", b"\0\0", b"\0\x05L", b"\0\x01Z", b"\0\x02UO", b"\0\x01U", b"\xff" * 60, b"\0\x01R\0"]
)
def test_malformed_datagrams_change_nothing(port: str, datagram: bytes) -> None:
    core = exchange()
    client = logged_in(core, port)
    assert client.raw(datagram) == []
    assert core.ports[port].count["malformed"] == 1


# The day around it


def test_before_the_market_opens_orders_are_rejected() -> None:
    core = ExchangeCore(ExchangeConfig(wait_for_login=True, start_delay_s=5))
    assert core.tick(0) == []
    client = logged_in(core)
    assert core.tick(0) == []
    (rejected,) = client.send(enter50(1))
    assert isinstance(rejected, ouch50.Rejected)
    assert rejected.reason == 0x02
    assert core.tick(5 * SECOND)


def test_the_close_cancels_what_is_open_and_rejects_what_comes_later() -> None:
    core = exchange(linger_s=0.2)
    client = logged_in(core)
    client.send(enter50(1))
    published(core)
    core.stop(SECOND, "test")
    packets = core.tick(SECOND)
    canceled, day_end = client.take(core.replies(SECOND))
    assert isinstance(canceled, ouch50.Canceled) and canceled.reason == "E"
    assert isinstance(day_end, ouch50.SystemEvent) and day_end.event_code == "E"
    (rejected,) = client.send(enter50(2), now_ns=SECOND)
    assert isinstance(rejected, ouch50.Rejected) and rejected.reason == 0x02
    assert [p.messages[0][:1] for p in map(moldudp64.decode, packets) if isinstance(p, moldudp64.Packet)] == [
        b"D", b"S", b"S", b"S"
    ]  # fmt: skip
    packets += core.tick(2 * SECOND)
    client.take(core.replies(2 * SECOND))
    assert [type(moldudp64.decode(p)) for p in packets[-3:]] == [moldudp64.EndOfSession] * 3
    assert client.control[-1] == ufo.EndOfSession(len(client.replies) + 1)
    assert core.phase is Phase.ENDED


def test_ledger_and_log_agree_with_what_the_client_saw(tmp_path: Path) -> None:
    core = exchange(log=tmp_path / "log")
    client = logged_in(core)
    market(core, "S", 30)
    published(core)
    seen = core.publisher.last_sequence
    client.send(enter50(1, "B", 100, tif="3"))
    client.send(enter50(2, "B", 0))
    core.audit.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    orders = [line for line in lines if line["kind"] == "order"]
    assert [(o["user_ref"], o["outcome"], o["feed_seq"]) for o in orders] == [
        (1, "accepted", seen),
        (2, "rejected", seen),
    ]
    assert (orders[0]["side"], orders[0]["qty"], orders[0]["price_e4"]) == ("B", 100, PRICE)
    assert orders[0]["executed_qty"] == 30
    (execution,) = [line for line in lines if line["kind"] == "execution"]
    assert (execution["key"], execution["qty"], execution["price_e4"]) == (1, 30, PRICE)
    position = core.ledger.of("HFT001", "AAPL")
    assert (position.position, position.bought_e4, position.canceled_qty, position.rejected) == (30, 30 * PRICE, 70, 1)


def test_an_execution_belongs_to_two_sides() -> None:
    core = exchange(accounts={"HFT001": "SECRET", "HFT002": "SECRET"})
    buyer = logged_in(core)
    seller = InProcessClient(core, address=("10.77.0.2", 26400))
    seller.login("HFT002")
    buyer.send(enter50(1, "B", 100))
    seller.send(enter50(2, "S", 40))
    buyer.upstream(ufo.RetransmissionRequest(1, 10))
    executed = [m for client in (buyer, seller) for m in client.replies if isinstance(m, ouch50.Executed)]
    assert {(m.user_ref_num, m.liquidity_flag) for m in executed} == {(1, "A"), (2, "R")}
    assert [core.ledger.of(account, "AAPL").position for account in ("HFT001", "HFT002")] == [40, -40]

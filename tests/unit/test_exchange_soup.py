"""Order entry over SoupBinTCP at the exchange, without sockets: logins, numbers, time-outs, takeovers, faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exchange_rig import PRICE, SECOND, enter42, enter50, exchange, logged_in, market, replace50
from soup_rig import CURRENT, Talk, replies_of
from turbo_hft.errors import ConfigError
from turbo_hft.exchange import ExchangeConfig, ExchangeCore, Faults, OrderFaults
from turbo_hft.exchange.stream_faults import StreamFaults
from turbo_hft.wire import ouch42, ouch50, soupbintcp, ufo
from turbo_hft.wire.soupbintcp import (
    ClientHeartbeat,
    Debug,
    EndOfSession,
    LoginAccepted,
    LoginRejected,
    LoginRequest,
    LogoutRequest,
    SequencedData,
    ServerHeartbeat,
    UnsequencedData,
)

ACCOUNTS = {"HFT001": "SECRET", "HFT002": "SECRET"}


def count(core: ExchangeCore, name: str, port: str = "ouch50") -> int:
    return core.soup[port].counters()[name]


def kinds(replies: list[bytes]) -> str:
    return "".join(chr(reply[0]) for reply in replies)


def canceled(core: ExchangeCore, account: str = "HFT001") -> int:
    return core.ledger.of(account, "AAPL").canceled_qty


# Logging in


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (LoginRequest("HFT001", "SECRET"), LoginAccepted(CURRENT, 1)),
        (LoginRequest("hft001", "secret", CURRENT.lower()), LoginAccepted(CURRENT, 1)),
        (LoginRequest("HFT001", "SECRET", CURRENT, 1, 5000), LoginAccepted(CURRENT, 1)),
        (LoginRequest("HFT001", "WRONG"), LoginRejected("A")),
        (LoginRequest("NOBODY", "SECRET"), LoginRejected("A")),
        (LoginRequest("", ""), LoginRejected("A")),
        (LoginRequest("HFT001", "SECRET", "ANOTHER"), LoginRejected("S")),
        (LoginRequest("HFT001", "WRONG", "ANOTHER"), LoginRejected("A")),
    ],
)
def test_logins(request_: LoginRequest, answer: soupbintcp.Packet) -> None:
    core = exchange()
    talk = Talk(core)
    first, *rest = talk.say(request_)
    assert first == answer
    if isinstance(answer, LoginAccepted):
        assert kinds(replies_of(rest)) == "S" and not talk.is_over()
    else:
        assert not rest and talk.is_over()
        assert (count(core, "logins"), count(core, "logins_rejected")) == (0, 1)
        assert not core.accounts["ouch50"].clients


def test_padding_on_either_side() -> None:
    body = b"L" + b"HFT001" + b"SECRET    " + CURRENT.encode() + b"1".ljust(20)
    assert Talk(exchange()).raw(len(body).to_bytes(2, "big") + body)[0] == LoginAccepted(CURRENT, 1)


@pytest.mark.parametrize(("asked", "given"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (0, 5), (6, 5), (10**19, 5)])
def test_replies_of_the_day_can_be_had_from_any_number(asked: int, given: int) -> None:
    core = exchange()
    first = Talk(core)
    first.login()
    day = replies_of(first.more) + first.send(enter50(1), enter50(2), enter50(3))
    assert kinds(day) == "SAAA"
    first.conversation.gone(SECOND)
    again = Talk(core)
    assert again.login(asked) == given
    assert replies_of(again.more) == day[given - 1 :]
    assert count(core, "replayed") == len(day) - given + 1
    assert kinds(again.send(enter50(4))) == "A"


@pytest.mark.parametrize(
    "faults", [OrderFaults(), OrderFaults(reject=0.4, dead=0.3, cancel_reject=0.5, later_ns=(0, 0))], ids=str
)
def test_the_same_orders_over_either_protocol_are_the_same_orders(faults: OrderFaults) -> None:
    days: list[tuple[str, list[Any]]] = [
        ("ouch50", [enter50(1), enter50(1), enter50(2, "S", 40), replace50(1, 3, 50), ouch50.CancelOrder(3, 0)]),
        ("ouch42", [enter42("A"), enter42("A"), enter42("B", "S", 40), ouch42.CancelOrder("A", 10)]),
    ]
    for port, messages in days:
        datagrams, streams = exchange(order_faults=faults), exchange(order_faults=faults)
        old = logged_in(datagrams, port)
        for message in messages:
            old.send(message)
        talk = Talk(streams, port)
        talk.login()
        replies = replies_of(talk.more) + [reply for message in messages for reply in talk.send(message)]
        assert replies == [reply.encode() for reply in old.replies]
        assert streams.ledger.as_dict() == datagrams.ledger.as_dict()
        assert count(streams, "messages", port) == len(messages)


def test_an_ouch_message_that_is_none_is_ignored_and_the_next_one_counts() -> None:
    core = exchange()
    talk = Talk(core)
    talk.login()
    assert not talk.say(UnsequencedData(b""), UnsequencedData(b"junk"), UnsequencedData(enter50(1).encode()[:-1]))
    assert kinds(talk.send(enter50(1))) == "A"
    assert (count(core, "malformed_messages"), count(core, "malformed"), count(core, "messages")) == (3, 0, 1)


def test_several_clients_trade_with_each_other() -> None:
    core = exchange(accounts=ACCOUNTS)
    buyer, seller, watcher = Talk(core), Talk(core, last_octet=2), Talk(core)
    buyer.login()
    seller.login(user="HFT002")
    assert kinds(buyer.send(enter50(1, "B", 100))) == "A"
    assert kinds(seller.send(enter50(1, "S", 60))) == "AE"
    assert kinds(replies_of(buyer.hear())) == "E"
    market(core, "S", 40)
    assert kinds(replies_of(buyer.hear())) == "E" and not seller.hear() and not watcher.hear()
    assert core.ledger.of("HFT001", "AAPL").position == 100 and core.ledger.of("HFT002", "AAPL").position == -60


# One account, one seat


def test_who_logs_in_takes_the_seat_over_either_protocol() -> None:
    core = exchange()
    first, second = Talk(core), Talk(core, last_octet=2)
    first.login()
    first.send(enter50(1))
    assert second.login(2) == 2 and kinds(replies_of(second.more)) == "A"
    assert first.is_over() and count(core, "superseded") == 1
    assert not first.say(UnsequencedData(enter50(2).encode())) and count(core, "messages") == 1

    client = logged_in(core)
    assert second.is_over() and count(core, "superseded") == 2
    assert client.control == [ufo.LoginAccepted(CURRENT, 3)]
    client.send(enter50(3))
    assert len(client.replies) == 0  # numbers 1 and 2 were not asked for again
    third = Talk(core)
    assert third.login(1) == 1 and kinds(replies_of(third.more)) == "SAA"
    assert not core.ports["ouch50"].logged_in and core.soup["ouch50"].logged_in
    before = core.ports["ouch50"].count["not_logged_in"]
    client.send(enter50(4))
    assert core.ports["ouch50"].count["not_logged_in"] == before + 1
    # What the old one does afterwards does not take the seat from the new one.
    second.conversation.gone(0)
    assert kinds(third.send(enter50(5))) == "A"


def test_an_order_of_one_protocol_is_canceled_over_the_other() -> None:
    core = exchange()
    client = logged_in(core)
    client.send(enter50(1))
    talk = Talk(core)
    talk.login(0)
    (reply,) = talk.send(ouch50.CancelOrder(1, 0))
    assert isinstance(ouch50.decode_outbound(reply), ouch50.Canceled)


# Time


def test_heartbeats_each_second_without_anything_else() -> None:
    core = exchange()
    talk = Talk(core)
    assert not talk.hear(5 * SECOND)  # not before the login
    talk.login(now_ns=5 * SECOND)
    assert not talk.hear(6 * SECOND - 1)
    assert talk.hear(6 * SECOND) == [ServerHeartbeat()]
    assert talk.conversation.next_due_ns == 7 * SECOND
    assert kinds(talk.send(enter50(1), now_ns=6 * SECOND + SECOND // 2)) == "A"
    assert not talk.hear(7 * SECOND)
    assert talk.hear(7 * SECOND + SECOND // 2) == [ServerHeartbeat()]
    assert count(core, "heartbeats") == 2


@pytest.mark.parametrize(
    ("heartbeat_ms", "silence_ns"), [(None, 15 * SECOND), (2500, 5 * SECOND // 2), (0, 15 * SECOND)]
)
def test_a_silent_client_is_dropped(heartbeat_ms: int | None, silence_ns: int) -> None:
    core = exchange()
    talk = Talk(core)
    talk.login(heartbeat_ms=heartbeat_ms)
    assert not talk.say(ClientHeartbeat(), now_ns=SECOND // 2)
    talk.say(Debug(b"still here"), now_ns=SECOND)
    talk.hear(SECOND + silence_ns - 1)
    assert not talk.is_over()
    assert talk.conversation.next_due_ns <= SECOND + silence_ns
    assert not talk.hear(SECOND + silence_ns)
    assert talk.is_over() and count(core, "silent") == 1


def test_who_does_not_log_in_is_dropped() -> None:
    core = exchange()
    talk = Talk(core)
    talk.say(ClientHeartbeat(), Debug(b"hello"), now_ns=29 * SECOND)
    assert talk.conversation.next_due_ns == 30 * SECOND and not talk.is_over()
    talk.hear(30 * SECOND)
    assert talk.is_over() and count(core, "login_timeouts") == 1


# Who reads slowly


def test_a_client_that_falls_behind_is_dropped_and_resumes() -> None:
    core = exchange(backlog_bytes=4096, accounts=ACCOUNTS)
    slow, quick = Talk(core), Talk(core, last_octet=2)
    slow.login()
    quick.login(user="HFT002")
    reply = len(slow.send(enter50(1))[0])
    allowed = 4096 // (3 + reply)

    def order(ref: int, now_ns: int) -> None:
        slow.conversation.receive(UnsequencedData(enter50(ref).encode()).encode(), now_ns)
        assert slow.conversation.output(now_ns)
        assert kinds(quick.send(enter50(ref, price=PRICE - 100), now_ns=now_ns)) == "A"

    for ref in range(2, allowed + 2):
        order(ref, 0)
    assert slow.conversation.next_due_ns > 2 * SECOND
    order(allowed + 2, SECOND)  # one too many
    assert slow.conversation.next_due_ns == 2 * SECOND
    assert len(replies_of(slow.hear(2 * SECOND - 1))) == allowed + 1  # in time
    for ref in range(allowed + 3, 3 * allowed):
        order(ref, 2 * SECOND)
    data = slow.conversation.output(3 * SECOND - 1)
    slow.conversation.taken(reply, 3 * SECOND - 1)  # some, but not enough
    assert data and not slow.is_over()
    assert not slow.conversation.output(3 * SECOND)
    assert slow.is_over() and count(core, "slow") == 1
    again = Talk(core)
    again.login(2)  # all of it at once: what was asked for is not what one falls behind with
    assert kinds(replies_of(again.more)) == "A" * (3 * allowed - 1)
    assert kinds(again.send(enter50(3 * allowed))) == "A"


@pytest.mark.parametrize("sequence", [0, 1, 90])
def test_what_is_asked_for_again_does_not_count_but_what_is_new(sequence: int) -> None:
    core = exchange(backlog_bytes=4096)
    talk = Talk(core)
    talk.login()
    talk.send(*(enter50(ref) for ref in range(1, 101)))
    again = Talk(core)
    again.conversation.receive(LoginRequest("HFT001", "SECRET", "", sequence).encode(), 0)
    for second in range(4):
        assert again.conversation.output(second * SECOND) and not again.is_over()
    again.hear(4 * SECOND)
    for ref in range(101, 201):
        again.conversation.receive(UnsequencedData(enter50(ref).encode()).encode(), 5 * SECOND)
    assert again.conversation.output(5 * SECOND) and not again.conversation.output(6 * SECOND)
    assert again.is_over() and count(core, "slow") == 1


def test_the_end_of_a_day_that_many_replies_precede() -> None:
    """More than one buffer: the end of the session comes after the last of them."""
    core = exchange(linger_s=0.0)
    talk = Talk(core)
    talk.login()
    talk.send(*(enter50(ref) for ref in range(1, 1501)))
    core.stop(0, "test")
    while core.tick(0) or core.phase.value != "ended":
        pass
    *packets, end = talk.hear()
    assert kinds(replies_of(packets)) == "C" * 1500 + "S" and end == EndOfSession()


def test_a_client_that_takes_nothing_is_dropped_however_little_waits() -> None:
    core = exchange()
    talk = Talk(core)
    talk.login()
    conversation = talk.conversation
    conversation.receive(UnsequencedData(enter50(1).encode()).encode(), SECOND)
    data = conversation.output(SECOND)
    conversation.taken(len(data) - 1, 2 * SECOND)
    for second in range(3, 17):
        conversation.receive(ClientHeartbeat().encode(), second * SECOND)
        assert conversation.output(second * SECOND) and not talk.is_over()
    conversation.receive(ClientHeartbeat().encode(), 17 * SECOND)
    assert not conversation.output(17 * SECOND)
    assert talk.is_over() and count(core, "slow") == 1 and count(core, "heartbeats") == 0


def test_a_long_replay_is_made_piece_by_piece() -> None:
    core = exchange()
    talk = Talk(core)
    talk.login()
    talk.send(*(enter50(ref, tif="3") for ref in range(1, 1001)))
    talk.conversation.gone(0)
    again = Talk(core)
    again.conversation.receive(LoginRequest("HFT001", "SECRET").encode(), 0)
    longest = received = 0
    while data := again.conversation.output(0):
        longest = max(longest, len(data))
        received += min(1000, len(data))
        again.conversation.taken(min(1000, len(data)), 0)
    assert 32_768 <= longest < 33_000 and not again.is_over()
    assert received == 33 + sum(3 + len(reply) for reply in core.accounts["ouch50"].clients["HFT001"].replies)


# The end of a connection, and what becomes of the orders

End = Callable[[ExchangeCore, Talk], Any]
ENDS: dict[str, End] = {
    "logouts": lambda core, talk: talk.say(LogoutRequest()),
    "left": lambda core, talk: talk.conversation.gone(0),
    "silent": lambda core, talk: talk.hear(20 * SECOND),
    "malformed": lambda core, talk: talk.raw(b"\0\0"),
    "superseded": lambda core, talk: Talk(core, last_octet=2).login(),
    "dropped": lambda core, talk: core.soup["ouch50"].drop(0),
}


@pytest.mark.parametrize("cancels", [False, True])
@pytest.mark.parametrize("why", ENDS)
def test_orders_are_canceled_with_their_connection_if_asked_to(why: str, cancels: bool) -> None:
    core = exchange(cancel_on_disconnect=cancels, accounts=ACCOUNTS)
    other, talk = Talk(core, last_octet=9), Talk(core)
    other.login(user="HFT002")
    other.send(enter50(1, price=PRICE - 100))
    talk.login()
    talk.send(enter50(1, "B", 100), enter50(2, "B", 50), ouch50.CancelOrder(2, 0))
    ENDS[why](core, talk)
    both = why == "dropped"  # nobody is left
    assert talk.is_over() and count(core, why) == 1 + both
    assert talk.conversation.resets == both
    assert count(core, "canceled_on_disconnect") == cancels * (1 + both)
    assert canceled(core) == 50 + 100 * cancels and canceled(core, "HFT002") == 100 * (cancels and both)
    again = Talk(core, last_octet=3)
    again.login(5)
    assert kinds(replies_of(again.more)) == ("C" if cancels else "")
    if cancels:
        reply = ouch50.decode_outbound(replies_of(again.more)[0])
        assert isinstance(reply, ouch50.Canceled) and (reply.quantity, reply.reason) == (100, "U")


def test_a_connection_that_was_refused_cancels_nothing() -> None:
    core = exchange(cancel_on_disconnect=True)
    talk, stranger = Talk(core), Talk(core)
    talk.login()
    talk.send(enter50(1))
    assert stranger.say(LoginRequest("HFT001", "WRONG")) == [LoginRejected("A")]
    unknown = Talk(core)
    unknown.raw(b"\0\0")
    assert canceled(core) == 0 and not talk.is_over()


def test_the_end_of_the_day() -> None:
    core = exchange(linger_s=0.0)
    talk, waiting = Talk(core), Talk(core)
    talk.login()
    talk.send(enter50(1))
    core.stop(SECOND // 2, "test")
    while core.tick(SECOND // 2) or core.phase.value != "ended":
        pass
    *replies, end = talk.hear(SECOND // 2)
    assert kinds(replies_of(replies)) == "CS" and end == EndOfSession()
    assert not waiting.hear(SECOND // 2)
    assert talk.is_over() and waiting.is_over() and count(core, "ended") == 2
    assert core.summary()["soupbintcp"] == {name: port.counters() for name, port in core.soup.items()}


def test_the_feed_waits_for_a_login_over_tcp_as_well() -> None:
    core = ExchangeCore(ExchangeConfig(wait_for_login=True, rate=0))
    talk = Talk(core)
    assert not core.tick(0)
    talk.login()
    assert core.tick(0)


# What is no SoupBinTCP, or not from a client

UNFIT = {
    "no type": b"\0\0",
    "unknown type": b"\0\x01?",
    "short login": b"\0\x05LHFT0",
    "login without digits": b"\0\x2fL" + b"HFT001SECRET    " + b" " * 30,
    "login that is not ASCII": b"\0\x2fL" + b"\xff" * 26 + b"1".rjust(20),
    "heartbeat with a payload": b"\0\x02Rx",
    "a server's message": SequencedData(b"x").encode(),
    "a server's heartbeat": ServerHeartbeat().encode(),
    "end of session": EndOfSession().encode(),
    "too long": b"\xff\xffU" + b"x" * 5000,
    "HTTP": b"GET / HTTP/1.1\r\nHost: exchange\r\n\r\n" + b"x" * 20_000,
}


@pytest.mark.parametrize("name", UNFIT)
@pytest.mark.parametrize("in_session", [False, True])
@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_what_is_no_soupbintcp_ends_that_connection_alone(name: str, in_session: bool, piece: int) -> None:
    core = exchange(accounts=ACCOUNTS)
    other, talk = Talk(core, last_octet=2), Talk(core)
    other.login(user="HFT002")
    if in_session:
        talk.login()
    data = UNFIT[name] + LoginRequest("HFT001", "SECRET").encode() + UnsequencedData(enter50(1).encode()).encode()
    for at in range(0, len(data), piece):
        assert not talk.raw(data[at : at + piece])
    assert talk.is_over() and not talk.conversation.has_output
    assert (count(core, "malformed"), count(core, "messages"), count(core, "logins")) == (1, 0, 1 + in_session)
    assert kinds(other.send(enter50(1))) == "A"


@pytest.mark.parametrize("packet", [UnsequencedData(b"x"), LoginRequest("HFT001", "SECRET")])
def test_out_of_place(packet: soupbintcp.ClientPacket) -> None:
    """An order before the login, a login after it."""
    core = exchange()
    talk = Talk(core)
    if isinstance(packet, LoginRequest):
        talk.login()
    assert not talk.say(packet)
    assert talk.is_over() and count(core, "malformed") == 1


# Faults


@pytest.mark.parametrize("resets", [False, True])
def test_cut_in_the_middle_of_a_reply(resets: bool) -> None:
    core = exchange(stream_faults=StreamFaults(cut_after_replies=2, cut_by_reset=resets))
    talk = Talk(core)
    talk.login()
    assert kinds(talk.send(enter50(1))) == "A" and not talk.is_over()
    assert not talk.send(enter50(2))
    pending = len(SequencedData(core.accounts["ouch50"].clients["HFT001"].replies[2]).encode()) // 2
    assert talk.decoder.pending == pending
    assert talk.is_over() and talk.conversation.resets == resets and count(core, "cut") == 1
    again = Talk(core)
    again.login(3)
    assert kinds(replies_of(again.more)) == "A"


def test_cut_before_an_answer() -> None:
    core = exchange(stream_faults=StreamFaults(cut_after_orders=2))
    talk = Talk(core)
    talk.login()
    assert kinds(talk.send(enter50(1))) == "A"
    assert not talk.send(enter50(2), enter50(3)) and talk.decoder.pending == 0
    assert talk.is_over() and count(core, "messages") == 2
    again = Talk(core)
    again.login(3)
    assert kinds(replies_of(again.more)) == "A"


def test_delays_keep_the_bytes_and_their_order() -> None:
    core = exchange(faults_orders=Faults(delay_ns=(1000, 5000)), faults_replies=Faults(delay_ns=(2000, 90_000)))
    talk = Talk(core)
    wanted = [enter50(ref) for ref in range(1, 40)]
    talk.conversation.receive(LoginRequest("HFT001", "SECRET").encode(), 0)
    for at, message in enumerate(wanted):
        talk.conversation.receive(UnsequencedData(message.encode()).encode(), 1000 + at)
    assert not talk.hear(999) and count(core, "logins") == 0
    packets: list[soupbintcp.Packet] = []
    now = 999
    while len(packets) < len(wanted) + 2:
        now = talk.conversation.next_due_ns
        packets += talk.hear(now)
    assert 3000 <= now <= 100_000
    assert packets[0] == LoginAccepted(CURRENT, 1)
    assert replies_of(packets) == core.accounts["ouch50"].clients["HFT001"].replies
    # What was under way when the client left still arrives.
    talk.conversation.receive(UnsequencedData(enter50(50).encode()).encode(), now)
    talk.conversation.gone(now)
    assert count(core, "messages") == len(wanted) + 1 and talk.is_over()


def test_a_delayed_end_of_session_is_waited_for_unless_it_is_a_reset() -> None:
    for resets in (False, True):
        faults = StreamFaults(cut_after_replies=1, cut_by_reset=resets)
        core = exchange(faults_replies=Faults(delay_ns=(1000, 1000)), stream_faults=faults)
        talk = Talk(core)
        talk.conversation.receive(LoginRequest("HFT001", "SECRET").encode(), 0)
        talk.conversation.receive(UnsequencedData(enter50(1).encode()).encode(), 0)
        assert not talk.conversation.output(0)
        assert talk.is_over() == resets
        if not resets:
            assert len(talk.hear(1000)) == 2 and talk.decoder.pending and talk.is_over()


def test_held_replies_share_a_segment() -> None:
    core = exchange(stream_faults=StreamFaults(hold_ns=1000))
    talk = Talk(core)
    talk.conversation.receive(LoginRequest("HFT001", "SECRET").encode(), 0)
    assert not talk.conversation.output(0)
    for ref in range(1, 10):
        talk.conversation.receive(UnsequencedData(enter50(ref).encode()).encode(), ref * 100)
        assert not talk.conversation.output(ref * 100)
    assert talk.conversation.next_due_ns == 1000
    assert len(talk.hear(1000)) == 1 + 1 + 9


def test_a_stalled_reader_and_a_silent_exchange() -> None:
    core = exchange(stream_faults=StreamFaults(stalls_s=((1, 2),)), silences_s=((5, 1),), drops_s=(7,))
    assert [core.hears(at * SECOND // 2) for at in range(14)] == [at not in (2, 3, 4, 5, 10, 11) for at in range(14)]
    assert [core.speaks(at * SECOND // 2) for at in range(14)] == [at not in (10, 11) for at in range(14)]
    talk = Talk(core)
    talk.login()
    core.replies(7 * SECOND)
    assert talk.is_over() and talk.conversation.resets


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cut_after_replies": 0}, "give 1 or more"),
        ({"cut_after_orders": -1}, "give 1 or more"),
        ({"segment_bytes": 0}, "give 1 or more"),
        ({"hold_ns": -1}, "give 0 or more"),
        ({"stalls_s": ((1, 0),)}, "more than 0"),
    ],
)
def test_faults_that_cannot_be(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        StreamFaults(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"client_timeout_s": 0.0}, "client time-out"), ({"backlog_bytes": 100}, "a backlog of 100 bytes")],
)
def test_rules_that_cannot_be(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ExchangeConfig(**settings)


def test_the_log_names_the_transport(tmp_path: Path) -> None:
    core = exchange(log=tmp_path / "log", cancel_on_disconnect=True)
    talk = Talk(core)
    talk.login(now_ns=3)
    talk.send(enter50(1), now_ns=4)
    talk.say(UnsequencedData(b"?"), now_ns=5)
    talk.conversation.gone(6)
    core.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    ours = [line for line in lines if line.get("transport") == "soupbintcp"]
    assert [(line["kind"], line["arrival_ns"], line["port"], line["account"]) for line in ours] == [
        (kind, at, "ouch50", "HFT001")
        for kind, at in (("login", 3), ("order", 4), ("malformed", 5), ("disconnected", 6))
    ]
    assert (ours[-1]["reason"], ours[-1]["canceled"]) == ("left", 1)
    assert [line["kind"] for line in lines if line["arrival_ns"] == 6] == ["canceled", "disconnected"]

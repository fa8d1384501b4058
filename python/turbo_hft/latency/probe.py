"""The exchange's side of the latency rig: it feeds, answers, and holds the only clock.

The measuring loop is native/rtt.c. One round: a tick that the decision holds for goes out, the order comes back, the
exchange accepts and cancels it, and the offer is deleted, so that the next round finds everything as it was. Times are
CLOCK_MONOTONIC from right before the tick's send() to right after the order is seen, both in the exchange, which sends
complete frames through a packet socket, takes orders in its own XDP hook and busy-polls their ring: no system calls.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from turbo_hft import netns
from turbo_hft._native import ffi, lib
from turbo_hft.errors import ExchangeError
from turbo_hft.lab import PASSWORD, USERNAME, LabAddresses
from turbo_hft.latency.placement import on_cpu
from turbo_hft.latency.threshold import Threshold
from turbo_hft.wire import moldudp64, ouch50, ufo
from turbo_hft.wire.frame import udp_frame
from turbo_hft.wire.itch50 import AddOrder, OrderDelete, StockDirectory, StockTradingAction, SystemEvent

SESSION = "LATENCY001"
LOCATE = 1
INTERVAL_NS = 0
_FIRST_TIME_NS = 34_200_000_000_000  # 09:30
_STEP_NS = 1_100_000
_BID_TICKS = 20  # below the target, where no tick comes
_RESTING_ORDERS = 16
_TICK_SHARES = 500
_LARGEST_DATAGRAM = 65_535
_SOL_PACKET, _PACKET_QDISC_BYPASS = 263, 20  # linux/socket.h, linux/if_packet.h
_FLOW = slice(26, 38)  # addresses and ports of an Ethernet frame with IPv4 without options
_LOGIN_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Run:
    """What one responder did in one run; the sequences have one entry a round.

    `rtt_ns`: tick sent to order seen, 0 = no order within the time-out. `orders`: the order datagrams, b"" = none.
    `missed` rounds had no order in time, `late` orders came after their round was given up.
    """

    rtt_ns: tuple[int, ...]
    orders: tuple[bytes, ...]
    missed: int
    late: int


class Probe:
    """An exchange for one participant and one symbol, in the lab's namespace. Use once per responder, as a context.

    The order of things: open the probe, start `login_thread`, start the responder and let it log in, `run`.
    Raises LabError without a lab, ExchangeError when a socket fails.
    """

    def __init__(self, addresses: LabAddresses, threshold: Threshold, *, echo: bool = False) -> None:
        """With ``echo`` a round waits for its own tick to come back instead of an order, and answers nothing."""
        self._addresses = addresses
        self._threshold = threshold
        self._echo = echo
        self._sequence = 1
        self._order_ref = 1
        self._reply_sequence = 1
        self._wire, self._entry, self._capture = netns.run_in(addresses.namespace, self._open)

    def _open(self) -> tuple[socket.socket, socket.socket, Any]:
        """The raw end of the wire, the order-entry port for all that is no order, and the ring of orders."""
        a = self._addresses
        error = ffi.new("int *")
        with ExitStack() as stack:
            try:
                wire = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
                wire.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
                wire.bind((a.peer, 0))  # protocol 0: it only sends
                entry = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                entry.bind((a.exchange_address, a.ouch50_port))
                entry.connect((a.host_address, a.engine_port))
                capture = lib.hft_capture_open(socket.if_nametoindex(a.peer), len(self._awaited()), error)
                if not capture:
                    raise OSError(-error[0], os.strerror(-error[0]))
            except OSError as failed:
                raise ExchangeError(
                    f"the exchange cannot use {a.exchange_address}:{a.ouch50_port} on {a.peer} in {a.namespace} "
                    f"({failed}): stop what is using it, raise the lab again, or run with more capabilities"
                ) from failed
            stack.pop_all()
        return wire, entry, capture

    def __enter__(self) -> Probe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wire.close()
        self._entry.close()
        netns.run_in(self._addresses.namespace, lambda: lib.hft_capture_close(self._capture))

    @contextmanager
    def login_thread(self, timeout_s: float = 10.0) -> Iterator[None]:
        """Serve the responder's login while the block runs, until it is logged in.

        Answers UFO logins and OUCH account queries. Raises ExchangeError when nobody logged in within ``timeout_s``
        after the block, or with a wrong account.
        """
        errors: list[BaseException] = []
        entered, given_up = threading.Event(), threading.Event()

        def body() -> None:
            logged_in = False
            deadline = None
            try:
                while not (logged_in and entered.is_set()) and not given_up.is_set():
                    if entered.is_set() and deadline is None:
                        deadline = time.monotonic() + timeout_s
                    if deadline is not None and time.monotonic() > deadline:
                        raise ExchangeError(f"nobody logged in within {timeout_s} s: did the responder start?")
                    try:
                        datagram = self._entry.recv(_LARGEST_DATAGRAM)
                    except (TimeoutError, ConnectionRefusedError):
                        continue
                    for request in ufo.decode_upstream(datagram):
                        logged_in |= self._serve(request)
            except BaseException as error:
                errors.append(error)

        self._entry.settimeout(_LOGIN_POLL_S)
        thread = threading.Thread(target=body, name="latency-login")
        thread.start()
        try:
            yield
        except BaseException:
            given_up.set()  # the responder never started, or an interrupt struck: nobody will log in
            raise
        finally:
            entered.set()
            thread.join()
            self._entry.settimeout(None)
        if errors:
            raise errors[0]

    def _serve(self, request: ufo.Upstream) -> bool:
        """Answer one request from before the run; whether it was a good login."""
        if isinstance(request, ufo.LoginRequest):
            if (request.username, request.password) != (USERNAME, PASSWORD):
                self._entry.send(ufo.LoginRejected("A").encode())
                raise ExchangeError(f"the responder logged in as {request.username}: the rig's account is {USERNAME}")
            self._entry.send(ufo.LoginAccepted(SESSION, self._reply_sequence).encode())
            return True
        if isinstance(request, ufo.Unsequenced) and request.message == ouch50.AccountQuery().encode():
            answer = ouch50.AccountQueryResponse(timestamp=_FIRST_TIME_NS, next_user_ref_num=1)
            self._entry.send(ufo.Sequenced(self._reply_sequence, (answer.encode(),)).encode())
            self._reply_sequence += 1
        return False

    def run(
        self,
        prices_e4: Sequence[int],
        *,
        interval_ns: int = INTERVAL_NS,
        timeout_ns: int = 50_000_000,
        patience: int = 20,
        cpu: int | None = None,
    ) -> Run:
        """One round per price (each at or below the threshold), on ``cpu`` if given; ends the feed's session.

        ``interval_ns`` is from tick to tick on the wall clock. 0, back to back: warm caches and nobody asleep, the best
        case of every responder. With half a millisecond and more a blocking responder is asleep when the tick comes. On
        the feed's clock a round always takes 1.1 ms, which keeps an engine with that clock below the 1024 orders a
        second that its gate can be set to.

        A missed round waits ``timeout_ns`` and is counted; ``patience`` of them in a row raise ExchangeError.
        """
        if not self._echo:
            self._send_directory()
        rounds = len(prices_e4)
        stride = lib.HFT_RTT_ORDER_BYTES
        tick, after, reply = (ffi.from_buffer(bytearray(part)) for part in self._templates())
        prices = ffi.new("uint32_t[]", list(prices_e4))
        rtt_ns = ffi.new("uint64_t[]", rounds)
        order_len = ffi.new("uint16_t[]", rounds)
        orders = ffi.new("uint8_t[]", rounds * stride)
        run = ffi.new("struct hft_rtt *")
        run.wire_fd, run.capture, run.echo = self._wire.fileno(), self._capture, self._echo
        run.flow = self._awaited()[_FLOW]
        run.tick, run.after, run.reply = (ffi.cast("uint8_t *", part) for part in (tick, after, reply))
        run.tick_len, run.after_len, run.reply_len = len(tick), len(after), len(reply)
        run.rounds, run.interval_ns, run.timeout_ns = rounds, interval_ns, timeout_ns
        run.feed_seq, run.order_ref, run.reply_seq = self._sequence, self._order_ref, self._reply_sequence
        run.exchange_ns, run.step_ns = _FIRST_TIME_NS, _STEP_NS
        run.price_e4, run.rtt_ns, run.order_len, run.orders = prices, rtt_ns, order_len, orders
        run.patience = patience
        with on_cpu(cpu):
            failed = lib.hft_rtt_run(run)
        if failed == -errno.ETIMEDOUT:
            raise ExchangeError(
                f"{patience} ticks in a row brought no order: is the responder's feed live, its gate open, and are its "
                f"orders {len(self._awaited())} bytes long as frames?"
            )
        if failed == -errno.EBADMSG:
            raise ExchangeError("an order came with a wrong length or checksum: a network card would have dropped it")
        if failed:
            raise ExchangeError(f"the measuring loop stopped: {os.strerror(-failed)}; is the lab still up?")
        self._sequence, self._order_ref, self._reply_sequence = run.feed_seq, run.order_ref, run.reply_seq
        self._wire.send(self._feed_frame(moldudp64.EndOfSession(SESSION, self._sequence).encode()))
        raw = bytes(ffi.buffer(orders))
        return Run(
            rtt_ns=tuple(rtt_ns),
            orders=tuple(raw[i * stride : i * stride + min(order_len[i], stride)] for i in range(rounds)),
            missed=run.missed,
            late=run.late,
        )

    def _send_directory(self) -> None:
        """What precedes the ticks: the market open, the symbol's locate, its trading, a bid, so that there is a price
        for the collar to be around, and resting offers the threshold never reaches."""
        symbol = self._threshold.symbol
        messages = [
            SystemEvent(stock_locate=0, tracking_number=0, timestamp=_FIRST_TIME_NS, event_code="Q").encode(),
            StockDirectory(
                stock_locate=LOCATE,
                tracking_number=0,
                timestamp=_FIRST_TIME_NS,
                stock=symbol,
                market_category="Q",
                financial_status="N",
                round_lot_size=100,
                round_lots_only="N",
                issue_classification="C",
                issue_subtype="Z",
                authenticity="P",
                short_sale_threshold="N",
                ipo_flag="N",
                luld_tier="1",
                etp_flag="N",
                etp_leverage=0,
                inverse="N",
            ).encode(),
            StockTradingAction(
                stock_locate=LOCATE,
                tracking_number=0,
                timestamp=_FIRST_TIME_NS,
                stock=symbol,
                trading_state="T",
                reserved="",
                reason="",
            ).encode(),
        ]
        bid = self._threshold.buy_below_e4 - _BID_TICKS * self._threshold.tick_e4
        messages.append(self._add(self._order_ref, bid, "B").encode())
        self._order_ref += 1
        for step in range(1, _RESTING_ORDERS + 1):
            price = self._threshold.buy_below_e4 + 100 * step
            messages.append(self._add(self._order_ref, price).encode())
            self._order_ref += 1
        self._wire.send(self._feed_frame(moldudp64.Packet(SESSION, self._sequence, tuple(messages)).encode()))
        self._sequence += len(messages)

    def _add(self, ref: int, price_e4: int, side: str = "S") -> AddOrder:
        return AddOrder(
            stock_locate=LOCATE,
            tracking_number=0,
            timestamp=_FIRST_TIME_NS,
            order_ref=ref,
            side=side,
            shares=_TICK_SHARES,
            stock=self._threshold.symbol,
            price=price_e4,
        )

    def _templates(self) -> tuple[bytes, bytes, bytes]:
        """The frames of a round, complete but for the fields that native/rtt.c patches."""
        order = self._threshold.order(1, self._threshold.buy_below_e4)
        delete = OrderDelete(stock_locate=LOCATE, tracking_number=0, timestamp=0, order_ref=0)
        accepted = ouch50.Accepted(
            timestamp=0,
            user_ref_num=order.user_ref_num,
            side=order.side,
            quantity=order.quantity,
            symbol=order.symbol,
            price=order.price,
            tif=order.tif,
            display=order.display,
            order_ref=0,
            capacity=order.capacity,
            iso=order.iso,
            cross_type=order.cross_type,
            order_state="L",
            cl_ord_id=order.cl_ord_id,
        )
        canceled = ouch50.Canceled(timestamp=0, user_ref_num=1, quantity=order.quantity, reason="I")
        return (
            self._feed_frame(moldudp64.Packet(SESSION, 1, (self._add(1, order.price).encode(),)).encode()),
            self._feed_frame(moldudp64.Packet(SESSION, 1, (delete.encode(),)).encode()),
            self._reply_frame(ufo.Sequenced(1, (accepted.encode(), canceled.encode())).encode()),
        )

    def _feed_frame(self, payload: bytes) -> bytes:
        a = self._addresses
        # RFC 1112: the last 23 bits of the group.
        mac = 0x01005E000000 | int(ipaddress.IPv4Address(a.feed_group)) & 0x7FFFFF
        return udp_frame(
            src_mac=a.exchange_mac,
            dst_mac=mac.to_bytes(6, "big").hex(":"),
            src=(a.exchange_address, a.feed_port),
            dst=(a.feed_group, a.feed_port),
            payload=payload,
            ttl=1,
        )

    def _reply_frame(self, payload: bytes) -> bytes:
        a = self._addresses
        return udp_frame(
            src_mac=a.exchange_mac,
            dst_mac=a.host_mac,
            src=(a.exchange_address, a.ouch50_port),
            dst=(a.host_address, a.engine_port),
            payload=payload,
        )

    def _awaited(self) -> bytes:
        """A frame with the length, the addresses and the ports of what a round waits for."""
        if self._echo:
            return self._templates()[0]
        a = self._addresses
        order = self._threshold.order(1, self._threshold.buy_below_e4)
        return udp_frame(
            src_mac=a.host_mac,
            dst_mac=a.exchange_mac,
            src=(a.host_address, a.engine_port),
            dst=(a.exchange_address, a.ouch50_port),
            payload=ufo.encode_upstream(ufo.Unsequenced(order.encode())),
        )


def ticks(threshold: Threshold, rounds: int) -> tuple[int, ...]:
    """Prices in 1/10000 dollar, one a round: at the target and up to seven ticks below, so that quantities differ."""
    return tuple(threshold.buy_below_e4 - threshold.tick_e4 * (i % 8) for i in range(rounds))


def check_orders(threshold: Threshold, run: Run, prices_e4: Sequence[int]) -> None:
    """Hold every order of a run against the datagram that the decision demands, byte by byte.

    UserRefNum counts from 1; after a missed round it may have moved on by the order that came late. Two runs that pass
    without missed rounds are byte-identical. Raises ExchangeError naming the round and both datagrams.
    """
    ref = 0
    for number, (datagram, price) in enumerate(zip(run.orders, prices_e4, strict=True)):
        if not datagram:
            continue
        ref = ref + 1 if not run.missed else max(ref + 1, int.from_bytes(datagram[4:8]))
        demanded = ufo.encode_upstream(ufo.Unsequenced(threshold.order(ref, price).encode()))
        if datagram != demanded:
            raise ExchangeError(
                f"round {number}: the order is {datagram.hex()}, the decision demands {demanded.hex()}: "
                "figures of responders that do different things cannot be compared"
            )

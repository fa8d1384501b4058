"""What is said over a control socket: every request with its fields, and the shape of the answers.

A request is one line of JSON, and so is an answer. ``do`` names the request; ``v`` is the version, ``id`` any number
that comes back with the answer. docs/control-socket.md is made from this file.

    {"v": 1, "id": 7, "do": "halt", "symbol": "AAPL", "because": "fat finger"}
    {"v": 1, "id": 7, "ok": {"interface": "eth1", "state": "active", ...}}
    {"v": 1, "id": 8, "error": {"kind": "ConfigError", "message": "..."}}
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from turbo_hft import errors
from turbo_hft.errors import MalformedMessage, TurboHftError

VERSION = 1
MOST_REQUEST_BYTES = 64 << 10
MOST_ANSWER_BYTES = 64 << 20
MOST_WAIT_S = 60.0
MOST_WORDS = 1024

Role = Literal["read", "trade"]
Text = Annotated[str, msgspec.Meta(max_length=4096)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Number = Annotated[int, msgspec.Meta(ge=1, le=(1 << 32) - 1)]
Wait = Annotated[float, msgspec.Meta(gt=0, le=MOST_WAIT_S)]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    """Fields of every request. `because`: why, for the journal. `command`: the command line that asks, for the journal
    where the server cannot look at the process itself."""

    v: int = VERSION
    id: Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)] = 0
    because: Annotated[str, msgspec.Meta(max_length=MOST_WORDS)] | None = None
    command: Annotated[str, msgspec.Meta(max_length=MOST_WORDS)] = ""

    @classmethod
    def role(cls) -> Role:
        """Who may ask for it."""
        return "trade"


class Reading(Request, frozen=True, kw_only=True):
    """One that changes nothing."""

    @classmethod
    def role(cls) -> Role:
        """Who may ask for it."""
        return "read"


class Hello(Reading, frozen=True, kw_only=True, tag="hello"):
    """Who is there: `version` of the protocol, `package`, `interface`, `pid` of `run`, your `role` on this socket."""


class View(Reading, frozen=True, kw_only=True, tag="view"):
    """The picture that the dashboard draws; `watch` names a symbol whose book, settings, fills and prices come along.
    The engine is read five times a second at most, however many ask."""

    watch: Name | None = None


class Status(Reading, frozen=True, kw_only=True, tag="status"):
    """That picture as `view`, with all counters, messages by type, refusals, working orders and the program:
    `turbo-hft status`."""


class Metrics(Reading, frozen=True, kw_only=True, tag="metrics"):
    """The metrics that docs/metrics.md lists: under each name a list of [label values, value], where null is infinitely
    much; of single symbols the series of `most_symbols` at most. `turbo-hft serve` makes Prometheus' text of it."""

    most_symbols: Annotated[int, msgspec.Meta(ge=1, le=16_384)] = 50


class Limits(Reading, frozen=True, kw_only=True, tag="limits"):
    """What the gate holds every order against; of one symbol if it is named: `turbo-hft limits`."""

    symbol: Name | None = None


class Orders(Reading, frozen=True, kw_only=True, tag="orders"):
    """Working orders, oldest first; `all`: the newest 4,096 of the day: `turbo-hft orders`."""

    all: bool = False
    symbol: Name | None = None
    strategy: Name | None = None


class Strategies(Reading, frozen=True, kw_only=True, tag="strategies"):
    """Kill switch, open orders, executions and latch of every strategy, and its symbols: `turbo-hft strategies`."""


class UserStrategy(Reading, frozen=True, kw_only=True, tag="user_strategy"):
    """The strategy of your own that is linked in, and its parameters: `turbo-hft strategy show`."""


class Subscribe(Reading, frozen=True, kw_only=True, tag="subscribe"):
    """Events from now on, of these `kinds` (all if empty), until you close. After the answer come lines
    ``{"v": 1, "id": 7, "events": [...], "dropped": 0}``. `dropped`: how many so far you did not take in time: at most
    4,096 wait for you. No other request is taken on this connection afterwards."""

    kinds: Annotated[tuple[Name, ...], msgspec.Meta(max_length=32)] = ()


class Halt(Request, frozen=True, kw_only=True, tag="halt"):
    """Throw a kill switch: of all orders, of a symbol or of a strategy. `cancel`: take its working orders down too and
    wait `timeout_s` for the exchange's answers; then `canceled` and `left` are in the answer: `turbo-hft halt`."""

    symbol: Name | None = None
    strategy: Name | None = None
    cancel: bool = False
    timeout_s: Wait = 2.0


class Reduce(Request, frozen=True, kw_only=True, tag="reduce"):
    """Let only orders leave that bring a position towards zero: `turbo-hft reduce`."""

    symbol: Name | None = None
    strategy: Name | None = None


class Resume(Request, frozen=True, kw_only=True, tag="resume"):
    """Release a kill switch: `turbo-hft resume`."""

    symbol: Name | None = None
    strategy: Name | None = None


class Change(Request, frozen=True, kw_only=True, tag="change"):
    """Set what ``turbo-hft set LINE`` sets, all of it or none: ``AAPL buy_below=164.00 strategy=off``,
    ``max_gross=2000000``. The settings afterwards."""

    line: Text


class Cancel(Request, frozen=True, kw_only=True, tag="cancel"):
    """Ask the exchange to end the orders with these numbers: `turbo-hft cancel 17 18`."""

    orders: Annotated[tuple[Number, ...], msgspec.Meta(min_length=1, max_length=4096)]


class CancelAll(Request, frozen=True, kw_only=True, tag="cancel_all"):
    """Cancel all working orders, of a symbol, of a strategy, and wait for the answers: `turbo-hft cancel --all`."""

    symbol: Name | None = None
    strategy: Name | None = None
    timeout_s: Wait = 2.0


class Enter(Request, frozen=True, kw_only=True, tag="enter"):
    """An order by hand, through the same gate as every other; `price` in dollars. Its number is `user_ref`."""

    symbol: Name
    side: Literal["buy", "sell"]
    qty: Number
    price: Annotated[str, msgspec.Meta(max_length=32)]
    tif: Literal["session", "ioc", "day"] = "session"


class Replace(Request, frozen=True, kw_only=True, tag="replace"):
    """Put one with this price and open quantity in the place of a live order. The new one's number is `user_ref`."""

    order: Number
    qty: Number
    price: Annotated[str, msgspec.Meta(max_length=32)]
    tif: Literal["session", "ioc", "day"] = "session"


class Rearm(Request, frozen=True, kw_only=True, tag="rearm"):
    """Lift a latch after a person has looked: of a symbol's loss, a strategy's executions, or (neither named) the loss
    of all together: `turbo-hft rearm`."""

    symbol: Name | None = None
    strategy: Name | None = None


class Trust(Request, frozen=True, kw_only=True, tag="trust"):
    """Take a suspect order entry for good again: `turbo-hft trust`."""


class SetUserStrategy(Request, frozen=True, kw_only=True, tag="set_user_strategy"):
    """Set parameters of your own strategy, such as ``levels[2]=7``: `turbo-hft strategy set`."""

    values: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=256)]


ALL: tuple[type[Request], ...] = (
    *(Hello, View, Status, Metrics, Limits, Orders, Strategies, UserStrategy, Subscribe),
    *(Halt, Reduce, Resume, Change, Cancel, CancelAll, Enter, Replace, Rearm, Trust, SetUserStrategy),
)


class Error(msgspec.Struct, frozen=True):
    """What went wrong: `kind` is a class of `turbo_hft.errors`. `reason`: the gate's word for a refusal."""

    kind: str
    message: str
    reason: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of `ok` and `error`; `events` and `dropped` of a subscription."""

    v: int
    id: int = 0
    ok: dict[str, Any] | None = None
    error: Error | None = None
    events: list[Any] | None = None
    dropped: int = 0


class _Head(msgspec.Struct):
    """As much of a line as is read before it is believed."""

    v: int = 0
    id: int = 0


_requests = msgspec.json.Decoder(
    Hello | View | Status | Metrics | Limits | Orders | Strategies | UserStrategy | Subscribe | Halt | Reduce | Resume
    | Change | Cancel | CancelAll | Enter | Replace | Rearm | Trust | SetUserStrategy
)  # fmt: skip
_heads = msgspec.json.Decoder(_Head)
# What the decoder raises for bytes of any kind.
_NO_JSON = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
_answers = msgspec.json.Decoder(Answer)
_encoder = msgspec.json.Encoder()
_KINDS: dict[str, type[TurboHftError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, TurboHftError)
}


def number_of(line: bytes) -> int:
    """The `id` of a line, as far as it can be told; 0 otherwise."""
    try:
        return _heads.decode(line).id
    except _NO_JSON:
        return 0


def decode_request(line: bytes) -> Request:
    """Raises MalformedMessage, which says what would be right."""
    try:
        head = _heads.decode(line)
        if head.v != VERSION:
            raise MalformedMessage(f'version {head.v} is asked for, {VERSION} is spoken here: send "v": {VERSION}.')
        request: Request = _requests.decode(line)
        return request
    except _NO_JSON as error:
        raise MalformedMessage(f"this is no request: {error}. docs/control-socket.md has all of them.") from None


def decode_answer(line: bytes) -> Answer:
    """Raises MalformedMessage for what is no answer of this version."""
    try:
        answer = _answers.decode(line)
    except _NO_JSON as error:
        raise MalformedMessage(f"the engine's process answers what is no answer: {error}.") from None
    if answer.v != VERSION:
        raise MalformedMessage(
            f"the engine's process speaks version {answer.v} of the control protocol, this package {VERSION}: use the "
            "package that started it."
        )
    return answer


def encode(message: Request | Answer) -> bytes:
    """As a line."""
    return _encoder.encode(message) + b"\n"


def error_of(error: TurboHftError) -> Error:
    """An error as it is told."""
    return Error(type(error).__name__, " ".join(str(error).split()), getattr(error, "reason", ""))


def raised(error: Error) -> TurboHftError:
    """An error as it was raised there."""
    kind = _KINDS.get(error.kind, TurboHftError)
    made = kind(error.message)
    if error.reason:
        made.__dict__["reason"] = error.reason
    return made

"""The web face: pages, the stream of pictures, what a person may do, and the metrics. An ASGI application.

Every request passes `guard` first. A token opens a session (`auth`): a cookie that no script can read, and a CSRF token
that only a page of this origin can keep. Every request of a session needs both, since a browser sends a cookie to all
ports of a host; whatever changes something needs the role `trade` too. Every refusal says what was wrong.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, is_dataclass
from importlib.resources import files
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from turbo_hft.announce import because
from turbo_hft.dashboard.desk import Desk
from turbo_hft.dashboard.web.auth import Session, Sessions, Tokens, WrongTokens, csrf_fits, is_loopback
from turbo_hft.dashboard.web.exposition import WebCounts, expose
from turbo_hft.dashboard.web.guard import Guard
from turbo_hft.dashboard.web.pictures import Busy, Pictures
from turbo_hft.errors import ConfigError, MalformedMessage, NotRunning, TurboHftError
from turbo_hft.metrics import MOST_SYMBOLS, Measured

Result = TypeVar("Result")

_MOST_BODY = 16_384
_MOST_WORDS = 64
_MOST_WHY = 200
_STALLED_S = 20.0
_PAGE = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "main.js": "text/javascript; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "panels.js": "text/javascript; charset=utf-8",
    "controls.js": "text/javascript; charset=utf-8",
    "format.js": "text/javascript; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server is asked for: `scheme` http or https, and every Host that is it (see `guard.host_names`)."""

    scheme: str
    hosts: frozenset[str]


class Log:
    """What is said for people, a line each, whatever a client has put into it; of refusals at most 30 a minute."""

    MOST, WITHIN_S = 30, 60.0

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._begun, self._told, self._untold = -math.inf, 0, 0

    def note(self, line: str) -> None:
        """Say it."""
        self._say(line if line.isprintable() else ascii(line))

    def refusal(self, line: str) -> None:
        """Say it, unless there are too many."""
        now = time.monotonic()
        if now - self._begun >= self.WITHIN_S:
            if self._untold:
                self.note(f"{self._untold:,} more requests were refused since")
            self._begun, self._told, self._untold = now, 0, 0
        self._told += 1
        if self._told <= self.MOST:
            self.note(line)
        else:
            self._untold += 1


class Refused(Exception):
    """A request that is answered with a status and why. `kind` is for the metric turbo_hft_web_refused_total."""

    def __init__(self, status: int, kind: str, why: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(why)
        self.status, self.kind, self.headers = status, kind, dict(headers or {})


class WebFace:
    """The application. Metrics have series of their own for `most_symbols` symbols."""

    def __init__(
        self,
        desk: Desk,
        tokens: Tokens,
        place: Place,
        *,
        session_s: float = 12 * 3600.0,
        most_symbols: int = MOST_SYMBOLS,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._desk, self._tokens, self._place = desk, tokens, place
        self._say = Log(say)
        self._most_symbols = most_symbols
        self.counts = WebCounts()
        self.sessions = Sessions(session_s)
        self._wrong = {"login": WrongTokens(), "metrics": WrongTokens()}
        self._cookie = "__Host-turbo_hft" if place.scheme == "https" else "turbo_hft"
        self.pictures: Pictures | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._measured = asyncio.Lock()
        routes = [
            Route("/", self._front),
            Route("/static/{name}", self._static),
            Route("/login", self._answer(self._login), methods=["POST"]),
            Route("/logout", self._answer(self._logout), methods=["POST"]),
            Route("/api/session", self._answer(self._who), methods=["GET"]),
            Route("/api/stream", self._answer(self._stream), methods=["GET"]),
            Route("/api/{act}", self._answer(self._act), methods=["POST"]),
            Route("/metrics", self._answer(self._expose), methods=["GET"]),
        ]
        inner = Starlette(routes=routes, lifespan=self._life, exception_handlers={HTTPException: _plain_error})
        self.app: ASGIApp = Guard(inner, hosts=place.hosts, scheme=place.scheme, refused=self._note_refusal)

    # Whoever asks

    @asynccontextmanager
    async def _life(self, app: Starlette) -> AsyncIterator[None]:
        # Halting has threads of its own: it never waits for one that reads a picture or cancels orders.
        self._urgent, self._slow = anyio.CapacityLimiter(8), anyio.CapacityLimiter(8)
        self._loop = asyncio.get_running_loop()
        self.pictures = Pictures(self._collect, self.counts, heavy=HEAVY, logs=LOGS, log=self._say.note)
        try:
            yield
        finally:
            await self.pictures.close()

    def end(self) -> None:
        """Every stream ends; the server waits for them. From any thread."""
        if self._loop is not None and self.pictures is not None:
            asyncio.run_coroutine_threadsafe(self.pictures.close(), self._loop)

    def _note_refusal(self, kind: str, why: str) -> None:
        self.counts.refuse(kind)
        self._say.refusal(f"refused: {why}")

    def _answer(self, handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """The handler, with every refusal told and every error of the engine said in its own words."""

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except Refused as refused:
                asked = f"{request.method} {request.url.path} from {_address(request)}"
                self._note_refusal(refused.kind, f"{asked}: {refused}")
                return _error(str(refused), refused.status, refused.headers)
            except TurboHftError as error:
                wrong_input = isinstance(error, (ConfigError, MalformedMessage))
                return _error(str(error), 422 if wrong_input else 503 if isinstance(error, NotRunning) else 409)

        return answer

    def _session(self, request: Request, csrf: str | None = None) -> Session:
        """Whose request it is; `csrf` where it does not come in a header."""
        session = self.sessions.find(request.cookies.get(self._cookie, ""))
        if session is None:
            raise Refused(401, "token", "no session, or it is over: log in with a token.")
        if not csrf_fits(session, request.headers.get("x-csrf-token", "") if csrf is None else csrf):
            raise Refused(403, "csrf", "the X-CSRF-Token is missing or not this session's: log in again.")
        return session

    # Pages

    async def _front(self, request: Request) -> Response:
        return _file("index.html")

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        return _file(name) if name in _PAGE else _error(f"there is no file {name!r} here.", 404)

    async def _login(self, request: Request) -> Response:
        address = _address(request)
        given = (await _body(request)).get("token")
        # From here on nothing is waited for: those who ask at the same time are counted one by one.
        self._not_too_often("login", address)
        if not isinstance(given, str):
            raise Refused(400, "input", 'give {"token": "..."}.')
        role = self._tokens.role(given)
        if role is None:
            self._wrong["login"].note(address)
            raise Refused(401, "token", "this is not a token of this server.")
        secret, session = self.sessions.begin(role, address)
        self._say.note(f"session {session.name} begins: role {role}, from {address}")
        response = JSONResponse({**self._about(session), "csrf": session.csrf})
        response.set_cookie(
            self._cookie, secret, httponly=True, samesite="strict", secure=self._place.scheme == "https", path="/"
        )
        return response

    def _not_too_often(self, what: str, address: str) -> None:
        wait_s = self._wrong[what].wait_s(address)
        if wait_s > 0:
            after = math.ceil(wait_s)
            why = f"too many wrong tokens from {address}: none is looked at for another {after} s."
            raise Refused(429, "rate", why, {"retry-after": str(after)})

    async def _logout(self, request: Request) -> Response:
        session = self._session(request)
        self.sessions.end(request.cookies[self._cookie])
        self._say.note(f"session {session.name} ends: logged out")
        response = JSONResponse({"role": None})
        response.delete_cookie(self._cookie, path="/")
        return response

    async def _who(self, request: Request) -> Response:
        return JSONResponse(self._about(self._session(request)))

    def _about(self, session: Session) -> dict[str, object]:
        return {"role": session.role, "may_trade": self._may_trade(session)}

    def _may_trade(self, session: Session) -> bool:
        return session.role == "trade" and self._desk.may_trade

    # What is seen

    def _collect(self, watch: str | None) -> Mapping[str, object]:
        sections = self._desk.view(watch).as_dict()
        watched = sections.pop("watched")
        if isinstance(watched, dict):
            sections |= {f"watched.{name}": value for name, value in watched.items()}
        return sections

    async def _stream(self, request: Request) -> Response:
        # An EventSource can send no header of its own.
        self._session(request, request.query_params.get("csrf", ""))
        assert self.pictures is not None
        secret = request.cookies[self._cookie]
        watch = request.query_params.get("watch") or None
        if watch is not None and not (len(watch) <= 8 and watch.isascii() and watch.isprintable()):
            raise Refused(400, "input", f"{watch[:20]!r} is no symbol: give 1 to 8 characters.")
        follower = self.pictures.follow(watch, lambda: self.sessions.find(secret) is not None)
        try:
            first = await anext(follower, None)
        except Busy as busy:
            raise Refused(503, "rate", str(busy)) from None
        return LiveResponse(first, follower)

    async def _expose(self, request: Request) -> Response:
        address = _address(request)
        self._not_too_often("metrics", address)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            ask = {"www-authenticate": 'Bearer realm="turbo-hft"'}
            raise Refused(401, "token", "metrics need a token: Authorization: Bearer TOKEN.", ask)
        if not self._tokens.scrapes(token.strip(), loopback=is_loopback(address)):
            self._wrong["metrics"].note(address)
            raise Refused(403, "token", "not the read token, nor, on this machine, the one of --metrics-token-file.")
        async with self._measured:  # however many scrape, the engine is read by one at a time
            measured = await self._run(self._measure)
        kind, text = expose(measured, self.counts, request.headers.get("accept", ""))
        return Response(text, headers={"content-type": kind})

    def _measure(self) -> Measured | None:
        try:
            return self._desk.metrics(self._most_symbols)
        except NotRunning:
            return None

    # What is done

    async def _act(self, request: Request) -> Response:
        act = request.path_params["act"]
        session = self._session(request)
        if not self._may_trade(session):
            raise Refused(403, "role", "this session may only look: log in with the token for trading.")
        if act == "halt":  # asks for nothing and reads nothing of what came with it
            return await self._done(session, "halt", self._desk.halt, urgent=True)
        acts = {"halt_and_cancel": self._halt_and_cancel, "reduce": self._reduce, "resume": self._resume,
                "change": self._change}  # fmt: skip
        if act not in acts:
            return _error(f"{act!r} is nothing that can be done: {', '.join(('halt', *acts))}.", 404)
        body = await _body(request)
        if body.get("confirm") is not True:
            raise Refused(428, "input", f'{act} has to be confirmed: send "confirm": true.')
        why = body.get("why", "")
        if not isinstance(why, str) or len(why) > _MOST_WHY:
            raise Refused(400, "input", f'"why" is a text of at most {_MOST_WHY} characters.')
        return await acts[act](session, body)

    async def _halt_and_cancel(self, session: Session, body: Mapping[str, Any]) -> Response:
        return await self._done(session, "halt and cancel", self._desk.halt_and_cancel, body, urgent=True)

    async def _reduce(self, session: Session, body: Mapping[str, Any]) -> Response:
        return await self._done(session, "reduce", self._desk.reduce, body)

    async def _resume(self, session: Session, body: Mapping[str, Any]) -> Response:
        return await self._done(session, "resume", self._desk.resume, body)

    async def _change(self, session: Session, body: Mapping[str, Any]) -> Response:
        symbol, words, was = body.get("symbol"), body.get("settings"), body.get("was", {})
        if not (symbol is None or isinstance(symbol, str)):
            raise Refused(400, "input", '"symbol" is a name, or null for settings of all orders.')
        if not (isinstance(words, list) and 0 < len(words) <= _MOST_WORDS and all(isinstance(w, str) for w in words)):
            raise Refused(400, "input", f'"settings" is a list of 1 to {_MOST_WORDS} texts key=value.')
        given = [*words, *([] if symbol is None else [symbol])]
        if any(not word or any(letter.isspace() for letter in word) for word in given):
            raise Refused(400, "input", "no name and no setting is empty or has a space in it.")
        if "=" in (symbol or "") or not all("=" in word for word in words):
            raise Refused(400, "input", "a setting has a = in it, and a symbol has none.")
        if not isinstance(was, dict):
            raise Refused(400, "input", '"was" is an object of settings as they were seen.')
        line = " ".join([*([] if symbol is None else [symbol]), *words])

        def change() -> object:
            self._still(symbol, was)
            return self._desk.change(line)

        return await self._done(session, f"set {line}", change, body)

    def _still(self, symbol: str | None, was: Mapping[str, Any]) -> None:
        """Is it still as the person saw it who confirmed a change of it? Raises TurboHftError."""
        if not was:
            return
        view = self._desk.view(symbol)
        now = view.settings if view.watched is None else view.watched.settings
        for key, seen in was.items():
            if now.get(key) != seen:
                raise TurboHftError(
                    f"{key} is {now.get(key)} by now, not {seen} as you saw it: somebody else changes it. Look again."
                )

    async def _done(
        self,
        session: Session,
        what: str,
        act: Callable[[], object],
        body: Mapping[str, Any] | None = None,
        *,
        urgent: bool = False,
    ) -> Response:
        said = (body or {}).get("why", "")
        why = f"web session {session.name} from {session.address}" + (f": {said}" if said else "")

        def run() -> object:
            with because(why):
                return act()

        try:
            result = await self._run(run, urgent=urgent)
        except TurboHftError as error:
            self._say.note(f"session {session.name}: {what}: {error}")
            raise
        self._say.note(f"session {session.name}: {what}: done")
        return JSONResponse({"done": what, "result": _plain(result)})

    async def _run(self, act: Callable[[], Result], *, urgent: bool = False) -> Result:
        return await anyio.to_thread.run_sync(act, limiter=self._urgent if urgent else self._slow)


class LiveResponse(Response):
    """A stream of events. A client that takes nothing for 20 seconds is left; what it has not taken does not queue."""

    def __init__(self, first: bytes | None, follower: AsyncGenerator[bytes, None]) -> None:
        super().__init__(headers={"content-type": "text/event-stream; charset=utf-8"})
        del self.headers["content-length"]
        self._first, self._follower = first, follower

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(body: bytes, *, more: bool = True) -> None:
            with anyio.fail_after(_STALLED_S):
                await send({"type": "http.response.body", "body": body, "more_body": more})

        async def until_gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(until_gone)
                try:
                    await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                    if self._first is not None:
                        await sending(self._first)
                        async for text in self._follower:
                            await sending(text)
                    await sending(b"event: end\ndata: {}\n\n", more=False)
                except (TimeoutError, OSError):
                    pass
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._follower.aclose()


# Curves: long, and a point more changes them.
HEAVY = frozenset({"watched.prices", "pnl"})
LOGS = frozenset({"events", "fills", "watched.fills"})


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else "?"


async def _body(request: Request) -> dict[str, Any]:
    """A JSON object of at most 16 KiB. Raises Refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "input", f"the body is {kind or 'of no type'}: send application/json.")
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > _MOST_BODY:
            raise Refused(413, "input", f"the body is longer than {_MOST_BODY:,} bytes.")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refused(400, "input", "the body is no JSON object.")
    return value


def _file(name: str) -> Response:
    data = files("turbo_hft.dashboard.web").joinpath("page", name).read_bytes()
    return Response(data, headers={"content-type": _PAGE[name]})


def _error(why: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": why}, status_code=status, headers=dict(headers or {}))


async def _plain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(f"{request.method} {request.url.path}: {error.detail}.", error.status_code, error.headers)


def _plain(value: object) -> object:
    """JSON-ready."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    return json.loads(json.dumps(value, default=str))

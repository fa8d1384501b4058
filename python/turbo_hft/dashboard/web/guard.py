"""What every request has to pass before anything looks at it, and what every answer carries.

A browser is the weak place: a page from elsewhere can make it send requests here, and a name that its owner lets point
to this machine makes that page look like ours. So the name that was asked for (Host), the page that asks (Origin) and
the browser's own word about it (Sec-Fetch-Site) all have to fit. That says nothing of who asks: see `auth`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    # No inline script, no inline style, nothing from elsewhere, and script cannot write markup.
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
_DEFAULT_PORTS = {"http": 80, "https": 443}


def host_names(names: Iterable[str], port: int, scheme: str) -> frozenset[str]:
    """What a Host header may say, lower case: each name with the port, without it too where the scheme implies it."""
    found = set()
    for name in names:
        bare = f"[{name}]" if ":" in name and not name.startswith("[") else name
        found.add(f"{bare}:{port}".lower())
        if port == _DEFAULT_PORTS[scheme]:
            found.add(bare.lower())
    return frozenset(found)


class Guard:
    """ASGI middleware. `refused(kind, why)` is told of every request that does not pass; `kind` is one of KINDS."""

    KINDS = ("host", "origin", "site")

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str], scheme: str, refused: Callable[[str, str], None]):
        self._app, self._hosts, self._scheme, self._refused = app, hosts, scheme, refused
        self._origins = frozenset(f"{scheme}://{host}" for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # a WebSocket: the server was told to speak none

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *(each for each in more if each[0] not in there)]
            await send(message)

        found = self._refusal(scope)
        if found is None:
            await self._app(scope, receive, with_headers)
            return
        kind, status, why = found
        self._refused(kind, why)
        body = json.dumps({"error": why}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await with_headers({"type": "http.response.start", "status": status, "headers": headers})
        await with_headers({"type": "http.response.body", "body": body})

    def _refusal(self, scope: Scope) -> tuple[str, int, str] | None:
        """(kind, status, why not) of a request that shall not pass."""
        named = _values(scope, b"host")
        if len(named) != 1 or named[0].lower() not in self._hosts:
            asked = named[0] if len(named) == 1 else f"{len(named)} Host headers"
            return "host", 421, f"this server is not {asked!r}: ask for {', '.join(sorted(self._hosts))}."
        changes = scope["method"] not in ("GET", "HEAD")
        origins = _values(scope, b"origin")
        if any(origin.lower() not in self._origins for origin in origins):
            return "origin", 403, f"a page of {origins[0]!r} may not ask here: only this server's own pages may."
        if changes and len(origins) != 1:
            return "origin", 403, "a request that changes something needs one Origin header, this server's own."
        site = _values(scope, b"sec-fetch-site")
        if site and not self._site_fits(site[0], scope, changes=changes):
            return "site", 403, f"the browser says that this request comes from {site[0]!r}, not from a page of ours."
        return None

    @staticmethod
    def _site_fits(site: str, scope: Scope, *, changes: bool) -> bool:
        if site == "same-origin" or (site == "none" and not changes):
            return True
        # A link from elsewhere may open the front page: nothing private is in it, and no cookie comes with it.
        opens = _values(scope, b"sec-fetch-mode") == ["navigate"] and _values(scope, b"sec-fetch-dest") == ["document"]
        return not changes and opens and scope["path"] == "/"


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]

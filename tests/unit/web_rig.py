"""The web face over a stand-in for the engine, asked by Starlette's own client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from httpx2 import Response
from starlette.testclient import TestClient
from turbo_hft import abi
from turbo_hft.dashboard.local_desk import LocalDesk
from turbo_hft.dashboard.view import View
from turbo_hft.dashboard.web.auth import Tokens
from turbo_hft.dashboard.web.guard import host_names
from turbo_hft.dashboard.web.server import Place, WebFace
from turbo_hft.engine import Engine
from turbo_hft.errors import NotRunning
from turbo_hft.metrics import MOST_SYMBOLS, Measured
from unit.fakes import FakeEngine, FakeHistogram

TRADE, READ, METRICS = "trade-token-" + "t" * 32, "read-token-" + "r" * 32, "metrics-token-" + "m" * 32
PORT = 8790
HERE = f"http://127.0.0.1:{PORT}"
OWN = {"origin": HERE, "sec-fetch-site": "same-origin"}


def engine() -> FakeEngine:
    """With every counter and both histograms."""
    made = FakeEngine(histogram=FakeHistogram((0,) * 10 + (1, 0, 97, 2) + (0,) * 18))
    made.count = {name: number for number, name in abi.counters().items() if name != "none"}
    made.refused = {name: 0 for name in abi.reasons().values() if name != "none"}
    made.latency = lambda kind: made.histogram  # type: ignore[method-assign]
    return made


@dataclass
class Rig:
    """A face and a client of it; `said` is what it would have written to standard error."""

    engine: FakeEngine
    face: WebFace
    client: TestClient
    said: list[str] = field(default_factory=list)
    csrf: str = ""

    def login(self, token: str = TRADE) -> Response:
        answer = self.client.post("/login", json={"token": token}, headers=OWN)
        if answer.status_code == 200:
            self.csrf = answer.json()["csrf"]
        return answer

    def get(self, path: str) -> Response:
        """As the page asks."""
        answer: Response = self.client.get(path, headers={"x-csrf-token": self.csrf})
        return answer

    def act(self, act: str, body: Mapping[str, Any] | None = None, **headers: str) -> Response:
        """With everything that a page sends, unless `headers` say otherwise (an empty one is left out)."""
        usual = {**OWN, "x-csrf-token": self.csrf} | {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in usual.items() if value}
        return self.client.post(f"/api/{act}", json=dict(body or {}), headers=kept)


class Deserted(LocalDesk):
    """The desk of an engine that has gone."""

    def view(self, watch: str | None = None) -> View:
        raise NotRunning("no engine runs on veth_hft")

    def metrics(self, most_symbols: int = MOST_SYMBOLS) -> Measured:
        raise NotRunning("no engine runs on veth_hft")


@contextmanager
def web(
    *, may_trade: bool = True, scheme: str = "http", metrics_token: str | None = METRICS, peer: str = "127.0.0.1",
    present: bool = True, most_symbols: int = 50, session_s: float = 3600.0,
) -> Iterator[Rig]:  # fmt: skip
    """`present`: is there an engine?"""
    fake, said = engine(), list[str]()
    place = Place(scheme, host_names(["127.0.0.1", "localhost"], PORT, scheme))
    desk = (LocalDesk if present else Deserted)(cast(Engine, fake), may_trade=may_trade, interval_s=0.0)
    face = WebFace(
        desk, Tokens(TRADE, READ, metrics_token), place, session_s=session_s, most_symbols=most_symbols,
        say=said.append,
    )  # fmt: skip
    with TestClient(face.app, base_url=f"{scheme}://127.0.0.1:{PORT}", client=(peer, 40_000)) as client:
        yield Rig(fake, face, client, said)

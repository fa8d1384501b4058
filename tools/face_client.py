"""A client of the web face without a browser: logs in, follows the stream, acts, scrapes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any


class FaceClient:
    """Logged in with a token at `url`, which ends with a slash."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._headers = {"origin": url.rstrip("/"), "content-type": "application/json"}
        with self._open("login", {"token": token}) as answer:
            self._headers["cookie"] = answer.headers["set-cookie"].partition(";")[0]
            self.about: dict[str, Any] = json.load(answer)
        self._headers["x-csrf-token"] = self.about["csrf"]

    def _open(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        return urllib.request.urlopen(urllib.request.Request(self.url + path, data, self._headers), timeout=20)

    def act(self, act: str, **body: object) -> tuple[int, dict[str, Any]]:
        """Status and answer."""
        try:
            with self._open(f"api/{act}", body) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)

    def pictures(self, watch: str = "") -> Iterator[dict[str, Any]]:
        """All sections as they are after each event of the stream; of logs the newest rows that came."""
        seen: dict[str, Any] = {}
        with self._open(f"api/stream?csrf={self.about['csrf']}&watch={watch}") as stream:
            for line in stream:
                if line.startswith(b'data: {"number'):
                    event = json.loads(line[6:])
                    seen = {name: value for name, value in seen.items() if name in event["names"]}
                    seen |= event["changed"] | {name: log["rows"] for name, log in event["logs"].items()}
                    yield seen

    def scrape(self, token: str) -> str:
        """The metrics."""
        asked = urllib.request.Request(f"{self.url}metrics", headers={"authorization": f"Bearer {token}"})
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return str(answer.read().decode())

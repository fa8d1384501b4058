"""A lab of its own for an end-to-end test: namespace, wire, exchange process, engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turbo_hft import lab
from turbo_hft.addresses import FeedAddress, OrderSession, Protocol, Transport
from turbo_hft.lab import Lab, LabAddresses

TIMEOUT_S = 60


@dataclass
class Rig:
    """`addresses` of the lab; `start_exchange` runs the simulator in its namespace."""

    addresses: LabAddresses
    directory: Path
    process: subprocess.Popen[str] | None = None

    @property
    def log(self) -> Path:
        """The exchange's JSON-lines log."""
        return self.directory / "exchange.jsonl"

    def session(self, protocol: Protocol = "ouch50", transport: Transport = "ufo") -> OrderSession:
        """Order entry of this lab; the exchange has TCP on the ports that it has UDP on."""
        at = self.addresses
        return OrderSession(
            local=(at.host_address, at.engine_port if transport == "ufo" else 0),
            remote=(at.exchange_address, at.ouch50_port if protocol == "ouch50" else at.ouch42_port),
            local_mac=at.host_mac,
            remote_mac=at.exchange_mac,
            username=lab.USERNAME,
            password=lab.PASSWORD,
            protocol=protocol,
            transport=transport,
        )

    def feed(self) -> FeedAddress:
        """Feed of this lab."""
        return FeedAddress(self.addresses.feed_group, self.addresses.feed_port, self.addresses.exchange_address)

    def start_exchange(self, *arguments: str) -> None:
        """Start the exchange; returns when it is ready."""
        at = self.addresses
        command = [sys.executable, "-m", "turbo_hft.exchange", "--netns", at.namespace, "--interface", at.peer]
        command += ["--bind", at.exchange_address, "--feed", f"{at.feed_group}:{at.feed_port}"]
        command += ["--ouch50", str(at.ouch50_port), "--ouch42", str(at.ouch42_port)]
        command += ["--account", f"{lab.USERNAME}:{lab.PASSWORD}", "--json", "--log", str(self.log), *arguments]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        assert "ready" in line, line + self.process.stderr.read()

    def exchange_summary(self) -> dict[str, Any]:
        """Wait for the exchange to end by itself; its summary."""
        assert self.process is not None
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        assert self.process.returncode == 0, err
        summary: dict[str, Any] = json.loads(out)
        return summary

    def orders_logged(self) -> list[dict[str, Any]]:
        """Every Enter Order the exchange logged, in order of arrival."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines())
        return [line for line in lines if line["kind"] == "order"]


@contextmanager
def rig(directory: Path, number: int) -> Iterator[Rig]:
    """A raised lab; `number` (1 to 99) keeps labs apart. Nothing of it is left afterwards."""
    with Lab(f"hft_e2e{number}", f"hfte{number}a", f"hfte{number}b", f"10.78.{number}.0/24") as raised:
        made = Rig(raised.addresses, directory)
        try:
            yield made
        finally:
            if made.process is not None and made.process.poll() is None:
                made.process.send_signal(signal.SIGTERM)
                made.process.communicate(timeout=TIMEOUT_S)

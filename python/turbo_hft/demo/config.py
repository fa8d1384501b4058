"""What the demonstration is started with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from turbo_hft.addresses import Transport
from turbo_hft.errors import ConfigError
from turbo_hft.lab import LabAddresses


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoConfig:
    """Defaults are the main job's."""

    lab: tuple[str, str, str, str] | None = None  # namespace, device, peer, subnet; None = the standard lab
    duration_s: float = 20.0
    symbols: tuple[str, ...] = ("AAPL", "MSFT")
    protocol: Literal["ouch50", "ouch42"] = "ouch50"
    transport: Transport = "soupbintcp"
    merge_cpu: int | None = None
    mode: Literal["native", "generic"] = "native"
    seed: int = 1
    rate: int = 2000  # ITCH messages a second
    orders_per_second: float = 100
    max_long: int = 1000
    latency: bool = True
    latency_repetitions: int = 3
    latency_rounds: int = 1000
    screenshot: Path | None = None
    exchange_log: Path | None = None
    addresses: LabAddresses = field(init=False)

    def __post_init__(self) -> None:
        """Work out the lab's addresses. Raises LabError for names, ConfigError for values that cannot be."""
        if self.transport == "soupbintcp" and self.mode != "native":
            raise ConfigError(
                "--mode generic: orders on a TCP connection leave from the driver only. Give --transport ufo too"
            )
        if self.transport == "ufo" and self.merge_cpu is not None:
            raise ConfigError("--merge-cpu: over UFO nothing is merged. Leave it away, or --transport ufo")
        addresses = LabAddresses() if self.lab is None else LabAddresses.of(*self.lab)
        object.__setattr__(self, "addresses", addresses)

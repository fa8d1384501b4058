"""Delegated sends: the hook sends orders on a TCP connection that the kernel owns (docs/delegated-send.md)."""

from turbo_hft.delegated.connection import Connection, Status, connect
from turbo_hft.delegated.wire import DelegatedWire

__all__ = ["Connection", "DelegatedWire", "Status", "connect"]

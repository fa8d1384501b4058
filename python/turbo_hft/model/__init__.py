"""The readable twin of ``docs/rules.md``: an oracle for the loaded XDP program. Start reading at `engine`."""

from __future__ import annotations

from .engine import ModelEngine, Outcome
from .names import (
    BookHealth,
    Clock,
    EventKind,
    FeedHealth,
    Kill,
    OrderState,
    Protocol,
    Reason,
    Role,
    SessionHealth,
    Side,
    XdpAction,
)
from .state import Event, Flow, ModelConfig, SymbolParams, SymbolState, Template, WorkingOrder

__all__ = [
    "BookHealth",
    "Clock",
    "Event",
    "EventKind",
    "FeedHealth",
    "Flow",
    "Kill",
    "ModelConfig",
    "ModelEngine",
    "OrderState",
    "Outcome",
    "Protocol",
    "Reason",
    "Role",
    "SessionHealth",
    "Side",
    "SymbolParams",
    "SymbolState",
    "Template",
    "WorkingOrder",
    "XdpAction",
]

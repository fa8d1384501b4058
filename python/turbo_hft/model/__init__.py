"""The readable twin of ``docs/rules.md``: an oracle for the loaded XDP program. Start reading at `engine`."""

from __future__ import annotations

from .engine import ModelEngine, Outcome
from .names import (
    BookHealth,
    Clock,
    Doubt,
    EventKind,
    FeedHealth,
    Kill,
    Line,
    Op,
    OrderState,
    Phase,
    Protocol,
    Reason,
    Role,
    SessionHealth,
    Side,
    Table,
    XdpAction,
)
from .state import Book, Event, FeedState, Flow, ModelConfig, SymbolParams, SymbolState, Template, WorkingOrder

__all__ = [
    "Book",
    "BookHealth",
    "Clock",
    "Doubt",
    "Event",
    "EventKind",
    "FeedHealth",
    "FeedState",
    "Flow",
    "Kill",
    "Line",
    "ModelConfig",
    "ModelEngine",
    "Op",
    "OrderState",
    "Outcome",
    "Phase",
    "Protocol",
    "Reason",
    "Role",
    "SessionHealth",
    "Side",
    "SymbolParams",
    "SymbolState",
    "Table",
    "Template",
    "WorkingOrder",
    "XdpAction",
]

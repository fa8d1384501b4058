"""Feed recovery: missing messages are asked for again, books are restored from snapshots, sessions followed.

`Recovery` does all of it beside an engine. docs/recovery.md tells what happens when, and how to act by hand.
"""

from turbo_hft.recovery.service import Recovery
from turbo_hft.recovery.settings import RecoverySettings
from turbo_hft.recovery.snapshot import Glimpse
from turbo_hft.recovery.status import Incident, RecoveryCounters, RecoveryStatus

__all__ = ["Glimpse", "Incident", "Recovery", "RecoveryCounters", "RecoverySettings", "RecoveryStatus"]

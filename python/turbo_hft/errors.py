"""Every error this package raises on purpose. Messages say what was wrong and what to do about it."""

from __future__ import annotations


class TurboHftError(Exception):
    """Base of all errors of this package."""


class MalformedMessage(TurboHftError, ValueError):
    """Bytes that are no message of the protocol, or values that no message of it can carry."""


class CapabilityError(TurboHftError):
    """A Linux capability, kernel feature or driver feature that is needed is missing."""


class NotAllowed(TurboHftError):
    """This user may not do that with the engine. The message names the group whose members may."""


class LoadError(TurboHftError):
    """The kernel refused the program. `verifier_log` is what the verifier wrote, empty if it wrote nothing."""

    verifier_log: str

    def __init__(self, message: str, verifier_log: str = "") -> None:
        super().__init__(message)
        self.verifier_log = verifier_log


class AttachError(TurboHftError):
    """The program could not be attached to or detached from an interface."""


class AbiMismatch(TurboHftError):
    """Program, extension module and package do not speak the same ABI version."""


class UpgradeError(TurboHftError):
    """A program that cannot take the place of the one that runs. `reasons`: all of them, the message names the first
    ones. What was in force stays in force."""

    reasons: tuple[str, ...]

    def __init__(self, message: str, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reasons = reasons


class ConfigError(TurboHftError):
    """A setting that cannot be used."""


class NotRunning(TurboHftError):
    """There is no running engine to talk to."""


class LabError(TurboHftError):
    """The lab (namespace, interfaces) could not be made, used or removed."""


class OrderRefused(TurboHftError):
    """The risk gate refused an order by hand. `reason` is the gate's own word (``enum hft_reason``)."""

    reason: str

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class RecoveryError(TurboHftError):
    """A snapshot that could not be had, or not as a whole; or a feed that somebody else looks after already."""


class ExchangeError(TurboHftError):
    """The exchange simulator was asked for something it cannot do."""


class NotFlat(TurboHftError):
    """A fresh engine on an account that has traded today. It is logged in, halted, and its order entry is suspect."""


class JournalError(TurboHftError):
    """The journal could not be written or read. Base of those below."""


class JournalBusy(JournalError):
    """Another process writes this journal."""


class JournalFull(JournalError):
    """The file system has no room left for the journal."""


class JournalGone(JournalError):
    """The journal's directory or file was taken away while it was written."""


class JournalDenied(JournalError):
    """No permission to write or read the journal."""


class JournalDamaged(JournalError):
    """The journal is not as it was written. `segment` and `offset` say where the first damage is."""

    segment: str
    offset: int

    def __init__(self, message: str, segment: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.segment = segment
        self.offset = offset

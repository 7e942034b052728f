"""Every error a person can meet: a stable code, what happened, what to do, and an exit code."""

from __future__ import annotations

from .base import (
    ConfigError,
    ExportError,
    FedcganError,
    ImpossibleConditionError,
    InterruptedRunError,
    MissingPackageError,
    SchemaError,
    SchemaVersionError,
    StorageError,
    UnknownConditionError,
    UsageError,
)
from .crypto import CryptoError, ForeignSumError, ForeignTagError, HeadroomError, NotASumError
from .federation import (
    FederationError,
    JoinError,
    KitError,
    NotJoinedError,
    NotReadyError,
    OutboxError,
    PausedError,
    ProposalError,
    RehearsalError,
    SuperLinkError,
    UnknownPlanError,
    WithdrawnError,
)
from .privacy import (
    BudgetExceededError,
    ForeignLedgerError,
    LedgerError,
    MixedUnitsError,
    NotShareableError,
    PrivacyError,
    PrivacyTargetError,
)
from .protocol import (
    AlreadyOpenedError,
    CountedTwiceError,
    MalformedMessageError,
    NotApprovedError,
    NotEnoughSitesError,
    OwnMissingError,
    ProtocolError,
    RefusedError,
    ReplayError,
    SignatureError,
    StepLostError,
    WrongPlanError,
)
from .records import (
    ColumnError,
    ConstraintError,
    DataError,
    EmptyClassError,
    IdentifiedError,
    MissingValueError,
    SamplingRateError,
    ShapeError,
    TooFewRecordsError,
    TooManyRecordsError,
    UnreadableFileError,
    ValueNotAllowedError,
)

__all__ = [
    "AlreadyOpenedError",
    "BudgetExceededError",
    "ColumnError",
    "ConfigError",
    "ConstraintError",
    "CountedTwiceError",
    "CryptoError",
    "DataError",
    "EmptyClassError",
    "ExportError",
    "FedcganError",
    "FederationError",
    "ForeignLedgerError",
    "ForeignSumError",
    "ForeignTagError",
    "HeadroomError",
    "IdentifiedError",
    "ImpossibleConditionError",
    "InterruptedRunError",
    "JoinError",
    "KitError",
    "LedgerError",
    "MalformedMessageError",
    "MissingPackageError",
    "MissingValueError",
    "MixedUnitsError",
    "NotASumError",
    "NotApprovedError",
    "NotEnoughSitesError",
    "NotJoinedError",
    "NotReadyError",
    "NotShareableError",
    "OutboxError",
    "OwnMissingError",
    "PausedError",
    "PrivacyError",
    "PrivacyTargetError",
    "ProposalError",
    "ProtocolError",
    "RefusedError",
    "RehearsalError",
    "ReplayError",
    "SamplingRateError",
    "SchemaError",
    "SchemaVersionError",
    "ShapeError",
    "SignatureError",
    "StepLostError",
    "StorageError",
    "SuperLinkError",
    "TooFewRecordsError",
    "TooManyRecordsError",
    "UnknownConditionError",
    "UnknownPlanError",
    "UnreadableFileError",
    "UsageError",
    "ValueNotAllowedError",
    "WithdrawnError",
    "WrongPlanError",
    "exit_code_of",
]


def exit_code_of(code: str) -> int:
    """The exit code of the error class with this stable code; 1 for an unknown one."""
    pending = [FedcganError]
    while pending:
        kind = pending.pop()
        if kind.code == code:
            return kind.exit_code
        pending += kind.__subclasses__()
    return 1

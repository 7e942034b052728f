"""Privacy guarantees that cannot be met; nothing has left the site."""

from __future__ import annotations

from .base import FedcganError


class PrivacyError(FedcganError):
    """A privacy guarantee cannot be met; nothing has left the site."""

    code = "privacy"
    exit_code = 4


class PrivacyTargetError(PrivacyError):
    """The privacy target is out of range or cannot be reached."""

    code = "privacy-target"


class BudgetExceededError(PrivacyError):
    """The ledger's cap would be exceeded; nothing was charged."""

    code = "privacy-budget"


class LedgerError(PrivacyError):
    """The ledger is damaged or missing."""

    code = "privacy-ledger"


class ForeignLedgerError(LedgerError):
    """The ledger is that of another data set; nothing was charged."""

    code = "ledger-foreign"


class MixedUnitsError(PrivacyError):
    """The ledger's charges protect another unit than the one asked for; nothing was charged."""

    code = "unit-mixed"


class NotShareableError(PrivacyError):
    """A page to be shared would show what nothing was paid for."""

    code = "not-shareable"

"""Every error a person can meet: a stable code, what happened, what to do, and an exit code."""

from __future__ import annotations

from typing import ClassVar


class FedcganError(Exception):
    """Base of all typed errors.

    code: stable, for programs; hint: what the person can do; exit_code: of the command line.
    Messages name rows, columns and public numbers, never a value of a record.
    """

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(FedcganError):
    """A configuration, plan or command line that cannot be run."""

    code = "config"
    exit_code = 2


class UsageError(ConfigError):
    """A command line that is not one of ours."""

    code = "usage"


class UnknownPlanError(ConfigError):
    """A hash, or the beginning of one, of no plan at this site, or of more than one."""

    code = "unknown-plan"


class NotReadyError(ConfigError):
    """A site that cannot take part as it is set up."""

    code = "site-not-ready"


class SchemaError(FedcganError):
    """A schema that contradicts itself."""

    code = "schema"
    exit_code = 2


class UnknownConditionError(ConfigError):
    """A condition or a value of it that the generator was not trained with."""

    code = "unknown-condition"


class DataError(FedcganError):
    """Records that do not fit the schema."""

    code = "data"
    exit_code = 3


class ColumnError(DataError):
    """A column is missing, extra or of another type."""

    code = "data-columns"


class ValueNotAllowedError(DataError):
    """A value outside its declared bounds or categories."""

    code = "data-value"


class MissingValueError(DataError):
    """A missing value where the schema allows none."""

    code = "data-missing"


class UnreadableFileError(DataError):
    """A file of records that is damaged, cut off or of another format."""

    code = "data-file"


class ShapeError(DataError):
    """An image or signal of another size, other channels or another number type than the schema says."""

    code = "data-shape"


class SamplingRateError(DataError):
    """A signal sampled at another rate, or in another unit, than the schema says."""

    code = "data-sampling-rate"


class IdentifiedError(DataError):
    """A file that carries somebody's identity beside the record."""

    code = "data-identified"


class MissingPackageError(ConfigError):
    """A format whose optional package is not installed."""

    code = "missing-package"


class EmptyClassError(DataError):
    """A declared condition of which there is no record."""

    code = "data-empty-class"


class TooFewRecordsError(DataError):
    """A site holds fewer records than the plan needs."""

    code = "data-too-few"


class TooManyRecordsError(DataError):
    """A site holds more records than the plan's headroom was chosen for."""

    code = "data-too-many"


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


class ProtocolError(FedcganError):
    """A message that the protocol does not allow."""

    code = "protocol"
    exit_code = 5


class MalformedMessageError(ProtocolError):
    """Bytes that are no message: truncated, too long, of another version, of another type."""

    code = "protocol-malformed"


class SignatureError(ProtocolError):
    """A signature or a sealed box does not verify."""

    code = "protocol-signature"


class WrongPlanError(ProtocolError):
    """A message that belongs to another plan, and so to another run."""

    code = "protocol-wrong-plan"


class NotApprovedError(ProtocolError):
    """The plan was not approved at this site."""

    code = "protocol-not-approved"


class PausedError(ProtocolError):
    """The site's data steward has paused it; nothing was answered."""

    code = "site-paused"


class WithdrawnError(ProtocolError):
    """The site has left the federation; its keys of all runs are gone."""

    code = "site-withdrawn"


class ProposalError(ProtocolError):
    """A proposed plan that the site does not take in, or that cannot be approved any more."""

    code = "site-proposal"


class ReplayError(ProtocolError):
    """A step was already answered with another content."""

    code = "protocol-replay"


class AlreadyOpenedError(ProtocolError):
    """A step was already opened for another sum, too often, or was abandoned."""

    code = "protocol-opened"


class CountedTwiceError(ProtocolError):
    """A site is counted twice in one sum."""

    code = "protocol-counted-twice"


class OwnMissingError(ProtocolError):
    """A key-holder's own contribution is not in the sum it is asked to open."""

    code = "protocol-own-missing"


class StepLostError(ProtocolError):
    """So many sites can no longer answer a step that it cannot be finished."""

    code = "protocol-step-lost"


class NotEnoughSitesError(ProtocolError):
    """Fewer contributors or key-holders than the plan demands."""

    code = "protocol-not-enough-sites"


class RefusedError(ProtocolError):
    """A site refused. Its own code decides the exit code."""

    code = "protocol-refused"

    def __init__(self, site: str, code: str, message: str, hint: str, about: str = "") -> None:
        super().__init__(f"{site} refused: {message}", hint=hint)
        self.site = site
        self.refusal_code = code
        self.about = about


class CryptoError(FedcganError):
    """Encryption, decryption or packing cannot be done safely."""

    code = "crypto"
    exit_code = 5


class HeadroomError(CryptoError):
    """A sum could wrap around; nothing was encrypted."""

    code = "crypto-headroom"


class NotASumError(CryptoError):
    """What was opened is not a sum of packed values: too few or wrong partial decryptions."""

    code = "crypto-not-a-sum"


class ForeignSumError(CryptoError):
    """What is to be opened is not the sum of the contributions; nothing was opened."""

    code = "crypto-foreign-sum"


class ForeignTagError(ForeignSumError):
    """The tag of one contribution is not its site's own for this step; nothing was opened."""

    code = "crypto-foreign-tag"

    def __init__(self, site: str) -> None:
        super().__init__(
            f"the tag of {site} is not its own for this step",
            hint="its contribution was altered or comes from another step; the sum must do without it",
        )
        self.site = site


class KitError(FedcganError):
    """A kit that cannot be joined with: damaged, expired, or made up."""

    code = "kit"
    exit_code = 2


class FederationError(FedcganError):
    """A federation's folder that is absent, damaged, or in which a member stands otherwise."""

    code = "federation"
    exit_code = 2


class NotJoinedError(FedcganError):
    """A site's folder that never joined a federation."""

    code = "not-joined"
    exit_code = 2


class JoinError(FedcganError):
    """A site's reply that is not taken; nobody was admitted."""

    code = "join"
    exit_code = 5


class StorageError(FedcganError):
    """A file cannot be written or read."""

    code = "storage"
    exit_code = 6


class OutboxError(StorageError):
    """The list of everything that left a site is damaged."""

    code = "site-outbox"


class RehearsalError(ProtocolError):
    """A rehearsal was not over in time."""

    code = "rehearsal"


class SuperLinkError(FedcganError):
    """Flower's SuperLink does not answer, or refuses."""

    code = "superlink"
    exit_code = 7


class InterruptedRunError(FedcganError):
    """The person stopped the run; what was finished is kept."""

    code = "interrupted"
    exit_code = 130


def exit_code_of(code: str) -> int:
    """The exit code of the error class with this stable code; 1 for an unknown one."""
    pending = [FedcganError]
    while pending:
        kind = pending.pop()
        if kind.code == code:
            return kind.exit_code
        pending += kind.__subclasses__()
    return 1

"""Releases that are not made, not signed, or not what they say."""

from __future__ import annotations

from .base import ConfigError, FedcganError, StorageError
from .privacy import PrivacyError


class GateFailedError(FedcganError):
    """The privacy gate did not pass; nothing was released."""

    code = "gate-failed"
    exit_code = 8


class OverrideError(ConfigError):
    """A written reason that is none, or for a gate that passed."""

    code = "gate-override"


class PrivateEvaluationError(PrivacyError):
    """Figures computed from records, which are never part of a release."""

    code = "evaluation-private"


class BundleExistsError(StorageError):
    """There is something where the bundle would go; it was left alone."""

    code = "bundle-exists"


class BundleError(FedcganError):
    """A release bundle that is not what its manifest says, or no bundle."""

    code = "bundle"
    exit_code = 5


class BundlePathError(BundleError):
    """A name in a bundle that could reach outside it, a link, or too many or too large files."""

    code = "bundle-path"


class BundleZipError(BundleError):
    """A zip that is not byte for byte what ``fedcgan release --zip`` writes."""

    code = "bundle-zip"


class ManifestError(BundleError):
    """A manifest that is absent, damaged or of another version."""

    code = "bundle-manifest"


class MissingFileError(BundleError):
    """A file of the manifest is not there."""

    code = "bundle-missing"


class ExtraFileError(BundleError):
    """A file that the manifest does not know."""

    code = "bundle-extra"


class AlteredFileError(BundleError):
    """A file whose content is not the one in the manifest."""

    code = "bundle-altered"


class BundleSignatureError(BundleError):
    """The coordinator's signature is absent or does not verify."""

    code = "bundle-signature"


class UnknownSignerError(BundleError):
    """The bundle is signed by somebody else than expected."""

    code = "bundle-signer"


class RosterError(BundleError):
    """Coordinator or sites are not those of the plan."""

    code = "bundle-roster"


class CounterSignatureError(BundleError):
    """A site's counter-signature that is forged, of another bundle, or of nobody in the roster."""

    code = "bundle-countersignature"


class TooFewSignaturesError(BundleError):
    """Fewer sites have counter-signed than the plan asks for."""

    code = "bundle-unsigned"


class DisagreementError(BundleError):
    """Two files of a bundle contradict each other."""

    code = "bundle-disagrees"


class UnderstatedError(BundleError):
    """The epsilon of a bundle is less than its plan, or a site's ledger, says was spent."""

    code = "bundle-epsilon"


class DamagedGeneratorError(BundleError):
    """The generator of a bundle cannot be read."""

    code = "bundle-generator"


class NotOurRunError(BundleError):
    """A bundle of a run that this site did not approve or take part in; it is not signed."""

    code = "bundle-not-ours"


class AboveAgreedError(BundleError):
    """A bundle whose epsilon is above what this site agreed to; it is not signed."""

    code = "bundle-above-agreed"

"""Whether a bundle is what it says it is: everything that can be checked from its files alone, offline.

In this order: names and sizes, the manifest and its signature, who that is, every file's hash, what the files
say of each other, epsilon from the plan's own mechanisms, the sites' counter-signatures.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import fingerprint
from ..errors import ConfigError, TooFewSignaturesError, UnknownSignerError
from .bundle import Bundle
from .claims import Claims, check_claims
from .evidence_file import check_evidence
from .manifest import Manifest
from .onnx_file import check_onnx

_KEY, _FINGERPRINT = re.compile(r"[0-9a-f]{64}"), re.compile(r"(?:\d[ -]?){40}")


@dataclass(frozen=True, slots=True)
class Verified:
    """A bundle in which nothing is wrong.

    signed: sites whose counter-signatures are in it; pinned: whether the coordinator's key is the one that
    the caller expected; otherwise nobody has checked who that is; onnx, evidence: whether the bundle has a
    portable generator, and the numbers of a page
    """

    bundle: Bundle
    claims: Claims
    signed: tuple[str, ...]
    pinned: bool
    onnx: bool
    evidence: bool

    @property
    def manifest(self) -> Manifest:
        """What was signed."""
        return self.bundle.manifest

    @property
    def fingerprint(self) -> str:
        """Of the coordinator's key, to be compared with what the coordinator reads out."""
        return fingerprint.of_key(self.manifest.coordinator.identity)


def verify(
    path: Path,
    *,
    signer: str | None = None,
    complete: bool = True,
    read: Callable[[int], None] = lambda _: None,
) -> Verified:
    """Check the bundle at ``path``, a folder or a zip. The first thing that is wrong is raised.

    signer: whose signature is expected, a public key (64 hexadecimal digits) or its fingerprint
    complete: whether as many sites as the plan asks for must have counter-signed
    read: is told of bytes as files are read
    Raises BundleError, one of its kinds; StorageError; ConfigError if ``signer`` is neither.
    """
    if signer is not None:
        check_signer(signer)
    bundle = Bundle.open(path)
    bundle.check_signature()
    if signer is not None and not is_signer(signer, bundle.manifest.coordinator.identity):
        found = fingerprint.of_key(bundle.manifest.coordinator.identity)
        raise UnknownSignerError(
            f"this bundle is signed by another coordinator than expected, one with the fingerprint {found}",
            hint="do not use it before you know who that is",
        )
    bundle.check_files(read)
    claims = check_claims(bundle)
    onnx, evidence = check_onnx(bundle), check_evidence(bundle, claims)
    signed = tuple(bundle.counter_signed())
    if complete and len(signed) < bundle.manifest.signatures:
        absent = [party.name for party in bundle.manifest.sites if party.name not in signed]
        raise TooFewSignaturesError(
            f"{len(signed)} sites have counter-signed, the plan asks for {bundle.manifest.signatures}; "
            f"not signed: {', '.join(absent)}",
            hint="there: fedcgan site sign; here: fedcgan release countersign",
        )
    return Verified(bundle, claims, signed, signer is not None, onnx, evidence)


def check_signer(signer: str) -> None:
    """Raise ConfigError unless it is a public key or a fingerprint."""
    if not (_KEY.fullmatch(signer.lower()) or _FINGERPRINT.fullmatch(signer.strip())):
        raise ConfigError(
            f"{signer!r} is no fingerprint", hint="eight groups of five digits, or 64 hexadecimal digits"
        )


def is_signer(signer: str, identity: str) -> bool:
    """Whether a public key is the one with this fingerprint, or this very key."""
    return signer.lower() == identity or fingerprint.same(signer, fingerprint.of_key(identity))

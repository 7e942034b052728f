"""The manifest: every file of a bundle by its hash, and what the release says of itself. It gets signed.

``manifest.json`` is in canonical form; its SHA-256 is what coordinator and sites put their names to.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..errors import ManifestError
from ..evaluation.figures import Verdict
from ..plan import Party, Plan
from ..privacy.mechanism import Unit
from .canonical import decoded, digest, encoded
from .paths import MANIFEST, SIGNATURE, SIGNATURES, check_paths

MANIFEST_LIMIT = 1 << 23
"""Bytes of a manifest."""

LEAST_REASON, MOST_REASON = 20, 4000
"""Characters of the written reason for a release whose gate did not pass."""

_MODEL = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class File(BaseModel):
    """One file. path: relative, with ``/``; size: bytes; media: its type (RFC 6838)"""

    model_config = _MODEL
    path: str
    size: int = Field(ge=0)
    sha256: Hash
    media: str = Field(pattern=r"^[a-z]+/[a-z0-9.+-]+$")


class Manifest(BaseModel):
    """A release.

    run, plan, schema_hash: of the run, its plan, its schema; coordinator, sites: the plan's roster
    signatures: sites that must counter-sign, as the plan asks; epsilon, delta, unit: what was spent
    attempts: at steps that were tried again, each charged; gate: the privacy gate's verdict
    override: the written reason for a release although the gate did not pass, none if it did
    simulated: all parties were on one machine, so that signatures say nothing about institutions
    made: day of the release (UTC); program: version of fedcgan that made it
    """

    model_config = _MODEL
    format: Literal["fedcgan-bundle-1"] = "fedcgan-bundle-1"
    run: str = Field(min_length=1, max_length=64)
    plan: Hash
    schema_hash: Hash
    coordinator: Party
    sites: tuple[Party, ...]
    signatures: int = Field(ge=0)
    epsilon: float = Field(ge=0)
    delta: float = Field(gt=0, lt=1)
    unit: Unit
    attempts: dict[str, int]
    gate: Verdict
    override: str | None = Field(min_length=LEAST_REASON, max_length=MOST_REASON)
    simulated: bool
    made: str = Field(pattern=r"^\d{4}-\d\d-\d\d$")
    program: str = Field(max_length=64)
    files: tuple[File, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        paths = [file.path for file in self.files]
        if paths != sorted(paths):
            raise ValueError("files must be in order")
        if any(path in (MANIFEST, SIGNATURE) or path.lower().startswith(SIGNATURES) for path in paths):
            raise ValueError("a manifest and its signatures cannot be in the manifest")
        if (self.gate == "passed") == (self.override is not None):
            raise ValueError("a release has an override if, and only if, its gate did not pass")
        return self

    @classmethod
    def of(
        cls,
        plan: Plan,
        files: tuple[File, ...],
        *,
        epsilon: float,
        attempts: dict[str, int],
        gate: Verdict,
        override: str | None,
        simulated: bool,
        made: str,
        program: str,
    ) -> Self:
        """The manifest of a run's release."""
        return cls(
            run=plan.run,
            plan=plan.hash,
            schema_hash=plan.schema_hash,
            coordinator=plan.federation.coordinator,
            sites=plan.federation.sites,
            signatures=plan.release.signatures,
            epsilon=epsilon,
            delta=plan.privacy.delta,
            unit=plan.privacy.unit,
            attempts=attempts,
            gate=gate,
            override=override,
            simulated=simulated,
            made=made,
            program=program,
            files=files,
        )

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical form."""
        return digest(self.to_json())

    def to_json(self) -> bytes:
        """The canonical form (RFC 8785)."""
        return encoded(self)

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """Read a manifest, its paths and sizes checked. Raises ManifestError or BundlePathError."""
        if len(raw) > MANIFEST_LIMIT:
            raise ManifestError(f"{MANIFEST} has more than {MANIFEST_LIMIT} bytes")
        manifest = decoded(cls, raw, MANIFEST, ManifestError)
        check_paths((file.path, file.size) for file in manifest.files)
        return manifest

    def file(self, path: str) -> File | None:
        """The file with this path."""
        return next((file for file in self.files if file.path == path), None)

    def identity_of(self, site: str) -> str | None:
        """The public key of a site of the roster."""
        return next((party.identity for party in self.sites if party.name == site), None)

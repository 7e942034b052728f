"""Who stands behind a manifest: the coordinator who made the release, and sites that counter-sign it.

Both sign the SHA-256 of the manifest under labels of their own, so that no signature of one kind, or of a
message of a run, can pass as one of another kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ..crypto.identity import Identity, verify
from ..durable import write_whole
from ..errors import (
    BundleError,
    BundleSignatureError,
    CounterSignatureError,
    FedcganError,
    SignatureError,
)
from ..plan import Party
from .canonical import canonical, decoded, encoded
from .manifest import Hash, Manifest
from .paths import SIGNATURE, SIGNATURES

SIGNATURE_LIMIT = 4096
"""Bytes of a signature's file; ours take about 400."""

Role = Literal["coordinator", "site"]

_LABELS = {role: f"fedcgan/v1/bundle/{role}\0".encode() for role in ("coordinator", "site")}


class Signature(BaseModel):
    """A signed manifest.

    name, identity: of who signs, as in the plan; manifest: its SHA-256; signature: Ed25519, hexadecimal, by
    ``identity`` over the label of the role and the canonical JSON of all the rest
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: Literal[1] = 1
    role: Role
    name: str = Field(max_length=64)
    identity: Hash
    manifest: Hash
    signature: str = Field(pattern=r"^[0-9a-f]{128}$")

    @classmethod
    def make(cls, role: Role, signer: Party, identity: Identity, manifest: Manifest) -> Signature:
        """``signer``'s name under a manifest. Raises BundleError if the key is not the signer's."""
        if identity.public != signer.identity:
            raise BundleError(
                f"this key is not that of {signer.name} in the plan",
                hint="restore the key with which the plan was made",
            )
        said = {"version": 1, "role": role, "name": signer.name, "identity": signer.identity}
        said["manifest"] = manifest.hash
        signature = identity.sign(_LABELS[role] + canonical(said)).hex()
        return cls.model_validate({**said, "signature": signature})

    def check(self, role: Role, signer: Party, manifest: Manifest, error_kind: type[FedcganError]) -> None:
        """Raise ``error_kind`` unless this is ``signer``'s own, in this role, under this manifest."""
        what = SIGNATURE if role == "coordinator" else f"the signature of {signer.name}"
        if (self.role, self.name, self.identity) != (role, signer.name, signer.identity):
            raise error_kind(f"{what} is by somebody else", hint="get the bundle again")
        if self.manifest != manifest.hash:
            raise error_kind(
                f"{what} is for another manifest",
                hint="bundle or signature was altered, or the signature belongs to another bundle",
            )
        said = self.model_dump(exclude={"signature"})
        try:
            verify(self.identity, _LABELS[role] + canonical(said), bytes.fromhex(self.signature))
        except SignatureError as error:
            raise error_kind(f"{what} does not verify", hint="it was forged or altered") from error

    def to_json(self) -> bytes:
        """The canonical form, which is what the file holds."""
        return encoded(self)

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all. Raises StorageError."""
        write_whole(path, lambda temporary: temporary.write_bytes(self.to_json()))

    @classmethod
    def from_json(cls, raw: bytes, name: str, error_kind: type[FedcganError]) -> Signature:
        """Read a signature's file, nothing in it verified yet. Raises ``error_kind``."""
        if len(raw) > SIGNATURE_LIMIT:
            raise error_kind(f"{name} has more than {SIGNATURE_LIMIT} bytes")
        return decoded(cls, raw, name, error_kind)


def check_coordinator(raw: bytes, manifest: Manifest) -> None:
    """Raise BundleSignatureError unless these bytes are the coordinator's signature."""
    signature = Signature.from_json(raw, SIGNATURE, BundleSignatureError)
    signature.check("coordinator", manifest.coordinator, manifest, BundleSignatureError)


def check_site(raw: bytes, path: str, manifest: Manifest) -> str:
    """The site whose counter-signature these bytes are. Raises CounterSignatureError.

    path: where it lies in the bundle, which must be under its own name
    """
    signature = read_site(raw, path, manifest)
    if path != path_of(signature.name):
        raise CounterSignatureError(f"{path} is the signature of {signature.name}", hint="take it out")
    return signature.name


def read_site(raw: bytes, name: str, manifest: Manifest) -> Signature:
    """A site's counter-signature, verified, from a file of any name. Raises CounterSignatureError."""
    signature = Signature.from_json(raw, name, CounterSignatureError)
    identity = manifest.identity_of(signature.name)
    if identity is None:
        raise CounterSignatureError(
            f"{name} is signed by {signature.name!r}, who is not in the plan's roster", hint="take it out"
        )
    signature.check("site", Party(name=signature.name, identity=identity), manifest, CounterSignatureError)
    return signature


def path_of(site: str) -> str:
    """Where a site's counter-signature lies in a bundle."""
    return f"{SIGNATURES}{site}.json"

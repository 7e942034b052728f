"""The reply of a site that joins: its public keys, proved by the kit's PIN and by the new identity.

The signature says that whoever replies holds the identity; the MAC says that they hold the PIN of this
kit, which was sent to one site, is good once, and expires.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Annotated, Literal, Self

from cryptography import x509
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from .authority import check_node_key
from .crypto.identity import Identity, verify
from .crypto.secret_file import write_secret
from .errors import JoinError, SignatureError
from .fingerprint import fingerprint
from .kit import Kit, Name
from .toml_file import first_problem

REPLY_LIMIT = 1 << 13
"""Bytes of a reply; ours take less than 1 KiB."""

_SIGNED, _MACED = b"fedcgan/v1/join/signature\0", b"fedcgan/v1/join/mac\0"

NodeKey = Annotated[str, Field(max_length=256), AfterValidator(check_node_key)]
"""A node's public key: one OpenSSH line, ``ecdsa-sha2-nistp384``."""

IdentityKey = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A public Ed25519 key, 64 hexadecimal digits."""


class JoinReply(BaseModel):
    """What a site answers to a kit; nothing in it is secret.

    signature: by ``identity``, Ed25519, hexadecimal; mac: HMAC-SHA256 under the kit's PIN, over all the rest
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: Literal[1] = 1
    federation: Name
    site: Name
    identity: IdentityKey
    node_key: NodeKey
    signature: str = Field(pattern=r"^[0-9a-f]{128}$")
    mac: str = Field(pattern=r"^[0-9a-f]{64}$")

    @classmethod
    def make(cls, kit: Kit, identity: Identity, node_key: str) -> Self:
        """Answer ``kit`` with a site's new keys."""
        said = {
            "version": 1,
            "federation": kit.federation,
            "site": kit.site,
            "identity": identity.public,
            "node_key": node_key,
        }
        said["signature"] = identity.sign(_SIGNED + _canonical(said)).hex()
        return cls.model_validate({**said, "mac": _mac(kit.pin, said)})

    def check(self, pin: str) -> None:
        """Raise JoinError unless this reply was made with ``pin`` and by the holder of its identity."""
        said = self.model_dump(exclude={"mac"})
        if not hmac.compare_digest(_mac(pin, said), self.mac):
            raise JoinError(
                f"this reply was not made with the PIN of {self.site}'s kit, or was altered",
                hint="ask for the reply to the newest kit; if it is that one, somebody altered it",
            )
        del said["signature"]
        try:
            verify(self.identity, _SIGNED + _canonical(said), bytes.fromhex(self.signature))
        except SignatureError as error:
            raise JoinError(
                "the reply is not signed by the identity it names", hint="ask the site to join again"
            ) from error

    def fingerprint(self, coordinator: str, authority: x509.Certificate) -> str:
        """What both sides compare. coordinator: its identity, hexadecimal."""
        return fingerprint(
            coordinator=coordinator,
            authority=authority,
            federation=self.federation,
            site=self.site,
            identity=self.identity,
            node_key=self.node_key,
        )

    def write(self, path: Path) -> None:
        """Write the reply as JSON. Raises OSError."""
        write_secret(path, self.model_dump_json(indent=2).encode() + b"\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """The reply in the file at ``path``. Raises JoinError."""
        hint = "ask the site to send the file NAME.reply.json again"
        try:
            with open(path, "rb") as file:
                raw = file.read(REPLY_LIMIT + 1)
        except OSError as error:
            raise JoinError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
        return cls.parsed(raw, str(path))

    @classmethod
    def parsed(cls, raw: bytes, named: str) -> Self:
        """The reply whose file has this content. named: it, in messages. Raises JoinError."""
        hint = "ask the site to send the file NAME.reply.json again"
        if len(raw) > REPLY_LIMIT:
            raise JoinError(f"{named} has more than {REPLY_LIMIT} bytes", hint=hint)
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            raise JoinError(f"{named} is not a site's reply: {first_problem(error)}", hint=hint) from error


def _canonical(said: dict[str, object]) -> bytes:
    return json.dumps(said, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


def _mac(pin: str, said: dict[str, object]) -> str:
    return hmac.new(bytes.fromhex(pin), _MACED + _canonical(said), hashlib.sha256).hexdigest()

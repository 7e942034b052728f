"""Who says it: Ed25519 identities, and boxes that only one party can open.

The identities of a federation are exchanged before a run and fixed in the plan; nothing that
arrives during a run can change them.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..errors import CryptoError, SignatureError
from .secret_file import read_secret, write_secret

NONCE_BYTES = 12


class Identity:
    """A party's signing key. The private half lives in one file of mode 0600."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def __repr__(self) -> str:
        return f"Identity(public={self.public})"

    @property
    def public(self) -> str:
        """The public key, 64 hexadecimal digits."""
        return self._key.public_key().public_bytes_raw().hex()

    def sign(self, message: bytes) -> bytes:
        """64 bytes of Ed25519 (RFC 8032)."""
        return self._key.sign(message)

    @classmethod
    def load_or_create(cls, path: Path) -> Identity:
        """The identity kept at ``path``; made there on first use."""
        if not path.exists():
            write_secret(path, Ed25519PrivateKey.generate().private_bytes_raw())
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> Identity:
        """The identity kept at ``path``. Raises CryptoError if there is none: another is somebody else."""
        if not path.exists():
            raise CryptoError(
                f"there is no {path}", hint="restore it from a backup; others know no other key"
            )
        return cls(Ed25519PrivateKey.from_private_bytes(read_secret(path)))


def verify(public: str, message: bytes, signature: bytes) -> None:
    """Raise SignatureError unless ``signature`` is ``public``'s on ``message``."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise SignatureError(
            "a signature does not verify",
            hint="the message was altered or comes from somebody outside the plan's roster",
        ) from error


class AgreementKey:
    """An X25519 key of one run, with which key-holders seal shares for each other."""

    def __init__(self, key: X25519PrivateKey | None = None) -> None:
        self._key = key or X25519PrivateKey.generate()

    def __repr__(self) -> str:
        return "AgreementKey(secret)"

    @property
    def public(self) -> bytes:
        """The public half, 32 bytes."""
        return self._key.public_key().public_bytes_raw()

    def seal(self, peer: bytes, context: bytes, content: bytes) -> bytes:
        """A box for ``peer``: a fresh nonce, then ChaCha20-Poly1305 under HKDF(X25519)."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher(peer, context).encrypt(nonce, content, context)

    def open(self, peer: bytes, context: bytes, box: bytes) -> bytes:
        """The content of a box that ``peer`` sealed for us. Raises SignatureError."""
        try:
            return self._cipher(peer, context).decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], context)
        except (InvalidTag, ValueError) as error:
            raise SignatureError(
                "a sealed share does not open", hint="it was altered, or sealed for another site"
            ) from error

    def pair_key(self, peer: bytes, context: bytes) -> bytes:
        """32 secret bytes that only we and ``peer`` can compute. Raises SignatureError."""
        return self._derive(peer, b"fedcgan/v1/pair/" + context)

    def _cipher(self, peer: bytes, context: bytes) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(self._derive(peer, b"fedcgan/v1/share/" + context))

    def _derive(self, peer: bytes, info: bytes) -> bytes:
        try:
            secret = self._key.exchange(X25519PublicKey.from_public_bytes(peer))
        except ValueError as error:  # another length, or a point of small order
            raise SignatureError("an agreement key that is none") from error
        return HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(secret)

    def save(self, path: Path) -> None:
        """Keep the key in a file of mode 0600."""
        write_secret(path, self._key.private_bytes_raw())

    @classmethod
    def load(cls, path: Path) -> AgreementKey:
        """Read a key written by ``save``."""
        return cls(X25519PrivateKey.from_private_bytes(read_secret(path)))

"""What two people read to each other over the telephone, so that no mail between them need be trusted.

SHA-256 over the JSON list [label, coordinator's identity, SHA-256 of the CA certificate (DER), federation,
site, the site's identity, its node key], taken modulo 10^40 and written as eight groups of five digits:
132 bits. Somebody between the two has to choose what the site sees before the site makes its keys, and what
the coordinator sees has then to hit one given number: no birthday helps.
"""

from __future__ import annotations

import hashlib
import json

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

_LABEL, _KEY_LABEL = "fedcgan/v1/fingerprint", "fedcgan/v1/key-fingerprint"
_GROUPS, _DIGITS = 8, 5


def fingerprint(
    *, coordinator: str, authority: x509.Certificate, federation: str, site: str, identity: str, node_key: str
) -> str:
    """Eight groups of five digits: who the coordinator is, who the site is, and by which keys.

    coordinator, identity: Ed25519, hexadecimal; node_key: OpenSSH line
    """
    certificate = authority.fingerprint(SHA256()).hex()
    parts = [_LABEL, coordinator, certificate, federation, site, identity, node_key]
    return _printed(parts)


def of_key(identity: str) -> str:
    """Eight groups of five digits of one public key alone: whose signature a release bears.

    identity: Ed25519, hexadecimal
    """
    return _printed([_KEY_LABEL, identity])


def _printed(parts: list[str]) -> str:
    digest = hashlib.sha256(json.dumps(parts, ensure_ascii=True, separators=(",", ":")).encode()).digest()
    number = int.from_bytes(digest) % 10 ** (_GROUPS * _DIGITS)
    digits = f"{number:0{_GROUPS * _DIGITS}d}"
    return " ".join(digits[start : start + _DIGITS] for start in range(0, len(digits), _DIGITS))


def same(left: str, right: str) -> bool:
    """Whether two fingerprints are the same, however they are spaced."""
    return _digits(left) == _digits(right)


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter not in " -\t\n")

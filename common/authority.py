"""A federation's certificate authority as a site sees it, and the keys that nodes show to it: public halves.

Both are taken in one form only, so that what people compare is all that is trusted: a file with a second
certificate in it would be trusted by TLS and absent from the fingerprint.
"""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_public_key,
)

AUTHORITY_LIMIT = 1 << 14
"""Bytes of a CA certificate; ours take less than 1 KiB."""


def read_authority(pem: bytes) -> x509.Certificate:
    """The one CA certificate in ``pem``. Raises ValueError unless it is self-signed, P-384, and alone."""
    try:
        certificate = x509.load_pem_x509_certificate(pem[:AUTHORITY_LIMIT])
        key = certificate.public_key()
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound) as error:
        raise ValueError("this is not the certificate of a certificate authority") from error
    if certificate.public_bytes(Encoding.PEM) != pem:
        raise ValueError("a certificate authority's file holds its certificate and nothing else")
    if not constraints.ca or not is_p384(key):
        raise ValueError("this is not the certificate of a federation's authority (a P-384 CA)")
    return certificate


def valid_at(certificate: x509.Certificate, time: datetime) -> bool:
    """Whether a clock that shows ``time`` lies within the certificate's validity."""
    return certificate.not_valid_before_utc <= time <= certificate.not_valid_after_utc


def node_key_line(key: EllipticCurvePublicKey) -> str:
    """A node's public key as OpenSSH writes it, without comment or newline."""
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def check_node_key(line: str) -> str:
    """The line itself. Raises ValueError unless it is an ``ecdsa-sha2-nistp384`` key in canonical form."""
    try:
        key = load_ssh_public_key(line.encode("ascii"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("this is not a public key in OpenSSH's form") from error
    if not isinstance(key, EllipticCurvePublicKey) or not is_p384(key):
        raise ValueError("the key of a node is ECDSA on P-384")
    if node_key_line(key) != line:
        raise ValueError("the key of a node is one line without a comment")
    return line


def is_p384(key: object) -> bool:
    """Whether this is a public key on P-384."""
    return isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP384R1)

"""The federation's own certificate authority, and the certificate of the server that sites connect to.

Sites trust this authority and no other, so a public one, or another federation's, cannot stand in.
ECDSA on P-384 with SHA-384 throughout (RFC 5280).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP384R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.authority import read_authority, valid_at
from common.crypto.secret_file import read_secret, write_secret
from common.errors import FederationError

AUTHORITY_DAYS, SERVER_DAYS = 3650, 397
_CLOCKS_DIFFER = timedelta(days=1)  # a site's clock may be behind the coordinator's


class Certificates:
    """The files ``ca/ca.key ca/ca.crt tls/server.key tls/server.crt`` of a federation's folder.

    Keys have mode 0600 and are refused with a wider one.
    """

    def __init__(self, folder: Path) -> None:
        self._authority_key, self.authority_file = folder / "ca" / "ca.key", folder / "ca" / "ca.crt"
        self.server_key, self.server_file = folder / "tls" / "server.key", folder / "tls" / "server.crt"

    def create(self, federation: str, host: str, now: datetime) -> None:
        """Make the authority and the first server certificate. Raises OSError."""
        key = generate_private_key(SECP384R1())
        write_secret(self._authority_key, _pem(key))
        _write_public(self.authority_file, make_authority(key, federation, now))
        self.renew(federation, host, now)

    def renew(self, federation: str, host: str, now: datetime) -> x509.Certificate:
        """Make a new server key and its certificate; the authority stays, so sites notice nothing.

        Raises FederationError if the authority's time is over.
        """
        authority, key = self.authority, self._load_key()
        if not valid_at(authority, now):
            raise FederationError(
                "the certificate authority of this federation is not valid now",
                hint="set the clock; if its ten years are over, start a federation anew",
            )
        own = generate_private_key(SECP384R1())
        certificate = make_server_certificate(own.public_key(), federation, host, authority, key, now)
        # were we stopped in between, ``server`` would say that the two do not fit
        write_secret(self.server_key, _pem(own))
        _write_public(self.server_file, certificate)
        return certificate

    @property
    def authority(self) -> x509.Certificate:
        """The CA certificate. Raises FederationError."""
        try:
            return read_authority(self.authority_file.read_bytes())
        except (OSError, ValueError) as error:
            raise FederationError(
                f"{self.authority_file} is missing or damaged",
                hint="restore the federation's folder from a backup: sites trust this certificate alone",
            ) from error

    def server(self, now: datetime) -> x509.Certificate:
        """The server's certificate, ready to be used. Raises FederationError."""
        renew = "make a new one: fedcgan federation certificate"
        try:
            certificate = x509.load_pem_x509_certificate(self.server_file.read_bytes())
            certificate.verify_directly_issued_by(self.authority)
            key = load_pem_private_key(read_secret(self.server_key), None)
        except FederationError:
            raise
        except Exception as error:  # a wider mode, no file, no PEM, another issuer: each has its own type
            raise FederationError(
                f"the server's certificate or key cannot be used: {error}", hint=renew
            ) from error
        if key.public_key() != certificate.public_key():
            raise FederationError("the server's certificate is not that of its key", hint=renew)
        if not valid_at(certificate, now):
            raise FederationError(
                f"its certificate is not valid now, but until {certificate.not_valid_after_utc:%Y-%m-%d}",
                hint=renew,
            )
        return certificate

    def _load_key(self) -> EllipticCurvePrivateKey:
        if not self._authority_key.exists():
            raise FederationError(
                f"there is no {self._authority_key}", hint="restore the federation's folder from a backup"
            )
        raw = read_secret(self._authority_key)
        try:
            key = load_pem_private_key(raw, None)
        except (ValueError, TypeError) as error:
            raise FederationError(f"{self._authority_key} is damaged", hint="restore a backup") from error
        if not isinstance(key, EllipticCurvePrivateKey) or key.public_key() != self.authority.public_key():
            raise FederationError(
                f"{self._authority_key} is not the key of {self.authority_file}", hint="restore a backup"
            )
        return key


def make_authority(key: EllipticCurvePrivateKey, federation: str, now: datetime) -> x509.Certificate:
    """A self-signed CA that may issue server certificates and no further CA; valid for ten years."""
    subject = _name(federation, "fedcgan authority")
    return (
        _builder(subject, subject, key.public_key(), now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA384())
    )


def make_server_certificate(
    server: EllipticCurvePublicKey,
    federation: str,
    host: str,
    authority: x509.Certificate,
    key: EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    """The certificate of a server at ``host`` (a DNS name or IP address), localhost and 127.0.0.1."""
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _builder(_name(federation, "fedcgan server"), authority.subject, server, now, SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName(_alternatives(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(server), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(key, SHA384())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + timedelta(days=days))
    )


def _name(federation: str, role: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, federation),
            x509.NameAttribute(NameOID.COMMON_NAME, role),
        ]
    )


def _alternatives(host: str) -> list[x509.GeneralName]:
    """The host first; each name once."""
    names: list[x509.GeneralName] = []
    for name in (host.lower(), "localhost", "127.0.0.1"):
        try:
            general: x509.GeneralName = x509.IPAddress(ip_address(name))
        except ValueError:
            general = x509.DNSName(name)
        if general not in names:
            names.append(general)
    return names


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_public(path: Path, certificate: x509.Certificate) -> None:
    write_secret(path, certificate.public_bytes(Encoding.PEM))  # not secret: written whole, and durably

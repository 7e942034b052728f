"""What is made is what Python's and OpenSSL's TLS accept, for this host, from this authority."""

import socket
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from common.errors import FederationError
from server.certificates import Certificates

NOW = datetime.now(UTC).replace(microsecond=0)
HOST = "fed.example.org"


def made(folder, host=HOST, now=NOW):
    certificates = Certificates(folder)
    certificates.create("toy-federation", host, now)
    return certificates


@pytest.fixture
def certificates(tmp_path):
    return made(tmp_path / "ours")


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def test_the_authority_may_sign_servers_and_nothing_else(certificates):
    authority = certificates.authority
    constraints = extension(authority, x509.BasicConstraints)
    usage = extension(authority, x509.KeyUsage)
    assert (constraints.value.ca, constraints.value.path_length, constraints.critical) == (True, 0, True)
    assert (usage.value.key_cert_sign, usage.value.digital_signature, usage.critical) == (True, False, True)
    assert isinstance(authority.public_key().curve, ec.SECP384R1)
    assert timedelta(days=3650) <= authority.not_valid_after_utc - NOW < timedelta(days=3700)


def test_the_server_is_what_the_address_says(certificates):
    server, authority = certificates.server(NOW), certificates.authority
    assert extension(server, x509.BasicConstraints).value.ca is False
    usage = extension(server, x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    identifiers = [
        extension(server, x509.AuthorityKeyIdentifier).value.key_identifier,
        extension(authority, x509.SubjectKeyIdentifier).value.digest,
    ]
    assert identifiers[0] == identifiers[1] != extension(server, x509.SubjectKeyIdentifier).value.digest
    assert isinstance(server.public_key().curve, ec.SECP384R1)
    assert server.not_valid_after_utc - NOW == timedelta(days=397)
    assert server.public_key() != authority.public_key()


@pytest.mark.parametrize(
    ("host", "names", "addresses"),
    [
        (HOST, [HOST, "localhost"], ["127.0.0.1"]),
        ("FED.Example.org", [HOST, "localhost"], ["127.0.0.1"]),
        ("localhost", ["localhost"], ["127.0.0.1"]),
        ("127.0.0.1", ["localhost"], ["127.0.0.1"]),
        ("192.0.2.7", ["localhost"], ["192.0.2.7", "127.0.0.1"]),
        ("2001:db8::7", ["localhost"], ["2001:db8::7", "127.0.0.1"]),
    ],
)
def test_its_names(tmp_path, host, names, addresses):
    listed = extension(made(tmp_path, host).server(NOW), x509.SubjectAlternativeName).value
    assert listed.get_values_for_type(x509.DNSName) == names
    assert listed.get_values_for_type(x509.IPAddress) == [ip_address(address) for address in addresses]


def test_the_chain_verifies_for_this_host_only(certificates, tmp_path):
    def verify(host, authority, when=NOW):
        store = Store([authority])
        verifier = PolicyBuilder().store(store).time(when).build_server_verifier(host)
        verifier.verify(certificates.server(NOW), [])

    verify(x509.DNSName(HOST), certificates.authority)
    verify(x509.IPAddress(ip_address("127.0.0.1")), certificates.authority)
    for host, authority, when in (
        (x509.DNSName("evil.example.org"), certificates.authority, NOW),
        (x509.DNSName(HOST), made(tmp_path / "theirs").authority, NOW),
        (x509.DNSName(HOST), certificates.authority, NOW + timedelta(days=398)),
        (x509.DNSName(HOST), certificates.authority, NOW - timedelta(days=2)),
    ):
        with pytest.raises(VerificationError):
            verify(host, authority, when)


def test_openssl_says_the_same(certificates, tmp_path):
    def verify(authority, host):
        line = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", host]
        files = ["-CAfile", authority.authority_file, certificates.server_file]
        return subprocess.run([*line, *files], capture_output=True, text=True, check=False)

    done = verify(certificates, HOST)
    assert done.returncode == 0, done.stderr
    assert verify(certificates, "evil.example.org").returncode != 0
    assert verify(made(tmp_path / "theirs"), HOST).returncode != 0


def handshake(server, trusted, host, connect="127.0.0.1"):
    """One TLS connection on loopback; the server's greeting, or the client's error."""
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(server.server_file, server.server_key)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    theirs.verify_flags |= ssl.VERIFY_X509_STRICT
    theirs.load_verify_locations(trusted.authority_file)
    assert theirs.check_hostname
    with socket.create_server((connect, 0)) as listening:

        def serve():
            connection, _ = listening.accept()
            with connection:
                try:
                    with ours.wrap_socket(connection, server_side=True) as secure:
                        secure.sendall(b"hello")
                except (ssl.SSLError, OSError):
                    pass  # the client went away: what this is about

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                socket.create_connection(listening.getsockname()[:2]) as raw,
                theirs.wrap_socket(raw, server_hostname=host) as secure,
            ):
                return secure.recv(5)
        finally:
            thread.join()


def test_a_handshake_with_the_host_checked(certificates, tmp_path):
    for host in (HOST, "localhost", "127.0.0.1"):
        assert handshake(certificates, certificates, host) == b"hello"
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(certificates, certificates, "evil.example.org")
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        handshake(certificates, made(tmp_path / "theirs"), HOST)


def test_a_renewed_certificate_has_another_key_and_the_same_authority(certificates):
    old, key, authority = (
        certificates.server(NOW),
        certificates.server_key.read_bytes(),
        certificates.authority,
    )
    later = NOW + timedelta(days=390)
    new = certificates.renew("toy-federation", HOST, later)
    assert certificates.server_key.read_bytes() != key
    assert certificates.authority == authority
    assert new.public_key() != old.public_key()
    assert new.not_valid_after_utc == later + timedelta(days=397)


def test_an_expired_server_says_how_to_renew(certificates):
    with pytest.raises(FederationError, match="not valid now") as refused:
        certificates.server(NOW + timedelta(days=398))
    assert "fedcgan federation certificate" in refused.value.hint


def test_a_crash_in_the_middle_of_renewal_is_noticed_and_mended(certificates):
    before = certificates.server_file.read_bytes()
    certificates.renew("toy-federation", HOST, NOW)
    certificates.server_file.write_bytes(before)  # the key was written, its certificate was not
    with pytest.raises(FederationError, match="not that of its key"):
        certificates.server(NOW)
    certificates.renew("toy-federation", HOST, NOW)
    certificates.server(NOW)


def test_another_authoritys_files_are_refused(certificates, tmp_path):
    theirs = made(tmp_path / "theirs")
    (tmp_path / "ours/tls/server.crt").write_bytes(theirs.server_file.read_bytes())
    with pytest.raises(FederationError, match="cannot be used"):
        certificates.server(NOW)
    (tmp_path / "ours/ca/ca.key").write_bytes((tmp_path / "theirs/ca/ca.key").read_bytes())
    with pytest.raises(FederationError, match=r"is not the key of"):
        certificates.renew("toy-federation", HOST, NOW)
    (tmp_path / "ours/ca/ca.key").write_bytes(b"")
    with pytest.raises(FederationError, match="damaged"):
        certificates.renew("toy-federation", HOST, NOW)
    with pytest.raises(FederationError, match="not valid now"):
        theirs.renew("toy-federation", HOST, NOW + timedelta(days=4000))

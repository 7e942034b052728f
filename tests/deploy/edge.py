"""A real nginx in front of a small TLS server that remembers what reached it; requests byte for byte."""

import datetime
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.errors import ConfigError
from common.supervision import free_port
from server.edge import command, configuration

UNPRIVILEGED = 65534


def missing_nginx() -> str:
    try:
        command(Path("/"))
    except ConfigError as error:
        return f"{error.message}: {error.hint}"
    return ""


def certificates(folder: Path) -> None:
    """ca.crt, server.crt and server.key (localhost, 127.0.0.1) as `fedcgan federation init` makes them."""
    now = datetime.datetime.now(datetime.UTC)

    def certificate(subject, issuer, key, signer, *extensions):
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(signer, hashes.SHA384()).public_bytes(serialization.Encoding.PEM)

    ca, server = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    (folder / "ca.crt").write_bytes(
        certificate("CA", "CA", ca, ca, x509.BasicConstraints(ca=True, path_length=0))
    )
    (folder / "server.crt").write_bytes(
        certificate(
            "server",
            "CA",
            server,
            ca,
            x509.SubjectAlternativeName([x509.DNSName("localhost"), loopback]),
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        )
    )
    (folder / "server.key").write_bytes(
        server.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


class Upstream:
    """Stands where the SuperLink is: answers 200 to everything and remembers what it was asked."""

    def __init__(self, certificate_folder: Path) -> None:
        self.reached: list[tuple[str, str, bytes]] = []
        reached = self.reached

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                reached.append((self.command, self.path, body))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def __getattr__(self, name):
                if name.startswith("do_"):
                    return self.answer
                raise AttributeError(name)

            def log_message(self, *arguments):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate_folder / "server.crt", certificate_folder / "server.key")

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # a handshake that nginx broke off, in the test of a wrong certificate

            def finish_request(self, request, client_address):
                with context.wrap_socket(request, server_side=True) as secure:
                    super().finish_request(secure, client_address)

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@contextmanager
def unprivileged_folder():
    """A folder that nginx can use as nobody: pytest's own folders are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="fedcgan-edge-"))
    try:
        certificates(folder)
        if os.geteuid() == 0:
            for path in (folder, *folder.iterdir()):
                os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def running(arguments: list[str], port: int, **environment: str):
    """Run a command without privileges until it listens on ``port``; end it with SIGTERM."""
    rights = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []} if os.geteuid() == 0 else {}
    process = subprocess.Popen(
        arguments,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **rights,
    )
    try:
        while True:  # until it listens or has ended: nginx does one of the two
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except ConnectionRefusedError:
                if process.poll() is not None:
                    raise AssertionError(process.stdout.read()) from None
                time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        process.communicate()
    assert process.returncode == 0


@contextmanager
def edge(folder: Path, link_port: int, change=lambda text: text):
    """nginx with the product's configuration, changed by ``change``. Yields the port where it listens."""
    port = free_port()
    config = folder / "edge.conf"
    config.write_text(
        change(
            configuration(
                host="127.0.0.1",
                port=port,
                link_port=link_port,
                certificate=folder / "server.crt",
                key=folder / "server.key",
                ca=folder / "ca.crt",
                folder=folder,
            )
        )
    )
    with running(command(config), port):
        yield port


def exchange(folder: Path, port: int, request: bytes) -> list[int]:
    """Send bytes over TLS; the status of each answer until nginx closes or has nothing more to say."""
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.sendall(request)
        answer = b""
        while piece := secure.recv(65536):
            answer += piece
    return [int(line.split()[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.")]

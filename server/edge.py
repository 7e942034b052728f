"""nginx at the edge: of the SuperLink's three APIs on one port, only what a SuperNode calls can be reached.

Flower 1.41 serves the Fleet, Control and Runtime APIs on one port, and the open-source Control API asks
nobody who they are: whoever reaches it starts runs. So the SuperLink listens on loopback, and sites connect
to the edge.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
from pathlib import Path

from common.errors import ConfigError

TEMPLATE = Path(__file__).with_name("edge.conf.template")
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # not in the path of everybody who may run nginx
_UNSAFE = re.compile(r'["\\$\x00-\x1f\x7f]')
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,31}\Z")


def configuration(
    *,
    host: str,
    port: int,
    link_port: int,
    certificate: Path,
    key: Path,
    ca: Path,
    folder: Path,
    user: str | None = None,
) -> str:
    """The whole nginx.conf of an edge.

    host, port: where it listens, an address or a name of this machine; link_port: of the SuperLink on
    127.0.0.1, whose certificate must name localhost and be signed by ``ca``; certificate, key: the edge's
    own, PEM; folder: exists, belongs to the workers' user; process id, temporary files and ``edge.log`` go
    there; user: whose rights the workers have, read by nginx only where root starts it.
    Raises ConfigError for a value that a configuration cannot hold.
    """
    values = {
        "EDGE_LISTEN": f"{_address(host)}:{_port(port)}",
        "EDGE_LINK_PORT": str(_port(link_port)),
        "EDGE_CERTIFICATE": _path(certificate),
        "EDGE_KEY": _path(key),
        "EDGE_CA": _path(ca),
        "EDGE_FOLDER": _path(folder),
        "EDGE_LOG": _path(folder / "edge.log"),
    }
    if user is not None and not _USER.match(user):
        raise ConfigError(f"{user!r} is no user's name")
    text = TEMPLATE.read_text(encoding="utf-8")
    text = re.sub(r"\$\{(EDGE_[A-Z_]+)\}", lambda token: values[token[1]], text)
    return text if user is None else f"user {user};\n{text}"


def command(config_path: Path) -> list[str]:
    """The command that runs nginx in the foreground with this configuration; SIGTERM ends it.

    The folder of the configuration is nginx's prefix. Raises ConfigError where there is no nginx.
    """
    config = config_path.resolve()
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS))
    nginx = shutil.which("nginx", path=search)
    if nginx is None:
        raise ConfigError(
            "the edge needs nginx, and there is none on this machine",
            hint="apt-get install nginx-light, or another package of nginx with its ssl module",
        )
    log = str(config.parent / "edge.log")
    return [nginx, "-p", f"{config.parent}/", "-c", str(config), "-e", log, "-g", "daemon off;"]


def _address(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        if not _HOST.match(host):
            raise ConfigError(f"{host!r} is neither an address nor a host's name") from None
        return host
    return f"[{address}]" if address.version == 6 else str(address)


def _port(port: int) -> int:
    if not 0 < port < 65536:
        raise ConfigError(f"{port} is no port")
    return port


def _path(path: Path) -> str:
    """An absolute path that stays one quoted word of the configuration."""
    text = str(path)
    if not path.is_absolute() or _UNSAFE.search(text):
        raise ConfigError(
            f"nginx cannot be given the path {text!r}",
            hint='use an absolute path without quotes, "\\", "$" and control characters',
        )
    return text

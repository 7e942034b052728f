"""Where a federation's sites connect to: ``host:port``, the host a DNS name or an IP address."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated

from pydantic import AfterValidator

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*", re.IGNORECASE)
_ADDRESS = re.compile(r"(\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:]+)):(?P<port>[0-9]{1,5})")


def host_and_port(address: str) -> tuple[str, int]:
    """The two halves of an address; an IPv6 host stands in brackets there, not here. Raises ValueError."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise ValueError(f"{address!r} is not host:port")
    host, port = found["six"] or found["host"], int(found["port"])
    if not 0 < port < 65536:
        raise ValueError(f"there is no port {port}")
    if found["six"]:
        IPv6Address(host)  # raises a ValueError of its own
    elif _ip(host) is None and not _is_dns_name(host):
        raise ValueError(f"{host!r} is neither a DNS name (in ASCII) nor an IP address")
    return host, port


def is_loopback(host: str) -> bool:
    """Whether only this machine itself can be meant."""
    ip = _ip(host)
    return host.lower() == "localhost" if ip is None else ip.is_loopback


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_dns_name(host: str) -> bool:
    # a last label of digits alone would be read as an IPv4 address by some
    return len(host) <= 253 and bool(_DNS_NAME.fullmatch(host)) and not host.rpartition(".")[2].isdigit()


def _checked(address: str) -> str:
    host_and_port(address)
    return address


Address = Annotated[str, AfterValidator(_checked)]
"""``host:port`` as a field of a model."""

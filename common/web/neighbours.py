"""Whose the other end of a connection is. 127.0.0.1 is open to every user of a machine; a dashboard is not.

A browser sends its cookies to every port of 127.0.0.1, so another user's web server can come to know that
of a session. It is of no use to that user: Linux says who owns each socket (proc(5), ``/proc/net/tcp``).
"""

from __future__ import annotations

import os
import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

Address = tuple[str, int]

_TABLES = {Path("/proc/self/net/tcp"): False, Path("/proc/self/net/tcp6"): True}
"""And whether IPv4 is written there as mapped into IPv6, which some programs use."""

_LOGIN = Path("/proc/self/loginuid")
_ROOT, _NOBODY = 0, 2**32 - 1


def stranger(theirs: Address, ours: Address) -> int | None:
    """User id of whoever opened a connection, if it is another than runs this. theirs, ours: IPv4 and port

    None for root, who can read our memory anyway, and for who logged in and became this user (su, sudo).
    """
    found = owner(theirs, ours)
    return found if found not in (None, _ROOT, os.geteuid(), _logged_in()) else None


def _logged_in() -> int:
    """By the kernel, or by sudo where the kernel does not keep it."""
    try:
        found = int(_LOGIN.read_text("ascii"))
    except (OSError, ValueError):
        found = _NOBODY
    said = os.environ.get("SUDO_UID", "")
    return int(said) if found == _NOBODY and said.isdecimal() else found


def owner(theirs: Address, ours: Address) -> int | None:
    """User id of a connection's other end; None where no kernel says so, or once that end is closed."""
    for table, mapped in _TABLES.items():
        try:
            rows = table.read_text("ascii")
        except OSError:
            continue
        _, found, rest = rows.partition(f" {_written(theirs, mapped)} {_written(ours, mapped)} ")
        if found:
            _, _, _, _, user, _, socket, *_ = rest.split(maxsplit=7)
            return int(user) if socket != "0" else None
    return None


def _written(end: Address, mapped: bool) -> str:
    """As the kernel prints it: words in the machine's order of bytes, in hexadecimal."""
    packed = (IPv6Address(f"::ffff:{end[0]}") if mapped else IPv4Address(end[0])).packed
    words = [int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4)]
    return "".join(f"{word:08X}" for word in words) + f":{end[1]:04X}"

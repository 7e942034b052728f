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

_ROOT = 0


def is_other_user(theirs: Address, ours: Address) -> bool:
    """Whether another user than ours and root opened a connection. theirs, ours: its ends, IPv4 and port"""
    return owner(theirs, ours) not in (None, _ROOT, os.geteuid())


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

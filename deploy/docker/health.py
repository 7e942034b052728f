#!/usr/bin/env python3
"""Is this container's part alive? Exit code 0 or 1; asks nothing that a stranger could not.

fedcgan-health vault      the vault's socket takes a connection ($FEDCGAN_SITE.courier/vault.sock)
fedcgan-health courier    a SuperNode runs in this container
fedcgan-health port N     something listens on 127.0.0.1:N
"""

import os
import socket
import sys
from pathlib import Path

SECONDS = 5.0


def vault() -> bool:
    """Whether the vault's socket takes a connection. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(SECONDS)
        connection.connect(os.environ["FEDCGAN_SITE"] + ".courier/vault.sock")
    return True


def courier(processes: Path = Path("/proc")) -> bool:
    """Whether any command line has flower-supernode as one of its words' last part."""
    for line in processes.glob("[0-9]*/cmdline"):
        try:
            words = line.read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile
        if any(word.rsplit(b"/", 1)[-1] == b"flower-supernode" for word in words):
            return True
    return False


def port(number: str) -> bool:
    """Whether something listens there. Raises OSError."""
    socket.create_connection(("127.0.0.1", int(number)), timeout=SECONDS).close()
    return True


def main() -> int:
    """Run the check that the command line names."""
    checks = {"vault": vault, "courier": courier, "port": port}
    if len(sys.argv) < 2 or sys.argv[1] not in checks:
        sys.exit(__doc__)
    try:
        return 0 if checks[sys.argv[1]](*sys.argv[2:]) else 1
    except (OSError, KeyError) as error:
        sys.exit(f"{sys.argv[1]}: {error!r}")


if __name__ == "__main__":
    sys.exit(main())

"""Two users at a site: the vault's, which reads records and keys, and the courier's, which reads neither.

The courier runs code that the network brings (Flower's); the operating system keeps it out of the vault.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigError

COURIER_MODE, FLOWER_MODE = 0o750, 0o700

SHARED_MODE = COURIER_MODE | stat.S_ISGID
"""Of the courier's folder if that is another user: the vault's socket there belongs to its group."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A user of this machine and its primary group, as numbers."""

    user: int
    group: int

    @classmethod
    def of(cls, name: str) -> Owner:
        """The user called or numbered ``name``; ``UID:GID`` where this machine knows no names.

        Raises ConfigError.
        """
        if found := re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})", name):
            return cls(int(found[1]), int(found[2]))
        try:
            entry = pwd.getpwuid(int(name)) if re.fullmatch(r"[0-9]{1,9}", name) else pwd.getpwnam(name)
        except KeyError as error:
            raise ConfigError(
                f"there is no user {name!r} on this machine", hint="a user's name or number, or UID:GID"
            ) from error
        return cls(entry.pw_uid, entry.pw_gid)

    def reaches(self, paths: Sequence[Path]) -> Path | None:
        """The first of these that this user can read, or enter, as the operating system says.

        Of a folder that can only be entered, files are read by who guesses their names. None if it is none
        of them; only root can ask for others.
        """
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(self.group)
                os.setuid(self.user)
                found = next((p for p in paths if os.access(p, os.R_OK) or os.access(p, os.X_OK)), None)
                os.write(writing, b"" if found is None else os.fsencode(found))
                os._exit(0)
            finally:
                os._exit(1)  # it could not be found out: as if it could
        os.close(writing)
        with open(reading, "rb") as pipe:
            said = pipe.read()
        failed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
        return Path(os.fsdecode(said)) if said else paths[0] if failed else None

    @classmethod
    def ours(cls) -> Owner:
        """Who runs this process."""
        return cls(os.geteuid(), os.getegid())


@dataclass(frozen=True, slots=True)
class Owners:
    """Who owns what at a site: one user for both parts, or two that are kept apart."""

    vault: Owner
    courier: Owner

    @classmethod
    def of(cls, parent: Path, courier_user: str | None, vault_user: str | None) -> Owners:
        """The owners of a site to be made in ``parent``. Raises ConfigError.

        courier_user: none for the vault's own user; vault_user: none for who runs this process
        """
        ours = Owner.ours()
        if courier_user is None:
            if vault_user is not None:
                raise ConfigError("a vault's user without a courier's", hint="add --courier-user USER")
            return cls(ours, ours)
        if ours.user != 0:
            raise ConfigError(
                "only root can give files to another user", hint="sudo fedcgan site join ..., as root"
            )
        owners = cls(ours if vault_user is None else Owner.of(vault_user), Owner.of(courier_user))
        owners.check()
        status = parent.stat()
        if status.st_uid != 0 or status.st_mode & 0o022:
            raise ConfigError(
                f"{parent} can be changed by others than root, who could be given what root makes there",
                hint=f"chown root {parent}; chmod go-w {parent}; or choose another with --in",
            )
        return owners

    def check(self) -> None:
        """Raise ConfigError unless the courier is kept out of the vault's files."""
        if self.courier.user in (0, self.vault.user):
            raise ConfigError(
                "the courier must run as another user than the vault, and not as root",
                hint="make one for it: useradd --system fedcgan-courier",
            )

    def give(self, site: Path, courier: Path) -> None:
        """Hand over two folders that nobody else can reach yet, and set the courier's modes.

        Raises OSError; ConfigError if the courier's folder did not take its mode.
        """
        ours = Owner.ours()
        if self.vault != ours:
            _give(site, self.vault)
        if self.courier != ours:
            _give(courier / "flower", self.courier)
            os.chown(courier, self.vault.user, self.courier.group)
        os.chmod(courier / "flower", FLOWER_MODE)
        mode = COURIER_MODE if self.courier == self.vault else SHARED_MODE
        os.chmod(courier, mode)
        # set-group-ID is left out without a word, by root too, unless we are in that group or have CAP_FSETID
        if mode & ~courier.stat().st_mode:
            raise ConfigError(
                f"the courier's folder could not be given mode {mode:o}: the vault's socket would not be the "
                "courier's",
                hint="root needs the capability FSETID (in a container: --cap-add FSETID), and a disk that "
                "keeps set-group-ID",
            )


def _give(folder: Path, owner: Owner) -> None:
    for path in [*folder.rglob("*"), folder]:
        os.chown(path, owner.user, owner.group, follow_symlinks=False)

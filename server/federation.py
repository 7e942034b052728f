"""The coordinator's folder of a federation: who it is, what was agreed, whom it invited, its certificates.

federation.toml  schema.toml  identity.key  superexec.secret  ca/  tls/  members/  flower/  runs/

Made whole or not at all, mode 0700. A site becomes a member by a kit and a reply that travel by mail:
no network is needed, and the PIN in the kit is good once.
"""

from __future__ import annotations

import base64
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Self

import tomli_w
from cryptography import x509
from pydantic import ValidationError

from common.bundle.paths import names_a_device
from common.crypto.identity import Identity
from common.crypto.secret_file import read_secret, write_secret
from common.durable import sync_folder
from common.errors import ConfigError, CryptoError, FederationError, JoinError
from common.fingerprint import fingerprint, same
from common.join_reply import JoinReply
from common.kit import Kit, KitFile, new_pin
from common.plan import Party
from common.schema import Schema
from common.toml_file import first_problem, read_model

from .certificates import Certificates
from .federation_settings import NAMES, Settings
from .members import Member, Members, admitted

COORDINATOR = "coordinator"
"""The coordinator's name in every plan; no site may have it."""

_SETTINGS, _SCHEMA, _IDENTITY, _SUPEREXEC = (
    "federation.toml",
    "schema.toml",
    "identity.key",
    "superexec.secret",
)


class FederationFolder:
    """A federation as its coordinator keeps it.

    Guarantees: a site is admitted only by a reply made with the PIN of its newest kit, before it expired,
    once, and with keys that nobody has or had; nothing is changed when something is refused.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings
        self.certificates = Certificates(folder)
        self._members = Members(folder / "members")

    @classmethod
    def init(cls, folder: Path, settings: Settings, schema: Schema, now: datetime | None = None) -> Self:
        """Make a federation in a new folder. Raises FederationError if there is one, or anything else."""
        if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
            raise FederationError(f"{folder} exists and is not empty", hint="choose a new folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            write_secret(staging / _SCHEMA, schema.to_toml().encode())
            if Schema.load(staging / _SCHEMA).hash != schema.hash:
                raise ConfigError("the schema cannot be written as TOML and read back")
            Identity.load_or_create(staging / _IDENTITY)
            # Flower takes the file's bytes as they are: no newline at the end
            write_secret(staging / _SUPEREXEC, base64.b64encode(os.urandom(32)))
            Certificates(staging).create(settings.name, settings.host, now or _now())
            for name in ("members", "flower", "runs"):
                (staging / name).mkdir(mode=0o700)
            write_secret(staging / _SETTINGS, tomli_w.dumps(settings.model_dump()).encode())
            staging.rename(folder)
            sync_folder(folder.parent)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return cls(folder, settings)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The federation in ``folder``. Raises FederationError; CryptoError if others can read it."""
        if not (folder / _SETTINGS).is_file():
            raise FederationError(
                f"there is no federation in {folder}",
                hint="name its folder with --federation, or make one: fedcgan federation init",
            )
        if (mode := folder.stat().st_mode & 0o777) & 0o077:
            raise CryptoError(f"{folder} can be read by others (mode {mode:o})", hint=f"chmod 700 {folder}")
        return cls(folder, read_model(Settings, folder / _SETTINGS, FederationError))

    @property
    def identity_file(self) -> Path:
        """Where the coordinator's signing key is."""
        return self.folder / _IDENTITY

    @cached_property
    def identity(self) -> Identity:
        """The coordinator's signing key. Raises FederationError if it is gone: it is never made anew here."""
        path = self.identity_file
        if not path.exists():
            raise FederationError(
                f"there is no {path}", hint="restore it from a backup: the members know this key and no other"
            )
        return Identity.load_or_create(path)

    @property
    def coordinator(self) -> Party:
        """The coordinator as a plan names it."""
        return Party(name=COORDINATOR, identity=self.identity.public)

    @property
    def schema(self) -> Schema:
        """The agreed schema. Raises SchemaError."""
        return Schema.load(self.folder / _SCHEMA)

    @property
    def superexec_secret(self) -> Path:
        """The file with the secret of SuperExec. Raises CryptoError if others can read it."""
        path = self.folder / _SUPEREXEC
        read_secret(path)
        return path

    def members(self) -> list[Member]:
        """Everybody who was ever invited, by name."""
        return self._members.all()

    def member(self, name: str) -> Member:
        """One of them. Raises FederationError."""
        return self._members.get(name)

    def invite(self, name: str, valid: timedelta, now: datetime | None = None) -> KitFile:
        """A kit for a new site, one that has not replied yet (its older kit ends), or a revoked one.

        Raises FederationError if it is a member, ConfigError if nobody can be called so.
        """
        if names_a_device(name):
            raise ConfigError(
                f"{name!r} is a device on some systems: no release could hold this site's signature",
                hint="choose another name",
            )
        now = now or _now()
        with self._locked():
            kit = self._kit(name, now, now + valid)
            file = KitFile(kit, self.certificates.authority, self.schema)
            known = self._members.find(name)
            if known is None:
                self._refuse_like(name)
                member = Member(name=name, state="invited", pin=kit.pin, expires=kit.expires, invited=now)
            elif known.state == "admitted":
                raise FederationError(
                    f"{name} is a member already", hint=f"for new keys: fedcgan federation revoke {name}"
                )
            else:
                member = known.reinvited(kit.pin, now, kit.expires)
            self._members.save(member)
        return file

    def admit(self, reply: JoinReply, expected: str | None = None, now: datetime | None = None) -> Member:
        """Take the site's keys and delete its PIN.

        expected: the fingerprint that the site read to us. Raises JoinError; then nothing has changed
        """
        with self._locked():
            if reply.federation != self.settings.name:
                raise JoinError(
                    f"this is a reply to the federation {reply.federation}, not to {self.settings.name}",
                    hint="name the folder of that federation with --federation",
                )
            members = self._members.all()
            member = next((member for member in members if member.name == reply.site), None)
            if member is None:
                raise JoinError(
                    f"{reply.site} was not invited", hint=f"fedcgan federation invite {reply.site}"
                )
            taken = {self.identity.public}.union(*(other.used_keys for other in members if other != member))
            changed = admitted(member, reply, taken, now or _now())
            if expected is not None and not same(expected, self.fingerprint(changed)):
                raise JoinError(
                    f"the fingerprint is not the one you were told: here it is {self.fingerprint(changed)}",
                    hint="read all eight groups again; if they differ, somebody exchanged kit or reply",
                )
            return self._members.save(changed)

    def revoke(self, name: str, now: datetime | None = None) -> Member:
        """Shut a member out, or end its invitation. Raises FederationError."""
        with self._locked():
            member = self._members.get(name)
            if member.state == "revoked":
                raise FederationError(f"{name} was revoked on {member.revoked:%Y-%m-%d}")
            return self._members.save(
                member.changed(state="revoked", pin=None, expires=None, revoked=now or _now())
            )

    def fingerprint(self, member: Member) -> str:
        """What the coordinator and this site read to each other. Raises FederationError before it joined."""
        assert member.node_key is not None or member.identity is None
        return fingerprint(
            coordinator=self.identity.public,
            authority=self.certificates.authority,
            federation=self.settings.name,
            site=member.name,
            identity=member.party.identity,
            node_key=member.node_key or "",
        )

    def renew_certificate(self, now: datetime | None = None) -> x509.Certificate:
        """A new key and certificate of the server; sites need nothing new. Raises FederationError."""
        with self._locked():
            return self.certificates.renew(self.settings.name, self.settings.host, now or _now())

    def _kit(self, name: str, now: datetime, expires: datetime) -> Kit:
        try:
            return Kit(
                federation=self.settings.name,
                site=name,
                address=self.settings.address,
                coordinator=self.coordinator,
                pin=new_pin(),
                issued=now,
                expires=expires,
            )
        except ValidationError as error:
            raise ConfigError(first_problem(error), hint=NAMES) from error

    def _refuse_like(self, name: str) -> None:
        """Some disks do not tell north from North, and people do not either."""
        for other in (COORDINATOR, *(member.name for member in self._members.all())):
            if name.lower() == other.lower():
                raise ConfigError(f"{name!r} is too like {other!r}", hint="choose another name")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One change at a time: two admissions at once could take one key twice."""
        with open(self.folder / ".lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)

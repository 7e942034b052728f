"""To which federation a site belongs: what it knows of its coordinator, and how it came to know it.

membership.json stays as it was when the site joined; a simulated site has none.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

import tomli_w
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from common.address import Address
from common.authority import node_key_line, read_authority
from common.crypto.identity import Identity
from common.crypto.secret_file import read_secret, write_secret
from common.durable import sync_folder
from common.errors import ConfigError, DataError, NotJoinedError, StorageError
from common.fingerprint import fingerprint
from common.join_reply import JoinReply, NodeKey
from common.kit import KitFile, Name
from common.plan import Party
from common.toml_file import first_field, first_problem

from .ownership import Owners
from .site import Policy, found

_MEMBERSHIP, _AUTHORITY, _SCHEMA, _IDENTITY = "membership.json", "ca.crt", "schema.toml", "identity.key"
_OWN_RULES = b"# This site's own rules: no coordinator can change them.\n"


class Membership(BaseModel):
    """What a site holds fast about its federation.

    address: the federation's, ``host:port``; schema_hash: of the schema that came with the kit;
    node_key: public half of the courier's key, OpenSSH line; joined: UTC
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: Literal[1] = 1
    federation: Name
    site: Name
    address: Address
    coordinator: Party
    schema_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    node_key: NodeKey
    joined: AwareDatetime

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The membership of the site in ``folder``.

        Raises NotJoinedError if it has none, or that of a site of another name; CryptoError if others can
        read it.
        """
        path = folder / _MEMBERSHIP
        if not path.is_file():
            raise NotJoinedError(
                f"the site in {folder} has not joined a federation",
                hint="fedcgan site join NAME.kit.zip, with the coordinator's kit (simulated ones never do)",
            )
        raw = read_secret(path)
        try:
            membership = cls.model_validate_json(raw)
        except ValidationError as error:
            raise NotJoinedError(
                f"{path}: {first_problem(error)}", hint="restore it from a backup"
            ) from error
        if membership.site != folder.absolute().name:
            raise NotJoinedError(
                f"{path} is the membership of {membership.site}",
                hint="a site's folder keeps the name under which the site joined",
            )
        return membership

    def fingerprint(self, folder: Path) -> str:
        """What the steward reads to the coordinator over the telephone. Raises NotJoinedError."""
        path = folder / _IDENTITY
        if not path.exists():
            raise NotJoinedError(f"there is no {path}", hint="restore it from a backup")
        return fingerprint(
            coordinator=self.coordinator.identity,
            authority=load_authority(folder),
            federation=self.federation,
            site=self.site,
            identity=Identity.load(path).public,
            node_key=self.node_key,
        )


def load_authority(folder: Path) -> x509.Certificate:
    """The CA certificate of the federation that the site in ``folder`` joined. Raises NotJoinedError."""
    try:
        return read_authority((folder / _AUTHORITY).read_bytes())
    except (OSError, ValueError) as error:
        raise NotJoinedError(
            f"{folder / _AUTHORITY} is missing or damaged", hint="restore it from a backup"
        ) from error


def courier_folder(folder: Path) -> Path:
    """The courier's folder, beside the site's."""
    folder = folder.absolute()
    return folder.with_name(folder.name + ".courier")


@dataclass(frozen=True, slots=True)
class Joined:
    """What joining made. reply_file: to be sent back; fingerprint: to be read over the telephone."""

    folder: Path
    courier: Path
    reply: JoinReply
    reply_file: Path
    fingerprint: str


def join(
    kit: Path,
    parent: Path,
    *,
    records: Path,
    epsilon_cap: float,
    delta: float,
    allow_identified: bool = False,
    courier_user: str | None = None,
    vault_user: str | None = None,
    now: datetime | None = None,
) -> Joined:
    """Answer a kit: make the site's folder, its courier's, their keys, and the reply, or none of it.

    records: from then on read from there; epsilon_cap, delta: the most that all runs together may spend;
    courier_user, vault_user: name, number or UID:GID, for root

    Raises KitError (damaged, expired, this machine's clock), ConfigError (cap, users), DataError (no
    records), StorageError (one of the folders exists, or cannot be written).
    """
    now = now or datetime.now(UTC).replace(microsecond=0)
    file = KitFile.read(kit)
    file.check(now)
    if not records.exists():
        raise DataError(f"there are no records at {records}", hint="a file or folder that the vault can read")
    policy = _policy(records, epsilon_cap, delta, allow_identified)
    site = parent.absolute() / file.kit.site
    courier, reply_file = courier_folder(site), site.with_name(site.name + ".reply.json")
    for path in (site, courier, reply_file):
        if os.path.lexists(path):
            raise StorageError(
                f"{path} exists already", hint="a site joins once; move it away, or choose another --in"
            )
    if not parent.is_dir():
        raise StorageError(f"there is no folder {parent}", hint="make it first")
    owners = Owners.of(parent, courier_user, vault_user)
    with _staging(site) as staging:
        node_key = _make_courier(staging / courier.name, file)
        reply = _make_site(staging / site.name, file, policy, node_key, now)
        reply.write(staging / reply_file.name)
        owners.give(staging / site.name, staging / courier.name)
        made: list[Path] = []
        try:
            for path in (courier, reply_file, site):  # the site last: where it is, all is
                (staging / path.name).rename(path)
                made.append(path)
        except OSError:
            for path in made:
                path.rename(staging / path.name)
            raise
        sync_folder(site.parent)
    printed = reply.fingerprint(file.kit.coordinator.identity, file.authority)
    return Joined(site, courier, reply, reply_file, printed)


_HINTS = {
    "epsilon_cap": "--epsilon-cap: the most that all runs together may ever spend on these records",
    "delta": "--delta, e.g. 1e-5: far below one in the number of records",
}


def _policy(records: Path, epsilon_cap: float, delta: float, allow_identified: bool) -> Policy:
    try:
        return Policy(
            records=str(records.absolute()),
            dataset=secrets.token_hex(16),
            allow_identified=allow_identified,
            epsilon_cap=epsilon_cap,
            delta=delta,
        )
    except ValidationError as error:
        raise ConfigError(first_problem(error), hint=_HINTS.get(first_field(error), "")) from error


@contextmanager
def _staging(site: Path) -> Iterator[Path]:
    """A folder of mode 0700 on the same disk, gone afterwards. Raises StorageError."""
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{site.name}.", dir=site.parent))
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise StorageError(
            f"the site cannot be made in {site.parent}: {error.strerror or type(error).__name__}",
            hint="nothing of it is left; the kit can be used again",
        ) from error


def _make_site(folder: Path, file: KitFile, policy: Policy, node_key: str, now: datetime) -> JoinReply:
    folder.mkdir(mode=0o700)
    rules = tomli_w.dumps(policy.model_dump()).encode()
    write_secret(folder / "policy.toml", _OWN_RULES + rules)
    found(folder)
    membership = Membership(
        federation=file.kit.federation,
        site=file.kit.site,
        address=file.kit.address,
        coordinator=file.kit.coordinator,
        schema_hash=file.schema.hash,
        node_key=node_key,
        joined=now,
    )
    write_secret(folder / _AUTHORITY, file.authority.public_bytes(Encoding.PEM))
    write_secret(folder / _SCHEMA, file.schema.to_toml().encode())
    write_secret(folder / _MEMBERSHIP, membership.model_dump_json(indent=2).encode() + b"\n")
    return JoinReply.make(file.kit, Identity.load(folder / _IDENTITY), node_key)


def _make_courier(folder: Path, file: KitFile) -> str:
    """The courier's key, which opens no ciphertext and signs no message of ours. Returns its public half."""
    flower = folder / "flower"
    folder.mkdir(mode=0o700)
    flower.mkdir(mode=0o700)
    key = generate_private_key(SECP384R1())
    line = node_key_line(key.public_key())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    write_secret(flower / "node.key", private)
    write_secret(flower / "node.key.pub", line.encode() + b"\n")
    write_secret(flower / "address", file.kit.address.encode() + b"\n")
    write_secret(flower / _AUTHORITY, file.authority.public_bytes(Encoding.PEM))
    return line

"""The kit: what a coordinator sends to a site it invites. No private key is ever in it.

NAME.kit.zip: kit.json (who invites whom, where to, and a one-time PIN), ca.crt (whom TLS trusts),
schema.toml (what the site would be asked for). The PIN proves that a reply answers this kit; that nobody
changed the kit or answered it first is what the fingerprint is for (``fingerprint``).
"""

from __future__ import annotations

import io
import secrets
import struct
import tomllib
import zipfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from .address import Address
from .authority import AUTHORITY_LIMIT, read_authority, valid_at
from .crypto.secret_file import write_secret
from .errors import KitError, SchemaError
from .plan import Party
from .schema import SCHEMA_LIMIT, Schema, of_kind
from .toml_file import first_problem

KIT, AUTHORITY, SCHEMA = "kit.json", "ca.crt", "schema.toml"
_LIMITS = {KIT: 1 << 14, AUTHORITY: AUTHORITY_LIMIT, SCHEMA: SCHEMA_LIMIT}  # bytes
_FILE_LIMIT = sum(_LIMITS.values()) + (1 << 12)
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # a kit says nothing about the machine it was made on
_PIN_BYTES = 16
_HEADER, _LENGTHS, _END = 30, 26, 22  # bytes of a zip's parts, and where a header says how long it is
_SIZES_FOLLOW = 8  # flag of a member whose sizes stand after it

# what Python's zipfile lets through for files that somebody damaged or made up
_NO_ZIP = (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError, OSError, struct.error)

Name = Annotated[str, Field(pattern=Party.model_json_schema()["properties"]["name"]["pattern"])]
"""A federation's or a site's name, as a plan takes it."""

Pin = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{2 * _PIN_BYTES}}}$")]
"""128 random bits, hexadecimal: good for one reply, until the kit expires."""


def new_pin() -> str:
    """A fresh PIN."""
    return secrets.token_hex(_PIN_BYTES)


class Kit(BaseModel):
    """An invitation of one site.

    address: the federation's, ``host:port``; issued, expires: with a time zone (UTC when we write them)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: Literal[1] = 1
    federation: Name
    site: Name
    address: Address
    coordinator: Party
    pin: Pin = Field(repr=False)
    issued: AwareDatetime
    expires: AwareDatetime

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.expires <= self.issued:
            raise ValueError("a kit expires after it was issued")
        return self


@dataclass(frozen=True, slots=True)
class KitFile:
    """A kit with the two files that go with it."""

    kit: Kit
    authority: x509.Certificate
    schema: Schema

    def to_bytes(self) -> bytes:
        """The zip, its members stored and not compressed."""
        contents = {
            KIT: self.kit.model_dump_json(indent=2).encode(),
            AUTHORITY: self.authority.public_bytes(Encoding.PEM),
            SCHEMA: self.schema.to_toml().encode(),
        }
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name, content in contents.items():
                member = zipfile.ZipInfo(name, _LONG_AGO)
                member.external_attr = 0o100600 << 16
                archive.writestr(member, content)
        return buffer.getvalue()

    def write(self, path: Path) -> None:
        """Write the zip with mode 0600: it holds the PIN. Raises OSError."""
        write_secret(path, self.to_bytes())

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read a kit that came by mail. Raises KitError."""
        contents = _members(raw)
        try:
            kit = Kit.model_validate_json(contents[KIT])
            authority = read_authority(contents[AUTHORITY])
            schema = of_kind(tomllib.loads(contents[SCHEMA].decode()))
        except ValidationError as error:
            raise _unusable(first_problem(error)) from error
        except SchemaError as error:
            raise _unusable(error.message) from error
        except (ValueError, RecursionError) as error:
            raise _unusable(str(error)) from error
        return cls(kit, authority, schema)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The kit in the file at ``path``. Raises KitError."""
        try:
            with open(path, "rb") as file:
                raw = file.read(_FILE_LIMIT + 1)
        except OSError as error:
            raise KitError(
                f"{path} cannot be read: {error.strerror}", hint="give the path of the file NAME.kit.zip"
            ) from error
        return cls.from_bytes(raw)

    def check(self, now: datetime) -> None:
        """Raise KitError unless the kit can be answered at ``now``, which is this machine's clock."""
        if not valid_at(self.authority, now):
            raise KitError(
                f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, outside the validity of the "
                "federation's CA certificate",
                hint="set the clock; if it is right, ask the coordinator for a new kit",
            )
        if now > self.kit.expires:
            raise KitError(
                f"this kit expired on {self.kit.expires:%Y-%m-%d %H:%M} UTC",
                hint=f"ask the coordinator for a new one: fedcgan federation invite {self.kit.site}",
            )


def _members(raw: bytes) -> dict[str, bytes]:
    """The three members, nothing decompressed: every size is known, and bounded, before a byte is read."""
    if len(raw) > _FILE_LIMIT:
        raise _unusable(f"it has more than {_FILE_LIMIT} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
            if _extra(raw, archive):
                raise _unusable("it has bytes that belong to no member")
            if sorted(member.filename for member in members) != sorted(_LIMITS):
                raise _unusable("its members are not " + ", ".join(_LIMITS))
            for member in members:
                if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                    raise _unusable(f"{member.filename} is compressed, in a kit nothing is")
                if member.file_size > _LIMITS[member.filename]:
                    raise _unusable(f"{member.filename} has more than {_LIMITS[member.filename]} bytes")
            return {member.filename: archive.read(member) for member in members}
    except _NO_ZIP as error:
        raise _unusable("it is damaged or cut off") from error


def _extra(raw: bytes, archive: zipfile.ZipFile) -> bool:
    """Whether there is anything before, between or after a zip's members and their list, or a comment."""
    end = 0
    for member in sorted(archive.infolist(), key=lambda member: member.header_offset):
        if member.header_offset != end:
            return True
        end += _HEADER + sum(struct.unpack_from("<HH", raw, end + _LENGTHS)) + member.compress_size
        if member.flag_bits & _SIZES_FOLLOW:
            end += 16 if raw[end : end + 4] == b"PK\7\x08" else 12
    last = len(raw) - _END
    return archive.start_dir != end or raw[last : last + 4] != b"PK\5\6" or archive.comment != b""


def _unusable(why: str) -> KitError:
    return KitError(f"this is not a kit: {why}", hint="ask the coordinator to send the file again")

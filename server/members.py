"""The members of a federation: whom the coordinator invited, whose keys it took, whom it shut out.

members/NAME.json, mode 0600: as long as somebody is invited it holds the PIN that admits them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from common.crypto.secret_file import read_secret, write_secret
from common.errors import FederationError, JoinError
from common.join_reply import IdentityKey, JoinReply, NodeKey
from common.kit import Name, Pin
from common.plan import Party
from common.toml_file import first_problem

State = Literal["invited", "admitted", "revoked"]


class Member(BaseModel):
    """A site as the coordinator knows it.

    pin, expires: while invited; identity, node_key: once admitted, kept when revoked;
    former_keys: all keys this name ever had and no longer has, none of which is taken again
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Name
    state: State
    pin: Pin | None = Field(default=None, repr=False)
    expires: AwareDatetime | None = None
    identity: IdentityKey | None = None
    node_key: NodeKey | None = None
    former_keys: tuple[str, ...] = ()
    invited: AwareDatetime
    admitted: AwareDatetime | None = None
    revoked: AwareDatetime | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        waiting, known = self.state == "invited", self.state == "admitted"
        if waiting != (self.pin is not None) or waiting != (self.expires is not None):
            raise ValueError("an invited member, and no other, has a PIN that expires")
        if (self.identity is None) != (self.node_key is None):
            raise ValueError("a member has both keys or none")
        if (known and self.identity is None) or (waiting and self.identity is not None):
            raise ValueError("an admitted member has keys, an invited one has none yet")
        return self

    @property
    def used_keys(self) -> set[str]:
        """Every key this name has or ever had."""
        return {key for key in (self.identity, self.node_key) if key} | set(self.former_keys)

    @property
    def party(self) -> Party:
        """The member as a plan's roster takes it. Raises FederationError unless it was ever admitted."""
        if self.identity is None:
            raise FederationError(f"{self.name} was not admitted yet", hint="fedcgan federation admit REPLY")
        return Party(name=self.name, identity=self.identity)

    def facts(self) -> dict[str, object]:
        """What may be shown: everything but the PIN."""
        return self.model_dump(mode="json", exclude={"pin", "former_keys"})

    def reinvited(self, pin: str, now: datetime, expires: datetime) -> Member:
        """The same name, invited again; its keys so far become former ones."""
        return Member(
            name=self.name,
            state="invited",
            pin=pin,
            expires=expires,
            former_keys=tuple(sorted(self.used_keys)),
            invited=now,
        )

    def changed(self, **fields: object) -> Member:
        """A copy, validated anew."""
        return Member.model_validate({**dict(self), **fields})


class Members:
    """The folder of members. Every change is one file, written whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> list[Member]:
        """Everybody, by name. Raises FederationError or CryptoError if one cannot be read."""
        return [self._read(path) for path in sorted(self._folder.glob("*.json"))]

    def find(self, name: str) -> Member | None:
        """The member of this name, if there is one."""
        return next((member for member in self.all() if member.name == name), None)

    def get(self, name: str) -> Member:
        """The member of this name. Raises FederationError."""
        if (member := self.find(name)) is None:
            known = ", ".join(member.name for member in self.all())
            raise FederationError(
                f"{name!r} is no member", hint=f"members are: {known}" if known else "nobody was invited yet"
            )
        return member

    def save(self, member: Member) -> Member:
        """Keep a member. Raises OSError."""
        write_secret(self._folder / f"{member.name}.json", member.model_dump_json(indent=2).encode() + b"\n")
        return member

    def _read(self, path: Path) -> Member:
        raw = read_secret(path)
        try:
            member = Member.model_validate_json(raw)
        except ValidationError as error:
            raise FederationError(
                f"{path}: {first_problem(error)}", hint="restore it from a backup"
            ) from error
        if member.name != path.stem:
            raise FederationError(f"{path} is the file of {member.name}", hint="restore it from a backup")
        return member


def admitted(member: Member, reply: JoinReply, taken: Iterable[str], now: datetime) -> Member:
    """The member with the keys of its reply, and without its PIN.

    taken: keys of everybody else; raises JoinError, and then the PIN is as good as before
    """
    again = f"invite the site again: fedcgan federation invite {member.name}"
    if member.pin is None or member.expires is None:
        raise JoinError(
            f"{member.name} is {member.state}: the PIN of its kit is used up",
            hint="a reply is good once" if member.state == "admitted" else again,
        )
    if now > member.expires:
        raise JoinError(
            f"the invitation of {member.name} expired on {member.expires:%Y-%m-%d %H:%M} UTC", hint=again
        )
    reply.check(member.pin)
    if {reply.identity, reply.node_key} & (set(taken) | member.used_keys):
        raise JoinError(
            f"a key in the reply of {member.name} is, or was, somebody's already",
            hint="every site makes keys of its own, new ones whenever it joins",
        )
    return member.changed(
        state="admitted",
        pin=None,
        expires=None,
        identity=reply.identity,
        node_key=reply.node_key,
        admitted=now,
    )

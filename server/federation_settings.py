"""federation.toml: how a federation is reached, and what stands before its SuperLink."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from common.address import Address, host_and_port, is_loopback
from common.errors import ConfigError
from common.kit import Name
from common.toml_file import first_field, first_problem

LINK_PORT = 18000
"""SuperLink's port on this machine if nothing else is said."""

NAMES = "names: letters, digits, '-', '_', '.'"
"""What may be a name, for people."""

_HINTS = {
    "name": NAMES,
    "address": "e.g. --address fed.example.org:18443",
    "edge": "--edge nginx, external or none",
    "link_port": "--link-port between 1 and 65535",
}  # of one option of `init` that cannot be


class Settings(BaseModel):
    """federation.toml.

    address: ``host:port`` that sites connect to; link_port: of SuperLink, on 127.0.0.1;
    edge: what stands before SuperLink and lets sites' calls through and no others: ``nginx``, started with
    it; ``external``, the same in a container or service of its own; ``none`` for a federation on one machine:
    whoever reaches SuperLink itself can start runs
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Name
    address: Address
    link_port: int = Field(ge=1, le=65535)
    edge: Literal["nginx", "external", "none"]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        host, port = host_and_port(self.address)
        if self.edge == "none" and not is_loopback(host):
            raise ValueError(
                "edge 'none' is only for localhost: SuperLink must not be reached from elsewhere"
            )
        if (port == self.link_port) != (self.edge == "none"):
            raise ValueError(
                "without an edge, link_port is the port of the address; with one, it is another"
                f" (address {self.address}, link_port {self.link_port})"
            )
        return self

    @property
    def host(self) -> str:
        """The host of the address."""
        return host_and_port(self.address)[0]

    @classmethod
    def make(cls, name: str, address: str, edge: str, link_port: int | None) -> Self:
        """Settings as a person gives them; link_port: none for the usual one. Raises ConfigError."""
        try:
            if link_port is None:
                link_port = host_and_port(address)[1] if edge == "none" else LINK_PORT
            return cls.model_validate(
                {"name": name, "address": address, "link_port": link_port, "edge": edge}
            )
        except ValidationError as error:
            field = first_field(error)
            hint = _HINTS.get(field, _HINTS["address"])
            if not field:  # what contradicts each other
                hint = _together(address, edge)
            raise ConfigError(first_problem(error), hint=hint) from error
        except ValueError as error:
            raise ConfigError(str(error), hint=_HINTS["address"]) from error


def _together(address: str, edge: str) -> str:
    """What to do about an address, an edge and a port that do not go together."""
    if edge != "none":
        return "another port with --link-port, or with --address"
    if is_loopback(host_and_port(address)[0]):
        return "leave out --link-port"
    return "--edge nginx, or a loopback address: --address localhost:18443"

"""Invitations, approvals, and the processes of a real federation."""

from __future__ import annotations

from .base import ConfigError, FedcganError, StorageError
from .protocol import ProtocolError


class UnknownPlanError(ConfigError):
    """A hash, or the beginning of one, of no plan at this site, or of more than one."""

    code = "unknown-plan"


class NotReadyError(ConfigError):
    """A site that cannot take part as it is set up."""

    code = "site-not-ready"


class PausedError(ProtocolError):
    """The site's data steward has paused it; nothing was answered."""

    code = "site-paused"


class WithdrawnError(ProtocolError):
    """The site has left the federation; its keys of all runs are gone."""

    code = "site-withdrawn"


class ProposalError(ProtocolError):
    """A proposed plan that the site does not take in, or that cannot be approved any more."""

    code = "site-proposal"


class KitError(FedcganError):
    """A kit that cannot be joined with: damaged, expired, or made up."""

    code = "kit"
    exit_code = 2


class FederationError(FedcganError):
    """A federation's folder that is absent, damaged, or in which a member stands otherwise."""

    code = "federation"
    exit_code = 2


class NotJoinedError(FedcganError):
    """A site's folder that never joined a federation."""

    code = "not-joined"
    exit_code = 2


class JoinError(FedcganError):
    """A site's reply that is not taken; nobody was admitted."""

    code = "join"
    exit_code = 5


class OutboxError(StorageError):
    """The list of everything that left a site is damaged."""

    code = "site-outbox"


class RehearsalError(ProtocolError):
    """A rehearsal was not over in time."""

    code = "rehearsal"


class SuperLinkError(FedcganError):
    """Flower's SuperLink does not answer, or refuses."""

    code = "superlink"
    exit_code = 7

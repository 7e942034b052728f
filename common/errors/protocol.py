"""Messages that the protocol does not allow."""

from __future__ import annotations

from .base import FedcganError


class ProtocolError(FedcganError):
    """A message that the protocol does not allow."""

    code = "protocol"
    exit_code = 5


class MalformedMessageError(ProtocolError):
    """Bytes that are no message: truncated, too long, of another version, of another type."""

    code = "protocol-malformed"


class SignatureError(ProtocolError):
    """A signature or a sealed box does not verify."""

    code = "protocol-signature"


class WrongPlanError(ProtocolError):
    """A message that belongs to another plan, and so to another run."""

    code = "protocol-wrong-plan"


class NotApprovedError(ProtocolError):
    """The plan was not approved at this site."""

    code = "protocol-not-approved"


class ReplayError(ProtocolError):
    """A step was already answered with another content."""

    code = "protocol-replay"


class AlreadyOpenedError(ProtocolError):
    """A step was already opened for another sum, too often, or was abandoned."""

    code = "protocol-opened"


class CountedTwiceError(ProtocolError):
    """A site is counted twice in one sum."""

    code = "protocol-counted-twice"


class OwnMissingError(ProtocolError):
    """A key-holder's own contribution is not in the sum it is asked to open."""

    code = "protocol-own-missing"


class StepLostError(ProtocolError):
    """So many sites can no longer answer a step that it cannot be finished."""

    code = "protocol-step-lost"


class NotEnoughSitesError(ProtocolError):
    """Fewer contributors or key-holders than the plan demands."""

    code = "protocol-not-enough-sites"


class RefusedError(ProtocolError):
    """A site refused. Its own code decides the exit code."""

    code = "protocol-refused"

    def __init__(self, site: str, code: str, message: str, hint: str, about: str = "") -> None:
        super().__init__(f"{site} refused: {message}", hint=hint)
        self.site = site
        self.refusal_code = code
        self.about = about

    @property
    def told(self) -> str:
        """The site's own code."""
        return self.refusal_code

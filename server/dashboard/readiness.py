"""Whether each site is ready for a run, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from common.errors import FedcganError

from ..federation import FederationFolder
from ..members import Member
from ..nodes import Nodes
from ..run_folder import Status
from .connections import Known
from .lights import WORDS
from .roll import Roll
from .runs import Run
from .spans import about, ago, day, until

_EXPIRES_SOON = timedelta(days=3)
_CERTIFICATE_ENDS = timedelta(days=30)
_OLD_KEYS = timedelta(days=730)  # no rule of the protocol: a reminder


@dataclass(frozen=True, slots=True)
class Reason:
    """warns: whether somebody should do something about it; failed: whether something was tried in vain"""

    text: str
    warns: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """kind: of its light; word: how it stands; reasons: why"""

    name: str
    kind: str
    word: str
    reasons: list[Reason]


def sites(
    federation: FederationFolder, roll: Roll, known: Known, run: Run | None, now: datetime | None = None
) -> list[Site]:
    """Everybody who was ever invited, by name. Raises FederationError."""
    now = now or datetime.now(UTC)
    nodes = Nodes(federation.folder / "flower" / "nodes.json").all()
    return [_site(roll, member, known, nodes, run, now) for member in roll.members()]


def certificate(federation: FederationFolder, now: datetime | None = None) -> Reason:
    """How the server's certificate stands."""
    now = now or datetime.now(UTC)
    try:
        found = federation.certificates.server(now)
    except FedcganError as error:
        return Reason(f"{error.message}; {error.hint}", True)
    ends, began = found.not_valid_after_utc, found.not_valid_before_utc
    said = f"valid since {began:%Y-%m-%d}, ends {ends:%Y-%m-%d} ({until(ends, now)})"
    if ends - now < _CERTIFICATE_ENDS:
        return Reason(f"{said}; make another: fedcgan federation certificate", True)
    return Reason(said)


def _site(
    roll: Roll,
    member: Member,
    known: Known,
    nodes: Mapping[str, int],
    run: Run | None,
    now: datetime,
) -> Site:
    if member.state == "revoked":
        return Site(member.name, "idle", "shut out", [Reason(f"revoked {day(member.revoked)}")])
    if member.state == "invited":
        return _invited(member, now)
    there = _connection(member, known, nodes)
    tried = _rehearsal(roll.rehearsal(member.name))
    reasons = [there, tried, *_in_run(member.name, run)]
    if member.admitted is not None:
        age = now - member.admitted
        reasons.append(Reason(f"keys admitted {about(age.total_seconds())} ago", age > _OLD_KEYS))
    if known.since is None:
        return Site(member.name, "idle", "not known", reasons)
    if there.warns or tried.failed:
        return Site(member.name, "bad", "not ready", reasons)
    if tried.warns:
        return Site(member.name, "waiting", "not rehearsed", reasons)
    return Site(member.name, "good", "ready", reasons)


def _invited(member: Member, now: datetime) -> Site:
    assert member.expires is not None
    over, soon = member.expires <= now, member.expires - now < _EXPIRES_SOON
    said = f"its kit {'ended' if over else 'can be answered until'} {day(member.expires)}"
    reasons = [Reason("its reply has not come"), Reason(said, over or soon)]
    return Site(member.name, "bad" if over else "waiting", "invited", reasons)


def _connection(member: Member, known: Known, nodes: Mapping[str, int]) -> Reason:
    if known.since is None:
        return Reason("whether it is connected is not known yet", known.error is not None)
    number = nodes.get(member.node_key or "")
    if number is None:
        return Reason("not let in yet: fedcgan federation start does that", True)
    since = known.since.get(number)
    if since is None:
        return Reason("not connected: do its two programs run there?", True)
    try:
        return Reason(f"connected since {day(datetime.fromisoformat(since))}")
    except ValueError:
        return Reason("connected")


def _rehearsal(status: Status | FedcganError | None) -> Reason:
    if status is None:
        return Reason("not rehearsed yet; that happens when it connects", True)
    if isinstance(status, FedcganError):
        return Reason(f"rehearsal: {status.message}", True)
    if status.state == "finished":
        return Reason(f"rehearsed {day(status.updated)}: all went well")
    if status.failure is not None:
        return Reason(f"rehearsal failed: {status.failure.message} ({status.failure.code})", True, True)
    return Reason(f"rehearsal {status.state}", status.state != "running")


def _in_run(name: str, run: Run | None) -> list[Reason]:
    if run is None or name not in run.view.sites:
        return []
    site = run.view.sites[name]
    said = f"in run {run.name}: {WORDS[site.state][1]} since {day(site.since)}"
    if site.state in ("gone", "late"):
        said += f", so last seen {ago(site.since)}"
    return [Reason(said, site.state in ("gone", "late", "refused"))]

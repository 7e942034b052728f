"""Times, plans and kinds of steps and frames as a steward reads them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from common.events import Answered, Declined, PlanStands, SiteActs, SiteEvent
from common.plain_text import plain

SHORT = 12
"""Digits of a hash that are shown: people compare no more."""

KINDS = {
    "contribution": "contribution: an encrypted, noisy sum",
    "opened": "part of opening a sum",
    "refused": "refusal: a code, perhaps a sentence",
    "standing": "where a plan stands",
    "enrolled": "enrolment: keys of this run",
    "key-committed": "making the keys: a promise",
    "key-dealt": "making the keys: sealed pieces",
    "key-confirmed": "making the keys: proof",
    "name": "the site's own name, to its courier",
}
"""Kinds of frames that need a word; others are named as they are."""

STEPS = {
    "count": "how often values occur",
    "measure": "how values go together",
    "train": "training on records",
    "evaluate": "how synthetic records do",
}
"""What is computed from records, by kind of step."""

STANDINGS = {"pending": "inconclusive", "approved": "passed", "refused": "failed", "unknown": "information"}
"""The look of where a plan stands."""

VERDICTS = {"ok": "passed", "warning": "inconclusive", "failed": "failed", "skipped": "information"}
"""The look of a check's verdict."""

ASKED = {
    "enrol": "to take part",
    "key-commit": "for the keys",
    "key-deal": "for the keys",
    "key-confirm": "for the keys",
    "contribute": "for a contribution",
    "open": "to help open a sum",
}
"""What a message asks for."""


def when(time: str | datetime | None) -> str:
    """``30 Nov 2026, 08:15:02`` (UTC); an en dash for none, as it is for what is no time."""
    if not time:
        return "\N{EN DASH}"
    try:
        moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    except ValueError:
        return plain(str(time))
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{moment.day} {moment:%b %Y, %H:%M:%S}"


def until(last: str, first: str) -> str:
    """The end of a time that began at ``first``: without the day, if it is the same one."""
    end, day = when(last), when(first).partition(", ")[0]
    return end.removeprefix(f"{day}, ")


def ago(time: datetime, now: datetime | None = None) -> str:
    """``just now``, ``3 min ago``, ``5 h ago``, ``4 days ago``: what changes every second is no news."""
    seconds = ((now or datetime.now(UTC)) - time).total_seconds()
    for least, unit, one in ((172_800, 86_400, "days"), (7_200, 3_600, "h"), (60, 60, "min")):
        if seconds >= least:
            return f"{int(seconds // unit)} {one} ago"
    return "just now"


def event(happened: SiteEvent, runs: dict[str, str]) -> str:
    """A site's event in a sentence. runs: names of runs, by the hash of their plan"""
    if isinstance(happened, SiteActs):
        return {"active": "The site answers again.", "paused": "The site was paused."}.get(
            happened.state, "The site left the federation."
        )
    run = run_of(happened.plan, runs)
    if isinstance(happened, PlanStands):
        said = {"pending": "came and waits for an answer", "approved": "was approved"}
        return f"Plan of {run} {said.get(happened.standing, 'was refused')}."
    if isinstance(happened, Answered):
        asked = ASKED.get(happened.message, happened.message)
        return f"Asked {asked} in step {happened.step} of {run}, the site answered."
    assert isinstance(happened, Declined)
    step = plain(happened.step) or "(unreadable)"
    return f"A message of step {step} of {run} was refused: {happened.code}."


def run_of(plan: str, runs: dict[str, str]) -> str:
    """The name of a plan's run, or the beginning of its hash."""
    return f"run '{plain(runs[plan])}'" if plan in runs else f"plan {plain(plan[:SHORT]) or '(none)'}"


def kind(name: str) -> str:
    """A kind of frame in words."""
    return KINDS.get(name, plain(name))


def stepped(name: str) -> str:
    """A kind of step in words."""
    return STEPS.get(name, plain(name))


FILTERS: dict[str, Callable[..., Any]] = {
    "plain": plain,
    "when": when,
    "until": until,
    "ago": ago,
    "kind": kind,
    "stepped": stepped,
    "standing": STANDINGS.__getitem__,
    "verdict": VERDICTS.__getitem__,
    "g": lambda value: f"{value:g}".replace("e-0", "e-"),
    "short": lambda text: text[:SHORT],
}

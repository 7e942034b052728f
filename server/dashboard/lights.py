"""The sites of a run as a calm list: a light, a word that says the same, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from common.run_view import SiteView

from .runs import Run
from .spans import about

WORDS = {
    "unknown": ("idle", "not asked yet"),
    "pending": ("waiting", "its data steward decides"),
    "refused": ("bad", "said no"),
    "paused": ("waiting", "paused by its people"),
    "withdrawn": ("bad", "left the run"),
    "ready": ("good", "ready"),
    "busy": ("busy", "at work"),
    "late": ("bad", "too late"),
    "gone": ("bad", "not reachable"),
}
"""Of each state: the kind of its light, and the word."""

MOST = 24
"""Sites that a page shows one by one; of more, those that need somebody's eye, and numbers of the others."""

_ORDER = {"bad": 0, "waiting": 1, "busy": 2, "good": 3, "idle": 4}


@dataclass(frozen=True, slots=True)
class Light:
    """One site. answers: how long it usually takes; missed: sums it is not in"""

    name: str
    kind: str
    word: str
    since: str
    answers: str
    missed: int


@dataclass(frozen=True, slots=True)
class Lights:
    """shown: one by one; others: (kind, word, how many) of those that are not"""

    shown: list[Light]
    others: list[tuple[str, str, int]]
    total: int


def lights(run: Run, most: int = MOST) -> Lights:
    """All sites of a run, in the order of its roster; of many, those that need an eye first."""
    every = [_light(name, site) for name, site in run.view.sites.items()]
    if len(every) <= most:
        return Lights(every, [], len(every))
    shown = [one for one in every if one.kind == "bad"][:most]
    names = {one.name for one in shown}
    others: dict[tuple[str, str], int] = {}
    for one in every:
        if one.name not in names:
            others[one.kind, one.word] = others.get((one.kind, one.word), 0) + 1
    rest = sorted(((*kind, many) for kind, many in others.items()), key=lambda one: (_ORDER[one[0]], one[1]))
    return Lights(shown, rest, len(every))


def _light(name: str, site: SiteView) -> Light:
    kind, word = WORDS[site.state]
    usual = about(median(site.answered)) if site.answered else ""
    return Light(name, kind, word, f"{site.since:%H:%M} UTC", usual, site.missed)

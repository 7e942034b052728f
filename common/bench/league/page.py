"""What the page of a league says: its tables, pictures and commands, from result files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..kept import place
from ..repeated import SCORES, spread
from .picture import picture
from .results import REFERENCES, Result
from .standings import Standing, standings
from .systems import OURS, PEERS

_SPECIAL = str.maketrans({sign: "\\" + sign for sign in "\\`*_[]<>|#~&"} | {"\n": " "})
_ORDER = [system.name for system in (*OURS, *PEERS)]


def content(paths: Sequence[Path], prefix: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What ``league.md.j2`` is given, and pictures by file name. Raises ConfigError for a damaged file.

    prefix: of the pictures' names
    """
    results = [Result.load(path) for path in paths]
    pictures: dict[str, str] = {}
    datasets = []
    for key in sorted({(one.about.name, one.about.digest) for one in results}):
        mine = [one for one in results if (one.about.name, one.about.digest) == key]
        datasets.append(_dataset(mine, prefix, pictures))
    told = {
        one.system: (one.title, one.source, one.outside) for one in results if one.system not in REFERENCES
    }
    systems = [[plain(text) for text in told[name]] for name in sorted(told, key=_known_order)]
    return {"count": len(results), "datasets": datasets, "systems": systems}, pictures


def _dataset(results: list[Result], prefix: str, pictures: dict[str, str]) -> dict[str, Any]:
    about, played = results[0].about, standings(results)
    parts = []
    for epsilon in sorted({one.epsilon for one in results if one.epsilon is not None}):
        shown = [one for one in played if one.first.epsilon in (None, epsilon)]
        name = f"{prefix}-{about.name}-epsilon{epsilon:g}.svg"
        pictures[name] = picture(shown)
        alt = f"AUC and two-way distance of each system on {about.name}, epsilon {epsilon:g}"
        parts.append(
            {
                "epsilon": f"{epsilon:g}",
                "picture": f"![{plain(alt)}]({name})",
                "rows": [[plain(cell) for cell in _cells(one)] for one in shown],
            }
        )
    return {
        "about": about,
        "parts": parts,
        "limits": "; ".join(dict.fromkeys(_limits(one) for one in results)),
        "commands": list(dict.fromkeys(one.command for one in results)),
        "versions": ", ".join(sorted({f"{k} {v}" for one in results for k, v in _versions(one).items()})),
        "machines": "; ".join(sorted({machine_of(one.machine) for one in results})),
    }


def _cells(one: Standing) -> list[str]:
    first = one.first
    system = first.title + ("" if first.epsilon is not None or first.system in REFERENCES else ", no ε")
    scores = [one.said(name) for name in SCORES]
    if first.system in REFERENCES:
        return [system, *scores, "", "", "", ""]
    took = [result for result in one.results if result.wall_seconds]
    return [
        system,
        *scores,
        spread([result.wall_seconds for result in took], 0),
        spread([result.processor_seconds for result in took], 0),
        spread([result.peak_bytes / 1e6 for result in took], 0),
        one.outcome if len(one.results) == 1 or one.outcome != "ok" else f"ok, {len(one.results)}",
    ]


def _limits(one: Result) -> str:
    limits = one.limits
    threads = "a thread" if limits.threads == 1 else f"{limits.threads} threads"
    return f"{limits.minutes:g} minutes, {limits.memory_bytes / 2**30:g} GiB of memory and {threads}"


def _versions(one: Result) -> dict[str, str]:
    return {**one.versions, **{k: v for k, v in one.machine.items() if k in ("fedcgan", "numpy", "torch")}}


def machine_of(said: dict[str, Any]) -> str:
    """What a result says of its machine, in words."""
    return place(said["system"], said["kind"], said["processors"])


def _known_order(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


def plain(text: str) -> str:
    """Text in a cell of a Markdown table, as it stands."""
    return text.translate(_SPECIAL)

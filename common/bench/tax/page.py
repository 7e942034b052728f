"""What the page of a federation's tax says: its tables, pictures and commands, from result files."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..choices import Schedule
from ..league.page import machine_of, plain
from ..repeated import DASH, DECIMALS, SCORES, spread
from .picture import picture
from .results import POOLED, Result, Setting
from .standings import Standing, standings

_JUDGED = "auc_boosting"
_VERSIONS = ("fedcgan", "python", "numpy", "torch", "opacus", "tenseal", "flwr")


def content(paths: Sequence[Path], prefix: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What ``tax.md.j2`` is given, and pictures by file name. Raises ConfigError for a damaged file.

    prefix: of the pictures' names
    """
    results = [Result.load(path) for path in paths]
    pictures: dict[str, str] = {}
    parts = []
    for key in sorted({_part(one) for one in results}):
        mine = [one for one in results if _part(one) == key]
        parts.append(_told(mine, prefix, pictures))
    return {"count": len(results), "parts": parts}, pictures


def noise_factor(setting: Setting) -> float:
    """Standard deviation of a sum's noise, relative to one curator's, if every site takes part.

    Shared noise: each of n sites adds 1 / (n - 1) of the variance, so that the sum holds enough without the
    share of one that colludes. ``local``: every site adds all of it.
    """
    sites = setting.sites
    if sites == 1:
        return 1.0
    return math.sqrt(sites if setting.schedule == Schedule.LOCAL else sites / (sites - 1))


def _part(one: Result) -> tuple[str, str, float, float]:
    return one.data.name, one.data.digest, one.setting.epsilon, one.setting.delta


def _told(results: list[Result], prefix: str, pictures: dict[str, str]) -> dict[str, Any]:
    data, setting, standing = results[0].data, results[0].setting, standings(results)
    name = f"{prefix}-{data.name}-epsilon{setting.epsilon:g}-delta{setting.delta:g}.svg"
    pictures[name] = picture(standing)
    alt = f"AUC and two-way distance against the number of sites on {data.name}, epsilon {setting.epsilon:g}"
    schedules = list(dict.fromkeys((one.setting.schedule, one.setting.rounds) for one in standing))
    return {
        "data": data,
        "epsilon": f"{setting.epsilon:g}",
        "delta": f"{setting.delta:g}",
        "picture": f"![{plain(alt)}]({name})",
        "schedules": [_schedule(standing, *one) for one in schedules],
        "views": _views(results),
        "commands": list(dict.fromkeys(one.command for one in results)),
        "versions": ", ".join(f"{name} {found}" for name, found in _versions(results)),
        "machines": "; ".join(sorted({machine_of(one.machine) for one in results})),
    }


def _schedule(standing: list[Standing], schedule: Schedule, rounds: int) -> dict[str, Any]:
    mine = [one for one in standing if (one.setting.schedule, one.setting.rounds) == (schedule, rounds)]
    alone = [value for one in mine if one.setting.split == POOLED for value in one.values(_JUDGED)]
    unit = "step" if schedule == Schedule.EVERY_STEP else "round"
    return {
        "name": str(schedule),
        "rounds": f"{rounds} {unit}{'' if rounds == 1 else 's'}" if rounds else "",
        "rows": [[plain(cell) for cell in _cells(one, alone)] for one in mine],
        "worst": _worst(mine, alone),
    }


def _cells(one: Standing, alone: list[float]) -> list[str]:
    well, pooled = one.ended_well, one.setting.split == POOLED
    lost = _lost(one, alone)
    return [
        str(one.setting.sites),
        "one curator" if pooled else one.setting.spread,
        _range([(result.smallest, result.largest) for result in well]),
        f"{noise_factor(one.setting):.2f}" if well else DASH,
        *(one.said(name) for name in SCORES),
        DASH if lost is None or pooled else f"{-lost:+.{DECIMALS[_JUDGED]}f}",
        "" if pooled else spread([result.upload_bytes_per_site / 1e6 for result in well][:1], 1),
        spread([result.processor_seconds for result in well], 0),
        one.outcome,
    ]


def _lost(one: Standing, alone: list[float]) -> float | None:
    """AUC that is lost against one curator, between medians."""
    values = one.values(_JUDGED)
    return statistics.median(alone) - statistics.median(values) if values and alone else None


def _worst(mine: list[Standing], alone: list[float]) -> dict[str, str] | None:
    """The row that loses most AUC against one curator, if there is something to compare."""
    lost = [(found, one) for one in mine if (found := _lost(one, alone)) is not None]
    rows = [(found, one) for found, one in lost if one.setting.split != POOLED]
    if not rows:
        return None
    most, one = max(rows, key=lambda row: row[0])
    return {
        "lost": f"{most:.{DECIMALS[_JUDGED]}f}",
        "sites": str(one.setting.sites),
        "split": plain(one.setting.spread),
    }


def _range(sizes: list[tuple[int, int]]) -> str:
    """Records of the smallest and the largest site over all seeds."""
    if not sizes:
        return DASH
    least, most = min(one for one, _ in sizes), max(one for _, one in sizes)
    return str(least) if least == most else f"{least} {DASH} {most}"


def _views(results: list[Result]) -> list[list[str]]:
    """By schedule and number of sites: what is left to each observer; the same for every split."""
    found: dict[tuple[Schedule, int], dict[str, float]] = {}
    for one in sorted(
        results, key=lambda one: (list(Schedule).index(one.setting.schedule), one.setting.sites)
    ):
        if one.epsilon_views:
            found[one.setting.schedule, one.setting.sites] = one.epsilon_views
    names = list(dict.fromkeys(name for views in found.values() for name in views))
    rows = [
        [str(schedule), str(sites), *(f"{views[name]:.3f}" if name in views else DASH for name in names)]
        for (schedule, sites), views in found.items()
    ]
    return [["schedule", "sites", *(plain(name.replace("_", " ")) for name in names)], *rows] if rows else []


def _versions(results: list[Result]) -> list[tuple[str, str]]:
    return sorted({(name, one.machine[name]) for one in results for name in _VERSIONS if name in one.machine})

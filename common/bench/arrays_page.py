"""What the page of images and signals says: by data and epsilon, beside pooled records and local noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .drawing import INK, MUTED, OURS, THEIRS, drawing, svg
from .kept import Kept
from .repeated import spread

_PERCENT = ("accuracy", "accuracy_strong")
_ONE = ("macro_f1", "tstr_over_trtr")
_DISTANCES = (
    "domain_fid",
    "sliced_wasserstein",
    "precision",
    "recall",
    "density",
    "coverage",
    "inception_like",
    "recognised",
)
_DECIMALS = {**dict.fromkeys(_PERCENT, 1), **dict.fromkeys(_ONE, 3), "sliced_wasserstein": 3}
_REAL = "real records"


@dataclass(slots=True)
class _Row:
    """One way to train, with a dictionary of figures for each repetition."""

    name: str
    found: list[dict[str, Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def said(self, key: str) -> str:
        return spread([one[key] for one in self.found if key in one], _DECIMALS.get(key, 2))


def content(paths: Sequence[Path], prefix: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What ``arrays.md.j2`` is given, and pictures by file name.

    prefix: of the pictures' names. Raises ConfigError for a file that is no kept result of images or signals.
    """
    results = [Kept.load(path) for path in paths]
    for path, one in zip(paths, results, strict=True):
        if one.bench != "quality" or "classifier" not in one.data:
            raise ConfigError(f"{path.name} is no result of fedcgan bench quality for images or signals")
    pictures: dict[str, str] = {}
    datasets = []
    for name in sorted({one.data["data"] for one in results}):
        mine = [one for one in results if one.data["data"] == name]
        parts = {}
        for epsilon in sorted({round(one.data["epsilon"]) for one in mine}):
            parts[epsilon] = _rows([one for one in mine if round(one.data["epsilon"]) == epsilon])
        title = name.removesuffix(".npz").replace("_", " ")
        file = f"{prefix}-{title.replace(' ', '-')}.svg"
        pictures[file] = _picture(parts)
        datasets.append(
            {
                "title": title,
                "picture": f"![Accuracy on real records of each way to train, {title}]({file})",
                "about": mine[0].data,
                "strong": "accuracy_strong" in mine[0].data,
                "parts": [_part(epsilon, rows) for epsilon, rows in parts.items()],
                "commands": [one.command for one in mine],
                "measured": sorted({one.measured for one in mine}),
            }
        )
    return {"count": len(results), "datasets": datasets, "versions": _versions(results)}, pictures


def _rows(results: Sequence[Kept]) -> list[_Row]:
    """In the order they are shown in: ours, pooled, local noise, real records."""
    rows = {name: _Row(name) for name in _NAMES.values()}
    for one in sorted(results, key=lambda one: one.data["seed"]):
        for way, figures in _ways(one.data):
            row = rows[_NAMES[way]]
            if figures and figures not in row.found:  # real records score the same beside every way
                row.found.append(figures)
            if figures is one.data and "seconds" in figures:
                row.seconds.append(one.data["seconds"])
    return [row for row in rows.values() if row.found]


_NAMES = {
    "moments": "a federation",
    "central": "pooled records, noise added by one curator",
    "central_without_noise": "pooled records, no noise",
    "every-step": "a federation, and adversarial steps",
    "local-0": "whole noise at every site",
    "local": "whole noise at every site, and rounds of averaging",
    _REAL: _REAL,
}


def _ways(data: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The run itself, its baselines, and what real records score."""
    schedule = data["schedule"]
    yield (f"{schedule}-0" if schedule == "local" and data["rounds"] == 0 else schedule), data
    yield from data["baselines"].items()
    names = ("accuracy", "accuracy_strong", "macro_f1", *_DISTANCES)
    yield _REAL, {name: data[f"{name}_real"] for name in names if f"{name}_real" in data}


def _part(epsilon: int, rows: Sequence[_Row]) -> dict[str, Any]:
    quality = (*_PERCENT, *_ONE)
    return {
        "epsilon": epsilon,
        "quality": [
            [row.name, *map(row.said, quality), spread(row.seconds, 0), str(len(row.found))] for row in rows
        ],
        "distances": [[row.name, *map(row.said, _DISTANCES)] for row in rows],
    }


def _picture(parts: dict[int, list[_Row]]) -> str:
    """SVG: a panel an epsilon, a line a way to train, a dot a repetition; the real records dashed."""
    names = list(dict.fromkeys(row.name for rows in parts.values() for row in rows if row.name != _REAL))[
        ::-1
    ]
    with drawing(9, 1.3 + 0.32 * len(names), "fedcgan arrays") as figure:
        panels = figure.subplots(1, len(parts), sharey=True, sharex=True, squeeze=False)[0]
        for axes, (epsilon, rows) in zip(panels, parts.items(), strict=True):
            for row in rows:
                values = [one["accuracy"] for one in row.found]
                if row.name == _REAL:
                    axes.axvline(max(values), color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
                else:
                    colour = OURS if row.name.startswith("a federation") else THEIRS
                    axes.plot(values, [names.index(row.name)] * len(values), "o", color=colour, markersize=6)
            axes.set_title(f"ε = {epsilon}", fontsize=10, color=INK)
            axes.set_xlabel("accuracy on real records, %")
            axes.set_ylim(-0.6, len(names) - 0.4)
            axes.set_yticks(range(len(names)), names)
            axes.margins(x=0.1)
        return svg(figure)


def _versions(results: Sequence[Kept]) -> str:
    return ", ".join(
        sorted({f"{name} {version}" for one in results for name, version in one.versions.items()})
    )

"""What the page over all benches says: the secure sum and the audit whole, the best rows of all else."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .kept import Kept
from .league.results import KIND as LEAGUE
from .league.results import Result
from .league.standings import Standing, standings
from .repeated import DASH, spread

BENCHES = ("he", "encryption", "audit")
"""Those that are shown whole on this page and have none of their own."""

_FEDERATIONS = {"fedcgan": "its own", "fedcgan-same-bins": "the peers'"}
"""Our federations in the league, and whose bins they have: the first is what a federation can really have."""

_NAMES = {
    "threshold_bfv_14bit": "threshold BFV, 14 bits",
    "threshold_bfv_18bit": "threshold BFV, 18 bits",
    "ckks_8192_60_40_40_shared_key": "CKKS 8192 [60, 40, 40], one shared key",
    "ckks_4096_54_55_shared_key": "CKKS 4096 [54, 55], one shared key",
    "float32_clear": "float32 in the clear",
}


def content(paths: Sequence[Path], prefix: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What ``overview.md.j2`` is given; there are no pictures. Raises ConfigError for a damaged file.

    paths: results of all kinds, each in the folder of its page; prefix: of the other pages' names
    """
    kept: dict[str, list[Kept]] = {}
    league = []
    for path in paths:
        kind = json.loads(path.read_bytes())["kind"]
        if kind == LEAGUE:
            league.append(Result.load(path))
        elif kind == "bench":
            found = Kept.load(path)
            kept.setdefault(found.bench, []).append(found)
    folders = sorted({path.parent.name for path in paths})
    return {
        "pages": {name: f"{prefix}-{name}.md" for name in folders},
        "he": [_sum(one) for one in kept.get("he", [])],
        "encryption": [_encryption(one) for one in kept.get("encryption", [])],
        "audit": [_audit(one) for one in kept.get("audit", [])],
        "league": _league(league),
    }, {}


def _sum(one: Kept) -> dict[str, Any]:
    data = one.data
    rows = {**data["ours"], **data["baselines"]}
    return {
        **one.source,
        "data": data,
        "rows": [
            [
                _NAMES.get(name, name.replace("_", " ")),
                f"{row['bytes_per_value']:.2f}",
                f"{row['upload_ratio']:.2f}",
                *(
                    DASH if row[f"{what}_seconds"] is None else f"{row[f'{what}_seconds']:.3f}"
                    for what in ("contribution", "add", "opening", "combine")
                ),
            ]
            for name, row in rows.items()
        ],
    }


def _encryption(one: Kept) -> dict[str, Any]:
    pairs = one.data["pairs"]
    return {
        **one.source,
        "rows": [
            [
                str(number),
                ", ".join(f"{seconds:.1f}" for seconds in pair["wall_seconds"]),
                f"{pair['wall_ratio']:.2f}",
                ", ".join(f"{seconds:.1f}" for seconds in pair["cpu_seconds"]),
                f"{pair['cpu_ratio']:.2f}",
                f"{100 * pair['encryption_share']:.1f} %",
                f"{pair['upload_ratio_float32']:.2f}",
            ]
            for number, pair in enumerate(pairs, 1)
        ],
        "quality": [
            [words, *(spread([pair[name][way] for pair in pairs], 3) for way in (0, 1))]
            for name, words in (("tvd2", "2-way TVD"), ("tstr_auc", "AUC"))
        ],
        "wall_ratio": spread([pair["wall_ratio"] for pair in pairs], 2),
        "cpu_ratio": spread([pair["cpu_ratio"] for pair in pairs], 2),
        "share": spread([100 * pair["encryption_share"] for pair in pairs], 1),
        "upload": f"{statistics.median(pair['upload_ratio_float32'] for pair in pairs):.2f}",
    }


def _audit(one: Kept) -> dict[str, Any]:
    rows = [(f"`{name}`", row, "") for name, row in one.data["parts"].items()]
    rows += [
        (f"broken: `{name}`", row, "caught" if row["caught"] else "NOT CAUGHT")
        for name, row in one.data["controls"].items()
    ]
    figures = [
        [name, f"{row['claimed_epsilon']:.2f}", f"{row['lower_bound']:.2f}", f"{row['delta']:g}", verdict]
        for name, row, verdict in rows
    ]
    return {**one.source, "rows": figures, "data": one.data}


def _league(results: Sequence[Result]) -> list[list[str]]:
    """For each table and epsilon our federations beside the best peer by each score."""
    rows = []
    played = standings(results)
    for name in dict.fromkeys(one.about.name for one in sorted(results, key=lambda one: -one.about.train)):
        mine = [one for one in played if one.first.about.name == name]
        for epsilon in sorted({one.first.epsilon for one in mine if one.first.epsilon is not None}):
            there = [one for one in mine if one.first.epsilon == epsilon and one.ended_well]
            ours = {one.first.system: one for one in there}
            peers = [one for one in there if not one.first.system.startswith("fedcgan")]
            for system, bins in _FEDERATIONS.items():
                if system in ours and peers:
                    rows.append([name, f"{epsilon:g}", bins, *_beside(ours[system], peers)])
    return rows


def _beside(ours: Standing, peers: Sequence[Standing]) -> list[str]:
    found = []
    for score, best in (("auc_boosting", max), ("tvd1", min), ("tvd2", min)):
        peer = best(peers, key=lambda one, score=score: statistics.median(one.values(score)))  # type: ignore[misc]
        found += [ours.said(score), f"{peer.said(score)}, {peer.first.title}"]
    return found

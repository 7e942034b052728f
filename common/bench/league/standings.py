"""Results of a league put together: one line for each system, dataset and epsilon, over its repetitions."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from ...terminal import output
from ..repeated import DASH, DECIMALS, Repeated, middle
from .results import REFERENCES, Result

_HEADINGS = {
    "ε": "",
    "1-way": "tvd1",
    "2-way": "tvd2",
    "AUC": "auc_boosting",
    "logistic": "auc_logistic",
    "c2st": "c2st",
    "s": "",
}


@dataclass(frozen=True, slots=True)
class Standing(Repeated[Result]):
    """Repetitions of one system: same data, same epsilon."""

    @property
    def outcome(self) -> str:
        """``ok``, or how many repetitions did not end well and why."""
        bad = [result for result in self.results if result.status != "ok"]
        spent = [float(one.notes["epsilon_spent"]) for one in self.results if "epsilon_spent" in one.notes]
        if not bad:
            over = [value for value in spent if self.first.epsilon and value > self.first.epsilon]
            return f"ok, but spent epsilon {max(over):.3g}" if over else "ok"
        count = "" if len(self.results) == 1 else f"{len(bad)} of {len(self.results)}: "
        reasons = dict.fromkeys(f"{result.status} ({result.reason})" for result in bad)
        return count + "; ".join(reasons)


def standings(results: Sequence[Result]) -> list[Standing]:
    """Best first by the median AUC of boosting, those without scores last; references before all."""
    by_key: dict[tuple[str, str, str, float], list[Result]] = {}
    for result in sorted(results, key=lambda one: one.seed):
        key = (result.about.name, result.about.digest, result.system, result.epsilon or 0.0)
        by_key.setdefault(key, []).append(result)
    return sorted((Standing(tuple(found)) for found in by_key.values()), key=_place)


def _place(standing: Standing) -> tuple[bool, bool, float, str]:
    first, values = standing.first, standing.values("auc_boosting")
    best = statistics.median(values) if values else 0.0
    return first.system not in REFERENCES, not values, -best, first.system


def print_table(results: Sequence[Result]) -> None:
    """For people at a terminal: medians."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", *_HEADINGS, ""):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=bool(heading))
    for one in standings(results):
        seconds = [result.wall_seconds for result in one.results if result.wall_seconds]
        table.add_row(
            one.first.title,
            DASH if one.first.epsilon is None else f"{one.first.epsilon:g}",
            *(middle(one.values(name), DECIMALS[name]) for name in _HEADINGS.values() if name),
            middle(seconds, 0),
            one.outcome,
        )
    output.print(table)

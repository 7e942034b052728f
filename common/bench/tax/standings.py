"""Results put together: one line for each number of sites and split, over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from ...terminal import output
from ..choices import Schedule, Split
from ..repeated import DECIMALS, Repeated, middle
from .results import POOLED, Result, Setting

_SCHEDULES, _SPLITS = list(Schedule), [POOLED, *Split]
_HEADINGS = {"2-way": "tvd2", "AUC": "auc_boosting", "logistic": "auc_logistic", "c2st": "c2st"}


@dataclass(frozen=True, slots=True)
class Standing(Repeated[Result]):
    """Seeds of one setting on one table."""

    @property
    def setting(self) -> Setting:
        """Of the smallest seed."""
        return self.first.setting

    @property
    def outcome(self) -> str:
        """``ok`` and how many seeds, or how many were refused and why."""
        refused = [result for result in self.results if result.status == "refused"]
        if not refused:
            return "ok" if len(self.results) == 1 else f"ok, {len(self.results)}"
        count = "" if len(self.results) == 1 else f"{len(refused)} of {len(self.results)} "
        reasons = dict.fromkeys(f"{result.code}: {result.reason}" for result in refused)
        return f"{count}refused ({'; '.join(reasons)})"


def standings(results: Sequence[Result]) -> list[Standing]:
    """By table, epsilon, schedule, split (pooled first) and number of sites."""
    by_key: dict[tuple[object, ...], list[Result]] = {}
    for result in sorted(results, key=_place):
        by_key.setdefault(_place(result)[:-1], []).append(result)
    return [Standing(tuple(found)) for found in by_key.values()]


def _place(result: Result) -> tuple[str, str, float, float, int, int, int, float, int, int]:
    one = result.setting
    schedule, split = _SCHEDULES.index(one.schedule), _SPLITS.index(one.split)
    about = (result.data.name, result.data.digest, one.epsilon, one.delta)
    return (*about, schedule, one.rounds, split, one.skew or 0.0, one.sites, one.seed)


def print_table(results: Sequence[Result]) -> None:
    """For people at a terminal: medians."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "ε", "sites", "split", *_HEADINGS, "MB", "processor s", ""):
        table.add_column(heading, no_wrap=bool(heading))
    for one in standings(results):
        table.add_row(
            str(one.setting.schedule),
            f"{one.setting.epsilon:g}",
            str(one.setting.sites),
            one.setting.spread,
            *(middle(one.values(name), DECIMALS[name]) for name in _HEADINGS.values()),
            middle([result.upload_bytes_per_site / 1e6 for result in one.ended_well], 1),
            middle([result.processor_seconds for result in one.ended_well], 0),
            one.outcome,
        )
    output.print(table)

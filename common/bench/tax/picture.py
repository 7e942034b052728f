"""Quality against the number of sites: a column a schedule, a line a split, one curator dashed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from ..choices import Schedule
from ..drawing import INK, LINES, MUTED, drawing, svg
from .results import POOLED
from .standings import Standing

_ROWS = (
    ("auc_boosting", "AUC on real records"),
    ("tvd2", "distance of pairs of columns (TVD)"),
)
_MARKERS = "os^D"


def picture(standing: Sequence[Standing]) -> str:
    """SVG of one table and epsilon: medians, and bars from the smallest to the largest of several seeds.

    What has no scores is left out. The same figures give the same text.
    """
    shown = [one for one in standing if one.ended_well]
    schedules = [one for one in Schedule if any(found.setting.schedule == one for found in shown)]
    names = list(dict.fromkeys(one.setting.spread for one in shown if one.setting.split != POOLED))
    with drawing(1.6 + 3.0 * max(1, len(schedules)), 5.2, "fedcgan tax") as figure:
        grid = figure.subplots(2, max(1, len(schedules)), sharex=True, sharey="row", squeeze=False)
        for column, schedule in enumerate(schedules):
            mine = [one for one in shown if one.setting.schedule == schedule]
            grid[0, column].set_title(_title(mine[0]), fontsize=10, color=INK)
            for row, (name, text) in enumerate(_ROWS):
                _panel(grid[row, column], mine, name, names)
                if column == 0:
                    grid[row, column].set_ylabel(text)
            grid[1, column].set_xlabel("sites")
        counts = sorted({one.setting.sites for one in shown if one.setting.split != POOLED})
        if counts:
            grid[0, 0].set_xscale("log")
            grid[0, 0].set_xlim(counts[0] / 1.25, counts[-1] * 1.25)
            grid[0, 0].set_xticks(counts, [str(count) for count in counts])
            grid[0, 0].minorticks_off()
        handles, labels = grid[0, 0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        return svg(figure)


def _title(one: Standing) -> str:
    rounds, schedule = one.setting.rounds, one.setting.schedule
    unit = "step" if schedule == Schedule.EVERY_STEP else "round"
    return f"{schedule}, {rounds} {unit}{'' if rounds == 1 else 's'}" if rounds else str(schedule)


def _panel(axes: Any, standing: Sequence[Standing], name: str, names: Sequence[str]) -> None:
    for one in standing:
        if one.setting.split == POOLED:
            values = one.values(name)
            axes.axhspan(min(values), max(values), color=MUTED, alpha=0.15, linewidth=0)
            axes.axhline(
                statistics.median(values),
                color=MUTED,
                linestyle=(0, (4, 3)),
                linewidth=1.2,
                label="one curator",
            )
    for number, split in enumerate(names):
        line = sorted(
            (one for one in standing if one.setting.spread == split), key=lambda one: one.setting.sites
        )
        found = [one.values(name) for one in line]
        middles = [statistics.median(values) for values in found]
        below = [middle - min(values) for middle, values in zip(middles, found, strict=True)]
        above = [max(values) - middle for middle, values in zip(middles, found, strict=True)]
        axes.errorbar(
            [one.setting.sites for one in line],
            middles,
            yerr=[below, above],
            color=LINES[number % len(LINES)],
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=5,
            linewidth=1.4,
            elinewidth=1.0,
            label=split,
        )

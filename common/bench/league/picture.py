"""A league in one picture a dataset and epsilon: who predicts best, and whose pairs of columns are right."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ..drawing import INK, MUTED, OURS, THEIRS, drawing, svg
from .results import REFERENCES
from .standings import Standing

_PANELS = (
    ("auc_boosting", "AUC on real records, learnt from synthetic ones"),
    ("tvd2", "distance of pairs of columns (TVD), less is better"),
)

_MARKS = {"auc_boosting": ("real", "real records"), "tvd2": ("shuffled", "shuffled columns")}


def picture(standing: Sequence[Standing]) -> str:
    """SVG: one line a system, a dot for each repetition and a bar at the median; the real records dashed.

    standing: of one dataset and epsilon, with references; systems without scores are left out.
    The same figures give the same text.
    """
    shown = [one for one in standing if one.ended_well and one.first.system not in REFERENCES][::-1]
    references = {one.first.system: one for one in standing if one.first.system in REFERENCES}
    with drawing(9, 1.5 + 0.32 * len(shown), "fedcgan league") as figure:
        for axes, (name, text) in zip(figure.subplots(1, 2, sharey=True), _PANELS, strict=True):
            for place, one in enumerate(shown):
                colour = OURS if one.first.system.startswith("fedcgan") else THEIRS
                values = one.values(name)
                axes.plot(values, [place] * len(values), "o", color=colour, markersize=6, alpha=0.8)
                axes.plot([statistics.median(values)], [place], "|", color=INK, markersize=14)
            which, words = _MARKS[name]
            for value in references[which].values(name) if which in references else []:
                axes.axvline(value, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
                at = {"xy": (value, 1), "xycoords": ("data", "axes fraction"), "xytext": (0, 3)}
                axes.annotate(words, **at, textcoords="offset points", ha="center", color=MUTED)
            axes.margins(x=0.12)
            axes.set_xlabel(text)
            axes.set_ylim(-0.6, len(shown) - 0.4)
            axes.set_yticks(range(len(shown)), [one.first.title for one in shown])
        return svg(figure)

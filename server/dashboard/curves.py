"""The curves of a run: how the generator gets on, what privacy it took, how long sums take."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from common.evidence.formats import number
from common.run_view import Curve
from common.web.charts import Series, curves

from .runs import Run

_LOSS_DIGITS = 4


def charts(run: Run) -> list[tuple[Markup, str]]:
    """Each with a sentence that says how to read it; only those that have two points."""
    known, target = run.view.curves, run.plan.privacy.epsilon
    found: list[tuple[Markup, str]] = []
    if (loss := _shown(known, "fit_loss")) is not None:
        drawn = curves(
            "Distance from the measured sums",
            [_series("loss of the fit", loss, f"{loss.last or 0:.{_LOSS_DIGITS}g}")],
            unit="step of the fit",
        )
        found.append((drawn, "It should fall, then stay. Where it stays is the noise that protects people."))
    if (told := _shown(known, "fakes_told")) is not None:
        drawn = curves(
            "Fakes that the opponent tells",
            [_series("share of synthetic records", told, f"{100 * (told.last or 0):.0f} %")],
            unit="round",
            target=(0.5, "cannot tell"),
        )
        how = "Best somewhat above a half: near 1 the generator learns nothing, below it the opponent does."
        found.append((drawn, how))
    if (spent := _shown(known, "epsilon")) is not None:
        drawn = curves(
            "Privacy spent",
            [_series("ε so far", spent, number(spent.last, 2))],
            unit="sums opened",
            target=(target, "promised"),
            steps=True,
        )
        found.append((drawn, "It only rises when a sum is opened, and never above the line."))
    if (took := _shown(known, "seconds")) is not None:
        drawn = curves(
            "Time for a sum", [_series("seconds", took, f"{took.last or 0:.1f} s")], unit="sums opened"
        )
        found.append((drawn, "From the question to the opened sum; every sum waits for the slowest site."))
    return found


def _shown(known: dict[str, Curve], name: str) -> Curve | None:
    curve = known.get(name)
    return curve if curve is not None and len(curve.points) > 1 else None


def _series(label: str, curve: Curve, said: str) -> Series:
    points = np.asarray(curve.points, np.float64)
    return Series(label, points[:, 0], points[:, 1], said)

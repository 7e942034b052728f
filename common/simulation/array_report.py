"""Quality of synthetic images and signals in a simulation, which may look at the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Arrays
from ..evaluation.alarms import alarms
from ..evaluation.image_scores import image_scores
from ..evaluation.signal_features import table
from ..evaluation.signal_scores import signal_scores
from ..evaluation.signal_views import overlay, side_by_side
from ..schema import ArraySchema, SignalSchema
from ..tables import write_table
from .prepare import Run


def array_quality(run: Run, synthetic: Arrays, prior: NDArray[np.float64]) -> dict[str, Any]:
    """A classifier trained on synthetic and tested on held-out records, beside one trained on real ones."""
    schema = run.schema
    assert isinstance(schema, ArraySchema)
    real, held_out = run.arrays()
    if isinstance(schema, SignalSchema):
        write_views(synthetic, held_out, schema, run.folder / "evaluation")
    return {
        **array_scores(synthetic, real, held_out, schema, run.plan.seed),
        "alarms": alarms(synthetic, schema, prior),
        "records": {"training": len(real), "held_out": len(held_out), "synthetic": len(synthetic)},
    }


def array_scores(
    synthetic: Arrays, real: Arrays, held_out: Arrays, schema: ArraySchema, seed: int, *, strong: bool = False
) -> dict[str, Any]:
    """accuracy, macro_f1, tstr_over_trtr and more; keys are described in docs/report.md.

    Images: small CNNs. Signals: extremely randomised trees, with logistic regression beside.
    """
    if not isinstance(schema, SignalSchema):
        return image_scores(synthetic, real, held_out, seed, strong=strong)
    return signal_scores(synthetic, real, held_out, schema, seed)


def write_views(synthetic: Arrays, real: Arrays, schema: SignalSchema, folder: Path) -> None:
    """Feature table, overlay of principal components, and classes side by side. They show real signals.

    Raises StorageError.
    """
    write_table(table(real, synthetic, schema), folder / "features.csv")
    overlay(real, synthetic, schema, folder / "components.png")
    side_by_side(real, synthetic, schema, folder / "side-by-side.png")

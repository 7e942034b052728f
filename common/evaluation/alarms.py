"""What the monitor of mode collapse says about generated images or signals, by the values of their label."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Arrays
from ..modalities.array_layout import ArrayLayout
from ..schema import ArraySchema
from .collapse import monitor


def alarms(synthetic: Arrays, schema: ArraySchema, prior: NDArray[np.float64]) -> list[dict[str, Any]]:
    """class (None: the generator as a whole), kind and advice of each alarm; none if nothing is wrong.

    Looks at generated records and the released prior, at no real record.
    """
    layout, names = ArrayLayout.of(schema), schema.label.categories
    values = layout.scaled(layout.to_rows(synthetic)).reshape(len(synthetic), *layout.shape)
    return [
        {
            "class": None if alarm.class_index is None else names[alarm.class_index],
            "kind": alarm.kind,
            "advice": alarm.advice,
        }
        for alarm in monitor(values, synthetic.labels, prior).alarms
    ]

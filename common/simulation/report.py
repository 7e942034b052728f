"""How good a simulated run's synthetic table is. A simulation may look at the real records."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..evaluation.fidelity import distances
from ..evaluation.utility import auc
from ..modalities.grouping import Grouping
from ..modalities.tabular import encode
from ..release_terms import Task
from ..report import rounded
from ..schema import TableSchema
from .prepare import Run


def table_quality(
    run: Run, synthetic: pd.DataFrame, grouping: Grouping, evaluation: Task | None
) -> dict[str, Any]:
    """Distances to held-out records and a classifier's task, beside what real records score."""
    schema = run.schema
    assert isinstance(schema, TableSchema)
    real, held_out = (encode(side, schema) for side in run.tables())
    made = encode(synthetic, schema)
    drawn, seen, unseen = (grouping.to_groups(codes, schema) for codes in (made, real, held_out))
    on_held_out = distances(drawn, unseen, schema.groups)
    on_training = distances(drawn, seen, schema.groups)
    best = distances(seen, unseen, schema.groups)
    scores: dict[str, Any] = {"tstr_auc": None, "trtr_auc": None}
    if evaluation is not None:
        scores = {
            "tstr_auc": rounded(auc(made, held_out, schema, evaluation)),
            "trtr_auc": rounded(auc(real, held_out, schema, evaluation)),
            "target": evaluation.model_dump(mode="json"),
        }
    return {
        "tvd1": round(on_held_out.one_way, 4),
        "tvd2": round(on_held_out.two_way, 4),
        "tvd1_training": round(on_training.one_way, 4),
        "tvd2_training": round(on_training.two_way, 4),
        "tvd1_real": round(best.one_way, 4),
        "tvd2_real": round(best.two_way, 4),
        **scores,
        "records": {
            "training": len(real),
            "held_out": len(held_out),
            "synthetic": len(made),
        },
    }

"""What the networks of the adversarial phase say of records: the attack by the discriminator itself.

After LOGAN (Hayes et al. 2019): a discriminator that remembers gives records it was trained on better scores.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..contributions import family_of, layout_of
from ..modalities.layout import Layout
from ..models.encoding import record_tensor
from ..models.family import Judged
from ..models.pair import load
from ..plan import Plan
from ..records import Rows
from ..schema import Schema, TableSchema
from ..states import StepState

_AT_ONCE = 1024


@torch.no_grad()
def judged(rows: Rows, schema: Schema, plan: Plan, judge: StepState) -> NDArray[np.float64]:
    """float64[records], the higher, the more like a record trained on.

    D's score, or minus the loss where there is no D (autoencoders). judge: of the end of training
    """
    entered = family_of(schema, plan).entered
    load(entered, judge.entered)
    entered.random.manual_seed(plan.seed)
    if judge.grouping is not None:
        assert isinstance(schema, TableSchema)
        rows = Layout.of(schema).to_model(judge.grouping.to_groups(rows, schema))
    layout, found = layout_of(schema), [np.zeros(0)]
    for part in np.array_split(rows, len(rows) // _AT_ONCE + 1):
        records = record_tensor(part, layout)
        said = entered.discriminator(records) if isinstance(entered, Judged) else -entered(records)
        found.append(said.double().numpy())
    return np.concatenate(found)

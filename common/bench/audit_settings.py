"""What all audits share: a plan to claim from, receipts to contribute with, and the form of a finding."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..columns import CategoryColumn
from ..config import Data, Federation, Model, Privacy, Release, SimulationConfig, Sites, Training
from ..plan import Plan
from ..planning import make_plan, stand_in
from ..privacy.accounting import epsilon
from ..privacy.ledger import Cap, Ledger, Receipt
from ..privacy.mechanism import Mechanism
from ..schema import TableSchema

DELTA = 1e-5
SITES = 3
_RECORDS = 100  # declared of a site: sets the room of its sums, nothing else
_NO_CAP = 1e9  # the ledger is there for receipts; an audit spends nobody's budget


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one audit found about one build.

    claimed_epsilon: of the mechanisms the build says it is, at ``delta``; lower_bound: of what it was seen to
    leak; observed: the counts behind it
    """

    claimed_epsilon: float
    lower_bound: float
    delta: float
    observed: dict[str, int] = field(default_factory=dict)

    @property
    def refuted(self) -> bool:
        """Whether the build was seen to leak more than it claims."""
        return self.lower_bound > self.claimed_epsilon


def claimed(mechanisms: Iterable[Mechanism], delta: float = DELTA) -> float:
    """The epsilon that the product claims for these mechanisms."""
    return epsilon(mechanisms, delta)


def base_plan(schema: TableSchema, schedule: Literal["moments", "every-step", "local"], shares: int) -> Plan:
    """A plan of three sites as the product makes it; an audit sets its noise and its steps afterwards.

    shares: honest sites; all others collude with the coordinator
    """
    config = SimulationConfig(
        name="audit",
        data=Data(table="none", schema="none"),
        sites=Sites(count=SITES),
        federation=Federation(threshold=SITES, min_contributors=SITES, collusion=SITES - shares),
        privacy=Privacy(epsilon=3.0, delta=DELTA),
        model=Model(latents=1, latent=1, generator_hidden=(1,), discriminator_hidden=(1,)),
        training=Training(
            records_per_site=_RECORDS,
            schedule=schedule,
            rounds=0 if schedule == "moments" else 1,
            local_steps=1,
        ),
        release=Release(holdout=0.0, evaluate_share=0.0),
    )
    return make_plan(config, schema, stand_in(config), run=uuid.uuid4().hex)


def small_schema(*, subject: bool = False) -> TableSchema:
    """Four columns of a few codes, so that thousands of trials take seconds."""
    return TableSchema(
        name="audit",
        subject="person" if subject else None,
        columns=(
            CategoryColumn(name="place", categories=(0, 1, 2, 3, 4, 5)),
            CategoryColumn(name="grade", categories=(0, 1, 2, 3)),
            CategoryColumn(name="smoker", categories=(0, 1)),
            CategoryColumn(name="group", categories=(0, 1), condition=True),
        ),
    )


@contextmanager
def receipts(plan: Plan) -> Iterator[Callable[[str], Receipt]]:
    """Receipts for steps of the plan, from a real ledger in a temporary folder; any number for each step."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.jsonl", uuid.uuid4().hex)
        ledger.create()

        def receipt(step: str) -> Receipt:
            return ledger.charge(
                plan.steps[step],
                plan=uuid.uuid4().hex,  # as if each were a run of its own
                step=step,
                cap=Cap(epsilon=_NO_CAP, delta=DELTA),
                unit=plan.privacy.unit,
                sensitivity=1.0,
            )

        yield receipt

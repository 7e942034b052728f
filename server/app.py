"""Flower's ServerApp: the coordinator of the plan in a run folder, in a simulation or in a federation."""

from __future__ import annotations

import os
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from common.crypto.identity import Identity
from common.plan import Plan
from common.schema import Schema

from .conduct import conduct
from .courier import AdmittedRoll, AskedRoll, Courier, Seen
from .recorded import Stands, with_its_end
from .rounds import Coordinator
from .run_folder import RunFolder

app = ServerApp()

_ONLINE_SECONDS = 120.0
_ANSWER_SECONDS = 1800.0
_POLL_SECONDS = 0.05
_POLL_SECONDS_DEPLOYED = 0.25


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the plan of the run folder to its end, from wherever it stands."""
    folder = Path(str(context.run_config.get("run-dir", "")) or os.environ["FEDCGAN_RUN"])
    if RunFolder(folder).deployed:
        conduct(folder, lambda run, plan, seen: _of_federation(grid, run, plan, seen))
        return
    plan = Plan.from_json((folder / "plan.json").read_bytes())
    schema = Schema.load(folder / "schema.toml")
    identity = Identity.load_or_create(folder / "coordinator" / "identity.key")
    with with_its_end(folder, plan, schema):
        send = courier(grid, plan).send
        Coordinator(plan, schema, identity, send, folder / "coordinator").run()


def _of_federation(grid: Grid, run: RunFolder, plan: Plan, seen: Seen) -> Courier:
    conditions = run.conditions
    return Courier(
        grid,
        plan.federation,
        AdmittedRoll(grid, conditions.nodes),
        answer_seconds=conditions.answer_seconds,
        poll_seconds=_POLL_SECONDS_DEPLOYED,
        seen=seen,
    )


def courier(grid: Grid, plan: Plan) -> Courier:
    """The courier of a simulation, once enough sites are there. Raises NotEnoughSitesError."""
    federation = plan.federation
    made = Courier(
        grid,
        federation,
        AskedRoll(grid, federation.names),
        answer_seconds=_ANSWER_SECONDS,
        poll_seconds=_POLL_SECONDS,
        seen=Stands(),
    )
    made.wait_for(federation.min_contributors, _ONLINE_SECONDS)
    return made

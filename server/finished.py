"""A finished run as its coordinator has it, of a simulation or a federation: what a release is made from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from common.bundle.claims import EVALUATION, REPORT
from common.crypto.identity import Identity
from common.errors import ConfigError, FederationError, PrivateEvaluationError, ProtocolError, StorageError
from common.evaluation.figures import Evaluation
from common.plan import Plan
from common.schema import Schema
from common.toml_file import first_problem

from .asking import Trouble
from .run_folder import RunFolder, folder_of_simulation

_OF_RUN = frozenset(
    {
        "report_version",
        "epsilon",
        "epsilon_views",
        "epsilon_here",
        "continues",
        "delta",
        "unit",
        "sampling",
        "epsilon_target",
        "collusion",
        "noise_shares",
        "count_noise_multiplier",
        "measure_noise_multiplier",
        "train_noise_multiplier",
        "upload_ratio_float32",
        "attempts",
        "bytes",
        "sites",
        "threshold",
        "key_holders",
        "schedule",
        "rounds",
        "plan",
        "schema",
        "seed",
        "versions",
        "trouble",
        "alarms",
    }
)
"""Keys of a report that come from the plan, or released material. How long sites took is for theirs."""
_TROUBLE = {one.name for one in fields(Trouble)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """release: folder that ``write_release`` wrote; sites: folders of a simulation's sites, else none"""

    release: Path
    plan: Plan
    schema: Schema
    identity: Identity
    sites: Path | None

    @property
    def simulated(self) -> bool:
        """Whether all parties were on this machine."""
        return self.sites is not None

    def report(self, public_records: bool) -> dict[str, Any]:
        """The report, without what was computed from records unless these are public. Raises StorageError."""
        path = self.release / REPORT
        try:
            content = json.loads(path.read_bytes())
            if content["plan"] != self.plan.hash or not all(
                set(one) == _TROUBLE for one in content["trouble"]
            ):
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"{path} is missing, damaged, or of another run", hint="let the run finish first"
            ) from error
        if public_records:
            return dict(content)
        trouble = [_told_to_all(**one) for one in content["trouble"]]
        return {key: value for key, value in content.items() if key in _OF_RUN} | {"trouble": trouble}

    @property
    def evaluation(self) -> Evaluation | None:
        """What was measured, None if nothing was.

        Raises PrivateEvaluationError if it was computed from records, StorageError if damaged.
        """
        path = self.release / EVALUATION
        if not path.exists():
            return None
        try:
            found = Evaluation.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            why = first_problem(error) if isinstance(error, ValidationError) else error.strerror
            raise StorageError(
                f"{path} cannot be read: {why}", hint="bring it back from a copy of the run"
            ) from error
        if not found.shareable:
            raise PrivateEvaluationError(
                f"{path} has figures that were computed from records, which are not for release",
                hint="it is not what the run's last sum wrote: bring that back from a copy of the run",
            )
        return found


def finished(run: Path) -> Finished:
    """The finished run at ``run``: OUT of a simulation, with OUT.run/ beside it; or a run's folder of a
    federation.

    Raises ConfigError if it is neither, ProtocolError if it is not finished, StorageError if it is damaged.
    """
    if (run / "conditions.json").exists():
        return _deployed(RunFolder(run))
    if (folder_of_simulation(run) / "plan.json").exists():
        return _simulated(run)
    raise ConfigError(
        f"there is no run in {run}",
        hint="OUT of a simulation, OUT.run/ beside it; or: fedcgan release HASH --federation FOLDER",
    )


def _deployed(run: RunFolder) -> Finished:
    if run.status.state != "finished":
        raise ProtocolError(f"the run is {run.status.state}", hint="fedcgan resume goes on with it")
    plan = run.plan
    if plan.rehearsal:
        raise ConfigError("a rehearsal has nothing to release: its records are made up")
    identity = _own(lambda: run.identity, plan)
    return Finished(
        release=run.folder / "release", plan=plan, schema=run.schema, identity=identity, sites=None
    )


def _simulated(out: Path) -> Finished:
    folder = folder_of_simulation(out)
    plan = Plan.from_json((folder / "plan.json").read_bytes())
    key = folder / "coordinator" / "identity.key"
    if not key.exists():  # never made anew: the plan names one key
        raise FederationError(f"there is no {key}", hint="run the simulation again")
    return Finished(
        release=out,
        plan=plan,
        schema=Schema.load(folder / "schema.toml"),
        identity=_own(lambda: Identity.load_or_create(key), plan),
        sites=folder / "sites",
    )


def _told_to_all(step: str, site: str, code: str, refused: bool) -> dict[str, str]:
    """Why a site refused is for its federation: it may say something of its budget or its records."""
    return {"step": step, "site": site, "code": "refused" if refused else code}


def _own(load: Callable[[], Identity], plan: Plan) -> Identity:
    identity = load()
    if identity.public != plan.federation.coordinator.identity:
        raise FederationError(
            "the plan names another key as the coordinator's", hint="restore the key it was made with"
        )
    return identity

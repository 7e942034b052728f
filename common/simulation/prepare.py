"""Make a run folder: split the records, set up each site's own folder, write the plan, approve it.

run/plan.json  schema.toml  holdout.parquet   for the researcher who simulates
run/sites/NAME/                               what a site would keep on its own machine
run/coordinator/                              what the coordinator would keep
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import tomli_w

from ..config import SimulationConfig
from ..crypto.identity import Identity
from ..errors import ConfigError, EmptyClassError, StorageError
from ..evaluation.task import check_task
from ..modalities.tabular import encode
from ..plan import Party, Plan
from ..planning import federation_of, make_plan, stand_in
from ..schema import Schema
from ..tables import write_table
from .split import assign, hold_out

COORDINATOR = "coordinator"


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder and what is in it."""

    folder: Path
    plan: Plan
    schema: Schema

    @classmethod
    def open(cls, folder: Path, config: SimulationConfig) -> Run:
        """The run folder of this configuration. Raises StorageError or ConfigError."""
        try:
            plan = Plan.from_json((folder / "plan.json").read_bytes())
            before = (folder / "config.json").read_text("utf-8")
        except FileNotFoundError as error:
            raise StorageError(
                f"there is nothing to resume in {folder}", hint="start without --resume"
            ) from error
        same = {"engine": config.engine}  # the engine may change: both run the same plan
        if SimulationConfig.model_validate_json(before).model_copy(update=same) != config:
            raise ConfigError(
                "the configuration is not the one of the run to resume", hint="start without --resume"
            )
        return cls(folder, plan, Schema.load(folder / "schema.toml"))

    def holdout(self) -> pd.DataFrame:
        """The held-out records."""
        return pd.read_parquet(self.folder / "holdout.parquet")

    def training(self) -> pd.DataFrame:
        """All sites' records together: only a simulation can look at them."""
        parts = [
            pd.read_parquet(self.folder / "sites" / name / "records.parquet")
            for name in self.plan.federation.names
        ]
        return pd.concat(parts, ignore_index=True)


def prepare(config: SimulationConfig, frame: pd.DataFrame, schema: Schema, folder: Path) -> Run:
    """A fresh run folder at ``folder``; whatever was there is removed. Raises typed errors early."""
    random = np.random.default_rng(config.seed)
    held_out = hold_out(frame, schema.subject, config.data.holdout, random)
    names, numbers = assign(frame, schema.subject, config.sites, random)
    split_column = config.sites.column if config.sites.split == "column" else None
    own = {*schema.names, *([schema.subject] if schema.subject else [])}
    if split_column is not None and split_column not in own:
        frame = frame.drop(columns=split_column)
    codes = encode(frame, schema)
    _refuse_empty_classes(codes[~held_out], schema)
    if config.evaluation is not None:
        check_task(schema, config.evaluation)
    frame = frame[[*([schema.subject] if schema.subject else []), *schema.names]]
    # made before anything is removed: an impossible plan destroys nothing
    draft = make_plan(config, schema, stand_in(config), run=f"{config.name}-{uuid.uuid4().hex[:12]}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    parties = [
        _make_site(folder / "sites" / name, frame[(numbers == i) & ~held_out], config)
        for i, name in enumerate(names)
    ]
    identity = Identity.load_or_create(folder / COORDINATOR / "identity.key")
    federation = federation_of(config, Party(name=COORDINATOR, identity=identity.public), parties)
    plan = draft.model_copy(update={"federation": federation})
    (folder / "schema.toml").write_text(schema.to_toml(), "utf-8")
    (folder / "config.json").write_text(config.model_dump_json(by_alias=True), "utf-8")
    write_table(frame[held_out], folder / "holdout.parquet")
    approve = _site_function("approve")
    for name in names:
        approve(folder / "sites" / name, plan)
    (folder / "plan.json").write_bytes(plan.to_json())  # last: a folder with a plan is whole
    return Run(folder, plan, schema)


def _make_site(folder: Path, records: pd.DataFrame, config: SimulationConfig) -> Party:
    folder.mkdir(parents=True, mode=0o700)
    write_table(records, folder / "records.parquet")
    policy = {
        "records": "records.parquet",
        "dataset": uuid.uuid4().hex,
        "epsilon_cap": config.privacy.epsilon,
        "delta": config.privacy.delta,
    }
    (folder / "policy.toml").write_text(tomli_w.dumps(policy), "utf-8")
    public: str = _site_function("found")(folder)
    return Party(name=folder.name, identity=public)


def _site_function(name: str) -> Callable[..., str]:
    """A function of the site's side, by name: ``common`` imports neither side."""
    function: Callable[..., str] = getattr(import_module("client.site"), name)
    return function


def _refuse_empty_classes(codes: np.ndarray, schema: Schema) -> None:
    for position, column in enumerate(schema.columns):
        if column.condition:
            present = np.bincount(codes[:, position], minlength=column.size)
            if (present == 0).any():
                empty = column.categories[int(np.argmin(present))]
                raise EmptyClassError(
                    f"condition {column.name!r}: no record has the value {empty!r}",
                    hint="remove the value from the schema, or merge it with a neighbour",
                )

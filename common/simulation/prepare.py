"""Make a run folder: split the records, set up each site's own folder, write the plan, approve it.

run/plan.json  schema.toml  holdout*          for the researcher who simulates
run/sites/NAME/                               what a site would keep on its own machine
run/coordinator/                              what the coordinator would keep
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import tomli_w

from ..arrays import Arrays
from ..config import SimulationConfig
from ..crypto.identity import Identity
from ..errors import ConfigError, StorageError
from ..modalities.array_files import read_arrays
from ..plan import Party, Plan
from ..planning import federation_of, make_plan, stand_in
from ..schema import ArraySchema, Schema
from .carried import Before
from .holdings import Holdings, Mask, holdings_of
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
        """The held-out records of a table."""
        return pd.concat(
            map(pd.read_parquet, sorted(self.folder.glob("holdout*.parquet"))), ignore_index=True
        )

    def training(self) -> pd.DataFrame:
        """All sites' records of a table together, of earlier runs too: only a simulation can look at them."""
        return pd.concat(map(pd.read_parquet, self._records(".parquet")), ignore_index=True)

    def arrays(self) -> tuple[Arrays, Arrays]:
        """All sites' images or signals together, and the held-out ones."""
        return self._arrays(self._records(".npz")), self._arrays(sorted(self.folder.glob("holdout*.npz")))

    def _arrays(self, paths: Iterable[Path]) -> Arrays:
        assert isinstance(self.schema, ArraySchema)
        parts = [read_arrays(path, self.schema) for path in paths]
        return Arrays(
            np.concatenate([part.values for part in parts]), np.concatenate([part.labels for part in parts])
        )

    def _records(self, suffix: str) -> list[Path]:
        """All sites' files of records, those of continued runs included."""
        sites = (self.folder / "sites" / name for name in self.plan.federation.names)
        return [path for site in sites for path in sorted(site.glob(f"records*{suffix}"))]


def prepare(
    config: SimulationConfig,
    data: pd.DataFrame | Arrays,
    schema: Schema,
    folder: Path,
    before: Before | None = None,
) -> Run:
    """A fresh run folder at ``folder``; whatever was there is removed. Raises typed errors early.

    before: a run to continue with these new records, at the same sites
    """
    random = np.random.default_rng(config.seed)
    holdings = holdings_of(data, schema, config)
    held_out = hold_out(holdings.index, schema.subject, config.data.holdout, random)
    names, numbers = assign(holdings.index, schema.subject, config.sites, random)
    if before is not None:
        before.check(schema, names)
    holdings.check(config, held_out, before.earlier.classes if before else None)
    # made before anything is removed: an impossible plan destroys nothing
    name = f"{config.name}-{uuid.uuid4().hex[:12]}"
    draft = make_plan(config, schema, stand_in(config), name, before.earlier.continues if before else None)
    if before is not None:
        before.earlier.check_plan(draft)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    if before is not None:
        before.carry_coordinator(folder / COORDINATOR)
    parties = [
        _make_site(folder / "sites" / name, holdings, (numbers == i) & ~held_out, draft, before)
        for i, name in enumerate(names)
    ]
    identity = Identity.load_or_create(folder / COORDINATOR / "identity.key")
    federation = federation_of(config, Party(name=COORDINATOR, identity=identity.public), parties)
    plan = draft.model_copy(update={"federation": federation})
    (folder / "schema.toml").write_text(schema.to_toml(), "utf-8")
    (folder / "config.json").write_text(config.model_dump_json(by_alias=True), "utf-8")
    held = f"holdout{holdings.suffix}"
    holdings.write(held_out, before.carry_holdout(folder, holdings.suffix) if before else folder / held)
    approve = _site_function("approve")
    for name in names:
        approve(folder / "sites" / name, plan)
    (folder / "plan.json").write_bytes(plan.to_json())  # last: a folder with a plan is whole
    return Run(folder, plan, schema)


def _make_site(folder: Path, holdings: Holdings, mine: Mask, plan: Plan, before: Before | None) -> Party:
    if before is not None:
        records = before.carry_site(folder, holdings.suffix, plan)
    else:
        folder.mkdir(parents=True, mode=0o700)
        records = folder / f"records{holdings.suffix}"
        policy = {
            "records": records.name,
            "dataset": uuid.uuid4().hex,
            "epsilon_cap": plan.privacy.epsilon,
            "delta": plan.privacy.delta,
        }
        (folder / "policy.toml").write_text(tomli_w.dumps(policy), "utf-8")
    holdings.write(mine, records)
    public: str = _site_function("found")(folder)
    return Party(name=folder.name, identity=public)


def _site_function(name: str) -> Callable[..., str]:
    """A function of the site's side, by name: ``common`` imports neither side."""
    function: Callable[..., str] = getattr(import_module("client.site"), name)
    return function

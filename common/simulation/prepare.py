"""Make a run folder: split the records, set up each site's own folder, write the plan, approve it.

run/plan.json  schema.toml                    for the researcher who simulates
run/sites/NAME/                               what a site would keep on its own machine
run/coordinator/                              what the coordinator would keep
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import tomli_w

from ..arrays import Arrays
from ..config import SimulationConfig
from ..crypto.identity import Identity
from ..crypto.secret_file import write_secret
from ..errors import ConfigError, StorageError
from ..holdout import KEY_FILE, held_out, new_key, site_key
from ..modalities.array_files import read_arrays
from ..plan import Party, Plan
from ..planning import federation_of, make_plan, stand_in
from ..schema import ArraySchema, Schema, TableSchema
from ..tables import read_table
from .carried import Before
from .holdings import Holdings, Mask, holdings_of
from .split import assign

COORDINATOR = "coordinator"
_CONFIG = "config.json"


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
            before = (folder / _CONFIG).read_text("utf-8")
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

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """All sites' training records of a table together, of earlier runs too, and those held out."""
        schema = self.schema
        sides: tuple[list[pd.DataFrame], list[pd.DataFrame]] = ([], [])
        assert isinstance(schema, TableSchema)
        for path, key in self._records(".parquet"):
            frame = read_table(path, schema)
            subjects = frame[schema.subject].astype(str).to_numpy() if schema.subject else None
            held = held_out(subjects, len(frame), self.plan.release.holdout, key, path.name)
            sides[0].append(frame[~held])
            sides[1].append(frame[held])
        training, kept = (pd.concat(parts, ignore_index=True) for parts in sides)
        return training, kept

    def arrays(self) -> tuple[Arrays, Arrays]:
        """The same of images or signals."""
        sides: tuple[list[Arrays], list[Arrays]] = ([], [])
        assert isinstance(self.schema, ArraySchema)
        for path, key in self._records(".npz"):
            found = read_arrays(path, self.schema)
            held = held_out(found.subjects, len(found), self.plan.release.holdout, key, path.name)
            sides[0].append(found.take(~held))
            sides[1].append(found.take(held))
        training, kept = (
            Arrays(np.concatenate([p.values for p in parts]), np.concatenate([p.labels for p in parts]))
            for parts in sides
        )
        return training, kept

    def _records(self, suffix: str) -> Iterator[tuple[Path, str]]:
        """All sites' files of records, those of continued runs included, and each site's secret."""
        for name in self.plan.federation.names:
            site = self.folder / "sites" / name
            for path in sorted(site.glob(f"records*{suffix}")):
                yield path, site_key(site)


def prepare(
    config: SimulationConfig,
    data: pd.DataFrame | Arrays,
    schema: Schema,
    folder: Path,
    before: Before | None = None,
) -> Run:
    """A fresh run folder at ``folder``; a run that was there is removed. Raises typed errors early.

    before: a run to continue with these new records, at the same sites
    """
    _check_replaceable(folder)
    random = np.random.default_rng(config.seed)
    holdings = holdings_of(data, schema, config)
    names, numbers = assign(holdings.index, schema.subject, config.sites, random)
    if before is not None:
        before.check(schema, names)
    holdings.check(config, before.earlier.classes if before else None)
    # made before anything is removed: an impossible plan destroys nothing
    name = f"{config.name}-{uuid.uuid4().hex[:12]}"
    draft = make_plan(config, schema, stand_in(config), name, before.earlier if before else None)
    if before is not None:
        before.earlier.check_plan(draft)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    # first: by it a folder that was cut off is known for ours
    (folder / _CONFIG).write_text(config.model_dump_json(by_alias=True), "utf-8")
    if before is not None:
        before.carry_coordinator(folder / COORDINATOR)
    parties = [
        _make_site(folder / "sites" / name, holdings, numbers == i, draft, before, random)
        for i, name in enumerate(names)
    ]
    identity = Identity.load_or_create(folder / COORDINATOR / "identity.key")
    federation = federation_of(config, Party(name=COORDINATOR, identity=identity.public), parties)
    plan = draft.model_copy(update={"federation": federation})
    (folder / "schema.toml").write_text(schema.to_toml(), "utf-8")
    approve = _site_function("approve")
    for name in names:
        approve(folder / "sites" / name, plan)
    (folder / "plan.json").write_bytes(plan.to_json())  # last: a folder with a plan is whole
    return Run(folder, plan, schema)


def _check_replaceable(folder: Path) -> None:
    """Raise StorageError unless ``folder`` is absent, empty, or a run folder of a simulation."""
    if not folder.exists() and not folder.is_symlink():
        return
    if folder.is_symlink() or not folder.is_dir():
        raise StorageError(f"{folder} exists and is no folder", hint="choose another --out")
    if any(folder.iterdir()) and not _is_run(folder):
        raise StorageError(
            f"{folder}, where the run would go, holds something else", hint="choose another --out, or move it"
        )


def _is_run(folder: Path) -> bool:
    """Whether a simulation, of any version, was prepared here: by what its configuration always has."""
    try:
        content = json.loads((folder / _CONFIG).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.keys() >= {"data", "sites", "privacy"}


def _make_site(
    folder: Path,
    holdings: Holdings,
    mine: Mask,
    plan: Plan,
    before: Before | None,
    random: np.random.Generator,
) -> Party:
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
        write_secret(folder / KEY_FILE, new_key(random.bytes).encode())
    holdings.write(mine, records)
    public: str = _site_function("found")(folder)
    return Party(name=folder.name, identity=public)


def _site_function(name: str) -> Callable[..., str]:
    """A function of the site's side, by name: ``common`` imports neither side."""
    function: Callable[..., str] = getattr(import_module("client.site"), name)
    return function

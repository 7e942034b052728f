"""Run a grid of federations and their pooled baselines on one table; what is in the folder is kept."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ...config import SimulationConfig, Sites
from ...errors import ConfigError, FedcganError, InterruptedRunError, StorageError
from ...terminal import say
from ..choices import Schedule, Split
from ..league.measure import machine
from ..league.ours import federated, pooled
from ..league.tables import Tables
from ..quality import ROUNDS, configuration, site_sizes, sites_of
from .results import POOLED, Result, Setting

_STAND_IN = 3  # sites in the plan whose noise a curator adds: multipliers do not depend on their number


@dataclass(frozen=True, slots=True)
class Grid:
    """What is run: every schedule, number of sites and split at every epsilon, one seed after the other.

    sites: 1 means the pooled records; rounds: of schedules that have any, a default for each if None
    folder: of results; command: as given
    """

    tables: Tables
    schedules: tuple[Schedule, ...]
    sites: tuple[int, ...]
    splits: tuple[Split, ...]
    skew: float
    epsilons: tuple[float, ...]
    delta: float
    seeds: tuple[int, ...]
    rounds: int | None
    folder: Path
    command: str

    def run(self) -> list[Result]:
        """All results, those found in the folder included.

        A run that is refused with a typed error is a result, too. Raises ConfigError if the folder holds
        results of other data, rounds or delta, or damaged ones; StorageError.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        return [self._kept(setting) or self._measured(setting) for setting in self.settings()]

    def settings(self) -> Iterator[Setting]:
        """What is run, in order."""
        for seed in self.seeds:
            for schedule in self.schedules:
                for epsilon in self.epsilons:
                    for sites in self.sites:
                        for split in (POOLED,) if sites == 1 else self.splits:
                            yield Setting(
                                schedule=schedule,
                                rounds=self._rounds(schedule),
                                sites=sites,
                                split=split,
                                skew=self.skew if split == Split.DIRICHLET else None,
                                epsilon=epsilon,
                                delta=self.delta,
                                seed=seed,
                            )

    def _rounds(self, schedule: Schedule) -> int:
        """None of moments whatever was asked for."""
        usual = ROUNDS[schedule]
        return usual if self.rounds is None or not usual else self.rounds

    def _kept(self, setting: Setting) -> Result | None:
        path = self.folder / setting.file_name(self.tables.schema.name)
        if not path.exists():
            return None
        result = Result.load(path)
        if result.data != self.tables.data or result.setting != setting:
            raise ConfigError(
                f"{path.name} is a result of other data, rounds or delta", hint="another folder with --out"
            )
        return result

    def _measured(self, setting: Setting) -> Result:
        where = POOLED if setting.sites == 1 else f"{setting.sites} sites, {setting.spread}"
        say(f"{setting.schedule}, epsilon {setting.epsilon:g}, {where}, seed {setting.seed}")
        about: dict[str, Any] = {
            "data": self.tables.data,
            "setting": setting,
            "machine": {**machine(), "load": round(os.getloadavg()[0], 2)},
            "command": self.command,
        }
        try:
            result = Result(status="ok", **about, **self._scored(setting))
        except (InterruptedRunError, StorageError):
            raise
        except FedcganError as error:
            result = Result(status="refused", code=error.told, reason=error.message, **about)
        result.save(self.folder)
        say(f"  {result.status} {result.reason} {result.seconds:.0f} s".replace("  ", " "))
        return result

    def _scored(self, setting: Setting) -> dict[str, Any]:
        """Fields of a result that went well. Raises typed errors."""
        tables, alone = self.tables, setting.sites == 1
        label, whole = tables.label, setting.split == Split.CLASS
        sites = sites_of(_STAND_IN if alone else setting.sites, label, setting.skew, whole)
        config = configuration(
            tables.frame,
            tables.schema,
            sites,
            setting.epsilon,
            setting.delta,
            str(setting.schedule),
            setting.rounds,
            setting.seed,
        )
        wall, spent = time.perf_counter(), time.process_time()
        drawn, notes = (pooled if alone else federated)(config, tables.frame, tables.schema, tables.wanted)
        found: dict[str, Any] = {
            "seconds": round(time.perf_counter() - wall, 1),
            "processor_seconds": round(time.process_time() - spent, 1),
            "epsilon": notes["epsilon"],
            **self._sizes(config, sites, alone),
        }
        if not alone:
            found |= {name: notes[name] for name in ("epsilon_views", "upload_bytes_per_site")}
        return {**found, **self._scores(drawn, setting.seed)}

    def _sizes(self, config: SimulationConfig, sites: Sites, alone: bool) -> dict[str, int]:
        if alone:
            return {"smallest": len(self.tables.train), "largest": len(self.tables.train)}
        sizes = site_sizes(self.tables.frame, self.tables.schema, sites, config.seed)
        return {"smallest": int(sizes.min()), "largest": int(sizes.max())}

    def _scores(self, drawn: pd.DataFrame, seed: int) -> dict[str, Any]:
        rows = drawn.sample(n=self.tables.wanted, random_state=seed)
        return {"scores": self.tables.scored(self.tables.coder(rows)), "records": len(rows)}

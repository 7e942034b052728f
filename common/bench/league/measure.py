"""Play a league: every system on the same codes, a process and a result file each; what is there is kept."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigError, DataError, FedcganError
from ...evaluation.benchmark import Codes
from ...tables import read_table, write_table
from ...terminal import say
from ...versions import versions
from . import ours
from .capped import Outcome, run_capped
from .environment import PEERS, PeerEnvironmentError, interpreter
from .results import REFERENCES, About, Limits, Result, file_name
from .systems import System
from .tables import Tables

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class OutputError(FedcganError):
    """A peer of the league left something else than synthetic records."""

    code = "peer-output"


@dataclass(frozen=True, slots=True)
class League:
    """What is played.

    epsilons, delta: asked of private systems; seeds: one repetition each; sites, skew: of our federation
    folder: of the results; cache, python: of peers' environments; command: as given
    """

    tables: Tables
    systems: tuple[System, ...]
    epsilons: tuple[float, ...]
    delta: float
    seeds: tuple[int, ...]
    sites: int
    skew: float | None
    limits: Limits
    folder: Path
    cache: Path
    python: str
    command: str

    def play(self, again: bool = False) -> list[Result]:
        """All results, those found in the folder included.

        again: play what failed or was ended once more. Raises ConfigError if the folder holds results of
        other data, sites or delta; StorageError.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        found = []
        for name in REFERENCES:
            reference = System(
                name=name, title=_REFERENCES[name], source="", outside="everything", private=False
            )
            found.append(self._kept(reference, None, 0, again) or self._reference(reference))
        for system, epsilon, seed in self._runs():
            found.append(self._kept(system, epsilon, seed, again) or self._played(system, epsilon, seed))
        return found

    def _runs(self) -> Iterator[tuple[System, float | None, int]]:
        """One seed of everything before the next."""
        for seed in self.seeds:
            for system in self.systems:
                for epsilon in self.epsilons if system.private else (None,):
                    yield system, epsilon, seed

    def _kept(self, system: System, epsilon: float | None, seed: int, again: bool) -> Result | None:
        path = self.folder / self._file_name(system, epsilon, seed)
        if not path.exists():
            return None
        result = Result.load(path)
        expected = self._about()
        if result.about != expected or result.delta not in (None, self.delta):
            raise ConfigError(
                f"{path.name} is a result of other data, sites or delta", hint="another folder with --out"
            )
        return None if again and result.status != "ok" else result

    def _played(self, system: System, epsilon: float | None, seed: int) -> Result:
        asked = "" if epsilon is None else f", epsilon {epsilon:g}"
        say(f"{system.title}{asked}, seed {seed}")
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory(prefix="fedcgan-league-") as name:
            outcome, left = self._run(system, epsilon, seed, Path(name))
        result = self._result(system, epsilon, seed, outcome)
        result.machine["load"] = round(load, 2)
        if left is not None:
            codes, notes = left
            found = {"scores": self.tables.scored(codes), "records": len(codes), **notes}
            result = result.model_copy(update=found)
        result.save(self.folder)
        say(f"  {result.status} {result.reason} {result.wall_seconds:.0f} s".replace("  ", " "))
        return result

    def _run(
        self, system: System, epsilon: float | None, seed: int, inside: Path
    ) -> tuple[Outcome, tuple[Codes, dict[str, Any]] | None]:
        """How a system's process ended, and what it left in ``inside`` if it ended well."""
        try:
            command = self._command(system, inside)
        except PeerEnvironmentError as error:
            return Outcome("failed", error.message, 0.0, 0.0, 0), None
        self._prepare(system, epsilon, seed, inside)
        outcome = run_capped(
            command,
            seconds=60 * self.limits.minutes,
            memory=self.limits.memory_bytes,
            environment=self._environment(),
            folder=inside,
            log=(self.folder / self._file_name(system, epsilon, seed)).with_suffix(".log"),
        )
        if outcome.status != "ok":
            return outcome, None
        try:
            return outcome, left_in(inside, self.tables)
        except OutputError as error:
            return replace(outcome, status="failed", reason=error.message), None

    def _file_name(self, system: System, epsilon: float | None, seed: int) -> str:
        return file_name(self.tables.schema.name, system.name, epsilon, seed)

    def _command(self, system: System, inside: Path) -> tuple[str, ...]:
        if system.program is None:
            return ours.command(sys.executable, inside)
        program = str(PEERS / system.program)
        found = sys.executable
        if system.requirements:
            found = str(interpreter(system.requirements, self.cache, self.python))
        return (found, "-s", "-B", program, str(inside), *system.arguments)

    def _prepare(self, system: System, epsilon: float | None, seed: int, inside: Path) -> None:
        tables = self.tables
        task = {
            "system": system.name,
            "label": tables.label,
            "columns": tables.coder.names,
            "sizes": tables.coder.sizes,
            "epsilon": epsilon,
            "delta": self.delta,
            "seed": seed,
            "records": tables.wanted,
            "minutes": self.limits.minutes,
            "sites": self.sites,
            "skew": self.skew,
        }
        (inside / "task.json").write_text(json.dumps(task), "utf-8")
        if system.program is None:
            write_table(tables.frame, inside / "train.csv")
            (inside / "schema.toml").write_text(tables.schema.to_toml(), "utf-8")
        else:
            np.savez(inside / "train.npz", codes=tables.train)

    def _environment(self) -> Mapping[str, str]:
        """Ours without what would change another Python, and with the threads that libraries may use."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return {**kept, **dict.fromkeys(_THREADS, str(self.limits.threads)), "CUDA_VISIBLE_DEVICES": ""}

    def _reference(self, system: System) -> Result:
        result = self._result(system, None, 0, Outcome("ok", "", 0.0, 0.0, 0)).model_copy(
            update={"scores": self.tables.reference(system.name), "records": len(self.tables.train)}
        )
        result.save(self.folder)
        return result

    def _result(self, system: System, epsilon: float | None, seed: int, outcome: Outcome) -> Result:
        return Result(
            system=system.name,
            title=system.title,
            source=system.source,
            outside=system.outside,
            about=self._about(),
            epsilon=epsilon,
            delta=None if epsilon is None else self.delta,
            seed=seed,
            status=outcome.status,
            reason=outcome.reason,
            wall_seconds=round(outcome.wall, 1),
            processor_seconds=round(outcome.processor, 1),
            peak_bytes=outcome.peak,
            limits=self.limits,
            machine=machine(),
            command=self.command,
        )

    def _about(self) -> About:
        return About(**self.tables.data.model_dump(), sites=self.sites, skew=self.skew)


_REFERENCES = {"real": "real training records", "shuffled": "real columns, shuffled"}


def left_in(folder: Path, tables: Tables) -> tuple[Codes, dict[str, Any]]:
    """What a system left: codes, or a table with the schema's columns; its notes and versions.

    Raises OutputError.
    """
    try:
        said = json.loads((folder / "notes.json").read_text("utf-8"))
        notes = {name: dict(said[name]) for name in ("notes", "versions")}
        if (folder / "synthetic.csv").exists():
            codes = tables.coder(read_table(folder / "synthetic.csv", tables.schema))
        else:
            with np.load(folder / "synthetic.npz", allow_pickle=False) as file:
                codes = file["codes"]
    except (OSError, ValueError, KeyError, TypeError, DataError) as error:
        raise OutputError(f"it left no records: {type(error).__name__}") from error
    expected = (tables.wanted, len(tables.coder.sizes))
    if codes.shape != expected or codes.dtype.kind != "i":
        raise OutputError(f"it left {codes.dtype}{list(codes.shape)}, asked for int64{list(expected)}")
    if (codes < 0).any() or (codes >= np.array(tables.coder.sizes)).any():
        raise OutputError("it left codes that no column has")
    return codes.astype(np.int64), notes


def machine() -> dict[str, Any]:
    """Of this machine what figures depend on, and versions of the program that scores."""
    return {
        "processors": os.cpu_count(),
        "kind": platform.machine(),
        "system": platform.system(),
        **versions(),
    }

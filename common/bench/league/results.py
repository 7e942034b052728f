"""What is kept of one run of the league: one JSON file, whether it went well or not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..result_file import ResultFile

KIND: Literal["league"] = "league"
REFERENCES = ("real", "shuffled")
"""Not systems: the real training records, and the same with each column shuffled by itself."""

_MODEL = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


class Data(BaseModel):
    """The tables that a run was about.

    digest: SHA-256 of the training and test codes and the schema
    codes: of all columns together, as systems and scores see them
    """

    model_config = _MODEL
    name: str
    digest: str
    label: str
    positive: tuple[str, ...]
    train: int
    test: int
    columns: int
    codes: int


class About(Data):
    """The same with the sites of our federation, and their skew."""

    sites: int
    skew: float | None


class Limits(BaseModel):
    """What each run may take at most; threads: that libraries are told to use."""

    model_config = _MODEL
    minutes: float
    memory_bytes: int
    threads: int


class Scores(BaseModel):
    """As ``common.evaluation.benchmark.scores`` says them."""

    model_config = _MODEL
    tvd1: float
    tvd2: float
    tvd3: float
    auc_boosting: float
    auc_logistic: float
    c2st: float


class Result(ResultFile):
    """One run of one system.

    source, outside: where it is from, and what it knows of the records outside its accounting
    epsilon, delta: what it was asked for, none for a system without privacy
    reason: why there are no scores, empty if there are
    wall_seconds, processor_seconds: of the run, without making its environment and without scoring
    peak_bytes: resident memory of its largest process
    notes: what the system says of its own run (settings, what it measured, when it stopped)
    command: as given, files by their names alone; load: 1-minute load average at the start
    """

    what: ClassVar[str] = "result of the league"
    kind: Literal["league"] = KIND
    version: Literal[1] = 1
    system: str
    title: str
    source: str
    outside: str
    about: About
    epsilon: float | None
    delta: float | None
    seed: int
    status: Literal["ok", "timeout", "failed"]
    reason: str = ""
    scores: Scores | None = None
    records: int = 0
    wall_seconds: float = 0.0
    processor_seconds: float = 0.0
    peak_bytes: int = 0
    notes: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    limits: Limits
    machine: dict[str, Any]
    command: str

    @property
    def file_name(self) -> str:
        """Of this run in the folder of a league."""
        return file_name(self.about.name, self.system, self.epsilon, self.seed)

    def save(self, folder: Path) -> None:
        """Write the file, whole. Raises StorageError."""
        self.write(folder / self.file_name)


def file_name(data: str, system: str, epsilon: float | None, seed: int) -> str:
    """Of a run: what tells it from others in a folder."""
    parts = [data, system, "" if epsilon is None else f"epsilon{epsilon:g}", f"seed{seed}"]
    return "-".join(_NAME.sub("_", part) for part in parts if part) + ".json"

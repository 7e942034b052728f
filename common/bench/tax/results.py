"""What is kept of one run: one JSON file, whether it was scored or refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..choices import Schedule, Split
from ..league.results import Data, Scores
from ..result_file import ResultFile

KIND: Literal["tax"] = "tax"
POOLED: Literal["pooled"] = "pooled"
"""Instead of a split: one curator holds all records and adds the noise."""

_MODEL = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


class Setting(BaseModel):
    """What a run was asked for.

    sites: 1 is the pooled baseline; skew: Dirichlet concentration, of that split alone
    rounds: adversarial rounds of ``local``, steps of ``every-step``
    """

    model_config = _MODEL
    schedule: Schedule
    rounds: int = Field(ge=0)
    sites: int = Field(ge=1)
    split: Split | Literal["pooled"]
    skew: float | None = Field(default=None, gt=0)
    epsilon: float
    delta: float
    seed: int

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.sites == 1) != (self.split == POOLED):
            raise ValueError("one site is the pooled baseline, and nothing else is")
        if (self.skew is None) != (self.split != Split.DIRICHLET):
            raise ValueError("a skew belongs to the split dirichlet")
        return self

    @property
    def spread(self) -> str:
        """How records came to sites, in a word."""
        return str(self.split) if self.skew is None else f"{self.split} {self.skew:g}"

    def file_name(self, table: str) -> str:
        """Of a run in a folder of results."""
        where = [POOLED] if self.sites == 1 else [f"sites{self.sites}", self.spread]
        parts = [table, str(self.schedule), f"epsilon{self.epsilon:g}", *where, f"seed{self.seed}"]
        return "-".join(_NAME.sub("", part) for part in parts) + ".json"


class Result(ResultFile):
    """One run.

    code, reason: of the typed error if it was refused
    records: synthetic ones that were scored; smallest, largest: records of a site
    epsilon, epsilon_views: what the plan charges, and what is left to observers; none of pooled records
    seconds, processor_seconds: of the run with all its parties, without scoring
    machine: with versions, and the 1-minute load when it began; command: as given, files by their names alone
    """

    what: ClassVar[str] = "result of bench tax"
    kind: Literal["tax"] = KIND
    version: Literal[1] = 1
    data: Data
    setting: Setting
    status: Literal["ok", "refused"]
    code: str = ""
    reason: str = ""
    scores: Scores | None = None
    records: int = 0
    smallest: int = 0
    largest: int = 0
    epsilon: float | None = None
    epsilon_views: dict[str, float] = Field(default_factory=dict)
    upload_bytes_per_site: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0
    machine: dict[str, Any]
    command: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.status == "ok") != (self.scores is not None) or (self.status == "refused") != bool(
            self.code
        ):
            raise ValueError("a run has scores, or was refused with a code")
        return self

    def save(self, folder: Path) -> None:
        """Write the file, whole. Raises StorageError."""
        self.write(folder / self.setting.file_name(self.data.name))

"""The TOML file of a simulated federation. What sets a guarantee has no default."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from .crypto.parameters import MOST_SITES
from .release_terms import Task
from .run_config import (
    Adversarial,
    Augment,
    Features,
    Federation,
    Model,
    Privacy,
    Release,
    RunConfig,
    Training,
)

__all__ = [
    "Adversarial",
    "Augment",
    "Data",
    "Features",
    "Federation",
    "Model",
    "Privacy",
    "Release",
    "SimulationConfig",
    "Sites",
    "Task",
    "Training",
]

_MODEL = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(BaseModel):
    """table (or records): CSV, Parquet, npz or a folder; schema: TOML (relative to the configuration file).

    allow_identified: take DICOM and EDF files that carry somebody's identity; it is not read
    """

    model_config = _MODEL
    table: str = Field(validation_alias=AliasChoices("table", "records"))
    schema_file: str = Field(alias="schema")
    allow_identified: bool = False


class Sites(BaseModel):
    """How many sites there are and how records come to them.

    split: ``column`` (one site for each value of ``column``), ``iid``, ``dirichlet`` (label skew: each class
    of ``column`` is spread with concentration ``alpha``), or ``class`` (every site holds a single class of
    ``column``); subjects stay together
    """

    model_config = _MODEL
    count: int = Field(ge=3, le=MOST_SITES)
    split: Literal["column", "iid", "dirichlet", "class"] = "iid"
    column: str | None = None
    alpha: float = Field(default=0.3, gt=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.split != "iid" and self.column is None:
            raise ValueError(f"split = {self.split!r} needs a column")
        return self


class SimulationConfig(RunConfig):
    """A simulated federation."""

    model_config = _MODEL
    name: str = Field(default="simulation", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")
    engine: Literal["inproc", "ray"] = "inproc"
    data: Data
    sites: Sites

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        holders = self.committee_of(self.sites.count)["key_holders"]
        if not self.federation.threshold <= holders <= self.sites.count:
            raise ValueError(
                f"federation: threshold {self.federation.threshold} <= key_holders {holders} "
                f"<= {self.sites.count} sites does not hold"
            )
        if (self.federation.min_contributors or 0) > self.sites.count:
            raise ValueError(
                f"federation: min_contributors {self.federation.min_contributors} exceeds "
                f"{self.sites.count} sites"
            )
        if 2 * self.federation.threshold <= holders:
            raise ValueError(
                f"federation: threshold {self.federation.threshold} must be more than half of "
                f"{holders} key_holders, or two different sums could be opened in one step"
            )
        return self

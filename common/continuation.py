"""What a plan says about the runs it continues: what they cost, and what noise their sums carry.

A finished run's noisy sums are released, so adding the sums of new records to them touches no old record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .privacy.accounting import repeated
from .privacy.integer_noise import seen
from .privacy.mechanism import Mechanism, SampledGaussian

_MODEL = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
_Hash = Field(pattern=r"^[0-9a-f]{64}$")

MOST_RUNS = 256
"""Runs that one release may rest on."""


class Ran(BaseModel):
    """A finished run, as far as its cost goes.

    plan: its hash; min_contributors, collusion: of its federation
    whole: DP-SGD's noise was whole at every site (schedule ``local``)
    mechanisms: everything charged, attempts at lost steps included
    """

    model_config = _MODEL
    plan: str = _Hash
    min_contributors: int = Field(ge=3)
    collusion: int = Field(ge=0)
    whole: bool
    mechanisms: tuple[Mechanism, ...] = Field(min_length=1, max_length=4096)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.collusion >= self.min_contributors:
            raise ValueError("collusion of all contributors leaves no noise")
        return self

    @property
    def views(self) -> dict[str, int]:
        """As ``Plan.views``."""
        return views(self.min_contributors, self.collusion)

    def seen(self, view: str) -> list[Mechanism]:
        """Its mechanisms in the eyes of one of ``views``."""
        shares = self.min_contributors - self.collusion
        return in_the_eyes(self.mechanisms, shares, self.views[view], self.whole)


class Continues(BaseModel):
    """What a run continues.

    sums: SHA-256 of the earlier release's file of noisy sums, to which the new ones are added
    count_noise, measure_noise: standard deviation of the noise in them / L2 sensitivity; count_noise: None
    for images and signals
    runs: every run that the earlier release rests on, oldest first; the last is the one continued
    """

    model_config = _MODEL
    sums: str = _Hash
    count_noise: float | None = Field(gt=0)
    measure_noise: float = Field(gt=0)
    runs: tuple[Ran, ...] = Field(min_length=1, max_length=MOST_RUNS)

    @property
    def mechanisms(self) -> list[Mechanism]:
        """Everything that earlier runs were charged."""
        return [mechanism for run in self.runs for mechanism in run.mechanisms]

    def seen(self, view: str) -> list[Mechanism]:
        """The same in the eyes of an observer: in each run as many sites as that run's plan allows for."""
        return [mechanism for run in self.runs for mechanism in run.seen(view)]


def views(min_contributors: int, collusion: int) -> dict[str, int]:
    """Who looks, and how many honest shares of noise every sum then holds at least; see ``Plan.views``."""
    return {
        "released": min_contributors,
        "curious_site": min_contributors - 1,
        "collusion": min_contributors - collusion,
        "all_others": 1,
    }


def in_the_eyes(mechanisms: Iterable[Mechanism], shares: int, honest: int, whole: bool) -> list[Mechanism]:
    """Mechanisms as somebody sees them for whom ``honest`` shares of noise are unknown.

    shares: that carry the planned noise together; whole: DP-SGD's noise is whole at every site
    """
    return [
        m
        if whole and isinstance(m, SampledGaussian)
        else m.model_copy(update={"noise_multiplier": seen(m.noise_multiplier, shares, honest)})
        for m in mechanisms
    ]


def compact(mechanisms: Iterable[Mechanism]) -> tuple[Mechanism, ...]:
    """The same mechanisms, equal sampled steps counted together."""
    return tuple(
        part for mechanism, count in Counter(mechanisms).items() for part in repeated(mechanism, count)
    )

"""What a plan says about its release, before anything is trained: who is held out, what is asked, what fails.

Nothing here has a default: a plan is agreed before anybody knows the results.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .privacy.mechanism import LEAST_NOISE, GaussianSum

_MODEL = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Task(BaseModel):
    """What classifiers are asked to predict, trained on synthetic and tested on held-out records.

    target: a column; positive if its value is above ``above`` (numbers) or equals ``equals``
    exclude: columns that give the answer away
    """

    model_config = _MODEL
    target: str
    above: float | None = None
    equals: str | None = None
    exclude: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.above is None) == (self.equals is None):
            raise ValueError("give exactly one of above, equals")
        return self


class Evaluate(BaseModel):
    """The last sum: how the synthetic records do on every site's records, as bounded counts with noise.

    noise_multiplier: noise of the whole sum / what a unit trained on can change it by (L2), when
    ``federation.shares`` sites are honest; held_out_gain: how many times as much a unit held out can, which
    enters no other sum: at most what makes its cost that of all sums of the run
    records: synthetic records that sites are shown, the first of the release
    task: of classifiers, none for images and signals, whose task is their label
    """

    model_config = _MODEL
    noise_multiplier: float = Field(ge=LEAST_NOISE)
    held_out_gain: float = Field(ge=1)
    field_bits: int = Field(ge=8, le=28)
    records: int = Field(ge=100, le=1_000_000)
    task: Task | None

    @property
    def mechanism(self) -> GaussianSum:
        """What is charged for it, on top of all earlier sums of the run."""
        return GaussianSum(noise_multiplier=self.noise_multiplier)

    @property
    def alone(self) -> GaussianSum:
        """What it costs a unit held out, which is in no other sum."""
        return GaussianSum(noise_multiplier=self.noise_multiplier / self.held_out_gain)

    @model_validator(mode="after")
    def _accountable(self) -> Self:
        if self.alone.noise_multiplier < LEAST_NOISE:
            raise ValueError(f"noise_multiplier / held_out_gain is at least {LEAST_NOISE:g}")
        return self


class GateTerms(BaseModel):
    """Above what a release is refused. All are excesses of training records over held-out ones.

    copies: share of synthetic records that equal a training record, beyond what held-out records explain
    close: share of training records with a synthetic record much nearer than the next, beyond held-out ones
    tpr_at_1_percent, tpr_at_01_percent: true positive rate of the best membership attack at a false positive
        rate of 1 % and of 0.1 %
    risk: success of singling out, linking or inferring (anonymeter), beyond its control
    """

    model_config = _MODEL
    copies: float = Field(gt=0, le=1)
    close: float = Field(gt=0, le=1)
    tpr_at_1_percent: float = Field(gt=0.01, le=1)
    tpr_at_01_percent: float = Field(gt=0.001, le=1)
    risk: float = Field(gt=0, le=1)


BY_LAST_SUM = tuple(name for name in GateTerms.model_fields if name != "risk")
"""Criteria that a run's last sum always measures, of any kind and number of records; attacks need records."""

DEFAULT_GATE = GateTerms(copies=0.005, close=0.02, tpr_at_1_percent=0.02, tpr_at_01_percent=0.005, risk=0.1)
"""What is proposed where a plan's author has no reason for others; docs/gate.md shows what they catch."""


class ReleaseTerms(BaseModel):
    """holdout: share of a site's units that it keeps out of training, for evaluation; chosen by the site at
    random, the same for every run; evaluate: none, and nothing is measured on records for the release;
    signatures: sites that must counter-sign the release
    """

    model_config = _MODEL
    holdout: float = Field(ge=0, lt=0.9)
    evaluate: Evaluate | None
    gate: GateTerms
    signatures: int = Field(ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.evaluate is not None and self.holdout == 0:
            raise ValueError("an evaluation needs held-out records")
        return self

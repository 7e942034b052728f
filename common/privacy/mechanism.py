"""What touches records, as data: each mechanism says all that its accounting needs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

LEAST_NOISE = 0.05
"""Noise multiplier of a plan, at least: with less, epsilon is above 200 and takes minutes to compute."""


class GaussianSum(BaseModel):
    """One release of a bounded sum over all records of a site, plus Gaussian noise.

    noise_multiplier: noise standard deviation / L2 sensitivity (add/remove one record), no unit
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    kind: Literal["gaussian-sum"] = "gaussian-sum"
    noise_multiplier: float = Field(gt=0)


class SampledGaussian(BaseModel):
    """``steps`` of DP-SGD: Poisson sample, clip each gradient, add Gaussian noise to the sum.

    noise_multiplier: noise standard deviation / max_grad_norm, no unit
    sample_rate: probability with which each record enters a step, independently
    Source: Abadi et al. 2016, Algorithm 1; accounted by privacy loss distributions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    kind: Literal["poisson-sampled-gaussian"] = "poisson-sampled-gaussian"
    noise_multiplier: float = Field(gt=0)
    sample_rate: float = Field(gt=0, le=1)
    steps: int = Field(ge=1)


Mechanism = Annotated[GaussianSum | SampledGaussian, Field(discriminator="kind")]

Unit = Literal["add/remove one record", "add/remove one subject"]
"""Whom a guarantee protects: what may be added or removed without much of a change."""

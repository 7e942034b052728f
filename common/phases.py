"""The phases of a plan as data: the networks, the counting, the measuring, the adversarial training.

Nothing that sets a guarantee has a default.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from .privacy.mechanism import GaussianSum, SampledGaussian

_MODEL = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

Width = Annotated[int, Field(ge=1, le=65536)]


class Model(BaseModel):
    """Sizes of the conditional generator and discriminator.

    latents: how many points of the latent space there are; latent: its dimension
    """

    model_config = _MODEL
    latents: int = Field(ge=1, le=65536)
    latent: int = Field(ge=1, le=4096)
    generator_hidden: tuple[Width, ...] = Field(min_length=1, max_length=6)
    discriminator_hidden: tuple[Width, ...] = Field(min_length=1, max_length=6)


class Count(BaseModel):
    """The first sum: a histogram of every column, on the schema's finest codes.

    noise_multiplier: noise of the whole sum / L2 sensitivity, when ``federation.shares`` sites are honest
    """

    model_config = _MODEL
    noise_multiplier: float = Field(gt=0)
    field_bits: int = Field(ge=8, le=28)

    @property
    def mechanism(self) -> GaussianSum:
        """What is charged for it."""
        return GaussianSum(noise_multiplier=self.noise_multiplier)


class Measure(BaseModel):
    """The second sum: all two-way counts, on codes that are grouped by the first; and the fit to both.

    noise_multiplier: noise of the whole sum / L2 sensitivity, when ``federation.shares`` sites are honest
    split: conditions for whose combinations all counts are taken separately; may be none
    power: a pair of columns with a and b codes weighs (a b)**power
    fit_steps: generator steps on the released sums (post-processing)
    """

    model_config = _MODEL
    noise_multiplier: float = Field(gt=0)
    split: tuple[str, ...]
    power: float = Field(ge=0, le=1)
    field_bits: int = Field(ge=8, le=28)
    fit_steps: int = Field(ge=1, lt=2**31)
    fit_learning_rate: float = Field(gt=0)

    @property
    def mechanism(self) -> GaussianSum:
        """What is charged for it."""
        return GaussianSum(noise_multiplier=self.noise_multiplier)


class Local(BaseModel):
    """The adversarial phase, schedule ``local``.

    Each round every site takes ``local_steps`` of DP-SGD on D (Poisson sampling), with the whole noise, and
    ``generator_steps`` on G through D, and sends its updates of both.

    rounds: how many; each is one secure sum
    expected_batch_size: public divisor of the summed gradients; never a count of records
    fakes: generated records beside each Poisson batch, a fixed number so that sensitivity stays C
    anchor: weight of the released moments beside D in the generator's loss
    update_limit: public bound of an update of D, in standard deviations of its accumulated noise
    average_decay: of the exponential average of G over rounds, which is what is released
    """

    model_config = _MODEL
    schedule: Literal["local"] = "local"
    rounds: int = Field(ge=1, le=9999)
    local_steps: int = Field(ge=1, lt=2**31)
    generator_steps: int = Field(ge=0, lt=2**31)
    sample_rate: float = Field(gt=0, le=1)
    noise_multiplier: float = Field(gt=0)
    max_grad_norm: float = Field(gt=0)
    expected_batch_size: int = Field(ge=1, lt=2**31)
    fakes: int = Field(ge=1, lt=2**31)
    generator_batch: int = Field(ge=2, lt=2**31)
    discriminator_learning_rate: float = Field(gt=0)
    generator_learning_rate: float = Field(gt=0)
    anchor: float = Field(ge=0)
    update_limit: float = Field(gt=0)
    field_bits: int = Field(ge=8, le=28)
    average_decay: float = Field(ge=0, lt=1)

    @property
    def mechanism(self) -> SampledGaussian:
        """What is charged for one round."""
        return SampledGaussian(
            noise_multiplier=self.noise_multiplier,
            sample_rate=self.sample_rate,
            steps=self.local_steps,
        )


class EveryStep(BaseModel):
    """The adversarial phase, schedule ``every-step``: each step of D is one secure sum of clipped gradients.

    A site sends the real half of D's gradient alone; the coordinator adds the fake half, steps D, and takes
    as many steps of G as D's accuracy on fakes allows. It is central DP-SGD on the pooled records.

    rounds: steps of D
    noise_multiplier: noise of the whole sum / max_grad_norm, when ``federation.shares`` sites are honest
    sum_limit: public bound of one coordinate of a site's sum, in clipping norms
    real_target: what D is to answer for a record (one-sided label smoothing)
    fakes: generated records in D's step; generator_steps: of G for each step of D, at most
    easy: D's accuracy on fakes below which G is not stepped, so that D can catch up
    """

    model_config = _MODEL
    schedule: Literal["every-step"] = "every-step"
    rounds: int = Field(ge=1, le=9999)
    sample_rate: float = Field(gt=0, le=1)
    noise_multiplier: float = Field(gt=0)
    max_grad_norm: float = Field(gt=0)
    sum_limit: float = Field(gt=0)
    real_target: float = Field(gt=0.5, le=1)
    fakes: int = Field(ge=2, lt=2**31)
    generator_steps: int = Field(ge=1, lt=2**31)
    generator_batch: int = Field(ge=2, lt=2**31)
    easy: float = Field(ge=0, le=1)
    discriminator_learning_rate: float = Field(gt=0)
    generator_learning_rate: float = Field(gt=0)
    anchor: float = Field(ge=0)
    field_bits: int = Field(ge=8, le=28)
    average_decay: float = Field(ge=0, lt=1)

    @property
    def mechanism(self) -> SampledGaussian:
        """What is charged for one step."""
        return SampledGaussian(noise_multiplier=self.noise_multiplier, sample_rate=self.sample_rate, steps=1)


Train = Annotated[Local | EveryStep, Field(discriminator="schedule")]

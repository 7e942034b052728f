"""The phases of a plan as data: the networks, the counting, the measuring, the adversarial training.

Nothing that sets a guarantee has a default.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .privacy.mechanism import LEAST_NOISE, GaussianSum, SampledGaussian

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


class ArrayModel(BaseModel):
    """Sizes of the networks for images and signals.

    latent: dimension of the noise; ``categories`` + ``factors`` of it are codes (InfoGAN): a one-hot choice
    and uniform numbers
    coefficients: frequencies of each axis and channel that ``film`` writes
    generator: ``film``, dense layers of ``generator_hidden``; or ``convolutional``, ``generator_width`` maps
    at first; discriminator_width: maps after the first strided convolution, also of encoders
    """

    model_config = _MODEL
    latent: int = Field(ge=1, le=4096)
    categories: int = Field(ge=0, le=256)
    factors: int = Field(ge=0, le=256)
    coefficients: int = Field(ge=2, le=128)
    generator: Literal["film", "convolutional"]
    generator_hidden: tuple[Width, ...] = Field(min_length=1, max_length=6)
    generator_width: int = Field(ge=16, le=4096)
    discriminator_width: int = Field(ge=4, le=512)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.categories + self.factors >= self.latent:
            raise ValueError("codes must leave some of the latent dimensions")
        return self


class Views(BaseModel):
    """Random views of an image, averaged before its contribution is bounded: they cost no budget.

    count: of each record; flip: mirror half of them; rotate: degrees at most; shift: pixels at most
    """

    model_config = _MODEL
    count: int = Field(ge=1, le=64)
    flip: bool
    rotate: float = Field(ge=0, le=45)
    shift: int = Field(ge=0, le=16)


class Objective(BaseModel):
    """What networks are trained for in the adversarial phase.

    family: ``bce`` (non-saturating), ``hinge``, ``wasserstein`` (weights of D clipped), ``infogan``; or
    ``cvae`` and ``aae``, whose encoder and decoder both see records
    real_target: what D is to answer for a record (one-sided label smoothing); flips: chance that a record is
    shown to D as a fake; weight_limit: of D's weights, for ``wasserstein``
    information: weight of the codes' mutual information, for ``infogan``
    divergence: weight that holds encoded records to the prior, for ``cvae`` and ``aae``
    """

    model_config = _MODEL
    family: Literal["bce", "hinge", "wasserstein", "infogan", "cvae", "aae"]
    real_target: float = Field(gt=0.5, le=1)
    flips: float = Field(ge=0, lt=0.5)
    weight_limit: float = Field(gt=0)
    information: float = Field(ge=0)
    divergence: float = Field(ge=0)


class Count(BaseModel):
    """The first sum: a histogram of every column, on the schema's finest codes.

    noise_multiplier: noise of the whole sum / L2 sensitivity, when ``federation.shares`` sites are honest
    """

    model_config = _MODEL
    noise_multiplier: float = Field(ge=LEAST_NOISE)
    field_bits: int = Field(ge=8, le=28)

    @property
    def mechanism(self) -> GaussianSum:
        """What is charged for it."""
        return GaussianSum(noise_multiplier=self.noise_multiplier)


class Measure(BaseModel):
    """The second sum: all two-way counts, on codes that are grouped by the first; and the fit to both.

    noise_multiplier: noise of the whole sum / L2 sensitivity, when ``federation.shares`` sites are honest
    split: conditions for whose combinations all counts are taken separately; may be none
    power: a pair of columns with a and b codes weighs (a b)**power, condition_weight: times this if one of
    the two is a condition that does not split
    neighbours: how many columns after it in the schema each is paired with, beside all conditions; if none,
    all pairs are measured
    fit_steps: generator steps on the released sums (post-processing)
    """

    model_config = _MODEL
    noise_multiplier: float = Field(ge=LEAST_NOISE)
    split: tuple[str, ...]
    power: float = Field(ge=0, le=1)
    condition_weight: float = Field(ge=1, le=100)
    field_bits: int = Field(ge=8, le=28)
    fit_steps: int = Field(ge=1, lt=2**31)
    fit_learning_rate: float = Field(gt=0)
    neighbours: int | None = Field(ge=1, lt=2**14)

    @property
    def mechanism(self) -> GaussianSum:
        """What is charged for it."""
        return GaussianSum(noise_multiplier=self.noise_multiplier)


class ArrayMeasure(BaseModel):
    """The sum of a bounded feature map of images or signals, by class; and the fit to it.

    noise_multiplier: noise of the whole sum / L2 sensitivity, when ``federation.shares`` sites are honest
    coefficients: frequencies kept of each axis and channel; plain, windowed: random Fourier features of them
    and of windowed pieces
    views: of each record, none for signals
    fit_steps: generator steps on the released sum (post-processing); fit_batch: generated records of each
    class in a step
    curriculum: share of the steps in which higher frequencies come in one after the other; 0 for none
    """

    model_config = _MODEL
    noise_multiplier: float = Field(ge=LEAST_NOISE)
    coefficients: int = Field(ge=2, le=128)
    plain: int = Field(ge=0, le=65536)
    windowed: int = Field(ge=0, le=65536)
    views: Views | None
    field_bits: int = Field(ge=8, le=28)
    fit_steps: int = Field(ge=1, lt=2**31)
    fit_batch: int = Field(ge=2, lt=2**31)
    fit_learning_rate: float = Field(gt=0)
    curriculum: float = Field(ge=0, lt=1)

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
    objective: Objective
    rounds: int = Field(ge=1, le=9999)
    local_steps: int = Field(ge=1, lt=2**31)
    generator_steps: int = Field(ge=0, lt=2**31)
    sample_rate: float = Field(gt=0, le=1)
    noise_multiplier: float = Field(ge=LEAST_NOISE)
    max_grad_norm: float = Field(ge=1e-6, le=1e6)
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
    fakes: generated records in D's step; generator_steps: of G for each step of D, at most
    easy: D's accuracy on fakes below which G is not stepped, so that D can catch up
    """

    model_config = _MODEL
    schedule: Literal["every-step"] = "every-step"
    objective: Objective
    rounds: int = Field(ge=1, le=9999)
    sample_rate: float = Field(gt=0, le=1)
    noise_multiplier: float = Field(ge=LEAST_NOISE)
    max_grad_norm: float = Field(ge=1e-6, le=1e6)
    sum_limit: float = Field(gt=0)
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


AnyModel = Model | ArrayModel
AnyMeasure = Measure | ArrayMeasure
Train = Annotated[Local | EveryStep, Field(discriminator="schedule")]

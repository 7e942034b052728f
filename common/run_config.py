"""The TOML file of a run: what people want of it. What sets a guarantee has no default."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .crypto.parameters import MOST_HOLDERS
from .errors import ConfigError
from .phases import Width
from .release_terms import DEFAULT_GATE, GateTerms, Task
from .toml_file import read_content, validated

_MODEL = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

_OF_TABLES = (
    "privacy.count_share",
    "model.latents",
    "model.discriminator_hidden",
    "training.split",
    "training.neighbours",
    "evaluation",
)
_OF_ARRAYS = (
    "model.generator",
    "model.generator_width",
    "model.discriminator_width",
    "model.categories",
    "model.factors",
    "features",
    "augment",
    "data.allow_identified",
)


class Federation(BaseModel):
    """threshold: key-holders needed to open a sum; key_holders: all sites, at most 16, if not given.

    collusion: sites that may pool what they know; 1 if not given, all but one with schedule ``local``
    """

    model_config = _MODEL
    threshold: int = Field(ge=2)
    key_holders: int | None = Field(default=None, ge=2, le=MOST_HOLDERS)
    min_contributors: int | None = Field(default=None, ge=3)
    collusion: int | None = Field(default=None, ge=0)


class Privacy(BaseModel):
    """The target for everything together: add/remove one record, or one subject if the schema names it.

    measure_share: how much of epsilon the measure phase may use alone; the rest is for training
    count_share: how much of the measure phase goes to its histograms (of 1 / noise variance)
    """

    model_config = _MODEL
    epsilon: float
    delta: float
    measure_share: float = Field(default=0.95, gt=0, lt=1)
    count_share: float = Field(default=0.35, gt=0, lt=1)


class Model(BaseModel):
    """Sizes of the networks, where they are not the usual ones of the modality.

    latent: dimension of the latent space; generator_hidden: dense layers of the generator
    Of tables: latents, points of the latent space (2048 / combinations of conditions, at least 128);
    discriminator_hidden
    Of images and signals: generator, ``film`` or ``convolutional``, and the maps of convolutional networks;
    categories, factors: codes of ``infogan``
    """

    model_config = _MODEL
    latent: int | None = Field(default=None, ge=1, le=4096)
    generator_hidden: tuple[Width, ...] | None = Field(default=None, min_length=1, max_length=6)
    latents: int | None = Field(default=None, ge=1, le=65536)
    discriminator_hidden: tuple[Width, ...] | None = Field(default=None, min_length=1, max_length=6)
    generator: Literal["film", "convolutional"] | None = None
    generator_width: int | None = Field(default=None, ge=16, le=4096)
    discriminator_width: int | None = Field(default=None, ge=4, le=512)
    categories: int | None = Field(default=None, ge=0, le=256)
    factors: int | None = Field(default=None, ge=0, le=256)

    def given(self, *names: str) -> dict[str, Any]:
        """What was given of these."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class Features(BaseModel):
    """The feature map of images and signals, where it is not the usual one.

    preset: ``cpu`` fits in minutes on two cores; ``gpu`` has larger networks, more features and more steps
    coefficients: frequencies kept of each axis and channel; plain, windowed: random Fourier features of them
    and of windowed pieces
    fit_batch: generated records of each class in a step of the fit; curriculum: share of the fit's steps in
    which higher frequencies come in one after the other
    """

    model_config = _MODEL
    preset: Literal["cpu", "gpu"] = "cpu"
    coefficients: int | None = Field(default=None, ge=2, le=128)
    plain: int | None = Field(default=None, ge=0, le=65536)
    windowed: int | None = Field(default=None, ge=0, le=65536)
    fit_batch: int | None = Field(default=None, ge=2)
    curriculum: float = Field(default=0.0, ge=0, lt=1)


class Augment(BaseModel):
    """Random views of each image, averaged before its contribution is bounded.

    count: of each image; flip: mirror half of them; rotate: degrees at most; shift: pixels at most
    """

    model_config = _MODEL
    count: int = Field(default=4, ge=1, le=64)
    flip: bool = False
    rotate: float = Field(default=0.0, ge=0, le=45)
    shift: int = Field(default=0, ge=0, le=16)


class Adversarial(BaseModel):
    """What the adversarial phase trains for; see ``phases.Objective``."""

    model_config = _MODEL
    family: Literal["bce", "hinge", "wasserstein", "infogan", "cvae", "aae"] = "bce"
    flips: float = Field(default=0.0, ge=0, lt=0.5)
    weight_limit: float = Field(default=0.05, gt=0)
    information: float = Field(default=1.0, ge=0)
    divergence: float = Field(default=1.0, ge=0)


class Training(BaseModel):
    """records_per_site: what every site holds at least; public, declared, never counted.

    most_records_per_site: what any site holds at most, 20 times as many if not given
    Where the schema names a subject, records are subjects here.
    schedule: ``moments`` (no adversarial phase), ``every-step`` (each step of D a secure sum, noise shared
        between the sites), or ``local`` (the whole noise at every site, few rounds)
    rounds: of ``local``, or steps of ``every-step``
    generator_steps: for each round of ``local`` (10 if not given) or step of ``every-step`` (2)
    sample_rate: probability with which a record enters a step
    split: conditions for whose combinations all counts are taken separately; chosen by size if not given
    neighbours: of wide tables, how many columns after it in the schema each is paired with, beside all
    conditions; all pairs if not given, or as many as fit
    """

    model_config = _MODEL
    records_per_site: int = Field(ge=1, le=100_000_000)
    most_records_per_site: int | None = Field(default=None, ge=1, lt=2**31)
    schedule: Literal["moments", "every-step", "local"] = "moments"
    rounds: int = Field(default=0, ge=0, le=9999)
    split: tuple[str, ...] | None = None
    neighbours: int | None = Field(default=None, ge=1, lt=2**14)
    local_steps: int = Field(default=20, ge=1)
    generator_steps: int | None = Field(default=None, ge=0)
    sample_rate: float = Field(default=0.02, gt=0, le=1)
    fit_steps: int | None = Field(default=None, ge=1)


class Release(BaseModel):
    """What is kept out of training and measured for the release, and what the release must not show.

    holdout: share of its records (subjects, if the schema names one) that every site keeps out of training
    evaluate_share: how much of the measure phase goes to the last sum, which evaluates (of 1 / noise
    variance); 0, and the release says nothing that only records know
    signatures: sites that must counter-sign, as many as open a sum if not given
    gate: above what a release is refused
    """

    model_config = _MODEL
    holdout: float = Field(default=0.2, ge=0, lt=0.9)
    evaluate_share: float = Field(default=0.05, ge=0, lt=1)
    signatures: int | None = Field(default=None, ge=0)
    gate: GateTerms = DEFAULT_GATE


class RunConfig(BaseModel):
    """A run of a federation, whoever is in it.

    evaluation: what classifiers are asked to predict, of tables
    """

    model_config = _MODEL
    name: str = Field(default="run", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")
    seed: int = Field(default=0, ge=0, lt=2**31)
    federation: Federation
    privacy: Privacy
    model: Model = Model()
    features: Features = Features()
    augment: Augment | None = None
    adversarial: Adversarial = Adversarial()
    training: Training
    release: Release = Release()
    evaluation: Task | None = None

    @model_validator(mode="after")
    def _trainable(self) -> Self:
        training = self.training
        allowed = {"moments": training.rounds == 0, "every-step": training.rounds > 0, "local": True}
        if not allowed[training.schedule]:
            raise ValueError(
                f"training: schedule {training.schedule!r} with {training.rounds} rounds; "
                "'moments' has none, 'every-step' at least one"
            )
        if not training.rounds and self.adversarial != Adversarial():
            raise ValueError("adversarial: without rounds there is no adversarial phase; leave it out")
        if training.schedule == "every-step" and training.generator_steps == 0:
            raise ValueError("training: every-step needs at least one generator step")
        if self.release.evaluate_share and not self.release.holdout:
            raise ValueError("release: an evaluation needs held-out records; holdout, or evaluate_share = 0")
        if (training.most_records_per_site or training.records_per_site) < training.records_per_site:
            raise ValueError("training: most_records_per_site is less than records_per_site")
        return self

    def with_preset(self, preset: str) -> Self:
        """The same with another preset for images and signals. Raises ConfigError."""
        if preset not in ("cpu", "gpu"):
            raise ConfigError(f"there is no preset {preset!r}", hint="presets are: cpu, gpu")
        features = self.features.model_copy(update={"preset": preset})
        return self.model_copy(update={"features": features})

    def check_kind(self, array: bool) -> None:
        """Raise ConfigError for a key that records of this kind do not have: it would do nothing."""
        for key in _OF_TABLES if array else _OF_ARRAYS:
            if self._says(key):
                kind = "tables" if array else "images and signals"
                raise ConfigError(f"{key} is for {kind}", hint="leave it out")

    def _says(self, key: str) -> bool:
        """Whether a section, or one of its keys, is another than if it were left out."""
        section, _, name = key.partition(".")
        found = getattr(self, section, None)  # only simulations have one for data
        if found is None or not name:
            return found not in (None, Features())
        return bool(getattr(found, name) != type(found).model_fields[name].default)

    def committee_of(self, sites: int) -> dict[str, int]:
        """key_holders, threshold, min_contributors, collusion for so many sites, with what was left out."""
        federation = self.federation
        least = federation.min_contributors or max(3, sites - 1)
        collusion = least - 1 if self.training.schedule == "local" else 1
        return {
            "key_holders": federation.key_holders or min(sites, MOST_HOLDERS),
            "threshold": federation.threshold,
            "min_contributors": least,
            "collusion": collusion if federation.collusion is None else federation.collusion,
        }

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a TOML file. Raises ConfigError naming the field."""
        return validated(cls, read_content(path, ConfigError), path, ConfigError)


_OF_SIMULATIONS = ("engine", "data", "sites")


def load_run(path: Path) -> RunConfig:
    """The run that a TOML file describes; of a simulation's file, what is not about its records.

    Raises ConfigError naming the field.
    """
    content = read_content(path, ConfigError)
    kept = {name: value for name, value in content.items() if name not in _OF_SIMULATIONS}
    return validated(RunConfig, kept, path, ConfigError)

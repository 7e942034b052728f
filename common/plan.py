"""The agreed, public description of a run. Sites approve it by its hash; nothing in it is secret.

Nothing that sets a guarantee has a default. What depends on records is never in a plan.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .crypto.packing import Packing
from .crypto.parameters import MOST_HOLDERS, MOST_SITES, Noise, check
from .errors import ConfigError
from .privacy.mechanism import GaussianSum, Mechanism, SampledGaussian
from .toml_file import first_problem

_MODEL = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

ENROL_STEP = "enrol"
KEYS_STEP = "keys"
PROOF_STEP = "proof"
MEASURE_STEP = "measure"


PLAN_LIMIT = 1 << 20
"""Bytes of a plan: a roster of MOST_SITES takes less than a fifth of it."""

MOST_ATTEMPTS = 3
"""Step ids under which one sum may be tried; each attempt is charged in full."""

_AGAIN = re.compile(r"(.+)-again-([2-9])")


def train_step(number: int) -> str:
    """The step id of an adversarial round, counted from 1."""
    return f"train-{number:04d}"


def attempt(step: str, number: int) -> str:
    """The step id of the ``number``-th attempt (from 1) at a step."""
    return step if number == 1 else f"{step}-again-{number}"


def attempted(step: str) -> tuple[str, int]:
    """Inverse of ``attempt``: the step of the plan, and which attempt this is."""
    found = _AGAIN.fullmatch(step)
    return (found[1], int(found[2])) if found else (step, 1)


class Party(BaseModel):
    """A site or the coordinator: its name and its public Ed25519 key (64 hexadecimal digits)."""

    model_config = _MODEL
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    identity: str = Field(pattern=r"^[0-9a-f]{64}$")


class Federation(BaseModel):
    """Who takes part and what it takes to open a sum.

    sites: the roster; the first ``key_holders`` of it, the committee, hold shares of the key
    threshold: key-holders needed to open a sum, more than half of them; fewer open nothing. Two openings of
        one step would share a key-holder, and a key-holder opens one sum of a step
    min_contributors: contributions needed before a sum may be opened
    """

    model_config = _MODEL
    coordinator: Party
    sites: tuple[Party, ...] = Field(min_length=3, max_length=MOST_SITES)
    key_holders: int = Field(ge=2, le=MOST_HOLDERS)
    threshold: int = Field(ge=2)
    min_contributors: int = Field(ge=3)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [site.name for site in self.sites]
        keys = [party.identity for party in (self.coordinator, *self.sites)]
        if len(set(names)) != len(names) or len(set(keys)) != len(keys):
            raise ValueError("names and identities of the roster must differ")
        if not self.threshold <= self.key_holders <= len(self.sites):
            raise ValueError(
                f"threshold {self.threshold} <= key_holders {self.key_holders} "
                f"<= {len(self.sites)} sites does not hold"
            )
        if 2 * self.threshold <= self.key_holders:
            raise ValueError(
                f"threshold {self.threshold} must be more than half of {self.key_holders} key_holders, "
                "or two different sums could be opened in one step"
            )
        if self.min_contributors > len(self.sites):
            raise ValueError("min_contributors exceeds the number of sites")
        check(len(self.sites), self.key_holders, self.threshold)
        return self

    @property
    def noise(self) -> Noise:
        """Noise of this federation's sums, and the smudging that hides it."""
        return Noise(len(self.sites), self.key_holders, self.threshold)

    @property
    def names(self) -> list[str]:
        """The sites in roster order."""
        return [site.name for site in self.sites]

    @property
    def holders(self) -> list[str]:
        """The key-holders in order; the j-th (from 1) evaluates Shamir's polynomial at j."""
        return self.names[: self.key_holders]

    def identity_of(self, name: str) -> str | None:
        """The public key of a site of the roster."""
        return next((site.identity for site in self.sites if site.name == name), None)


class Privacy(BaseModel):
    """The promise: (epsilon, delta), add/remove one record, noise added in full at every site."""

    model_config = _MODEL
    epsilon: float = Field(gt=0)
    delta: float = Field(gt=0, lt=1)
    unit: Literal["add/remove one record"]


Width = Annotated[int, Field(ge=1, le=65536)]


class Model(BaseModel):
    """Sizes of the conditional generator and discriminator."""

    model_config = _MODEL
    latent: int = Field(ge=1, le=4096)
    generator_hidden: tuple[Width, ...] = Field(min_length=1, max_length=6)
    discriminator_hidden: tuple[Width, ...] = Field(min_length=1, max_length=6)


class Measure(BaseModel):
    """The measure phase: one noisy sum of the bounded feature map of every record.

    noise_multiplier: noise at each site / L2 sensitivity of the feature map
    single_weight: weight of one-way counts beside two-way counts
    limit: public bound of a site's noisy count; what lies beyond is clipped after the noise
    fit_steps: generator steps on the released sums (post-processing)
    """

    model_config = _MODEL
    noise_multiplier: float = Field(gt=0)
    single_weight: float = Field(gt=0)
    limit: float = Field(gt=0)
    field_bits: int = Field(ge=8, le=28)
    fit_steps: int = Field(ge=1, lt=2**31)
    fit_batch: int = Field(ge=8, lt=2**31)
    fit_learning_rate: float = Field(gt=0)

    @property
    def mechanism(self) -> GaussianSum:
        """What is charged for it."""
        return GaussianSum(noise_multiplier=self.noise_multiplier)


class Train(BaseModel):
    """The adversarial phase, schedule ``local``.

    Each round every site takes ``local_steps`` of DP-SGD on D (Poisson sampling) and
    ``generator_steps`` on G through D, and sends its updates of both.

    expected_batch_size: public divisor of the summed gradients; never a count of records
    fakes: generated records beside each Poisson batch, a fixed number so that sensitivity stays C
    anchor: weight of the released moments beside D in the generator's loss
    update_limit: public bound of an update of D, in standard deviations of its accumulated noise
    average_decay: of the exponential average of G over rounds, which is what is released
    """

    model_config = _MODEL
    rounds: int = Field(ge=0, le=9999)
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


class Plan(BaseModel):
    """A run.

    run: a name that no other run has; schema_hash: of the agreed schema; min_records, max_records:
    what a site must hold to take part, public bounds; seed: of the
    initial weights and of everything the coordinator draws, never of noise
    """

    model_config = _MODEL
    version: Literal[1] = 1
    run: str = Field(min_length=1, max_length=64)
    schema_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    federation: Federation
    privacy: Privacy
    model: Model
    measure: Measure
    train: Train
    min_records: int = Field(ge=1, lt=2**31)
    max_records: int = Field(ge=1, lt=2**31)
    seed: int = Field(ge=0, lt=2**31)

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON form."""
        return hashlib.sha256(self.to_json()).hexdigest()

    def to_json(self) -> bytes:
        """The canonical form: field order of this class, no spaces."""
        return self.model_dump_json().encode()

    @classmethod
    def from_json(cls, raw: bytes) -> Plan:
        """Read a plan. Raises ConfigError."""
        if len(raw) > PLAN_LIMIT:
            raise ConfigError(f"a plan of {len(raw)} bytes, at most {PLAN_LIMIT} are allowed")
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            raise ConfigError(f"this is not a plan: {first_problem(error)}") from error

    @property
    def mechanisms(self) -> list[Mechanism]:
        """Everything a site will be charged for, in order."""
        return [self.measure.mechanism, *[self.train.mechanism] * self.train.rounds]

    def charged(self, attempts: Mapping[str, int], rounds: int) -> list[Mechanism]:
        """What the first ``rounds`` rounds really cost a site; attempts: at steps that were tried again."""
        done: list[Mechanism] = [self.measure.mechanism] * attempts.get(MEASURE_STEP, 1)
        for number in range(1, rounds + 1):
            done += [self.train.mechanism] * attempts.get(train_step(number), 1)
        return done

    def packing(self, field_bits: int, count: int) -> Packing:
        """How ``count`` values of this federation travel."""
        return Packing(field_bits=field_bits, sites=len(self.federation.sites), count=count)

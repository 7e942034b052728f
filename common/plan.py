"""The agreed, public description of a run. Sites approve it by its hash; nothing in it is secret.

Nothing that sets a guarantee has a default. What depends on records is never in a plan.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .continuation import Continues, in_the_eyes, views
from .crypto.packing import Packing
from .crypto.parameters import MOST_HOLDERS, MOST_SITES, Noise, check
from .errors import ConfigError
from .phases import AnyMeasure, AnyModel, Count, EveryStep, Train
from .privacy.mechanism import Mechanism, Unit
from .release_terms import ReleaseTerms
from .toml_file import first_problem

_MODEL = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

PROPOSE_STEP = "propose"
ENROL_STEP = "enrol"
KEYS_STEP = "keys"
PROOF_STEP = "proof"
COUNT_STEP = "count"
MEASURE_STEP = "measure"
EVALUATE_STEP = "evaluate"


PLAN_LIMIT = 1 << 20
"""Bytes of a plan: a roster of MOST_SITES takes less than a fifth of it."""

MOST_ATTEMPTS = 3
"""Step ids under which one sum may be tried; each attempt is charged in full."""

_AGAIN = re.compile(r"(.+)-again-([2-9])")


def train_step(number: int) -> str:
    """The step id of an adversarial round or step, counted from 1."""
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
    collusion: sites that may pool what they saw, with the coordinator: the rest of ``min_contributors`` must
        carry the whole noise. Fewer than ``threshold``, who cannot open single contributions (if key-holders
        among them may also lie, let 2 threshold - collusion > key_holders); or all but one
    """

    model_config = _MODEL
    coordinator: Party
    sites: tuple[Party, ...] = Field(min_length=3, max_length=MOST_SITES)
    key_holders: int = Field(ge=2, le=MOST_HOLDERS)
    threshold: int = Field(ge=2)
    min_contributors: int = Field(ge=3)
    collusion: int = Field(ge=0)

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
        if self.shares < 1 or (self.shares > 1 and self.collusion >= self.threshold):
            raise ValueError(
                f"collusion {self.collusion}: fewer than threshold {self.threshold}, who cannot open a "
                f"single contribution, or {self.min_contributors - 1}, when every site has the whole noise"
            )
        check(len(self.sites), self.key_holders, self.threshold)
        return self

    @property
    def shares(self) -> int:
        """Honest shares of noise that every opened sum holds at least; each is 1 / shares of the variance."""
        return self.min_contributors - self.collusion

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
    """The promise: (epsilon, delta) for one unit, against everybody else with ``collusion`` sites' help.

    Of a continued run, for everything that its release rests on.
    """

    model_config = _MODEL
    epsilon: float = Field(gt=0)
    delta: float = Field(gt=0, lt=1)
    unit: Unit


class Plan(BaseModel):
    """A run.

    run: a name that no other run has; schema_hash: of the agreed schema; count: none for images and signals;
    train: none, and the fitted generator is released; min_records, max_records: units (records, or subjects)
    that a site must have to train on, public bounds; seed: of the initial weights and of everything the
    coordinator draws, never of noise; continues: a finished run whose sums the new ones are added to, none
    for a run of its own; release: what is measured and asked before anything is released; rehearsal: on
    records that sites make up
    """

    model_config = _MODEL
    version: Literal[7] = 7
    run: str = Field(min_length=1, max_length=64)
    schema_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    federation: Federation
    privacy: Privacy
    model: AnyModel
    count: Count | None
    measure: AnyMeasure
    train: Train | None
    min_records: int = Field(ge=1, lt=2**31)
    max_records: int = Field(ge=1, lt=2**31)
    seed: int = Field(ge=0, lt=2**31)
    continues: Continues | None
    release: ReleaseTerms
    rehearsal: bool

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
            raise ConfigError(
                f"this is not a plan: {first_problem(error)}", hint="fedcgan plan new makes one, as JSON"
            ) from error

    @property
    def rounds(self) -> int:
        """Adversarial rounds or steps."""
        return self.train.rounds if self.train else 0

    @property
    def steps(self) -> dict[str, Mechanism]:
        """Every step that touches records, in order, and what a site is charged for it."""
        trained = (
            {train_step(n): self.train.mechanism for n in range(1, self.rounds + 1)} if self.train else {}
        )
        counted = {COUNT_STEP: self.count.mechanism} if self.count else {}
        evaluate = self.release.evaluate
        evaluated = {EVALUATE_STEP: evaluate.mechanism} if evaluate else {}
        return {**counted, MEASURE_STEP: self.measure.mechanism, **trained, **evaluated}

    @property
    def kinds(self) -> dict[str, int]:
        """One step of each kind of sum, in order, and how many of the kind there are."""
        counted = {COUNT_STEP: 1} if self.count else {}
        trained = {train_step(1): self.rounds} if self.train else {}
        evaluated = {EVALUATE_STEP: 1} if self.release.evaluate else {}
        return {**counted, MEASURE_STEP: 1, **trained, **evaluated}

    @property
    def mechanisms(self) -> list[Mechanism]:
        """Everything a site will be charged for in this run, in order."""
        return list(self.steps.values())

    def charged(self, attempts: Mapping[str, int], rounds: int) -> list[Mechanism]:
        """What everything up to round ``rounds`` really cost, the runs it continues included.

        After the last round the evaluation counts, whether it is over or not. attempts: at steps that were
        tried again
        """
        earlier = self.continues.mechanisms if self.continues else []
        return [*earlier, *self.charged_here(attempts, rounds)]

    def charged_here(self, attempts: Mapping[str, int], rounds: int) -> list[Mechanism]:
        """The same of this run alone."""
        later = {train_step(number) for number in range(rounds + 1, self.rounds + 1)}
        later |= {EVALUATE_STEP} if later else set()
        done = [step for step in self.steps if step not in later]
        return [cost for step in done for cost in self.charges(step, attempts.get(step, 1))]

    def charges(self, step: str, attempts: int) -> list[Mechanism]:
        """What so many attempts at a step cost together.

        Another attempt at the evaluation costs all that it costs a unit held out, which is in every attempt:
        n of them cost it n times the whole, of which the first has what earlier sums cost the others.
        """
        planned, evaluate = self.steps[step], self.release.evaluate
        again = evaluate.alone if evaluate and step == EVALUATE_STEP else planned
        return [planned, *[again] * (attempts - 1)]

    @property
    def views(self) -> dict[str, int]:
        """Who looks, and how many honest shares of noise every sum then holds at least.

        released: only what is published; curious_site: one site, which knows its share; collusion: as many
        sites as the plan allows for; all_others: everybody but one site, were the encryption of no use
        """
        return views(self.federation.min_contributors, self.federation.collusion)

    def seen(self, mechanisms: Iterable[Mechanism], honest: int) -> list[Mechanism]:
        """This run's mechanisms in the eyes of somebody for whom ``honest`` shares of noise are unknown.

        Schedule ``local`` puts the whole noise of DP-SGD into every site's update: it looks the same to all.
        """
        return in_the_eyes(mechanisms, self.federation.shares, honest, self.whole)

    def charged_in_view(self, view: str, attempts: Mapping[str, int], rounds: int) -> list[Mechanism]:
        """``charged`` in the eyes of one of ``views``, the runs it continues included."""
        earlier = self.continues.seen(view) if self.continues else []
        return [*earlier, *self.seen(self.charged_here(attempts, rounds), self.views[view])]

    @property
    def whole(self) -> bool:
        """Whether DP-SGD's noise is whole at every site: schedule ``local``."""
        return self.train is not None and not isinstance(self.train, EveryStep)

    def packing(self, field_bits: int, count: int) -> Packing:
        """How ``count`` values of this federation travel."""
        return Packing(field_bits=field_bits, sites=len(self.federation.sites), count=count)

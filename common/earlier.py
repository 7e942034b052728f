"""A finished run's release as something to go on from, and what may differ between the two plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from . import release_files
from .continuation import MOST_RUNS, Continues, Ran, compact
from .errors import ConfigError, StorageError
from .phases import AnyMeasure
from .plan import Plan
from .released import Released, load_release
from .schema import ArraySchema, Schema, TableSchema

FACT = "continuation"
"""What of a release's description a later run needs: ``Continues``, and the earlier measure phase."""

FOLDER = "earlier"
"""Beside a coordinator's checkpoint: the sums that its run continues."""

_NOT_THE_MAP = {"noise_multiplier", "field_bits", "fit_steps", "fit_batch", "fit_learning_rate", "curriculum"}


Noise = tuple[float | None, float]
"""Standard deviation / sensitivity of the noise in count and measure sums; no count of images and signals."""


def fact(plan: Plan, attempts: Mapping[str, int], sums: str, noise: Noise) -> dict[str, Any]:
    """What a finished run's description says to a later one.

    attempts: at steps that were tried again; sums: SHA-256 of the released file of sums; noise: in these
    """
    earlier = plan.continues.runs if plan.continues else ()
    here = Ran(
        plan=plan.hash,
        min_contributors=plan.federation.min_contributors,
        collusion=plan.federation.collusion,
        whole=plan.whole,
        mechanisms=compact(plan.charged_here(attempts, plan.rounds)),
    )
    count, measure = noise
    continues = Continues(sums=sums, count_noise=count, measure_noise=measure, runs=(*earlier, here))
    return {**continues.model_dump(mode="json"), "features": _features(plan.measure)}


def own_noise(plan: Plan, counted: int = 0, measured: int = 0) -> Noise:
    """Noise in the sums of a plan alone.

    counted, measured: how many sites contributed. Each adds 1 / shares of the variance that is charged, and
    all of them together more than is charged: unknown colluders may know what theirs was. 0: as charged.
    """
    shares = plan.federation.shares
    counts, moments = (max(1.0, sites / shares) ** 0.5 for sites in (counted, measured))
    count = None if plan.count is None else counts * plan.count.noise_multiplier
    return count, moments * float(plan.measure.noise_multiplier)


def sum_noise(plan: Plan, counted: int = 0, measured: int = 0) -> Noise:
    """The same of these sums with those that the plan continues added: variances add."""
    count, measure = own_noise(plan, counted, measured)
    if (before := plan.continues) is None:
        return count, measure
    if count is not None and before.count_noise is not None:
        count = (count**2 + before.count_noise**2) ** 0.5
    return count, (measure**2 + before.measure_noise**2) ** 0.5


@dataclass(frozen=True, slots=True)
class Earlier:
    """The release of a finished run.

    features: what fixes its feature map; continues: what a plan says that goes on from it
    """

    folder: Path
    released: Released
    features: dict[str, Any]
    continues: Continues

    @classmethod
    def load(cls, folder: Path) -> Earlier:
        """Raises StorageError if it is absent, damaged, altered, or has no sums."""
        released = load_release(folder)
        if FACT not in released.facts:
            raise StorageError(
                f"the release in {folder} has no noisy sums to add new ones to",
                hint="it was made by an earlier version; run it again from its records",
            )
        try:
            content = dict(released.facts[FACT])
            features = dict(content.pop("features"))
            continues = Continues.model_validate(content)
        except (ValidationError, KeyError, TypeError, ValueError) as error:
            raise StorageError(
                f"the generator in {folder} is damaged", hint="get the release again"
            ) from error
        release_files.load_sums(folder, continues.sums)
        return cls(folder, released, features, continues)

    @property
    def plan(self) -> str:
        """Hash of the plan that made it."""
        return self.continues.runs[-1].plan

    @property
    def condition_weight(self) -> float | None:
        """Of a table's pairs with a condition. It followed from that run's noise, but sums add by one map."""
        return self.features.get("condition_weight")

    @property
    def classes(self) -> int:
        """Classes of the label that an earlier record could have; for a table, whose cannot grow, 0."""
        before = self.released.schema
        return before.classes if isinstance(before, ArraySchema) else 0

    def check_schema(self, schema: Schema) -> None:
        """Raise ConfigError unless it is the earlier schema; a label may have more values, at the end."""
        before = self.released.schema
        if schema == before:
            return
        if isinstance(schema, ArraySchema) and isinstance(before, ArraySchema):
            old = before.label.categories
            label = schema.label.model_copy(update={"categories": old})
            same = schema.model_copy(update={"label": label}) == before
            if same and schema.label.categories[: len(old)] == old:
                return
        if isinstance(schema, TableSchema) and isinstance(before, TableSchema) and _grown(schema, before):
            raise ConfigError(
                "the categories of a table cannot grow in a continued run: its sums count pairs of codes",
                hint="start a new run over all records with the new schema",
            )
        raise ConfigError(
            f"the schema is not that of the release in {self.folder}",
            hint="a continued run needs the same schema; only the label of images or signals may have more "
            "values, after those it had",
        )

    def check_plan(self, plan: Plan) -> None:
        """Raise ConfigError unless the plan's sums are of the same feature map, so that they add."""
        if len(self.continues.runs) >= MOST_RUNS:
            raise ConfigError(
                f"the release in {self.folder} rests on {MOST_RUNS} runs, more than that are not continued",
                hint="start a new run over all records",
            )
        if _features(plan.measure) != self.features:
            raise ConfigError(
                f"the feature map is not that of the release in {self.folder}: sums of two maps do not add",
                hint="the same [features], [augment], training.split and .neighbours as in the earlier run",
            )


def _features(measure: AnyMeasure) -> dict[str, Any]:
    content = measure.model_dump(mode="json", exclude=_NOT_THE_MAP)
    if content.get("neighbours") is None:  # all pairs, as of releases whose plans could say nothing else
        content.pop("neighbours", None)
    return content


def _grown(schema: TableSchema, before: TableSchema) -> bool:
    """Whether only categories were added."""
    if schema.names != before.names:
        return False
    for new, old in zip(schema.columns, before.columns, strict=True):
        if new == old:
            continue
        had, has = getattr(old, "categories", None), getattr(new, "categories", None)
        if had is None or has is None or not set(had) <= set(has):
            return False
    return True

"""Finished runs as the page sees them: real plans, real noisy sums, made in a second without a federation."""

from __future__ import annotations

import numpy as np

from common.columns import CategoryColumn
from common.contributions import histograms, pairs
from common.earlier import sum_noise
from common.evaluation.figures import Criterion, Evaluation, Figure, Gate
from common.evidence.content import Meaning, ReportContent
from common.evidence.reference import Reference
from common.modalities.grouping import Grouping
from common.modalities.layout import Layout
from common.modalities.tabular import encode
from common.planning import make_plan, stand_in
from common.report import Costs, build
from server.continued import Sums
from server.report_page import reference_of
from tests import toy, toy_arrays

HOSTILE = "<script>alert('x')</script>"


def content(kind="table", *, private=False, schema=None, gate="passed", **changes):
    """A run of ``table``, ``image`` or ``signal`` records. gate: verdict of its first criterion, or None"""
    make = _table if kind == "table" else _arrays
    plan, schema, synthetic, reference = make(kind, private, schema)
    found = {
        "run": report(plan),
        "plan": plan,
        "schema": schema,
        "evaluation": None if gate is None else evaluation(gate, private),
        "meaning": tuple(
            Meaning(view, fpr, round(fpr * 5.23, 5)) for view in plan.views for fpr in (0.01, 0.001)
        ),
        "override": None,
        "synthetic": synthetic,
        "reference": reference,
        "private": private,
    }
    return ReportContent(**(found | changes))


def report(plan):
    costs = Costs(
        wall_seconds=133.7,
        seconds={"keys": 2.2, "measure": 5.1, "fit": 61.0},
        encryption_seconds=None,
        encryption_share=None,
        traffic={name: {"up": 5_012_345, "down": 4_400_000} for name in plan.federation.names},
        upload_ratio_float32=2.302,
        attempts={"measure": 2},
    )
    trouble = [{"step": "measure", "site": plan.federation.names[0], "code": "no-answer", "refused": False}]
    return {**build(plan, {}, costs), "trouble": trouble}


def _table(kind, private, schema):
    schema = toy.SCHEMA if schema is None else schema
    plan = make_plan(toy.config(), schema, stand_in(toy.config()), run="made")
    renamed = dict(zip(toy.SCHEMA.names, schema.names, strict=True))
    frames = [toy.records(n, seed).rename(columns=renamed)[schema.names] for n, seed in ((1200, 0), (900, 7))]
    for old, new in zip(toy.SCHEMA.columns, schema.columns, strict=True):
        if isinstance(old, CategoryColumn) and old.categories != new.categories:
            words = dict(zip(old.categories, new.categories, strict=True))
            frames = [frame.assign(**{new.name: frame[new.name].map(words)}) for frame in frames]
    real, synthetic = frames
    if private:
        return plan, schema, synthetic, Reference("records", Grouping.of_itself(schema), records=real)
    return (
        plan,
        schema,
        synthetic,
        reference_of(plan, schema, sums(plan, schema, real).to_bytes(), sum_noise(plan)),
    )


def sums(plan, schema, frame, noise=None, seed=3):
    """Both sums of a table as they are opened. noise: standard deviation, that of the plan if not given"""
    random, codes = np.random.default_rng(seed), encode(frame, schema)
    grouping, weights = Grouping.of_itself(schema), np.ones(len(frame))
    counts = histograms(schema).sum(codes, weights)
    grouped = Layout.of(schema).to_model(grouping.to_groups(codes, schema))
    moments = pairs(schema, plan).sum(grouped, weights)
    spread = (plan.count.noise_multiplier, plan.measure.noise_multiplier) if noise is None else (noise, noise)
    counts, moments = (
        total + random.normal(0, sigma, len(total))
        for total, sigma in zip((counts, moments), spread, strict=True)
    )
    return Sums(moments, counts, grouping)


def _arrays(kind, private, schema):
    records, ours = toy_arrays.of(kind)
    schema = ours if schema is None else schema
    plan = make_plan(toy_arrays.config(), schema, stand_in(toy_arrays.config()), run="made")
    rows = np.random.default_rng(5).permutation(len(records))
    reference = Reference("records", records=records.take(rows[500:1000])) if private else None
    return plan, schema, records.take(rows[:500]), reference


def evaluation(verdict="passed", private=False):
    source = "records" if private else "secure sum"
    value = {"passed": 0.001, "failed": 0.1, "inconclusive": 0.001}[verdict]

    def figure(name, title, value, better, **more):
        how = "Half the sum of absolute differences of shares, averaged over columns."
        return Figure(name=name, title=title, value=value, better=better, source=source, how=how, **more)

    def criterion(name, title, value, threshold, verdict, **more):
        how = "Share of synthetic records that equal a training record, less what held-out ones explain."
        return Criterion(
            name=name,
            title=title,
            value=value,
            threshold=threshold,
            verdict=verdict,
            source=source,
            how=how,
            **more,
        )

    return Evaluation(
        shareable=not private,
        fidelity=(
            figure(
                "tvd1",
                "Distance of single columns",
                0.0225,
                "lower",
                low=0.0191,
                high=0.0262,
                reference=0.0168,
            ),
            figure("tvd3", "Distance of triples of columns", None, "lower"),
        ),
        utility=(
            figure(
                "auc.boosting",
                "Gradient boosting, AUC",
                0.688,
                "higher",
                low=0.66,
                high=0.71,
                reference=0.736,
            ),
            figure(
                "auc.logistic",
                "Logistic regression, AUC",
                0.671,
                "higher",
                low=0.65,
                high=0.7,
                reference=0.69,
            ),
        ),
        subgroups=(
            figure("auc.boosting/sex=male", "Boosting, AUC, men", 0.68, "higher", low=0.64, high=0.72),
        ),
        coverage=(figure("rare", "Rare values that appear", 0.94, "higher", reference=1.0),),
        gate=Gate(
            criteria=(
                criterion(
                    "copies",
                    "Exact copies",
                    value,
                    0.01,
                    verdict,
                    low=value - 0.003,
                    high=value + 0.003,
                    resolution=0.006,
                ),
                criterion("dcr", "Distance to the closest record, mean", 1.83, None, "information"),
            )
        ),
        records={"training": 960, "held_out": 240},
    )

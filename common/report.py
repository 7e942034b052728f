"""What a run cost: privacy, bytes and seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .plan import Plan
from .privacy.accounting import epsilon, rounded_up
from .versions import versions

REPORT_VERSION = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """What a run took: seconds by phase, bytes by site, and the share that encryption had.

    upload_ratio_float32: bytes of encrypted contributions / bytes of the same values as float32
    encryption_share: seconds of encryption / wall clock; None where sites run in other processes
    attempts: at steps that were tried again, each charged
    """

    wall_seconds: float
    seconds: dict[str, float]
    encryption_seconds: dict[str, float] | None
    encryption_share: float | None
    traffic: dict[str, dict[str, int]]
    upload_ratio_float32: float
    attempts: dict[str, int]


def build(plan: Plan, quality: dict[str, Any], costs: Costs) -> dict[str, Any]:
    """The report as JSON-ready content; its keys are described in docs/report.md.

    quality: of the synthetic records, where somebody could look at real ones: in a simulation
    """
    return {
        "report_version": REPORT_VERSION,
        **_privacy(plan, costs.attempts),
        **quality,
        "upload_ratio_float32": round(costs.upload_ratio_float32, 4),
        "attempts": costs.attempts,
        "encryption_share": rounded(costs.encryption_share),
        "wall_seconds": round(costs.wall_seconds, 2),
        "seconds": {name: round(value, 2) for name, value in costs.seconds.items()},
        "encryption_seconds": costs.encryption_seconds
        and {name: round(value, 3) for name, value in costs.encryption_seconds.items()},
        "bytes": costs.traffic,
        "sites": plan.federation.names,
        "threshold": plan.federation.threshold,
        "key_holders": plan.federation.key_holders,
        "schedule": plan.train.schedule if plan.train else "moments",
        "rounds": plan.rounds,
        "plan": plan.hash,
        "schema": plan.schema_hash,
        "seed": plan.seed,
        "versions": versions(),
    }


def _privacy(plan: Plan, attempts: dict[str, int]) -> dict[str, Any]:
    delta = plan.privacy.delta
    return {
        "epsilon": rounded_up(epsilon(plan.charged(attempts, plan.rounds), delta)),
        "epsilon_views": {
            view: rounded_up(epsilon(plan.charged_in_view(view, attempts, plan.rounds), delta))
            for view in plan.views
        },
        "epsilon_here": rounded_up(epsilon(plan.charged_here(attempts, plan.rounds), delta)),
        "continues": plan.continues and plan.continues.runs[-1].plan,
        "delta": delta,
        "unit": plan.privacy.unit,
        "sampling": "Poisson",
        "epsilon_target": plan.privacy.epsilon,
        "collusion": plan.federation.collusion,
        "noise_shares": plan.federation.shares,
        "count_noise_multiplier": plan.count and plan.count.noise_multiplier,
        "measure_noise_multiplier": plan.measure.noise_multiplier,
        "train_noise_multiplier": plan.train and plan.train.noise_multiplier,
    }


def rounded(value: float | None) -> float | None:
    """Four decimals of a figure that may be missing."""
    return None if value is None else round(value, 4)

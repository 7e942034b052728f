"""What one plan changes against another, field by field, for a data steward who approved the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from common.plain_text import plain
from common.plan import Plan

Direction = Literal["", "protects less", "protects more", "spends more", "spends less"]

_LABELS = {
    "run": "name of the run",
    "schema_hash": "schema",
    "federation.key_holders": "key-holders",
    "federation.threshold": "key-holders that open a sum together",
    "federation.min_contributors": "contributions needed before a sum is opened",
    "federation.collusion": "colluding sites that the promise allows for",
    "privacy.epsilon": "ε promised",
    "privacy.delta": "δ promised",
    "privacy.unit": "who is protected",
    "count": "step 'count'",
    "count.noise_multiplier": "noise of step 'count'",
    "measure": "step 'measure'",
    "measure.noise_multiplier": "noise of step 'measure'",
    "measure.field_bits": "bits of each number of step 'measure'",
    "measure.split": "conditions counted apart",
    "measure.neighbours": "how far apart columns are that are paired",
    "train": "training on records",
    "train.schedule": "schedule of training",
    "train.rounds": "training rounds or steps",
    "train.local_steps": "steps of a round",
    "train.sample_rate": "share of records in a step",
    "train.noise_multiplier": "noise of training",
    "train.max_grad_norm": "length to which a record's change is cut",
    "min_records": "records a site must hold at least",
    "max_records": "records a site may hold at most",
    "release.holdout": "share kept out of training",
    "release.evaluate": "step 'evaluate'",
    "release.evaluate.noise_multiplier": "noise of step 'evaluate'",
    "release.evaluate.records": "synthetic records shown to sites",
    "release.evaluate.task": "what a model is asked to predict",
    "release.gate": "above what a release is refused",
    "release.signatures": "sites that must sign the release",
    "continues": "earlier run that it goes on from",
    "rehearsal": "rehearsal with made-up records",
}

_LARGER: dict[str, Direction] = {
    "privacy.epsilon": "protects less",
    "privacy.delta": "protects less",
    "federation.threshold": "protects more",
    "federation.min_contributors": "protects more",
    "federation.collusion": "protects more",
    "count.noise_multiplier": "protects more",
    "measure.noise_multiplier": "protects more",
    "train.noise_multiplier": "protects more",
    "release.evaluate.noise_multiplier": "protects more",
    "release.signatures": "protects more",
    "train.rounds": "spends more",
    "train.local_steps": "spends more",
    "train.sample_rate": "spends more",
}
_OPPOSITE: dict[Direction, Direction] = {
    "protects less": "protects more",
    "protects more": "protects less",
    "spends more": "spends less",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs.

    direction: what that alone means for a site, empty if it is not that simple
    """

    field: str
    sentence: str
    direction: Direction = ""


def changes(before: Plan, after: Plan) -> list[Change]:
    """Every difference between two plans, the people first; none between equal plans."""
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    for plan in (old, new):
        for party in ("coordinator", "sites"):
            del plan["federation"][party]
    return [*_parties(before, after), *_fields(old, new)]


def _parties(before: Plan, after: Plan) -> Iterator[Change]:
    old, new = before.federation, after.federation
    if old.coordinator != new.coordinator:
        yield Change(
            "federation.coordinator",
            f"coordinator: {old.coordinator.name} ({old.coordinator.identity[:16]}…) → "
            f"{new.coordinator.name} ({new.coordinator.identity[:16]}…)",
        )
    was, now = ({site.name: site.identity for site in plan.sites} for plan in (old, new))
    place = "federation.sites"
    if joined := [name for name in new.names if name not in was]:
        yield Change(place, f"sites that are new: {', '.join(joined)}")
    if left := [name for name in old.names if name not in now]:
        yield Change(place, f"sites that are gone: {', '.join(left)}")
    if changed := [name for name in new.names if name in was and was[name] != now[name]]:
        yield Change(place, f"sites with another key than before: {', '.join(changed)}")
    if was == now and old.names != new.names:
        yield Change(place, "the same sites in another order")
    if old.holders != new.holders:
        yield Change(place, f"key-holders: {', '.join(old.holders)} → {', '.join(new.holders)}")


def _fields(old: Any, new: Any, place: str = "") -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict) and place != "continues":
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _fields(old.get(key), new.get(key), f"{place}.{key}" if place else key)
    elif old != new:
        label = _LABELS.get(place, place)
        direction = _direction(place, old, new)
        was, now = _apart(old, new)
        noted = f" ({direction})" if direction else " (in its details)" if was == now else ""
        yield Change(place, f"{label}: {was} → {now}{noted}", direction)


def _direction(place: str, old: Any, new: Any) -> Direction:
    if place == "privacy.unit":
        return "protects less" if str(old).endswith("subject") else "protects more"
    larger = _LARGER.get(place, "")
    if not larger or not isinstance(old, int | float) or not isinstance(new, int | float):
        return ""
    return larger if new > old else _OPPOSITE[larger]


def _apart(old: Any, new: Any) -> tuple[str, str]:
    """Both in words; long numbers with as many digits as tell them apart, five at least."""
    if isinstance(old, float) and isinstance(new, float):
        for digits in range(5, 17):
            was, now = (f"{value:.{digits}g}" for value in (old, new))
            if was != now:
                return _shorter(old, was), _shorter(new, now)
    return _said(old), _said(new)


def _shorter(value: float, short: str) -> str:
    """The number as it is unless that is much longer: 3.0, not 3."""
    return str(value) if len(str(value)) <= len(short) + 2 else short


def _said(value: Any) -> str:
    if isinstance(value, dict):
        if "runs" in value:
            last, sums = value["runs"][-1]["plan"][:12], value["sums"][:12]
            return f"plan {last}, {len(value['runs'])} run(s), sums {sums}"
        return ", ".join(f"{key} {_said(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_said, value)) or "none"
    if isinstance(value, bool) or value is None:
        return {None: "none", True: "yes", False: "no"}[value]
    return plain(str(value))

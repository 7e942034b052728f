"""What a person is told about a sample: how much was rejected, and what training hardly saw."""

from __future__ import annotations

from typing import Any

from .arrays import ArraySample
from .sampling import Sample

_LEAST_SHARE = 0.001  # below, 0.0% would be said
_SHOWN = 5  # extrapolated combinations in a sentence


def report(sample: Sample | ArraySample) -> dict[str, Any]:
    """records, drawn (candidates), acceptance (share of them that satisfied everything), extrapolated."""
    drawn = sample.drawn if isinstance(sample, Sample) else len(sample)
    acceptance = sample.acceptance if isinstance(sample, Sample) else 1.0
    return {
        "records": len(sample),
        "drawn": drawn,
        "acceptance": acceptance,
        "extrapolated": list(sample.extrapolated),
    }


def sentences(sample: Sample | ArraySample) -> list[str]:
    """The same in words; none if nothing is worth saying."""
    found = report(sample)
    said = []
    if found["acceptance"] < 1.0:
        good = round(found["acceptance"] * found["drawn"])
        share = f" ({found['acceptance']:.1%})" if found["acceptance"] >= _LEAST_SHARE else ""
        said.append(f"{good} of {found['drawn']} drawn records satisfied everything{share}")
    if rare := found["extrapolated"]:
        shown = "; ".join(", ".join(f"{k}={v}" for k, v in one.items()) for one in rare[:_SHOWN])
        more = f" and {len(rare) - _SHOWN} more" if len(rare) > _SHOWN else ""
        said.append(f"extrapolated, training saw hardly any or none: {shown}{more}")
    return said

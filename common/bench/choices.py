"""Values that options of several benches can have."""

from __future__ import annotations

from enum import StrEnum


class Schedule(StrEnum):
    """How a run goes on after the measure phase."""

    MOMENTS = "moments"
    EVERY_STEP = "every-step"
    LOCAL = "local"


class Split(StrEnum):
    """How records come to sites: alike, label skew, or one class of the label a site."""

    IID = "iid"
    DIRICHLET = "dirichlet"
    CLASS = "class"

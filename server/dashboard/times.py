"""How long a run waits for its sites, as people write it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wait:
    """A field of the form that starts a plan, in the order of ``starting.Times``."""

    name: str
    label: str
    how: str
    usual: str


TIMES = (
    Wait("answer", "For one answer", "Then a site is late.", "30m"),
    Wait("approval", "For all to approve", "Data stewards are people.", "72h"),
    Wait("away", "For sites to come back", "If too few are there.", "2h"),
)

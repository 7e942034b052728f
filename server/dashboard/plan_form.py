"""The form of a new plan: few fields that people decide on, and TOML for everything else a run can have."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import ConfigError
from common.run_config import RunConfig
from common.toml_file import validated
from common.web.application import Form

_FORM = Path("the form")  # named in messages, where a file would be


@dataclass(frozen=True, slots=True)
class Field:
    """key: in a run's TOML; how: what it means, for who decides; choices: none for text; usual: of a new form

    number: of a whole or decimal number, for the keyboard of a phone
    """

    key: str
    label: str
    how: str
    usual: str = ""
    number: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    required: bool = True

    @property
    def id(self) -> str:
        """Of its control, and its name in the form."""
        return self.key.replace(".", "-")


FIELDS = (
    Field("name", "Name", "Letters, digits, hyphens.", "run"),
    Field(
        "privacy.epsilon",
        "Privacy, ε",
        "How much may be learnt about one person; less is better.",
        "3",
        "decimal",
    ),
    Field("privacy.delta", "δ", "Well below 1 in the number of people.", "1e-6"),
    Field("training.records_per_site", "Records per site", "That every site holds at least.", "", "numeric"),
    Field(
        "training.schedule",
        "Schedule",
        "How training goes on after the first sums.",
        "moments",
        choices=(
            ("moments", "moments: two or three sums, no training rounds"),
            ("every-step", "every-step: each step a sum"),
            ("local", "local: few rounds, all noise at each site"),
        ),
    ),
    Field("training.rounds", "Rounds", "0 with moments.", "0", "numeric"),
    Field(
        "federation.threshold",
        "Sites to open a sum",
        "More than half of those that hold the key.",
        "",
        "numeric",
    ),
    Field(
        "federation.min_contributors",
        "Sites that a sum needs",
        "All but one if nothing is given, three at least.",
        "",
        "numeric",
        required=False,
    ),
    Field(
        "federation.collusion",
        "Colluding sites",
        "That may pool what they know without harm; 1 if nothing is given, all but one with local.",
        "",
        "numeric",
        required=False,
    ),
)
FURTHER, SITES = "further", "site"
"""Names of the box for TOML, and of the check boxes of sites."""


def usual(sites: int) -> dict[str, str]:
    """What a new form holds, for so many members."""
    holders = min(sites, 16)
    values = {field.id: field.usual for field in FIELDS}
    return {**values, "federation-threshold": str(holders // 2 + 1) if sites else ""}


def wanted(form: Form) -> tuple[RunConfig, list[str]]:
    """The run that a form describes, and its sites. Raises ConfigError naming the field."""
    content: dict[str, Any] = {}
    for field in FIELDS:
        text = form.get(field.id, "").strip()
        if text:
            section, _, name = field.key.rpartition(".")
            (content.setdefault(section, {}) if section else content)[name] = text
        elif field.required:
            raise ConfigError(f"{field.label} is empty", hint=field.how)
    _merge(content, _further(form.get(FURTHER, "")))
    return validated(RunConfig, content, _FORM, ConfigError, str(_FORM)), form.all(SITES)


def name_of(run: RunConfig, sites: list[str], schema: str) -> str:
    """The same for the same wishes, so that what they cost is measured once. schema: its hash."""
    said = json.dumps([run.model_dump(mode="json"), sorted(sites), schema], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _further(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"Further settings are not TOML: {error}", hint="as in docs/simulate.md") from error


def _merge(content: dict[str, Any], further: Mapping[str, Any], where: str = "") -> None:
    for key, value in further.items():
        if isinstance(value, Mapping) and isinstance(content.setdefault(key, {}), dict):
            _merge(content[key], value, f"{where}{key}.")
        elif key in content:
            raise ConfigError(f"{where}{key} is in the form already", hint="leave it out of further settings")
        else:
            content[key] = value

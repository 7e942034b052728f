"""The plan of a configuration whose sites do not exist yet."""

from __future__ import annotations

from pathlib import Path

from ..config import SimulationConfig
from ..errors import ConfigError
from ..plan import Plan
from ..planning import make_plan, stand_in
from ..schema import Schema


def plan_of(path: Path) -> tuple[Plan, Schema]:
    """A plan and its schema, from a simulation's TOML or from ``plan.json`` beside ``schema.toml``.

    Raises ConfigError, PrivacyTargetError or HeadroomError for a plan that cannot work.
    """
    if path.suffix == ".json":
        schema = Schema.load(path.parent / "schema.toml")
        plan = Plan.from_json(_content(path))
        if plan.schema_hash != schema.hash:
            raise ConfigError(f"{path.parent / 'schema.toml'} is not the schema of the plan")
        return plan, schema
    config = SimulationConfig.load(path)
    schema = Schema.load(path.parent / config.data.schema_file)
    return make_plan(config, schema, stand_in(config), run=config.name), schema


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", hint="a TOML file of simulate, or a plan.json"
        ) from error

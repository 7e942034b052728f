"""What the privacy gate says of generators that copy on purpose, beside one that draws afresh."""

from __future__ import annotations

from collections import defaultdict
from importlib import import_module
from typing import Any

import numpy as np
from rich.table import Table

from ..errors import ConfigError
from ..evaluation.anonymity import attacks
from ..evaluation.gate import gate
from ..modalities.tabular import Codes, encode
from ..release_terms import DEFAULT_GATE
from ..schema import TableSchema
from ..terminal import output

CASES = (
    ("fresh draws", 0.0, 0),
    ("0.1 % copies", 0.001, 0),
    ("1 % copies", 0.01, 0),
    ("10 % copies", 0.1, 0),
    ("1 % copies, one column altered", 0.01, 1),
    ("10 % copies, one column altered", 0.1, 1),
)
"""Name, share of synthetic records that are planted, columns that are altered in each."""


def plant(
    training: Codes,
    synthetic: Codes,
    share: float,
    altered: int,
    sizes: list[int],
    random: np.random.Generator,
) -> Codes:
    """Synthetic records of which a share is replaced by training records, each taken once at most.

    altered: columns of each that get another code, every other one alike likely
    """
    count = min(round(share * len(synthetic)), len(training))
    made, copies = synthetic.copy(), training[random.permutation(len(training))[:count]]
    rows, most = np.arange(count), np.array(sizes)
    columns = random.permuted(np.tile(np.arange(len(sizes)), (count, 1)), axis=1)[:, :altered].T
    for column in columns:
        step = 1 + (random.random(count) * (most[column] - 1)).astype(np.int64)
        copies[rows, column] = (copies[rows, column] + step) % most[column]
    made[random.permutation(len(made))[:count]] = copies
    return made


def randhie() -> tuple[Codes, TableSchema]:
    """Codes of the demo's 20,190 person-years, each a unit of its own: the split is of records, too."""
    frame, schema = import_module("server.demo").records()
    schema = schema.nobodys
    return encode(frame[schema.names], schema), schema


def thirds(codes: Codes, count: int, random: np.random.Generator) -> tuple[Codes, Codes, Codes]:
    """Training, held-out and fresh records, ``count`` of each, without a common one."""
    rows = random.permutation(len(codes))
    return codes[rows[:count]], codes[rows[count : 2 * count]], codes[rows[2 * count : 3 * count]]


def measure(records: int, seeds: int, fresh: int, anonymeter: bool) -> dict[str, Any]:
    """For every case the mean of each criterion, and of how many gates it failed.

    records: training, held-out and synthetic ones each; seeds: gates of each case; fresh: of the first case;
    anonymeter: whether to run it, for the first seed. Raises ConfigError for more than a third of the table
    """
    codes, schema = randhie()
    if 3 * records > len(codes):
        raise ConfigError(f"the table has {len(codes)} records, at most {len(codes) // 3} for each part")
    cases = []
    for name, share, altered in CASES:
        values: dict[str, list[float]] = defaultdict(list)
        failed: dict[str, int] = defaultdict(int)
        verdicts: list[str] = []
        for seed in range(fresh if share == 0 else seeds):
            random = np.random.default_rng(seed)
            training, holdout, drawn = thirds(codes, records, random)
            made = plant(training, drawn, share, altered, schema.sizes, random)
            told: Any = "not asked for"
            if anonymeter and seed == 0:
                told = attacks(training, holdout, made, schema)
            found = gate(training, holdout, made, schema, DEFAULT_GATE, anonymity=told)
            verdicts.append(found.verdict)
            for one in found.criteria:
                if one.value is not None:
                    values[one.name].append(one.value)
                    failed[one.name] += one.verdict == "failed"
        cases.append(
            {
                "case": name,
                "gates": len(verdicts),
                "failed": verdicts.count("failed"),
                "passed": verdicts.count("passed"),
                "values": {key: round(float(np.mean(found)), 4) for key, found in values.items()},
                "failed_by": {key: failed[key] for key in values},
            }
        )
    return {"records": records, "seeds": seeds, "terms": DEFAULT_GATE.model_dump(), "cases": cases}


def print_table(result: dict[str, Any]) -> None:
    """One row a criterion, one column a case: the mean, and how many gates it failed of how many."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for case in result["cases"]:
        table.add_column(case["case"], justify="right")
    for name in dict.fromkeys(key for case in result["cases"] for key in case["values"]):
        table.add_row(name, *(_cell(case, name) for case in result["cases"]))
    table.add_row("gate failed", *(f"{case['failed']} of {case['gates']}" for case in result["cases"]))
    output.print(table)


def _cell(case: dict[str, Any], name: str) -> str:
    value: float | None = case["values"].get(name)
    failed = case["failed_by"].get(name, 0)
    return "" if value is None else f"{value:.4f}" + (f" ({failed})" if failed else "")

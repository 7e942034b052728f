"""Singling out, linking and inferring by anonymeter (Giomi et al. 2023), which runs in an interpreter of its
own.

anonymeter's pins exclude the numpy used here, so it is never imported: its interpreter is told the records
over a pipe, as codes, and answers with counts. Nothing is written to disk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..columns import Column
from ..modalities.tabular import Codes
from ..schema import TableSchema
from .space import places

VARIABLE = "FEDCGAN_ANONYMETER"
"""Names a Python interpreter that has anonymeter, if the one that runs has not."""

_WORKER = Path(__file__).with_name("anonymity_worker.py")
_TARGETS, _MADE = 1000, 20_000  # records attacked of either side, synthetic ones known to the attacker
_SEED = 20_240_604


class Attack(BaseModel):
    """How many attempts succeeded on training records (hits of tries) and on held-out ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    title: str
    how: str
    hits: int = Field(ge=0)
    tries: int = Field(ge=1)
    control_hits: int = Field(ge=0)
    controls: int = Field(ge=1)


def interpreter() -> Path | None:
    """The Python that has anonymeter: the one named by FEDCGAN_ANONYMETER, or this one."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    return Path(sys.executable) if find_spec("anonymeter") else None


def attacks(
    training: Codes,
    holdout: Codes,
    synthetic: Codes,
    schema: TableSchema,
    *,
    secret: str | None = None,
    python: Path | None = None,
    seconds: float = 300.0,
) -> tuple[Attack, ...] | str:
    """Singling out (4 columns), linking (columns in two halves) and inferring one column from all others.

    training, holdout: independent units, one record each; of both as many, at most 1,000, are attacked
    secret: the column to infer, else the one with most entropy among synthetic records that is no condition
    python: an interpreter that has anonymeter, else ``interpreter()``; seconds: after which it is ended
    Returns a reason instead if it could not be run.
    """
    python = python or interpreter()
    if python is None:
        return f"anonymeter is not installed; {VARIABLE} may name a Python that has it"
    random = np.random.default_rng(_SEED)
    count = min(len(training), len(holdout), _TARGETS)
    sides = {
        name: _table(codes[random.permutation(len(codes))[:most]], schema)
        for name, codes, most in (
            ("training", training, count),
            ("holdout", holdout, count),
            ("synthetic", synthetic, _MADE),
        )
    }
    position = schema.names.index(secret) if secret else _richest(synthetic, schema)
    question = {
        **sides,
        "secret": schema.names[position],
        "attacks": count,
        "seed": _SEED,
    }
    return _asked(python, question, seconds)


def _asked(python: Path, question: dict[str, Any], seconds: float) -> tuple[Attack, ...] | str:
    try:
        done = subprocess.run(  # noqa: S603 - the person names the interpreter
            [str(python), "-I", str(_WORKER)],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"anonymeter took longer than {seconds:g} seconds"
    except OSError as error:
        return f"{python} cannot be started: {error.strerror}"
    try:
        if done.returncode:
            raise ValueError("it failed")
        return tuple(Attack.model_validate(one) for one in json.loads(done.stdout))
    except (ValueError, ValidationError):
        kind = done.stderr.strip().splitlines()[-1:]  # the type of an error; its text might quote a record
        name = kind[0].split(":")[0] if kind else "no answer"
        return f"anonymeter failed: {name if name.replace('.', '').isidentifier() else 'no usable answer'}"


def _table(codes: Codes, schema: TableSchema) -> dict[str, list[Any]]:
    """Columns as anonymeter may read them: places of what has an order, names of what has none."""
    return {
        column.name: _column(codes[:, position], column).tolist()
        for position, column in enumerate(schema.columns)
    }


def _column(codes: NDArray[np.int64], column: Column) -> NDArray[Any]:
    order = places(column)
    if order is None:
        return np.char.add("c", codes.astype(str))
    rank = np.full(column.size, -1)  # a missing value lies below all
    rank[order] = np.arange(len(order))
    return np.asarray(rank[codes])


def _richest(synthetic: Codes, schema: TableSchema) -> int:
    shares = [
        np.bincount(synthetic[:, j], minlength=size) / len(synthetic) for j, size in enumerate(schema.sizes)
    ]
    entropy = [-float((part[part > 0] * np.log(part[part > 0])).sum()) for part in shares]
    free = [j for j, column in enumerate(schema.columns) if not column.condition]
    return max(free, key=lambda j: entropy[j])

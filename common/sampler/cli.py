"""``fedcgan-sample generator.onnx -n 1000 --where age=60..70 --balance outcome --seed 7 -o out.parquet``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .arrays import sample_arrays
from .errors import FileError, RequestError, SamplerError
from .memory import not_enough
from .output import write_arrays, write_rows, write_table
from .report import report, sentences
from .sampling import sample
from .session import TableFile, load
from .standard import CLOSED, FULL, HINT, discard, nobody_reads


def parser() -> argparse.ArgumentParser:
    """The options."""
    found = argparse.ArgumentParser(
        prog="fedcgan-sample", description="Draw synthetic records from a released generator.onnx."
    )
    found.add_argument("generator", type=Path, help="generator.onnx, or a folder that holds it")
    found.add_argument("-n", "--n", type=_count, default=1000, help="how many records (1000)")
    found.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a value, a range LOW..HIGH, or nothing for a missing value; may be repeated",
    )
    found.add_argument("--balance", metavar="NAME", help="a condition whose values get equal shares")
    found.add_argument("--seed", type=_seed, default=0, help="the same seed, the same records (0)")
    found.add_argument(
        "-o",
        "--out",
        type=Path,
        help="tables: .csv or .parquet, else standard output; images: .npz, .png; signals: .npz",
    )
    found.add_argument("--json", action="store_true", help="say what was done as JSON (needs --out)")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    if sys.stdout is None:
        return _fail(FileError(CLOSED, hint=HINT), False)
    try:
        done = _run(options)
        if options.json:
            _print_json({"status": "ok", "data": done})
        sys.stdout.flush()
    except SamplerError as error:
        return _fail(error, options.json)
    except MemoryError:
        return _fail(not_enough(), options.json)
    except OSError as error:  # of standard output: those of files are typed
        seen_enough = nobody_reads()
        discard()
        if seen_enough:
            return 0
        return _fail(FileError(f"{FULL}: {error.strerror}", hint=HINT), False)
    return 0


def _run(options: argparse.Namespace) -> dict[str, Any]:
    if options.json and options.out is None:
        raise RequestError("--json needs --out: records go to standard output without it", hint="-o out.csv")
    found = load(options.generator)
    wanted = (options.n, options.where, options.balance, options.seed)
    if isinstance(found, TableFile):
        records = sample(found.table, found.network, *wanted)
        if options.out is None:
            write_rows(records, sys.stdout)
        else:
            write_table(records, options.out, found.facts)
        done, said = report(records), sentences(records)
    else:
        if options.out is None:
            raise RequestError("images and signals need --out", hint="e.g. -o samples.npz")
        arrays = sample_arrays(found.kind, found.network, *wanted)
        written = write_arrays(arrays, found.kind, options.out, found.facts)
        done, said = {**report(arrays), "records": written}, sentences(arrays)
    if options.out is not None:
        said.insert(0, f"{done['records']} synthetic records in {options.out}, marked so")
    for sentence in [] if options.json or sys.stderr is None else said:
        sys.stderr.write(sentence + "\n")
    return {**done, "path": str(options.out), "where": options.where, "balance": options.balance}


def _fail(error: SamplerError, as_json: bool) -> int:
    if as_json:
        content = {"code": error.code, "message": error.message, "hint": error.hint}
        try:
            _print_json({"status": "error", "error": content})
        except OSError:  # what went wrong may be standard output itself
            discard()
            as_json = False
    if not as_json and sys.stderr is not None:
        hint = f"\n{error.hint}" if error.hint else ""
        sys.stderr.write(f"{error.code}: {error.message}{hint}\n")
    return error.exit_code


def _print_json(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"schema_version": 1, **content}) + "\n")
    sys.stdout.flush()


def _count(text: str) -> int:
    return _whole(text, 1, 10**9)


def _seed(text: str) -> int:
    return _whole(text, 0, 2**31 - 1)


def _whole(text: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"a whole number from {low} to {high}")
    return int(text)

"""``fedcgan sample``: from ``generator.onnx`` where there is one, else from the weights of a release."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from common.sampler.arrays import ArrayKind, ArrayNetwork
    from common.sampler.sampling import Sample
    from common.sampler.table import Network, Table
    from common.schema import ArraySchema

from common.errors import ConfigError
from common.terminal import output, print_result, say


@dataclass(frozen=True, slots=True)
class _Tables:
    """A generator of tables, of either form."""

    table: Table
    network: Network
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Arrays:
    """A generator of images or signals, of either form."""

    kind: ArrayKind
    network: ArrayNetwork
    facts: dict[str, Any]
    schema: ArraySchema


@dataclass(frozen=True, slots=True)
class _Wanted:
    n: int
    where: list[str]
    balance: str | None
    seed: int
    interpolate: int | None


def sample(
    n: Annotated[int, typer.Option("--n", "-n", min=1, max=10**9, help="How many records.")] = 1000,
    where: Annotated[
        list[str] | None,
        typer.Option(help="health=poor, age=60..70, smoker= (missing); may be repeated."),
    ] = None,
    balance: Annotated[str | None, typer.Option(help="A condition whose values get equal shares.")] = None,
    source: Annotated[Path, typer.Option("--from", help="A release, or its generator.onnx.")] = Path(
        "demo-release"
    ),
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Tables: CSV or Parquet, standard output if not given. Images: npz, PNG grid, or a folder. "
            "Signals: npz, Parquet, or a PNG figure.",
        ),
    ] = None,
    interpolate: Annotated[
        int | None,
        typer.Option(min=2, max=64, help="A PNG of so many steps between two latent points, a row a class."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """Draw synthetic records from a released generator. Conditions are exact; ranges by rejection."""
    from common.errors.sampling import typed
    from common.sampler.memory import not_enough

    wanted = _Wanted(n, where or [], balance, seed, interpolate)
    with typed():
        found = _generator(source)
        try:
            if isinstance(found, _Arrays):
                _sample_arrays(found, wanted, out, as_json)
            else:
                _sample_table(found, wanted, out, as_json)
        except MemoryError as error:
            raise not_enough() from error


def _generator(source: Path) -> _Tables | _Arrays:
    """Raises StorageError, or the sampler's FileError."""
    from common.sampler.session import NAME, TableFile, load
    from common.schema import ArraySchema, Schema

    if source.is_file() or (source / NAME).is_file():
        found = load(source)
        if isinstance(found, TableFile):
            return _Tables(found.table, found.network, found.facts)
        schema = Schema.from_json(found.schema.encode())
        assert isinstance(schema, ArraySchema)
        return _Arrays(found.kind, found.network, found.facts, schema)
    from common.array_generator import ReleasedArrays  # torch, which the other way does without
    from common.released import load_release

    generator = load_release(source)
    if isinstance(generator, ReleasedArrays):
        return _Arrays(generator.kind, generator.values, generator.facts, generator.schema)
    known = {"name": generator.schema.name, "schema_hash": generator.schema.hash, **generator.facts}
    return _Tables(generator.table, generator.chances, known)


def _sample_table(found: _Tables, wanted: _Wanted, out: Path | None, as_json: bool) -> None:
    from common.sampler.output import write_rows, write_table
    from common.sampler.report import report, sentences
    from common.sampler.sampling import sample as draw

    if wanted.interpolate is not None:
        raise ConfigError("--interpolate is for generators of images and signals")
    drawn = draw(found.table, found.network, wanted.n, wanted.where, wanted.balance, wanted.seed)
    facts = {**report(drawn), "where": wanted.where, "balance": wanted.balance}
    if out is not None:
        write_table(drawn, out, found.facts)
        facts["path"] = str(out)
        print_result(facts, as_json, lambda: output.print(f"{wanted.n} records in {out}", highlight=False))
    elif as_json:
        print_result({**facts, "records": _rows(drawn)}, True, lambda: None)
    else:
        write_rows(drawn, sys.stdout)
    if not as_json:
        for sentence in sentences(drawn):
            say(sentence)


def _rows(drawn: Sample) -> list[dict[str, Any]]:
    columns = drawn.plain()
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _sample_arrays(found: _Arrays, wanted: _Wanted, out: Path | None, as_json: bool) -> None:
    from common import array_output
    from common.arrays import Arrays
    from common.sampler.arrays import interpolate, sample_arrays
    from common.sampler.report import report, sentences

    if out is None:
        raise ConfigError("images and signals need --out", hint="e.g. -o samples.npz or -o samples.png")
    facts: dict[str, Any] = {"where": wanted.where, "balance": wanted.balance, "path": str(out)}
    said: list[str] = []
    if wanted.interpolate is not None:
        if wanted.where or wanted.balance:
            raise ConfigError(
                "--interpolate has a row for each class", hint="leave out --where and --balance"
            )
        grid = interpolate(found.kind, found.network, wanted.interpolate, wanted.seed)
        array_output.write_interpolation(found, grid, out)
        facts["records"] = wanted.interpolate * found.schema.classes
    else:
        options = (wanted.n, wanted.where, wanted.balance, wanted.seed)
        drawn = sample_arrays(found.kind, found.network, *options)
        written = array_output.write_samples(found, Arrays(drawn.values, drawn.labels), out)
        facts, said = {**facts, **report(drawn), "records": written}, sentences(drawn)
    facts["interpolate"] = wanted.interpolate
    done = f"{facts['records']} synthetic records in {out}, marked so"
    print_result(facts, as_json, lambda: output.print(done, highlight=False))
    if not as_json:
        for sentence in said:
            say(sentence)

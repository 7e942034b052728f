"""Results for people: a few numbers with their baselines, and what to type next."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from common.columns import CategoryColumn, iso_date
from common.modalities.described import constraints_of
from common.schema import ArraySchema, ImageSchema, Schema, SignalSchema, TableSchema
from common.terminal import output

from .run_folder import folder_of_simulation
from .simulate import Outcome


def print_summary(outcome: Outcome) -> None:
    """The report's main figures, where everything lies, and the next command."""
    r = outcome.report
    output.print()
    if "tvd1" in r:
        output.print(_table_scores(r))
    elif "accuracy" in r:
        output.print(_array_scores(r))
    else:
        output.print("nothing was measured: nobody was held out")
    share = "" if r["encryption_share"] is None else f", encryption {r['encryption_share']:.1%} of it"
    output.print(
        f"\nε = {r['epsilon']:.3f}, δ = {r['delta']:g} ({r['unit']}) · {len(r['sites'])} sites, "
        f"any {r['threshold']} of {r['key_holders']} key-holders open a sum\n"
        f"{r['wall_seconds']:.0f} s{share} · upload {r['upload_ratio_float32']:.2f} times float32",
        highlight=False,
    )
    for one in r["trouble"]:
        output.print(f"[yellow]{one['site']}[/] in {one['step']}: {one['code']}", highlight=False)
    for alarm in r.get("alarms", ()):
        where = "" if alarm["class"] is None else f" in class {alarm['class']}"
        output.print(f"[yellow]{alarm['kind']}[/]{where}: {alarm['advice']}", highlight=False)
    output.print("\nEverything lies in", f"[bold]{outcome.folder}/[/]", highlight=False)
    output.print(
        _files(outcome)
        + "  generator.onnx          the conditional generator for whoever samples; docs/sampling.md\n"
        "  generator.safetensors   the same for whoever trains on, described by generator.json\n"
        "  sums.safetensors        the released sums, from which a later run may go on\n"
        "  report.json             what it cost and how it scores; docs/report.md explains it\n"
        + _evaluated(outcome)
        + "What the sites would keep (records, keys, ledgers) is in "
        + f"{folder_of_simulation(outcome.folder)}/, mode 0700.",
        highlight=False,
        soft_wrap=True,
    )
    output.print("\nNext:", _next_command(outcome), highlight=False, soft_wrap=True)
    further = (("report", "a page of evidence"), ("release", "privacy gate, then the signed bundle"))
    for command, what in further:
        line = f"      fedcgan {command + ' ' + str(outcome.folder):24}  {what}"
        output.print(line, highlight=False, soft_wrap=True)


def _evaluated(outcome: Outcome) -> str:
    if not (outcome.folder / "evaluation.json").exists():
        return ""
    return "  evaluation.json         quality and privacy gate, from the last secure sum\n"


def _is_table(outcome: Outcome) -> bool:
    return (outcome.folder / "synthetic.csv").exists()


def _files(outcome: Outcome) -> str:
    """The files that hold synthetic records."""
    count = f"{found['synthetic']} " if (found := outcome.report.get("records")) else ""
    if _is_table(outcome):
        return f"  synthetic.csv           {count}synthetic records\n"
    return (
        f"  synthetic.npz           {count}synthetic records, marked so\n"
        "  gallery.png             samples, a row for each class\n"
    )


def _scores() -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "synthetic", "real", "meaning"):
        table.add_column(heading, style="dim" if heading == "meaning" else None)
    return table


def _array_scores(r: dict[str, Any]) -> Table:
    """Of images and signals."""
    table = _scores()
    for key, name in (("accuracy", "accuracy"), ("macro_f1", "macro F1")):
        meaning = "of a classifier, on held-out records"
        table.add_row(name, f"{r[key]:.3f}", f"{r[key + '_real']:.3f}", meaning)
    if "domain_fid" in r:
        features = "a small network's" if r["feature_net"] != "signal-features" else "plain"
        meaning = f"Fréchet distance in {features} features"
        table.add_row("domain FID", f"{r['domain_fid']:.2f}", f"{r['domain_fid_real']:.2f}", meaning)
    return table


def _table_scores(r: dict[str, Any]) -> Table:
    """Of tables."""
    table = _scores()
    table.add_row("1-way TVD", f"{r['tvd1']:.4f}", f"{r['tvd1_real']:.4f}", "distance to held-out people")
    table.add_row("2-way TVD", f"{r['tvd2']:.4f}", f"{r['tvd2_real']:.4f}", "lower is better")
    if r["tstr_auc"] is not None:
        table.add_row(
            "AUC", f"{r['tstr_auc']:.3f}", f"{r['trtr_auc']:.3f}", "of boosting, on held-out people"
        )
    return table


def _next_command(outcome: Outcome) -> str:
    if not _is_table(outcome):
        return f"fedcgan sample --from {outcome.folder} --interpolate 10 -o between.png"
    wheres = " ".join(f"--where {name}={value}" for name, value in outcome.example.items())
    return f"fedcgan sample --from {outcome.folder} --n 10 {wheres}"


def print_schema(schema: Schema) -> None:
    """A schema as a table."""
    if isinstance(schema, ArraySchema):
        _print_array_schema(schema)
        return
    assert isinstance(schema, TableSchema)
    table = Table(title=f"{schema.name}  ({schema.hash[:12]})", box=None, pad_edge=False)
    for heading in ("column", "kind", "codes", "missing", "condition", "values"):
        table.add_column(heading)
    for column in schema.columns:
        if isinstance(column, CategoryColumn):
            values = ", ".join(map(str, column.categories))
        else:
            low, high = (iso_date(v) if column.kind == "date" else f"{v:g}" for v in column.bounds)
            values = f"{low} … {high} {column.unit}"
        flags = ("yes" if flag else "" for flag in (column.missing, column.condition))
        table.add_row(column.name, column.kind, str(column.size), *flags, values)
    output.print(table)
    for number, constraint in enumerate(constraints_of(schema), 1):
        output.print(f"constraint {number}: {constraint}", markup=False, highlight=False)


def _print_array_schema(schema: ArraySchema) -> None:
    table = Table(title=f"{schema.name}  ({schema.hash[:12]})", box=None, pad_edge=False, show_header=False)
    if isinstance(schema, ImageSchema):
        table.add_row("images", f"{schema.size} x {schema.size} pixels, {schema.channels} channel(s), 8 bits")
    if isinstance(schema, SignalSchema):
        table.add_row("signals", f"{schema.length} samples at {schema.sampling_rate:g} Hz")
        for channel in schema.channels:
            table.add_row(
                "channel", f"{channel.name}, {channel.bounds[0]:g} … {channel.bounds[1]:g} {channel.unit}"
            )
    table.add_row("condition", f"{schema.label.name}: " + ", ".join(map(str, schema.label.categories)))
    table.add_row("protects", schema.unit)
    output.print(table)

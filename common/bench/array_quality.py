"""Quality of a federated run on images or signals, beside the same recipe central and without noise."""

from __future__ import annotations

import gzip
import os
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from ..array_generator import ReleasedArrays
from ..arrays import Arrays
from ..columns import CategoryColumn
from ..config import Data, Federation, Privacy, Release, SimulationConfig, Sites, Training
from ..errors import ConfigError, DataError
from ..evaluation.alarms import alarms
from ..generator import ReleasedGenerator
from ..modalities.array_layout import ArrayLayout
from ..models.pair import Pair
from ..plan import Plan
from ..schema import ArraySchema, Channel, ImageSchema, SignalSchema
from ..simulation.array_report import array_scores
from ..simulation.holdings import ArrayHoldings
from ..simulation.prepare import Run
from ..simulation.split import assign
from ..terminal import output
from ..versions import versions

_TEST = 0.2  # of signals without a test set
_DRAWN = 20_000  # synthetic records that classifiers learn from
_BOUNDS, _RATE = (-3.0, 3.0), 180.0  # public: millivolts and Hz of the light MIT-BIH beats
_ROUNDS = {"moments": 0, "every-step": 200, "local": 5}


def measure(
    modality: str,
    data: Path,
    epsilon: float,
    delta: float,
    sites: int,
    skew: float | None,
    schedule: str,
    rounds: int | None,
    seed: int,
    central: bool,
    generator: str,
    preset: str,
) -> dict[str, Any]:
    """One run: accuracy (percent), macro_f1, tstr_over_trtr, domain_fid, seconds, bytes and more.

    data: an npz with x_train, y_train, x_test, y_test; or with X, y (and split, 1 for what is used), of which
    a fifth is held out; or a folder of gzipped idx files as Fashion-MNIST comes
    skew: Dirichlet concentration of the label over sites, None for the same mixture everywhere
    central: whether to score the same recipe on pooled records, with its noise and without, too
    generator: film or convolutional; preset: cpu or gpu
    Raises DataError for another file, ConfigError if a site got no record.
    """
    train, test, schema = load(modality, data, seed)
    config = _config(train, schema, epsilon, delta, sites, skew, schedule, rounds, seed, generator, preset)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        simulate = import_module("server.simulate").simulate
        report = simulate(config, train, schema, Path(folder) / "r", False, scored=False).report
        released = import_module("common.released").load_release(Path(folder) / "r")
        plan = Run.open(Path(folder) / "r.run", config).plan
    assert not isinstance(released, ReleasedGenerator)
    seconds = time.perf_counter() - start
    beside = {}
    if central:
        for name, noisy in (("central", True), ("central_without_noise", False)):
            beside[name] = _scored(_pooled(train, schema, plan, noisy), train, test, schema, seed)
    up = [traffic["up"] for traffic in report["bytes"].values()]
    return {
        **_scored(released, train, test, schema, seed, strong=modality == "image"),
        "seconds": round(seconds, 1),
        "seconds_by_phase": report["seconds"],
        "upload_bytes_per_site": max(up),
        "epsilon": report["epsilon"],
        "delta": delta,
        "unit": report["unit"],
        "epsilon_views": report["epsilon_views"],
        "data": data.name,
        "schedule": schedule,
        "generator": generator,
        "preset": preset,
        "sites": sites,
        "skew": skew,
        "rounds": config.training.rounds,
        "seed": seed,
        "records": {"train": len(train), "test": len(test)},
        "baselines": beside,
        "machine": {"cores": os.cpu_count(), **versions()},
    }


def load(modality: str, data: Path, seed: int) -> tuple[Arrays, Arrays, ArraySchema]:
    """Training and test records with a schema that fits them: a benchmark may look."""
    arrays = _idx(data) if data.is_dir() else _npz(data)
    if "x_train" in arrays:
        parts = [(arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test")]
    elif "X" in arrays:
        used = arrays["split"] == 1 if "split" in arrays else np.ones(len(arrays["X"]), bool)
        order = np.random.default_rng(seed).permutation(np.nonzero(used)[0])
        cut = round((1 - _TEST) * len(order))
        parts = [(arrays["X"][rows], arrays["y"][rows]) for rows in (order[:cut], order[cut:])]
    else:
        raise DataError(
            f"{data} has neither x_train nor X",
            hint="an npz with x_train, y_train, x_test and y_test, or with X and y",
        )
    labels = np.unique(np.concatenate([y for _, y in parts]))
    label = CategoryColumn(name="label", categories=tuple(int(value) for value in labels))
    schema: ArraySchema
    if modality == "image":
        values = [_images(x) for x, _ in parts]
        side, channels = values[0].shape[-1], values[0].shape[1]
        schema = ImageSchema(kind="image", name=data.stem, label=label, size=side, channels=channels)
    else:
        values = [np.clip(x.reshape(len(x), -1, x.shape[-1]), *_BOUNDS).astype(np.float32) for x, _ in parts]
        names = [f"channel {i + 1}" for i in range(values[0].shape[1])]
        schema = SignalSchema(
            kind="signal",
            name=data.stem,
            label=label,
            sampling_rate=_RATE,
            length=values[0].shape[2],
            channels=tuple(Channel(name=name, unit="mV", bounds=_BOUNDS) for name in names),
        )
    found = [Arrays(x, np.searchsorted(labels, y)) for x, (_, y) in zip(values, parts, strict=True)]
    return found[0], found[1], schema


def _npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} cannot be read as npz") from error


def _idx(folder: Path) -> dict[str, NDArray[Any]]:
    """Fashion-MNIST as its authors publish it (idx format, 16 and 8 bytes of header)."""
    found = {}
    for part, name in (("train", "train"), ("test", "t10k")):
        for kind, header in (("images-idx3", 16), ("labels-idx1", 8)):
            path = folder / f"{name}-{kind}-ubyte.gz"
            try:
                raw = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)
            except OSError as error:
                raise DataError(f"{path} cannot be read") from error
            found[f"{'x' if header == 16 else 'y'}_{part}"] = raw
    return {
        name: raw.reshape(len(found[f"y_{name[2:]}"]), 28, 28) if name[0] == "x" else raw
        for name, raw in found.items()
    }


def _images(x: NDArray[Any]) -> NDArray[np.uint8]:
    """uint8[n, channels, side, side] of grey images [n, side, side] or coloured ones [n, side, side, 3]."""
    return x[:, None] if x.ndim == 3 else np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def _config(
    train: Arrays,
    schema: ArraySchema,
    epsilon: float,
    delta: float,
    count: int,
    skew: float | None,
    schedule: str,
    rounds: int | None,
    seed: int,
    generator: str,
    preset: str,
) -> SimulationConfig:
    label = schema.label.name
    split = {"split": "iid"} if skew is None else {"split": "dirichlet", "column": label, "alpha": skew}
    sites = Sites.model_validate({"count": count, **split})
    random, index = np.random.default_rng(seed), ArrayHoldings(train, schema).index
    sizes = np.bincount(assign(index, None, sites, random)[1], minlength=count)
    if sizes.min() == 0:
        raise ConfigError(
            f"with seed {seed} a site holds no record", hint="a larger --skew, or another --seed"
        )
    training = {
        "records_per_site": int(sizes.min()),
        "most_records_per_site": int(sizes.max()),
        "schedule": schedule,
        "rounds": _ROUNDS[schedule] if rounds is None else rounds,
    }
    return SimulationConfig.model_validate(
        {
            "name": "bench",
            "seed": seed,
            "data": Data(table="train", schema="schema"),
            "release": Release(holdout=0.0, evaluate_share=0.0),  # it has a test set of its own
            "sites": sites,
            "federation": Federation(threshold=2 * min(count, 16) // 3 + 1, min_contributors=count),
            "privacy": Privacy(epsilon=epsilon, delta=delta),
            "model": {"generator": generator},
            "features": {"preset": preset},
            "training": Training.model_validate(training),
        }
    )


def _pooled(train: Arrays, schema: ArraySchema, plan: Plan, noisy: bool) -> ReleasedArrays:
    """The same sum and fit on pooled records, as a trusted curator would do it: one draw of noise."""
    features = import_module("common.contributions").array_features(schema, plan)
    random = import_module("common.csprng").Csprng()
    layout = ArrayLayout.of(schema)
    total = features.sum(layout.to_rows(train), np.ones(len(train)))
    if noisy:
        total = total + plan.measure.noise_multiplier * random.gaussian(features.count)
    state = import_module("server.checkpoint").Checkpoint(path=Path("unused"), plan=plan.hash, moments=total)
    measured = import_module("server.measured").measured(plan, schema, state)
    generator = Pair.new(layout, plan.model, plan.seed).generator
    measured.fit(generator, plan.privacy.epsilon)
    state.average = import_module("common.models.pair").to_vector(generator)
    state.rounds_done = plan.rounds
    released: ReleasedArrays = import_module("server.release").released_generator(plan, schema, state)
    return released


def _scored(
    released: ReleasedArrays,
    train: Arrays,
    test: Arrays,
    schema: ArraySchema,
    seed: int,
    *,
    strong: bool = False,
) -> dict[str, Any]:
    """As many synthetic signals as real ones, or 20,000 images; accuracies in percent."""
    count = len(train) if isinstance(schema, SignalSchema) else _DRAWN
    drawn = released.sample(count, {}, seed)
    found = array_scores(drawn, train, test, schema, seed, strong=strong)
    percent = {name: 100 * value for name, value in found.items() if name.startswith("accuracy")}
    watched = alarms(drawn, schema, released.prior)
    return {**found, **percent, "alarms": watched}


def print_table(result: dict[str, Any]) -> None:
    """The figures beside what real records score."""
    names = ("accuracy", "macro_f1", "tstr_over_trtr", "domain_fid")
    table = Table(box=None, pad_edge=False)
    for heading in ("", *names):
        table.add_column(heading, justify="left" if not heading else "right")
    rows = {f"federated, epsilon {result['epsilon']:g}": result, **result["baselines"]}
    for name, row in rows.items():
        cells = (f"{row[key]:.3f}" if row.get(key) is not None else "" for key in names)
        table.add_row(name.replace("_", " "), *cells)
    real = (f"{result[key]:.3f}" if key in result else "" for key in ("accuracy_real", "macro_f1_real"))
    table.add_row("real", *real, "", "")
    output.print(table)
    for name, found in named(result).items():
        output.print(f"{name}: {found}", highlight=False)
    output.print(
        f"{result['seconds']:.0f} s, {result['upload_bytes_per_site'] / 1e6:.1f} MB a site", highlight=False
    )


def named(result: dict[str, Any]) -> dict[str, str]:
    """Classifiers and feature net by which the figures were made, with the beginnings of their hashes."""
    found = {}
    for ending in ("", "_strong"):
        if name := result.get(f"classifier{ending}"):
            weights = (result[f"classifier_weights{ending}{side}"] for side in ("", "_real"))
            synthetic, real = (str(one)[:16] for one in weights)
            found[f"classifier {name}"] = f"{synthetic} learned from synthetic, {real} from real records"
    return {**found, "feature net": result["feature_net"][:16]}

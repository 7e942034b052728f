"""Real and generated signals side by side: their main components, examples, and what a classifier learns.

All of this shows or tests real records: only where they may be seen, at a site or in a simulation. Nothing of
it is part of a release.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ..arrays import Arrays
from ..errors import TooFewRecordsError
from ..modalities.signal_output import new_figure, save
from ..schema import SignalSchema
from .signal_features import features


@dataclass(frozen=True, slots=True)
class Components:
    """Records on the two main components of the real features, ``float64[records, 2]``, and their variance.

    shares: the part of the variance of the standardised real features on each component
    """

    real: NDArray[np.float64]
    generated: NDArray[np.float64]
    shares: NDArray[np.float64]


def components(real: NDArray[np.float64], generated: NDArray[np.float64]) -> Components:
    """PCA fitted to standardised real features [records, features]; both sides are projected alike.

    Only where real records may be seen. Raises TooFewRecordsError with fewer than two real records.
    """
    if len(real) < 2:
        raise TooFewRecordsError(f"{len(real)} real records have no main components, at least 2 are needed")
    scaler = StandardScaler().fit(real)
    with np.errstate(invalid="ignore"):  # equal records have no variance to share out
        model = PCA(2, svd_solver="full").fit(scaler.transform(real))
    shares = np.nan_to_num(model.explained_variance_ratio_)
    on_real, on_generated = (model.transform(scaler.transform(side)) for side in (real, generated))
    return Components(on_real, on_generated, shares)


def overlay(real: Arrays, generated: Arrays, schema: SignalSchema, path: Path) -> Components:
    """A PNG of the main components of the features, a panel for each class, real and generated overlaid.

    Only where real records may be seen. Raises TooFewRecordsError or StorageError.
    """
    found = components(
        features(real.values, schema.sampling_rate), features(generated.values, schema.sampling_rate)
    )
    sheet = new_figure(3.4 * schema.classes + 0.6, 3.6)
    cells = sheet.subplots(1, schema.classes, sharex=True, sharey=True, squeeze=False)[0]
    for code, (cell, category) in enumerate(zip(cells, schema.label.categories, strict=True)):
        for name, points, labels in (
            ("real", found.real, real.labels),
            ("generated", found.generated, generated.labels),
        ):
            x, y = points[labels == code].T
            cell.scatter(x, y, s=6, alpha=0.5, linewidths=0, label=name)
        cell.set_title(f"{schema.label.name} {category}", fontsize="medium", parse_math=False)
        cell.set_xlabel(f"component 1 ({found.shares[0]:.0%} of variance)")
    cells[0].set_ylabel(f"component 2 ({found.shares[1]:.0%})")
    cells[0].legend()
    save(sheet, path, {"Title": "Real and generated signals: main components of features"})
    return found


def side_by_side(
    real: Arrays, generated: Arrays, schema: SignalSchema, path: Path, *, channel: int = 0, examples: int = 3
) -> None:
    """A PNG, a row a class, the sides as columns: examples, the mean, one standard deviation around it.

    The examples are the first records of a class. With two classes these are the four views. Only where real
    records may be seen: it draws some. Raises StorageError.
    """
    seconds = np.arange(schema.length) / schema.sampling_rate
    sheet = new_figure(9, 2.2 * schema.classes + 0.6)
    cells = sheet.subplots(schema.classes, 2, sharex=True, sharey=True, squeeze=False)
    for row, category in enumerate(schema.label.categories):
        for cell, side in zip(cells[row], (real, generated), strict=True):
            signals = side.values[side.labels == row, channel]
            for signal in signals[:examples]:
                cell.plot(seconds, signal, linewidth=0.5, alpha=0.6)
            if len(signals):
                mean, deviation = signals.mean(axis=0), signals.std(axis=0)
                cell.fill_between(seconds, mean - deviation, mean + deviation, color="black", alpha=0.15)
                cell.plot(seconds, mean, color="black", linewidth=1)
        cells[row, 0].set_ylabel(f"{schema.label.name} {category}", parse_math=False)
    unit = schema.channels[channel].unit
    for cell, name in zip(cells[0], ("real", "generated"), strict=True):
        cell.set_title(f"{name}: {schema.channels[channel].name} in {unit}", parse_math=False)
    for cell in cells[-1]:
        cell.set_xlabel("seconds")
    save(sheet, path, {"Title": "Real and generated signals: examples, mean and standard deviation"})


def tstr(synthetic: Arrays, train: Arrays, test: Arrays) -> dict[str, dict[str, Any]]:
    """Train on synthetic, test on real (Esteban et al. 2017), next to train on real.

    synthetic, train, test: generated records; real records; other real records of other subjects. Two
    classifiers see the samples of all channels in a row: ``trees`` (100 extremely randomised trees, balanced,
    seed 0) and ``logistic`` (regression on standardised samples).
    Each has ``synthetic_accuracy``, ``synthetic_macro_f1``, ``real_accuracy``, ``real_macro_f1``, the hashes
    ``synthetic_weights`` and ``real_weights`` of the very classifiers (None: one class was always said), and
    ``ratio``, the macro-F1 trained on synthetic over that trained on real; None if the latter is 0. F1 is
    over the classes of the test records. Only where real records may be seen, at a site or in a simulation.
    """
    result = {}
    for name in ("trees", "logistic"):
        scores: dict[str, Any] = {}
        for side, records in (("synthetic", synthetic), ("real", train)):
            accuracy, f1, weights = _score(name, records, test)
            scores |= {f"{side}_accuracy": accuracy, f"{side}_macro_f1": f1, f"{side}_weights": weights}
        below = scores["real_macro_f1"]
        scores["ratio"] = scores["synthetic_macro_f1"] / below if below else None
        result[name] = scores
    return result


def _score(name: str, train: Arrays, test: Arrays) -> tuple[float, float, str | None]:
    """Accuracy, macro-F1 on ``test`` and hash. With one class to learn from, that class is always said."""
    if not len(train) or not len(test):
        raise TooFewRecordsError("a classifier needs records to learn from and others to be tested on")
    said, weights = np.full(len(test), train.labels[0]), None
    if np.unique(train.labels).size > 1:
        model = trees() if name == "trees" else _logistic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # short training is the same for both sides
            model.fit(train.values.reshape(len(train), -1), train.labels)
        said = model.predict(test.values.reshape(len(test), -1))
        weights = _hash(_learned(model))
    f1 = f1_score(test.labels, said, labels=np.unique(test.labels), average="macro", zero_division=0)
    return float(accuracy_score(test.labels, said)), float(f1), weights


def trees() -> ExtraTreesClassifier:
    """100 extremely randomised trees, balanced, seed 0."""
    return ExtraTreesClassifier(100, class_weight="balanced", random_state=0)


def _logistic() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))


def _learned(model: ExtraTreesClassifier | Pipeline) -> list[NDArray[Any]]:
    """All that a classifier predicts by."""
    if isinstance(model, Pipeline):
        scaler, regression = model[0], model[-1]
        return [scaler.mean_, scaler.scale_, regression.coef_, regression.intercept_]
    parts = ("children_left", "children_right", "feature", "threshold", "value")
    return [getattr(one.tree_, part) for one in model.estimators_ for part in parts]


def _hash(arrays: list[NDArray[Any]]) -> str:
    """SHA-256, in hex, of types, shapes and bytes in order."""
    found = hashlib.sha256()
    for array in arrays:
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        found.update(f"{little.dtype.str} {little.shape}\n".encode())
        found.update(little.tobytes())
    return found.hexdigest()

"""Fidelity and utility of synthetic images and signals as figures."""

from __future__ import annotations

from typing import Any

from ..arrays import Arrays
from ..schema import ArraySchema, SignalSchema
from .classifiers import REFERENCE
from .figures import Figure
from .image_scores import image_scores
from .intervals import clopper_pearson
from .signal_views import tstr
from .spectra import spectral_figures

_NET = "in features of a small network trained on the training images; the reference is held-out images"
_DISTANCES = (
    ("domain_fid", "Fréchet distance", "lower", f"As Heusel et al. 2017, {_NET}."),
    ("kid", "Kernel distance", "lower", f"Unbiased squared MMD (Binkowski et al. 2018), {_NET}."),
    ("sliced_wasserstein", "Sliced Wasserstein distance of pixels", "lower", "Mean over random directions."),
    ("precision", "Synthetic images among real ones", "higher", f"Kynkäänniemi et al. 2019, {_NET}."),
    ("recall", "Real images among synthetic ones", "higher", f"Kynkäänniemi et al. 2019, {_NET}."),
    ("density", "Density of synthetic images among real ones", "higher", f"Naeem et al. 2020, {_NET}."),
    ("coverage", "Real images with a synthetic one nearby", "higher", f"Naeem et al. 2020, {_NET}."),
)

Figures = tuple[Figure, ...]


def array_figures(
    training: Arrays,
    holdout: Arrays,
    synthetic: Arrays,
    schema: ArraySchema,
    seed: int,
    reference: int = REFERENCE,
) -> tuple[Figures, Figures]:
    """Fidelity and utility. Raises TooFewRecordsError with fewer than 2 records on a side.

    seed, reference: as of ``image_scores``
    """
    if isinstance(schema, SignalSchema):
        found = tstr(synthetic, training, holdout)
        learnt = [
            figure
            for family, words in (("trees", "randomised trees"), ("logistic", "logistic regression"))
            for figure in _learnt(
                family, words, *_pairs(found[family], "synthetic_{}", "real_{}"), len(holdout)
            )
        ]
        return spectral_figures(training, holdout, synthetic, schema), tuple(learnt)
    scores = image_scores(synthetic, training, holdout, seed, reference=reference)
    fidelity = [_distance(scores, name, title, better, how) for name, title, better, how in _DISTANCES]
    accuracies = _pairs(scores, "{}", "{}_real")
    return tuple(fidelity), tuple(_learnt("small-cnn", "a small network", *accuracies, len(holdout)))


def _pairs(scores: dict[str, Any], made: str, real: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Accuracy and macro-F1, learnt from synthetic and from real records."""
    accuracy, f1 = (
        (scores[made.format(name)], scores[real.format(name)]) for name in ("accuracy", "macro_f1")
    )
    return accuracy, f1


def _distance(scores: dict[str, Any], name: str, title: str, better: Any, how: str) -> Figure:
    if name == "coverage":
        name = "prdc_coverage"
    key = name.removeprefix("prdc_")
    return Figure(
        name=name,
        title=title,
        value=scores[key],
        low=scores.get(f"{key}_low"),
        high=scores.get(f"{key}_high"),
        reference=scores[f"{key}_real"],
        better=better,
        source="records",
        how=how + f" Feature net {scores['feature_net'][:12]}, {scores['records_distances']} records.",
    )


def _learnt(
    family: str, words: str, accuracy: tuple[float, float], f1: tuple[float, float], count: int
) -> list[Figure]:
    """Accuracy with its interval over held-out records, and macro-F1, which has none in closed form."""
    low, high = clopper_pearson(accuracy[0] * count, count)
    said = f"Trained on synthetic, tested on {count} held-out records; the reference learnt from real ones."
    title = f"Trained on synthetic, tested on held-out records: {words}"
    return [
        Figure(
            name=f"accuracy.{family}",
            title=f"{title}, accuracy",
            value=accuracy[0],
            low=low,
            high=high,
            reference=accuracy[1],
            better="higher",
            source="records",
            how=f"{said} Interval: Clopper and Pearson 1934.",
        ),
        Figure(
            name=f"macro_f1.{family}",
            title=f"{title}, macro-F1",
            value=f1[0],
            reference=f1[1],
            better="higher",
            source="records",
            how=said,
        ),
    ]

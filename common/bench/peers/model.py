"""The graphical model under MST and AIM: mbi's (McKenna, Sheldon, Miklau 2019), fitted to noisy counts."""

import jax

jax.config.update("jax_enable_x64", True)  # both before mbi, which warns otherwise
jax.config.update("jax_enable_compilation_cache", False)

import numpy as np  # noqa: E402
from mbi import Domain, LinearMeasurement, WeightedQuery, estimation, junction_tree  # noqa: E402


def domain(sizes):
    """Columns are called by their place."""
    return Domain(tuple(range(len(sizes))), tuple(sizes))


def measurement(noisy, columns, sigma, parts=None):
    """Noisy counts of a marginal, row-major, as the model takes them.

    parts: how many cells of noise sigma each count sums; one if None
    """
    if parts is None or (parts == 1).all():
        return LinearMeasurement(noisy, tuple(columns), sigma)
    weights = 1 / np.sqrt(parts)
    return LinearMeasurement(noisy * weights, tuple(columns), sigma, WeightedQuery(weights))


def megabytes(sizes, cliques):
    """What the tables of a model with these marginals take together, by its junction tree."""
    return junction_tree.hypothetical_model_size(domain(sizes), cliques)


def total_of(histograms):
    """The number of records by noisy histograms of equal noise: the mean of least variance."""
    sums, weights = [counts.sum() for counts in histograms], [1 / len(counts) for counts in histograms]
    return max(float(np.average(sums, weights=weights)), 1.0)


def fitted(sizes, measurements, total, steps, before=None):
    """The model of largest entropy near the measurements, by mirror descent, from ``before`` if given."""
    descent = estimation.MirrorDescent()
    return descent.estimate(domain(sizes), measurements, known_total=total, iters=steps, warm_start=before)


def records(model, sizes, count):
    """Records drawn of the model by randomised rounding: int64[count, columns]."""
    columns = model.synthetic_data(rows=count).to_dict()
    return np.stack([np.asarray(columns[place], np.int64) for place in range(len(sizes))], axis=1)

"""The baseline: every column by itself, from its own histogram with noise.

Each of d histograms gets noise of the two-sided geometric law at epsilon / d (the discrete Laplace law;
Ghosh, Roughgarden, Sundararajan 2009). A record counts once in each, so that all together are epsilon-DP for
adding or removing one record. Bins are as given. Noise has no seed.
"""

import numpy as np
from exchange import read, write


def noisy_histograms(codes, sizes, epsilon, random):
    """Counts of each column with noise: one int64[codes] for each of ``sizes``."""
    stop = 1 - np.exp(-epsilon / len(sizes))
    return [
        np.bincount(column, minlength=size) + random.geometric(stop, size) - random.geometric(stop, size)
        for column, size in zip(codes.T, sizes, strict=True)
    ]


def drawn(histograms, records, random):
    """Records whose columns are independent, by histograms in which what is below 0 counts as 0."""
    columns = []
    for counts in histograms:
        kept = np.maximum(counts, 0)
        shares = kept / kept.sum() if kept.any() else None
        columns.append(random.choice(len(counts), records, p=shares))
    return np.stack(columns, axis=1)


def main():
    """Run the task."""
    task, codes, _ = read()
    random = np.random.default_rng()
    histograms = noisy_histograms(codes, task["sizes"], task["epsilon"], random)
    notes = {"mechanism": "two-sided geometric", "epsilon_per_column": task["epsilon"] / len(task["sizes"])}
    write(drawn(histograms, task["records"], random), ["numpy"], notes)


if __name__ == "__main__":
    main()

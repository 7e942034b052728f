"""MST (McKenna, Miklau, Sheldon 2021, "Winning the NIST contest"): a tree of noisy two-way marginals.

A third of the budget each for all one-way marginals, for choosing a spanning tree of pairs (exponential
mechanism on how badly a model of the one-ways says a pair), and for measuring the pairs. Values that are too
rare to be seen in the noise share one code. Written from the paper, on mbi's model.
"""

from itertools import combinations

import numpy as np
from exchange import read, write
from model import fitted, measurement, records, total_of
from zcdp import exponential, gaussian, marginal, rho_for

_SEEN = 3.0  # standard deviations of noise: a count below is of a rare value
_STEPS_FIRST, _STEPS_LAST = 1000, 5000


def common_codes(noisy, sigma):
    """For each code its new one: seen values first, the rare ones share the last; and their number."""
    seen = noisy >= _SEEN * sigma
    if seen.all() or seen.sum() < 1 or (~seen).sum() == 1:
        return np.arange(len(noisy)), len(noisy)
    return np.where(seen, np.cumsum(seen) - 1, seen.sum()), int(seen.sum()) + 1


def spanning_tree(codes, sizes, model, total, rho, random):
    """d - 1 pairs that connect all columns, each chosen among those that connect two parts.

    A model of one-way marginals alone says a pair by the product of its two columns.
    """
    count = len(sizes)
    said = [np.asarray(model.project((place,)).datavector()) for place in range(count)]
    errors = {
        pair: np.abs(
            marginal(codes, sizes, pair) - np.outer(said[pair[0]], said[pair[1]]).ravel() / total
        ).sum()
        for pair in combinations(range(count), 2)
    }
    part, chosen = list(range(count)), []
    epsilon = np.sqrt(8 * rho / (count - 1))
    while len(chosen) < count - 1:
        open_pairs = [pair for pair in errors if part[pair[0]] != part[pair[1]]]
        pair = open_pairs[exponential([errors[one] for one in open_pairs], epsilon, 1.0, random)]
        chosen.append(pair)
        part = [part[pair[0]] if one == part[pair[1]] else one for one in part]
    return chosen


def main():
    """Run the task."""
    task, codes, _ = read()
    sizes, random = task["sizes"], np.random.default_rng()
    rho = rho_for(task["epsilon"], task["delta"])
    sigma = np.sqrt(3 * len(sizes) / (2 * rho))
    noisy = [gaussian(marginal(codes, sizes, (place,)), sigma, random) for place in range(len(sizes))]
    maps = [common_codes(counts, sigma) for counts in noisy]
    fewer = [size for _, size in maps]
    short = np.stack([into[codes[:, place]] for place, (into, _) in enumerate(maps)], axis=1)
    measured = [
        measurement(np.bincount(into, counts, size), (place,), sigma, np.bincount(into, minlength=size))
        for place, (counts, (into, size)) in enumerate(zip(noisy, maps, strict=True))
    ]
    total = total_of(noisy)
    first = fitted(fewer, measured, total, _STEPS_FIRST)
    sigma = np.sqrt(3 * (len(sizes) - 1) / (2 * rho))
    pairs = spanning_tree(short, fewer, first, total, rho / 3, random)
    for pair in pairs:
        measured.append(measurement(gaussian(marginal(short, fewer, pair), sigma, random), pair, sigma))
    made = records(fitted(fewer, measured, total, _STEPS_LAST), fewer, task["records"])
    for place, (into, size) in enumerate(maps):
        made[:, place] = _spread(made[:, place], into, size, random)
    notes = {
        "rho": rho,
        "codes": sum(sizes),
        "codes_after_merging_rare": sum(fewer),
        "pairs": [[task["columns"][place] for place in pair] for pair in pairs],
    }
    write(made, ["mbi", "jax", "numpy"], notes)


def _spread(column, into, size, random):
    """Original codes; of those that were merged any one alike."""
    found = np.empty(len(column), np.int64)
    for code in range(size):
        rows = column == code
        found[rows] = random.choice(np.nonzero(into == code)[0], rows.sum())
    return found


if __name__ == "__main__":
    main()

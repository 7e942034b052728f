"""Zero-concentrated differential privacy as MST and AIM spend it (Bun and Steinke 2016), in numpy."""

import numpy as np

_ORDERS = 1 + np.logspace(-4, 6, 20_001)


def rho_for(epsilon, delta):
    """The largest rho of which (epsilon, delta) follows by Canonne, Kamath, Steinke 2020, Proposition 12."""
    low, high = 0.0, epsilon + 1.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_of(middle, epsilon) <= delta else (low, middle)
    return low


def delta_of(rho, epsilon):
    """An upper bound of delta, the least over a grid of orders: every order gives a valid one."""
    orders = _ORDERS
    logs = (orders - 1) * (orders * rho - epsilon) + orders * np.log1p(-1 / orders) - np.log(orders - 1)
    return float(np.exp(min(logs.min(), 0.0)))


def gaussian(counts, sigma, random):
    """Counts with Gaussian noise: 1 / (2 sigma^2)-zCDP, as a record changes one of them by one."""
    return counts + random.normal(0.0, sigma, len(counts))


def exponential(qualities, epsilon, sensitivity, random):
    """The place of one of ``qualities``, drawn by the exponential mechanism: epsilon^2 / 8-zCDP."""
    logits = np.asarray(qualities) * (epsilon / (2 * sensitivity))
    weights = np.exp(logits - logits.max())
    return int(random.choice(len(weights), p=weights / weights.sum()))


def marginal(codes, sizes, columns):
    """Counts of the cells of some columns, row-major: float64[product of sizes]."""
    shape = [sizes[column] for column in columns]
    cells = np.ravel_multi_index(tuple(codes[:, column] for column in columns), shape)
    return np.bincount(cells, minlength=int(np.prod(shape))).astype(float)

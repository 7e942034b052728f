"""Growth laws of measured points: an exponent by least squares on logarithms, and a law with a fixed part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

_FEWEST = 3
_POWERS = (1.0, 1.5, 2.0)
_SEEN = 0.1  # of the fixed part, from which growth is more than noise


@dataclass(frozen=True, slots=True)
class Law:
    """Cost y at x, two ways.

    exponent: of y = b x**exponent, least squares on logarithms; low, high: its 95 % interval (Student's t)
    fixed, factor, power: of y = fixed + factor * x**power, all at least 0, the power 1, 3/2 or 2; least
    squares of relative errors: what holds where a start-up cost hides the growth; off: its largest such error
    least, most: the range of x that was measured
    """

    exponent: float
    low: float
    high: float
    fixed: float
    factor: float
    power: float
    off: float
    least: float
    most: float

    def at(self, x: float) -> float:
        """What the law with a fixed part says."""
        return float(self.fixed + self.factor * x**self.power)

    @property
    def grows(self) -> bool:
        """Whether the largest measured value costs a tenth more than the fixed part."""
        return bool(self.factor * self.most**self.power > _SEEN * self.fixed)

    def reaches(self, y: float) -> float | None:
        """Where it reaches y; None where no growth was seen, or y is less than the fixed part."""
        if not self.grows or y <= self.fixed:
            return None
        return float(((y - self.fixed) / self.factor) ** (1 / self.power))


def law(x: Sequence[float], y: Sequence[float]) -> Law | None:
    """The law of points; None for fewer than three, or for a cost that is not positive everywhere."""
    at, cost = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(at) < _FEWEST or (cost <= 0).any():
        return None
    found = stats.linregress(np.log(at), np.log(cost))
    error = 0.0 if np.ptp(cost) == 0 else float(found.stderr)  # which is no number if all costs are equal
    reach = float(stats.t.ppf(0.975, len(at) - 2)) * error
    fixed, factor, power = _with_fixed(at, cost)
    off = np.abs((fixed + factor * at**power) / cost - 1).max()
    return Law(
        exponent=round(float(found.slope), 3),
        low=round(float(found.slope) - reach, 3),
        high=round(float(found.slope) + reach, 3),
        fixed=fixed,
        factor=factor,
        power=power,
        off=round(float(off), 3),
        least=float(at.min()),
        most=float(at.max()),
    )


def _with_fixed(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Fixed part, factor and power: the best of the powers, the other two by least squares, not negative."""
    best = (np.inf, 0.0, 0.0, 1.0)
    for power in _POWERS:
        scale = float(x.max()) ** power  # so that both columns are of one size
        design = np.stack([1 / y, x**power / scale / y], axis=1)
        (fixed, factor), error = optimize.nnls(design, np.ones(len(x)))
        best = min(best, (float(error), float(fixed), float(factor / scale), power))
    return best[1:]

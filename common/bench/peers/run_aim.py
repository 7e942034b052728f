"""AIM (McKenna, Mullins, Sheldon, Miklau 2022): the worst said marginal is measured, round after round.

Written from the paper, on mbi's model; workload: all pairs. Two things bound its time, both stated in what it
leaves: there are four rounds a column (the paper has sixteen), and after 60 % of the minutes it is given it
spends what is left of the budget in one last round. A candidate's error is taken on records drawn of the
model, not by exact inference.
"""

import time
from itertools import combinations

import numpy as np
from exchange import read, write
from model import fitted, measurement, megabytes, records, total_of
from zcdp import exponential, gaussian, marginal, rho_for

_ROUNDS = 4  # a column
_MEGABYTES = 5.0  # of the model's largest tables, when all the budget is spent
_SHARE = 0.9  # of a round's budget that measures; the rest selects
_STEPS, _STEPS_LAST = 300, 1500
_DRAWN = 200_000
_TIME = 0.6


class Aim:
    """What is measured so far, and the model of it.

    sigma, epsilon: of the next round; spent: rho
    """

    def __init__(self, codes, sizes, rho, random):
        self.codes, self.sizes, self.rho, self.random = codes, sizes, rho, random
        self.rounds = _ROUNDS * len(sizes)
        self.sigma, self.epsilon = self._noise(rho / self.rounds)
        singles = [(place,) for place in range(len(sizes))]
        noisy = [gaussian(self._counts(one), self.sigma, random) for one in singles]
        self.measured = [measurement(y, one, self.sigma) for y, one in zip(noisy, singles, strict=True)]
        self.spent = len(sizes) / (2 * self.sigma**2)
        self.total = total_of(noisy)
        self.chosen = []
        self.weights = dict.fromkeys(singles, 1.0) | dict.fromkeys(combinations(range(len(sizes)), 2), 2.0)
        self._fit(_STEPS)

    def round(self, last):
        """Choose a marginal, measure it, fit; with ``last`` all that is left is spent."""
        left = self.rho - self.spent
        if last or left < 2 * self._cost():
            self.sigma, self.epsilon = self._noise(left)
        one = self._choice()
        noisy = gaussian(self._counts(one), self.sigma, self.random)
        self.spent += self._cost()
        self.measured.append(measurement(noisy, one, self.sigma))
        self.chosen.append(one)
        before = self._said(one)
        self._fit(_STEPS)
        moved = np.abs(self._said(one) - before).sum()
        if moved <= np.sqrt(2 / np.pi) * self.sigma * len(noisy):  # less than the noise: measure more exactly
            self.sigma, self.epsilon = self.sigma / 2, self.epsilon * 2

    def finish(self, count):
        """Records of the model of everything that was measured."""
        self._fit(_STEPS_LAST)
        return records(self.model, self.sizes, count)

    def _choice(self):
        """By the exponential mechanism, on how much more than noise the model errs."""
        share = min(1.0, (self.spent + self._cost()) / self.rho)
        open_ones = [one for one in self.weights if self._fits(one, share * _MEGABYTES)]
        noise = np.sqrt(2 / np.pi) * self.sigma
        qualities = [
            self.weights[one] * (np.abs(self._counts(one) - self._said(one)).sum() - noise * self._cells(one))
            for one in open_ones
        ]
        most = max(self.weights[one] for one in open_ones)
        return open_ones[exponential(qualities, self.epsilon, most, self.random)]

    def _fits(self, one, most):
        cliques = [one.clique for one in self.measured]
        return one in cliques or megabytes(self.sizes, [*cliques, one]) <= most

    def _fit(self, steps):
        before = getattr(self, "model", None)
        self.model = fitted(self.sizes, self.measured, self.total, steps, before)
        self.drawn = records(self.model, self.sizes, _DRAWN)

    def _noise(self, rho):
        return np.sqrt(1 / (2 * _SHARE * rho)), np.sqrt(8 * (1 - _SHARE) * rho)

    def _cost(self):
        return 1 / (2 * self.sigma**2) + self.epsilon**2 / 8

    def _counts(self, one):
        return marginal(self.codes, self.sizes, one)

    def _said(self, one):
        return marginal(self.drawn, self.sizes, one) * (self.total / _DRAWN)

    def _cells(self, one):
        return int(np.prod([self.sizes[place] for place in one]))


def main():
    """Run the task."""
    task, codes, _ = read()
    start, allowed = time.monotonic(), 60 * _TIME * task["minutes"]
    aim = Aim(codes, task["sizes"], rho_for(task["epsilon"], task["delta"]), np.random.default_rng())
    while aim.spent < aim.rho * (1 - 1e-9):
        aim.round(last=time.monotonic() - start > allowed)
    in_time = time.monotonic() - start <= allowed
    made = aim.finish(task["records"])
    names = task["columns"]
    notes = {
        "rho": aim.rho,
        "rounds": len(aim.chosen),
        "rounds_of_first_noise": aim.rounds,
        "megabytes": _MEGABYTES,
        "ended_by": "budget" if in_time else "time",
        "measured": [[names[place] for place in one] for one in aim.chosen],
    }
    write(made, ["mbi", "jax", "numpy"], notes)


if __name__ == "__main__":
    main()

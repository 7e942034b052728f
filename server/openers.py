"""Which key-holders to ask, and who must have been wrong when an opening fails.

A partial decryption cannot be judged by itself: it is masked. But any ``threshold`` honest key-holders open
the sum, so a set that fails has a culprit in it. Each next set avoids the smallest group of culprits that
explains all failures; the set that succeeds clears its members, and what explanation is left names the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

Holders = tuple[int, ...]


class OpenerSearch:
    """The order in which sets of ``threshold`` key-holders are tried.

    able: their indices (1-based), those to be asked first in front
    """

    def __init__(self, able: Holders, threshold: int) -> None:
        self._able = able
        self._threshold = threshold
        self._failed: list[frozenset[int]] = []
        self._gone: set[int] = set()

    def __iter__(self) -> Iterator[Holders]:
        """Sets to try until nothing is left; call ``absent`` or ``failed`` after each, or stop."""
        while (openers := self._next()) is not None:
            yield openers

    def absent(self, holder: int) -> None:
        """Do not ask this one again: it did not answer, or refused."""
        self._able = tuple(other for other in self._able if other != holder)
        self._gone.add(holder)

    def failed(self, openers: Holders) -> None:
        """All answered, and what they opened is no sum."""
        self._failed.append(frozenset(openers))

    def culprits(self, succeeded: Holders) -> Holders:
        """Who is in every smallest explanation of the failures, knowing that ``succeeded`` did open."""
        suspects = sorted(frozenset().union(*self._failed) - set(succeeded))
        for size in range(len(suspects) + 1):
            if explanations := [
                set(group) for group in combinations(suspects, size) if self._explains(set(group))
            ]:
                return tuple(sorted(set.intersection(*explanations)))
        return ()

    def _next(self) -> Holders | None:
        for size in range(len(self._able) - self._threshold + 1):
            for group in combinations(self._able, size):
                if self._explains({*group, *self._gone}):
                    return tuple(sorted([h for h in self._able if h not in group][: self._threshold]))
        return None

    def _explains(self, group: set[int]) -> bool:
        return all(failed & group for failed in self._failed)

"""Whom to ask next when an opening fails, and who gets the blame."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.crypto.parameters import MOST_OPENINGS
from server.openers import OpenerSearch


def tried(holders: int, threshold: int, liars: set[int], gone: set[int] = frozenset(), after: int = 0):
    """All sets asked until one opens; who is named then. ``gone`` answer the first ``after`` requests."""
    search = OpenerSearch(tuple(range(1, holders + 1)), threshold)
    asked = []
    for openers in search:
        asked.append(openers)
        if missing := (gone & set(openers) if len(asked) > after else set()):
            for holder in missing:
                search.absent(holder)
        elif liars & set(openers):
            search.failed(openers)
        else:
            return asked, search.culprits(openers)
    return asked, None


def test_without_trouble_the_first_set_opens():
    assert tried(6, 4, set()) == ([(1, 2, 3, 4)], ())


@pytest.mark.parametrize(("holders", "threshold"), [(3, 2), (4, 3), (6, 4), (7, 4), (10, 6), (16, 9)])
def test_one_liar_is_named_and_the_rest_open_within_the_limit(holders, threshold):
    for liar in range(1, holders + 1):
        asked, named = tried(holders, threshold, {liar})
        assert len(asked) <= min(threshold + 1, MOST_OPENINGS)
        assert named == ((liar,) if liar <= threshold else ())  # who was not asked is not blamed


def test_two_liars_of_seven_are_named_within_the_limit():
    for liars in combinations(range(1, 8), 2):
        asked, named = tried(7, 4, set(liars))
        assert len(asked) <= MOST_OPENINGS
        assert set(named) <= set(liars)


@given(st.data())
def test_if_enough_are_honest_and_there_they_open_and_only_liars_are_named(data):
    holders = data.draw(st.integers(3, 7))
    threshold = data.draw(st.integers(holders // 2 + 1, holders))
    bad = data.draw(st.sets(st.integers(1, holders), max_size=holders - threshold))
    gone = data.draw(st.sets(st.sampled_from(sorted(bad)))) if bad else set()
    asked, named = tried(holders, threshold, bad, gone, after=data.draw(st.integers(0, 3)))
    assert named is not None
    assert set(named) <= bad
    assert len(set(asked)) == len(asked)  # no set twice: a key-holder would give the same answer


def test_a_liar_that_then_goes_silent_does_not_stop_the_others():
    for liar in range(1, 5):
        for after in range(4):
            assert tried(4, 3, {liar}, gone={liar}, after=after)[1] is not None


def test_with_too_many_liars_the_search_ends():
    asked, named = tried(5, 3, {1, 2, 3})
    assert named is None
    assert len(asked) <= 10

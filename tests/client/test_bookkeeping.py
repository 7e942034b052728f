"""Clipping in one backward pass: no state and no rounding lets a record add more than 1, and what would."""

import itertools
from copy import deepcopy

import numpy as np
import pytest
import torch
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from torch import nn

from client import bookkeeping
from client.bookkeeping import BookKeeping
from tests.client.test_array_gradient import drawn, entered_of, records_of

STATES = ("as it starts", "huge", "tiny", "cancelling", "uneven")


def spoilt(entered, state, random):
    """Weights that a coordinator might choose so that digits are lost, none of which overflows."""
    with torch.no_grad():
        for parameter in entered.parameters():
            if state == "huge":
                parameter.mul_(1e7)
            elif state == "tiny":
                parameter.mul_(1e-9)
            elif state == "cancelling":  # large terms of a sum of which little is left
                signs = torch.ones(parameter.shape[-1], dtype=torch.float64)
                signs[1::2] = -1
                parameter.add_(1e6 * signs)
            elif state == "uneven":
                parameter.mul_(10.0 ** torch.randint(-12, 7, parameter.shape, generator=random))
    return entered


def length(found):
    """Norm in extended precision."""
    return float(np.sqrt((found.numpy().astype(np.longdouble) ** 2).sum()))


def alone(entered, records, norm, views=1):
    """What each record adds to a sum, by itself and as one of a batch."""
    wrapped, draws = BookKeeping(entered), drawn(entered, records)
    try:
        each = [
            wrapped.clipped_sum(records[i : i + views], draws[i : i + views], norm, views)
            for i in range(0, len(records), views)
        ]
        return each, wrapped.clipped_sum(records, draws, norm, views)
    finally:
        wrapped.cleanup()


@pytest.mark.parametrize(("kind", "family"), [("signal", "bce"), ("signal", "cvae"), ("signal", "aae")])
def test_what_a_record_adds_has_norm_at_most_one_whatever_the_state(kind, family):
    clipped, random = 0, torch.Generator().manual_seed(7)
    started, records = entered_of(kind, family), records_of(kind, 4)
    for state, views in itertools.product(STATES, (1, 2)):
        norm = 1.0 if state == "huge" else 1e-6
        each, together = alone(spoilt(deepcopy(started), state, random), records, norm, views)
        lengths = [length(one) for one in each]
        assert max(lengths) <= 1.0
        assert length(together) <= len(each)
        clipped += sum(one > 1 - 1e-8 for one in lengths)
    assert clipped > 10  # the bound is reached, not undercut


def test_coefficients_of_one_would_show(monkeypatch):
    """Negative control: the same test without clipping."""
    monkeypatch.setattr(torch.Tensor, "clamp", lambda self, **_: torch.full_like(self, 1e-6))
    each, _ = alone(entered_of("grey"), records_of("grey", 4), 1e-6)
    assert max(length(one) for one in each) > 100


def test_a_norm_that_says_too_little_would_show(monkeypatch):
    """Negative control of what is left of 1: by two in a hundred million."""
    monkeypatch.setattr(bookkeeping, "SAFE", 1 + 2e-8)
    each, _ = alone(entered_of("grey"), records_of("grey", 4), 1e-6)
    assert max(length(one) for one in each) > 1


class Line(nn.Module):
    """A loss for which a view counts against another: its draw says with which sign."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1).double()

    def forward(self, records, draws):
        return (self.layer(records) * draws).squeeze(1)


def test_views_whose_gradients_cancel_are_clipped_by_what_is_left_of_them():
    """Squares of norms, as ghost clipping adds them up for several positions, would lose it: the control."""
    line = Line()
    records = torch.tensor([[2.0**30], [2.0**30 + 1]], dtype=torch.float64)
    draws = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    wrapped = BookKeeping(line)
    found = wrapped.clipped_sum(records, draws, 1e-3, views=2)
    assert found.tolist() == pytest.approx([-1, 0], abs=1e-8)
    sampler = GradSampleModuleFastGradientClipping.NORM_SAMPLERS[nn.Linear]
    short = sampler(line.layer, [records[None]], draws[None] / 2)
    assert float(short[line.layer.weight]) < 1e-3  # half is left of it, and it would not be clipped


class Twice(Line):
    def forward(self, records, draws):
        return super().forward(self.layer(records), draws)


def test_a_layer_used_twice_or_unknown_or_unused_is_refused():
    """Its gradient would be a part of what belongs into the norm."""
    records = torch.ones(2, 1, dtype=torch.float64)
    with pytest.raises(NotImplementedError, match="twice"):
        BookKeeping(Twice()).clipped_sum(records, records, 1.0)
    unknown = nn.Module()
    unknown.own = nn.Parameter(torch.ones(1))
    with pytest.raises(NotImplementedError, match="no sampler"):
        BookKeeping(unknown)
    unused = Line()
    unused.other = nn.Linear(1, 1).double()
    with pytest.raises((KeyError, AttributeError)):
        BookKeeping(unused).clipped_sum(records, records, 1.0)


def test_networks_are_left_as_they_came():
    line = Line()
    before = set(vars(line)), len(line.layer._forward_hooks), set(vars(line.layer.weight))
    BookKeeping(line).cleanup()
    assert (set(vars(line)), len(line.layer._forward_hooks), set(vars(line.layer.weight))) == before

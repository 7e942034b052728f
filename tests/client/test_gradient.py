"""Schedule ``every-step``: a site's clipped sum, and whole steps against central DP-SGD on pooled records."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from client.gradient import clipped_sum, sum_of_clipped_grads
from common.csprng import Csprng
from common.errors import MalformedMessageError
from common.modalities.grouping import Grouping
from common.modalities.layout import Layout
from common.modalities.tabular import encode
from common.models.build import new_family
from common.models.encoding import record_tensor
from common.models.fakes import Fakes
from common.models.family import Judged
from common.models.objective import fake_loss, generator_loss, real_loss
from common.models.pair import Pair, to_vector
from common.records import Records
from common.states import StepState
from server.adversary import Adversary, step
from tests import toy

SITES = 4


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    training = toy.config().training.model_copy(update={"schedule": "every-step", "rounds": 8})
    run = toy.run_folder(tmp_path_factory.mktemp("gradient") / "run", training=training)
    codes = encode(toy.records().drop(columns="hospital"), toy.SCHEMA)[:240]
    return run.plan, codes


def state(plan, pair):
    grouping = Grouping.of_itself(toy.SCHEMA)
    return StepState(grouping=grouping, entered=to_vector(pair.discriminator)).to_bytes()


def judged(pair, train):
    """D with its loss, in float64."""
    return Judged(pair.discriminator, train.objective).double()


def gradients_one_by_one(discriminator, records, objective):
    """The slow way: float64[records, parameters]."""
    rows = []
    for record in records:
        loss = real_loss(discriminator(record[None]), objective).sum()
        gradient = torch.autograd.grad(loss, list(discriminator.parameters()))
        rows.append(torch.cat([g.flatten() for g in gradient]).double().numpy())
    return np.stack(rows)


def clipped(rows, norm):
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows * np.minimum(1.0, norm / lengths)


@pytest.mark.parametrize("norm", [1e-3, 0.3, 100.0])
def test_ghost_clipping_is_clipping_one_by_one(setting, norm):
    plan, codes = setting
    train = plan.train.model_copy(update={"max_grad_norm": norm})
    layout = Layout.of(toy.SCHEMA)
    pair = Pair.new(layout, plan.model, 1)
    pair.discriminator.double()
    records = record_tensor(layout.to_model(codes[:40]), layout).double()
    fast = clipped_sum(judged(pair, train), records.clone(), norm)
    slow = clipped(gradients_one_by_one(pair.discriminator, records, train.objective), norm).sum(0) / norm
    assert np.abs(fast - slow).max() < 1e-8 * max(1.0, np.abs(slow).max())


@pytest.mark.parametrize("norm", [1e-4, 1e-2, 1.0])
def test_a_record_moves_the_sum_by_at_most_one(setting, norm):
    plan, codes = setting
    train = plan.train.model_copy(update={"max_grad_norm": norm})
    raw = state(plan, Pair.new(Layout.of(toy.SCHEMA), plan.model, 1))
    whole = sum_of_clipped_grads(codes[:30], toy.SCHEMA, plan, raw, train)
    for index in (0, 11, 29):
        without = sum_of_clipped_grads(np.delete(codes[:30], index, 0), toy.SCHEMA, plan, raw, train)
        assert 0 < np.linalg.norm(whole - without) <= 1.0


def test_the_bound_holds_in_large_batches_and_where_squared_norms_would_underflow(setting):
    """In float32 the first would exceed it by 1e-4, the second by a factor of two."""
    plan, codes = setting
    raw = state(plan, Pair.new(Layout.of(toy.SCHEMA), plan.model, 1))
    many = np.tile(codes[:50], (160, 1))
    whole = sum_of_clipped_grads(many, toy.SCHEMA, plan, raw, plan.train)
    without = sum_of_clipped_grads(many[1:], toy.SCHEMA, plan, raw, plan.train)
    assert np.linalg.norm(whole - without) <= 1.0
    deep = plan.model_copy(
        update={"model": plan.model.model_copy(update={"discriminator_hidden": (64,) * 6})}
    )
    layout = Layout.of(toy.SCHEMA)
    pair = Pair.new(layout, deep.model, 1)
    with torch.no_grad():
        for index, layer in enumerate(
            m for m in pair.discriminator.modules() if isinstance(m, torch.nn.Linear)
        ):
            layer.weight.fill_(1e3 if index < 6 else 1e-26)
    train = plan.train.model_copy(update={"max_grad_norm": 1e-3})
    alone = sum_of_clipped_grads(codes[:1], toy.SCHEMA, deep, state(deep, pair), train)
    assert np.linalg.norm(alone) <= 1.0


def test_without_clipping_the_bound_would_not_hold(setting, monkeypatch):
    """Negative control: the same test notices coefficients of one."""
    plan, codes = setting
    train = plan.train.model_copy(update={"max_grad_norm": 1e-3})
    raw = state(plan, Pair.new(Layout.of(toy.SCHEMA), plan.model, 1))
    monkeypatch.setattr(torch.Tensor, "clamp", lambda self, **_: torch.full_like(self, 1e-3))
    whole = sum_of_clipped_grads(codes[:30], toy.SCHEMA, plan, raw, train)
    without = sum_of_clipped_grads(codes[:29], toy.SCHEMA, plan, raw, train)
    assert np.linalg.norm(whole - without) > 1.0


def test_an_empty_sample_is_a_sum_of_nothing(setting):
    plan, codes = setting
    raw = state(plan, Pair.new(Layout.of(toy.SCHEMA), plan.model, 1))
    assert not sum_of_clipped_grads(codes[:0], toy.SCHEMA, plan, raw, plan.train).any()


def test_a_record_whose_gradient_overflows_is_left_out_and_touches_no_other(setting):
    """A coordinator that plants a huge weight on one code learns nothing, and takes nothing from others."""
    plan, codes = setting
    layout = Layout.of(toy.SCHEMA)
    pair = Pair.new(layout, plan.model, 1)
    pair.discriminator.double()
    records = record_tensor(layout.to_model(codes[:20]), layout).double()
    networks, norm = judged(pair, plan.train), plan.train.max_grad_norm
    sound = clipped_sum(networks, records.clone(), norm)
    broken = torch.cat([records, records[:1] * 1e300])
    assert clipped_sum(networks, broken, norm) == pytest.approx(sound, abs=1e-12)


@pytest.mark.parametrize("damage", ["nan", "huge", "short", "double"])
def test_a_state_that_does_not_fit_is_refused(setting, damage):
    plan, codes = setting
    vector = to_vector(Pair.new(Layout.of(toy.SCHEMA), plan.model, 1).discriminator)
    if damage == "short":
        vector = vector[:-1]
    elif damage == "double":
        vector = vector.astype(np.float64)
    else:
        vector[3] = np.nan if damage == "nan" else 1e30
    raw = StepState(grouping=Grouping.of_itself(toy.SCHEMA), entered=vector).to_bytes()
    with pytest.raises(MalformedMessageError):
        sum_of_clipped_grads(codes[:5], toy.SCHEMA, plan, raw, plan.train)


@dataclass
class Quiet:
    """Released moments whose loss has no influence."""

    total: float
    prior: np.ndarray

    def anchor(self, generator):
        return sum(parameter.sum() for parameter in generator.parameters()) * 0.0


def central(pair, codes, masks, records, plan, layout, prior):
    """The DP-SGD GAN on pooled records, without noise, as a textbook writes it."""
    train = plan.train
    d_adam = torch.optim.Adam(pair.discriminator.parameters(), train.discriminator_learning_rate, (0.5, 0.9))
    g_adam = torch.optim.Adam(pair.generator.parameters(), train.generator_learning_rate, (0.5, 0.9))
    for number, mask in enumerate(masks, start=1):
        random = torch.Generator().manual_seed(plan.seed * 1_000_003 + number)
        fakes = Fakes(pair.generator, layout, prior, random)
        with torch.no_grad():
            batch = fakes(train.fakes)
        rows = gradients_one_by_one(
            pair.discriminator, record_tensor(layout.to_model(codes[mask]), layout), train.objective
        )
        real = clipped(rows, train.max_grad_norm).sum(0) / (train.sample_rate * records)
        d_adam.zero_grad()
        (fake_loss(pair.discriminator(batch), train.objective).mean() / 2).backward()
        place = 0
        for parameter in pair.discriminator.parameters():
            part = real[place : place + parameter.numel()].reshape(parameter.shape)
            parameter.grad += torch.from_numpy(part).float() / 2
            place += parameter.numel()
        d_adam.step()
        for _ in range(train.generator_steps):
            g_adam.zero_grad()
            generator_loss(
                pair.discriminator(fakes(train.generator_batch)), train.objective
            ).mean().backward()
            g_adam.step()


@pytest.mark.parametrize("skew", ["spread", "one class a site"])
def test_every_step_is_central_dp_sgd_on_the_pooled_records(setting, skew):
    """Same seeds, noise off: equal to 1e-5 after every step, however the labels are spread."""
    plan, codes = setting
    plan = plan.model_copy(
        update={"train": plan.train.model_copy(update={"easy": 0.0, "generator_steps": 2})}
    )
    layout, random = Layout.of(toy.SCHEMA), np.random.default_rng(0)
    prior = np.full(len(layout.condition_grid()), 1 / len(layout.condition_grid()))
    if skew == "spread":
        site = np.arange(len(codes)) % SITES
    else:
        site = np.argsort(np.argsort(codes[:, toy.SCHEMA.names.index("diagnosis")])) * SITES // len(codes)
    masks = random.random((6, len(codes))) < plan.train.sample_rate
    reference = Pair.new(layout, plan.model, 3)
    family = new_family(layout, plan.model, plan.train.objective, 3)
    now = Adversary.start(family.to_vector(), to_vector(family.generator))
    for number in range(1, len(masks) + 1):
        raw = StepState(
            grouping=Grouping.of_itself(toy.SCHEMA), entered=now.parameters[len(now.average) :]
        ).to_bytes()
        sums = [
            sum_of_clipped_grads(codes[masks[number - 1] & (site == name)], toy.SCHEMA, plan, raw, plan.train)
            for name in range(SITES)
        ]
        now = step(
            now,
            np.sum(sums, axis=0),
            number,
            family,
            layout,
            Quiet(float(len(codes)), prior),
            plan.train,
            plan.seed,
        )
    central(reference, codes, masks, len(codes), plan, layout, prior)
    moved = np.abs(now.parameters - Pair.new(layout, plan.model, 3).to_vector()).max()
    assert np.abs(now.parameters - reference.to_vector()).max() < 1e-5
    assert moved > 1e-3


def test_a_step_depends_on_every_site(setting):
    """Negative control of the one above: with a site left out, the step is another one."""
    plan, codes = setting
    layout = Layout.of(toy.SCHEMA)
    prior = np.full(len(layout.condition_grid()), 1 / len(layout.condition_grid()))
    family = new_family(layout, plan.model, plan.train.objective, 3)
    start = Adversary.start(family.to_vector(), to_vector(family.generator))
    raw = state(plan, Pair.new(layout, plan.model, 3))
    results = []
    for count in (240, 180):
        total = sum_of_clipped_grads(codes[:count], toy.SCHEMA, plan, raw, plan.train)
        made = step(start, total, 1, family, layout, Quiet(240.0, prior), plan.train, 0)
        results.append(made.parameters)
    assert np.abs(results[0] - results[1]).max() > 1e-5


def test_a_sample_takes_one_record_of_a_unit_at_the_planned_rate():
    unit = np.repeat(np.arange(400), np.arange(400) % 5 + 1)
    codes = np.stack([unit, np.arange(len(unit))], axis=1)
    records, random = Records.of(codes, unit), Csprng()
    times = np.zeros(400)
    for _ in range(300):
        drawn = records.sampled(0.1, random)
        assert len(np.unique(drawn[:, 0])) == len(drawn)
        times[drawn[:, 0]] += 1
    assert abs(times.mean() - 30) < 1.5  # 5 sigma
    assert times.var() == pytest.approx(27, rel=0.4)  # Poisson sampling, not a fixed batch

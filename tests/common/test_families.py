"""Every family learns a known distribution of two classes through the same clipped, noised and shared sums.

``python -m tests.common.test_families`` makes the table of docs/families.md.
"""

import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from client.gradient import clipped_sum, sum_of_clipped_grads
from common.arrays import Arrays
from common.columns import CategoryColumn
from common.config import (
    Adversarial,
    Data,
    Features,
    Federation,
    Model,
    Privacy,
    SimulationConfig,
    Sites,
    Training,
)
from common.contributions import array_features, family_of, feature_encoding, gradient_encoding, layout_of
from common.csprng import Csprng
from common.errors import ConfigError
from common.models.build import check_objective, new_family
from common.models.encoding import record_tensor
from common.models.fakes import Fakes
from common.models.family import gradient_norms
from common.models.pair import load, to_vector
from common.phases import Objective
from common.planning import make_plan, stand_in
from common.privacy.accounting import epsilon as spent
from common.records import Records
from common.schema import Channel, ImageSchema, SignalSchema
from common.simulation.prepare import prepare
from server.adversary import Adversary, step
from server.measured import ArrayMeasured
from tests import toy
from tests.energy import distance
from tests.federation import LocalFederation

SITES, LENGTH = 4, 16
GENEROUS = {"noise_multiplier": 0.4, "field_bits": 28}  # 400 records are few
FAMILIES = ("bce", "hinge", "wasserstein", "infogan", "cvae", "aae")
ADVERSARIES = ("bce", "hinge", "wasserstein", "infogan")
SCHEMA = SignalSchema(
    name="toy",
    kind="signal",
    sampling_rate=16.0,
    length=LENGTH,
    label=CategoryColumn(name="shape", categories=("wave", "ramp"), condition=True),
    channels=(Channel(name="c", unit="mV", bounds=(-1, 1)),),
)
LAYOUT = layout_of(SCHEMA)
TIME = np.arange(LENGTH) / LENGTH
WAVES = np.stack([np.sin(2 * np.pi * TIME), np.sin(6 * np.pi * TIME)])


def two_classes(count=400, seed=0):
    """Waves of two sizes, and a ramp; both with noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) // SITES % 2
    wave = random.choice([0.3, 0.9], (count, 1)) * WAVES[0]
    values = np.where(labels[:, None] == 0, wave, 1.4 * TIME - 0.7) + random.normal(0, 0.05, (count, LENGTH))
    return Arrays(np.clip(values, -1, 1).astype(np.float32)[:, None], labels)


def factored(count=400, seed=0):
    """Waves of one of two frequencies about a level, upside down in class 1; with frequency and level."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) // SITES % 2
    frequency, level = random.integers(0, 2, count), random.uniform(-0.4, 0.4, count)
    values = (0.5 - labels)[:, None] * WAVES[frequency] + level[:, None]
    values = np.clip(values + random.normal(0, 0.05, values.shape), -1, 1)
    return Arrays(values.astype(np.float32)[:, None], labels), frequency, level


def config(family, rounds=2, epsilon=20.0, records=100, **objective):
    codes = {"categories": 2, "factors": 1} if family == "infogan" else {}
    return SimulationConfig(
        name="families",
        data=Data(records="toy.npz", schema="toy.toml"),
        sites=Sites(count=SITES),
        federation=Federation(threshold=3),
        privacy=Privacy(epsilon=epsilon, delta=1e-5, measure_share=0.3),
        model=Model(latent=8, generator_hidden=(32,), discriminator_width=32, **codes),
        features=Features(coefficients=LENGTH, plain=50, windowed=0, fit_batch=16),
        adversarial=Adversarial(family=family, **{"weight_limit": 0.2, "flips": 0.02, **objective}),
        training=Training(
            records_per_site=records // 2,
            most_records_per_site=2 * records,
            schedule="every-step",
            rounds=rounds,
            sample_rate=0.25,
            fit_steps=20,
        ),
    )


def plan_of(settings, **changes):
    """As planned, but with larger rates and without anchor: the family itself must learn."""
    plan = make_plan(settings, SCHEMA, stand_in(settings), "families")
    quick = {"discriminator_learning_rate": 0.02, "generator_learning_rate": 0.01, "generator_batch": 64}
    if settings.adversarial.family == "wasserstein":
        quick["generator_steps"] = 1
    train = plan.train.model_copy(update={**quick, "anchor": 0.0, "average_decay": 0.9, **changes})
    return plan.model_copy(update={"train": train})


def opened(encoding, exact, random):
    """The sum as a coordinator sees it: every site's exact values with its share of integer noise."""
    integers = [encoding.grid.to_integers(values, random) for values in exact]
    return encoding.sum_to_values(np.sum(integers, axis=0), len(integers))


def release(plan, arrays, random):
    """What the measure step releases, and each site's records."""
    rows = LAYOUT.to_rows(arrays)
    held = [Records.of(rows[site::SITES]) for site in range(SITES)]
    phi = array_features(SCHEMA, plan)
    exact = [phi.sum(records.rows, records.weights) for records in held]
    return held, ArrayMeasured(plan, phi, opened(feature_encoding(phi, plan, plan.measure), exact, random))


def trained(plan, arrays):
    """The family after all steps, from an unfitted generator.

    For speed one call clips what all sites sampled: sums of clipped gradients add up, and a site that sampled
    nothing sends its share of noise all the same.
    """
    random, family = Csprng(), family_of(SCHEMA, plan)
    held, released = release(plan, arrays, random)
    encoding = gradient_encoding(SCHEMA, plan, plan.train)
    now = Adversary.start(family.to_vector(), to_vector(family.generator))
    for number in range(1, plan.train.rounds + 1):
        raw = released.step_state(now.parameters[family.free_count :])
        sampled = np.concatenate([records.sampled(plan.train.sample_rate, random) for records in held])
        exact = sum_of_clipped_grads(sampled, SCHEMA, plan, raw, plan.train)
        total = opened(encoding, [exact] + [np.zeros_like(exact)] * (SITES - 1), random)
        now = step(now, total, number, family, LAYOUT, released, plan.train, plan.seed)
    family.load(now.parameters)
    load(family.generator, now.average)
    return family


@torch.no_grad()
def generated(family, count=400):
    """Values [count, LENGTH], labels and noise."""
    labels = torch.arange(count) % 2
    noise = family.generator.points(count, torch.Generator().manual_seed(1))
    return family.generator(noise, torch.eye(2)[labels]).numpy(), labels.numpy(), noise.numpy()


def judged(family, real):
    """Mean over classes of the energy distance to other real records; share that is nearest its own class."""
    (values, labels, _), truth = generated(family), real.values[:, 0]
    far = [distance(values[labels == k], truth[real.labels == k]) for k in (0, 1)]
    means = np.stack([truth[real.labels == k].mean(0) for k in (0, 1)])
    nearest = np.linalg.norm(values[:, None] - means, axis=2).argmin(1)
    return float(np.mean(far)), float((nearest == labels).mean())


@pytest.mark.parametrize("family", ["bce", "hinge", "wasserstein", "cvae", "aae"])
def test_a_family_learns_a_known_distribution(family):
    """From noise; what is not trained is the negative control."""
    plan = plan_of(config(family, rounds=150 if family == "wasserstein" else 120), **GENEROUS)
    far, recognised = judged(trained(plan, two_classes()), two_classes(seed=1))
    untrained, chance = judged(family_of(SCHEMA, plan), two_classes(seed=1))
    assert far < 0.45 * untrained
    assert recognised > 0.75
    assert chance < 0.65


def agreement(found, truth, labels):
    """Share of equal bits: codes have no order, so the better of both readings in each class."""
    same = [(found[labels == k] == truth[labels == k]).mean() for k in (0, 1)]
    return float(np.mean([max(share, 1 - share) for share in same]))


def correlation(found, truth, cells):
    return float(np.mean([abs(np.corrcoef(found[cells == k], truth[cells == k])[0, 1]) for k in range(4)]))


def recovered(family):
    """What codes say of generated records: frequency (share), level (correlation within class and code)."""
    values, labels, noise = generated(family)
    code = noise[:, 1] > 0.5
    sizes = values @ WAVES.T * np.where(labels == 1, -1, 1)[:, None]
    high = sizes[:, 1] > sizes[:, 0]
    return agreement(high, code, labels), correlation(values.mean(1), noise[:, 2], 2 * labels + code)


def test_codes_recover_a_known_factor_and_the_head_reads_it_off_real_records():
    arrays, frequency, level = factored()
    plan = plan_of(
        config("infogan", rounds=150, information=3.0), **GENEROUS
    )  # with 1 one class may go without
    family = trained(plan, arrays)
    untrained = judged(family_of(SCHEMA, plan), factored(seed=1)[0])[0]
    assert judged(family, factored(seed=1)[0])[0] < 0.75 * untrained
    told, followed = recovered(family)
    assert told > 0.7
    assert followed > 0.75
    with torch.no_grad():
        read = family.free.head(record_tensor(LAYOUT.to_rows(arrays), LAYOUT)).numpy()
    assert agreement(read[:, 1] > read[:, 0], frequency == 1, arrays.labels) > 0.8
    assert correlation(read[:, 2], level, 2 * arrays.labels + frequency) > 0.9
    assert read[:, 2].std() > 0.4  # a head that learned nothing follows the level as well, by a tenth


def test_without_the_mutual_information_codes_say_nothing():
    """Negative control."""
    told, followed = recovered(
        trained(plan_of(config("infogan", rounds=150, information=0.0), **GENEROUS), factored()[0])
    )
    assert told < 0.65
    assert followed < 0.7


@dataclass
class Attached:
    """Draws that stay with their records, to compare sums with and without one."""

    flips: torch.Tensor
    noise: torch.Tensor

    def sum(self, plan, rows, keep, norm):
        entered = family_of(SCHEMA, plan).entered.double()
        entered.flipped = lambda _: self.flips[keep]
        entered.noise = self.noise[keep].to
        return clipped_sum(entered, record_tensor(rows[keep], LAYOUT).double(), norm)


@pytest.fixture
def attached():
    random = torch.Generator().manual_seed(0)
    return Attached(torch.rand(30, generator=random) < 0.3, torch.randn(30, 8, generator=random))


def plans(family, **objective):
    return make_plan(settings := config(family, **objective), SCHEMA, stand_in(settings), "families")


@pytest.mark.parametrize("norm", [1e-3, 1.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_record_moves_the_sum_by_at_most_one(family, norm, attached, monkeypatch):
    plan, rows = plans(family, flips=0.3), LAYOUT.to_rows(two_classes(30))
    everyone = np.arange(30)
    whole = attached.sum(plan, rows, everyone, norm)
    moved = [whole - attached.sum(plan, rows, np.delete(everyone, out), norm) for out in (0, 13, 29)]
    assert all(0 < np.linalg.norm(m) <= 1 for m in moved)
    assert moved[0] == pytest.approx(attached.sum(plan, rows, everyone[:1], norm), abs=1e-6)
    monkeypatch.setattr(torch.Tensor, "clamp", lambda self, **_: torch.full_like(self, 1e-3))  # no clipping
    broken = attached.sum(plan, rows, everyone, 1e-3) - attached.sum(plan, rows, everyone[1:], 1e-3)
    assert np.linalg.norm(broken) > 1


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_a_batch_do_not_mix(family):
    entered = family_of(SCHEMA, plans(family)).entered
    records = record_tensor(LAYOUT.to_rows(two_classes(8)), LAYOUT).requires_grad_()
    (slope,) = torch.autograd.grad(entered(records)[3], records)
    assert slope[3].abs().sum() > 0
    assert not slope[torch.arange(8) != 3].any()


@pytest.mark.parametrize("family", FAMILIES)
def test_two_steps_of_real_vaults_and_what_they_are_charged(tmp_path, family):
    running = LocalFederation(prepare(config(family), two_classes(), SCHEMA, tmp_path / "run"))
    plan = running.plan
    state = running.coordinator().run()
    assert state.rounds_done == 2
    for vault in running.vaults.values():
        assert [entry.step for entry in vault.site.ledger.entries()] == list(plan.steps)
        assert vault.site.ledger.spent(plan.privacy.delta) <= plan.privacy.epsilon
        assert vault.site.ledger.outcomes()[-1].outcome == "finished"
    fitted = family_of(SCHEMA, plan)
    assert len(state.parameters) == len(fitted.to_vector())
    assert len(state.average) == len(to_vector(fitted.generator))
    assert np.abs(state.adversary.first[fitted.free_count :]).min() > 0  # noise reaches every parameter
    assert running.plan.train.objective.family == family


def test_after_a_step_weights_of_a_critic_are_within_the_limit():
    plan = plan_of(config("wasserstein", rounds=3, weight_limit=0.01))
    family = trained(plan, two_classes(80))
    largest = max(float(p.detach().abs().max()) for p in family.entered.parameters())
    assert largest == pytest.approx(0.01)
    start = family_of(SCHEMA, plan).entered
    assert max(float(p.detach().abs().max()) for p in start.parameters()) > 0.1


def test_a_critic_sees_fakes_and_records_clipped_alike():
    family = family_of(SCHEMA, plans("wasserstein"))
    records = record_tensor(LAYOUT.to_rows(two_classes(40)), LAYOUT)
    slow = []
    for record in records:
        found = torch.autograd.grad(
            family.entered.discriminator(record[None]).sum(), list(family.entered.parameters())
        )
        slow.append(torch.cat([g.flatten() for g in found]).norm())
    assert gradient_norms(family.entered.discriminator, records) == pytest.approx(torch.stack(slow), rel=1e-5)
    fakes = Fakes(family.generator, LAYOUT, np.array([0.5, 0.5]), torch.Generator().manual_seed(0))
    loss, _ = family.public_loss(fakes, 50, 1e-2)
    slopes = torch.autograd.grad(loss, list(family.entered.parameters()))
    assert 0 < torch.cat([g.flatten() for g in slopes]).norm() <= 1e-2


@pytest.mark.parametrize("family", ADVERSARIES)
def test_labels_flip_as_often_as_planned(family):
    entered = family_of(SCHEMA, plans(family, flips=0.3)).entered
    never = family_of(SCHEMA, plans(family, flips=0.0)).entered
    records = record_tensor(LAYOUT.to_rows(two_classes(4000)), LAYOUT)
    entered.random.manual_seed(0)
    with torch.no_grad():
        changed = (entered(records) != never(records)).double().mean()
    assert float(changed) == pytest.approx(0.3, abs=0.04)  # 5 sigma


def test_the_elbo_has_the_divergence_of_a_textbook():
    entered = family_of(SCHEMA, plans("cvae", divergence=1.0)).entered
    without = family_of(SCHEMA, plans("cvae", divergence=0.0)).entered
    records = record_tensor(LAYOUT.to_rows(two_classes(6)), LAYOUT)
    for networks in (entered, without):
        networks.random.manual_seed(3)
    with torch.no_grad():
        mean, log_variance = entered.encoder(records).chunk(2, dim=1)
        normal = torch.distributions.Normal(mean, (log_variance / 2).exp())
        exact = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(1)
        assert torch.allclose(entered(records) - without(records), exact, atol=1e-4)


def test_encoder_and_critic_of_an_adversarial_autoencoder_want_the_opposite():
    records = record_tensor(LAYOUT.to_rows(two_classes(6)), LAYOUT)
    slopes = []
    for divergence in (0.0, 0.5, -1.0):
        entered = family_of(SCHEMA, plans("aae")).entered
        entered._divergence = divergence
        entered.random.manual_seed(3)
        entered(records).sum().backward()
        slopes.append((entered.encoder.score.weight.grad, entered.score.weight.grad))
    plain, reversed_, own = ([part.clone() for part in slope] for slope in slopes)
    assert torch.allclose(reversed_[0] - plain[0], -0.5 * (own[0] - plain[0]), atol=1e-5)
    assert torch.equal(reversed_[1], plain[1])
    assert (own[0] - plain[0]).abs().max() > 1e-3


def test_a_release_draws_the_codes_that_training_drew():
    points = family_of(SCHEMA, plans("infogan")).generator.points(4000, torch.Generator().manual_seed(0))
    assert set(map(tuple, points[:, :2].tolist())) == {(0.0, 1.0), (1.0, 0.0)}
    assert float(points[:, 0].mean()) == pytest.approx(0.5, abs=0.04)
    assert float(points[:, 2].abs().max()) <= 1
    assert float(points[:, 2].var()) == pytest.approx(1 / 3, rel=0.1)
    assert float(points[:, 3:].var()) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("generator", ["film", "convolutional"])
@pytest.mark.parametrize("family", FAMILIES)
def test_images_and_both_generators(family, generator):
    label = CategoryColumn(name="digit", categories=(0, 1), condition=True)
    layout = layout_of(ImageSchema(name="i", kind="image", size=28, channels=1, label=label))
    plan = plans(family)
    model = plan.model.model_copy(update={"generator": generator, "generator_width": 16})
    made = new_family(layout, model, plan.train.objective, 0)
    records = torch.rand(5, layout.width, dtype=torch.float64)
    assert 0 < np.linalg.norm(clipped_sum(made.entered.double(), records, 1.0)) <= 5
    made.load(made.to_vector())


def test_what_does_not_go_together_is_refused():
    def objective(family):
        return Objective(family=family, real_target=1, flips=0, weight_limit=1, information=1, divergence=1)

    table, model = layout_of(toy.SCHEMA), plans("bce").model
    coded = plans("infogan").model
    for layout, schedule, family, networks in (
        (table, "every-step", "cvae", model),
        (LAYOUT, "local", "aae", model),
        (LAYOUT, "every-step", "infogan", model),
        (LAYOUT, "every-step", "bce", coded),
    ):
        with pytest.raises(ConfigError):
            check_objective(layout, schedule, objective(family), networks)
    check_objective(LAYOUT, "local", objective("hinge"), model)
    with pytest.raises(ConfigError):
        new_family(LAYOUT, model, objective("infogan"), 0)


def main():
    """The table: families after 150 steps at epsilon 10, and the moment fit with all of it."""
    count, seeds = 1600, (0, 1, 2)
    for family in (*FAMILIES, "moments"):
        found = []
        for seed in seeds:
            name = "bce" if family == "moments" else family
            settings = config(name, rounds=150, epsilon=10.0, records=count // SITES)
            settings = settings.model_copy(update={"seed": seed})
            if family == "moments":
                training = {"schedule": "moments", "rounds": 0, "fit_steps": 600}
                settings = settings.model_copy(
                    update={
                        "training": settings.training.model_copy(update=training),
                        "features": Features(coefficients=LENGTH, plain=200, windowed=0),
                    }
                )
                plan = make_plan(settings, SCHEMA, stand_in(settings), "families")
                made = family_of(SCHEMA, plan)
                release(plan, two_classes(count, seed), Csprng())[1].fit(made.generator, 10.0)
            else:
                plan = plan_of(settings)
                made = trained(plan, two_classes(count, seed))
            assert spent(plan.mechanisms, 1e-5) <= 10.0
            found.append(judged(made, two_classes(seed=100 + seed)))
        text = "; ".join(f"{far:.3f} ({share:.2f})" for far, share in found)
        sys.stdout.write(f"{family}: {text}\n")
        sys.stdout.flush()
    plan = plan_of(config("bce"))
    sys.stdout.write(f"untrained: {judged(family_of(SCHEMA, plan), two_classes(seed=100))}\n")
    sys.stdout.write(f"real: {distance(*(two_classes(seed=s).values[::8, 0] for s in (5, 6))):.3f}\n")


if __name__ == "__main__":
    main()

"""Images and signals in every family: per-record gradients the slow way, and what would break the bound."""

import numpy as np
import pytest
import torch
from opacus.grad_sample import GradSampleModuleFastGradientClipping

from client.device import Device
from client.gradient import clipped_sum, sum_of_clipped_grads
from common.columns import CategoryColumn
from common.contributions import family_of
from common.errors import MalformedMessageError
from common.modalities.array_layout import ArrayLayout
from common.models.encoding import record_tensor
from common.models.family import Entered
from common.models.pair import to_vector
from common.phases import Views
from common.planning import make_plan, stand_in
from common.schema import Channel, ImageSchema, SignalSchema
from common.states import StepState
from tests import toy_arrays

FAMILIES = ("bce", "hinge", "wasserstein", "infogan", "cvae", "aae")
LABEL = CategoryColumn(name="kind", categories=("a", "b", "c"))
SCHEMAS = {
    "grey": ImageSchema(kind="image", name="grey", label=LABEL, size=28, channels=1),
    "colour": ImageSchema(kind="image", name="colour", label=LABEL, size=32, channels=3),
    "signal": SignalSchema(
        kind="signal",
        name="signal",
        label=LABEL,
        sampling_rate=10.0,
        length=50,
        channels=tuple(Channel(name=name, unit="mV", bounds=(-2, 3)) for name in ("one", "two")),
    ),
}
ONE = Device(torch.device("cpu"), budget=1)  # a record at a time
VIEWS = Views(count=3, flip=True, rotate=10.0, shift=2)


def rows_of(schema, count, seed=0):
    random = np.random.default_rng(seed)
    shape = (count, ArrayLayout.of(schema).values)
    if isinstance(schema, ImageSchema):
        values = random.integers(0, 256, shape).astype(np.uint8)
    else:
        values = random.uniform(-2, 3, shape).astype(np.float32)
    return np.concatenate([values, random.integers(0, 3, (count, 1)).astype(values.dtype)], axis=1)


def plan_of(kind, family="bce", generator="film", **train):
    config = toy_arrays.config()
    codes = {"categories": 2, "factors": 1} if family == "infogan" else {}
    settings = config.model_copy(
        update={
            "model": config.model.model_copy(update={"generator": generator, "generator_width": 16, **codes}),
            "training": config.training.model_copy(update={"schedule": "every-step", "rounds": 2}),
            "adversarial": config.adversarial.model_copy(update={"family": family, "flips": 0.3}),
        }
    )
    plan = make_plan(settings, SCHEMAS[kind], stand_in(settings), "gradients")
    return plan.model_copy(update={"train": plan.train.model_copy(update=train)})


def entered_of(kind, family="bce", generator="film") -> Entered:
    return family_of(SCHEMAS[kind], plan_of(kind, family, generator)).entered.double()


def records_of(kind, count):
    schema = SCHEMAS[kind]
    return record_tensor(rows_of(schema, count), ArrayLayout.of(schema)).double()


def one_by_one(entered, records, draws):
    """The slow way, without Opacus: float64[records, parameters]."""
    found = []
    for record, drawn in zip(records, draws, strict=True):
        slopes = torch.autograd.grad(entered(record[None], drawn[None]).sum(), list(entered.parameters()))
        found.append(torch.cat([slope.flatten() for slope in slopes]))
    return torch.stack(found)


def drawn(entered, records, seed=5):
    entered.random.manual_seed(seed)
    draws = entered.draws(records)
    entered.random.manual_seed(seed)
    return draws


def clipped(each, norm):
    return (each / each.norm(dim=1).clamp(min=norm)[:, None]).sum(0).numpy()


@pytest.mark.parametrize("generator", ["film", "convolutional"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_family_clips_what_autograd_finds_record_by_record(kind, family, generator):
    if generator == "convolutional" and family not in ("cvae", "aae"):
        pytest.skip("records do not enter the generator")
    entered, records = entered_of(kind, family, generator), records_of(kind, 5)
    draws = drawn(entered, records)
    each = one_by_one(entered, records, draws)
    middle = float(each.norm(dim=1).median())  # some are clipped, some are not
    for norm in (1e-3, middle):
        entered.random.manual_seed(5)
        fast = clipped_sum(entered, records.clone(), norm)
        assert fast == pytest.approx(clipped(each, norm), abs=1e-8)
    place = 0
    for name, parameter in entered.named_parameters():
        assert each[:, place : place + parameter.numel()].any(), f"no record reaches {name}"
        place += parameter.numel()
    entered.random.manual_seed(5)
    by_one = clipped_sum(entered, records.clone(), middle, ONE)
    assert by_one == pytest.approx(clipped(each, middle), abs=1e-8)


@pytest.mark.parametrize("family", FAMILIES)
def test_views_are_averaged_and_then_clipped(family):
    entered = entered_of("grey", family)
    records = torch.stack([records_of("grey", 5).roll(shift, 0) for shift in range(3)], dim=1)
    draws = drawn(entered, records.flatten(0, 1))
    each = one_by_one(entered, records.flatten(0, 1), draws).view(5, 3, -1).mean(1)
    norm = float(each.norm(dim=1).median())
    entered.random.manual_seed(5)
    fast = clipped_sum(entered, records.clone(), norm)
    assert fast == pytest.approx(clipped(each, norm), abs=1e-8)
    entered.random.manual_seed(5)
    assert clipped_sum(entered, records.clone(), norm, ONE) == pytest.approx(fast, abs=1e-8)


def test_one_view_is_the_record():
    entered = entered_of("grey", "cvae")
    records = records_of("grey", 6)
    entered.random.manual_seed(5)
    plain = clipped_sum(entered, records.clone(), 0.1)
    entered.random.manual_seed(5)
    assert clipped_sum(entered, records[:, None].clone(), 0.1) == pytest.approx(plain, abs=1e-9)


def moved(entered, records, norm, total=clipped_sum):
    """How far the first record moves a sum, the draws of all others being the same."""
    draws = drawn(entered, records.flatten(0, -2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entered, "draws", lambda seen: draws[-len(seen) :])
        whole, rest = total(entered, records.clone(), norm), total(entered, records[1:].clone(), norm)
    return np.linalg.norm(whole - rest)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("norm", [1e-3, 0.3])
def test_a_record_moves_the_sum_by_at_most_one(family, norm):
    found = moved(entered_of("grey", family), records_of("grey", 4), norm)
    assert 0 < found <= 1


def test_without_clipping_the_bound_would_not_hold(monkeypatch):
    """Negative control."""
    monkeypatch.setattr(torch.Tensor, "clamp", lambda self, **_: torch.full_like(self, 1e-3))
    found = moved(entered_of("grey"), records_of("grey", 4), 1e-3)
    assert found > 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_parameter_left_out_of_the_norm_would_show(family, monkeypatch):
    """Negative control: any one of them, as a module used twice or a missing hook would leave it out."""

    def partial(self):
        kept = [p._norm_sample for p in self.trainable_parameters if p is not left]
        return torch.stack(kept).norm(dim=0)

    entered, records = entered_of("grey", family), records_of("grey", 3)
    sizes = one_by_one(entered, records, drawn(entered, records))[0]
    lengths = torch.stack([part.norm() for part in sizes.split([p.numel() for p in entered.parameters()])])
    left = list(entered.parameters())[int(lengths.argmax())]
    monkeypatch.setattr(GradSampleModuleFastGradientClipping, "get_norm_sample", partial)
    found = moved(entered, records, 1e-3)
    assert found > 1


def test_views_summed_instead_of_averaged_would_cost_more():
    """Negative control: every view clipped by itself."""

    def summed(entered, records, norm):
        return clipped_sum(entered, records.flatten(0, 1), norm)

    views = records_of("grey", 4)[:, None].repeat(1, 3, 1)
    assert moved(entered_of("grey", "cvae"), views, 1e-3, summed) > 2
    assert moved(entered_of("grey", "cvae"), views, 1e-3, clipped_sum) <= 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_record_that_overflows_changes_nothing_for_the_others(family):
    """Not even what is drawn for them: a redraw would be a sum that depends on it in all places."""
    entered, records = entered_of("grey", family), records_of("grey", 6)
    records[2] *= 1e300
    draws = drawn(entered, records)
    sound = torch.tensor([0, 1, 3, 4, 5])
    expected = clipped(one_by_one(entered, records[sound], draws[sound]), 0.1)
    entered.random.manual_seed(5)
    assert clipped_sum(entered, records.clone(), 0.1) == pytest.approx(expected, abs=1e-8)
    entered.random.manual_seed(5)
    several = clipped_sum(entered, records[:, None].clone(), 0.1)
    assert several == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("views", [None, VIEWS])
@pytest.mark.parametrize("scale", [0.0, 1.0, "limit"])
def test_a_sites_sum_is_finite_and_bounded_whatever_the_state(scale, views, monkeypatch):
    """Weights as large as a state may have them, of the worst signs, and records of one colour."""
    plan = plan_of("grey", "cvae", max_grad_norm=0.5)
    plan = plan.model_copy(update={"measure": plan.measure.model_copy(update={"views": views})})
    rows = rows_of(SCHEMAS["grey"], 3)
    rows[0, :-1], rows[1, :-1] = 0, 255
    weights = to_vector(family_of(SCHEMAS["grey"], plan).entered)
    weights = np.sign(weights) * 1e4 if scale == "limit" else weights * scale
    raw = StepState(grouping=None, entered=weights.astype(np.float32)).to_bytes()
    for row in rows:
        alone = sum_of_clipped_grads(row[None], SCHEMAS["grey"], plan, raw, plan.train)
        assert np.isfinite(alone).all()
        assert np.linalg.norm(alone) <= 1
    assert not sum_of_clipped_grads(rows[:0], SCHEMAS["grey"], plan, raw, plan.train).any()


@pytest.mark.parametrize("damage", ["nan", "huge", "short", "double", "square", "of a table"])
def test_a_state_that_does_not_fit_is_refused(damage):
    plan = plan_of("signal")
    weights = to_vector(family_of(SCHEMAS["signal"], plan).entered)
    if damage in ("nan", "huge"):
        weights[3] = np.nan if damage == "nan" else 2e4
    weights = {"short": weights[1:], "double": weights.astype(np.float64), "square": weights[:, None]}.get(
        damage, weights
    )
    raw = StepState(grouping=None, entered=weights).to_bytes()
    if damage == "of a table":
        raw = raw.replace(b"entered", b"groups!")
    with pytest.raises(MalformedMessageError):
        sum_of_clipped_grads(rows_of(SCHEMAS["signal"], 2), SCHEMAS["signal"], plan, raw, plan.train)

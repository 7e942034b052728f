"""Microbatches and devices: a site's contribution does not depend on either, and memory is bounded."""

import weakref
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from client import gradient, training
from client.bookkeeping import BookKeeping
from client.device import Device, bytes_of_a_row, free_memory
from client.gradient import clipped_sum, sum_of_clipped_grads
from common.csprng import Csprng
from common.errors import ConfigError
from common.modalities.layout import Layout
from common.modalities.tabular import encode
from common.models.pair import Pair, count, to_vector
from common.records import Records
from common.states import StepState
from tests import toy
from tests.client.test_array_gradient import (
    FAMILIES,
    SCHEMAS,
    VIEWS,
    clipped,
    drawn,
    entered_of,
    one_by_one,
    plan_of,
    records_of,
    rows_of,
)

CPU = torch.device("cpu")
SIZES = (1, 3, 7, 1000)  # the batches here have 12 records, or some 25
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU here")


class Microbatches(Device):
    """A CPU that takes so many records at once, whatever their size."""

    def at_once(self, each):  # noqa: ARG002
        return self.budget


def of(size) -> Device:
    return Microbatches(CPU, size)


# ---- schedule every-step --------------------------------------------------------------------------------


def apart(entered, records, norm, total=clipped_sum, sizes=SIZES):
    """How far sums over microbatches of each size are from clipping record by record, largest coordinate."""
    flat = records.flatten(0, -2)
    each = one_by_one(entered, flat, drawn(entered, flat)).view(len(records), -1, count(entered))
    expected = clipped(each.mean(1), norm)
    found = {}
    for size in sizes:
        entered.random.manual_seed(5)
        found[size] = np.abs(total(entered, records.clone(), norm, of(size)) - expected).max()
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sum_is_the_same_whatever_fits_into_memory(family):
    entered, records = entered_of("grey", family), records_of("grey", 12)
    for norm in (1e-2, 1.0):
        assert max(apart(entered, records, norm).values()) < 1e-8


@pytest.mark.parametrize("family", ["bce", "cvae"])
def test_a_sum_over_views_is_the_same_whatever_fits_into_memory(family):
    records = torch.stack([records_of("grey", 12).roll(shift, 0) for shift in range(3)], dim=1)
    found = apart(entered_of("grey", family), records, 1e-2)
    assert max(found.values()) < 1e-8


def clipped_as_a_whole(wrapped, records, draws, max_grad_norm, views=1):
    wrapped.disable_hooks()
    losses = wrapped(records, draws)
    slopes = torch.autograd.grad(losses.sum(), list(wrapped.parameters()))
    whole = torch.cat([slope.flatten() for slope in slopes])
    return whole / whole.norm().clamp(min=max_grad_norm)


def test_clipping_a_microbatch_instead_of_each_record_would_show(monkeypatch):
    """Negative control: it is right where a microbatch is one record, and nowhere else."""

    monkeypatch.setattr(BookKeeping, "clipped_sum", clipped_as_a_whole)
    found = apart(entered_of("grey"), records_of("grey", 12), 1e-2)
    assert found[1] < 1e-8
    assert min(found[size] for size in SIZES[1:]) > 1e-2


@pytest.mark.parametrize("views", [None, VIEWS])
def test_a_sites_sum_draws_the_same_whatever_fits_into_memory(views, monkeypatch):
    """Views and flips of the whole site, drawn for a batch and not for a microbatch."""
    plan = plan_of("grey")
    plan = plan.model_copy(update={"measure": plan.measure.model_copy(update={"views": views})})
    entered = to_vector(entered_of("grey").float())
    raw, rows = StepState(grouping=None, entered=entered).to_bytes(), rows_of(SCHEMAS["grey"], 12)
    monkeypatch.setattr(gradient, "_VIEWED", 5 * 3 * 800)  # several blocks, of 5 records
    monkeypatch.setattr(gradient, "Csprng", lambda: Csprng.agreed(bytes(32)))
    sums = [sum_of_clipped_grads(rows, SCHEMAS["grey"], plan, raw, plan.train, of(size)) for size in SIZES]
    for found in sums[1:]:
        assert found == pytest.approx(sums[0], abs=1e-8)
    monkeypatch.setattr(gradient, "Csprng", lambda: Csprng.agreed(b"1" * 32))  # control: there are draws
    other = sum_of_clipped_grads(rows, SCHEMAS["grey"], plan, raw, plan.train, of(1))
    assert np.abs(other - sums[0]).max() > 1e-4


# ---- schedule local -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    plan = toy.run_folder(tmp_path_factory.mktemp("device") / "run").plan
    layout = Layout.of(toy.SCHEMA)
    codes = layout.to_model(encode(toy.records().drop(columns="hospital"), toy.SCHEMA))[:60]
    train = plan.train.model_copy(update={"local_steps": 4, "sample_rate": 0.4, "fakes": 9})
    return plan, train, layout, codes


def trained(local, device, key=bytes(32), **changes):
    """D's weights after a few steps whose samples, noise and fakes come from known keys: float32."""
    plan, train, layout, codes = local
    pair = Pair.new(layout, plan.model, 0)
    prior = np.full(len(layout.condition_grid()), 1 / len(layout.condition_grid()))
    fakes = training.Fakes(pair.generator, layout, prior, torch.Generator().manual_seed(7))
    train = train.model_copy(update=changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "Csprng", lambda: Csprng.agreed(key))
        training.train_discriminator(pair.discriminator, Records.of(codes), layout, train, fakes, device)
    assert {(p.device.type, p.dtype) for p in pair.discriminator.parameters()} == {("cpu", torch.float32)}
    return to_vector(pair.discriminator)


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("norm", [0.05, 1.0])
def test_local_training_is_the_same_whatever_fits_into_memory(local, noise, norm):
    """Noise too: the same stream gives the same weights only if it is drawn once for each whole batch."""
    changes = {"noise_multiplier": noise, "max_grad_norm": norm}
    whole = trained(local, of(1000), **changes)
    for size in SIZES[:-1]:
        assert trained(local, of(size), **changes) == pytest.approx(whole, abs=1e-6)
    assert np.abs(trained(local, of(1000), b"1" * 32, **changes) - whole).max() > 1e-3


def test_noise_for_each_microbatch_would_show(local, monkeypatch):
    """Negative control: every part a step of its own."""
    whole = trained(local, of(1000))
    take, once = training.CsprngDPOptimizer.take, BookKeeping.clipped_sum

    def each(self, rows, told, norm):
        optimiser.append(once(self, rows, told, norm))
        return optimiser[-1]

    def taken(self, total):
        for part in optimiser:
            take(self, part)
        optimiser.clear()

    optimiser = []
    monkeypatch.setattr(BookKeeping, "clipped_sum", each)
    monkeypatch.setattr(training.CsprngDPOptimizer, "take", taken)
    assert trained(local, of(1000)) == pytest.approx(whole, abs=1e-6)
    assert np.abs(trained(local, of(7)) - whole).max() > 1e-2


def test_clipping_a_part_instead_of_each_record_would_show_in_local_training(local, monkeypatch):
    """Negative control: as above."""
    whole = trained(local, of(1000), max_grad_norm=0.05, noise_multiplier=0.0)
    monkeypatch.setattr(BookKeeping, "clipped_sum", clipped_as_a_whole)
    by_one = trained(local, of(1), max_grad_norm=0.05, noise_multiplier=0.0)
    assert by_one == pytest.approx(whole, abs=1e-6)
    for size in SIZES[1:]:
        assert np.abs(trained(local, of(size), max_grad_norm=0.05, noise_multiplier=0.0) - whole).max() > 1e-3


# ---- memory ---------------------------------------------------------------------------------------------


class Held(TorchDispatchMode):
    """The most bytes of tensors that were alive at once, of those made inside."""

    def __init__(self):
        super().__init__()
        self.now, self.most, self._seen = 0, 0, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor.untyped_storage())
        return out

    def _note(self, storage):
        place, size = storage.data_ptr(), storage.nbytes()
        if place in self._seen:
            return
        self._seen.add(place)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._gone, place, size)

    def _gone(self, place, size):
        self._seen.discard(place)
        self.now -= size


@pytest.mark.parametrize(
    ("kind", "family", "views"),
    [("grey", "bce", 1), ("colour", "cvae", 1), ("signal", "bce", 1), ("grey", "bce", 3)],
)
def test_what_gradients_take_stays_within_the_budget(kind, family, views):
    generator = "convolutional" if family == "cvae" else "film"
    entered, records = entered_of(kind, family, generator), records_of(kind, 40)
    if views > 1:
        records = records[:, None].repeat(1, views, 1)
    total = partial(clipped_sum, entered, records, 0.1)
    flat = records.flatten(0, -2)
    each = bytes_of_a_row(
        entered, (flat, entered.draws(flat)), (3 if views > 1 else 1) * count(entered), views
    )
    budget = 6 * each + each // 2
    peaks = {}
    for name, device in {"within": Device(CPU, budget), "all": Device(CPU, 1 << 40)}.items():
        total(device)
        with Held() as held:
            total(device)
        peaks[name] = held.most
    fixed = (
        24 * count(entered) + 2 * records.numel() * 8
    )  # sums of gradients, weights, draws: of no microbatch
    assert peaks["within"] <= budget + fixed
    assert peaks["all"] > 2 * peaks["within"]  # control: without a budget, more is held


def test_a_record_is_measured_without_looking_at_one():
    """Values do not matter, nor how many there are; nothing is drawn, and no hook is left behind."""
    entered, records = entered_of("grey", "cvae"), records_of("grey", 3)
    draws = drawn(entered, records)
    before = entered.random.get_state()
    first = bytes_of_a_row(entered, (records, draws), 1000)
    assert first == bytes_of_a_row(entered, (records[:0] * torch.nan, draws[:0]), 1000) > 0
    assert bytes_of_a_row(entered, (records, draws), 3000, 4) > 4 * first
    assert torch.equal(entered.random.get_state(), before)
    assert all(parameter.grad is None for parameter in entered.parameters())


def test_one_record_is_taken_however_little_is_free():
    assert Device(CPU, budget=0).at_once(10**12) == 1
    assert Device(CPU, budget=100).at_once(30) == 3
    assert Device(CPU).at_once(1 << 20) >= 1
    assert Device(CPU).free_bytes() > 0


def test_free_memory_is_the_least_of_machine_and_groups(tmp_path):
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    assert free_memory(proc, groups) == 2 << 30  # nothing is known
    (proc / "meminfo").write_text("MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable:    4000 kB\n")
    assert free_memory(proc, groups) == 4000 * 1024
    (proc / "self" / "cgroup").write_text("0::/outer/inner\n")
    inner = groups / "outer" / "inner"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n")
    (inner / "memory.current").write_text("700000\n")
    assert free_memory(proc, groups) == 4000 * 1024
    (inner.parent / "memory.max").write_text("1000000\n")
    (inner.parent / "memory.current").write_text("800000\n")
    assert free_memory(proc, groups) == 200_000
    (inner.parent / "memory.stat").write_text("anon 500000\ninactive_file 100000\n")
    assert free_memory(proc, groups) == 300_000
    (inner.parent / "memory.current").write_text("1200000\n")
    assert free_memory(proc, groups) == 0


def test_free_memory_within_groups_of_version_1(tmp_path):
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text("5:cpu,cpuacct:/x\n4:memory:/job\n1:name=systemd:/x\n0::/\n")
    job = groups / "memory" / "job"
    job.mkdir(parents=True)
    (job / "memory.limit_in_bytes").write_text("5000\n")
    (job / "memory.usage_in_bytes").write_text("4000\n")
    (groups / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (groups / "memory" / "memory.usage_in_bytes").write_text("4000\n")
    assert free_memory(proc, groups) == 1000


# ---- devices --------------------------------------------------------------------------------------------


def test_a_device_is_found_or_named():
    assert Device.of().place.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert Device.of("cpu").place == CPU
    for name in ("gpu", "cuda:", "cuda:-1", "", "mps", "CPU", "cuda:1000"):
        with pytest.raises(ConfigError):
            Device.of(name)
    with pytest.raises(ConfigError):
        Device.of(f"cuda:{torch.cuda.device_count()}")


@pytest.mark.parametrize("generator", ["film", "convolutional"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", SCHEMAS)
def test_nothing_of_the_networks_stays_behind_on_the_cpu(kind, family, generator):
    """On torch's ``meta`` device, which every machine has: an operation of two devices raises there, too."""
    entered, records = entered_of(kind, family, generator), records_of(kind, 3)
    draws = entered.draws(records)
    assert draws.device == CPU
    entered.to("meta")
    entered(records.to("meta").requires_grad_(), draws.to("meta")).sum().backward()
    with pytest.raises((RuntimeError, NotImplementedError)):  # control: what stays behind is noticed
        entered(records, draws).sum()


@NEEDS_GPU
@pytest.mark.parametrize("family", FAMILIES)
def test_a_sum_of_a_gpu_is_that_of_a_cpu(family):
    entered, records = entered_of("grey", family), records_of("grey", 12)
    entered.random.manual_seed(5)
    here = clipped_sum(entered, records.clone(), 0.1, Device(CPU))
    entered.random.manual_seed(5)
    there = clipped_sum(entered, records.clone(), 0.1, Device.of("cuda"))
    assert there == pytest.approx(here, abs=1e-8)
    views = records[:, None].repeat(1, 3, 1)
    entered.random.manual_seed(5)
    there = clipped_sum(entered, views, 0.1, Device.of("cuda"))
    entered.random.manual_seed(5)
    assert there == pytest.approx(clipped_sum(entered, views, 0.1, Device(CPU)), abs=1e-8)


@NEEDS_GPU
def test_local_training_on_a_gpu_is_that_on_a_cpu(local):
    """Samples and noise come from the CPU's CSPRNG on either."""
    assert trained(local, Device.of("cuda")) == pytest.approx(trained(local, Device(CPU)), abs=1e-6)


@NEEDS_GPU
def test_a_gpu_holds_no_more_than_its_budget():
    entered, records = entered_of("colour", "bce"), records_of("colour", 400)
    budget = 64 << 20
    clipped_sum(entered, records[:2], 0.1, Device.of("cuda"))
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    clipped_sum(entered, records, 0.1, Device(torch.device("cuda"), budget))
    assert torch.cuda.max_memory_allocated() - before <= budget + (8 << 20)
    assert Device.of("cuda").free_bytes() > 0

"""One local round: DP-SGD on the discriminator, then generator steps through it (post-processing)."""

from __future__ import annotations

import numpy as np
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from opacus.optimizers.optimizer import _mark_as_processed
from opacus.validators import ModuleValidator
from torch import nn

from common.contributions import array_features, layout_of, local_encoding, pairs
from common.csprng import Csprng
from common.modalities.gram import GramFeatures
from common.modalities.layout import Layout
from common.models.array_loss import ANCHOR_BATCH, ArrayMomentLoss
from common.models.encoding import AnyLayout, record_tensor
from common.models.fakes import Fakes
from common.models.moment_loss import MomentLoss
from common.models.objective import FittingLoss, fake_loss, generator_loss, real_loss
from common.models.pair import AnyDiscriminator, AnyPair, Pair, count
from common.phases import Local
from common.plan import Plan
from common.privacy.ledger import Receipt
from common.privacy.update import PrivateUpdate
from common.records import Records
from common.schema import Schema, TableSchema
from common.states import ArrayRoundState, RoundState

from .device import Device, bytes_of_a_row


def train_locally(
    records: Records,
    schema: Schema,
    plan: Plan,
    state: bytes,
    receipt: Receipt,
    train: Local,
    device: Device | None = None,
) -> PrivateUpdate:
    """A site's update of generator and discriminator in one round: float64[parameters].

    device: where D sees records, a GPU if there is one, unless given; the generator's steps, which see none,
    are of the CPU

    Guarantees: records are touched only by ``train.local_steps`` of DP-SGD on D, with Poisson sampling at
    ``train.sample_rate``, per-record clipping to ``train.max_grad_norm`` and Gaussian noise from a
    CSPRNG; all else is a function of the noisy D and of public things.
    """
    layout = layout_of(schema)
    random = torch.Generator().manual_seed(int(Csprng().below(2**62, 1)[0]))
    start: RoundState | ArrayRoundState
    anchor: FittingLoss
    if isinstance(schema, TableSchema):
        start = RoundState.from_bytes(state, schema, pairs(schema, plan))
        rows = Layout.of(schema).to_model(start.grouping.to_groups(records.rows, schema))
        records = Records(rows, records.starts)
        anchor = anchor_loss(start, pairs(schema, plan))
    else:
        features = array_features(schema, plan)
        start = ArrayRoundState.from_bytes(state, features.layout, features.count)
        anchor = ArrayMomentLoss(features, start.total, ANCHOR_BATCH, random)
    pair = Pair.new(layout, plan.model, plan.seed)
    pair.load(start.parameters)
    fakes = Fakes(pair.generator, layout, start.prior, random)
    train_discriminator(pair.discriminator, records, layout, train, fakes, device)
    train_generator(pair, train, fakes, anchor)
    update = pair.to_vector().astype(np.float64) - start.parameters.astype(np.float64)
    bounded = np.nan_to_num(update, nan=0.0, posinf=0.0, neginf=0.0)
    quantiser = local_encoding(schema, plan, train).quantiser
    return PrivateUpdate(quantiser.to_integers(bounded, Csprng()), receipt)


def anchor_loss(start: RoundState, features: GramFeatures) -> MomentLoss:
    """What holds the generator to the released moments."""
    return MomentLoss(
        features,
        start.singles,
        start.pairs,
        start.single_precision,
        features.pair_precision,
        start.noise,
        start.prior,
    )


class CsprngDPOptimizer(DPOptimizer):  # type: ignore[misc]
    """Opacus' optimiser with noise from our CSPRNG instead of torch's seeded generator."""

    def __init__(self, optimizer: torch.optim.Optimizer, random: Csprng, train: Local) -> None:
        super().__init__(
            optimizer,
            noise_multiplier=train.noise_multiplier,
            max_grad_norm=train.max_grad_norm,
            expected_batch_size=train.expected_batch_size,
        )
        self._random = random

    def clip_and_accumulate(self) -> None:
        """Clip each record's gradient; one that is not finite counts as zero.

        Otherwise a state that overflows for one particular record would turn it into a visible NaN.
        """
        norms = torch.stack([p.grad_sample.flatten(1).norm(dim=1) for p in self.params])
        if not norms.isfinite().all():
            unbounded = ~norms.isfinite().all(0)
            for parameter in self.params:
                parameter.grad_sample[unbounded] = 0.0
        super().clip_and_accumulate()

    def add_noise(self) -> None:
        """grad = sum of clipped gradients + N(0, (noise_multiplier * max_grad_norm)**2)."""
        scale = self.noise_multiplier * self.max_grad_norm
        for parameter in self.params:
            noise = torch.from_numpy(scale * self._random.gaussian(*parameter.shape))
            parameter.grad = parameter.summed_grad + noise.to(parameter.summed_grad)
            _mark_as_processed(parameter.summed_grad)


def train_discriminator(
    discriminator: AnyDiscriminator,
    records: Records,
    layout: AnyLayout,
    train: Local,
    fakes: Fakes,
    device: Device | None = None,
) -> None:
    """``local_steps`` of DP-SGD, in place (Abadi et al. 2016, Algorithm 1).

    A batch is concat(a Poisson sample of records, a fixed number of fakes): adding or removing a record adds
    or removes one clipped gradient, so the sensitivity is ``max_grad_norm``. Where it does not fit into
    memory, it goes through D in parts: each row's gradient is made and clipped by itself in either case, and
    noise is added once, to the sum over all parts.
    records: of a table with their codes grouped and in model order
    """
    ModuleValidator.validate(discriminator, strict=True)
    random, device = Csprng(), device or Device.of()
    discriminator.double()  # float32 would round other records' gradients anew when one is added
    discriminator.to(device.place)
    like = torch.zeros(1, layout.width, dtype=torch.float64)
    at_once = device.at_once(bytes_of_a_row(discriminator, (like,), 3 * count(discriminator)))
    wrapped = GradSampleModule(discriminator, loss_reduction="sum")
    sgd = torch.optim.SGD(wrapped.parameters(), train.discriminator_learning_rate)
    optimiser = CsprngDPOptimizer(sgd, random, train)
    for _ in range(train.local_steps):
        sampled = records.sampled(train.sample_rate, random)
        with torch.no_grad():
            batch = torch.cat([record_tensor(sampled, layout), fakes(train.fakes)])
        for start in range(0, len(batch), at_once):
            part = batch[start : start + at_once].to(device.place, torch.float64)
            part.requires_grad_()  # Opacus' backward hooks expect it
            real = max(0, len(sampled) - start)
            optimiser.zero_grad(set_to_none=True)  # but for the sum of the parts before
            logits = wrapped(part)
            losses = [real_loss(logits[:real], train.objective), fake_loss(logits[real:], train.objective)]
            torch.cat(losses).sum().backward()  # type: ignore[no-untyped-call]
            # of all parts but the last, only the clipped sum is kept: no noise, no step
            optimiser.signal_skip_step(start + at_once < len(batch))
            optimiser.step()
    wrapped.remove_hooks()
    discriminator.float().cpu()


def train_generator(pair: AnyPair, train: Local, fakes: Fakes, anchor: FittingLoss) -> None:
    """``generator_steps`` of Adam on the objective's loss, held to the released moments.

    Touches no record: D is already private, the moments are released.
    """
    parameters: list[nn.Parameter] = list(pair.generator.parameters())
    optimiser = torch.optim.Adam(parameters, train.generator_learning_rate, betas=(0.5, 0.9))
    pair.discriminator.requires_grad_(False)
    for _ in range(train.generator_steps):
        adversarial = generator_loss(pair.discriminator(fakes(train.generator_batch)), train.objective).mean()
        loss = adversarial + train.anchor * anchor(pair.generator)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    pair.discriminator.requires_grad_(True)

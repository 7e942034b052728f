"""One local round: DP-SGD on the discriminator, then generator steps through it (post-processing)."""

from __future__ import annotations

import numpy as np
import torch
from opacus.optimizers.optimizer import _mark_as_processed
from opacus.optimizers.optimizer_fast_gradient_clipping import DPOptimizerFastGradientClipping
from torch import Tensor, nn

from common.contributions import array_features, layout_of, local_encoding, pairs
from common.csprng import Csprng
from common.modalities.gram import GramFeatures
from common.modalities.layout import Layout
from common.models.array_loss import ANCHOR_BATCH, ArrayMomentLoss
from common.models.encoding import AnyLayout, record_tensor
from common.models.fakes import Fakes
from common.models.moment_loss import MomentLoss
from common.models.neighbour_loss import loss_of
from common.models.objective import FittingLoss, fake_loss, generator_loss, real_loss
from common.models.pair import AnyDiscriminator, AnyPair, Pair, count
from common.phases import Local, Objective
from common.plan import Plan
from common.privacy.ledger import Receipt
from common.privacy.update import PrivateUpdate
from common.records import Records
from common.schema import Schema, TableSchema
from common.states import ArrayRoundState, RoundState

from .bookkeeping import BookKeeping
from .device import Device, bytes_of_a_row, microbatches


def train_locally(
    records: Records,
    schema: Schema,
    plan: Plan,
    state: bytes,
    receipt: Receipt,
    train: Local,
    device: Device | None = None,
) -> PrivateUpdate:
    """A site's update of generator and discriminator in one round: noisy integers, int64[parameters].

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
    return loss_of(features)(
        features,
        start.singles,
        start.pairs,
        start.single_precision,
        features.pair_precision,
        start.noise,
        start.prior,
    )


class CsprngDPOptimizer(DPOptimizerFastGradientClipping):  # type: ignore[misc]
    """Opacus' optimiser for sums that are clipped already, with noise from our CSPRNG."""

    def __init__(self, optimizer: torch.optim.Optimizer, random: Csprng, train: Local) -> None:
        super().__init__(
            optimizer,
            noise_multiplier=train.noise_multiplier,
            max_grad_norm=train.max_grad_norm,
            expected_batch_size=train.expected_batch_size,
        )
        self._random = random

    def take(self, total: Tensor) -> None:
        """A step by the whole sum of clipped gradients, in units of the norm: [parameters]."""
        self.zero_grad(set_to_none=True)
        parts = torch.split(total * self.max_grad_norm, [parameter.numel() for parameter in self.params])
        for parameter, part in zip(self.params, parts, strict=True):
            parameter.grad = part.view_as(parameter)
        self.step()

    def add_noise(self) -> None:
        """grad = sum of clipped gradients + N(0, (noise_multiplier * max_grad_norm)**2)."""
        scale = self.noise_multiplier * self.max_grad_norm
        for parameter in self.params:
            noise = torch.from_numpy(scale * self._random.gaussian(*parameter.shape))
            parameter.grad = parameter.summed_grad + noise.to(parameter.summed_grad)
            _mark_as_processed(parameter.summed_grad)


class Shown(nn.Module):
    """D's loss for each row of records and fakes."""

    def __init__(self, discriminator: AnyDiscriminator, objective: Objective) -> None:
        super().__init__()
        self.discriminator, self._objective = discriminator, objective

    def forward(self, rows: Tensor, fake: Tensor) -> Tensor:
        """Losses [B] of rows [B, W]; fake: 1 for one that was generated, [B, 1]."""
        logits = self.discriminator(rows)
        real, generated = real_loss(logits, self._objective), fake_loss(logits, self._objective)
        return torch.where(fake[:, 0] > 0, generated, real)


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
    or removes one clipped gradient, so the sensitivity is ``max_grad_norm``. One that is not finite counts as
    zero: a state that overflows for one particular record would otherwise turn it into a visible NaN. Where a
    batch does not fit into memory, it goes through D in parts: each row's gradient is clipped by itself in
    either case, and noise is added once, to the sum over all parts.
    records: of a table with their codes grouped and in model order
    """
    random, device = Csprng(), device or Device.of()
    shown = Shown(discriminator, train.objective)
    shown.double()  # float32 would round other records' gradients anew when one is added
    shown.to(device.place)
    wrapped = BookKeeping(shown)
    like = tuple(torch.zeros(1, width, dtype=torch.float64) for width in (layout.width, 1))
    wrapped.disable_hooks()
    at_once = device.at_once(bytes_of_a_row(shown, like, wrapped.held(views=1)))
    wrapped.enable_hooks()
    sgd = torch.optim.SGD(wrapped.parameters(), train.discriminator_learning_rate)
    optimiser = CsprngDPOptimizer(sgd, random, train)
    for _ in range(train.local_steps):
        sampled = records.sampled(train.sample_rate, random)
        with torch.no_grad():
            batch = torch.cat([record_tensor(sampled, layout), fakes(train.fakes)]).double()
        fake = (torch.arange(len(batch), dtype=torch.float64) >= len(sampled))[:, None].double()
        total = torch.zeros(count(shown), dtype=torch.float64, device=device.place)
        for rows, told in microbatches(at_once, batch, fake):
            total += wrapped.clipped_sum(rows.to(device.place), told.to(device.place), train.max_grad_norm)
        optimiser.take(total)
    wrapped.cleanup()
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

"""One local round: DP-SGD on the discriminator, then generator steps through it (post-processing)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from opacus.optimizers.optimizer import _mark_as_processed
from opacus.validators import ModuleValidator
from torch import Tensor, nn
from torch.nn.functional import softplus

from common.contributions import TrainState
from common.csprng import Csprng
from common.modalities.layout import Layout
from common.modalities.tabular import Codes
from common.models.moment_loss import MomentLoss, condition_one_hot
from common.models.pair import Pair
from common.models.tabular import Discriminator, Generator
from common.plan import Plan, Train
from common.privacy.ledger import Receipt
from common.privacy.update import PrivateUpdate
from common.schema import Schema


def train_locally(codes: Codes, schema: Schema, plan: Plan, state: bytes, receipt: Receipt) -> PrivateUpdate:
    """A site's update of generator and discriminator in one round: float64[parameters].

    Guarantees: records are touched only by ``train.local_steps`` of DP-SGD on D, with Poisson sampling at
    ``train.sample_rate``, per-record clipping to ``train.max_grad_norm`` and Gaussian noise from a
    CSPRNG; all else is a function of the noisy D and of public things.
    """
    layout = Layout.of(schema)
    start = TrainState.from_bytes(state, layout)
    pair = Pair.new(layout, plan.model, plan.seed)
    pair.load(start.parameters)
    random = torch.Generator().manual_seed(int(Csprng().below(2**62, 1)[0]))
    fakes = Fakes(pair.generator, layout, start.prior, random)
    train_discriminator(pair.discriminator, layout.to_model(codes), layout, plan.train, fakes)
    anchor = MomentLoss(layout, start.singles, start.pairs, start.prior, plan.measure.single_weight**2)
    train_generator(pair, plan.train, fakes, anchor, random)
    update = pair.to_vector().astype(np.float64) - start.parameters.astype(np.float64)
    return PrivateUpdate(np.nan_to_num(update, nan=0.0, posinf=0.0, neginf=0.0), receipt)


class Fakes:
    """Batches of generated records [B, F + C], conditions drawn from the released prior."""

    def __init__(
        self,
        generator: Generator,
        layout: Layout,
        prior: NDArray[np.float64],
        random: torch.Generator,
    ) -> None:
        self._generator, self._random = generator, random
        self._prior = torch.from_numpy(prior)
        self._grid = condition_one_hot(layout, layout.condition_grid())

    def __call__(self, batch: int) -> Tensor:
        """``batch`` one-hot records whose gradients reach the generator."""
        drawn = torch.multinomial(self._prior, batch, replacement=True, generator=self._random)
        conditions = self._grid[drawn]
        noise = torch.randn((batch, self._generator.latent), generator=self._random)
        logits = self._generator(noise, conditions)
        sample = self._generator.columns.one_hot_sample(logits, self._random)
        return torch.cat([sample, conditions], dim=1)


class CsprngDPOptimizer(DPOptimizer):  # type: ignore[misc]
    """Opacus' optimiser with noise from our CSPRNG instead of torch's seeded generator."""

    def __init__(self, optimizer: torch.optim.Optimizer, random: Csprng, train: Train) -> None:
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
    discriminator: Discriminator, codes: Codes, layout: Layout, train: Train, fakes: Fakes
) -> None:
    """``local_steps`` of DP-SGD, in place (Abadi et al. 2016, Algorithm 1).

    One forward on concat(real Poisson batch, a fixed number of fakes): adding or removing a record adds
    or removes one clipped gradient, so the sensitivity is ``max_grad_norm``.
    codes: int64[records, columns] in model order
    """
    ModuleValidator.validate(discriminator, strict=True)
    random = Csprng()
    wrapped = GradSampleModule(discriminator)
    sgd = torch.optim.SGD(wrapped.parameters(), train.discriminator_learning_rate)
    optimiser = CsprngDPOptimizer(sgd, random, train)
    for _ in range(train.local_steps):
        sampled = random.uniform(len(codes)) < train.sample_rate
        with torch.no_grad():
            batch = torch.cat([_one_hot(codes[sampled], layout), fakes(train.fakes)])
        batch.requires_grad_()  # Opacus' backward hooks expect it
        real = int(sampled.sum())
        optimiser.zero_grad(set_to_none=True)
        _discriminator_loss(wrapped(batch), real).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    wrapped.remove_hooks()


def _discriminator_loss(logits: Tensor, real: int) -> Tensor:
    """Binary cross-entropy, the first ``real`` rows being records; mean over the batch."""
    signs = torch.ones_like(logits)
    signs[:real] = -1.0
    return softplus(signs * logits).mean()


def _one_hot(codes: Codes, layout: Layout) -> Tensor:
    offsets = np.concatenate([[0], np.cumsum(layout.sizes)])[:-1]
    one_hot = np.zeros((len(codes), layout.width), np.float32)
    np.put_along_axis(one_hot, codes + offsets, 1.0, axis=1)
    return torch.from_numpy(one_hot)


def train_generator(
    pair: Pair, train: Train, fakes: Fakes, anchor: MomentLoss, random: torch.Generator
) -> None:
    """``generator_steps`` of Adam on the non-saturating loss, held to the released moments.

    Touches no record: D is already private, the moments are released.
    """
    parameters: list[nn.Parameter] = list(pair.generator.parameters())
    optimiser = torch.optim.Adam(parameters, train.generator_learning_rate, betas=(0.5, 0.9))
    pair.discriminator.requires_grad_(False)
    for _ in range(train.generator_steps):
        adversarial = softplus(-pair.discriminator(fakes(train.generator_batch))).mean()
        loss = adversarial + train.anchor * anchor(pair.generator, train.generator_batch, random)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    pair.discriminator.requires_grad_(True)

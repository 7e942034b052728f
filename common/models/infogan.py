"""InfoGAN: part of a generator's noise is codes, and a head that reads them off what was generated.

Chen et al. 2016: beside its own loss the generator minimises weight * -L_I, where
L_I(G, Q) = E log Q(codes | generated) + H(codes) is a lower bound of the codes' mutual information with what
is generated (their equations 5 and 6; the entropy is a constant of the plan). Their Q shares layers with D.
Here it has its own: D's are trained on records, by noisy gradients, while Q sees generated records alone, so
that it takes no share of a clipped gradient and costs no budget.

Codes are the first numbers of the noise: a one-hot choice of ``categories``, then ``factors`` uniform numbers
between -1 and 1 (``ArrayGenerator.points``). A release keeps this order: to fix a code is to fix its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from ..modalities.array_layout import ArrayLayout
from .arrays import Strided
from .fakes import Fakes
from .family import Adversarial
from .objective import generator_loss


class CodeHead(Strided):
    """Q: generated records with labels [B, V + C] to logits of the category, then means of the factors."""

    def __init__(self, layout: ArrayLayout, width: int, categories: int, factors: int) -> None:
        super().__init__(layout, width, categories + factors)
        self.categories, self.factors = categories, factors

    def loss(self, records: Tensor, noise: Tensor) -> Tensor:
        """-E log Q(codes | records), a scalar, up to a constant. noise: [B, Z] they were generated from.

        Q is a categorical distribution and normal ones of variance 1, so that this is a cross-entropy and
        half a squared error.
        """
        found = self(records)
        split, end = self.categories, self.categories + self.factors
        loss: Tensor = found.new_zeros(())
        if self.categories:
            loss = loss + cross_entropy(found[:, :split], noise[:, :split])
        if self.factors:
            loss = loss + mse_loss(found[:, split:], noise[:, split:end]) * (self.factors / 2)
        return loss


class Free(nn.Module):
    """What no record reaches: generator, then head."""

    def __init__(self, generator: nn.Module, head: CodeHead) -> None:
        super().__init__()
        self.generator, self.head = generator, head


@dataclass(frozen=True, slots=True)
class InfoGan(Adversarial):
    """``bce``, with codes that stay readable."""

    free: Free

    def free_loss(self, fakes: Fakes, count: int) -> Tensor:
        """G's loss and the head's, which move together."""
        noise, conditions = fakes.start(count)
        records = fakes.finish(noise, conditions)
        adversarial = generator_loss(self.entered.discriminator(records), self.objective).mean()
        return adversarial + self.objective.information * self.free.head.loss(records, noise)

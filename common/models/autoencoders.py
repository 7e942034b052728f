"""Conditional autoencoders: encoder and decoder both touch records, and train by DP-SGD entirely.

Nothing is free: every parameter takes its share of the clipped and noised gradient. What is released is the
decoder, which is the plan's generator, fed with standard normal noise. Both reconstruct under a normal
distribution of the fixed, public variance VARIANCE; what is generated is its mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, softplus

from ..modalities.array_layout import ArrayLayout
from ..phases import ArrayModel
from .array_generator import ArrayGenerator
from .arrays import Strided
from .fakes import Fakes
from .family import Entered, Family

VARIANCE = 0.1
"""Of a value about its reconstruction, -1 to 1. Another is another ``divergence``, up to scale."""

_SLOPE = 0.2


class Autoencoder(Entered):
    """An encoder of records with their labels [B, V + C], and the decoder that is released."""

    def __init__(
        self, layout: ArrayLayout, model: ArrayModel, decoder: ArrayGenerator, outputs: int, divergence: float
    ) -> None:
        super().__init__()
        self.encoder = Strided(layout, model.discriminator_width, outputs)
        self.decoder = decoder
        self._values, self._divergence = layout.values, divergence
        self.random = torch.Generator()

    def public_loss(self, codes: Tensor, conditions: Tensor) -> Tensor:
        """What of the loss needs no record, a scalar. codes: of the prior, [B, Z], with labels [B, C]."""
        raise NotImplementedError

    def draws(self, records: Tensor) -> Tensor:
        """Noise of the reparameterisation: [B, Z]."""
        return self.noise(records.new_empty(len(records), self.decoder.latent))

    def noise(self, like: Tensor) -> Tensor:
        """Standard normal, of the same shape, type and device."""
        return torch.randn(like.shape, generator=self.random).to(like)

    def encoded(self, records: Tensor, draws: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Codes [B, Z], reparameterised, and what they were drawn with: mean and log variance."""
        noise = self.draws(records) if draws is None else draws
        mean, log_variance = self.encoder(records).chunk(2, dim=1)
        return mean + (log_variance / 2).exp() * noise, mean, log_variance

    def errors(self, records: Tensor, codes: Tensor) -> Tensor:
        """-log density of each value given its code, [B, V], up to a constant."""
        values, conditions = records[:, : self._values], records[:, self._values :]
        squares: Tensor = (self.decoder(codes, conditions) - values) ** 2 / (2 * VARIANCE)
        return squares


class Variational(Autoencoder):
    """The conditional variational autoencoder (Kingma and Welling 2014; Sohn, Lee, Yan 2015)."""

    def __init__(
        self, layout: ArrayLayout, model: ArrayModel, decoder: ArrayGenerator, divergence: float
    ) -> None:
        super().__init__(layout, model, decoder, 2 * model.latent, divergence)

    def forward(self, records: Tensor, draws: Tensor | None = None) -> Tensor:
        """-ELBO [B]: reconstruction, and ``divergence`` times KL(q(z | record) || N(0, 1)).

        q is normal with a diagonal covariance, and z reparameterised: mean + deviation * noise. One draw for
        each record, as in the paper's section 2.3.
        """
        codes, mean, log_variance = self.encoded(records, draws)
        divergence = (mean**2 + log_variance.exp() - 1 - log_variance).sum(1) / 2
        loss: Tensor = self.errors(records, codes).sum(1) + self._divergence * divergence
        return loss

    def public_loss(self, codes: Tensor, conditions: Tensor) -> Tensor:
        """Nothing: the ELBO is about records alone."""
        del codes, conditions
        nothing: Tensor = 0.0 * next(self.parameters()).sum()
        return nothing


class LatentAdversarial(Autoencoder):
    """The conditional adversarial autoencoder (Makhzani et al. 2016): a critic holds codes to the prior.

    The critic sees a code with its label, so that codes follow the prior in every class. It learns to tell
    them from the prior's while the encoder learns the opposite: a reversed gradient (Ganin and Lempitsky
    2015) does both in one pass over a record, as one clipped gradient needs. Its loss on the prior's codes
    needs no record.
    """

    def __init__(
        self, layout: ArrayLayout, model: ArrayModel, decoder: ArrayGenerator, divergence: float
    ) -> None:
        super().__init__(layout, model, decoder, 2 * model.latent, divergence)
        width = 4 * model.discriminator_width
        self.hidden = nn.Linear(model.latent + layout.classes, width)
        self.score = nn.Linear(width, 1)

    def forward(self, records: Tensor, draws: Tensor | None = None) -> Tensor:
        """Reconstruction, as a mean over values, and the critic's loss on the code: [B].

        A sum over values, thousands in an image, would leave the critic nothing of a clipped gradient.
        """
        codes, _, _ = self.encoded(records, draws)
        told = self.critic(_Reversed.apply(codes, self._divergence), records[:, self._values :])  # type: ignore[no-untyped-call]
        return self.errors(records, codes).mean(1) + softplus(told)

    def critic(self, codes: Tensor, conditions: Tensor) -> Tensor:
        """Logits [B]: positive means a code of the prior."""
        activation = leaky_relu(self.hidden(torch.cat([codes, conditions], dim=1)), _SLOPE)
        logits: Tensor = self.score(activation)
        return logits.squeeze(1)

    def public_loss(self, codes: Tensor, conditions: Tensor) -> Tensor:
        """The critic's loss on codes of the prior."""
        return softplus(-self.critic(codes, conditions)).mean()


class _Reversed(torch.autograd.Function):
    """The identity, whose gradient is reversed and weighed."""

    @staticmethod
    def forward(ctx: Any, codes: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return codes.view_as(codes)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradients[0], None


@dataclass(frozen=True, slots=True)
class Autoencoding(Family):
    """``cvae`` and ``aae``: the generator is the decoder, and has no steps of its own."""

    entered: Autoencoder

    def public_loss(self, fakes: Fakes, count: int, max_grad_norm: float) -> tuple[Tensor, float]:
        """The loss on ``count`` codes of the prior; there are no fakes to tell."""
        del max_grad_norm
        return self.entered.public_loss(*fakes.start(count)), 1.0

    def free_loss(self, fakes: Fakes, count: int) -> Tensor:
        """Of nothing."""
        del fakes, count
        return torch.zeros(())

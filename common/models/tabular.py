"""The pair for tables: a FiLM-conditioned generator and a plain discriminator.

Shapes: B batch, Z latent, C width of the one-hot conditions, F width of the generated columns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..modalities.layout import Layout

_SLOPE = 0.2


class ColumnSoftmax(nn.Module):
    """Softmax, or a sample, of each column's logits: one padded operation, no loop over columns."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        widest = max(sizes)
        starts = torch.tensor([0, *sizes]).cumsum(0)[:-1]
        offsets = torch.arange(widest)[None, :]
        inside = offsets < torch.tensor(sizes)[:, None]
        gather = (starts[:, None] + offsets).where(inside, 0)
        self.register_buffer("_gather", gather.flatten(), persistent=False)
        self.register_buffer("_outside", ~inside, persistent=False)
        self.register_buffer("_inside", inside.flatten().nonzero().squeeze(1), persistent=False)
        self._shape = (len(sizes), widest)

    def _padded(self, logits: Tensor) -> Tensor:
        """[B, F] to [B, columns, widest], -inf outside."""
        padded = logits[:, self._buffer("_gather")].view(-1, *self._shape)
        return padded.masked_fill(self._buffer("_outside"), -torch.inf)

    def _flat(self, padded: Tensor) -> Tensor:
        return padded.flatten(1)[:, self._buffer("_inside")]

    def _buffer(self, name: str) -> Tensor:
        return self.get_buffer(name)

    def probabilities(self, logits: Tensor) -> Tensor:
        """[B, F]: each column sums to 1."""
        return self._flat(self._padded(logits).softmax(2))

    def one_hot_sample(self, logits: Tensor, random: torch.Generator) -> Tensor:
        """A drawn one-hot record [B, F] whose gradient is that of the softmax (straight-through).

        Jang, Gu, Poole 2017 (Gumbel-softmax, temperature 1).
        """
        soft = (self._padded(logits) + self._gumbel(random, len(logits))).softmax(2)
        hard = torch.zeros_like(soft).scatter_(2, soft.argmax(2, keepdim=True), 1.0)
        return self._flat(hard + soft - soft.detach())

    def _gumbel(self, random: torch.Generator, batch: int) -> Tensor:
        uniform = torch.rand((batch, *self._shape), generator=random).clamp(1e-10, 1 - 1e-7)
        return -torch.log(-torch.log(uniform))


class Generator(nn.Module):
    """(noise [B, Z], conditions [B, C]) to logits [B, F].

    The noise is one of K fixed points, which makes the generator a finite mixture: for given conditions each
    point gives one distribution for each column, and moments are exact sums. Conditions scale and shift each
    hidden layer (FiLM, Perez et al. 2018) and shift the output; a linear path goes round the hidden layers.
    """

    def __init__(self, layout: Layout, latents: int, latent: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        widths = (latent, *hidden)
        self.register_buffer("_latents", torch.randn(latents, latent))
        self.columns = ColumnSoftmax(layout.generated)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, hidden, strict=False))
        self.film = nn.ModuleList(nn.Linear(layout.condition_width, 2 * b) for b in hidden)
        self.output = nn.Linear(widths[-1], layout.generated_width)
        self.linear = nn.Linear(latent, layout.generated_width, bias=False)
        self.prior = nn.Linear(layout.condition_width, layout.generated_width, bias=False)
        for layer in (*self.film, self.linear, self.prior):
            assert isinstance(layer, nn.Linear)
            nn.init.zeros_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    @property
    def latents(self) -> Tensor:
        """The points of the latent space, float32[K, Z], all equally likely."""
        return self.get_buffer("_latents")

    def points(self, batch: int, random: torch.Generator) -> Tensor:
        """Noise to start from: some of the points [B, Z]."""
        return self.latents[torch.randint(len(self.latents), (batch,), generator=random)]

    def draw(self, noise: Tensor, conditions: Tensor, random: torch.Generator) -> Tensor:
        """One-hot records [B, F], drawn from the points' distributions; gradients pass straight through."""
        return self.columns.one_hot_sample(self(noise, conditions), random)

    def forward(self, noise: Tensor, conditions: Tensor) -> Tensor:
        """Logits [B, F]."""
        activation = noise
        for layer, film in zip(self.hidden, self.film, strict=True):
            scale, shift = film(conditions).chunk(2, dim=1)
            activation = nn.functional.leaky_relu(layer(activation) * (1 + scale) + shift, _SLOPE)
        logits: Tensor = self.output(activation) + self.prior(conditions) + self.linear(noise)
        return logits


class Discriminator(nn.Module):
    """A one-hot record with its conditions [B, F + C] to a logit [B]: positive means real."""

    def __init__(self, layout: Layout, hidden: tuple[int, ...]) -> None:
        super().__init__()
        widths = (layout.width, *hidden)
        layers: list[nn.Module] = []
        for a, b in zip(widths, hidden, strict=False):
            layers += [nn.Linear(a, b), nn.LeakyReLU(_SLOPE)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, records: Tensor) -> Tensor:
        """Logits [B]."""
        logits: Tensor = self.layers(records)
        return logits.squeeze(1)

"""Two image classifiers that judge generated images: a small one for figures, a strong one for MNIST's 99 %.

They are trained on real or on generated images and tested on real ones: only for where these may be seen, at
a site, in a simulation or in a benchmark on public data. Nothing of it is part of a release. Given a seed, a
machine and a number of threads, a network is the same to the last bit; torch's own random state is left
alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor, nn
from torch.nn import functional

from ..errors import TooFewRecordsError

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

BATCH = 128
SMALL_EPOCHS, STRONG_EPOCHS = 3, 5  # on MNIST: 97 % from 20,000 images; 99.3 % from 60,000 in 5 CPU minutes
REFERENCE = 20_000  # images that epochs are counted on: a smaller set is trained on for as many steps
_AT_ONCE = 500  # images a pass without gradients looks at together
_SLOPE = 0.2


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained: Adam on the cross-entropy, batches of 128.

    one_cycle: the learning rate rises over the first fifth of the steps and falls to 0 as a cosine (after
    Smith and Topin 2019); otherwise it is constant. shift: pixels an image is moved by at most, at random
    """

    learning_rate: float
    one_cycle: bool
    shift: int


class Classifier(nn.Module):
    """Layers that end in features, and one linear layer from these to the classes.

    name: the architecture, for figures; recipe: how ``fit`` trains it
    """

    def __init__(self, name: str, recipe: Recipe, body: nn.Sequential, features: int, classes: int) -> None:
        super().__init__()
        self.name, self.recipe = name, recipe
        self.body, self.dropout = body, nn.Dropout(0.4 if recipe.one_cycle else 0.0)
        self.head = nn.Linear(features, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [batch, classes] of images [batch, channels, height, width] in [-1, 1]."""
        scores: Tensor = self.head(self.dropout(self.body(images)))
        return scores


def small_cnn(shape: tuple[int, int, int], classes: int, seed: int) -> Classifier:
    """Convolutions 16 and 32 (4x4, stride 2), 64 features, the classes; LeakyReLU 0.2 between.

    shape: channels, height, width of the images; sides of 28 to 128
    """
    channels, height, width = shape
    with _seeded(seed):
        body = nn.Sequential(
            nn.Conv2d(channels, 16, 4, 2, 1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(16, 32, 4, 2, 1),
            nn.LeakyReLU(_SLOPE),
            nn.Flatten(),
            nn.Linear(32 * (height // 4) * (width // 4), 64),
            nn.LeakyReLU(_SLOPE),
        )
        return Classifier("small-cnn", Recipe(2e-3, one_cycle=False, shift=0), body, 64, classes)


def strong_cnn(shape: tuple[int, int, int], classes: int, seed: int) -> Classifier:
    """Blocks of 3x3 convolution, batch norm, ReLU and pooling, 32 then 64 wide; 128 features, dropout 0.4.

    Two blocks at 28 pixels, one more for each doubling. Trained with random shifts of 2 pixels and one cycle.
    shape: channels, height, width of the images; sides of 28 to 128
    """
    channels, height, width = shape
    layers: list[nn.Module] = []
    with _seeded(seed):
        while min(height, width) > 8:
            wide = 64 if layers else 32
            layers += [nn.Conv2d(channels, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
            channels, height, width = wide, height // 2, width // 2
        layers += [nn.Flatten(), nn.Linear(channels * height * width, 128), nn.ReLU()]
        recipe = Recipe(4e-3, one_cycle=True, shift=2)
        return Classifier("strong-cnn", recipe, nn.Sequential(*layers), 128, classes)


def fit(network: Classifier, values: Images, labels: Labels, epochs: int, seed: int) -> Classifier:
    """Train ``network`` in place by its recipe, and return it, ready to predict.

    values: uint8[records, channels, height, width]; labels: int64[records], 0 … classes - 1. Raises
    TooFewRecordsError without records.
    """
    if not len(values):
        raise TooFewRecordsError("a classifier needs images to learn from")
    recipe = network.recipe
    targets = torch.from_numpy(labels.astype(np.int64))
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    total, step = epochs * math.ceil(len(values) / BATCH), 0
    network.train()
    with _seeded(seed):
        for _ in range(epochs):
            order = torch.randperm(len(values)).numpy()
            for rows in (order[start : start + BATCH] for start in range(0, len(order), BATCH)):
                if recipe.one_cycle:
                    optimizer.param_groups[0]["lr"] = recipe.learning_rate * _one_cycle(step / total)
                optimizer.zero_grad()
                logits = network(_scaled(_shifted(torch.from_numpy(values[rows]), recipe.shift)))
                loss = functional.cross_entropy(logits, targets[rows])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                step += 1
    return network.eval()


def epochs_for(records: int, epochs: int, reference: int = REFERENCE) -> int:
    """Epochs over ``records`` that make at least as many steps as ``epochs`` over ``reference`` records."""
    steps = epochs * math.ceil(reference / BATCH)
    return max(epochs, math.ceil(steps / math.ceil(max(records, 1) / BATCH)))


def predict(network: Classifier, values: Images) -> Labels:
    """The likeliest class of each image, int64[records]."""
    return np.asarray(probabilities(network, values).argmax(1), np.int64)


def probabilities(network: Classifier, values: Images) -> NDArray[np.float32]:
    """The network's p(class | image), float32[records, classes]; rows sum to 1."""
    return _passed(network, network, values, softmax=True)


def penultimate(network: Classifier, values: Images) -> NDArray[np.float32]:
    """What the last layer sees of each image, float32[records, features]: 64 small, 128 strong."""
    return _passed(network, network.body, values)


def weights_hash(network: nn.Module) -> str:
    """SHA-256, in hex, of names, types, shapes and bytes of the state, sorted by name: names the very net."""
    found = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        array = tensor.detach().cpu().contiguous().numpy()
        array = array.astype(array.dtype.newbyteorder("<"))
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def accuracy(truth: Labels, said: Labels) -> float:
    """Share of records given their own class, in [0, 1]."""
    return float(accuracy_score(truth, said))


def macro_f1(truth: Labels, said: Labels) -> float:
    """Mean F1 over the classes that occur in ``truth``, in [0, 1]; a class never said has 0."""
    return float(f1_score(truth, said, labels=np.unique(truth), average="macro", zero_division=0))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Initialisation, order, shifts and dropout come from ``seed``; the global state returns afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _scaled(images: Tensor) -> Tensor:
    """To [-1, 1], in one memory layout whatever that of ``images``: convolutions round by it."""
    return torch.empty(images.shape).copy_(images).div_(127.5).sub_(1)


def _shifted(images: Tensor, most: int) -> Tensor:
    """Each image moved by its own whole number of pixels, edges repeated."""
    if not most:
        return images
    count, _, height, width = images.shape
    padded = functional.pad(images.float(), (most,) * 4, mode="replicate")
    down = torch.randint(2 * most + 1, (count, 1)) + torch.arange(height)
    right = torch.randint(2 * most + 1, (count, 1)) + torch.arange(width)
    which = torch.arange(count)[:, None, None]
    return padded[which, :, down[:, :, None], right[:, None, :]].permute(0, 3, 1, 2)


def _one_cycle(done: float) -> float:
    return min(1.0, 0.1 + done / 0.2) * (1 + math.cos(math.pi * done)) / 2


def _passed(
    network: Classifier, layers: nn.Module, values: Images, *, softmax: bool = False
) -> NDArray[np.float32]:
    network.eval()
    found: list[NDArray[Any]] = []
    with torch.inference_mode():
        for start in range(0, len(values), _AT_ONCE):
            out = layers(_scaled(torch.from_numpy(values[start : start + _AT_ONCE].copy())))
            found.append((out.softmax(1) if softmax else out).numpy())
    return np.concatenate(found).astype(np.float32)

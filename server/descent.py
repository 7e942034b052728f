"""A descent by Adam that can be put down and taken up again exactly, and keeps nothing that is not finite."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from common.durable import write_whole
from common.models.array_generator import ArrayGenerator

_BETAS = (0.5, 0.99)
_WARM_UP = 0.02
_GOOD = 50  # steps between two copies to go back to
_MOST_RETURNS = 5  # to the last good copy; each halves the learning rate

Copy = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps with one batch of each class, a learning rate, and the decay of the average over steps."""

    steps: int
    batch: int
    rate: float
    average: float


class Descent:
    """A generator on its way, with its running average, what Adam remembers, and the noise to come.

    stage, step: where it is; returns: times it had to go back in this stage
    """

    def __init__(self, generator: ArrayGenerator, random: torch.Generator) -> None:
        self.generator, self.random = generator, random
        self.stage = self.step = self.returns = 0
        self.average = copy.deepcopy(generator)
        self._optimiser = torch.optim.Adam(generator.parameters(), betas=_BETAS)
        self._good = (0, _copied(generator), _copied(self.average))

    def take(self, stage: Stage, loss: Callable[[ArrayGenerator], Tensor]) -> float:
        """One step of a stage, in place; its loss, NaN if it is not finite and the fit went back instead."""
        rate = stage.rate * 0.5**self.returns
        self._optimiser.param_groups[0]["lr"] = rate * _cosine(self.step / stage.steps)
        value = self._descend(loss)
        self.step += 1
        if math.isfinite(value):
            self._follow(min(stage.average, (1 + self.step) / (10 + self.step)))
            if self.step % _GOOD == 0:
                self._good = (self.step, _copied(self.generator), _copied(self.average))
        elif self.returns < _MOST_RETURNS:
            self.returns += 1
            self.step, generator, average = self._good
            self.generator.load_state_dict(generator)
            self.average.load_state_dict(average)
            self._optimiser = torch.optim.Adam(self.generator.parameters(), betas=_BETAS)
        return value

    def next_stage(self) -> None:
        """End a stage: what was averaged is what goes on."""
        self.generator.load_state_dict(self.average.state_dict())
        self._optimiser = torch.optim.Adam(self.generator.parameters(), betas=_BETAS)
        self.stage, self.step, self.returns = self.stage + 1, 0, 0
        self._good = (0, _copied(self.generator), _copied(self.average))

    def _descend(self, loss: Callable[[ArrayGenerator], Tensor]) -> float:
        """The loss, or NaN if it or a gradient is not finite, and then nothing is moved."""
        self._optimiser.zero_grad()
        value = loss(self.generator)
        value.backward()  # type: ignore[no-untyped-call]
        length = nn.utils.clip_grad_norm_(self.generator.parameters(), 1.0)
        if not bool(torch.isfinite(length)) or not bool(torch.isfinite(value)):
            return math.nan
        self._optimiser.step()
        return float(value.detach())

    @torch.no_grad()
    def _follow(self, decay: float) -> None:
        for old, new in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            old.lerp_(new, 1 - decay)

    def save(self, path: Path, mark: str) -> None:
        """Write it down. mark: of the run it belongs to. Raises StorageError."""
        tensors = {
            f"{part}.{name}": value
            for part, values in self._parts().items()
            for name, value in values.items()
        }
        facts = {
            "mark": mark,
            "stage": self.stage,
            "step": self.step,
            "returns": self.returns,
            "good": self._good[0],
        }
        write_whole(path, lambda target: save_file(tensors, target, {"fedcgan": json.dumps(facts)}))

    def load(self, path: Path, mark: str) -> None:
        """Take up what was written down for the same run; begin anew if there is nothing that can be used."""
        try:
            with safe_open(path, framework="pt") as file:
                facts = json.loads(file.metadata()["fedcgan"])
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return
        if facts.pop("mark", None) != mark or set(found) != {
            f"{part}.{name}" for part, values in self._parts().items() for name in values
        } | {name for name in found if name.startswith("adam.")}:
            return
        for part, module in (("generator", self.generator), ("average", self.average)):
            module.load_state_dict({n: found[f"{part}.{n}"] for n in module.state_dict()})
        self._good = (facts["good"], *(_under(found, part) for part in ("good-generator", "good-average")))
        self._load_adam(_under(found, "adam"))
        self.random.set_state(found["random.state"])
        self.stage, self.step, self.returns = facts["stage"], facts["step"], facts["returns"]

    def _parts(self) -> dict[str, Copy]:
        adam = {
            f"{index}.{name}": value
            for index, values in self._optimiser.state_dict()["state"].items()
            for name, value in values.items()
        }
        return {
            "generator": dict(self.generator.state_dict()),
            "average": dict(self.average.state_dict()),
            "good-generator": self._good[1],
            "good-average": self._good[2],
            "adam": adam,
            "random": {"state": self.random.get_state()},
        }

    def _load_adam(self, flat: Copy) -> None:
        state: dict[int, Copy] = {}
        for name, value in flat.items():
            index, field = name.split(".")
            state.setdefault(int(index), {})[field] = value
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": state, "param_groups": groups})


def _cosine(done: float) -> float:
    """Share of the learning rate after a share of the steps."""
    return min(1.0, (done + 1e-3) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * done))


def _copied(module: nn.Module) -> Copy:
    return {name: value.clone() for name, value in module.state_dict().items()}


def _under(found: Copy, part: str) -> Copy:
    start = part + "."
    return {name.removeprefix(start): value for name, value in found.items() if name.startswith(start)}

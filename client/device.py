"""Where a site computes, and how many records' gradients fit into its memory at once.

A result depends on neither: what is drawn is drawn for a whole batch by generators on the CPU, each record is
clipped by itself, and sums are float64. A site with a GPU and one without contribute alike.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from common.errors import ConfigError

_SHARE = 0.25  # of what is free: it is a reading of now, and others take from the same memory
_MOST = 64 << 20  # bytes on a CPU, where more records at once are no quicker
_UNKNOWN = 2 << 30  # bytes free where no system says so
_TIMES_SAVED = 7  # the graph, gradients of activations, and patches that convolutions are unfolded into


@dataclass(frozen=True, slots=True)
class Device:
    """A CPU or a CUDA GPU.

    place: as torch names it
    budget: bytes for gradients and activations; if not given, a share of what is free
    """

    place: torch.device
    budget: int | None = None

    @classmethod
    def of(cls, name: str = "auto") -> Device:
        """The device of a name: ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:1``.

        Raises ConfigError if there is no such device here.
        """
        if name == "auto":
            return cls(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        found = re.fullmatch(r"cpu|cuda(?::(\d{1,3}))?", name)
        if found is None:
            raise ConfigError(
                f"there is no device {name!r}", hint="devices are: auto, cpu, cuda, cuda:1, ..."
            )
        if name != "cpu" and int(found[1] or 0) >= (gpus := torch.cuda.device_count()):
            raise ConfigError(
                f"device {name!r}: torch sees {gpus} GPUs here", hint="device = 'auto' takes what is there"
            )
        return cls(torch.device(name))

    def free_bytes(self) -> int:
        """What is free now: of the GPU, or of the machine within the limits of this process's groups."""
        if self.place.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.place)
            cached = torch.cuda.memory_reserved(self.place) - torch.cuda.memory_allocated(self.place)
            return int(free) + cached
        return _free_in(int(time.monotonic()))

    def at_once(self, each: int) -> int:
        """How many of something that takes ``each`` bytes fit: at least 1."""
        budget = self.budget
        if budget is None:
            budget = int(_SHARE * self.free_bytes())
            budget = min(budget, _MOST) if self.place.type == "cpu" else budget
        return max(1, budget // max(1, each))


def bytes_of_a_row(network: nn.Module, rows: tuple[Tensor, ...], held: int, rows_each: int = 1) -> int:
    """Bytes that a record takes while its gradient is made; of shapes alone, no record is looked at.

    network: without hooks yet; rows: what it is given, one row a record, or ``rows_each``
    held: how many numbers of gradients are held for each row
    """
    parameters = list(network.parameters())
    place, size = parameters[0].device, parameters[0].element_size()

    def saved(many: int) -> int:
        """Bytes that autograd keeps for rows of zeros."""
        found = 0

        def keep(tensor: Tensor) -> Tensor:
            nonlocal found
            found += tensor.numel() * tensor.element_size()
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            network(*(row.new_zeros((many, *row.shape[1:]), device=place) for row in rows))
        return found

    a_row = saved(2) - saved(1)  # without what is kept however many there are
    return rows_each * (_TIMES_SAVED * a_row + size * held)


def microbatches(size: int, *batch: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Parts of at most ``size`` rows, in order; one empty part of an empty batch."""
    return zip(*(torch.split(tensor, size) for tensor in batch), strict=True)


@lru_cache(maxsize=1)
def _free_in(second: int) -> int:
    """What is free, read once in each second of the clock: a step can be shorter than the reading."""
    del second
    return free_memory()


def free_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process may still take: what the kernel says is available, and no group forbids."""
    known = [*_available(_text(proc / "meminfo")), *_below_limits(_text(proc / "self" / "cgroup"), groups)]
    return max(0, min(known, default=_UNKNOWN))


def _available(meminfo: str) -> Iterator[int]:
    if found := re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.MULTILINE):
        yield int(found[1]) * 1024


def _below_limits(own: str, root: Path) -> Iterator[int]:
    """What is left below the limit of this process's control group, and of each that this one is in.

    Version 2 has one tree, version 1 one for each resource. In a container the own group may be the root.
    """
    for line in own.splitlines():
        _, kinds, path = line.split(":", 2)
        if kinds == "":
            yield from _left(root, path, "memory.max", "memory.current")
        elif "memory" in kinds.split(","):
            yield from _left(root / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes")


def _left(root: Path, path: str, most: str, used: str) -> Iterator[int]:
    folder = root / path.strip("/")
    for group in (folder, *folder.parents):
        limit, taken = _text(group / most).strip(), _text(group / used).strip()
        if limit.isdigit() and taken.isdigit():  # "max" where there is none
            # pages of files are given back when memory is short
            files = re.search(r"^(?:total_)?inactive_file (\d+)", _text(group / "memory.stat"), re.MULTILINE)
            yield int(limit) - int(taken) + (int(files[1]) if files else 0)
        if group == root:
            return


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""

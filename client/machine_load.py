"""How busy a site's machine is: what its steward looks at when a run is slow. Read, never measured."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigError

from .device import Device, free_memory

_QUERY = ("name", "utilization.gpu", "memory.used", "memory.total")
_MEBI = 1 << 20


@dataclass(frozen=True, slots=True)
class Gpu:
    """busy: share of the last second or so, None where nobody says; used, total: bytes"""

    name: str
    busy: float | None
    used: int
    total: int


@dataclass(frozen=True, slots=True)
class Load:
    """device: what gradients are computed on, in words; problem: why they cannot be

    averages: processes that wanted to run, over 1, 5 and 15 minutes; memory: bytes free to this process, and
    of the machine (0 where it does not say); disk: bytes free and in all, where the site lies
    """

    device: str
    problem: ConfigError | None
    cores: int
    averages: tuple[float, float, float]
    free: int
    memory: int
    disk_free: int
    disk: int
    gpus: list[Gpu]


def load(folder: Path, device: str) -> Load:
    """Of this machine. folder: the site's; device: as in its policy"""
    said, problem = "", None
    try:
        said = _device(device)
    except ConfigError as error:
        problem = error
    disk = shutil.disk_usage(folder)
    return Load(
        device=said,
        problem=problem,
        cores=os.cpu_count() or 1,
        averages=os.getloadavg(),
        free=free_memory(),
        memory=_memory(Path("/proc/meminfo")),
        disk_free=disk.free,
        disk=disk.total,
        gpus=gpus(),
    )


def gpus() -> list[Gpu]:
    """What ``nvidia-smi`` says, else what torch sees; nothing where there is none."""
    command = shutil.which("nvidia-smi")
    if command is not None:
        try:
            done = subprocess.run(  # noqa: S603 - a fixed command
                [command, f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits"],
                capture_output=True,
                text=True,
                timeout=5,
                check=True,
            )
            return read(done.stdout)
        except (OSError, subprocess.SubprocessError):
            pass  # torch may know
    return _torch_gpus()


def read(said: str) -> list[Gpu]:
    """The lines of ``nvidia-smi``; those of another form are left out."""
    found = []
    for line in said.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == len(_QUERY) and parts[2].isdigit() and parts[3].isdigit():
            busy = int(parts[1]) / 100 if parts[1].isdigit() else None  # some do not say
            found.append(Gpu(parts[0], busy, int(parts[2]) * _MEBI, int(parts[3]) * _MEBI))
    return found


def _torch_gpus() -> list[Gpu]:
    import torch

    found = []
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        found.append(Gpu(torch.cuda.get_device_name(number), None, total - free, total))
    return found


def _device(name: str) -> str:
    """Raises ConfigError if there is none such."""
    place = Device.of(name).place
    chosen = "chosen by the policy" if name != "auto" else "auto: a GPU if there is one"
    return f"{'CPU' if place.type == 'cpu' else place} ({chosen})"


def _memory(meminfo: Path) -> int:
    try:
        found = re.search(r"^MemTotal:\s+(\d+) kB", meminfo.read_text("ascii", "replace"), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0

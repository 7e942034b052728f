"""What a dashboard is of: a federation, or one simulation with its release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigError, FedcganError
from common.plan import Plan

from ..federation import FederationFolder
from ..run_folder import RunFolder, folder_of_simulation

_KEY = 12  # digits of a plan's hash that name a run in an address


@dataclass(frozen=True, slots=True)
class Place:
    """One run on disk.

    folder: that holds plan, schema and log; release: where its release is, once there is one; deployed: of a
    federation, so that it has a status and can be started and stopped
    """

    folder: Path
    release: Path
    deployed: bool

    @property
    def name(self) -> str:
        """What people called it."""
        plan = Plan.from_json((self.folder / "plan.json").read_bytes())
        return plan.run.rpartition("-")[0] or plan.run if self.deployed else self.release.name

    @property
    def is_released(self) -> bool:
        """Whether its release is there, whole."""
        return (self.release / "report.json").is_file()

    @property
    def bundles(self) -> list[Path]:
        """Bundles that ``fedcgan release`` makes of it, where it puts them."""
        base = self.folder if self.deployed else self.release
        found = (base.with_name(base.name + suffix) for suffix in (".bundle", ".bundle.zip"))
        return [path for path in found if path.exists()]


class Shown:
    """A federation's folder, or a simulation's; runs are looked for anew whenever they are asked for."""

    def __init__(self, federation: FederationFolder | None, simulation: Place | None) -> None:
        self.federation, self._simulation = federation, simulation

    @property
    def title(self) -> str:
        """Of every page."""
        if self.federation is not None:
            return f"Federation {self.federation.settings.name}"
        assert self._simulation is not None
        return f"Simulation {self._simulation.name}"

    def places(self) -> Mapping[str, Place]:
        """All runs, newest first, by the beginning of their plans' hashes.

        None of a simulation that is being made anew, and has no plan yet.
        """
        if self._simulation is not None:
            try:
                raw = (self._simulation.folder / "plan.json").read_bytes()
            except FileNotFoundError:
                return {}
            return {key_of(Plan.from_json(raw).hash): self._simulation}
        assert self.federation is not None
        plans = list((self.federation.folder / "runs").glob("*/plan.json"))
        plans.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        folders = [path.parent for path in plans if RunFolder(path.parent).deployed]  # no bundles
        return {key_of(one.name): Place(one, one / "release", True) for one in folders}


def key_of(plan_hash: str) -> str:
    """How a run is named in an address."""
    return plan_hash[:_KEY]


def find(folder: Path) -> Shown:
    """What lies in ``folder``: a federation, OUT of a simulation, or OUT.run beside it.

    Raises ConfigError if it is none of them, and what opening a federation raises.
    """
    if (folder / "federation.toml").is_file():
        return Shown(FederationFolder.open(folder), None)
    out = folder.resolve()
    if out.name.endswith(".run"):
        out = out.with_name(out.name.removesuffix(".run"))
    kept = folder_of_simulation(out)
    if not (kept / "plan.json").is_file():
        raise ConfigError(
            f"there is neither a federation nor a simulation in {folder}",
            hint="a federation's folder; OUT of a simulation, with OUT.run beside it; or OUT.run",
        )
    shown = Shown(None, Place(kept, out, False))
    try:
        shown.places()
    except FedcganError as error:
        raise ConfigError(f"{kept / 'plan.json'} cannot be read: {error.message}") from error
    return shown

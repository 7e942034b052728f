"""A federation with records at hand, made in a folder: what tests of invitations build on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from client.membership import Joined, join
from server.federation import FederationFolder
from server.federation_settings import Settings
from tests import toy

ADDRESS = "fed.example.org:18443"
VALID = timedelta(days=14)


def federation(folder: Path, name: str = "toy-federation", address: str = ADDRESS) -> FederationFolder:
    settings = Settings.make(name, address, "nginx", None)
    return FederationFolder.init(folder, settings, toy.SCHEMA)


def records(folder: Path) -> Path:
    path = folder / "records.csv"
    if not path.exists():
        toy.records().drop(columns="hospital").head(50).to_csv(path, index=False)
    return path


def kit(coordinator: FederationFolder, name: str, folder: Path, **how) -> Path:
    path = folder / f"{name}.kit.zip"
    coordinator.invite(name, how.pop("valid", VALID), **how).write(path)
    return path


def joined(kit_file: Path, parent: Path, **how) -> Joined:
    parent.mkdir(exist_ok=True)
    promise = {"epsilon_cap": 3.0, "delta": 1e-5}
    return join(kit_file, parent, records=records(kit_file.parent), **{**promise, **how})

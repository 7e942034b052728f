import fcntl
import os

import pytest

from common.bundle.archive import write_zip
from common.bundle.contents import FolderContents
from common.config import Release, Training
from common.simulation.prepare import Run
from server.bundle_pages import page, portable_generator
from server.bundling import Wanted, bundle
from server.finished import finished
from server.run_folder import folder_of_simulation
from server.simulate import simulate
from tests import toy

from .made import copied, evaluation, with_canary, write_evaluation


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder with a simulation and its bundle, made once for all workers that run these tests."""
    own = tmp_path_factory.getbasetemp()
    parent = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with open(parent / "bundles.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (parent / "bundles").exists():
            making = parent / "bundles.new"
            _simulate(making / "out")
            wanted = Wanted(licence="CC-BY-4.0")
            bundle(finished(making / "out"), making / "whole", wanted, (portable_generator, page))
            write_zip(FolderContents(making / "whole"), making / "whole.zip")
            making.rename(parent / "bundles")
    return parent / "bundles"


def _simulate(folder):
    settings = toy.config(
        training=Training(records_per_site=100, fit_steps=5),
        release=Release(signatures=4),
    )
    simulate(settings, with_canary(), toy.SCHEMA, folder, False)
    write_evaluation(folder, evaluation(Run.open(folder_of_simulation(folder), settings).plan))


@pytest.fixture(scope="session")
def out(shared):
    """The output of a small simulation, measured and with a gate that passed."""
    return shared / "out"


@pytest.fixture(scope="session")
def run(out):
    """Its run folder, with all keys."""
    return folder_of_simulation(out)


@pytest.fixture(scope="session")
def plan(out):
    return finished(out).plan


@pytest.fixture(scope="session")
def whole(shared):
    """Its bundle. Nobody changes this one."""
    return shared / "whole"


@pytest.fixture(scope="session")
def zipped(shared):
    """The same as a zip."""
    return shared / "whole.zip"


@pytest.fixture
def mine(whole, tmp_path):
    """A copy of the bundle to do things to."""
    return copied(whole, tmp_path / "bundle")

import pytest

from common.bundle.archive import write_zip
from common.bundle.contents import FolderContents
from common.config import Release, Training
from common.simulation.prepare import Run
from server.bundling import Wanted, bundle
from server.finished import finished
from server.simulate import run_folder, simulate
from tests import toy

from .made import copied, evaluation, write_evaluation


@pytest.fixture(scope="session")
def out(tmp_path_factory):
    """The output of a small simulation, measured and with a gate that passed."""
    folder = tmp_path_factory.mktemp("simulated") / "out"
    settings = toy.config(
        training=Training(records_per_site=100, fit_steps=5),
        release=Release(evaluate_share=0.0, signatures=4),
    )
    simulate(settings, toy.records(), toy.SCHEMA, folder, False)
    run = Run.open(run_folder(folder), settings)
    write_evaluation(folder, evaluation(run.plan))
    return folder


@pytest.fixture(scope="session")
def run(out):
    """Its run folder, with all keys."""
    return run_folder(out)


@pytest.fixture(scope="session")
def plan(out):
    return finished(out).plan


@pytest.fixture(scope="session")
def whole(out, tmp_path_factory):
    """Its bundle. Nobody changes this one."""
    folder = tmp_path_factory.mktemp("bundles") / "whole"
    bundle(finished(out), folder, Wanted(licence="CC-BY-4.0"))
    return folder


@pytest.fixture(scope="session")
def zipped(whole, tmp_path_factory):
    """The same as a zip."""
    path = tmp_path_factory.mktemp("zips") / "whole.zip"
    write_zip(FolderContents(whole), path)
    return path


@pytest.fixture
def mine(whole, tmp_path):
    """A copy of the bundle to do things to."""
    return copied(whole, tmp_path / "bundle")

"""A federation with its keys made and its first sum open, copied for each test; the second one is next."""

import shutil

import pytest

from client.site import approve
from common.config import Federation
from common.simulation.prepare import Run
from tests import toy
from tests.federation import LocalFederation


@pytest.fixture(scope="session")
def enrolled(tmp_path_factory):
    """Two runs of the same four hospitals, every contribution needed; and one that spares one."""
    folder = tmp_path_factory.mktemp("adversarial")
    settings = Federation(threshold=3, min_contributors=4)
    first = toy.run_folder(folder / "run", federation=settings)
    shutil.copytree(first.folder, folder / "other")
    plan = first.plan.model_copy(update={"run": "another"})
    for name in plan.federation.names:
        approve(folder / "other" / "sites" / name, plan)
    lenient = toy.run_folder(folder / "lenient", federation=Federation(threshold=3, min_contributors=3))
    runs = [first, Run(folder / "other", plan, first.schema), lenient]
    for run in runs:
        coordinator = LocalFederation(run).coordinator()
        coordinator._enrol()
        coordinator._count()
    return runs


@pytest.fixture
def federations(enrolled, tmp_path):
    """(the federation under attack, another run of the same sites, one that needs three of four sites)."""
    copies = []
    for run in enrolled:
        folder = tmp_path / run.folder.name
        shutil.copytree(run.folder, folder)
        copies.append(LocalFederation(Run(folder, run.plan, run.schema)))
    return copies


@pytest.fixture
def federation(federations):
    return federations[0]


@pytest.fixture
def lenient(federations):
    return federations[2]

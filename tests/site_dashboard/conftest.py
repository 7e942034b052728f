import re
import shutil

import pytest

from client.dashboard.application import make
from client.proposals import Proposals
from common.simulation.prepare import prepare
from tests import toy
from tests.bundle.made import with_canary
from tests.federation import LocalFederation
from tests.web.browser import served
from tests.web.inside import Inside

NAME = "site-east"


@pytest.fixture(scope="session")
def ran(tmp_path_factory):
    """A federation whose run is over, with a record that nobody else has."""
    folder = tmp_path_factory.mktemp("site-dashboard") / "run"
    federation = LocalFederation(prepare(toy.config(), with_canary(), toy.SCHEMA, folder))
    federation.coordinator().run()
    return federation


@pytest.fixture
def folder(ran, tmp_path):
    """A site's folder after that run."""
    shutil.copytree(ran.site_folder(NAME), tmp_path / NAME)
    policy = tmp_path / NAME / "policy.toml"
    policy.write_text(re.sub(r"epsilon_cap = .*", "epsilon_cap = 10.0", policy.read_text()))
    return tmp_path / NAME


@pytest.fixture
def other(ran):
    """A plan of which the site has not heard."""
    privacy = ran.plan.privacy.model_copy(update={"epsilon": 4.5})
    return ran.plan.model_copy(update={"run": "second", "privacy": privacy})


@pytest.fixture
def proposed(ran, folder, other):
    """The same, waiting for an answer."""
    Proposals(folder).propose(other, ran.run.schema.model_dump_json().encode())
    return other


@pytest.fixture
def inside(folder):
    """Its steward, in the dashboard."""
    with served(lambda port: make(folder, read_only=False, port=port)) as (web, _), Inside(web) as inside:
        yield inside


@pytest.fixture
def reader(folder):
    """Somebody who may only look."""
    with served(lambda port: make(folder, read_only=True, port=port)) as (web, _), Inside(web) as inside:
        yield inside

"""A federation of three, a finished simulation, and somebody in a session with the dashboard of each."""

import pytest

from server.dashboard.application import dashboard
from server.dashboard.places import find
from server.simulate import simulate
from tests import toy
from tests.server.conducted import Sites, admitted
from tests.web.browser import served
from tests.web.inside import Inside

from .made import NAMES, Threads, pages


@pytest.fixture
def members(tmp_path):
    """A federation with three members, and what would start its runs."""
    made, sites = admitted(tmp_path, NAMES)
    return made, Threads(Sites(sites.folder, NAMES))


@pytest.fixture
def inside(members):
    made, engine = members
    with served(lambda port: pages(made, engine, port)) as (web, _), Inside(web) as browser:
        yield browser
    engine.join()


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """OUT of a small simulation with training."""
    out = tmp_path_factory.mktemp("simulated") / "heart"
    simulate(toy.config(), toy.records(), toy.SCHEMA, out, False)
    return out


@pytest.fixture(scope="module")
def watching(simulated):
    shown = find(simulated)
    with (
        served(lambda port: dashboard(shown, None, read_only=False, port=port)) as (web, _),
        Inside(web) as browser,
    ):
        yield browser

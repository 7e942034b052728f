"""Sites that are not there when a run starts, leave, and come back under another node."""

import pytest

from client import app as courier_app
from common.errors import NotEnoughSitesError
from common.protocol import frames
from common.simulation.inproc import InProcessGrid
from server import app
from tests import toy

QUESTION = b"a frame that no site can read"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(app, "_ONLINE_SECONDS", 0.0)
    return toy.run_folder(tmp_path / "run")


@pytest.fixture
def grid(run):
    return InProcessGrid(courier_app.app, 4, {"run-dir": str(run.folder)})


def asked(courier, names) -> set[str]:
    """Who answers; a site refuses what it cannot read, under its own name."""
    answers = courier.send(dict.fromkeys(names, QUESTION))
    assert all(frames.read(raw, 10_000).header.sender == site for site, raw in answers.items())
    return set(answers)


def test_a_run_starts_without_a_site_and_takes_it_in_later(run, grid):
    names = run.plan.federation.names
    (node, context), *_ = reversed(grid._contexts.items())
    del grid._contexts[node]
    courier = app.courier(grid, run.plan)
    assert asked(courier, names) == set(names[:-1])
    grid._contexts[node + 50] = context  # back, as another node
    assert asked(courier, names) == set(names)


def test_a_site_that_leaves_and_comes_back_as_another_node_is_found(run, grid):
    names = run.plan.federation.names
    courier = app.courier(grid, run.plan)
    assert asked(courier, names) == set(names)
    node = next(iter(grid._contexts))
    context = grid._contexts.pop(node)
    assert asked(courier, names) == set(names[1:])
    grid._contexts[node + 50] = context
    assert asked(courier, names) == set(names)


def test_too_few_sites_are_named(run, grid):
    for node in list(grid._contexts)[2:]:
        del grid._contexts[node]
    with pytest.raises(NotEnoughSitesError, match=r"2 of 4 sites are online, 3 are needed; missing: site-"):
        app.courier(grid, run.plan)

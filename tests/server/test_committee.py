"""Committee mode: 200 sites contribute, seven of them hold shares of the key; all in one process."""

import numpy as np
import pytest

from common.config import Federation, Sites, Training
from common.privacy.integer_noise import NoiseGrid
from common.simulation.prepare import prepare
from server.rounds import Coordinator
from tests import toy
from tests.federation import LocalFederation

SITES, HOLDERS, THRESHOLD, LEAST = 200, 7, 4, 150


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    config = toy.config(
        sites=Sites(count=SITES, split="iid"),
        federation=Federation(threshold=THRESHOLD, key_holders=HOLDERS, min_contributors=LEAST),
        training=Training(records_per_site=50, rounds=0, fit_steps=1),
    )
    records = toy.records(SITES * 170).drop(columns="hospital")
    run = prepare(config, records, toy.SCHEMA, tmp_path_factory.mktemp("committee") / "run")
    return LocalFederation(run)


def test_two_hundred_contribute_and_four_of_seven_open(federation, monkeypatch):
    sent = []
    original = NoiseGrid.to_integers
    monkeypatch.setattr(NoiseGrid, "to_integers", lambda *a: sent.append(original(*a)) or sent[-1])
    sums = []
    attempt = Coordinator._attempt
    monkeypatch.setattr(Coordinator, "_attempt", lambda *a: sums.append(attempt(*a)) or sums[-1])
    names = federation.plan.federation.names
    gone = set(names[SITES - 20 :])  # a tenth of the contributors, and one of the committee
    honest = federation.send
    federation.coordinator()._enrol()
    monkeypatch.setattr(
        federation,
        "send",
        lambda asked: honest({s: raw for s, raw in asked.items() if s not in gone | {names[2]}}),
    )
    coordinator = federation.coordinator()
    coordinator._count()
    opened, contributors = sums[-1]
    assert contributors == len(sent) == SITES - 21
    assert np.array_equal(opened, np.sum(sent, axis=0))
    assert federation.plan.federation.holders == names[:HOLDERS]
    shares = [name for name in names if (federation.run_folder(name) / "share.key").exists()]
    assert shares == names[:HOLDERS]

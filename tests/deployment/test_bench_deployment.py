"""``fedcgan bench deployment``: a federation of three sites from its first command to its release."""

import json
from types import SimpleNamespace

import pytest

from common.bench.deployment import answered, measure, sums

OF_SITES = {"site vault", "site supernode", "site superexec"}


def test_a_federation_of_three_sites_is_measured():
    found = measure(3, "moments")
    assert (found["sites"], found["sums"]) == (3, 2)
    assert found["epsilon"] <= 3.001
    assert found["trouble"] == 0
    assert 0 < found["exchanging_share"] <= 1
    assert found["seconds_per_sum"] > 0
    assert set(found["seconds"]) >= {
        "run_to_first_contribution",
        "run_to_release",
        "phase_keys",
        "phase_measure",
    }
    assert found["seconds"]["run_to_first_contribution"] < found["seconds"]["run_to_release"]
    assert set(found["peak_bytes"]) >= OF_SITES | {"superlink", "superexec", "serverapp"}
    assert all(peak > 10 << 20 for kind, peak in found["peak_bytes"].items() if kind != "edge")


def test_a_sum_takes_from_the_opening_before_it_to_its_own(tmp_path):
    plan = SimpleNamespace(hash="ab", steps={"count": None, "measure": None, "train-0001": None})
    seconds = {"proof": (None, 1), "count": (5, 8), "measure": (14, 21), "train-0001": (40, 45)}
    outboxes = [tmp_path / "a", tmp_path / "b"]
    for delay, path in enumerate(outboxes):
        lines = []
        for step, (contributed, opened) in seconds.items():
            for kind, at in (("contribution", contributed), ("opened", opened)):
                if at is not None:
                    time = f"2026-11-22T14:00:{at + delay:02}+00:00"
                    lines.append({"time": time, "kind": kind, "plan": "ab", "step": step})
        lines.append({"time": "2026-11-22T15:00:00+00:00", "kind": "opened", "plan": "cd", "step": "count"})
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    times = answered(outboxes, plan)
    first, last = times["count"]["contribution"]
    assert last - first == 1
    assert sums(times, plan, {"fit": 20.0}) == pytest.approx([7, 13, 4])

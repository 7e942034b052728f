"""``fedcgan bench deployment``: what it computes from what the sites wrote down."""

import json
from types import SimpleNamespace

import pytest

from common.bench.deployment import answered, sums


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

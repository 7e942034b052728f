"""``fedcgan bench deployment``: what it computes from what the sites wrote down."""

import json
from types import SimpleNamespace

import pytest

from common.bench.deployment import answered, computed, sums


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


def test_a_step_is_computed_from_its_charge_to_its_answer_by_the_slowest(tmp_path):
    plan = SimpleNamespace(hash="ab")
    ledgers = [tmp_path / "a", tmp_path / "b"]
    for path, seconds in zip(ledgers, (7, 9), strict=True):
        lines = [{"ledger": 2, "dataset": "x"}]
        for kind, of, at in (
            ("charge", "ab", 0),
            ("charge", "cd", 1),
            ("answered", "ab", seconds),
            ("outcome", "ab", 50),
        ):
            time = f"2026-11-22T14:00:{at:02}+00:00"
            lines.append({"kind": kind, "time": time, "plan": of, "step": "train-0001"})
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert computed(ledgers, plan) == {"train-0001": 9.0}

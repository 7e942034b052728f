"""The same federation on Flower's simulation engine, in a process of its own (Ray leaves files open)."""

import json

import pytest

from tests import toy
from tests.end_to_end.test_cli import CONFIG, fedcgan
from tests.typed import typed


def test_ray_runs_the_same_plan_with_the_same_encryption(tmp_path):
    pytest.importorskip("ray", reason="the ray extra is not installed")
    toy.records().drop(columns="hospital").to_csv(tmp_path / "toy.csv", index=False)
    (tmp_path / "toy.toml").write_text(toy.SCHEMA.to_toml())
    few = CONFIG.replace("rounds = 2", "rounds = 1") + "[release]\nevaluate_share = 0.0\n"
    (tmp_path / "run.toml").write_text(few)
    reports = {}
    for engine, run in (("ray", fedcgan), ("inproc", typed)):
        out = tmp_path / engine
        done = run("simulate", tmp_path / "run.toml", "--engine", engine, "--out", out, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        reports[engine] = json.loads((out / "report.json").read_text())
    ray, inproc = reports["ray"], reports["inproc"]
    assert 2.9 < ray["epsilon"] <= 3.0
    assert ray["encryption_share"] is None  # sites run in other processes
    assert ray["upload_ratio_float32"] == inproc["upload_ratio_float32"]
    ups = [sorted(count["up"] for count in report["bytes"].values()) for report in (ray, inproc)]
    assert ups[0] == ups[1]

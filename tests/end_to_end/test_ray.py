"""The same federation on Flower's simulation engine."""

import pytest

from server.simulate import simulate
from tests import toy


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::FutureWarning")
def test_ray_runs_the_same_plan_with_the_same_encryption(tmp_path):
    pytest.importorskip("ray", reason="the ray extra is not installed")
    out = tmp_path / "release"
    report = simulate(toy.config(engine="ray"), toy.records(), toy.SCHEMA, out, resume=False).report
    assert 2.9 < report["epsilon"] <= 3.0
    assert report["encryption_share"] is None  # sites run in other processes
    inproc = simulate(toy.config(), toy.records(), toy.SCHEMA, tmp_path / "inproc", resume=False).report
    assert report["upload_ratio_float32"] == inproc["upload_ratio_float32"]
    ups = [sorted(count["up"] for count in r["bytes"].values()) for r in (report, inproc)]
    assert ups[0] == ups[1]

"""The plain sum that the benchmark compares with still takes the place of the secure one."""

from tests.bench.encryption_share import simulate_once


def test_a_plain_run_sends_float32():
    quick = {"fit_steps": 1, "schedule": "local", "rounds": 1, "local_steps": 1, "generator_steps": 1}
    report = simulate_once(False, evaluated=False, **quick)
    assert 1.0 <= report["upload_ratio_float32"] < 1.02
    assert report["trouble"] == []

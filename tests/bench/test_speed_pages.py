"""Pages of speed and of the demo's profile from made-up results, and what a profile counts to which phase."""

import json
from types import SimpleNamespace

from common.bench.dp_steps import OURS, PLAIN, WIDE
from common.bench.kept import Kept, Machine
from common.bench.pages import write_pages
from common.bench.profiled import Phases


def kept(bench, data, path):
    machine = Machine(system="Linux", kind="x86_64", processors=2, load=0.5)
    one = Kept(
        bench=bench,
        measured="2026-01-01",
        command=f"fedcgan bench {bench}",
        machine=machine,
        versions={"python": "3.11"},
        data=data,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(one.model_dump_json())


def step(way, batch, ratio):
    times = {"seconds": ratio / 1000, "fastest": ratio / 2000, "slowest": ratio / 500}
    ratios = [ratio, ratio * 0.9, ratio * 1.2]
    return {"network": "table", "batch": batch, "way": way, **times, "ratio": ratio, "ratios": ratios}


def speed():
    spread = {"seconds": 0.2, "fastest": 0.1, "slowest": 0.3}
    rows = [
        step(way, batch, ratio)
        for batch, ours in ((64, 1.5), (256, 2.4))
        for way, ratio in ((PLAIN, 1.0), (WIDE, 1.2 * ours / 1.5), (OURS, ours))
    ]
    return {
        "d_step": rows,
        "features": [{"network": "table", **spread, "records_per_second": 50_000}],
        "fit_step": [{"network": "table", **spread, "steps": 100}],
        "sampling": {**spread, "records": 1000, "records_per_second": 5000},
        "runs": {
            "sites": 5,
            "records_per_site": 400,
            "engines": {"ray": {"skipped": "ray is not installed"}, "inproc": spread},
            "encryption_share": [0.05, 0.04, 0.06],
        },
        "help": spread,
        "repeats": 5,
        "threads": 1,
    }


def profile(name, seconds):
    rows = [["server.fit.fit", 1, seconds, 0.5], ["common.models.tabular.forward", 9, 0.4, 0.4]]
    phase = {"seconds": [seconds] * 3, "cpu": [seconds] * 3, "ours": rows, "own": rows}
    return {
        "name": name,
        "repeats": 5,
        "seeds": [0],
        "seconds": [seconds] * 3,
        "cpu": [seconds] * 3,
        "phases": [{"phase": "fit", **phase}],
        "quality": {score: [0.1, 0.1, 0.2] for score in ("tvd1", "tvd2", "tstr_auc")},
        "encryption_seconds": {"encrypt": [0.5] * 3, "open": [0.25] * 3},
    }


def test_a_page_says_where_the_target_is_met_and_what_was_skipped(tmp_path):
    kept("speed", speed(), tmp_path / "results" / "cpu.json")
    page = tmp_path / "speed.md"
    written = write_pages(tmp_path / "results", page)
    text = page.read_text("utf-8")
    assert "1.6 times the step without DP: in 1 of 2 cases" in text
    assert "1.92 to 1.92 times as long in float64" in text
    assert "with DP 1.25 to 1.25 times that" in text
    assert "ray is not installed" in text
    assert "`fedcgan bench speed`" in text
    once = [path.read_bytes() for path in written]
    write_pages(tmp_path / "results", page)
    assert [path.read_bytes() for path in written] == once


def test_versions_stand_side_by_side_the_slower_first(tmp_path):
    kept("profile", profile("after", 10.0), tmp_path / "results" / "a.json")
    kept("profile", profile("before", 30.0), tmp_path / "results" / "b.json")
    page = tmp_path / "profile.md"
    write_pages(tmp_path / "results", page)
    text = page.read_text("utf-8")
    assert "| fit | 30.0 | 30.0 | 10.0 | 10.0 |" in text
    assert text.index("Functions: before") < text.index("Functions: after")
    assert "| fit | `server.fit.fit` | 1 | 30.00 | 0.50 |" in text


def test_calls_are_counted_to_the_phase_they_happen_in():
    def work():
        return json.dumps(list(range(1000)))

    phases = Phases(functions=True)
    for name in ("measure", "fit", "fit", "measure"):
        phases.told(SimpleNamespace(kind="stage", phase=name))
        if name == "fit":
            work()
    phases.told(SimpleNamespace(kind="sum", step="measure"))
    phases.leave()
    assert list(phases.seconds) == ["start", "measure", "fit"]
    called = {
        name: sum(
            entry.callcount for entry in profiler.getstats() if getattr(entry.code, "co_name", "") == "work"
        )
        for name, profiler in phases.profiles.items()
    }
    assert called == {"start": 0, "measure": 0, "fit": 2}

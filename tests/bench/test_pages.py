"""Pages from made-up results: medians, what went wrong, the same bytes every time."""

import json
import os
import shutil
from pathlib import Path

import pytest

from common.bench.kept import Kept
from common.bench.league.results import About, Limits, Result, Scores
from common.bench.pages import write_pages
from common.errors import ConfigError
from tests.typed import typed


def result(system="aim", epsilon=1.0, seed=0, auc=0.9, **changed):
    scores = Scores(tvd1=0.004, tvd2=0.03, tvd3=0.06, auc_boosting=auc, auc_logistic=auc, c2st=0.7)
    settings = {
        "system": system,
        "title": system.upper(),
        "source": "a | paper",
        "outside": "bins",
        "about": About(
            name="toy",
            digest="00",
            label="in|come",
            positive=(">50K",),
            train=900,
            test=100,
            columns=4,
            codes=30,
            sites=5,
            skew=0.3,
        ),
        "epsilon": epsilon,
        "delta": None if epsilon is None else 1e-5,
        "seed": seed,
        "status": "ok",
        "scores": scores,
        "records": 10_000,
        "wall_seconds": 10.0 + seed,
        "processor_seconds": 8.0,
        "peak_bytes": 500_000_000,
        "versions": {"mbi": "2.0.0"},
        "limits": Limits(minutes=30, memory_bytes=12 << 30, threads=1),
        "machine": {"processors": 2, "kind": "x86_64", "system": "Linux", "fedcgan": "0.1.0"},
        "command": "fedcgan bench league --train t.csv",
    }
    return Result.model_validate({**settings, **changed})


@pytest.fixture
def folder(tmp_path):
    results = [
        result(auc=0.88, seed=0),
        result(auc=0.9, seed=1),
        result(auc=0.91, seed=2),
        result(system="fedcgan", auc=0.895),
        result(system="mst", status="timeout", reason="not finished in 30 minutes", scores=None),
        result(system="dpctgan", auc=0.6, notes={"epsilon_spent": 1.11}),
        result(system="ctgan", epsilon=None, auc=0.7),
        result(system="real", epsilon=None, auc=0.92, wall_seconds=0.0),
        result(system="shuffled", epsilon=None, auc=0.5, wall_seconds=0.0),
        result(epsilon=3.0, auc=0.93),
    ]
    (tmp_path / "results").mkdir()
    for one in results:
        one.save(tmp_path / "results")
    return tmp_path / "results"


def test_a_page_says_medians_failures_and_how_to_repeat_it(folder, tmp_path):
    page = tmp_path / "docs" / "league.md"
    page.parent.mkdir()
    written = write_pages(folder, page)
    assert [path.name for path in written] == [
        "league.md",
        "league-toy-epsilon1.svg",
        "league-toy-epsilon3.svg",
    ]
    text = page.read_text()
    lines = text.splitlines()
    (aim, at_three) = [line for line in lines if line.startswith("| AIM |") and "0.0040" in line]
    assert "0.900 (0.880 \u2013 0.910)" in aim
    assert "| 11 (10 \u2013 12) |" in aim
    assert "0.930" in at_three
    (mst,) = [line for line in lines if line.startswith("| MST |") and "timeout" in line]
    assert mst.count("\u2013") == 6  # no scores
    assert "not finished in 30 minutes" in mst
    assert any("DPCTGAN" in line and "spent epsilon 1.11" in line for line in lines)
    places = [
        next(i for i, line in enumerate(lines) if line.startswith(f"| {name}"))
        for name in ("REAL", "SHUFFLED", "AIM", "FEDCGAN", "CTGAN, no", "DPCTGAN", "MST")
    ]
    assert places == sorted(places)  # references, then by AUC, then those without scores
    assert "fedcgan bench league --train t.csv" in text
    assert "a \\| paper" in text
    assert "`in\\|come`" in text
    for path in written[1:]:
        assert path.name in text
        assert path.stat().st_size < 40_000
        assert "2026" not in path.read_text()


def test_the_same_results_give_the_same_bytes(folder, tmp_path):
    first, second = (write_pages(folder, tmp_path / name / "page.md") for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    result(epsilon=3.0, auc=0.94).save(folder)  # control: another figure, other bytes
    third = write_pages(folder, tmp_path / "c" / "page.md")
    assert third[0].read_bytes() != first[0].read_bytes()
    assert third[2].read_bytes() != first[2].read_bytes()


def test_what_is_no_result_is_named(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no results"):
        write_pages(tmp_path / "empty", tmp_path / "page.md")
    bad = folder / "z.json"
    for content, words in (
        ("[]", "no result"),
        ('{"kind": "race"}', "several kinds"),
        ('{"kind": "league"}', "z.json"),
    ):
        bad.write_text(content)
        with pytest.raises(ConfigError, match=words):
            write_pages(folder, tmp_path / "page.md")
    (tmp_path / "more" / "races").mkdir(parents=True)
    (tmp_path / "more" / "races" / "r.json").write_text('{"kind": "race"}')
    for asked in (tmp_path / "more" / "races", tmp_path / "more"):
        with pytest.raises(ConfigError, match="no page"):
            write_pages(asked, tmp_path / "page.md")
    assert not (tmp_path / "page.md").exists()
    extra = json.loads(next(folder.glob("toy-aim*")).read_text()) | {"sneaked": 1}
    bad.write_text(json.dumps(extra))
    with pytest.raises(ConfigError, match="sneaked"):
        write_pages(folder, tmp_path / "page.md")


RESULTS = Path(__file__).parents[2] / "docs" / "results"


def test_the_documentation_is_what_the_results_say(tmp_path):
    """Whoever keeps a new result makes the pages anew: fedcgan bench pages docs/results -o docs."""
    pages = [path for path in write_pages(RESULTS, tmp_path) if path.suffix == ".md"]
    assert {"benchmarks.md", "benchmarks-league.md", "benchmarks-arrays.md"} <= {path.name for path in pages}
    for page in pages:
        assert page.read_text("utf-8") == (RESULTS.parent / page.name).read_text("utf-8"), page.name
        assert {name.name for name in tmp_path.glob(f"{page.stem}-*.svg")} <= set(os.listdir(RESULTS.parent))


def test_images_beside_pooled_records_and_what_is_no_such_result(tmp_path):
    folder = shutil.copytree(RESULTS / "arrays", tmp_path / "arrays")
    [page, *pictures] = write_pages(folder, tmp_path / "page.md")
    text = page.read_text("utf-8")
    found = json.loads((folder / "mnist-epsilon1-moments-seed0.json").read_text("utf-8"))
    accuracy = f"{found['data']['accuracy']:.1f}"
    assert f"| a federation | {accuracy} |" in text
    assert all(path.name in text for path in pictures)
    found["data"]["accuracy"] = 12.3  # control: the page follows the file
    (folder / "mnist-epsilon1-moments-seed0.json").write_text(json.dumps(found), "utf-8")
    assert "| a federation | 12.3 |" in write_pages(folder, page)[0].read_text("utf-8")
    for changed, words in (({"bench": "he"}, "several kinds"), ({"version": 2}, "no kept result")):
        (folder / "z.json").write_text(json.dumps(found | changed), "utf-8")
        with pytest.raises(ConfigError, match=words):
            write_pages(folder, page)


def test_a_result_is_kept_with_its_command_and_nothing_of_where_it_was_made(tmp_path):
    path = tmp_path / "kept.json"
    done = typed("bench", "he", "--parameters", 2000, "--repeats", 1, "--keep", path)
    assert done.returncode == 0, done.stderr
    kept = Kept.load(path)
    assert (kept.bench, kept.command) == ("he", "fedcgan bench he --parameters 2000 --repeats 1")
    assert str(tmp_path) not in path.read_text("utf-8")
    assert kept.data["parameters"] == 2000

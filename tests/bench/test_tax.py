"""A federation's tax with one real, small run: results are kept, refusals are rows, the page says both."""

import json

import pytest

from common.bench import quality
from common.bench.choices import Schedule, Split
from common.bench.league.results import Scores
from common.bench.league.tables import Tables
from common.bench.pages import write_pages
from common.bench.tax import measure
from common.bench.tax.measure import Grid
from common.bench.tax.page import noise_factor
from common.bench.tax.results import Result, Setting
from common.bench.tax.standings import print_table
from common.config import Model
from common.errors import ConfigError
from common.tables import write_table
from tests import toy


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    schema = toy.SCHEMA.model_copy(update={"subject": None, "name": "toy"})
    (folder / "schema.toml").write_text(schema.to_toml())
    for name, seed in (("train", 0), ("test", 1)):
        write_table(toy.records(1000, seed), folder / f"{name}.csv")
    paths = (folder / "train.csv", folder / "test.csv", folder / "schema.toml")
    return Tables.load(*paths, "diagnosis", ("severe",))


@pytest.fixture
def small(monkeypatch):
    """Runs as they are asked for, but with networks and a fit of toy size."""

    def configuration(*arguments):
        config = quality.configuration(*arguments)
        training = config.training.model_copy(update={"fit_steps": 60})
        model = Model(latent=8, generator_hidden=(16,), discriminator_hidden=(16,))
        return config.model_copy(update={"training": training, "model": model})

    monkeypatch.setattr(measure, "configuration", configuration)
    monkeypatch.setattr("common.bench.league.tables._FEWEST", 2000)


def grid(tables, folder, **changed):
    settings = {
        "tables": tables,
        "schedules": (Schedule.MOMENTS,),
        "sites": (1, 2, 3),
        "splits": (Split.CLASS,),
        "skew": 0.3,
        "epsilons": (3.0,),
        "delta": 1e-5,
        "seeds": (0,),
        "rounds": 7,
        "folder": folder,
        "command": "fedcgan bench tax --train t.csv",
    }
    return Grid(**{**settings, **changed})


def made_up(tables, sites=1, split="pooled", auc=0.9, **changed):
    """A result as a run would leave it."""
    setting = {"schedule": "moments", "rounds": 0, "sites": sites, "split": split, "epsilon": 3.0}
    setting |= {"delta": 1e-5, "seed": 0}
    fields = {name: changed.pop(name) for name in tuple(changed) if name in Setting.model_fields}
    scores = Scores(tvd1=0.004, tvd2=0.03, tvd3=0.06, auc_boosting=auc, auc_logistic=auc, c2st=0.7)
    result = {
        "data": tables.data,
        "setting": Setting.model_validate(setting | fields),
        "status": "ok",
        "scores": scores,
        "machine": {"processors": 2, "kind": "x86_64", "system": "Linux", "fedcgan": "0.1.0"},
        "command": "fedcgan bench tax --train t.csv",
    }
    return Result.model_validate(result | changed)


def stamps(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.json")}


@pytest.mark.usefixtures("small")
def test_a_grid_goes_on_where_it_stopped_and_a_refusal_is_a_result(tables, tmp_path):
    made_up(tables, auc=0.123).save(tmp_path)  # what an earlier call left
    before = stamps(tmp_path)
    alone, two, three = grid(tables, tmp_path).run()
    assert alone.scores.auc_boosting == 0.123
    assert stamps(tmp_path).items() > before.items()
    assert (two.status, two.code, two.scores) == ("refused", "config", None)
    assert "2 sites make no federation" in two.reason
    assert three.status == "ok", three.reason
    assert three.setting.rounds == 0  # moments has none, whatever was asked for
    assert three.scores.auc_logistic > 0.7  # of three classes, and no site has more than one
    assert 0 < three.smallest < three.largest < 1000
    assert three.upload_bytes_per_site > 10_000
    assert 2.9 < three.epsilon <= 3.0
    assert three.epsilon_views["released"] < three.epsilon < three.epsilon_views["all_others"]
    kept = stamps(tmp_path)
    assert grid(tables, tmp_path).run() == [alone, two, three]
    assert stamps(tmp_path) == kept
    print_table([alone, two, three])
    with pytest.raises(ConfigError, match="other data, rounds or delta"):
        grid(tables, tmp_path, delta=1e-6).run()


def test_results_of_nobody_are_refused(tables, tmp_path):
    made_up(tables).save(tmp_path)
    (path,) = tmp_path.glob("*.json")
    assert Result.load(path) == made_up(tables)  # control
    good = json.loads(path.read_text())
    for damage in (
        {"sneaked": 1},
        {"scores": None},
        {"status": "refused"},
        {"setting": good["setting"] | {"sites": 3}},
        {"setting": good["setting"] | {"skew": 0.3}},
        {"setting": good["setting"] | {"epsilon": float("nan")}},
    ):
        path.write_text(json.dumps(good | damage))
        with pytest.raises(ConfigError, match="no result of bench tax"):
            grid(tables, tmp_path, sites=(1,)).run()
    path.write_text(path.read_text()[:-5])
    with pytest.raises(ConfigError):
        write_pages(tmp_path, tmp_path / "page.md")
    assert not (tmp_path / "page.md").exists()


def test_the_grid_has_one_pooled_run_for_all_splits(tables, tmp_path):
    found = list(
        grid(tables, tmp_path, splits=tuple(Split), schedules=tuple(Schedule), sites=(1, 3)).settings()
    )
    assert [(one.spread, one.rounds) for one in found[:5]] == [
        ("pooled", 0),
        ("iid", 0),
        ("dirichlet 0.3", 0),
        ("class", 0),
        ("pooled", 7),
    ]
    assert len({one.file_name("toy") for one in found}) == len(found) == 12


def test_noise_grows_with_sites_in_local_alone(tables):
    factors = {
        (schedule, sites): noise_factor(made_up(tables, sites, "iid", schedule=schedule, rounds=1).setting)
        for schedule in Schedule
        for sites in (3, 50)
    }
    assert factors[Schedule.MOMENTS, 3] == pytest.approx(1.2247, abs=1e-4)
    assert factors[Schedule.EVERY_STEP, 50] == pytest.approx(1.0102, abs=1e-4)
    assert factors[Schedule.LOCAL, 50] == pytest.approx(7.0711, abs=1e-4)
    assert noise_factor(made_up(tables, schedule="local").setting) == 1


def test_a_page_has_lines_losers_and_refusals(tables, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    views = {"released": 2.5, "collusion": 3.0}
    for one in (
        made_up(tables, auc=0.9),
        made_up(tables, 3, "iid", auc=0.89, smallest=333, largest=334, epsilon_views=views),
        made_up(tables, 3, "iid", auc=0.87, seed=1, smallest=333, largest=334),
        made_up(tables, 50, "class", auc=0.6, smallest=20, largest=21),
        made_up(tables, 2, "iid", status="refused", code="config", reason="2 | sites", scores=None),
        made_up(tables, schedule="local", rounds=1, auc=0.9),
        made_up(tables, 3, "dirichlet", skew=0.3, schedule="local", rounds=1, auc=0.8),
    ):
        one.save(results)
    first, second = (write_pages(results, tmp_path / name / "tax.md") for name in ("a", "b"))
    assert [path.name for path in first] == ["tax.md", "tax-toy-epsilon3-delta1e-05.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    text, svg = (path.read_text() for path in first)
    assert "| 1 | one curator | \u2013 |" not in text  # it has records
    assert "| 3 | iid | 333 \u2013 334 | 1.22 |" in text
    assert "0.880 (0.870 \u2013 0.890)" in text
    assert "loses most AUC against one curator: 50 sites, split class, 0.300" in text
    (refused,) = [line for line in text.splitlines() if line.startswith("| 2 | iid |")]
    assert "refused (config: 2 \\| sites)" in refused
    assert refused.count("\u2013") == 11
    assert "| moments | 3 | 2.500 | 3.000 |" in text
    for word in ("moments", "local, 1 round", "iid", "class", "dirichlet 0.3", "one curator"):
        assert f">{word}<" in svg

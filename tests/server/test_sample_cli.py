"""``fedcgan sample``: one way of drawing, whether a release has generator.onnx or only weights."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from common.array_output import write_samples
from common.arrays import Arrays
from common.modalities import signal_output
from common.sampler.arrays import ArraySample
from common.sampler.cli import main
from common.sampler.output import write_arrays
from common.sampler.session import load
from server import cli
from server.onnx_export import export_onnx
from tests import released, toy_arrays

OPTIONS = ("-n", "40", "--where", "ward=100..", "--balance", "diagnosis", "--seed", "3")


@pytest.fixture
def fedcgan(monkeypatch, capsys, tmp_path):
    """Run the command line here; returns exit code, standard output and error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["fedcgan", *map(str, arguments)])
        code = cli.main()
        return code, *capsys.readouterr()

    return run


def test_onnx_and_weights_give_the_same_records(fedcgan, tmp_path):
    generator = released.table()
    generator.save(tmp_path / "weights")
    export_onnx(generator, tmp_path / "release" / "generator.onnx")
    printed = [
        fedcgan("sample", "--from", source, *OPTIONS)
        for source in ("weights", "release", "release/generator.onnx")
    ]
    assert [code for code, _, _ in printed] == [0, 0, 0]
    assert printed[0][1] == printed[1][1] == printed[2][1]
    assert len(printed[0][1].splitlines()) == 41
    assert "drawn records satisfied everything" in printed[0][2]


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_a_file_is_marked_and_the_result_says_what_was_rejected(fedcgan, tmp_path, end):
    export_onnx(released.table(prior=[0.2, 0.2, 0.2, 0.2, 0.2, 0.0]), tmp_path / "generator.onnx")
    code, told, _ = fedcgan("sample", "--from", ".", *OPTIONS, "-o", f"out.{end}", "--json")
    assert code == 0
    data = json.loads(told)["data"]
    assert data["records"] == 40
    assert 0 < data["acceptance"] < 1
    assert data["extrapolated"] == []
    told = fedcgan("sample", "--from", ".", "--where", "diagnosis=bad", "--where", "sex=m", "--json")[1]
    assert json.loads(told)["data"]["extrapolated"] == [{"diagnosis": "bad", "sex": "m"}]
    if end == "csv":
        mark = json.loads((tmp_path / "out.csv.provenance.json").read_text())
        assert len(pd.read_csv(tmp_path / "out.csv")) == 40
    else:
        mark = json.loads(pq.read_schema(tmp_path / "out.parquet").metadata[b"synthetic"])
    assert mark["synthetic"] == "true"
    assert mark["name"] == "mixed"


def test_images_are_balanced_and_interpolated(fedcgan, tmp_path):
    export_onnx(released.arrays(toy_arrays.DIGITS), tmp_path / "generator.onnx")
    told = fedcgan("sample", "--from", ".", "-n", 20, "--balance", "digit", "-o", "folder", "--json")[1]
    assert json.loads(told)["data"]["records"] == 20
    assert [len(list(path.iterdir())) for path in (tmp_path / "folder").iterdir()] == [2] * 10
    assert fedcgan("sample", "--from", ".", "--interpolate", 3, "-o", "between.png")[0] == 0
    assert fedcgan("sample", "--from", ".", "--interpolate", 3, "-o", "x.png", "--balance", "digit")[0] == 2


def test_a_picture_shows_ten_of_each_class_and_says_how_many_that_are(fedcgan, tmp_path, capsys):
    """A class that was drawn once does not take the others with it; a place that is empty is white."""
    generator = released.arrays(toy_arrays.DIGITS)
    export_onnx(generator, tmp_path / "generator.onnx")
    arrays = toy_arrays.digits()
    labels = np.array([0] * 195 + [1] * 4 + [2])
    sample, kind = ArraySample(arrays.values[:200], labels, ()), load(tmp_path).kind
    assert write_arrays(sample, kind, tmp_path / "x.png", generator.facts) == 15
    with Image.open(tmp_path / "x.png") as picture:
        sheet = np.asarray(picture)
    assert sheet.shape == (3 * 30 + 2, 10 * 30 + 2)
    assert np.array_equal(sheet[32:60, 92:120], arrays.values[198, 0])
    assert (sheet[32:, 122:] == 255).all()
    told = fedcgan("sample", "--from", ".", "-n", 150, "--balance", "digit", "-o", "y.png", "--json")[1]
    assert json.loads(told)["data"]["records"] == 100
    capsys.readouterr()
    assert main([".", "-n", "150", "--balance", "digit", "-o", "z.png"]) == 0
    assert "100 synthetic records in z.png" in capsys.readouterr().err


def test_a_figure_of_signals_has_place_for_each_class(tmp_path):
    waves = toy_arrays.waves(30)
    labels = np.array([0] * 29 + [1])
    found = released.arrays(toy_arrays.WAVES)
    assert write_samples(found, Arrays(waves.values[:30], labels), tmp_path / "x.png") == 11
    assert signal_output.is_marked(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (("--where", "ward=901.."), "impossible-condition", 2),
        (("--where", "height=1"), "unknown-condition", 2),
        (("--balance", "grade"), "config", 2),
        (("--interpolate", "3"), "config", 2),
        (("-o", "x.txt"), "config", 2),
        (("--from", "nowhere"), "storage", 6),
    ],
)
def test_what_cannot_be_drawn_is_a_typed_error(fedcgan, tmp_path, arguments, code, exit_code):
    export_onnx(released.table(), tmp_path / "generator.onnx")
    ended, told, _ = fedcgan("sample", "--from", ".", *arguments, "--json")
    assert (ended, json.loads(told)["error"]["code"]) == (exit_code, code)
    assert [path.name for path in tmp_path.iterdir()] == ["generator.onnx"]


def test_schema_show_prints_dates_and_constraints(fedcgan, tmp_path):
    (tmp_path / "s.toml").write_text(released.MIXED.to_toml())
    code, told, _ = fedcgan("schema", "show", "s.toml")
    assert code == 0
    assert "constraint 3: cost is the sum of drugs, ward" in told
    assert "2019-01-01" in told

"""fedcgan-sample as it is shipped: a wheel without torch, that writes whole, marked files or none."""

import csv
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from common.modalities import image_output, signal_output
from common.modalities.tabular import encode
from common.sampler.cli import main
from common.tables import read_table
from server.onnx_export import export_onnx
from tests import released, toy_arrays

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "flwr", "pandas", "pydantic", "onnx", "common", "server", "client")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, as building leaves files behind, and unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    copied = ["deploy/sample/pyproject.toml", "deploy/sample/README.md", "LICENSE"]
    copied += [str(path.relative_to(ROOT)) for path in (ROOT / "common" / "sampler").glob("*.py*")]
    for name in copied:
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "source" / name).write_bytes((ROOT / name).read_bytes())
    (folder / "source/deploy/sample/LICENSE").symlink_to("../../LICENSE")
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    done = subprocess.run(
        [sys.executable, *build, str(folder / "source" / "deploy" / "sample")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("fedcgan_sample-*.whl")
    with zipfile.ZipFile(found) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    path = tmp_path_factory.mktemp("release") / "generator.onnx"
    export_onnx(released.table(), path)
    return path


def run(wheel, *arguments, cwd):
    """The console script's function, in a process that finds the wheel and the packages it needs."""
    script = (
        "import sys; from fedcgan_sample.cli import main; code = main(sys.argv[1:]);"
        f"assert not {set(HEAVY)!r} & set(sys.modules), sys.modules.keys(); sys.exit(code)"
    )
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=cwd,
        env={**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, "PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_is_the_sampler_and_asks_for_two_packages(wheel):
    shipped = {path.name for path in (wheel / "fedcgan_sample").iterdir()} - {"__pycache__"}
    assert shipped == {path.name for path in (ROOT / "common" / "sampler").glob("*.py*")}
    (about,) = wheel.glob("*.dist-info/METADATA")
    needed = [line for line in about.read_text().splitlines() if line.startswith("Requires-Dist")]
    assert [line for line in needed if "extra" not in line] == [
        "Requires-Dist: numpy>=2.0",
        "Requires-Dist: onnxruntime>=1.20",
    ]
    (entry,) = wheel.glob("*.dist-info/entry_points.txt")
    assert "fedcgan-sample = fedcgan_sample.cli:main" in entry.read_text()
    assert list(wheel.glob("*.dist-info/licenses/LICENSE"))


def test_csv_and_parquet_hold_the_same_records_and_their_marks(wheel, generator, tmp_path):
    options = (generator, "-n", 300, "--where", "ward=100..", "--balance", "sex", "--seed", 7)
    done = run(wheel, *options, "-o", "out.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "300 synthetic records in out.csv" in done.stderr
    assert "drawn records satisfied everything" in done.stderr
    told = json.loads(run(wheel, *options, "-o", "out.parquet", "--json", cwd=tmp_path).stdout)
    assert 0 < told["data"]["acceptance"] < 1
    assert told["data"]["records"] == 300
    mark = json.loads((tmp_path / "out.csv.provenance.json").read_text())
    metadata = pq.read_schema(tmp_path / "out.parquet").metadata
    assert mark == json.loads(metadata[b"synthetic"])
    assert mark["synthetic"] == "true"
    assert mark["epsilon"] == "1"
    left, right = (read_table(tmp_path / f"out.{end}", released.MIXED) for end in ("csv", "parquet"))
    assert np.array_equal(encode(left, released.MIXED), encode(right, released.MIXED))
    assert left.ward.equals(right.ward)
    types = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "out.parquet")}
    assert [types[name] for name in ("admitted", "ward", "visits", "grade", "sex")] == [
        "date32[day]",
        "double",
        "int64",
        "int64",
        "string",
    ]
    assert left.sex.value_counts().to_dict() == {"f": 150, "m": 150}
    printed = run(wheel, *options, cwd=tmp_path).stdout
    assert printed == (tmp_path / "out.csv").read_text()
    assert len(list(csv.reader(printed.splitlines()))) == 301


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (("--where", "ward=901..", "-o", "out.csv"), "impossible-condition", 2),
        (("--where", "length=1", "-o", "out.csv"), "unknown-condition", 2),
        (("--balance", "grade", "-o", "out.csv"), "config", 2),
        (("-o", "out.xlsx"), "config", 2),
        ((), "config", 2),
        (("-o", "taken/out.csv"), "storage", 6),
        (("-o", "taken/out.parquet"), "storage", 6),
        (("-o", "folder.csv"), "storage", 6),
    ],
)
def test_what_fails_says_why_and_leaves_nothing_behind(
    generator, tmp_path, monkeypatch, capsys, arguments, code, exit_code
):
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "folder.csv").mkdir()
    monkeypatch.chdir(tmp_path)
    command = [str(generator), "-n", "5", *arguments]
    assert main([*command, "--json"]) == exit_code
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == code
    assert error["hint"]
    assert {path.name for path in tmp_path.rglob("*")} == {"taken", "folder.csv"}
    assert main(command) == (0 if not arguments else exit_code)
    assert capsys.readouterr().err.startswith(f"{code}: " if arguments else "")


def test_a_damaged_file_and_missing_extras_are_typed_errors(generator, tmp_path, monkeypatch, capsys):
    (tmp_path / "generator.onnx").write_bytes(generator.read_bytes()[:-50])
    assert main([str(tmp_path), "-o", str(tmp_path / "x.csv")]) == 6
    assert capsys.readouterr().err.startswith("storage: the generator is damaged")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main([str(generator), "-o", str(tmp_path / "x.parquet")]) == 2
    assert "fedcgan-sample[parquet]" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["generator.onnx"]


@pytest.mark.parametrize("n", ["0", "-1", "1e3", "²"])
def test_a_count_is_a_whole_number(generator, capsys, n):
    with pytest.raises(SystemExit) as caught:
        main([str(generator), "-n", n])
    assert caught.value.code == 2


def test_images_and_signals(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    export_onnx(released.arrays(toy_arrays.DIGITS), tmp_path / "images.onnx")
    export_onnx(released.arrays(toy_arrays.WAVES), tmp_path / "signals.onnx")
    for name in ("a.npz", "a.png"):
        assert main(["images.onnx", "-n", "20", "--balance", "digit", "-o", name]) == 0
        assert image_output.is_marked(tmp_path / name)
    made = np.load(tmp_path / "a.npz")
    assert made["x"].shape == (20, 1, 28, 28)
    assert made["x"].dtype == np.uint8
    assert pd.Series(made["y"]).value_counts().tolist() == [2] * 10
    assert main(["signals.onnx", "-n", "4", "--where", "kind=ramp", "-o", "b.npz"]) == 0
    assert signal_output.is_marked(tmp_path / "b.npz")
    assert set(np.load(tmp_path / "b.npz")["y"]) == {"ramp"}
    assert main(["signals.onnx", "-o", "b.png"]) == 2
    assert main(["images.onnx"]) == 2
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert main(["images.onnx", "-o", "c.png"]) == 2
    assert not (tmp_path / "c.png").exists()

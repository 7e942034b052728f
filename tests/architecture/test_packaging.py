"""The same code as a wheel and as a Flower app: what is shipped runs, and nothing else is shipped."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("server", "client", "common", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A clean copy: building leaves files behind."""
    folder = tmp_path_factory.mktemp("source") / "fedcgan"
    folder.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def python(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_runs_and_holds_only_the_product(source, tmp_path):
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    done = python(*build, cwd=source)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    tops = {name.split("/")[0] for name in names}
    assert tops == {"fedcgan", next(top for top in tops if top.endswith(".dist-info"))}
    assert {name.split("/")[1] for name in names if name.startswith("fedcgan/")} == {
        "server",
        "client",
        "common",
    }
    assert "fedcgan/common/schemas/randhie.toml" in names
    assert {"fedcgan/common/bench/templates/league.md.j2", "fedcgan/common/bench/peers/ctgan.txt"} <= set(
        names
    )
    templates = {f"fedcgan/{p.relative_to(source)}" for p in (source / "common/evidence/templates").iterdir()}
    assert {"fedcgan/common/evidence/templates/report.html.j2"} <= templates <= set(names)
    assert "fedcgan/common/evidence/templates/DP_STATEMENT.md.j2" in names
    for side in ("server", "client", "common"):
        expected = {f"fedcgan/{p.relative_to(source)}" for p in (source / side).rglob("*.py")}
        assert expected <= set(names)
    launch = "from fedcgan.common.launch import main; import sys; sys.argv = ['fedcgan', 'version']; main()"
    run = python("-c", launch, cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"))
    assert "tenseal 0.3.18" in run.stdout, run.stderr


def test_the_flower_app_holds_the_product_and_loads(source, tmp_path):
    home = {"FLWR_HOME": str(tmp_path / "home"), "FLWR_TELEMETRY_ENABLED": "0"}
    flwr = [str(Path(sys.executable).parent / "flwr"), "build", "--app", str(source)]
    done = subprocess.run(
        flwr, cwd=tmp_path, env={**os.environ, **home}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (bundle,) = [*tmp_path.glob("*.fab"), *source.glob("*.fab")]
    with zipfile.ZipFile(bundle) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "app")
    assert {name.split("/")[0] for name in names} <= {"server", "client", "common", "pyproject.toml"} | {
        ".info",
        "LICENSE",
        "README.md",
    }
    load = "import server.app, client.app; print(server.app.__file__, server.app.app, client.app.app)"
    run = python("-c", load, cwd=tmp_path / "app")
    assert str(tmp_path / "app") in run.stdout, run.stderr

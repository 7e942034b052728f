"""The house stays as it was drawn: layers, package list, no pickle, no print, files one can read."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from common import errors

ROOT = Path(__file__).resolve().parents[2]
SIDES = ("server", "client", "common")
SOURCES = sorted(path for side in SIDES for path in (ROOT / side).rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_import_contracts_hold():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_package_list_is_the_tree():
    folders = {path.parent.relative_to(ROOT) for path in SOURCES}
    tree = {"fedcgan." + ".".join(folder.parts) for folder in folders}
    assert tree == set(PROJECT["tool"]["setuptools"]["packages"])


def test_every_package_says_what_it_is():
    for folder in {path.parent for path in SOURCES}:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder


def test_the_sampler_needs_nothing_of_the_program_it_comes_from():
    allowed = {"numpy", "onnxruntime", "pyarrow", "PIL", *sys.stdlib_module_names}
    for path in (ROOT / "common" / "sampler").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1, path
                assert (path.parent / f"{node.module}.py").is_file(), path
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                assert {str(name).split(".")[0] for name in names} <= allowed, path


def test_no_pickle_no_print_no_seeded_noise():
    forbidden = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    for path in SOURCES:
        text = path.read_text()
        assert not forbidden & {name.split(".")[0] for name in imported(path)}, path
        assert "torch.load(" not in text, path
        assert "np.random.seed" not in text, path


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_one_idea(path):
    assert len(path.read_text().splitlines()) <= 300


def test_secrets_are_imported_only_at_the_site_and_where_one_process_plays_all():
    for secret, users in {
        "crypto.secret": {"client/enrolment.py", "common/bench/ceremony.py"},
        "crypto.tag": {"client/enrolment.py"},
        "crypto.masks": {"client/enrolment.py", "common/bench/ceremony.py"},
    }.items():
        found = {
            str(path.relative_to(ROOT))
            for path in SOURCES
            if any(name.endswith(secret) for name in imported(path))
        }
        assert found == users


def test_a_server_process_never_loads_the_secret_half():
    script = (
        "import sys, server.app, server.release;"
        "print({'common.crypto.secret', 'common.crypto.tag', 'common.crypto.masks'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_error_codes_are_stable_and_different():
    kinds, pending = [], [errors.FedcganError]
    while pending:
        kind = pending.pop()
        kinds.append(kind)
        pending += kind.__subclasses__()
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)
    assert {kind.exit_code for kind in kinds} == {1, 2, 3, 4, 5, 6, 7, 8, 130}
    documented = (ROOT / "docs" / "errors.md").read_text()
    assert all(f"`{code}`" in documented for code in codes)


def test_nothing_that_sets_a_guarantee_has_a_default():
    from common.phases import (
        ArrayMeasure,
        ArrayModel,
        Count,
        EveryStep,
        Local,
        Measure,
        Model,
        Objective,
        Views,
    )
    from common.plan import Federation, Plan, Privacy
    from common.privacy.mechanism import GaussianSum, SampledGaussian

    guarantees = {
        Federation: ("key_holders", "threshold", "min_contributors", "collusion"),
        Privacy: ("epsilon", "delta", "unit"),
        Count: ("noise_multiplier",),
        Measure: ("noise_multiplier", "split", "power", "condition_weight"),
        Local: ("noise_multiplier", "max_grad_norm", "sample_rate", "local_steps", "fakes"),
        EveryStep: ("noise_multiplier", "max_grad_norm", "sample_rate", "sum_limit"),
        Plan: ("count", "train", "min_records", "max_records"),
        GaussianSum: ("noise_multiplier",),
        SampledGaussian: ("noise_multiplier", "sample_rate", "steps"),
    }
    for model, fields in guarantees.items():
        assert all(model.model_fields[field].is_required() for field in fields)
    named = {"schedule", "version"}  # what a phase is, not what it promises
    models = (Federation, Privacy, Plan, Model, Count, Measure, Local, EveryStep)
    for model in (*models, ArrayModel, ArrayMeasure, Objective, Views):
        assert all(field.is_required() for name, field in model.model_fields.items() if name not in named)

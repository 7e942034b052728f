"""A whole federation through Flower's own messages, and what must not be found outside a site."""

import hashlib
import json
import logging
import os
import shutil
import struct
import sys
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest

from client import vault
from common.config import Release
from common.errors import FedcganError
from common.evaluation.figures import Evaluation
from common.generator import ReleasedGenerator
from common.modalities.tabular import encode
from common.protocol.messages import Refused
from common.simulation import inproc
from common.simulation.engines import run as run_engine
from server.checkpoint import Checkpoint
from server.cli import main
from server.simulate import simulate
from tests import toy

CANARY = 31337.17  # a cost nobody else has


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    out = tmp_path_factory.mktemp("federation") / "release"
    return simulate(toy.config(), toy.records(), toy.SCHEMA, out, resume=False)


def test_a_second_run_in_the_same_place_and_process_has_sites_of_its_own(tmp_path):
    for _ in range(2):
        made = simulate(toy.config(), toy.records(), toy.SCHEMA, tmp_path / "release", resume=False)
        assert made.report["epsilon"] <= 3.0


def test_the_release_is_whole(outcome):
    names = {path.name for path in outcome.folder.iterdir()}
    files = {"synthetic.csv", "generator.safetensors", "generator.json", "sums.safetensors", "report.json"}
    assert names == files | {"generator.onnx", "synthetic.csv.provenance.json"}
    report = json.loads((outcome.folder / "report.json").read_text())
    assert report == json.loads(json.dumps(outcome.report))
    assert 2.9 < report["epsilon"] <= 3.0
    assert report["delta"] == 1e-5
    assert 0 <= report["tvd1"] <= report["tvd2"] <= 1
    assert 0 < report["encryption_share"] < 1
    assert set(report["bytes"]) == set(report["sites"])
    for key in ("tstr_auc", "trtr_auc", "upload_ratio_float32", "wall_seconds", "seconds"):
        assert report[key] is not None


def test_synthetic_records_look_like_the_real_table(outcome):
    synthetic = pd.read_csv(outcome.folder / "synthetic.csv")
    real = toy.records()[toy.SCHEMA.names]
    assert list(synthetic.columns) == list(real.columns)
    for name in real:
        assert synthetic[name].dtype.kind == real[name].dtype.kind
    encode(synthetic, toy.SCHEMA)  # bounds, categories, decimals all hold
    assert (np.round(synthetic.cost, 2) == synthetic.cost).all()
    description = json.loads((outcome.folder / "generator.json").read_text())
    estimated, subjects = description["records_estimated"], toy.records().patient.nunique() * 0.8
    assert abs(estimated - subjects) < 100  # as far as the noise lets one see; it may be exact by chance
    assert len(synthetic) == max(estimated, 10_000)


def test_conditions_are_exact_and_sampling_is_reproducible(outcome):
    generator = ReleasedGenerator.load(outcome.folder)
    first = generator.sample(500, {"diagnosis": "severe", "sex": "female"}, seed=3)
    assert set(first.diagnosis) == {"severe"}
    assert set(first.sex) == {"female"}
    assert first.equals(generator.sample(500, {"diagnosis": "severe", "sex": "female"}, seed=3))
    assert not first.equals(generator.sample(500, {"diagnosis": "severe", "sex": "female"}, seed=4))


def test_a_finished_run_resumes_to_the_same_release(outcome):
    before = hashlib.sha256((outcome.folder / "generator.safetensors").read_bytes()).hexdigest()
    again = simulate(toy.config(), toy.records(), toy.SCHEMA, outcome.folder, resume=True)
    after = hashlib.sha256((again.folder / "generator.safetensors").read_bytes()).hexdigest()
    assert before == after


class Wire:
    """Every byte that crosses Flower's messages."""

    def __init__(self, monkeypatch):
        self.bytes: list[bytes] = []
        original = inproc.get_all_nested_objects

        def tapped(message):
            parts = original(message)
            self.bytes += [part.deflate() for part in parts.values()]
            return parts

        monkeypatch.setattr(inproc, "get_all_nested_objects", tapped)


def traces(value: float) -> list[bytes]:
    """How a number could show: as text, or as a double in either byte order.

    (Four bytes of a float32 would turn up in megabytes of ciphertext by chance.)
    """
    texts = [str(value).encode(), str(int(value)).encode()]
    return texts + [struct.pack(order + "d", value) for order in "<>"]


def found_outside(folder, wire, log) -> list[str]:
    """Places outside the site's own folder where the canary shows."""
    places = [f"message {i}" for i, raw in enumerate(wire) if any(t in raw for t in traces(CANARY))]
    if any(t.decode("latin1") in log for t in traces(CANARY)):
        places.append("log")
    for path in folder.rglob("*"):
        private = "sites" in path.parts
        if path.is_file() and not private and any(t in path.read_bytes() for t in traces(CANARY)):
            places.append(str(path))
    for path in (folder / "sites").rglob("site.log"):
        if any(t in path.read_bytes() for t in traces(CANARY)):
            places.append(str(path))
    return places


def run_with_canary(tmp_path, monkeypatch, caplog):
    wire = Wire(monkeypatch)
    run = toy.run_folder(tmp_path / "run", release=Release())  # with the last sum
    records = run.folder / "sites" / "site-south" / "records.parquet"
    frame = pd.read_parquet(records)
    frame.loc[3, "cost"] = CANARY
    frame.to_parquet(records, index=False)
    with caplog.at_level(logging.DEBUG), suppress(FedcganError):
        run_engine("inproc", run.folder, 4)
    assert len(wire.bytes) > 20
    finished = Checkpoint.load_or_new(run.folder / "coordinator", run.plan.hash).rounds_done == 2
    return found_outside(run.folder, wire.bytes, caplog.text), finished


def test_a_canary_record_is_found_nowhere_outside_its_site(tmp_path, monkeypatch, caplog):
    places, finished = run_with_canary(tmp_path, monkeypatch, caplog)
    assert finished
    assert places == []


@pytest.mark.parametrize("leak", ["message", "log"])
def test_the_canary_search_catches_a_leak(tmp_path, monkeypatch, caplog, leak):
    """Negative control: a vault that quotes a record in a refusal, or in its log, is caught."""
    original = vault.load_records

    def leaky(path, schema, plan, key, **options):
        worst = pd.read_parquet(path).cost.max()
        if leak == "log":
            logging.getLogger("leak").warning("largest cost %s", worst)
        elif worst == CANARY:
            monkeypatch.setattr(
                vault, "Refused", lambda **_: Refused(code="data", message=f"cost {worst}", hint="")
            )
            raise RuntimeError
        return original(path, schema, plan, key, **options)

    monkeypatch.setattr(vault, "load_records", leaky)
    places, finished = run_with_canary(tmp_path, monkeypatch, caplog)
    assert finished == (leak == "log")  # a refusal stops the run
    assert any(place.startswith(leak) for place in places)


def test_message_sizes_do_not_depend_on_records(tmp_path, monkeypatch):
    """The same plan over other records: every answer of a site has the same length."""
    sizes = []
    for seed in (0, 1):
        with monkeypatch.context() as patch:
            wire = Wire(patch)
            frame = toy.records(seed=seed).sample(frac=1.0 - 0.2 * seed, random_state=0)
            out = tmp_path / str(seed)
            report = simulate(toy.config(), frame, toy.SCHEMA, out, resume=False).report
            sizes.append({site: count["up"] for site, count in report["bytes"].items()})
            assert wire.bytes
    assert sizes[0] == sizes[1]


def test_a_generator_that_was_altered_does_not_load(outcome, tmp_path):
    from common.errors import StorageError

    for name in ("generator.json", "generator.safetensors"):
        (tmp_path / name).write_bytes((outcome.folder / name).read_bytes())
    weights = bytearray((tmp_path / "generator.safetensors").read_bytes())
    weights[-3] ^= 1
    (tmp_path / "generator.safetensors").write_bytes(bytes(weights))
    with pytest.raises(StorageError, match="not the file that was released"):
        ReleasedGenerator.load(tmp_path)
    os.truncate(tmp_path / "generator.json", 40)
    with pytest.raises(StorageError, match="damaged"):
        ReleasedGenerator.load(tmp_path)


def test_the_release_becomes_a_page(outcome, tmp_path, monkeypatch, capsys):
    page, twin = tmp_path / "page.html", tmp_path / "page.evidence.json"
    parent = shutil.copytree(outcome.folder.parent, tmp_path / "copied")
    run = parent / outcome.folder.name
    measured = json.loads((run / "report.json").read_text("utf-8"))
    measured["tvd2"] = CANARY  # measured on records, and no other number looks like it
    (run / "report.json").write_text(json.dumps(measured), "utf-8")
    assert reported(monkeypatch, run, "-o", page) == 0
    content = json.loads(twin.read_text("utf-8"))
    assert content["budget"]["epsilon"] == content["spending"][-1]["epsilon"] == outcome.report["epsilon"]
    assert content["reference"] == "released material"
    assert content["simulated"]
    distances = {one["column"]: one["distance"] for one in content["comparison"]["marginals"]}
    assert set(distances) == set(toy.SCHEMA.names)
    assert max(distances.values()) < 0.3
    text = page.read_text("utf-8")
    assert "A simulation." in text
    assert str(CANARY) not in text + twin.read_text("utf-8")
    before = text
    assert reported(monkeypatch, run, "-o", page, "--json") == 0
    assert page.read_text("utf-8") == before


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("RUN", "-o", "page.pdf"), 2, "the report is a page"),
        (("nowhere", "-o", "page.html"), 2, "there is no run in"),
        (("RUN", "-o", "page.html"), 4, "an evaluation that is private"),
    ],
)
def test_a_page_that_cannot_be_made_leaves_no_file(
    outcome, tmp_path, monkeypatch, capsys, arguments, code, says
):
    run = tmp_path / "run"
    shutil.copytree(outcome.folder, run)
    shutil.copytree(f"{outcome.folder}.run", f"{run}.run", ignore=shutil.ignore_patterns("sites"))
    private = Evaluation(shareable=False)
    (run / "evaluation.json").write_text(private.model_dump_json())
    monkeypatch.chdir(tmp_path)
    given = [run if one == "RUN" else one for one in arguments]
    assert reported(monkeypatch, *given) == code
    assert says in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("page*"))
    if code == 4:  # the same page may be private
        assert reported(monkeypatch, *given, "--private") == 0
        assert "It stays at the site." in (tmp_path / "page.html").read_text("utf-8")


def test_a_page_of_a_release_that_was_altered_is_not_made(outcome, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    shutil.copytree(outcome.folder, run)
    shutil.copytree(f"{outcome.folder}.run", f"{run}.run", ignore=shutil.ignore_patterns("sites"))
    for name, change in {
        "sums.safetensors": lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
        "report.json": lambda raw: raw.replace(outcome.report["plan"].encode(), b"0" * 64),
    }.items():
        whole = (run / name).read_bytes()
        (run / name).write_bytes(change(whole))
        assert reported(monkeypatch, run, "-o", tmp_path / "page.html") == 6
        (run / name).write_bytes(whole)
    assert not list(tmp_path.glob("page*"))


def reported(monkeypatch, *arguments):
    """The exit code of ``fedcgan report``."""
    monkeypatch.setattr(sys, "argv", ["fedcgan", "report", *map(str, arguments)])
    return main()

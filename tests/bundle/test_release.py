"""From a finished run to a bundle: the gate, what is left out, and that nothing half-made is ever left."""

import json
import os
import shutil
import struct
import sys
from pathlib import Path

import pandas as pd
import pytest

from common.bundle.verification import verify
from common.errors import (
    BundleExistsError,
    ConfigError,
    FederationError,
    GateFailedError,
    OverrideError,
    PrivateEvaluationError,
    StorageError,
)
from common.launch import main
from common.released import load_release
from server import assembly, bundling
from server.bundle_pages import page, portable_generator
from server.bundling import Wanted, bundle
from server.finished import finished

from .made import CANARY_COST, CANARY_PATIENT, REASON, evaluation, manifest_of, write_evaluation

DOCUMENTS = ("MODEL_CARD.md", "DATASHEET.md", "DP_STATEMENT.md", "DPIA_INPUT.md")


@pytest.fixture
def again(out, run, tmp_path):
    """The same simulation in a place of its own, where its evaluation can be another."""
    shutil.copytree(out, tmp_path / "out")
    shutil.copytree(run, tmp_path / "out.run")
    return tmp_path / "out"


@pytest.fixture
def command(monkeypatch, capsys):
    """Run ``fedcgan`` in this process: its exit code and its envelope."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["fedcgan", *map(str, arguments), "--json"])
        code = main()
        return code, json.loads(capsys.readouterr().out)

    return run


def beside(out):
    """What lies in the folder of a run, temporary files too."""
    return sorted(path.name for path in out.parent.iterdir())


def test_a_release_that_passed(whole, out):
    files = {path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file()}
    assert {
        *("manifest.json", "manifest.sig.json", "plan.json", "schema.json", "schema.toml", "report.json"),
        *("gate.json", "evaluation.json", "generator.safetensors", "generator.json", "sums.safetensors"),
        *("generator.onnx", "report.html", "report.evidence.json"),
        *("sdv_metadata.json", "datapackage.json", "croissant.json", "sbom.cdx.json", *DOCUMENTS),
        *("synthetic/records.csv", "synthetic/records.csv.provenance.json", "synthetic/records.parquet"),
        *(f"signatures/site-{name}.json" for name in ("north", "south", "east", "west")),
    } == files
    found = verify(whole)
    assert (found.manifest.gate, found.manifest.override, found.manifest.simulated) == ("passed", None, True)
    assert (whole / "synthetic/records.csv").read_bytes() == (out / "synthetic.csv").read_bytes()
    assert load_release(whole).facts["plan"] == found.manifest.plan  # fedcgan sample --from BUNDLE


@pytest.mark.parametrize("what", ["failed", "unmeasured"])
def test_a_gate_that_did_not_pass_refuses(what, again, plan, command):
    if what == "failed":
        write_evaluation(again, evaluation(plan, verdict="failed"))
    else:
        (again / "evaluation.json").unlink()
    before = beside(again)
    with pytest.raises(GateFailedError):
        bundle(finished(again), again.parent / "bundle", Wanted())
    code, envelope = command("release", again)
    assert (code, envelope["error"]["code"]) == (8, "gate-failed")
    assert beside(again) == before


def test_an_override_is_on_the_first_page_of_everything(again, plan, command):
    write_evaluation(again, evaluation(plan, verdict="failed"))
    code, envelope = command("release", again, "--override", REASON, "--zip")
    assert code == 0, envelope
    assert REASON in " ".join(envelope["data"]["attention"])
    code, envelope = command("verify", again.with_name("out.bundle.zip"))
    assert (code, envelope["data"]["gate"], envelope["data"]["override"]) == (0, "failed", REASON)
    bundle(finished(again), again.parent / "bundle", Wanted(override=REASON))
    for name in DOCUMENTS:
        text = (again.parent / "bundle" / name).read_text()
        assert REASON in text[:900], name
        assert "did not pass: failed" in text[:900], name
    assert json.loads((again.parent / "bundle" / "gate.json").read_text())["override"] == REASON


def test_a_reason_that_is_none(again, plan):
    write_evaluation(again, evaluation(plan, verdict="failed"))
    for reason in ("", "because", " " * 40, "x" * 5000):
        with pytest.raises(OverrideError):
            bundle(finished(again), again.parent / "bundle", Wanted(override=reason))
    write_evaluation(again, evaluation(plan))
    with pytest.raises(OverrideError, match="passed"):
        bundle(finished(again), again.parent / "bundle", Wanted(override=REASON))


def test_figures_from_records_do_not_leave(whole, out):
    """A simulation's report counts real records; its release does not."""
    private = {"records", "tvd1_training", "trtr_auc", "tvd1"}
    assert private <= json.loads((out / "report.json").read_text()).keys()
    assert not private & json.loads((whole / "report.json").read_text()).keys()


def with_traces(folder: Path) -> list[str]:
    """Files in which a real record shows, as text or as eight bytes, in their names or their content."""
    numbers = [str(CANARY_PATIENT).encode(), str(CANARY_COST).encode()]
    numbers += [struct.pack(f"{order}q", CANARY_PATIENT) for order in "<>"]
    numbers += [struct.pack(f"{order}d", CANARY_COST) for order in "<>"]
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [p.name for p in files if any(n in p.name.encode() + p.read_bytes() for n in numbers)]


def test_no_trace_of_a_record_is_in_a_release(out, run, tmp_path):
    """With the page and its numbers; nor of a private figure of the simulation's report."""
    made = tmp_path / "bundle"
    bundle(finished(out), made, Wanted(), (portable_generator, page))
    assert {"report.html", "report.evidence.json", "generator.onnx"} <= {path.name for path in made.iterdir()}
    assert with_traces(made) == []
    private = {"trtr_auc", "tstr_auc", "tvd1_training", "tvd2_real"}
    assert private <= json.loads((out / "report.json").read_text()).keys()
    texts = [path.read_text() for path in made.iterdir() if path.suffix in (".json", ".html", ".md")]
    assert not [key for key in private if any(f'"{key}"' in text for text in texts)]
    # control: the record was in the run, and the search finds it where it is put
    held = [pd.read_parquet(path) for path in (run / "sites").rglob("records.parquet")]
    real = pd.concat(held)
    real[real.patient == CANARY_PATIENT].to_csv(made / "leak.csv")
    (made / "leak.bin").write_bytes(struct.pack("<d", CANARY_COST))
    assert with_traces(made) == ["leak.bin", "leak.csv"]


@pytest.mark.parametrize("public", [False, True])
def test_a_private_evaluation_is_refused(public, again, plan):
    """Of public records, too: the page that everybody gets has no place for it."""
    write_evaluation(again, evaluation(plan, shareable=False))
    with pytest.raises(PrivateEvaluationError):
        bundle(finished(again), again.parent / "bundle", Wanted(public_records=public))


def test_of_public_records_the_whole_report_leaves(again, command):
    code, envelope = command("release", again, "--public-records")
    assert code == 0, envelope
    report = json.loads((again.with_name("out.bundle") / "report.json").read_text())
    assert {"records", "tvd1"} <= report.keys()


def test_what_is_there_is_left_alone(whole, out):
    before = manifest_of(whole)
    with pytest.raises(BundleExistsError):
        bundle(finished(out), whole, Wanted())
    assert manifest_of(whole) == before


@pytest.mark.parametrize("stopped", ["papers", "verify", "Manifest"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_nothing_half_made_is_left(stopped, error, out, tmp_path, monkeypatch):
    where = assembly if stopped == "papers" else bundling

    class Stopping:
        @staticmethod
        def of(*_, **__):
            raise error

        def __new__(cls, *_, **__):
            raise error

    monkeypatch.setattr(where, stopped, Stopping)
    with pytest.raises((KeyboardInterrupt, StorageError)):
        bundle(finished(out), tmp_path / "bundle", Wanted())
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written(out, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        bundle(finished(out), tmp_path / "file" / "bundle", Wanted())
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    if os.geteuid():  # root may write everywhere
        with pytest.raises(StorageError):
            bundle(finished(out), closed / "bundle", Wanted())


@pytest.mark.parametrize("name", ["sums.safetensors", "synthetic.csv", "generator.json"])
def test_a_file_that_is_missing_is_named(again, tmp_path, name):
    (again / name).unlink()
    with pytest.raises(StorageError, match="is missing") as refused:
        bundle(finished(again), tmp_path / "bundle", Wanted())
    assert str(again / name) in refused.value.message
    assert "space" not in refused.value.hint
    assert not (tmp_path / "bundle").exists()


def test_runs_that_cannot_be_released(again, tmp_path, command):
    with pytest.raises(ConfigError):
        finished(tmp_path / "nowhere")
    code, envelope = command("release", tmp_path / "nowhere")
    assert (code, envelope["error"]["code"]) == (2, "config")
    (again / "report.json").write_text("{}")
    with pytest.raises(StorageError):
        bundle(finished(again), tmp_path / "bundle", Wanted())
    key = again.with_name("out.run") / "coordinator" / "identity.key"
    key.unlink()
    with pytest.raises(FederationError):
        finished(again)
    assert not key.exists()  # and none is made anew


def test_another_key_than_the_plans(again):
    folder = again.with_name("out.run")
    shutil.copy(folder / "sites" / "site-east" / "identity.key", folder / "coordinator" / "identity.key")
    with pytest.raises(FederationError, match="another key"):
        finished(again)


def test_more_files_come_from_elsewhere(out, tmp_path):
    """How the portable generator and the report as a page get in: they are files like all others."""
    seen = []

    def page(parts):
        seen.append((parts.run.plan.run, parts.gate.verdict, sorted(parts.folder.glob("*.md"))[0].name))
        return {"report.html": b"<!doctype html><title>report</title>"}

    found = bundle(finished(out), tmp_path / "bundle", Wanted(), [page])
    assert found.manifest.file("report.html").media == "text/html"
    assert seen[0][1:] == ("passed", "DATASHEET.md")


def test_verify_on_the_command_line(whole, mine, run, command):
    code, envelope = command("verify", whole, "--signer", "0" * 64)
    assert (code, envelope["error"]["code"]) == (5, "bundle-signer")
    code, envelope = command("verify", whole)
    assert (code, envelope["data"]["signer_checked"]) == (0, False)
    (mine / "plan.json").unlink()
    code, envelope = command("verify", mine)
    assert (code, envelope["error"]["code"]) == (5, "bundle-missing")

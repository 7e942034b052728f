"""Documents say what plan, report and evaluation say, in calm words, and nothing that they cannot."""

import dataclasses
import json
import re
import shutil
from dataclasses import asdict

import jinja2
import pytest

from common.bundle.claims import REPORT
from common.bundle.gate_file import GateFile
from common.evidence import documents
from common.evidence.documents import Release, escaped
from common.evidence.documents import documents as written
from common.privacy.accounting import rounded_up
from common.privacy.meaning import from_one_point, most_true_positives
from tests import toy, toy_arrays

from .made import REASON, evaluation


@pytest.fixture
def release(plan, out):
    from server.finished import finished

    found = finished(out)
    said = evaluation(plan)
    return Release(
        plan=plan,
        schema=found.schema,
        report=found.report(public_records=False),
        gate=GateFile.of(said, plan.release.gate, None),
        evaluation=said,
        records=12_345,
        files=("synthetic/records.csv",),
        simulated=True,
        made="2027-01-31",
        program="0.1.0",
        licence=None,
    )


def test_no_claim_that_is_not_ours_to_make(whole):
    for path in whole.glob("*.md"):
        text = path.read_text().lower()
        assert "anonym" not in text.replace("anonymeter", ""), path
        assert "complian" not in text, path
        assert "guarantees that" not in text, path


def test_the_statement_has_nists_subjects(release):
    text = written(release)["DP_STATEMENT.md"]
    for heading in (
        *("Unit of privacy", "Privacy parameters", "Trust model", "Mechanisms and composition", "Sampling"),
        *("Accountant", "Utility and bias", "Hazards", "Exposure", "What is not covered"),
    ):
        assert re.search(rf"^#+ .*{heading}", text, re.MULTILINE), heading
    for gap in ("The schema:", "Timing:", "Refusals:", "The search for settings", "People's decisions"):
        assert f"- {gap}" in text


def test_a_report_for_everybody_has_no_time_of_a_site_and_no_reason_of_one(out, run, tmp_path):
    """How long sites took follows their numbers of records; why one refused may tell of its budget."""
    from server.asking import Trouble
    from server.finished import finished

    shutil.copytree(out, tmp_path / "out")
    shutil.copytree(run, tmp_path / "out.run")
    told = {"seconds", "wall_seconds", "encryption_seconds", "encryption_share"}
    found = finished(tmp_path / "out")
    whole = json.loads((found.release / REPORT).read_text())
    reasons = {"no-answer": False, "crypto-not-a-sum": False, "privacy-budget": True, "protocol-replay": True}
    whole["trouble"] = [asdict(Trouble("measure", "a", *reason)) for reason in reasons.items()]
    assert told <= set(whole)
    (found.release / REPORT).write_text(json.dumps(whole))
    report = found.report(public_records=False)
    assert not told & set(report)
    codes = ["no-answer", "crypto-not-a-sum", "refused", "refused"]
    assert report["trouble"] == [{"step": "measure", "site": "a", "code": code} for code in codes]
    assert found.report(public_records=True) == whole  # negative control


def test_no_file_of_a_bundle_tells_how_long_sites_took(whole):
    costs = json.loads((whole / "report.evidence.json").read_text())["costs"]
    assert costs["bytes"]  # negative control
    assert {costs[name] for name in ("seconds", "wall_seconds", "encryption_share")} == {None}
    assert "Wall clock" not in (whole / "report.html").read_text()
    assert "wall_seconds" not in json.loads((whole / REPORT).read_text())


def test_numbers_come_from_report_and_plan(release):
    texts = written(release)
    views = release.report["epsilon_views"]
    for view in views.values():
        assert f"| {view:.10g} |" in texts["DP_STATEMENT.md"]
    for said in (release.plan.hash, release.plan.schema_hash):
        assert said in texts["MODEL_CARD.md"]
    for mechanism in release.plan.mechanisms:
        assert f"{mechanism.noise_multiplier:.4g}" in texts["DP_STATEMENT.md"]
    assert "12345 synthetic records" in texts["DATASHEET.md"]
    assert "once" in texts["DP_STATEMENT.md"]
    again = {**release.report, "attempts": {"measure": 3}}
    assert "3 times" in written(dataclasses.replace(release, report=again))["DP_STATEMENT.md"]


def test_epsilon_is_never_rounded_down(release):
    report = {**release.report, "epsilon": 3.0001}
    text = written(dataclasses.replace(release, report=report))["DPIA_INPUT.md"]
    assert "ε = 3.0001," in text
    (bound,) = most_true_positives(release.plan.mechanisms, (0.01,))
    assert f"{rounded_up(bound) * 100:.4g} %" in text
    assert rounded_up(bound) >= bound
    assert bound < from_one_point(3.0, 1e-5, 0.01)


def test_gate_and_figures_are_shown(release):
    for name in ("MODEL_CARD.md", "DP_STATEMENT.md", "DPIA_INPUT.md"):
        assert "| copies | 0.0025 | 0 to 0.0045 | 0.005 | passed | secure sum |" in written(release)[name]
    assert "| 1-way distance | 0.02 | 0.01 to 0.03 | 0.01 | lower |" in written(release)["MODEL_CARD.md"]


def test_without_an_evaluation_it_says_so(release, plan):
    gate = GateFile.of(None, plan.release.gate, REASON)
    texts = written(dataclasses.replace(release, evaluation=None, gate=gate))
    for text in texts.values():
        assert "did not pass: inconclusive" in text[:900]
    assert "Nothing was measured on real records" in texts["MODEL_CARD.md"]
    assert "No attack on it was measured" in texts["DPIA_INPUT.md"]


@pytest.mark.parametrize("schema", [toy_arrays.DIGITS, toy_arrays.WAVES, toy.SCHEMA], ids=lambda s: s.kind)
def test_every_kind_of_record(schema, release):
    texts = written(dataclasses.replace(release, schema=schema, licence="CC-BY-4.0", simulated=False))
    assert all("CC-BY-4.0" in texts[name] for name in ("MODEL_CARD.md", "DATASHEET.md"))
    assert not any("simulation" in text for text in texts.values())
    assert texts["MODEL_CARD.md"].startswith('---\nlicense: "CC-BY-4.0"\n')
    assert not any("  \n\n\n" in text for text in texts.values())


def test_other_peoples_words_are_no_markup(release):
    evil = "x](http://evil) <script>alert(1)</script> | # `y`\n\n# heading"
    schema = release.schema.model_copy(update={"name": evil, "description": evil})
    gate = release.gate.model_copy(update={"verdict": "failed", "override": evil})
    for name, text in written(dataclasses.replace(release, schema=schema, gate=gate, licence=evil)).items():
        assert "<script>" not in text, name
        assert not re.search(r"(?<!\\)\]\(http", text.partition("\n---\n")[2]), name
        assert not re.search(r"^# heading", text, re.MULTILINE), name
    assert escaped("a_b*c\x1b[0m") == "a\\_b\\*c \\[0m"


def test_a_name_that_nobody_gives_is_an_error(release, monkeypatch, tmp_path):
    (tmp_path / "MODEL_CARD.md.j2").write_text("{{ nobody.knows }}")
    monkeypatch.setattr(documents, "_TEMPLATES", tmp_path)
    with pytest.raises(jinja2.UndefinedError):
        written(release)

"""Files that contradict each other are found even if every signature is genuine; epsilon is arithmetic."""

import pickle

import pytest

from common.bundle.verification import verify
from common.bundle.words import attention, not_proven, proven
from common.errors import (
    DamagedGeneratorError,
    DisagreementError,
    MissingFileError,
    RosterError,
    UnderstatedError,
)
from common.plan import Plan
from common.privacy.accounting import epsilon
from common.release_terms import BY_LAST_SUM

from .made import changed_json, evaluation, resigned


def refused(kind, folder, run, match=None, **changes):
    resigned(folder, run, **changes)
    with pytest.raises(kind, match=match):
        verify(folder)


def everywhere(folder, **said):
    """The same claim in report and generator."""
    for name in ("report.json", "generator.json"):
        changed_json(folder / name, lambda content: content.update(said))


def test_epsilon_is_computed_from_the_plan(whole):
    found = verify(whole)
    again = epsilon(found.claims.plan.mechanisms, found.manifest.delta)
    assert found.claims.epsilon == again
    assert again <= found.manifest.epsilon < again + 1e-3


def test_an_understated_epsilon(mine, run):
    everywhere(mine, epsilon=1.0)
    refused(UnderstatedError, mine, run, epsilon=1.0)


def test_an_epsilon_too_small_by_little(mine, run):
    little = verify(mine).claims.epsilon - 2e-4
    everywhere(mine, epsilon=little)
    refused(UnderstatedError, mine, run, epsilon=little)


def test_an_overstated_epsilon(mine, run):
    everywhere(mine, epsilon=9.0)
    refused(DisagreementError, mine, run, epsilon=9.0)


def test_an_understated_view(mine, run):
    changed_json(mine / "report.json", lambda report: report["epsilon_views"].update(all_others=0.5))
    refused(UnderstatedError, mine, run, match="all_others")


def test_an_attempt_is_paid_for(mine, run):
    """Listed, it makes epsilon too small; and it cannot be listed in one place alone."""
    changed_json(mine / "report.json", lambda report: report.update(attempts={"measure": 2}))
    refused(DisagreementError, mine, run)
    refused(UnderstatedError, mine, run, attempts={"measure": 2})


def test_attempts_at_steps_that_there_are_not(mine, run):
    for attempts in ({"nothing": 2}, {"measure": 99}, {"measure": 0}):
        changed_json(mine / "report.json", lambda report, now=attempts: report.update(attempts=now))
        refused(DisagreementError, mine, run, match="attempts", attempts=attempts)


@pytest.mark.parametrize("name", ["report.json", "generator.json"])
@pytest.mark.parametrize("key", ["epsilon", "delta", "unit", "plan"])
def test_report_and_generator_say_what_the_manifest_says(name, key, mine, run):
    changed_json(mine / name, lambda content: content.pop(key))
    refused(DisagreementError, mine, run, match=name)


@pytest.mark.parametrize("name", ["plan.json", "schema.json", "report.json", "gate.json", "generator.json"])
def test_what_every_bundle_has(name, mine, run):
    (mine / name).unlink()
    refused(MissingFileError, mine, run, match=name)


@pytest.mark.parametrize("name", ["plan.json", "schema.json", "report.json", "gate.json", "generator.json"])
@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b'"text"', b"[" * 100_000, b"\xff\xfe"])
def test_nonsense_in_place_of_a_file(name, raw, mine, run):
    (mine / name).write_bytes(raw)
    refused(DisagreementError, mine, run)


def test_another_plan(mine, run):
    plan = Plan.from_json((mine / "plan.json").read_bytes())
    easier = plan.model_copy(update={"release": plan.release.model_copy(update={"signatures": 0})})
    (mine / "plan.json").write_bytes(easier.to_json())
    refused(DisagreementError, mine, run)
    everywhere(mine, plan=easier.hash)
    refused(RosterError, mine, run, plan=easier.hash)  # and the manifest still asks for four


def test_a_plan_in_another_form(mine, run):
    (mine / "plan.json").write_bytes((mine / "plan.json").read_bytes() + b"\n")
    refused(DisagreementError, mine, run)


def test_another_schema(mine, run):
    changed_json(mine / "schema.json", lambda schema: schema.update(description="another"))
    refused(DisagreementError, mine, run)


def test_another_gate(mine, run, plan):
    failed = evaluation(plan, verdict="failed").gate.model_dump(mode="json")["criteria"]
    changed_json(mine / "gate.json", lambda gate: gate.update(criteria=failed))
    refused(DisagreementError, mine, run)
    changed_json(mine / "evaluation.json", lambda said: said["gate"].update(criteria=failed))
    refused(DisagreementError, mine, run, match="verdict")


def in_both(folder, change):
    """The same change of the list of criteria in gate.json and evaluation.json."""
    changed_json(folder / "gate.json", lambda gate: change(gate["criteria"]))
    changed_json(folder / "evaluation.json", lambda said: change(said["gate"]["criteria"]))


def test_a_criterion_that_passed_above_its_threshold(mine, run):
    in_both(mine, lambda criteria: criteria[0].update(low=0.9))
    refused(DisagreementError, mine, run, match="did not pass")


@pytest.mark.parametrize(
    "said", [{"value": 0.9}, {"value": 0.9, "threshold": None}, {"value": None, "low": None, "high": None}]
)
def test_what_decides_cannot_be_for_information(said, mine, run):
    """Neither with its threshold, nor with one or the other left out."""
    in_both(mine, lambda criteria: criteria[0].update(verdict="information", **said))
    refused(DisagreementError, mine, run, match="copies decides")


def test_nor_can_another_with_value_and_threshold(mine, run):
    in_both(mine, lambda criteria: criteria[-1].update(verdict="information", value=0.9))
    refused(DisagreementError, mine, run, match="risk decides")


def test_lines_that_are_for_information(mine, run, plan):
    """Those of the exact gate, as it writes them."""
    line = {**evaluation(plan).gate.criteria[0].model_dump(mode="json"), "verdict": "information"}
    attacks = {**line, "name": "anonymeter", "value": None, "threshold": plan.release.gate.risk}
    closest = {**line, "name": "dcr", "value": 0.5, "threshold": None}
    in_both(mine, lambda criteria: criteria.extend([attacks, closest]))
    resigned(mine, run)
    assert verify(mine).manifest.gate == "passed"


@pytest.mark.parametrize("name", BY_LAST_SUM)
def test_a_criterion_that_is_left_out(name, mine, run):
    def without(criteria):
        criteria[:] = [one for one in criteria if one["name"] != name]

    in_both(mine, without)
    refused(DisagreementError, mine, run, match=f"does not say {name}")


def test_an_evaluation_on_records_is_in_no_release(mine, run):
    changed_json(mine / "evaluation.json", lambda said: said.update(shareable=False))
    refused(DisagreementError, mine, run, match="computed from records")


def test_thresholds_are_those_of_the_plan(mine, run, plan):
    changed_json(mine / "gate.json", lambda gate: gate["terms"].update(copies=0.9))
    refused(DisagreementError, mine, run, match="thresholds")
    changed_json(mine / "gate.json", lambda gate: gate["terms"].update(copies=plan.release.gate.copies))
    in_both(mine, lambda criteria: criteria[0].update(threshold=0.9))
    refused(DisagreementError, mine, run, match="threshold")


def test_a_pickle_in_place_of_weights_is_not_loaded(mine, run, tmp_path):
    harm = tmp_path / "harm"

    class Harm:
        def __reduce__(self):
            return (open, (str(harm), "w"))

    raw = pickle.dumps(Harm())
    pickle.loads(raw).close()  # the control: whoever unpickles it does the harm
    assert harm.exists()
    harm.unlink()
    (mine / "generator.safetensors").write_bytes(raw)
    digest = resigned(mine, run).file("generator.safetensors").sha256
    changed_json(mine / "generator.json", lambda content: content.update(weights_sha256=digest))
    refused(DamagedGeneratorError, mine, run)
    assert not harm.exists()


def test_other_weights(mine, run):
    raw = (mine / "generator.safetensors").read_bytes()
    (mine / "generator.safetensors").write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    refused(DisagreementError, mine, run, match="weights")


def test_other_sums(mine, run):
    raw = (mine / "sums.safetensors").read_bytes()
    (mine / "sums.safetensors").write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    refused(DisagreementError, mine, run, match="sums")


def test_what_is_said_is_said_with_its_limits(whole, run):
    found = verify(whole)
    said = " ".join([*attention(found), *proven(found), *not_proven(found)])
    assert "noise was really added" in said
    assert "not checked who" in said
    assert "simulation" in said
    assert f"{found.claims.epsilon:.4f}" in said
    assert "earlier runs" not in said

"""A release of a real federation: the coordinator makes it, each site looks and signs, by mail."""

import json
import sys

import pytest

from client.proposals import Proposals
from client.signing import counter_sign, signable
from client.site import Site
from common.bundle.paths import SIGNATURE
from common.bundle.signatures import Signature
from common.bundle.verification import verify
from common.crypto.identity import Identity
from common.errors import (
    AboveAgreedError,
    AlteredFileError,
    GateFailedError,
    NotOurRunError,
    PrivateEvaluationError,
    ProtocolError,
    TooFewSignaturesError,
    UnderstatedError,
    UnknownSignerError,
)
from common.launch import main
from common.privacy.accounting import epsilon, rounded_up
from server import conduct
from server.bundling import Wanted, bundle
from server.finished import finished
from tests import toy
from tests.server.conducted import admitted, approved_run, plan_of

from .made import REASON, changed_json, copied, evaluation, rehashed, write_evaluation

NAMES = toy.HOSPITALS[:3]


@pytest.fixture(scope="module")
def federated(tmp_path_factory):
    """A finished run: its folder of the federation, its own, those of the sites, and its bundle."""
    where = tmp_path_factory.mktemp("federated")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(conduct, "_APPROVAL_PAUSE", 0.0)
        federation, sites = admitted(where, NAMES)
        plan = plan_of(federation, where)
        run = approved_run(federation, sites, plan)
        with pytest.raises(ProtocolError, match="the run is"):
            finished(run.folder)  # not before it is
        conduct.conduct(run.folder, sites.make)
    measured = finished(run.folder).evaluation
    said = REASON if measured.gate.verdict != "passed" else None
    bundle(finished(run.folder), where / "as-measured", Wanted(override=said))
    write_evaluation(run.folder / "release", evaluation(plan))
    bundle(finished(run.folder), where / "bundle", Wanted())
    return federation, run, sites, where / "bundle"


@pytest.fixture
def sites(federated, tmp_path):
    """The sites' folders, to do things to."""
    return copied(federated[2].folder, tmp_path / "sites")


@pytest.fixture
def mine(federated, tmp_path):
    return copied(federated[3], tmp_path / "bundle")


@pytest.fixture
def command(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["fedcgan", *map(str, arguments)])
        code = main()
        return code, capsys.readouterr()

    return run


def test_from_run_to_a_verified_release(federated, sites, tmp_path, command):
    """Every command as people type it."""
    federation, run, _, _ = federated
    path = tmp_path / "release.zip"
    where = ("--federation", federation.folder)
    code, said = command("release", run.plan.hash[:12], *where, "--zip", "-o", path)
    assert code == 0, said.err
    assert "fedcgan site sign" in said.out
    code, said = command("verify", path, "--json")
    assert (code, json.loads(said.out)["error"]["code"]) == (5, "bundle-unsigned")
    sent = []
    for name in NAMES:
        sent.append(tmp_path / f"{name}.signature.json")
        code, said = command("site", "sign", path, "--site", sites / name, "-o", sent[-1])
        assert code == 2  # nobody is at the terminal to say yes
        assert not sent[-1].exists()
        assert "what this site would sign" in said.out
        assert "The privacy gate: passed." in said.out
        code, said = command("site", "sign", path, "--site", sites / name, "-o", sent[-1], "--yes", "--json")
        assert code == 0, said.err
        assert json.loads(said.out)["data"]["charged"] == pytest.approx(3.0, abs=0.01)
    paper = tmp_path / "paper.pdf"
    paper.write_text("mine")
    signing = ("site", "sign", path, "--site", sites / NAMES[0], "-o", paper, "--yes", "--json")
    code, said = command(*signing)
    assert (code, json.loads(said.out)["error"]["code"], paper.read_text()) == (6, "storage", "mine")
    code, said = command("release", "countersign", path, *sent)
    assert code == 0, said.err
    code, said = command("verify", path, *where)
    assert code == 0, said.err
    for words in ("proven", "not proven", "Counter-signed by 3 of 3", "which is the one you expected"):
        assert words in said.out
    assert "simulation" not in said.out
    assert "anonym" not in said.out.lower()
    found = verify(path, signer=federation.identity.public)
    assert (found.manifest.simulated, sorted(found.signed)) == (False, sorted(NAMES))


def test_a_bundle_beside_its_run_is_no_run(federated, command):
    """Where it goes if nothing is said."""
    federation, run, _, _ = federated
    where = ("--federation", federation.folder)
    code, said = command("release", run.plan.hash[:12], *where)
    assert code == 0, said.err
    beside = run.folder.with_name(run.folder.name + ".bundle")
    assert (beside / "plan.json").exists()
    for known in ((), (run.plan.hash[:12],)):
        code, said = command("status", *known, *where, "--json")
        assert code == 0, said.err
        assert json.loads(said.out)["data"]["state"] == "finished"


def test_what_the_run_itself_measured(federated):
    """The gate of a real last sum, whatever its noise made of it."""
    found = verify(federated[3].with_name("as-measured"), complete=False)
    assert found.claims.evaluation.shareable
    assert {one.source for one in found.claims.gate.criteria} == {"secure sum"}
    assert "evaluate" in (federated[3].with_name("as-measured") / "DP_STATEMENT.md").read_text()


def test_a_coordinator_cannot_sign_for_sites(federated):
    with pytest.raises(TooFewSignaturesError):
        verify(federated[3])
    assert verify(federated[3], complete=False).signed == ()


def test_without_an_evaluation_nothing_leaves(federated, tmp_path):
    run = federated[1]
    other = copied(run.folder, tmp_path / "run")
    (other / "release" / "evaluation.json").unlink()
    with pytest.raises(GateFailedError):
        bundle(finished(other), tmp_path / "bundle", Wanted())
    # figures computed from records stay in a federation, whatever is asked for
    write_evaluation(other / "release", evaluation(run.plan, shareable=False))
    with pytest.raises(PrivateEvaluationError):
        bundle(finished(other), tmp_path / "bundle", Wanted(public_records=True))


def test_a_site_is_told_of_an_override(federated, sites, tmp_path, command):
    run = copied(federated[1].folder, tmp_path / "run")
    write_evaluation(run / "release", evaluation(federated[1].plan, verdict="failed"))
    bundle(finished(run), tmp_path / "failed", Wanted(override=REASON))
    _, said = command("site", "sign", tmp_path / "failed", "--site", sites / "north")
    assert "gate: failed" in said.out
    assert said.out.count(REASON) >= 2


def test_a_site_signs_what_it_took_part_in_and_keeps_no_key_of_it(mine, sites, federated):
    keys = list(Site(sites / "north").run_folder(federated[1].plan.hash).glob("*.key"))
    assert {"share.key", "pairs.key", "group.key", "joint.key"} == {key.name for key in keys}  # the control
    made = counter_sign(mine, sites / "north")
    assert made.name == "north"
    assert "counter-signed" in (sites / "north" / "site.log").read_text()
    assert not any(key.exists() for key in keys)
    assert counter_sign(mine, sites / "north") == made  # needs none


def test_a_site_that_never_approved(mine, sites):
    (next((sites / "north" / "approved").iterdir())).unlink()
    with pytest.raises(NotOurRunError, match="not approved"):
        counter_sign(mine, sites / "north")
    assert list((sites / "north").glob("runs/*/share.key"))  # only with the signature


def test_a_site_that_took_its_approval_back(mine, sites, federated):
    Proposals(sites / "north").refuse(federated[1].plan.hash, "changed our mind")
    with pytest.raises(NotOurRunError):
        counter_sign(mine, sites / "north")


def test_a_site_that_gave_nothing(mine, sites):
    fresh_ledger(sites / "north")
    with pytest.raises(NotOurRunError, match="ledger"):
        counter_sign(mine, sites / "north")


def test_a_site_outside_the_roster(mine, sites):
    (sites / "north" / "identity.key").unlink()
    Identity.load_or_create(sites / "north" / "identity.key")
    with pytest.raises(NotOurRunError, match="roster"):
        counter_sign(mine, sites / "north")


def test_a_site_whose_ledger_was_charged_more(mine, sites, federated):
    """An attempt that the coordinator leaves out: the site has it in its ledger."""
    site, plan = Site(sites / "north"), federated[1].plan
    entry = site.ledger.entries()[-1]
    site.ledger.charge(
        entry.mechanism,
        plan=plan.hash,
        step=f"{entry.step}-again-2",
        cap=site.policy.cap,
        unit=entry.unit,
        sensitivity=entry.sensitivity,
    )
    with pytest.raises(UnderstatedError, match="ledger"):
        counter_sign(mine, site.folder)


def test_a_bundle_that_cost_more_than_was_agreed(mine, sites, federated):
    """Attempts that this site knows nothing of, consistently listed and signed by the coordinator."""
    federation, run, _, _ = federated
    plan, attempts = run.plan, {"measure": 3}
    spent = rounded_up(epsilon(plan.charged(attempts, plan.rounds), plan.privacy.delta))
    views = {
        view: rounded_up(epsilon(plan.charged_in_view(view, attempts, plan.rounds), plan.privacy.delta))
        for view in plan.views
    }
    changed_json(mine / "generator.json", lambda content: content.update(epsilon=spent))
    said = {"epsilon": spent, "epsilon_views": views, "attempts": attempts}
    changed_json(mine / "report.json", lambda content: content.update(said))
    manifest = rehashed(mine, epsilon=spent, attempts=attempts)
    signature = Signature.make("coordinator", federation.coordinator, federation.identity, manifest)
    (mine / SIGNATURE).write_bytes(signature.to_json())
    assert verify(mine, complete=False).claims.epsilon > 3.5  # the bundle itself is honest
    with pytest.raises(AboveAgreedError, match="agreed"):
        counter_sign(mine, sites / "north")


def test_another_coordinator_than_that_of_the_federation(mine, sites, tmp_path):
    stranger = Identity.load_or_create(tmp_path / "stranger.key")
    path = sites / "north" / "membership.json"
    content = json.loads(path.read_text())
    content["coordinator"]["identity"] = stranger.public
    path.write_text(json.dumps(content))
    with pytest.raises(UnknownSignerError):
        signable(mine, Site(sites / "north"))


def test_what_is_altered_is_not_signed(mine, sites):
    (mine / "MODEL_CARD.md").write_text("better")
    with pytest.raises(AlteredFileError):
        counter_sign(mine, sites / "north")


def fresh_ledger(folder):
    """An empty ledger of the same records."""
    site = Site(folder)
    for name in ("ledger.jsonl", "ledger.head"):
        (folder / name).unlink()
    site.ledger.create()

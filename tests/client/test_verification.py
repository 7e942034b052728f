"""``fedcgan site budget --verify``: an older copy of a ledger is told apart by what left the site."""

import json
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from client.answers import Answers
from client.site import Site
from client.verification import Verified, unlisted, verify
from common.errors import LedgerError
from common.plan import MEASURE_STEP
from common.privacy.ledger import Cap, Ledger
from tests import toy
from tests.federation import LocalFederation
from tests.typed import typed


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    federation = LocalFederation(toy.run_folder(tmp_path_factory.mktemp("verify") / "run"))
    before = copy_of(federation.site_folder("site-east"))
    federation.coordinator().run()
    return federation, before


def copy_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("ledger.jsonl", "ledger.head")}


def test_a_finished_run_is_whole(finished):
    federation, _ = finished
    for site in federation.plan.federation.names:
        found = verify(federation.vaults[site].site)
        steps = len(federation.plan.steps)
        assert found == Verified(charges=steps, answers=steps, stored=steps, unanswered=[])


def test_an_older_copy_of_ledger_and_head_is_found_out(finished):
    federation, before = finished
    site = federation.vaults["site-east"].site
    now = copy_of(site.folder)
    try:
        for name, content in before.items():
            (site.folder / name).write_bytes(content)
        assert site.ledger.entries() == []  # by themselves the two files are consistent
        with pytest.raises(LedgerError, match="the ledger does not know it"):
            verify(site)
    finally:
        for name, content in now.items():
            (site.folder / name).write_bytes(content)
    verify(site)


def test_a_charge_without_an_answer_is_named(tmp_path):
    federation = LocalFederation(toy.run_folder(tmp_path / "run"))
    site = federation.vaults["site-east"].site
    site.ledger.charge(
        federation.plan.measure.mechanism,
        plan=federation.plan.hash,
        step=MEASURE_STEP,
        cap=Cap(epsilon=3.0, delta=1e-5),
        unit=federation.plan.privacy.unit,
        sensitivity=1.0,
    )
    assert verify(site).unanswered == [f"{federation.plan.hash[:12]} measure"]


def test_a_crash_before_an_answer_was_noted_is_no_older_copy(tmp_path, monkeypatch):
    """The charge is there, so nothing is under-counted; whether the answer left is not known."""
    federation = LocalFederation(toy.run_folder(tmp_path / "run"))
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "answered", lambda *_, **__: None)
        federation.coordinator().run()
    found = verify(federation.vaults["site-east"].site)
    assert {found.charges, found.stored, len(found.unanswered)} == {len(federation.plan.steps)}


def test_an_outbox_that_is_gone_or_cut_is_told_by_the_ledger(finished):
    federation, _ = finished
    folder = federation.site_folder("site-east")
    outbox, steps = folder / "outbox.jsonl", len(federation.plan.steps)
    whole = outbox.read_bytes()
    assert unlisted(Site(folder)) == []
    assert "attention" not in typed("site", "outbox", folder).stdout
    first = next(line for line in whole.splitlines(keepends=True) if b'"contribution"' in line)
    try:
        for content, missing in ((None, steps), (b"", steps), (whole.replace(first, b""), 1)):
            outbox.unlink() if content is None else outbox.write_bytes(content)
            assert len(unlisted(Site(folder))) == missing
            for command in (("outbox",), ("budget", "--verify")):
                done = typed("site", command[0], folder, *command[1:], "--json")
                assert len(json.loads(done.stdout)["data"]["unlisted"]) == missing
                said = typed("site", command[0], folder, *command[1:]).stdout
                assert "the ledger knows answers that are not in the outbox" in said
    finally:
        outbox.write_bytes(whole)
        outbox.chmod(0o600)
    (folder / "ledger.head").rename(folder / "ledger.head.away")
    try:  # what left can be seen all the same
        assert len(json.loads(typed("site", "outbox", folder, "--json").stdout)["data"]["lines"]) > steps
    finally:
        (folder / "ledger.head.away").rename(folder / "ledger.head")


def test_the_command_says_what_it_checked(finished):
    federation, _ = finished
    folder = federation.site_folder("site-west")
    command = ("site", "budget", folder, "--verify")
    done = typed(*command, "--json")
    data = json.loads(done.stdout)["data"]
    steps = len(federation.plan.steps)
    assert data["verified"]["stored"] == steps
    assert data["unit"] == federation.plan.privacy.unit
    assert [(line["step"], line["outcome"]) for line in data["outcomes"]] == [("", "finished")]
    said = typed(*command).stdout
    whole = f"verified: {steps} charges, {steps} answers; {steps} stored contributions, all in the ledger"
    assert whole in said
    assert re.search(r"\(run\) +finished", said)
    assert f"(δ = 1e-05, {federation.plan.privacy.unit})" in said


def test_a_contribution_made_while_we_look_is_no_older_copy(finished, monkeypatch):
    """It is charged first and stored then: what was stored is listed before the ledger is read."""
    federation, _ = finished
    plan, site = federation.plan, Site(federation.site_folder("site-west"))
    honest = Answers.every

    def meanwhile(self, kind):
        yield from honest(self, kind)
        monkeypatch.setattr(Answers, "every", honest)
        mechanism = plan.measure.mechanism
        cap = Cap(epsilon=100.0, delta=1e-5)
        unit = plan.privacy.unit
        Ledger(site.folder / "ledger.jsonl", site.policy.dataset).charge(
            mechanism, plan=plan.hash, step="measure-again-2", cap=cap, unit=unit, sensitivity=1.0
        )
        self.keep(kind, "measure-again-2", b"asked", b"answered")
        yield from ((step, digest) for step, digest in honest(self, kind) if step == "measure-again-2")

    monkeypatch.setattr(Answers, "every", meanwhile)
    assert verify(site).stored == len(plan.steps) + 1


@contextmanager
def looked_at(folder):
    """A copy that nobody may write, seen by a user without root's rights."""
    with tempfile.TemporaryDirectory() as root:
        copy = Path(root) / folder.name
        shutil.copytree(folder, copy)
        everything = [copy, *copy.rglob("*")]
        for path in everything:
            path.chmod(0o500 if path.is_dir() else 0o400)
        user = os.geteuid()
        if user == 0:
            for path in [Path(root), *everything]:
                os.chown(path, 65534, -1)
            os.seteuid(65534)
        try:
            with pytest.raises(PermissionError):
                (copy / "new").touch()
            yield copy
        finally:
            os.seteuid(user)
            for path in everything:
                path.chmod(0o700)


@pytest.mark.parametrize("locked_before", [True, False])
def test_evidence_can_be_read_where_nothing_can_be_written(finished, tmp_path, locked_before):
    federation, _ = finished
    folder = tmp_path / "site-east"
    shutil.copytree(federation.site_folder("site-east"), folder)
    if not locked_before:
        (folder / ".outbox.lock").unlink()
    with looked_at(folder) as copy:
        budget = typed("site", "budget", copy, "--verify", "--json")
        left = typed("site", "outbox", copy, "--json")
    assert (budget.returncode, left.returncode) == (0, 0), budget.stdout + left.stdout
    assert json.loads(budget.stdout)["data"]["verified"]["stored"] == len(federation.plan.steps)
    assert json.loads(left.stdout)["data"]["unlisted"] == []

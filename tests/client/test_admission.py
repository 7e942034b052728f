"""Which plans come in, and that a rehearsal reads no record, spends nothing and takes little."""

import shutil
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from client import data
from client import rehearsals as rehearsals_module
from client import vault as vault_module
from client.data import load_records
from client.membership import Membership
from client.proposals import MOST_PENDING, Proposals
from client.rehearsals import rehearsals
from client.site import Site
from client.vault import Vault
from client.verification import verify
from common.authority import node_key_line
from common.config import Training
from common.crypto.identity import Identity
from common.crypto.secret_file import write_secret
from common.errors import LedgerError, NotApprovedError, UnknownPlanError
from common.plan import ENROL_STEP, PROPOSE_STEP, Party, Plan
from common.protocol import frames
from common.protocol.messages import (
    LARGEST,
    Contribution,
    Enrol,
    Enrolled,
    KeyConfirmed,
    Propose,
    Refused,
    Standing,
)
from common.schema import Schema
from server.asking import Asking
from tests import toy
from tests.federation import LocalFederation

SITE = "site-north"
NODE_KEY = node_key_line(ec.generate_private_key(ec.SECP384R1()).public_key())
ANSWERS = {kind.kind: kind for kind in (Standing, Enrolled, KeyConfirmed, Contribution, Refused)}


def join(folder, run) -> None:
    membership = Membership(
        federation="toy",
        site=folder.name,
        address="127.0.0.1:8443",
        coordinator=run.plan.federation.coordinator,
        schema_hash=run.schema.hash,
        node_key=NODE_KEY,
        joined=datetime(2026, 1, 1, tzinfo=UTC),
    )
    write_secret(folder / "membership.json", membership.model_dump_json().encode())


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Four sites that joined, and have approved one plan, without training."""
    training = Training(records_per_site=100, fit_steps=5)
    run = toy.run_folder(tmp_path_factory.mktemp("admission") / "run", training=training)
    for name in run.plan.federation.names:
        join(run.folder / "sites" / name, run)
    return run


@pytest.fixture
def run(template, tmp_path):
    shutil.copytree(template.folder, tmp_path / "run")
    return type(template)(tmp_path / "run", template.plan, template.schema)


@pytest.fixture
def vault(run):
    return Vault(run.folder / "sites" / SITE)


def changed(toy_run, /, **fields) -> Plan:
    return toy_run.plan.model_copy(update={"run": "another run", **fields})


def rehearsal(toy_run, /, **fields) -> Plan:
    return changed(toy_run, rehearsal=True, **fields)


def renamed(schema):
    return Schema.from_json(schema.model_copy(update={"name": "other"}).model_dump_json().encode())


def coordinator(run) -> Identity:
    return Identity.load_or_create(run.folder / "coordinator" / "identity.key")


def ask(vault, run, message, step, plan_hash, identity=None, sender="coordinator"):
    """One signed question, and the answer with its signature checked."""
    signed = frames.sign(
        identity or coordinator(run), message.kind, plan_hash, step, sender, message.to_bytes()
    )
    frame = frames.read(vault.handle(signed.to_bytes()), LARGEST)
    frames.check(frame, vault.site.identity.public, plan=frame.header.plan, sender=SITE)
    return ANSWERS[frame.header.kind].from_bytes(frame.body)


def propose(vault, run, plan, **changes):
    """What a site says to a plan: its standing, or the code of its refusal."""
    schema = changes.pop("schema", run.schema)
    raw, digest = changes.pop("raw", plan.to_json()), changes.pop("plan_hash", plan.hash)
    request = Propose(plan=raw, table=schema.model_dump_json().encode())
    answer = ask(vault, run, request, changes.pop("step", PROPOSE_STEP), digest, **changes)
    return answer.standing if isinstance(answer, Standing) else answer.code


def enrolled(vault, run, plan):
    request = Enrol(plan=plan.to_json(), table=run.schema.model_dump_json().encode())
    return ask(vault, run, request, ENROL_STEP, plan.hash)


def log(vault) -> list[str]:
    return (vault.site.folder / "site.log").read_text().splitlines()


def test_a_plan_waits_for_the_steward(run, vault):
    plan = changed(run)
    assert propose(vault, run, plan) == "pending"
    assert enrolled(vault, run, plan).code == "protocol-not-approved"
    Proposals(vault.site.folder).approve(plan.hash)
    assert propose(vault, run, plan) == "approved"
    assert isinstance(enrolled(vault, run, plan), Enrolled)
    Proposals(vault.site.folder).refuse(plan.hash, "no")
    assert propose(vault, run, plan) == "refused"
    assert enrolled(vault, run, plan).code == "protocol-not-approved"


@pytest.mark.parametrize("rehearsed", [False, True])
def test_another_coordinators_plan_is_not_kept(run, vault, tmp_path, rehearsed):
    other = Identity.load_or_create(tmp_path / "other.key")
    theirs = Party(name="coordinator", identity=other.public)
    federation = run.plan.federation.model_copy(update={"coordinator": theirs})
    plan = changed(run, federation=federation, rehearsal=rehearsed)
    ours = changed(run, rehearsal=rehearsed)
    assert propose(vault, run, plan, identity=other) == "protocol-signature"
    assert propose(vault, run, plan) == "protocol-not-approved"  # ours signs, but the plan names them
    assert propose(vault, run, ours, identity=other) == "protocol-signature"
    assert propose(vault, run, ours, sender="site-south") == "protocol-signature"
    renamed = run.plan.federation.model_copy(
        update={"coordinator": Party(name="boss", identity=run.plan.federation.coordinator.identity)}
    )
    assert propose(vault, run, changed(run, federation=renamed, rehearsal=rehearsed)) == (
        "protocol-not-approved"
    )
    assert Proposals(vault.site.folder).standing(plan.hash) == "unknown"
    assert not (vault.site.folder / "rehearsals").exists()
    assert propose(vault, run, ours) in ("pending", "approved")  # negative control


@pytest.mark.parametrize("rehearsed", [False, True])
def test_an_altered_or_unusual_proposal_is_not_kept(run, vault, rehearsed):
    plan = changed(run, rehearsal=rehearsed)
    other = changed(run, run="a third run", rehearsal=rehearsed)
    spaced = plan.to_json() + b" "
    assert propose(vault, run, plan, raw=other.to_json()) == "protocol-wrong-plan"
    assert propose(vault, run, plan, plan_hash=other.hash) == "protocol-wrong-plan"
    assert propose(vault, run, plan, raw=spaced) == "protocol-not-approved"
    assert propose(vault, run, plan, raw=b"{}") == "config"
    assert propose(vault, run, plan, raw=b"\x00" * 100) == "config"
    assert propose(vault, run, plan, raw=b"[" * 100_000) == "config"
    assert propose(vault, run, plan, step=ENROL_STEP) == "protocol-malformed"
    assert propose(vault, run, plan, step="../../propose") == "protocol-malformed"
    refused = propose(vault, run, plan, schema=renamed(run.schema))
    assert refused in ("site-proposal", "config")
    assert Proposals(vault.site.folder).standing(plan.hash) == "unknown"
    assert not (vault.site.folder / "rehearsals").exists()


@pytest.mark.parametrize("rehearsed", [False, True])
def test_a_plan_without_us_is_not_kept(run, vault, rehearsed):
    """Also one that gives our name to another key, or our key another name."""
    sites = run.plan.federation.sites
    (ours,) = (party for party in sites if party.name == SITE)
    for stranger in (
        Party(name="site-else", identity="5" * 64),
        Party(name=SITE, identity="5" * 64),
        Party(name="site-else", identity=ours.identity),
    ):
        federation = run.plan.federation.model_copy(
            update={"sites": tuple(stranger if party == ours else party for party in sites)}
        )
        plan = changed(run, federation=federation, rehearsal=rehearsed)
        assert propose(vault, run, plan) == "protocol-not-approved"
        assert Proposals(vault.site.folder).standing(plan.hash) == "unknown"


def test_a_plan_that_could_not_run_is_not_kept(run, vault):
    model = run.plan.model.model_copy(update={"generator_hidden": (65536, 65536)})
    assert propose(vault, run, changed(run, model=model)) == "config"


def test_a_flood_is_held_off_and_known_plans_are_answered(run, vault):
    plans = [changed(run, run=f"run {number}") for number in range(MOST_PENDING + 1)]
    said = [propose(vault, run, plan) for plan in plans]
    assert said == ["pending"] * MOST_PENDING + ["site-proposal"]
    assert propose(vault, run, plans[0]) == "pending"
    assert propose(vault, run, run.plan) == "approved"
    assert propose(vault, run, rehearsal(run)) == "approved"


def test_a_simulated_site_knows_its_approved_plans_alone(run, vault):
    (vault.site.folder / "membership.json").unlink()
    assert propose(vault, run, changed(run)) == "protocol-not-approved"
    assert propose(vault, run, rehearsal(run)) == "protocol-not-approved"
    assert propose(vault, run, run.plan) == "approved"


def test_a_plan_writes_no_lines_of_its_own_into_the_log(run, vault):
    forged = "2026-01-01 00:00:00,000 INFO plan approved"
    for field in (forged, "x" * 5000):
        raw = changed(run).to_json()[:-1] + b',"\\n' + field.encode() + b'\\u001b[2J":1}'
        assert propose(vault, run, changed(run), raw=raw) == "config"
    assert not any(line.startswith(forged) for line in log(vault))
    assert any(forged in line for line in log(vault))  # it was said, within a line
    assert all(line.isprintable() and len(line) < 1200 for line in log(vault))


def test_nothing_is_parsed_that_the_coordinator_did_not_sign(run, vault, tmp_path, monkeypatch):
    parsed, honest = [], Plan.from_json
    monkeypatch.setattr(Plan, "from_json", lambda raw: parsed.append(raw) or honest(raw))
    stranger = Identity.load_or_create(tmp_path / "stranger.key")
    assert propose(vault, run, changed(run), identity=stranger) == "protocol-signature"
    assert parsed == []
    propose(vault, run, changed(run))
    assert parsed  # negative control


class RecordsReadError(Exception):
    """Somebody asked for the site's records."""


@pytest.fixture
def canary(monkeypatch):
    """How often records were asked for."""
    asked = []

    def read(*arguments, **settings):
        asked.append(arguments)
        raise RecordsReadError

    monkeypatch.setattr(data, "load_records", read)
    monkeypatch.setattr(data, "split_records", read)
    monkeypatch.setattr(vault_module, "load_records", read)
    return asked


def rehearse(run, plan) -> LocalFederation:
    """The whole protocol with the real coordinator, as it begins in a federation: by proposing."""
    (run.folder / "coordinator" / "checkpoint.safetensors").unlink(missing_ok=True)
    federation = LocalFederation(type(run)(run.folder, plan, run.schema))
    request = Propose(plan=plan.to_json(), table=run.schema.model_dump_json().encode())
    asking = Asking(plan, federation.identity, federation.send)
    said = asking(PROPOSE_STEP, dict.fromkeys(plan.federation.names, request), Standing.kind)
    for frame in said.require(plan.federation.names).values():
        assert Standing.from_bytes(frame.body).standing == "approved"
    federation.coordinator().run()
    return federation


def test_a_rehearsal_completes_where_there_are_no_records_and_spends_nothing(run, canary):
    sites = [run.folder / "sites" / name for name in run.plan.federation.names]
    for site in sites:
        (site / "records.parquet").unlink()
        # whoever spent anything at all would be refused
        policy = (site / "policy.toml").read_text()
        (site / "policy.toml").write_text(policy.replace("epsilon_cap = 3.0", "epsilon_cap = 1e-9"))
    before = [(site / "ledger.jsonl").read_bytes() for site in sites]
    plan = rehearsal(run)
    rehearse(run, plan)
    assert canary == []
    assert [(site / "ledger.jsonl").read_bytes() for site in sites] == before
    for site in sites:
        (done,) = rehearsals(site)
        assert (done.plan, done.finished, done.steps) == (plan.hash, True, tuple(plan.steps))
        assert not (site / "runs" / plan.hash).exists()
        checked = verify(Site(site))
        assert (checked.charges, checked.answers, checked.stored) == (0, 0, 0)


def test_a_rehearsal_is_no_way_into_the_real_ledger_or_round_it(run):
    """The same sites afterwards: a real run is charged as ever, and verified."""
    rehearse(run, rehearsal(run))
    federation = LocalFederation(run)
    (run.folder / "coordinator" / "checkpoint.safetensors").unlink()
    federation.coordinator().run()
    for vault in federation.vaults.values():
        assert [charge.plan for charge in vault.site.ledger.entries()] == [run.plan.hash] * 2
        assert verify(vault.site).stored == 2
        # a rehearsal afterwards changes nothing of it
    rehearse(run, rehearsal(run, run="once more"))
    for vault in federation.vaults.values():
        assert len(Site(vault.site.folder).ledger.entries()) == 2
        assert verify(Site(vault.site.folder)).stored == 2


class Careless(Vault):
    """A vault that takes real records for a rehearsal."""

    def _read(self, schema, plan):
        return load_records(self.site.records, schema, plan, self.site.holdout_key, allow_identified=False)


def test_the_canary_sings(run, vault, canary, monkeypatch):
    """Negative control: a careless vault is caught, and so is the honest one in a run of its own."""
    plan = rehearsal(run)
    assert propose(vault, run, plan) == "approved"
    assert isinstance(enrolled(vault, run, plan), Enrolled)
    assert canary == []
    monkeypatch.setitem(globals(), "load_records", data.load_records)
    again = rehearsal(run, run="once more")
    assert propose(vault, run, again) == "approved"
    assert enrolled(Careless(vault.site.folder), run, again).code == "internal"
    assert len(canary) == 1
    assert enrolled(vault, run, run.plan).code == "internal"
    assert len(canary) == 2


def test_the_flag_is_part_of_the_hash(run, vault):
    """An approval says nothing about the same plan with the flag changed, in either direction."""
    flipped = run.plan.model_copy(update={"rehearsal": True})
    assert flipped.hash != run.plan.hash
    assert propose(vault, run, run.plan, raw=flipped.to_json()) == "protocol-wrong-plan"
    assert propose(vault, run, flipped) == "approved"  # as a rehearsal, beside the real one
    assert vault.site.approved(flipped.hash).rehearsal
    assert not vault.site.approved(run.plan.hash).rehearsal
    assert vault.site.ledger_of(run.plan).path == vault.site.folder / "ledger.jsonl"
    assert vault.site.ledger_of(flipped).path != vault.site.ledger_of(run.plan).path
    request = Enrol(plan=flipped.to_json(), table=run.schema.model_dump_json().encode())
    assert ask(vault, run, request, ENROL_STEP, run.plan.hash).code == "protocol-not-approved"
    backwards = Enrol(plan=run.plan.to_json(), table=run.schema.model_dump_json().encode())
    assert ask(vault, run, backwards, ENROL_STEP, flipped.hash).code == "protocol-not-approved"


def test_a_plan_counts_only_where_it_belongs(run, vault):
    """A real plan among the rehearsals is not approved; a rehearsal among the approvals neither."""
    folder, real, pretended = vault.site.folder, changed(run), rehearsal(run)
    write_secret(folder / "rehearsals" / real.hash / "plan.json", real.to_json())
    write_secret(folder / "approved" / f"{pretended.hash}.json", pretended.to_json())
    for plan in (real, pretended):
        with pytest.raises(NotApprovedError, match="altered on disk"):
            vault.site.approved(plan.hash)
        assert enrolled(vault, run, plan).code == "protocol-not-approved"


def test_a_rehearsal_is_never_the_stewards_to_approve(run, vault):
    plan = rehearsal(run)
    propose(vault, run, plan)
    proposals = Proposals(vault.site.folder)
    assert proposals.standing(plan.hash) == "unknown"
    with pytest.raises(UnknownPlanError):
        proposals.approve(plan.hash)
    assert plan.hash not in {entry.hash for entry in proposals.every()}


@pytest.mark.parametrize(
    ("name", "old", "new", "code"),
    [
        ("plan.json", b'"epsilon":3.0', b'"epsilon":2.0', "protocol-not-approved"),
        ("plan.json", b'"rehearsal":true', b'"rehearsal":false', "protocol-not-approved"),
        ("plan.json", b"{", b"", "config"),
        ("ledger.jsonl", b'"ledger"', b'"lodger"', "privacy-ledger"),
        ("ledger.head", b'"lines":0', b'"lines":7', "privacy-ledger"),
    ],
)
def test_files_of_a_rehearsal_altered_on_disk_are_noticed(run, vault, name, old, new, code):
    plan = rehearsal(run)
    propose(vault, run, plan)
    assert isinstance(enrolled(vault, run, plan), Enrolled)
    folder = vault.site.folder / "rehearsals" / plan.hash
    raw = (folder / name).read_bytes()
    assert old in raw
    (folder / name).write_bytes(raw.replace(old, new, 1))
    shutil.rmtree(folder / "answers")  # else it says the same again
    assert enrolled(Vault(vault.site.folder), run, plan).code == code


def test_a_rehearsal_ends_those_before_it(run, vault):
    first, second = rehearsal(run), rehearsal(run, run="once more")
    propose(vault, run, first)
    assert isinstance(enrolled(vault, run, first), Enrolled)
    propose(vault, run, first)  # asked again, it goes on
    assert isinstance(enrolled(vault, run, first), Enrolled)
    propose(vault, run, second)
    kept = [path.name for path in (vault.site.folder / "rehearsals").iterdir()]
    assert kept == [second.hash]
    assert enrolled(vault, run, first).code == "protocol-not-approved"
    assert isinstance(enrolled(vault, run, second), Enrolled)


def test_a_rehearsal_takes_little(run, vault, monkeypatch):
    """Nobody reads it beforehand. A made-up record for each of ``min_records`` would fill any memory."""
    trained = toy.run_folder(run.folder.parent / "trained").plan.train
    assert propose(vault, run, rehearsal(run, train=trained)) == "config"
    other = renamed(run.schema)
    elsewhere = rehearsal(run, schema_hash=other.hash)
    assert propose(vault, run, elsewhere, schema=other) == "config"
    assert propose(vault, run, changed(run, schema_hash=other.hash), schema=other) == "pending"
    large = rehearsal(run, min_records=2**30)  # more than max_records, so that every sum fits
    assert propose(vault, run, large) == "approved"
    monkeypatch.setattr(vault_module, "_MADE_UP", 6000)
    assert isinstance(enrolled(vault, run, large), Enrolled)
    split = vault._records[large.hash]
    assert len(split.training.rows) + len(split.held_out.rows) == 1000  # of six columns


def test_who_looks_at_rehearsals_changes_nothing(run, vault, monkeypatch):
    """root may look before the vault, which is another user, has made its ledger."""
    plan, folder = rehearsal(run), vault.site.folder
    propose(vault, run, plan)
    (found,) = rehearsals(folder)
    assert (found.finished, found.steps) == (False, ())
    assert [path.name for path in (folder / "rehearsals" / plan.hash).iterdir()] == ["plan.json"]
    enrolled(vault, run, plan)
    assert [(one.finished, one.steps) for one in rehearsals(folder)] == [(False, ())]

    class Replaced(Site):
        """Another rehearsal begins while one looks."""

        def approved(self, plan_hash):
            shutil.rmtree(self.folder / "rehearsals" / plan_hash)
            return super().approved(plan_hash)

    with monkeypatch.context() as patch:
        patch.setattr(rehearsals_module, "Site", Replaced)
        assert rehearsals(folder) == []
    propose(vault, run, plan)
    (folder / "rehearsals" / plan.hash / "ledger.jsonl").write_bytes(b"nonsense\n")
    with pytest.raises(LedgerError):  # negative control: damage is not passed over
        rehearsals(folder)

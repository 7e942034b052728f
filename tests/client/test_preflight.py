"""Whether a site could take part: each check passes on a sound site and fails for its own reason."""

import json
import os
import shutil
import socket
import tempfile
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from client import machine_checks, standing
from client.machine_checks import clock
from client.membership import Membership, courier_folder
from client.preflight import CHECKS, Preflight, first_failure
from client.proposals import Proposals
from client.site import Site, approve
from client.vault import Vault
from common.authority import node_key_line
from common.crypto.secret_file import write_secret
from common.errors import CryptoError, UnknownPlanError
from common.holdout import held_out, site_key
from common.plan import Party
from common.privacy.ledger import Cap
from tests import toy, toy_arrays
from tests.typed import typed

SITE = "site-east"
JOINED = datetime(2026, 1, 2, tzinfo=UTC)
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return toy.run_folder(tmp_path_factory.mktemp("preflight") / "run")


@pytest.fixture
def site(template, tmp_path):
    """A simulated site that knows the agreed schema."""
    shutil.copytree(template.folder / "sites" / SITE, tmp_path / SITE)
    shutil.copy(template.folder / "schema.toml", tmp_path / SITE)
    return tmp_path / SITE


def authority(start: datetime, end: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "toy")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    return made.sign(key, hashes.SHA384()).public_bytes(Encoding.PEM)


@pytest.fixture
def member(template, site):
    """The same site as if it had joined, with its courier's folder."""
    membership = Membership(
        federation="toy",
        site=SITE,
        address="127.0.0.1:8443",
        coordinator=template.plan.federation.coordinator,
        schema_hash=template.schema.hash,
        node_key=node_key_line(ec.generate_private_key(ec.SECP384R1()).public_key()),
        joined=JOINED,
    )
    write_secret(site / "membership.json", membership.model_dump_json().encode())
    write_secret(site / "ca.crt", authority(JOINED, NOW + timedelta(days=365)))
    beside = courier_folder(site)
    (beside / "flower").mkdir(parents=True)
    beside.chmod(0o750)
    (beside / "flower").chmod(0o700)
    return site


def found(folder: Path, plan: object = None, records: Path | None = None) -> dict:
    """Findings by check."""
    name = None if plan is None else plan.hash
    return {one.check: one for one in Preflight.of(folder, name, records).findings()}


def verdicts(folder: Path, plan: object = None, records: Path | None = None) -> dict:
    return {check: one.verdict for check, one in found(folder, plan, records).items()}


def altered(template, site, **changes):
    """Another plan, approved here."""
    plan = template.plan.model_copy(update=changes)
    approve(site, plan)
    return plan


def test_a_simulated_site_is_ready(template, site):
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    seen = found(site, template.plan)
    assert tuple(seen) == CHECKS
    assert {check for check, one in seen.items() if one.verdict == "failed"} == set()
    skipped = {check for check, one in seen.items() if one.verdict == "skipped"}
    assert skipped == {"membership", "clock", "courier"}
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before


def test_without_a_plan_what_needs_one_is_skipped(site):
    skipped = {check for check, verdict in verdicts(site).items() if verdict == "skipped"}
    assert skipped == {"membership", "clock", "counts", "budget", "disk", "memory", "courier"}


def test_a_member_is_ready(template, member):
    seen = verdicts(member, template.plan)
    assert not {"failed", "skipped"} & set(seen.values())
    assert seen["courier"] == "warning"  # here both are one user


def test_every_check_has_a_stable_id():
    assert (
        *("membership", "secrets", "clock", "schema", "counts"),
        *("budget", "disk", "memory", "device", "courier"),
    ) == CHECKS


def test_a_membership_of_another_site_or_coordinator_fails(template, member):
    path = member / "membership.json"
    content = json.loads(path.read_text())
    for change in ({"site": "site-west"}, {"coordinator": {"name": "x", "identity": "9" * 64}}):
        write_secret(path, json.dumps({**content, **change}).encode())
        assert verdicts(member, template.plan)["membership"] == "failed"
    write_secret(path, json.dumps(content).encode())
    assert verdicts(member, template.plan)["membership"] == "ok"


def test_a_plan_without_this_site_fails(template, member):
    federation = template.plan.federation
    others = tuple(
        Party(name=SITE, identity="4" * 64) if party.name == SITE else party for party in federation.sites
    )
    plan = altered(template, member, federation=federation.model_copy(update={"sites": others}))
    assert "not in the roster" in found(member, plan)["membership"].sentence


def test_a_pause_is_a_warning_and_a_farewell_a_failure(member):
    standing.pause(member, "audit")
    seen = found(member)["membership"]
    assert (seen.verdict, "audit" in seen.sentence) == ("warning", False)
    standing.withdraw(member, "we leave")
    assert verdicts(member)["membership"] == "failed"


@pytest.mark.parametrize("name", ["identity.key", "runs/x/share.key", "runs/x/answers/count.contribute", ""])
def test_a_secret_that_others_can_read_fails(site, name):
    write_secret(site / "runs/x/share.key", b"share")
    write_secret(site / "runs/x/answers/count.contribute", b"answer")
    assert verdicts(site)["secrets"] == "ok"
    mode = (site / name).stat().st_mode
    (site / name).chmod(mode | 0o040)
    seen = found(site)["secrets"]
    assert (seen.verdict, str(site / name) in seen.sentence) == ("failed", True)


@pytest.mark.parametrize("lost", ["identity.key", "holdout.key"])
def test_a_site_without_a_secret_fails_and_gets_none(site, template, lost):
    (site / lost).unlink()
    assert verdicts(site)["secrets"] == "failed"
    with pytest.raises(CryptoError, match="there is no"):  # nor does the vault make one
        assert Vault(site).site.holdout_key
    assert not (site / lost).exists()


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (JOINED - timedelta(days=1), "failed"),
        (NOW, "ok"),
        (NOW + timedelta(days=400), "failed"),
    ],
)
def test_a_clock_that_cannot_be_right_fails(member, monkeypatch, now, verdict):
    monkeypatch.setattr(machine_checks, "_synchronised", lambda: True)
    assert clock(member, Membership.load(member), now).verdict == verdict


@pytest.mark.parametrize(("answer", "verdict"), [("yes", "ok"), ("no", "warning"), ("?", "ok"), (None, "ok")])
def test_a_clock_that_nobody_sets_is_a_warning(member, tmp_path, monkeypatch, answer, verdict):
    """A program called timedatectl, or none."""
    program = tmp_path / "bin" / "timedatectl"
    program.parent.mkdir()
    if answer is not None:
        program.write_text(f"#!/bin/sh\necho '{answer}'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    assert clock(member, Membership.load(member), NOW).verdict == verdict


def test_records_that_do_not_fit_fail_with_their_own_code(template, site):
    frame = pd.read_parquet(site / "records.parquet")
    bad = site / "other.parquet"
    for change, code in (
        (frame.assign(age=500), "data-value"),
        (frame.drop(columns="age"), "data-columns"),
        (frame.assign(age=None), "data-missing"),
    ):
        change.to_parquet(bad)
        seen = found(site, template.plan, bad)
        assert (seen["schema"].verdict, seen["schema"].code) == ("failed", code)
        assert seen["counts"].verdict == "skipped"
        assert seen["budget"].verdict == "ok"  # one failure keeps no other check from being made
    assert found(site, template.plan, site / "nothing.csv")["schema"].code == "data"
    frame.to_parquet(bad)
    assert verdicts(site, template.plan, bad)["schema"] == "ok"


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_no_records_at_all_are_too_few_with_a_plan_or_without(template, site, suffix):
    empty, none = site / f"empty{suffix}", pd.read_parquet(site / "records.parquet").iloc[:0]
    none.to_parquet(empty) if suffix == ".parquet" else none.to_csv(empty, index=False)
    for plan in (template.plan, None):
        seen = found(site, plan, empty)["counts"]
        assert (seen.verdict, seen.code, bool(seen.hint)) == ("failed", "data-too-few", True)


def test_another_schema_than_the_plans_fails(template, site):
    plan = altered(template, site, schema_hash="3" * 64)
    assert "not the plan's" in found(site, plan)["schema"].sentence


def test_counts_are_held_against_the_plan(template, site):
    frame = pd.read_parquet(site / "records.parquet")
    subjects, share = frame["patient"].astype(str).to_numpy(), template.plan.release.holdout
    frame = frame[~held_out(subjects, len(frame), share, site_key(site), "records.parquet")]
    persons = frame["patient"].nunique()
    seen = found(site, template.plan)["counts"]
    assert f"{persons} subjects to train on" in seen.sentence
    severe = int((frame["diagnosis"] == "severe").sum())
    assert f"severe {severe}" in seen.sentence
    for bounds, code in (
        ({"min_records": persons + 1, "max_records": 9999}, "data-too-few"),
        ({"min_records": 1, "max_records": persons - 1}, "data-too-many"),
    ):
        assert found(site, altered(template, site, **bounds))["counts"].code == code
    fits = altered(template, site, min_records=persons, max_records=persons)
    assert verdicts(site, fits)["counts"] == "ok"


def test_a_class_without_a_record_is_a_warning(template, site):
    frame = pd.read_parquet(site / "records.parquet")
    frame[frame["diagnosis"] != "severe"].to_parquet(site / "mild.parquet")
    seen = found(site, template.plan, site / "mild.parquet")["counts"]
    assert (seen.verdict, "diagnosis severe" in seen.hint) == ("warning", True)


def test_images_are_counted_by_class(tmp_path):
    run = toy_arrays.run_folder(tmp_path / "run", *toy_arrays.of("image"))
    name = run.plan.federation.names[0]
    folder = run.folder / "sites" / name
    shutil.copy(run.folder / "schema.toml", folder)
    seen = found(folder, run.plan)
    assert (seen["schema"].verdict, seen["counts"].verdict, seen["memory"].verdict) != ("failed",) * 3
    assert seen["counts"].verdict == "ok"


def test_a_plan_beyond_the_budget_fails(template, site):
    ledger = Site(site).ledger
    ledger.charge(
        template.plan.measure.mechanism,
        plan="0" * 64,
        step="measure",
        cap=Cap(epsilon=3.0, delta=1e-5),
        unit=template.plan.privacy.unit,
        sensitivity=1.0,
    )
    assert found(site, template.plan)["budget"].code == "privacy-budget"
    (site / "ledger.jsonl").write_text("{}\n")
    assert found(site)["budget"].code == "privacy-ledger"  # without a plan, too


def test_a_rehearsal_needs_neither_records_nor_budget(template, site):
    (site / "records.parquet").unlink()
    path = site / "plan.json"
    path.write_bytes(template.plan.model_copy(update={"rehearsal": True}).to_json())
    seen = {one.check: one.verdict for one in Preflight.of(site, str(path)).findings()}
    assert [seen[check] for check in ("schema", "counts", "budget")] == ["skipped"] * 3
    assert "failed" not in seen.values()
    assert verdicts(site, template.plan)["schema"] == "failed"  # negative control


def test_a_full_disk_fails_and_a_nearly_full_one_warns(template, site, monkeypatch):
    usage = namedtuple("usage", "total used free")
    for free, verdict in ((1 << 20, "failed"), (1 << 28, "warning"), (1 << 40, "ok")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage(1 << 41, 0, free))
        assert verdicts(site, template.plan)["disk"] == verdict


def test_little_memory_is_a_warning(template, site, monkeypatch):
    for free, verdict in ((1 << 28, "warning"), (1 << 36, "ok")):
        monkeypatch.setattr(machine_checks, "free_memory", lambda free=free: free)
        assert verdicts(site, template.plan)["memory"] == verdict


def test_a_plan_that_cannot_work_fails_before_anything_is_made(template, site):
    model = template.plan.model.model_copy(update={"generator_hidden": (65536,) * 4})
    seen = found(site, altered(template, site, model=model))
    assert (seen["disk"].verdict, seen["disk"].code) == ("failed", "config")


@pytest.mark.parametrize(("path", "mode"), [("", 0o755), ("flower", 0o750), ("vault.sock", 0o666)])
def test_a_courier_folder_that_is_open_to_others_fails(member, tmp_path, monkeypatch, path, mode):
    beside = courier_folder(member)
    monkeypatch.chdir(beside)  # paths of sockets are short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("vault.sock")
        (beside / "vault.sock").chmod(0o660)
        seen = found(member)["courier"]
        assert (seen.verdict, "the vault listens" in seen.sentence) == ("warning", True)
        (beside / path).chmod(mode)
        assert found(member)["courier"].verdict == "failed"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_courier_of_its_own_is_ok_if_the_vaults_socket_will_be_its_own(member):
    beside, group = courier_folder(member), 65534
    os.chown(beside / "flower", group, group)
    for owner, mode, verdict in (
        (group, 0o2750, "ok"),
        (group, 0o750, "failed"),  # what a chmod leaves that may not set the bit
        (group, 0o2740, "failed"),
        (os.getegid(), 0o2750, "failed"),
    ):
        os.chown(beside, -1, owner)
        beside.chmod(mode)
        seen = found(member)["courier"]
        assert seen.verdict == verdict, oct(mode)
        assert verdict == "ok" or "chmod 2750" in seen.hint


def test_a_member_without_its_courier_fails(member):
    shutil.rmtree(courier_folder(member))
    assert verdicts(member)["courier"] == "failed"


def test_a_plan_that_is_not_here_is_unknown(site):
    with pytest.raises(UnknownPlanError):
        Preflight.of(site, "0" * 64)


def test_a_proposed_plan_brings_its_own_schema(template, site):
    (site / "schema.toml").unlink()
    assert verdicts(site, template.plan)["schema"] == "skipped"
    plan = template.plan.model_copy(update={"run": "second"})
    Proposals(site).propose(plan, template.schema.model_dump_json().encode())
    assert verdicts(site, plan)["schema"] == "ok"


def test_the_command_says_all_and_ends_as_the_first_failure(template, site):
    command = ("site", "check", site, "--plan", template.plan.hash)
    done = typed(*command, "--json")
    envelope = json.loads(done.stdout)
    data = envelope["data"]
    assert (done.returncode, envelope["status"]) == (0, "ok")
    assert (data["ready"], [one["check"] for one in data["checks"]]) == (True, list(CHECKS))
    frame = pd.read_parquet(site / "records.parquet")
    frame.assign(age=500).to_parquet(site / "records.parquet")
    failed = typed(*command, "--json")
    envelope = json.loads(failed.stdout)
    data = envelope["data"]
    assert (failed.returncode, envelope["status"], data["ready"]) == (3, "error", False)
    first = next(one for one in data["checks"] if one["verdict"] == "failed")
    assert envelope["error"] == {
        "code": first["code"],
        "message": first["sentence"],
        "hint": first["hint"],
    }
    said = typed(*command)
    assert said.returncode == 3
    assert "not ready" in said.stdout
    assert "500" not in said.stdout + said.stderr  # no value of a record


def test_the_first_failure_decides():
    assert first_failure([]) is None


def test_records_that_everybody_can_read_are_a_warning(site):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(site / "records.parquet", folder)
        records = folder / "records.parquet"
        records.chmod(0o644)
        found = {}
        for mode in (0o700, 0o755):
            folder.chmod(mode)
            (found[mode],) = [
                f for f in Preflight.of(site, records=records).findings() if f.check == "secrets"
            ]
    assert found[0o700].verdict == "ok"
    assert found[0o755].verdict == "warning"
    assert "can be read by every user" in found[0o755].sentence


def test_files_of_an_index_that_everybody_can_read_are_a_warning(site):
    with tempfile.TemporaryDirectory() as name:
        index = Path(name) / "index.csv"
        index.write_text("path,label\nscan.png,no\n")
        index.chmod(0o600)
        index.parent.chmod(0o755)
        image, found = index.parent / "scan.png", {}
        for mode in (0o600, 0o644):
            image.touch()
            image.chmod(mode)
            (found[mode],) = [f for f in Preflight.of(site, records=index).findings() if f.check == "secrets"]
    assert found[0o600].verdict == "ok"
    assert found[0o644].verdict == "warning"
    assert str(image) in found[0o644].sentence

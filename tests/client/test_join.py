"""Joining: a site's folder and its courier's, whole or not at all, each for its own user."""

import os
import shutil
import socket
import stat
import subprocess
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client import membership as membership_module
from client.membership import Membership, courier_folder, load_authority
from client.ownership import Owner, Owners
from client.site import Site
from common.errors import ConfigError, CryptoError, DataError, KitError, NotJoinedError, StorageError
from common.schema import Schema
from tests import toy
from tests.server.invitations import ADDRESS, federation, joined, kit, records
from tests.users import acting_as, as_root, open_folder, with_capabilities

NOW = datetime.now(UTC).replace(microsecond=0)
VAULT, COURIER = "41001:41001", "41002:41002"  # users that no machine needs to know


@pytest.fixture
def coordinator(tmp_path):
    return federation(tmp_path / "federation")


@pytest.fixture
def kit_file(coordinator, tmp_path):
    return kit(coordinator, "north", tmp_path)


def modes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode)
        for path in [folder, *folder.rglob("*")]
    }


@pytest.mark.parametrize(
    ("wrong", "hint"), [({"delta": 2.0}, "--delta"), ({"epsilon_cap": 0.0}, "--epsilon-cap")]
)
def test_the_hint_is_about_the_promise_that_cannot_be(coordinator, tmp_path, wrong, hint):
    with pytest.raises(ConfigError) as refused:
        joined(kit(coordinator, "north", tmp_path), tmp_path / "sites", **wrong)
    assert refused.value.hint.startswith(hint)


def test_what_joining_makes(coordinator, kit_file, tmp_path):
    site = joined(kit_file, tmp_path / "sites", allow_identified=True)
    assert site.folder == tmp_path / "sites" / "north"
    made = modes(site.folder)
    assert made.pop(".") == 0o700
    expected = {
        "identity.key",
        "holdout.key",
        "policy.toml",
        "membership.json",
        "ca.crt",
        "schema.toml",
        "ledger.jsonl",
    }
    assert set(made) == {*expected, "ledger.head"}
    assert all(made[name] == 0o600 for name in expected - {"ledger.jsonl"})
    assert modes(site.courier) == {
        ".": 0o750,
        "flower": 0o700,
        "flower/node.key": 0o600,
        "flower/node.key.pub": 0o600,
        "flower/ca.crt": 0o600,
        "flower/address": 0o600,
    }
    assert sorted(path.name for path in (tmp_path / "sites").iterdir()) == [
        "north",
        "north.courier",
        "north.reply.json",
    ]
    assert site.courier == courier_folder(site.folder)


def test_what_a_member_knows(coordinator, kit_file, tmp_path):
    site = joined(kit_file, tmp_path / "sites", now=NOW)
    membership = Membership.load(site.folder)
    assert (membership.federation, membership.site, membership.address) == (
        "toy-federation",
        "north",
        ADDRESS,
    )
    assert membership.coordinator == coordinator.coordinator
    assert membership.schema_hash == toy.SCHEMA.hash == Schema.load(site.folder / "schema.toml").hash
    assert membership.joined == NOW
    assert membership.fingerprint(site.folder) == site.fingerprint
    assert load_authority(site.folder) == coordinator.certificates.authority
    flower = site.courier / "flower"  # the courier cannot read the site's folder: what it needs is here
    assert (flower / "node.key.pub").read_text() == membership.node_key + "\n"
    assert (flower / "address").read_text() == ADDRESS + "\n"
    assert (flower / "ca.crt").read_bytes() == (site.folder / "ca.crt").read_bytes()


def test_the_policy_is_the_stewards(kit_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    joined(kit_file, tmp_path / "sites")  # makes the records, too
    shutil.rmtree(tmp_path / "sites")
    relative = membership_module.join(
        kit_file, Path("."), records=Path("records.csv"), epsilon_cap=2.5, delta=1e-6
    )
    site = Site(relative.folder)
    assert site.records == tmp_path / "records.csv"  # named from where the steward stood
    assert (site.policy.cap.epsilon, site.policy.cap.delta) == (2.5, 1e-6)
    assert site.policy.allow_identified is False
    assert site.ledger.entries() == []
    assert site.identity.public == relative.reply.identity
    assert "dataset" in tomllib.loads((relative.folder / "policy.toml").read_text())


def test_two_sites_share_nothing(coordinator, tmp_path):
    north, south = (
        joined(kit(coordinator, name, tmp_path), tmp_path / "sites") for name in ("north", "south")
    )
    assert north.reply.identity != south.reply.identity
    assert north.reply.node_key != south.reply.node_key
    assert Site(north.folder).policy.dataset != Site(south.folder).policy.dataset


@pytest.mark.parametrize("what", ["north", "north.courier", "north.reply.json"])
def test_an_existing_folder_is_never_touched(kit_file, tmp_path, what):
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / what).mkdir()
    with pytest.raises(StorageError, match="exists already") as refused:
        joined(kit_file, tmp_path / "sites")
    assert refused.value.hint
    assert [path.name for path in (tmp_path / "sites").rglob("*")] == [what]
    (tmp_path / "sites" / what).rmdir()
    joined(kit_file, tmp_path / "sites")


def test_a_link_in_the_place_of_a_folder_is_not_followed(kit_file, tmp_path):
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "north").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="exists already"):
        joined(kit_file, tmp_path / "sites")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"now": NOW + timedelta(days=15)}, KitError),
        ({"now": datetime(2001, 1, 1, tzinfo=UTC)}, KitError),
        ({"now": datetime(2101, 1, 1, tzinfo=UTC)}, KitError),
        ({"epsilon_cap": 0.0}, ConfigError),
        ({"epsilon_cap": float("inf")}, ConfigError),
        ({"epsilon_cap": float("nan")}, ConfigError),
        ({"delta": 1.0}, ConfigError),
        ({"courier_user": "no-such-user-here"}, ConfigError),
        ({"vault_user": "root"}, ConfigError),
    ],
)
def test_a_refusal_leaves_nothing(kit_file, tmp_path, how, error):
    with pytest.raises(error) as refused:
        joined(kit_file, tmp_path / "sites", **how)
    assert refused.value.hint
    assert list((tmp_path / "sites").iterdir()) == []
    joined(kit_file, tmp_path / "sites")  # and the kit is as good as before


def test_records_and_parent_are_there_before_anything_is_made(kit_file, tmp_path):
    promise = {"epsilon_cap": 1.0, "delta": 1e-5}
    with pytest.raises(DataError, match="no records"):
        membership_module.join(kit_file, tmp_path, records=tmp_path / "absent.csv", **promise)
    with pytest.raises(StorageError, match="no folder"):
        membership_module.join(kit_file, tmp_path / "absent", records=tmp_path, **promise)


@pytest.mark.parametrize("step", range(13))
def test_a_full_disk_leaves_nothing_half_made(kit_file, tmp_path, monkeypatch, step):
    """Whichever write or rename fails."""
    joined(kit_file, tmp_path / "warm")
    (tmp_path / "sites").mkdir()
    calls = iter(range(100))
    rename, write = Path.rename, membership_module.write_secret

    def no_space(*_):
        raise OSError(28, "No space left on device")

    def failing(real):
        return lambda *given: no_space() if next(calls) == step else real(*given)

    monkeypatch.setattr(membership_module, "write_secret", failing(write))
    monkeypatch.setattr(Path, "rename", failing(rename))
    if step < 11:  # eight files, three renames
        with pytest.raises(StorageError, match="No space"):
            joined(kit_file, tmp_path / "sites")
        assert list((tmp_path / "sites").iterdir()) == []
    else:
        joined(kit_file, tmp_path / "sites")


def test_who_never_joined(kit_file, tmp_path):
    with pytest.raises(NotJoinedError, match="has not joined") as refused:
        Membership.load(tmp_path)
    assert "fedcgan site join" in refused.value.hint
    site = joined(kit_file, tmp_path / "sites")
    site.folder.rename(tmp_path / "sites" / "south")
    with pytest.raises(NotJoinedError, match="membership of north"):
        Membership.load(tmp_path / "sites" / "south")


def test_a_membership_that_was_altered_or_opened_up(kit_file, tmp_path):
    site = joined(kit_file, tmp_path / "sites")
    path = site.folder / "membership.json"
    whole = path.read_text()
    for damaged in (whole[:-5], whole.replace("north", "so/uth"), whole.replace(ADDRESS, "nowhere")):
        path.write_text(damaged)
        with pytest.raises(NotJoinedError):
            Membership.load(site.folder)
    path.write_text(whole)
    Membership.load(site.folder)
    path.chmod(0o644)
    with pytest.raises(CryptoError, match="read by others"):
        Membership.load(site.folder)
    (site.folder / "ca.crt").write_bytes(2 * (site.folder / "ca.crt").read_bytes())
    with pytest.raises(NotJoinedError, match=r"ca\.crt"):
        load_authority(site.folder)
    (site.folder / "identity.key").unlink()
    path.chmod(0o600)
    with pytest.raises(NotJoinedError, match=r"identity\.key"):
        Membership.load(site.folder).fingerprint(site.folder)
    assert not (site.folder / "identity.key").exists()


def test_users_by_name_and_number():
    assert Owner.of("root") == Owner.of("0") == Owner.of("0:0") == Owner(0, 0)
    assert Owner.of(COURIER) == Owner(41002, 41002)
    for name in ("no-such-user-here", "987654321", "-1", "1:", "", "1.0"):
        with pytest.raises(ConfigError, match="no user"):
            Owner.of(name)


def test_only_root_gives_files_away(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ConfigError, match="only root"):
        Owners.of(tmp_path, COURIER, None)
    Owners.of(tmp_path, None, None)


@as_root
@pytest.mark.parametrize(
    ("courier", "vault", "says"),
    [("root", None, "another user"), (VAULT, VAULT, "another user"), ("0", VAULT, "not as root")],
)
def test_a_courier_that_could_read_everything_is_refused(kit_file, tmp_path, courier, vault, says):
    with pytest.raises(ConfigError, match=says):
        joined(kit_file, tmp_path / "sites", courier_user=courier, vault_user=vault)
    assert list((tmp_path / "sites").iterdir()) == []


@as_root
def test_root_makes_nothing_where_others_can_meddle(kit_file, tmp_path):
    parent = tmp_path / "sites"
    parent.mkdir()
    for owner, mode in ((41001, 0o700), (0, 0o777), (0, 0o770)):
        os.chown(parent, owner, owner)
        parent.chmod(mode)
        with pytest.raises(ConfigError, match="changed by others"):
            joined(kit_file, parent, courier_user=COURIER, vault_user=VAULT)
        assert list(parent.iterdir()) == []
    os.chown(parent, 0, 0)
    parent.chmod(0o755)
    joined(kit_file, parent, courier_user=COURIER, vault_user=VAULT)


@pytest.fixture
def open_parent():
    with open_folder() as folder:
        yield folder


@as_root
def test_two_users_are_kept_apart(kit_file, open_parent):
    site = joined(kit_file, open_parent, courier_user=COURIER, vault_user=VAULT)

    def owner(path):
        return path.stat().st_uid, path.stat().st_gid

    assert {owner(path) for path in [site.folder, *site.folder.rglob("*")]} == {(41001, 41001)}
    assert owner(site.courier) == (41001, 41002)
    assert stat.S_IMODE(site.courier.stat().st_mode) == 0o2750
    flower = site.courier / "flower"
    assert {owner(path) for path in [flower, *flower.rglob("*")]} == {(41002, 41002)}
    assert stat.S_IMODE(flower.stat().st_mode) == 0o700

    def reads(user, path):
        with acting_as(user):
            try:
                return bool(path.read_bytes())
            except PermissionError:
                return False

    assert reads(VAULT, site.folder / "identity.key")
    assert reads(COURIER, flower / "node.key")
    for file in ("identity.key", "policy.toml", "membership.json", "ledger.jsonl"):
        assert not reads(COURIER, site.folder / file)
    assert not reads(VAULT, flower / "node.key")


@as_root
def test_the_vaults_socket_belongs_to_the_couriers_group(kit_file, open_parent):
    """The vault is not in that group and could not give it away."""
    site = joined(kit_file, open_parent, courier_user=COURIER, vault_user=VAULT)
    path = site.courier / "vault.sock"
    with acting_as(VAULT), socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o660)
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (41001, 41002, 0o660)


@as_root
def test_a_folder_that_does_not_take_its_mode_is_no_couriers(kit_file, open_parent):
    """Root of a container has few capabilities; without FSETID the kernel leaves the bit out in silence."""
    words = ["site", "join", kit_file, "--in", open_parent, "--records", records(kit_file.parent)]
    words += ["--epsilon-cap", "3", "--delta", "1e-5", "--vault-user", VAULT, "--courier-user", COURIER]
    few = ["chown", "dac_override", "fowner"]
    done = subprocess.run(with_capabilities(few, words), capture_output=True, text=True, check=False)
    assert (done.returncode, "--cap-add FSETID" in done.stderr) == (2, True), done.stderr
    assert list(open_parent.iterdir()) == []
    done = subprocess.run(with_capabilities([*few, "fsetid"], words), capture_output=True, check=False)
    assert done.returncode == 0
    assert stat.S_IMODE((open_parent / "north.courier").stat().st_mode) == 0o2750

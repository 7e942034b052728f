"""From an invitation to a member: only the right reply, in time, once, with keys of its own."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from client import cli as site_cli
from client.membership import Membership
from common.authority import node_key_line, read_authority
from common.crypto.identity import Identity
from common.errors import ConfigError, CryptoError, FederationError, JoinError
from common.fingerprint import fingerprint
from common.join_reply import JoinReply
from common.kit import KitFile, new_pin
from common.plan import Party
from server import federation_cli
from server.federation import FederationFolder
from server.federation_settings import Settings
from tests import toy
from tests.server.invitations import ADDRESS, federation, joined, kit, records

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime.now(UTC).replace(microsecond=0)
PRINT = re.compile(r"[0-9]{5}( [0-9]{5}){7}")


@pytest.fixture
def coordinator(tmp_path):
    return federation(tmp_path / "federation")


@pytest.fixture
def answered(coordinator, tmp_path):
    """An invited site's reply, and the site."""
    return joined(kit(coordinator, "north", tmp_path), tmp_path / "sites")


def new_node_key() -> str:
    return node_key_line(ec.generate_private_key(ec.SECP384R1()).public_key())


def new_identity() -> Identity:
    return Identity(ed25519.Ed25519PrivateKey.generate())


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a command line as a person would: (exit code, its envelope's data or error)."""

    def run(side, *arguments):
        monkeypatch.setattr(sys, "argv", ["fedcgan", *map(str, arguments), "--json"])
        code = federation_cli.main() if side == "federation" else site_cli.main()
        envelope = json.loads(capsys.readouterr().out)
        return code, envelope.get("data") or envelope["error"]

    return run


def test_the_whole_way_by_command_line(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.toml").write_text(toy.SCHEMA.to_toml())
    made = ["init", "fed", "--name", "toy-federation", "--address", ADDRESS, "--schema", "toy.toml"]
    code, data = command("federation", *made)
    assert (code, data["link_port"], data["edge"], data["schema"]) == (0, 18000, "nginx", toy.SCHEMA.hash)
    assert command("federation", *made)[1]["code"] == "federation"  # never made over another one
    here = ["--federation", "fed"]
    assert command("federation", "invite", "north", *here)[0] == 0
    promise = ["--records", records(tmp_path), "--epsilon-cap", "3", "--delta", "1e-5"]
    code, site = command("site", "join", "north.kit.zip", *promise)
    assert code == 0
    assert site["reply"] == str(tmp_path / "north.reply.json")
    code, member = command(
        "federation", "admit", "north.reply.json", *here, "--fingerprint", site["fingerprint"]
    )
    assert code == 0, member
    assert (code, member["state"], member["compared"]) == (0, "admitted", True)
    assert member["fingerprint"] == site["fingerprint"]
    assert PRINT.fullmatch(site["fingerprint"])
    assert Membership.load(tmp_path / "north").fingerprint(tmp_path / "north") == site["fingerprint"]
    code, error = command("federation", "admit", "north.reply.json", *here)
    assert (code, error["code"]) == (5, "join")
    (listed,) = command("federation", "list", *here)[1]["members"]
    assert (listed["name"], listed["identity"]) == ("north", site["identity"])
    assert command("federation", "revoke", "north", *here)[1]["state"] == "revoked"
    before = (tmp_path / "fed" / "tls" / "server.key").read_bytes()
    assert command("federation", "certificate", *here)[0] == 0
    assert (tmp_path / "fed" / "tls" / "server.key").read_bytes() != before


def test_people_read_what_to_do_next(tmp_path, monkeypatch, capsys):
    folder = federation(tmp_path / "fed").folder
    monkeypatch.chdir(tmp_path)
    for arguments, says in {
        ("invite", "north"): "north.kit.zip",
        ("list",): "invited",
        ("certificate",): "valid until",
        ("revoke", "north"): "revoked",
    }.items():
        monkeypatch.setattr(sys, "argv", ["fedcgan", *arguments, "--federation", str(folder)])
        assert federation_cli.main() == 0
        assert says in capsys.readouterr().out


def test_the_command_line_knows_its_side():
    launch = (
        "import sys; from common.launch import main; sys.argv = ['fedcgan', 'federation', '--help']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", launch], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "invite" in done.stdout, done.stderr


def test_an_admitted_site_is_known_by_its_keys(coordinator, answered):
    member = coordinator.admit(answered.reply)
    assert member.party == Party(name="north", identity=answered.reply.identity)
    assert coordinator.fingerprint(member) == answered.fingerprint
    assert FederationFolder.open(coordinator.folder).members() == [member]
    assert "pin" not in member.facts()
    assert (coordinator.folder / "members" / "north.json").stat().st_mode & 0o777 == 0o600


def test_a_pin_is_good_once_and_gone_then(coordinator, answered):
    pin = coordinator.member("north").pin
    assert pin in (coordinator.folder / "members" / "north.json").read_text()
    coordinator.admit(answered.reply)
    assert pin not in (coordinator.folder / "members" / "north.json").read_text()
    with pytest.raises(JoinError, match="used up"):
        coordinator.admit(answered.reply)


@pytest.mark.parametrize("field", ["federation", "site", "identity", "node_key", "signature", "mac"])
def test_an_altered_reply_is_refused_and_admits_nobody(coordinator, answered, tmp_path, field):
    kit(coordinator, "south", tmp_path)
    other = {
        "federation": "another-federation",
        "site": "south",
        "identity": new_identity().public,
        "node_key": new_node_key(),
        "signature": "0" * 128,
        "mac": "0" * 64,
    }
    before = coordinator.members()
    with pytest.raises(JoinError) as refused:
        coordinator.admit(answered.reply.model_copy(update={field: other[field]}))
    assert refused.value.hint
    assert ("another-federation" in refused.value.message) == (field == "federation")
    assert coordinator.members() == before
    assert coordinator.admit(answered.reply).state == "admitted"  # the real one still does


def test_a_reply_with_another_pin_is_refused(coordinator, answered, tmp_path):
    file = KitFile.read(tmp_path / "north.kit.zip")
    guessed = file.kit.model_copy(update={"pin": new_pin()})
    identity, node_key = new_identity(), new_node_key()
    with pytest.raises(JoinError, match="PIN"):
        coordinator.admit(JoinReply.make(guessed, identity, node_key))
    assert coordinator.admit(JoinReply.make(file.kit, identity, node_key)).state == "admitted"


def test_a_reply_needs_the_identity_it_names(coordinator, tmp_path):
    """The PIN alone does not let anybody enter somebody else's identity."""
    file = KitFile.read(kit(coordinator, "north", tmp_path))

    class Claims(Identity):
        public = new_identity().public

    claims = Claims(ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(JoinError, match="not signed"):
        coordinator.admit(JoinReply.make(file.kit, claims, new_node_key()))


def test_an_expired_invitation_is_refused(coordinator, answered):
    late = coordinator.member("north").expires + timedelta(seconds=1)
    with pytest.raises(JoinError, match="expired"):
        coordinator.admit(answered.reply, now=late)
    assert coordinator.admit(answered.reply, now=late - timedelta(seconds=1)).state == "admitted"


def test_a_newer_kit_ends_the_older_one(coordinator, answered, tmp_path):
    newer = joined(kit(coordinator, "north", tmp_path), tmp_path / "again")
    with pytest.raises(JoinError, match="PIN"):
        coordinator.admit(answered.reply)
    assert coordinator.admit(newer.reply).identity == newer.reply.identity


def test_the_fingerprint_read_over_the_telephone_decides(coordinator, answered):
    wrong = answered.fingerprint[:-1] + ("0" if answered.fingerprint[-1] != "0" else "1")
    with pytest.raises(JoinError, match="fingerprint"):
        coordinator.admit(answered.reply, wrong)
    assert coordinator.member("north").state == "invited"
    spaced = answered.fingerprint.replace(" ", "-")
    assert coordinator.admit(answered.reply, spaced).state == "admitted"


@pytest.mark.parametrize("what", ["identity", "node_key", "coordinator"])
def test_nobody_takes_another_members_key(coordinator, answered, tmp_path, what):
    coordinator.admit(answered.reply)
    file = KitFile.read(kit(coordinator, "south", tmp_path))
    own, line = new_identity(), new_node_key()
    theirs = {
        "identity": lambda: (Identity.load_or_create(answered.folder / "identity.key"), line),
        "node_key": lambda: (own, answered.reply.node_key),
        "coordinator": lambda: (coordinator.identity, line),
    }[what]()
    with pytest.raises(JoinError, match="somebody's already"):
        coordinator.admit(JoinReply.make(file.kit, *theirs))
    assert coordinator.admit(JoinReply.make(file.kit, own, line)).state == "admitted"


def test_who_was_revoked_comes_back_with_new_keys_only(coordinator, answered, tmp_path):
    coordinator.admit(answered.reply)
    with pytest.raises(FederationError, match="member already"):
        coordinator.invite("north", timedelta(days=1))
    coordinator.revoke("north")
    with pytest.raises(FederationError, match="revoked"):
        coordinator.revoke("north")
    file = KitFile.read(kit(coordinator, "north", tmp_path))
    old = Identity.load_or_create(answered.folder / "identity.key")
    for keys in ((old, new_node_key()), (new_identity(), answered.reply.node_key)):
        with pytest.raises(JoinError, match="somebody's already"):
            coordinator.admit(JoinReply.make(file.kit, *keys))
    other = KitFile.read(kit(coordinator, "south", tmp_path))
    with pytest.raises(JoinError, match="somebody's already"):  # nor under another name
        coordinator.admit(JoinReply.make(other.kit, old, new_node_key()))
    assert coordinator.admit(JoinReply.make(file.kit, new_identity(), new_node_key())).state == "admitted"


def test_revoking_ends_an_invitation(coordinator, answered):
    coordinator.revoke("north")
    with pytest.raises(JoinError, match="used up"):
        coordinator.admit(answered.reply)


def test_a_reply_to_another_federation_of_the_same_name(coordinator, tmp_path):
    """The name alone says nothing: the PIN is that of the other one's kit."""
    other = federation(tmp_path / "other")
    kit(coordinator, "north", tmp_path)
    reply = joined(kit(other, "north", tmp_path), tmp_path / "sites").reply
    with pytest.raises(JoinError, match="PIN"):
        coordinator.admit(reply)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"site": "a"}', b"[" * 8000, b" " * 9000]
)
def test_what_is_no_reply_is_refused(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(JoinError):
        JoinReply.read(tmp_path / "x.json")
    with pytest.raises(JoinError):
        JoinReply.read(tmp_path / "absent.json")


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP521R1()])
def test_a_node_key_on_another_curve_is_refused(coordinator, tmp_path, curve):
    file = KitFile.read(kit(coordinator, "north", tmp_path))
    line = node_key_line(ec.generate_private_key(curve).public_key())
    with pytest.raises(ValueError, match="P-384"):
        JoinReply.make(file.kit, new_identity(), line)
    with pytest.raises(ValueError, match="comment"):
        JoinReply.make(file.kit, new_identity(), new_node_key() + " north@example.org")


def test_no_private_key_travels(coordinator, answered, tmp_path):
    """In kit and reply there is no secret of either side, in any of its forms."""
    flower, folder = answered.courier / "flower", coordinator.folder
    keys = [ec_bytes(path) for path in (folder / "ca/ca.key", folder / "tls/server.key", flower / "node.key")]
    seeds = [(folder / "identity.key").read_bytes(), (answered.folder / "identity.key").read_bytes()]
    secret = (folder / "superexec.secret").read_bytes()
    forms = [form for raw in (*keys, *seeds) for form in (raw, raw.hex().encode())] + [secret, b"PRIVATE KEY"]
    sent = [(tmp_path / "north.kit.zip").read_bytes(), answered.reply_file.read_bytes()]
    assert not any(form in raw for form in forms for raw in sent)
    public = [coordinator.identity.public.encode(), answered.reply.identity.encode()]
    assert all(key in raw for key, raw in zip(public, sent, strict=True))  # the scan does find things
    assert any(b"PRIVATE KEY" in path.read_bytes() for path in flower.iterdir() if path.is_file())
    assert coordinator.member("north").pin.encode() not in sent[1]


def ec_bytes(path: Path) -> bytes:
    """The private number of an EC key, 48 bytes."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    raw = path.read_bytes()
    load = load_ssh_private_key if b"OPENSSH" in raw else load_pem_private_key
    return load(raw, None).private_numbers().private_value.to_bytes(48)


def test_every_part_moves_the_fingerprint(coordinator, answered, tmp_path):
    """A swapped CA certificate, identity, name or key is heard over the telephone."""
    other = federation(tmp_path / "other")
    parts = {
        "coordinator": coordinator.identity.public,
        "authority": coordinator.certificates.authority,
        "federation": "toy-federation",
        "site": "north",
        "identity": answered.reply.identity,
        "node_key": answered.reply.node_key,
    }
    changed = {
        "coordinator": other.identity.public,
        "authority": other.certificates.authority,
        "federation": "toy-federatio",
        "site": "north2",
        "identity": new_identity().public,
        "node_key": new_node_key(),
    }
    prints = {fingerprint(**{**parts, part: value}) for part, value in changed.items()}
    assert fingerprint(**parts) == answered.fingerprint
    assert len(prints | {answered.fingerprint}) == 7


def test_the_fingerprint_is_what_its_docstring_says(coordinator, answered):
    import hashlib

    pem = (coordinator.folder / "ca" / "ca.crt").read_bytes()
    from ssl import PEM_cert_to_DER_cert

    der = hashlib.sha256(PEM_cert_to_DER_cert(pem.decode())).hexdigest()
    reply = answered.reply
    parts = ["fedcgan/v1/fingerprint", coordinator.identity.public, der]
    listed = json.dumps([*parts, reply.federation, reply.site, reply.identity, reply.node_key])
    number = int(hashlib.sha256(listed.replace(", ", ",").encode()).hexdigest(), 16)
    assert answered.fingerprint.replace(" ", "") == str(number)[-40:].zfill(40)


def test_a_swapped_ca_reaches_the_site_and_the_fingerprints_differ(coordinator, tmp_path):
    """Somebody between the two: everything else verifies, the telephone call does not."""
    mallory = federation(tmp_path / "mallory")
    file = KitFile.read(kit(coordinator, "north", tmp_path))
    KitFile(file.kit, mallory.certificates.authority, file.schema).write(tmp_path / "swapped.kit.zip")
    site = joined(tmp_path / "swapped.kit.zip", tmp_path / "sites")
    member = coordinator.admit(site.reply)
    assert coordinator.fingerprint(member) != site.fingerprint


@pytest.mark.parametrize("name", ["", "..", "a/b", "../a", ".hidden", "a b", "é", "x" * 65, "a\n"])
def test_names_are_those_of_a_plan(coordinator, name):
    with pytest.raises(ConfigError):
        coordinator.invite(name, timedelta(days=1))
    assert coordinator.members() == []


def test_names_that_people_confuse_are_refused(coordinator):
    coordinator.invite("north", timedelta(days=1))
    for name in ("North", "coordinator", "Coordinator"):
        with pytest.raises(ConfigError, match="too like"):
            coordinator.invite(name, timedelta(days=1))
    with pytest.raises(FederationError, match="no member") as unknown:
        coordinator.member("south")
    assert "north" in unknown.value.hint


@pytest.mark.parametrize("name", ["aux", "CON", "com1", "nul.north"])
def test_names_of_devices_are_refused(coordinator, name):
    """A site's signature under a release is a file of its name, which no bundle could hold."""
    with pytest.raises(ConfigError, match="device"):
        coordinator.invite(name, timedelta(days=1))
    coordinator.invite(f"x-{name}", timedelta(days=1))


@pytest.mark.parametrize(
    ("address", "edge", "link_port"),
    [
        ("fed.example.org", "nginx", None),
        ("fed.example.org:0", "nginx", None),
        ("fed.example.org:70000", "nginx", None),
        ("fed example:1", "nginx", None),
        ("1.2.3.999:1", "nginx", None),
        ("::1:18443", "nginx", None),
        ("[fed]:18443", "nginx", None),
        ("https://fed.example.org:443", "nginx", None),
        ("fed.example.org:18443", "none", None),
        ("192.0.2.7:18443", "none", None),
        ("localhost.example.org:18443", "none", None),
        ("127.0.0.1:18443", "none", 18000),
        ("fed.example.org:18000", "nginx", None),
        ("fed.example.org:18443", "apache", None),
    ],
)
def test_settings_that_would_not_work_or_not_protect(address, edge, link_port):
    with pytest.raises(ConfigError) as refused:
        Settings.make("toy", address, edge, link_port)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("address", "edge", "link_port", "hint"),
    [
        ("fed.example.org:18443", "none", None, "--edge nginx"),
        ("localhost:18443", "none", 18000, "leave out --link-port"),
        ("fed.example.org:18000", "nginx", None, "another port"),
        ("fed.example.org:18443", "apache", None, "external"),
        ("fed.example.org:18443", "nginx", 0, "65535"),
        ("nowhere", "none", None, "--address"),
        ("nowhere", "nginx", None, "--address"),
    ],
)
def test_the_hint_is_about_what_is_wrong(address, edge, link_port, hint):
    with pytest.raises(ConfigError) as refused:
        Settings.make("toy", address, edge, link_port)
    assert hint in refused.value.hint
    assert "Value error" not in refused.value.message


@pytest.mark.parametrize(
    ("address", "edge", "port"),
    [
        ("127.0.0.1:18443", "none", 18443),
        ("localhost:19000", "none", 19000),
        ("[::1]:19000", "none", 19000),
        ("[2001:db8::7]:18443", "nginx", 18000),
        ("FED.example.org:18443", "nginx", 18000),
    ],
)
def test_settings_that_do(address, edge, port):
    assert Settings.make("toy", address, edge, None).link_port == port


@pytest.mark.parametrize(
    "secret", ["identity.key", "superexec.secret", "ca/ca.key", "tls/server.key", "members/north.json"]
)
def test_secrets_that_others_can_read_are_refused(coordinator, answered, secret):
    def use():
        folder = FederationFolder.open(coordinator.folder)
        folder.admit(answered.reply)
        folder.renew_certificate() if secret == "ca/ca.key" else folder.certificates.server(NOW)
        return folder.superexec_secret

    path = coordinator.folder / secret
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises((CryptoError, FederationError), match="read by others"):
        use()
    if secret.startswith("members") or secret == "identity.key":
        path.chmod(0o600)
        assert use().exists()


def test_a_folder_that_others_can_enter_is_refused(coordinator):
    coordinator.folder.chmod(0o750)
    with pytest.raises(CryptoError, match="read by others"):
        FederationFolder.open(coordinator.folder)
    coordinator.folder.chmod(0o700)
    FederationFolder.open(coordinator.folder)


def test_what_is_lost_is_not_made_anew(coordinator, tmp_path):
    with pytest.raises(FederationError, match="no federation"):
        FederationFolder.open(tmp_path)
    (coordinator.folder / "identity.key").unlink()
    reopened = FederationFolder.open(coordinator.folder)
    with pytest.raises(FederationError, match=r"identity\.key"):
        reopened.invite("north", timedelta(days=1))
    assert not (coordinator.folder / "identity.key").exists()


def test_a_damaged_folder_says_so(coordinator):
    coordinator.invite("north", timedelta(days=1))
    file = coordinator.folder / "members" / "north.json"
    whole = file.read_text()
    for damaged in (whole[:-9], whole.replace('"invited"', '"admitted"', 1), whole.replace("north", "south")):
        file.write_text(damaged)
        with pytest.raises(FederationError, match=r"north\.json"):
            coordinator.members()
    file.write_text(whole)
    assert [member.name for member in coordinator.members()] == ["north"]
    (coordinator.folder / "federation.toml").write_text('name = "toy"\nnoise = false\n')
    with pytest.raises(FederationError, match=r"federation\.toml"):
        FederationFolder.open(coordinator.folder)


def test_init_leaves_nothing_half_made(tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(FederationError, match="not empty"):
        federation(tmp_path / "full")

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("server.certificates.make_server_certificate", no_space)
    with pytest.raises(OSError, match="No space"):
        federation(tmp_path / "federation")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]


def test_secrets_are_not_in_what_is_printed(coordinator, tmp_path):
    file = KitFile.read(kit(coordinator, "north", tmp_path))
    member = coordinator.member("north")
    assert file.kit.pin == member.pin
    assert file.kit.pin not in repr(file) + repr(member) + json.dumps(member.facts())


def test_the_kit_names_the_authority_of_the_folder(coordinator, tmp_path):
    file = KitFile.read(kit(coordinator, "north", tmp_path))
    assert file.authority == read_authority((coordinator.folder / "ca" / "ca.crt").read_bytes())
    assert file.kit.coordinator == coordinator.coordinator
    assert file.schema.hash == toy.SCHEMA.hash
    assert (tmp_path / "north.kit.zip").stat().st_mode & 0o777 == 0o600


def test_a_node_key_is_what_ssh_keygen_would_make(answered):
    """Flower reads OpenSSH's format; the public half derived by OpenSSH is the one in the reply."""
    shown = subprocess.run(
        ["ssh-keygen", "-y", "-f", answered.courier / "flower" / "node.key"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.stdout.strip() == answered.reply.node_key
    raw = (answered.courier / "flower" / "node.key").read_bytes()
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    again = load_ssh_private_key(raw, None).private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    assert raw.splitlines()[0] == again.splitlines()[0] == b"-----BEGIN OPENSSH PRIVATE KEY-----"

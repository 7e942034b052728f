"""A kit came by mail: whatever is in the file, it is the three members we wrote or a typed refusal."""

import io
import random
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from common.authority import read_authority
from common.crypto.identity import Identity
from common.errors import KitError
from common.kit import Kit, KitFile, new_pin
from common.plan import Party
from server.certificates import make_authority
from tests import toy

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def file():
    identity = Identity(ed25519.Ed25519PrivateKey.generate())
    kit = Kit(
        federation="toy",
        site="north",
        address="fed.example.org:18443",
        coordinator=Party(name="coordinator", identity=identity.public),
        pin=new_pin(),
        issued=NOW,
        expires=NOW + timedelta(days=1),
    )
    authority = make_authority(ec.generate_private_key(ec.SECP384R1()), "toy", NOW)
    return KitFile(kit, authority, toy.SCHEMA)


def zipped(contents, method=zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in contents:
            archive.writestr(name, content)
    return buffer.getvalue()


def contents(file) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(file.to_bytes())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_kit_comes_back_as_it_was(file):
    again = KitFile.from_bytes(file.to_bytes())
    assert again == file
    assert KitFile.from_bytes(zipped(contents(file).items())) == file  # any zip program's will do
    assert file.to_bytes() == again.to_bytes()


def test_a_cut_or_swollen_kit_is_refused(file, tmp_path):
    raw = file.to_bytes()
    for damaged in (
        b"",
        raw[:1],
        raw[: len(raw) // 2],
        raw[:-1],
        b"PK\5\6" + 18 * b"\0",
        raw + bytes(2 << 20),
    ):
        with pytest.raises(KitError) as refused:
            KitFile.from_bytes(damaged)
        assert refused.value.hint
    with pytest.raises(KitError, match="cannot be read"):
        KitFile.read(tmp_path / "absent.kit.zip")
    with pytest.raises(KitError, match="cannot be read"):
        KitFile.read(tmp_path)
    with open(tmp_path / "endless", "wb") as sparse:
        sparse.truncate(1 << 40)  # a terabyte: read whole, it would fill the memory
    with pytest.raises(KitError, match="more than"):
        KitFile.read(tmp_path / "endless")


def test_bytes_that_belong_to_no_member_are_refused(file):
    raw = file.to_bytes()
    second = raw.index(b"PK\3\4", 4)
    directory = raw.index(b"PK\1\2")
    moved = bytearray(raw[:directory] + b"x" + raw[directory:])
    moved[-6:-2] = (directory + 1).to_bytes(4, "little")
    for extra in (raw + b"x", raw + b"\0", b"x" + raw, raw[:second] + b"x" + raw[second:], bytes(moved)):
        with pytest.raises(KitError, match=r"no member|damaged"):
            KitFile.from_bytes(extra)
    buffer = io.BytesIO(raw)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"read me"
    with pytest.raises(KitError, match="no member"):
        KitFile.from_bytes(buffer.getvalue())


def test_a_kit_written_as_a_stream_has_sizes_after_its_members_and_is_read(file):
    class Stream(io.RawIOBase):
        def __init__(self):
            self.written = b""

        def writable(self):
            return True

        def write(self, part):
            self.written += bytes(part)
            return len(part)

    stream = Stream()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in contents(file).items():
            archive.writestr(name, content)
    assert KitFile.from_bytes(stream.written) == file


@pytest.mark.parametrize(
    "name", ["readme.txt", "../ca.crt", "/etc/passwd", "ca.crt/", "KIT.JSON", "node.key"]
)
def test_an_extra_member_is_refused(file, name):
    with pytest.raises(KitError, match="members"):
        KitFile.from_bytes(zipped([*contents(file).items(), (name, b"")]))


@pytest.mark.parametrize("name", ["kit.json", "ca.crt", "schema.toml"])
def test_a_missing_renamed_or_doubled_member_is_refused(file, name):
    whole = contents(file)
    without = {key: value for key, value in whole.items() if key != name}
    with pytest.raises(KitError, match="members"):
        KitFile.from_bytes(zipped(without.items()))
    with pytest.raises(KitError, match="members"):
        KitFile.from_bytes(zipped({**without, "./" + name: whole[name]}.items()))
    with pytest.warns(UserWarning, match="Duplicate"):
        doubled = zipped([*whole.items(), (name, whole[name])])
    with pytest.raises(KitError, match="members"):
        KitFile.from_bytes(doubled)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_is_refused_and_nothing_decompressed(file, method, monkeypatch):
    bomb = zipped({**contents(file), "schema.toml": b"#" * (64 << 20)}.items(), method)
    assert len(bomb) < 1 << 20

    def decompress(*_):
        raise AssertionError("something was read")

    monkeypatch.setattr(zipfile.ZipFile, "read", decompress)
    with pytest.raises(KitError, match="compressed"):
        KitFile.from_bytes(bomb)
    with pytest.raises(AssertionError, match="something was read"):  # the trap does close
        KitFile.from_bytes(file.to_bytes())


@pytest.mark.parametrize(
    ("name", "limit"), [("kit.json", 1 << 14), ("ca.crt", 1 << 14), ("schema.toml", 1 << 20)]
)
def test_each_member_is_bounded(file, name, limit):
    with pytest.raises(KitError, match=f"{name} has more than {limit} bytes"):
        KitFile.from_bytes(zipped({**contents(file), name: b"#" * (limit + 1)}.items()))


def test_a_size_that_lies_is_refused(file):
    """The directory promises less than the file holds."""
    raw = file.to_bytes()
    schema = len(contents(file)["schema.toml"]).to_bytes(4, "little")
    with pytest.raises(KitError):
        KitFile.from_bytes(raw.replace(schema, (16).to_bytes(4, "little")))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("site", "../north"),
        ("site", "north/.."),
        ("federation", ""),
        ("address", "fed.example.org"),
        ("address", "fed.example.org:0"),
        ("address", "-oProxyCommand=x:1"),
        ("pin", "00"),
        ("coordinator", {"name": "coordinator", "identity": "00"}),
        ("expires", "2020-01-01T00:00:00"),
        ("expires", "2020-01-01T00:00:00Z"),
        ("version", 2),
        ("extra", 1),
    ],
)
def test_a_field_of_another_form_is_refused(file, field, value):
    import json

    members = contents(file)
    altered = json.dumps({**json.loads(members["kit.json"]), field: value}).encode()
    with pytest.raises(KitError, match=field):
        KitFile.from_bytes(zipped({**members, "kit.json": altered}.items()))


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[", b"a = 1", b"kind = 'image'", b"x=" + b"[" * 5000])
def test_a_schema_that_is_none_is_refused(file, raw):
    with pytest.raises(KitError):
        KitFile.from_bytes(zipped({**contents(file), "schema.toml": raw}.items()))


def test_only_one_authority_and_nothing_beside_it(file):
    """A second certificate in ca.crt would be trusted by TLS and missing from the fingerprint."""
    pem = file.authority.public_bytes(Encoding.PEM)
    other = make_authority(ec.generate_private_key(ec.SECP384R1()), "toy", NOW).public_bytes(Encoding.PEM)
    for altered in (
        pem + other,
        other + pem,
        b"# a comment\n" + pem,
        pem + b"\n",
        pem.replace(b"\n", b"\r\n"),
    ):
        with pytest.raises(KitError):
            KitFile.from_bytes(zipped({**contents(file), "ca.crt": altered}.items()))
    assert read_authority(pem) == file.authority


def self_signed(key, *, ca=True, signed_by=None) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=1))
    constraints = x509.BasicConstraints(ca=ca, path_length=None)
    certificate = builder.add_extension(constraints, critical=True).sign(signed_by or key, SHA256())
    return certificate.public_bytes(Encoding.PEM)


def test_only_a_self_signed_p384_authority():
    p384, p256 = (ec.generate_private_key(curve) for curve in (ec.SECP384R1(), ec.SECP256R1()))
    read_authority(self_signed(p384))
    for pem in (
        self_signed(p256),
        self_signed(p384, ca=False),
        self_signed(p384, signed_by=ec.generate_private_key(ec.SECP384R1())),
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ):
        with pytest.raises(ValueError, match="authority"):
            read_authority(pem)


def test_when_a_kit_can_be_answered(file):
    file.check(NOW)
    file.check(file.kit.expires)
    with pytest.raises(KitError, match="expired"):
        file.check(file.kit.expires + timedelta(seconds=1))
    for clock in (datetime(2001, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)):
        with pytest.raises(KitError, match="clock"):
            file.check(clock)


def test_whatever_happens_to_the_bytes_the_error_is_typed(file):
    raw, dice = file.to_bytes(), random.Random(0)
    refused = 0
    for _ in range(3000):
        altered = bytearray(raw)
        for _ in range(dice.randint(1, 4)):
            altered[dice.randrange(len(altered))] = dice.randrange(256)
        cut = bytes(altered[: dice.choice([len(altered), dice.randrange(len(altered))])])
        try:
            KitFile.from_bytes(cut)
        except KitError:
            refused += 1
    assert refused > 2000

"""Nothing in a bundle can be altered, added, removed or renamed unnoticed."""

import json
import os
import shutil
import zipfile

import pytest

from common.bundle.archive import write_zip
from common.bundle.bundle import Bundle
from common.bundle.canonical import canonical
from common.bundle.contents import FolderContents
from common.bundle.manifest import Manifest
from common.bundle.paths import MANIFEST, MOST_BYTES, MOST_FILES, SIGNATURE, check_paths
from common.bundle.signatures import Signature
from common.bundle.verification import verify
from common.crypto.identity import Identity
from common.errors import (
    AlteredFileError,
    BundleError,
    BundlePathError,
    BundleSignatureError,
    BundleZipError,
    ConfigError,
    CounterSignatureError,
    ExtraFileError,
    ManifestError,
    MissingFileError,
    RosterError,
    StorageError,
    TooFewSignaturesError,
    UnknownSignerError,
)

from .made import changed_json, key_of, manifest_of, rehashed, resigned


def flip(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def grow(path):
    path.write_bytes(path.read_bytes() + b"\n")


def rename(path):
    path.rename(path.with_name("other-" + path.name))


def copy(path):
    shutil.copy(path, path.with_name("second-" + path.name))


def link(path):
    elsewhere = path.parent.parent.parent / "elsewhere"
    shutil.copy(path, elsewhere)
    path.unlink()
    path.symlink_to(elsewhere)


ALTERED = {
    MANIFEST: (ManifestError, BundleSignatureError),  # a digit of a hash may have become another
    SIGNATURE: BundleSignatureError,
    "signatures/": CounterSignatureError,
}
ABSENT = {**ALTERED, "signatures/": TooFewSignaturesError}
EXTRA = {"signatures/": CounterSignatureError}
RENAMED = {**ALTERED, "": MissingFileError}


@pytest.mark.parametrize(
    ("tamper", "expected", "otherwise"),
    [
        (flip, ALTERED, AlteredFileError),
        (truncate, ALTERED, AlteredFileError),
        (grow, ALTERED, AlteredFileError),
        (os.remove, ABSENT, MissingFileError),
        (rename, RENAMED, MissingFileError),
        (copy, EXTRA, ExtraFileError),
        (link, {}, BundlePathError),
    ],
    ids=["flip", "truncate", "grow", "remove", "rename", "copy", "link"],
)
def test_every_file(tamper, expected, otherwise, mine, tmp_path):
    files = sorted(path.relative_to(mine).as_posix() for path in mine.rglob("*") if path.is_file())
    assert len(files) >= 20
    assert verify(mine).signed  # untouched, it is whole
    for name in files:
        kind = next((kind for start, kind in expected.items() if start and name.startswith(start)), otherwise)
        kept = tmp_path / "kept"
        shutil.copytree(mine, kept)
        tamper(mine / name)
        with pytest.raises(kind):
            verify(mine)
        shutil.rmtree(mine)
        kept.rename(mine)
    verify(mine)


def test_an_empty_folder_and_a_pipe_are_noticed(mine):
    (mine / "empty").mkdir()
    with pytest.raises(ExtraFileError):
        verify(mine)
    (mine / "empty").rmdir()
    os.mkfifo(mine / "pipe")
    with pytest.raises(BundlePathError):  # and it does not wait for a writer
        verify(mine)


def test_new_hashes_do_not_help_without_the_key(mine):
    changed_json(mine / "report.json", lambda report: report.update(schedule="local"))
    rehashed(mine)
    Bundle.open(mine).check_files()  # who checks hashes alone is deceived
    with pytest.raises(BundleSignatureError):
        verify(mine)


def test_another_key_does_not_pass_for_the_coordinators(mine, run, tmp_path):
    stranger = Identity.load_or_create(tmp_path / "stranger.key")
    party = {"name": "coordinator", "identity": stranger.public}
    manifest = rehashed(mine, coordinator=party)
    signature = Signature.make("coordinator", manifest.coordinator, stranger, manifest)
    (mine / SIGNATURE).write_bytes(signature.to_json())
    Bundle.open(mine).check_signature()  # the signature is a good one, of somebody else
    with pytest.raises(RosterError):
        verify(mine)
    with pytest.raises(UnknownSignerError):
        verify(mine, signer=key_of(run).public)


def test_the_expected_signer(whole, run):
    public = key_of(run).public
    assert not verify(whole).pinned
    assert verify(whole, signer=public.upper()).pinned
    printed = verify(whole).fingerprint
    assert verify(whole, signer=printed).pinned
    assert verify(whole, signer=printed.replace(" ", "")).pinned
    other = printed[:-1] + str((int(printed[-1]) + 1) % 10)
    for stranger in (other, "0" * 64):
        with pytest.raises(UnknownSignerError):
            verify(whole, signer=stranger)
    with pytest.raises(ConfigError):
        verify(whole, signer="1234")


def test_a_genuine_change_needs_every_key(mine, run):
    """The control of all tests that sign anew: with every key, a consistent change passes."""
    (mine / "DATASHEET.md").write_text("# another one\n")
    resigned(mine, run)
    assert len(verify(mine, signer=key_of(run).public).signed) == 4


@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "/etc/passwd",
        "a/../../b",
        "./a",
        "a//b",
        "a\\b",
        "C:evil",
        ".hidden",
        "nul.txt",
        "tail.",
        "ä.txt",
        "a\nb",
        "x" * 200,
        "REPORT.json",
        "manifest.json",
        "signatures/site-east.json",
        "report.json/inside",
    ],
)
def test_a_manifest_with_such_a_path_is_not_opened(path, mine, run):
    """Signed by the right key, and refused before any file is looked at."""
    content = manifest_of(mine).model_dump(mode="json")
    content["files"] = sorted(
        [*content["files"], {**content["files"][0], "path": path}], key=lambda file: file["path"]
    )
    with pytest.raises((BundlePathError, ManifestError)):
        Manifest.from_json(canonical(content))
    (mine / MANIFEST).write_bytes(canonical(content))
    with pytest.raises(BundleError):
        verify(mine)


def test_a_manifest_in_another_form_is_refused(mine):
    content = json.loads((mine / MANIFEST).read_bytes())
    (mine / MANIFEST).write_text(json.dumps(content, indent=1))
    with pytest.raises(ManifestError):
        verify(mine)
    (mine / MANIFEST).write_bytes(b"[" * 100_000)
    with pytest.raises(ManifestError):
        verify(mine)


def test_too_many_files_or_bytes():
    check_paths((f"f{number}", 1) for number in range(MOST_FILES))
    with pytest.raises(BundlePathError):
        check_paths((f"f{number}", 1) for number in range(MOST_FILES + 1))
    with pytest.raises(BundlePathError):
        check_paths([("a", MOST_BYTES), ("b", 1)])


def test_nothing_there(tmp_path):
    with pytest.raises(BundleError):
        verify(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError):
        verify(tmp_path / "empty")


def test_a_zip_says_the_same_and_is_always_the_same_bytes(whole, tmp_path):
    first, second = tmp_path / "a.zip", tmp_path / "b.zip"
    write_zip(FolderContents(whole), first)
    write_zip(FolderContents(whole), second)
    assert first.read_bytes() == second.read_bytes()
    found = verify(first)
    assert found.signed == verify(whole).signed
    assert found.manifest == verify(whole).manifest
    with zipfile.ZipFile(first) as archive:
        assert archive.testzip() is None


def test_every_kind_of_byte_of_a_zip(zipped, tmp_path):
    """A byte of each member's header and content, of its entry in the directory, and of the end."""
    raw = zipped.read_bytes()
    with zipfile.ZipFile(zipped) as archive:
        members = archive.infolist()
        places = [start + offset for start in (m.header_offset for m in members) for offset in (0, 5, 12, 31)]
        places += range(archive.start_dir, archive.start_dir + 50)
        places += [m.header_offset + 30 + len(m.filename) + m.file_size // 2 for m in members]
    places += range(len(raw) - 22, len(raw))
    path = tmp_path / "bent.zip"
    for place in places:
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        with pytest.raises((BundleError, StorageError)):
            verify(path)
    path.write_bytes(raw)
    verify(path)


@pytest.mark.parametrize("where", ["before", "behind", "between", "comment"])
def test_a_zip_with_something_besides(where, zipped, tmp_path):
    path = tmp_path / "more.zip"
    raw = zipped.read_bytes()
    path.write_bytes({"before": b"x" + raw, "behind": raw + b"x"}.get(where, raw))
    if where == "comment":
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = b"hello"
    if where == "between":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("zz.txt", "more")
    with pytest.raises((BundleZipError, ExtraFileError)):
        verify(path)


def repacked(folder, path, compression, extra=()):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, size in sorted(FolderContents(folder).sizes.items()):
            assert size >= 0
            archive.write(folder / name, name)
        for name, content in extra:
            archive.writestr(name, content)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zips_that_somebody_else_packed(whole, tmp_path):
    path = tmp_path / "other.zip"
    repacked(whole, path, zipfile.ZIP_DEFLATED)
    with pytest.raises(BundleZipError):
        verify(path)
    repacked(whole, path, zipfile.ZIP_STORED, [("report.json", b"{}")])
    with pytest.raises(BundlePathError):  # twice the same name
        verify(path)
    repacked(whole, path, zipfile.ZIP_STORED, [("../outside", b"")])
    with pytest.raises(BundlePathError):
        verify(path)
    repacked(whole, path, zipfile.ZIP_STORED)
    with pytest.raises(BundleZipError):  # not as we write it: times, modes
        verify(path)


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", bytes(50_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(BundleZipError):
        verify(path)
    path.write_bytes(b"PK" + bytes(100))
    with pytest.raises(BundleZipError):
        verify(path)

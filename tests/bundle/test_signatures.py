"""Whose name is under a bundle: forged, foreign, replayed and missing signatures."""

import pytest

from common.bundle.canonical import canonical
from common.bundle.paths import MANIFEST, SIGNATURE
from common.bundle.signatures import Signature, path_of
from common.bundle.verification import verify
from common.crypto.identity import Identity
from common.errors import (
    BundleError,
    BundleSignatureError,
    CounterSignatureError,
    RosterError,
    TooFewSignaturesError,
    UnknownSignerError,
)
from common.plan import Party, Plan
from server.countersigning import add

from .made import changed_json, copied, key_of, manifest_of, rehashed, resigned, sign_site

EAST = "site-east"


def signature_in(folder, name=EAST):
    return Signature.from_json((folder / path_of(name)).read_bytes(), name, CounterSignatureError)


def put(folder, signature, name=EAST):
    (folder / path_of(name)).write_bytes(signature.to_json())


def test_a_forged_counter_signature(mine):
    made = signature_in(mine)
    other = "0" if made.signature[0] != "0" else "1"
    put(mine, made.model_copy(update={"signature": other + made.signature[1:]}))
    with pytest.raises(CounterSignatureError):
        verify(mine)


def test_a_stranger_signs_in_a_sites_name(mine, tmp_path):
    stranger = Identity.load_or_create(tmp_path / "stranger.key")
    party = Party(name=EAST, identity=stranger.public)
    sign_site(mine, manifest_of(mine), party, stranger)
    with pytest.raises(CounterSignatureError):
        verify(mine)


def test_somebody_outside_the_roster_signs(mine, tmp_path):
    stranger = Identity.load_or_create(tmp_path / "stranger.key")
    sign_site(mine, manifest_of(mine), Party(name="site-moon", identity=stranger.public), stranger)
    with pytest.raises(CounterSignatureError, match="roster"):
        verify(mine)


def test_a_site_cannot_sign_for_another(mine, run):
    manifest = manifest_of(mine)
    with pytest.raises(BundleError):
        Signature.make("site", manifest.sites[0], key_of(run, manifest.sites[1].name), manifest)
    put(mine, signature_in(mine, "site-west"), EAST)
    with pytest.raises(CounterSignatureError):
        verify(mine)


def test_a_signature_of_another_bundle_of_the_same_run(mine, run, tmp_path):
    """Replay: the same plan and the same keys, one document differs."""
    other = copied(mine, tmp_path / "other")
    (other / "DATASHEET.md").write_text("# another\n")
    resigned(other, run)
    verify(other)
    put(mine, signature_in(other))
    with pytest.raises(CounterSignatureError, match="another manifest"):
        verify(mine)
    (mine / SIGNATURE).write_bytes((other / SIGNATURE).read_bytes())
    with pytest.raises(BundleSignatureError, match="another manifest"):
        verify(mine)


def test_the_coordinators_signature_is_no_sites(mine, run):
    """Labels keep roles apart, even under one key."""
    manifest = manifest_of(mine)
    one = Party(name="site-east", identity=key_of(run, EAST).public)
    as_coordinator = Signature.make("coordinator", one, key_of(run, EAST), manifest)
    put(mine, as_coordinator.model_copy(update={"role": "site"}))
    with pytest.raises(CounterSignatureError, match="does not verify"):
        verify(mine)
    put(mine, as_coordinator)
    with pytest.raises(CounterSignatureError):
        verify(mine)


def test_a_signature_over_bare_bytes_is_not_one_under_a_manifest(mine, run):
    """A key that signs something else, a frame of a run say, signs no release by it."""
    said = {**signature_in(mine).model_dump(exclude={"signature"})}
    bare = key_of(run, EAST).sign(canonical(said)).hex()
    put(mine, Signature.model_validate({**said, "signature": bare}))
    with pytest.raises(CounterSignatureError):
        verify(mine)


def test_too_few(mine):
    (mine / path_of(EAST)).unlink()
    with pytest.raises(TooFewSignaturesError, match=EAST):
        verify(mine)
    assert len(verify(mine, complete=False).signed) == 3


def test_the_manifest_cannot_ask_for_fewer_than_the_plan(mine, run):
    resigned(mine, run, signatures=0)
    with pytest.raises(RosterError):
        verify(mine)


def test_adding_is_all_or_nothing(mine, run, tmp_path):
    ours = {name: signature_in(mine, name) for name in (EAST, "site-west")}
    files = {name: tmp_path / f"{name}.signature.json" for name in ours}
    for name, made in ours.items():
        (mine / path_of(name)).unlink()
        made.write(files[name])
    stranger = Identity.load_or_create(tmp_path / "stranger.key")
    foreign = tmp_path / "moon.json"
    manifest = manifest_of(mine)
    Signature.make("site", Party(name="moon", identity=stranger.public), stranger, manifest).write(foreign)
    for bad in (foreign, tmp_path / "nowhere", mine / MANIFEST):
        with pytest.raises(CounterSignatureError):
            add(mine, [files[EAST], bad])
        assert not (mine / path_of(EAST)).exists()
    assert len(add(mine, list(files.values())).signed) == 4
    assert len(add(mine, [files[EAST]]).signed) == 4  # again, it changes nothing
    verify(mine)


def test_adding_to_a_zip(zipped, mine, tmp_path):
    from common.bundle.archive import write_zip
    from common.bundle.contents import FolderContents

    sent, path = tmp_path / "east.json", tmp_path / "three.zip"
    signature_in(mine).write(sent)
    (mine / path_of(EAST)).unlink()
    write_zip(FolderContents(mine), path)
    with pytest.raises(TooFewSignaturesError):
        verify(path)
    assert len(add(path, [sent]).signed) == 4
    assert path.read_bytes() == zipped.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bundle", "east.json", "three.zip"]


def made_up(folder, tmp_path, names):
    """The bundle as one of another roster, signed by its coordinator alone: (manifest, keys by name)."""
    keys = {name: Identity.load_or_create(tmp_path / f"{name}.key") for name in ("coordinator", *names)}
    parties = {name: Party(name=name, identity=key.public) for name, key in keys.items()}
    plan = Plan.from_json((folder / "plan.json").read_bytes())
    sites = tuple(parties[name] for name in names)
    roster = plan.federation.model_copy(update={"coordinator": parties["coordinator"], "sites": sites})
    other = plan.model_copy(update={"federation": roster})
    (folder / "plan.json").write_bytes(other.to_json())
    for name in ("report.json", "generator.json"):
        changed_json(folder / name, lambda content: content.update(plan=other.hash))
    for path in (folder / "signatures").iterdir():
        path.unlink()
    (folder / "generator.onnx").unlink()  # which names the plan, and can be made anew or left out
    listed = [party.model_dump() for party in sites]
    coordinator = parties["coordinator"].model_dump()
    manifest = rehashed(folder, plan=other.hash, coordinator=coordinator, sites=listed)
    signature = Signature.make("coordinator", parties["coordinator"], keys["coordinator"], manifest)
    (folder / SIGNATURE).write_bytes(signature.to_json())
    return manifest, keys


def test_a_made_up_federation_is_only_caught_by_knowing_the_coordinator(mine, run, tmp_path):
    """What verification says it does not prove: whoever makes up the whole roster can sign for all of it."""
    manifest, keys = made_up(mine, tmp_path, "abcd")
    for party in manifest.sites:
        sign_site(mine, manifest, party, keys[party.name])
    assert not verify(mine).pinned
    with pytest.raises(UnknownSignerError):
        verify(mine, signer=key_of(run).public)


@pytest.mark.parametrize("name", ["aux", "COM1", "nul.north"])
def test_a_signature_that_no_bundle_can_hold_leaves_the_others_out_too(mine, tmp_path, name):
    """Today's coordinators invite nobody of such a name."""
    manifest, keys = made_up(mine, tmp_path, ("a", "b", "c", name))
    files = []
    for party in (manifest.sites[0], manifest.sites[-1]):
        files.append(tmp_path / f"{party.name}.signature.json")
        Signature.make("site", party, keys[party.name], manifest).write(files[-1])
    with pytest.raises(CounterSignatureError, match="device"):
        add(mine, files)
    assert list((mine / "signatures").iterdir()) == []
    assert len(add(mine, files[:1]).signed) == 1

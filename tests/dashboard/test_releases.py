"""Releases of a simulation: the gate first, then a bundle, its evidence, verification and signatures."""

import io
import shutil
import zipfile

import pytest

from common.web.headers import DOCUMENT_POLICY
from server.bundle_pages import page, portable_generator
from server.bundling import Wanted, bundle
from server.dashboard.application import dashboard
from server.dashboard.commands import Command
from server.dashboard.places import find
from server.finished import finished
from tests.web.browser import served
from tests.web.inside import Inside, code

REASON = "Made-up records of a test; nobody is in them."


@pytest.fixture(scope="module")
def released(simulated, tmp_path_factory):
    """The same simulation elsewhere, with its bundle."""

    out = tmp_path_factory.mktemp("released") / "heart"
    for suffix in ("", ".run"):
        shutil.copytree(simulated.with_name("heart" + suffix), out.with_name("heart" + suffix))
    wanted = Wanted(override=REASON, public_records=True)
    bundle(finished(out), out.with_name("heart.bundle"), wanted, (portable_generator, page))
    shown = find(out)
    with (
        served(lambda port: dashboard(shown, None, read_only=False, port=port)) as (web, _),
        Inside(web) as browser,
    ):
        yield browser, f"/releases/{next(iter(shown.places()))}", out.with_name("heart.bundle")


def test_a_release_needs_a_reason_where_the_gate_did_not_pass(watching, simulated):
    where = f"/releases/{next(iter(find(simulated).places()))}"
    offered = watching.get(where)
    assert offered.status_code == 200
    assert "Why it is released all the same" in offered.text
    refused = watching.act(f"{where}/make", override=" ", licence="CC-BY-4.0")
    assert (refused.status_code, code(refused)) == (400, "gate-failed")
    assert 'value="CC-BY-4.0"' in refused.text  # nothing is lost
    assert list(simulated.parent.glob("*.bundle*")) == []
    for number in ("²", "9" * 5000):
        assert watching.act(f"{where}/{number}/countersign", signature="").status_code == 404
    for gone in ("/releases/000000000000", f"{where}/0", f"{where}/0/zip", f"{where}/0/evidence"):
        assert watching.get(gone).status_code == 404


def test_evidence_is_the_released_page_in_a_sandbox(released):
    browser, where, folder = released
    shown = browser.get(f"{where}/0/evidence")
    assert shown.content == (folder / "report.html").read_bytes()
    assert shown.headers["content-security-policy"] == DOCUMENT_POLICY
    assert browser.get(where).headers["content-security-policy"] != DOCUMENT_POLICY


def test_the_download_is_the_whole_bundle(released):
    browser, where, folder = released
    kept = browser.get(f"{where}/0/zip")
    assert kept.headers["content-disposition"].endswith('.bundle.zip"')
    with zipfile.ZipFile(io.BytesIO(kept.content)) as archive:
        names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert set(archive.namelist()) == names


def test_a_verification_says_what_is_proven_and_what_is_wrong(released):
    browser, where, folder = released
    said = browser.get(f"{where}/0/verified")
    assert "Verified" in said.text
    assert "This was a simulation" in said.text
    assert "That noise was really added" in said.text
    assert REASON in said.text
    records = max((folder / "synthetic").iterdir(), key=lambda path: path.stat().st_size)
    whole = records.read_bytes()
    try:
        records.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        said = browser.get(f"{where}/0/verified")
        assert "Does not verify" in said.text
        assert code(said) == "bundle-altered"
    finally:
        records.write_bytes(whole)
    assert "Verified" in browser.get(f"{where}/0").text  # the page for who has no scripts


def test_only_a_sites_own_signature_is_added(released):
    browser, where, folder = released
    path = min((folder / "signatures").glob("*.json"))
    good = path.read_text()
    path.unlink()
    last = good.index('"signature":"') + len('"signature":"')
    forged = good[:last] + ("0" if good[last] != "0" else "1") + good[last + 1 :]
    for wrong in ("", "{}", forged):
        refused = browser.act(f"{where}/0/countersign", signature=wrong)
        assert refused.status_code == 400
        assert "what was pasted" in refused.text or code(refused).startswith("bundle")
        assert not path.exists()
    assert browser.act(f"{where}/0/countersign", signature=good).status_code == 303
    assert path.exists()


def test_a_command_says_its_own_error(tmp_path):
    with pytest.raises(Exception, match="there is no run") as refused:
        Command("release", str(tmp_path / "nothing")).run()
    assert refused.value.refusal_code == "config"

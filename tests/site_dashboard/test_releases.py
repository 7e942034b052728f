"""Releases at a site are verified before anything of them is shown or drawn from."""

import shutil

import pytest

from client.dashboard.application import make
from tests.bundle.conftest import out, run, shared, whole, zipped  # noqa: F401 (fixtures)
from tests.web.browser import served
from tests.web.inside import Inside

from .conftest import NAME
from .test_pages import settled, text


@pytest.fixture
def folder(run, tmp_path):  # noqa: F811
    """A site of the run that was released."""
    shutil.copytree(run / "sites" / NAME, tmp_path / NAME)
    (tmp_path / NAME / "releases").mkdir()
    return tmp_path / NAME


def shown(inside):
    return settled(inside, "/releases", "/releases/part", "hx-trigger")


def test_a_release_is_verified_and_played_with(folder, inside, whole, zipped):  # noqa: F811
    assert "There is no release here" in text(shown(inside))
    shutil.copytree(whole, folder / "releases" / "heart")
    shutil.copy(zipped, folder / "releases" / "heart.zip")
    (folder / "releases" / "link").symlink_to(whole)  # could lead anywhere
    said = text(shown(inside))
    assert said.count("verified run") == 2
    assert "link" not in said.partition("They lie")[0].replace("likely", "")
    assert "This was a simulation" in said
    assert "Not proven" in said
    for name in ("heart", "heart.zip"):
        assert inside.get("/playground", params={"release": name, "n": 5}).status_code == 200
    assert inside.get("/playground", params={"release": "link"}).status_code == 400
    assert inside.get("/playground", params={"release": "../../identity.key"}).status_code == 400


@pytest.mark.parametrize("name", ["generator.onnx", "report.json"])
def test_what_was_changed_is_never_drawn_from(folder, inside, whole, zipped, name):  # noqa: F811
    shutil.copy(zipped, folder / "releases" / "sound.zip")
    place = folder / "releases" / "heart"
    shutil.copytree(whole, place)
    assert "verified run" in text(shown(inside))
    assert inside.get("/playground", params={"release": "heart"}).status_code == 200
    raw = (place / name).read_bytes()
    (place / name).write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    said = text(shown(inside))
    assert "not what it says" in said
    assert f"{name} is not the file that was signed" in said
    assert inside.get("/playground", params={"release": "sound.zip"}).status_code == 200
    assert inside.get("/playground", params={"release": "heart"}).status_code == 400


def test_copies_of_generators_are_gone_with_the_dashboard(folder, whole):  # noqa: F811
    shutil.copytree(whole, folder / "releases" / "heart")
    with served(lambda port: make(folder, read_only=True, port=port)) as (web, _), Inside(web) as inside:
        shown(inside)
        copies = web.app.state.site.releases._copies
        (copy,) = copies.iterdir()
        assert copies.stat().st_mode & 0o077 == copy.stat().st_mode & 0o077 == 0
    web.app.state.site.releases._gone()
    assert not copies.exists()

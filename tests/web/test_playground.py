"""The playground draws what was asked from real generators, says what it is, and gives it as marked files."""

import base64
import csv
import dataclasses
import hashlib
import io
import json
import re
import zipfile
from urllib.parse import urlencode

import httpx
import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from PIL import Image

from common.sampler.errors import FileError
from common.sampler.provenance import SOURCE_TYPE
from common.sampler.sampling import sample
from common.schema import Channel, SignalSchema
from common.web import playground
from common.web.playground import drawing, shelf
from server.onnx_export import export_onnx
from tests import released, toy_arrays
from tests.web.browser import served
from tests.web.inside import Inside, code
from tests.web.made import dashboard

LEADS = SignalSchema(
    kind="signal",
    name="leads",
    label=toy_arrays.WAVES.label,
    sampling_rate=100,
    length=40,
    channels=tuple(
        Channel(name=name, unit=unit, bounds=(-2, 3))
        for name, unit in [*((name, "mV") for name in "abcd"), ("p", "kPa")]
    ),
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Releases of each kind, by names that people could give."""
    root = tmp_path_factory.mktemp("releases")
    made = {
        "Lauf 1/ö": released.table(prior=[0.5, 0.3, 0.2, 0, 0, 0]),
        "digits": released.arrays(toy_arrays.DIGITS),
        "waves": released.arrays(toy_arrays.WAVES),
        "leads": released.arrays(LEADS),
    }
    for place, generator in enumerate(made.values()):
        (root / str(place)).mkdir()
        export_onnx(generator, root / str(place) / "generator.onnx")
    return {name: root / str(place) for place, name in enumerate(made)}


@pytest.fixture(scope="module")
def inside(folders):
    def make(port):
        web = dashboard(port, read_only=True)
        playground.add(web, lambda: folders)
        return web

    with served(make) as (web, _), Inside(web) as browser:
        yield browser


def asked(inside, release="Lauf 1/ö", **fields):
    where = {
        name.replace("is_", "is:").replace("low_", "low:").replace("high_", "high:"): v
        for name, v in fields.items()
    }
    return inside.get("/playground", params={"release": release, **where})


def cells(page):
    """Rows of the table, by column."""
    heads = re.findall(r'<th scope="col"[^>]*>([^<]+)</th>', page)
    rows = re.findall(r"<tr>(<td.*?)</tr>", page)
    return [dict(zip(heads, re.findall(r"<td[^>]*>(.*?)</td>", row), strict=True)) for row in rows]


def test_a_table_is_shown_at_once_with_what_it_is(inside):
    page = inside.get("/playground")
    assert page.status_code == 200
    assert len(cells(page.text)) == 10
    for said in (
        "Synthetic",
        "ε = 1, δ = 1e-05, add/remove one record",
        "10 synthetic records",
        "costs no privacy",
    ):
        assert said in page.text
    assert asked(inside).text == page.text  # the first release, the same seed
    assert cells(asked(inside, seed=1).text) != cells(page.text)


def test_conditions_hold_in_every_row(inside):
    rows = cells(
        asked(inside, is_diagnosis="=none", is_smoker="missing", low_ward="200", high_ward="400.5", n=40).text
    )
    assert len(rows) == 40
    for row in rows:
        assert row["diagnosis"] == "none"
        assert 200 <= float(row["ward"]) <= 400.5
        assert 'aria-label="missing"' in row["smoker"]
        assert row["visits"] in "01"  # a constraint of the schema
    free = cells(asked(inside, n=200).text)
    assert {row["diagnosis"] for row in free} == {"none", "mild"}
    assert min(float(row["ward"]) for row in free) < 200
    even = cells(asked(inside, n=90, balance="diagnosis").text)
    assert sorted(sum(row["diagnosis"] == one for row in even) for one in ("none", "mild", "bad")) == [
        30,
        30,
        30,
    ]


def test_the_form_keeps_what_was_asked(inside):
    page = asked(inside, is_diagnosis="=mild", low_ward="200", n=7, balance="sex", seed=5).text
    for kept in (
        '<option value="=mild" selected>',
        'value="200"',
        'value="7"',
        '<option value="sex" selected>',
        "open>",
    ):
        assert kept in page
    assert '<option value="=mild" selected>' not in asked(inside).text
    assert "Narrow other columns" in page
    for name in ("admitted", "grade", "smoker", "diagnosis"):
        assert name in page
    part = inside.get("/playground", params={"again": 1}, headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert 'hx-swap-oob="true"' in part
    seeds = {re.search(r'name="seed" value="(\d+)"', asked(inside, again=1).text)[1] for _ in range(3)}
    assert len(seeds) == 3


def test_what_training_never_saw_is_said(inside):
    assert "Hardly seen in training" in asked(inside, is_diagnosis="=bad").text
    assert "diagnosis bad, sex f" in asked(inside, is_diagnosis="=bad", is_sex="=f").text
    assert "Hardly seen in training" not in asked(inside, is_diagnosis="=none", is_sex="=f").text


@pytest.mark.parametrize(
    ("fields", "expected", "says"),
    [
        ({"low_ward": "5000"}, "impossible-condition", "ward goes from"),
        ({"is_diagnosis": "=none", "is_smoker": "=yes, often"}, "impossible-condition", "schema says"),
        ({"is_diagnosis": "=worse"}, "unknown-condition", "none, mild, bad"),
        ({"low_ward": "<b>"}, "unknown-condition", "numbers"),
        ({"is_diagnosis": "missing"}, "impossible-condition", "never missing"),
        ({"n": "0"}, "config", "1 to 1,000"),
        ({"n": "1001"}, "config", "1 to 1,000"),
        ({"n": "ten"}, "config", "1 to 1,000"),
        ({"seed": "-1"}, "config", "0 to"),
        ({"balance": "ward"}, "config", "no condition"),
        ({"release": "../run"}, "config", "choose one of the list"),
        ({"release": "digits", "balance": "digit"}, "config", "only tables"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said_beside_the_form(inside, fields, expected, says):
    answer = asked(inside, **fields)
    assert (answer.status_code, code(answer)) == (400, expected)
    assert says in answer.text
    assert "<b>" not in answer.text
    part = inside.get("/playground", params=dict(answer.request.url.params), headers={"HX-Request": "true"})
    assert (part.status_code, code(part)) == (400, expected)


def test_what_is_too_rare_ends_after_so_many_candidates(inside, monkeypatch):
    limits = []

    def spied(*wanted, **given):
        limits.append(given["limits"])
        return sample(*wanted, **given)

    monkeypatch.setattr(drawing, "sample", spied)
    fields = {"low_drugs": "399.99", "high_drugs": "399.99", "low_ward": "871.3", "high_ward": "871.3"}
    answer = asked(inside, **fields)
    assert (answer.status_code, code(answer)) == (400, "impossible-condition")
    assert "widen a range" in answer.text
    assert limits[0].free + 1000 * limits[0].each <= 1 << 20
    assert limits[0].at_once * 10 * 16 <= 1 << 27  # bytes of candidates


def kept(inside, form, release="Lauf 1/ö", **fields):
    answer = inside.get("/playground/file", params={"release": release, "as": form, **fields})
    assert answer.status_code == 200, answer.text
    name = re.fullmatch(r'attachment; filename="([A-Za-z0-9._-]+)"', answer.headers["content-disposition"])[1]
    assert "synthetic" in name
    return answer.content


def test_tables_are_kept_with_their_mark(inside):
    shown = cells(asked(inside, is_sex="=f", n=20, seed=3).text)
    wanted = {"is:sex": "=f", "n": 20, "seed": 3}
    with zipfile.ZipFile(io.BytesIO(kept(inside, "csv", **wanted))) as archive:
        name, mark = archive.namelist()
        rows = list(csv.DictReader(io.StringIO(archive.read(name).decode())))
        marked = json.loads(archive.read(mark))
    assert mark == name + ".provenance.json"
    assert [row["admitted"] for row in rows] == [row["admitted"] for row in shown]
    assert {row["sex"] for row in rows} == {"f"}
    assert marked["digital-source-type"] == SOURCE_TYPE
    table = pq.read_table(io.BytesIO(kept(inside, "parquet", **wanted)))
    assert json.loads(table.schema.metadata[b"synthetic"]) == marked
    assert [str(one) for one in table["admitted"].to_pylist()] == [row["admitted"] for row in rows]
    whole = json.loads(kept(inside, "json", **wanted))
    assert whole["synthetic"] == marked
    assert [row["admitted"] for row in whole["records"]] == [row["admitted"] for row in rows]
    assert whole["records"][0]["visits"] == int(rows[0]["visits"])


def test_a_file_may_be_longer_than_a_page_and_no_longer_than_that(inside):
    assert len(json.loads(kept(inside, "json", n=3000))["records"]) == 3000
    for form, release, n in (
        ("json", "Lauf 1/ö", 100_001),
        ("csv", "leads", 100_000),
        ("npz", "digits", 100_000),
    ):
        answer = inside.get("/playground/file", params={"as": form, "release": release, "n": n})
        assert (answer.status_code, code(answer)) == (400, "config")
        assert "1 to " in answer.text
    for form, release in (("exe", "Lauf 1/ö"), ("csv", "digits"), ("png", "waves"), ("", "digits")):
        answer = inside.get("/playground/file", params={"as": form, "release": release})
        assert (answer.status_code, code(answer)) == (400, "config")


def test_every_picture_is_marked(inside):
    page = asked(inside, "digits", is_digit="=7", n=12).text
    found = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="Synthetic image (\d+), (\d)">', page)
    assert [(place, label) for _, place, label in found] == [(str(place), "7") for place in range(1, 13)]
    for content, _, _ in found:
        with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
            assert picture.size == (28, 28)
            assert picture.text["Synthetic"] == "true"
            assert picture.text["Epsilon"] == "1"
            assert SOURCE_TYPE in picture.text["XML:com.adobe.xmp"]
    assert "12 synthetic images" in page
    with Image.open(io.BytesIO(kept(inside, "png", "digits", n=30))) as grid:
        assert grid.text["Synthetic"] == "true"
        assert grid.size[0] > 28
    whole = np.load(io.BytesIO(kept(inside, "npz", "digits", n=30, **{"is:digit": "=7"})), allow_pickle=False)
    assert (whole["x"].shape, set(whole["y"].tolist())) == ((30, 1, 28, 28), {7})
    assert "Synthetic=true" in whole["synthetic"].tolist()


def test_signals_are_drawn_with_their_units(inside):
    page = asked(inside, "leads", is_kind="=ramp", n=2).text
    titles = re.findall(r'<figcaption class="head">([^<]+)</figcaption>', page)
    assert titles == [f"{n}. kind: ramp, {unit}" for n in (1, 2) for unit in ("mV", "mV", "kPa")]
    assert re.findall(r'"key (?:first|second|third)"></span>(\w)', page) == list("abcdp") * 2
    assert "<span>0.39</span>" in page  # the last of 40 samples at 100 a second
    assert "<span>seconds</span>" in page
    with zipfile.ZipFile(io.BytesIO(kept(inside, "csv", "leads", n=3))) as archive:
        name, mark = archive.namelist()
        rows = list(csv.reader(io.StringIO(archive.read(name).decode())))
        assert json.loads(archive.read(mark))["synthetic"] == "true"
    assert rows[0] == ["record", "kind", "seconds", *(f"{one} (mV)" for one in "abcd"), "p (kPa)"]
    assert len(rows) == 1 + 3 * 40
    whole = np.load(io.BytesIO(kept(inside, "npz", "leads", n=3)), allow_pickle=False)
    written = np.array([[float(cell) for cell in row[3:]] for row in rows[1:]]).reshape(3, 40, 5)
    np.testing.assert_allclose(whole["x"].transpose(0, 2, 1), written, rtol=1e-5)


def test_a_page_that_says_nothing_of_how_many_keeps_to_its_bound(folders):
    """A network of large records, of which fewer than usual are drawn at once."""
    for name in folders:
        found = shelf.Shelf(lambda: folders).get(name)
        assert 1 <= drawing.most_of(found).usual <= drawing.most_of(found).shown
    digits = shelf.Shelf(lambda: folders).get("digits")
    large = dataclasses.replace(digits, kind=dataclasses.replace(digits.kind, shape=(1, 300, 300)))
    assert (drawing.most_of(large).usual, drawing.most_of(large).shown) == (11, 11)
    waves = shelf.Shelf(lambda: folders).get("waves")
    wide = dataclasses.replace(waves, kind=dataclasses.replace(waves.kind, shape=(30, 40)))
    assert (drawing.most_of(wide).usual, drawing.most_of(wide).shown) == (1, 1)


@pytest.mark.parametrize(
    "schema", ["[]", "{", "[" * 100_000, "{}", "of waves", "of leads"], ids=lambda s: s[:9]
)
def test_a_generator_without_the_schema_of_its_records_is_refused(folders, tmp_path, schema):
    """The network is sound and the file agrees with itself: only what pages would show is foreign."""
    forged = onnx.load(str(folders["digits"] / "generator.onnx"))
    said = {one.key: one.value for one in forged.metadata_props}
    if schema.startswith("of"):
        schema = {"of waves": toy_arrays.WAVES, "of leads": LEADS}[schema].model_dump_json()
    for text, sound in ((schema, False), (said["schema"], True)):
        about = {**said, "schema": text, "schema_hash": f'"{hashlib.sha256(text.encode()).hexdigest()}"'}
        onnx.helper.set_model_props(forged, about)
        (tmp_path / "generator.onnx").write_bytes(forged.SerializeToString())
        found = shelf.Shelf(lambda: {"one": tmp_path})
        if sound:
            assert found.get("one").facts["name"] == "digits"
        else:
            with pytest.raises(FileError, match="no schema of its records"):
                found.get("one")


def test_generators_are_read_once_and_again_when_replaced(folders, tmp_path, monkeypatch):
    read = []
    sound = shelf.load(folders["digits"])
    monkeypatch.setattr(shelf, "load", lambda path: read.append(path) or dataclasses.replace(sound))
    path = tmp_path / "generator.onnx"
    path.write_bytes(b"1")
    found = shelf.Shelf(lambda: {"a": tmp_path, "b": path, **{str(n): tmp_path / str(n) for n in range(5)}})
    assert found.get("a") is found.get("a") is found.get("b")
    assert len(read) == 1
    path.write_bytes(b"12")
    found.get("a")
    assert len(read) == 2
    for n in range(5):
        (tmp_path / str(n)).write_bytes(b"")
        found.get(str(n))
    found.get("a")
    assert len(read) == 8  # it had to make room


def test_a_damaged_release_and_none_are_said(tmp_path):
    (tmp_path / "generator.onnx").write_bytes(b"no network")
    given = {}

    def make(port):
        web = dashboard(port)
        playground.add(web, lambda: given)
        return web

    with served(make) as (web, _), Inside(web) as browser:
        assert "There is no release here yet" in browser.get("/playground").text
        given.update({"one": tmp_path, "two": tmp_path / "nowhere"})
        for name in given:
            answer = browser.get("/playground", params={"release": name})
            assert (answer.status_code, code(answer)) == (400, "storage")
            assert str(tmp_path) not in answer.text


def test_nobody_else_may_draw(inside):
    for path in ("/playground", "/playground/file?" + urlencode({"release": "digits", "as": "png"})):
        assert httpx.get(inside.origin + path).status_code == 401
        assert inside.get(path).status_code == 200

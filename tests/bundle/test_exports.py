"""What others read of a bundle: exports, marks and the list of software, by the rules of their formats."""

import json
import re
from datetime import datetime
from importlib.metadata import version

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from common.arrays import SOURCE_TYPE, Arrays
from common.bundle import croissant, marks
from common.bundle.data_package import data_package, slug
from common.bundle.manifest import File
from common.bundle.sdv_metadata import sdv_metadata
from common.evidence import documents
from common.evidence.groups import groups_of
from common.evidence.sbom import sbom
from common.modalities.array_files import read_arrays
from tests import released, toy, toy_arrays
from tests.released import MIXED

from .made import manifest_of

FACTS = {"plan": "ab" * 32, "epsilon": 3.0, "delta": 1e-5, "unit": "add/remove one record", "run": "toy"}


def read(folder, name):
    return json.loads((folder / name).read_text())


def test_sdv_metadata(whole):
    found = read(whole, "sdv_metadata.json")
    assert found == sdv_metadata(toy.SCHEMA)
    assert (found["METADATA_SPEC_VERSION"], found["relationships"]) == ("V1", [])
    columns = found["tables"]["toy"]["columns"]
    assert list(columns) == list(pd.read_csv(whole / "synthetic/records.csv").columns)
    assert {c["sdtype"] for c in columns.values()} == {"numerical", "categorical"}
    assert columns["grade"] == {"sdtype": "categorical", "order": [1, 2, 3]}
    numbers = {name: c["computer_representation"] for name, c in columns.items() if "computer_rep" in str(c)}
    assert numbers == {"age": "Int64", "cost": "Float"}


def test_a_data_package_describes_every_row(whole):
    """Table Schema's rules, applied to the CSV as its text stands."""
    package = read(whole, "datapackage.json")
    assert re.fullmatch(r"[a-z0-9._-]+", package["name"])
    assert package["$schema"].endswith("/2.0/datapackage.json")
    assert package["licenses"] == [{"name": "cc-by-4.0", "title": "CC-BY-4.0"}]
    datetime.fromisoformat(package["created"])
    listed = {file.path: file for file in manifest_of(whole).files}
    for resource in package["resources"]:
        file = listed[resource["path"]]
        assert (resource["bytes"], resource["hash"]) == (file.size, f"sha256:{file.sha256}")
    (table,) = (r for r in package["resources"] if r.get("type") == "table")
    frame = pd.read_csv(whole / table["path"], dtype=str, keep_default_na=False)
    fields = table["schema"]["fields"]
    assert [field["name"] for field in fields] == list(frame.columns)
    assert table["schema"]["missingValues"] == [""]
    for field in fields:
        texts, rules = frame[field["name"]], field["constraints"]
        assert not rules["required"] or (texts != "").all()
        given = texts[texts != ""]
        if field["type"] == "string":
            assert given.isin(rules["enum"]).all()
            continue
        pattern = r"-?\d+" if field["type"] == "integer" else r"-?\d+(\.\d+)?"
        assert given.str.fullmatch(pattern).all(), field["name"]
        if "enum" in rules:
            assert given.astype(int).isin(rules["enum"]).all()
        else:
            assert given.astype(float).between(rules["minimum"], rules["maximum"]).all()


def test_dates_are_days_of_the_calendar():
    """As the CSV has them, in every export and in what people read; no days since 1970."""
    admitted = MIXED.columns[0]
    assert admitted.kind == "date"
    about = {"version": "1", "made": "2027-01-31", "licence": None}
    file = File(path="synthetic/records.csv", size=3, sha256="ab" * 32, media="text/csv")
    field = data_package(MIXED, [file], **about)["resources"][0]["schema"]["fields"][0]
    bounds = {"minimum": "2019-01-01", "maximum": "2020-12-31"}
    assert (field["type"], field["constraints"]) == ("date", {"required": True, **bounds})
    found = croissant.croissant(MIXED, [file], **about, cite="", responsible={})
    field = found["recordSet"][0]["field"][0]
    assert (field["dataType"], field["description"]) == ("sc:Date", "2019-01-01 to 2020-12-31")
    said = sdv_metadata(MIXED)["tables"]["mixed"]["columns"]["admitted"]
    assert said == {"sdtype": "datetime", "datetime_format": "%Y-%m-%d"}
    assert documents.columns(MIXED)[0] == ("admitted", "2019-01-01 to 2020-12-31", "")
    labels = {label for groups in groups_of(MIXED, released.table().grouping)[:2] for label in groups.labels}
    assert "2019-01-01" in labels
    day = r"20\d\d-\d\d-\d\d"
    assert all(re.fullmatch(f"{day}(\N{EN DASH}{day})?|missing", label) for label in labels)
    assert any(label.endswith("2021-06-30") for label in labels)


def test_names_that_formats_do_not_take():
    assert slug("Über Größe / 2") == "ber-gr-e-2"
    assert slug("???") == "records"


def test_croissant_refers_to_what_is_there(whole):
    found = read(whole, "croissant.json")
    assert found["@type"] == "sc:Dataset"
    assert found["conformsTo"][0] == "http://mlcommons.org/croissant/1.0"
    assert found["@context"]["rai"] == "http://mlcommons.org/croissant/RAI/"
    for name in ("name", "description", "license", "version", "datePublished"):
        assert found[name]
    said = [text for key, text in found.items() if key.startswith("rai:")]
    assert len(said) >= 5
    assert all(isinstance(text, str) for text in said)
    files = {file["@id"]: file for file in found["distribution"]}
    listed = {file.path: file for file in manifest_of(whole).files}
    for name, file in files.items():
        assert file["@type"] == "cr:FileObject"
        assert (file["sha256"], file["encodingFormat"]) == (listed[name].sha256, listed[name].media)
        assert file["contentUrl"] == name
    (records,) = found["recordSet"]
    columns = pd.read_csv(whole / "synthetic/records.csv").columns
    assert [field["source"]["extract"]["column"] for field in records["field"]] == list(columns)
    assert all(field["source"]["fileObject"]["@id"] in files for field in records["field"])
    assert {field["dataType"] for field in records["field"]} == {"sc:Integer", "sc:Text", "sc:Float"}
    ids = [field["@id"] for field in records["field"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("schema", [toy_arrays.DIGITS, toy_arrays.WAVES], ids=["image", "signal"])
def test_images_and_signals_have_files_and_no_columns(schema):
    file = File(path="synthetic/records.npz", size=3, sha256="ab" * 32, media="application/x-npz")
    about = {"version": "1", "made": "2027-01-31", "licence": None}
    package = data_package(schema, [file], **about)
    assert "licenses" not in package
    assert "schema" not in package["resources"][0]
    assert "recordSet" not in croissant.croissant(schema, [file], **about, cite="", responsible={})


def test_the_list_of_software():
    """CycloneDX 1.6, the rules of its JSON schema that concern us."""
    found = sbom("0.1.0", "2027-01-31", "ab" * 32)
    assert (found["bomFormat"], found["specVersion"], found["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", found["serialNumber"])
    datetime.fromisoformat(found["metadata"]["timestamp"])
    parts = {part["name"]: part for part in found["components"]}
    assert parts["numpy"]["version"] == version("numpy")
    assert {"torch", "cryptography", "pydantic", "rfc8785", "jinja2", "dp-accounting", "flwr"} <= parts.keys()
    assert "fedcgan" not in parts
    for part in parts.values():
        assert part["type"] == "library"
        assert re.fullmatch(r"pkg:pypi/[a-z0-9-]+@[\w.%+!-]+", part["purl"])
        for licence in part.get("licenses", ()):
            assert licence.keys() <= {"expression", "license"}
            assert len(licence) == 1
    references = {part["bom-ref"] for part in parts.values()} | {"fedcgan"}
    assert len(references) == len(parts) + 1
    assert {one["ref"] for one in found["dependencies"]} == references
    for one in found["dependencies"]:
        assert set(one["dependsOn"]) <= references
        assert len(set(one["dependsOn"])) == len(one["dependsOn"])
    numpy, pandas = parts["numpy"]["bom-ref"], parts["pandas"]["bom-ref"]
    assert numpy in next(one["dependsOn"] for one in found["dependencies"] if one["ref"] == pandas)
    assert found == sbom("0.1.0", "2027-01-31", "ab" * 32)


def test_tables_say_that_they_are_synthetic(whole):
    beside = read(whole, "synthetic/records.csv.provenance.json")
    assert (beside["synthetic"], beside["digital_source_type"]) == (True, SOURCE_TYPE)
    path = whole / "synthetic/records.parquet"
    mark = json.loads(pq.read_schema(path).metadata[b"synthetic"])
    for said in (beside, mark):
        assert said["plan"] == manifest_of(whole).plan
        assert said["epsilon"] == manifest_of(whole).epsilon
    frame = pd.read_parquet(path)
    assert len(frame) == len(pd.read_csv(whole / "synthetic/records.csv"))


def test_images_as_dicom(tmp_path):
    import pydicom

    digits = toy_arrays.digits()
    written = marks.write_dicoms(digits, toy_arrays.DIGITS, tmp_path / "dicom", FACTS)
    assert written == 80  # eight of each digit
    paths = sorted((tmp_path / "dicom").iterdir())
    assert len(paths) == written
    found = pydicom.dcmread(paths[0])
    assert found[0x0008, 0x001C].value == "YES"
    assert list(found.ImageType) == ["DERIVED", "SECONDARY"]
    assert "epsilon 3" in found.DerivationDescription
    assert found.PatientName == ""
    assert np.array_equal(found.pixel_array, digits.values[marks.examples(digits.labels)[0], 0])
    uids = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in paths}
    assert len(uids) == written
    for place, value in enumerate(digits.labels[marks.examples(digits.labels)][:3]):
        folder = tmp_path / "read" / str(value)
        folder.mkdir(parents=True, exist_ok=True)
        paths[place].rename(folder / paths[place].name)
    for value in range(10):
        (tmp_path / "read" / str(value)).mkdir(parents=True, exist_ok=True)
    assert (
        len(read_arrays(tmp_path / "read", toy_arrays.DIGITS)) == 3
    )  # our own reader sees no identity in it


def test_colour_images_as_dicom(tmp_path):
    import pydicom

    schema = toy_arrays.DIGITS.model_copy(update={"channels": 3})
    values = np.random.default_rng(0).integers(0, 256, (2, 3, 28, 28)).astype(np.uint8)
    marks.write_dicoms(Arrays(values, np.array([1, 0])), schema, tmp_path / "dicom", FACTS)
    found = pydicom.dcmread(tmp_path / "dicom" / "000001.dcm")
    assert np.array_equal(found.pixel_array, values[0].transpose(1, 2, 0))


def test_signals_as_edf(tmp_path):
    import edfio

    waves = toy_arrays.waves(40)
    assert marks.write_edfs(waves, toy_arrays.WAVES, tmp_path / "edf", FACTS) == 16
    found = edfio.read_edf(tmp_path / "edf" / "000001.edf")
    assert "synthetic" in found.recording.additional
    assert "fedcgan" in found.recording.equipment_code
    (signal,) = found.signals
    assert np.allclose(signal.data, waves.values[marks.examples(waves.labels)[0], 0], atol=1e-3)
    assert (signal.physical_dimension, signal.sampling_frequency) == ("mV", 16.0)


def test_a_length_that_edf_cannot_say_leaves_no_files(tmp_path):
    schema = toy_arrays.WAVES.model_copy(update={"sampling_rate": 16.0001})
    written = marks.write_edfs(toy_arrays.waves(10), schema, tmp_path / "edf", FACTS)
    assert written == len(list((tmp_path / "edf").glob("*"))) if written else not (tmp_path / "edf").exists()


def test_without_the_packages_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(marks.importlib.util, "find_spec", lambda _: None)
    assert marks.write_dicoms(toy_arrays.digits(), toy_arrays.DIGITS, tmp_path / "dicom", FACTS) == 0
    assert marks.write_edfs(toy_arrays.waves(), toy_arrays.WAVES, tmp_path / "edf", FACTS) == 0
    assert list(tmp_path.iterdir()) == []


def test_examples_are_the_first_of_each_class():
    labels = np.array([2, 0, 2, 1, 0] * 10)
    places = marks.examples(labels)
    assert np.array_equal(np.bincount(labels[places]), [8, 8, 8])
    assert np.array_equal(places, np.sort(places))
    assert len(marks.examples(np.arange(1000))) == marks.MOST_EXAMPLES

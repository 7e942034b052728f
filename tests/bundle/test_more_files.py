"""Files that not every bundle has: synthetic images and signals in their formats, the portable generator."""

import dataclasses
import json

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest

from common.bundle.evidence_file import EVIDENCE
from common.bundle.verification import verify
from common.bundle.words import not_proven, proven
from common.errors import DamagedGeneratorError, DisagreementError
from common.modalities import image_output, signal_output
from common.sampler import session
from common.sampler.output import write_table
from common.sampler.sampling import sample as draw
from common.sampler.session import NAME
from server.finished import finished
from server.onnx_export import export_onnx
from server.synthetic import write_synthetic
from tests import released, toy_arrays

from .made import changed_json, resigned

FACTS = {"Plan": "ab" * 32}


@pytest.mark.parametrize("kind", ["image", "signal"])
def test_images_and_signals_in_every_format(kind, out, tmp_path):
    arrays, schema = toy_arrays.of(kind)
    drawn = tmp_path / "release"
    drawn.mkdir()
    if kind == "image":
        image_output.write_npz(arrays.values, arrays.labels, schema, drawn / "synthetic.npz", FACTS)
        image_output.write_grid(arrays.values[None, :3], drawn / "gallery.png", FACTS)
    else:
        signal_output.write_npz(arrays.values, arrays.labels, schema, drawn / "synthetic.npz", FACTS)
        image_output.write_png(np.zeros((1, 4, 4), np.uint8), drawn / "gallery.png", FACTS)
    run = dataclasses.replace(finished(out), release=drawn, schema=schema)
    made = write_synthetic(run, {"epsilon": 3.0}, tmp_path / "synthetic")
    assert made == len(arrays)
    names = {path.name for path in (tmp_path / "synthetic").iterdir()}
    more = {"image": {"dicom"}, "signal": {"records.parquet", "edf"}}[kind]
    assert names == {"records.npz", "gallery.png", *more}
    marked = image_output.is_marked if kind == "image" else signal_output.is_marked
    for path in (tmp_path / "synthetic").glob("*.*"):
        assert image_output.is_marked(path) if path.suffix == ".png" else marked(path), path


def test_a_table_has_the_types_that_the_sampler_gives_it(out, tmp_path):
    """Whole numbers stay whole and dates dates, although the CSV between does not say so."""
    drawn = tmp_path / "release"
    drawn.mkdir()
    generator = released.table()
    sample = draw(generator.table, generator.chances, 300, [], seed=5)
    assert sample.values["discharged"].absent.any()  # what makes a reader guess
    write_table(sample, drawn / "synthetic.csv", generator.facts)
    write_table(sample, drawn / "same.parquet", generator.facts)
    run = dataclasses.replace(finished(out), release=drawn, schema=generator.schema)
    write_synthetic(run, {"epsilon": 3.0}, tmp_path / "synthetic")
    found, same = (
        pq.read_table(path).replace_schema_metadata(None)
        for path in (tmp_path / "synthetic" / "records.parquet", drawn / "same.parquet")
    )
    assert str(found.schema.field("discharged").type) == "date32[day]"
    assert found.equals(same)


def with_onnx(folder, run, **said):
    """The bundle with these facts in its portable generator, which is a real one."""
    model = onnx.load(str(folder / NAME))
    for entry in model.metadata_props:
        if entry.key in said:
            entry.value = json.dumps(said[entry.key])
    (folder / NAME).write_bytes(model.SerializeToString())
    resigned(folder, run)


def test_a_portable_generator_of_this_plan(whole, mine, run):
    found = verify(whole)
    assert found.onnx
    assert any(NAME in sentence for sentence in proven(found))
    (mine / NAME).unlink()
    resigned(mine, run)
    assert not any(NAME in sentence for sentence in proven(verify(mine)))


@pytest.mark.parametrize(
    "said", [{"plan": "ab" * 32}, {"epsilon": 0.1}, {"delta": 1e-9}, {"unit": "replace one record"}]
)
def test_one_that_says_something_else(said, mine, run):
    with_onnx(mine, run, **said)
    with pytest.raises(DisagreementError, match=f"{NAME}.*{next(iter(said))}"):
        verify(mine)


def test_one_of_another_schema_or_that_says_nothing(mine, run):
    model = onnx.load(str(mine / NAME))
    onnx.helper.set_model_props(model, {})
    for raw in (released_onnx(mine.parent), model.SerializeToString(), b"\xff" * 100):
        (mine / NAME).write_bytes(raw)
        resigned(mine, run)
        with pytest.raises((DisagreementError, DamagedGeneratorError), match=NAME):
            verify(mine)


def released_onnx(folder):
    export_onnx(released.table(), folder / NAME)
    return (folder / NAME).read_bytes()


def test_no_runtime_reads_a_file_of_another_form(mine, run, monkeypatch):
    """The form is looked at first: a file could have others read into its output."""
    opened = []
    monkeypatch.setattr(session, "_session", opened.append)
    model = onnx.load(str(mine / NAME))
    model.graph.node.append(onnx.helper.make_node("Loop", [], []))
    (mine / NAME).write_bytes(model.SerializeToString())
    resigned(mine, run)
    with pytest.raises(DamagedGeneratorError):
        verify(mine)
    assert opened == []


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said["budget"].update(epsilon=0.1),
        lambda said: said["budget"].update(delta=1e-9),
        lambda said: said["budget"].update(target=0.1),
        lambda said: said["budget"]["observers"][0].update(epsilon=0.1),
        lambda said: said["budget"].pop("observers"),
        lambda said: said["gate"].update(verdict="failed"),
        lambda said: said.update(gate=None),
    ],
)
def test_numbers_of_the_page_that_are_others(change, mine, run):
    changed_json(mine / EVIDENCE, change)
    resigned(mine, run)
    with pytest.raises(DisagreementError, match=EVIDENCE):
        verify(mine)


def test_a_bundle_without_a_page(mine, run):
    (mine / EVIDENCE).unlink()
    resigned(mine, run)
    found = verify(mine)
    assert not any(EVIDENCE in sentence for sentence in proven(found))
    assert any("papers" in sentence for sentence in not_proven(found))

"""Files that not every bundle has: synthetic images and signals in their formats, the portable generator."""

import dataclasses
import json

import numpy as np
import pytest

from common.bundle import onnx_file
from common.bundle.onnx_file import ONNX
from common.bundle.verification import verify
from common.bundle.words import not_proven, proven
from common.errors import DamagedGeneratorError, DisagreementError
from common.modalities import image_output, signal_output
from server.finished import finished
from server.synthetic import write_synthetic
from tests import toy_arrays

from .made import resigned

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


def model(**said):
    """A real ONNX file, of one node, with this metadata; every value is JSON."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", values[:1], values[1:])
    made = helper.make_model(graph)
    helper.set_model_props(made, {name: json.dumps(value) for name, value in said.items()})
    return made.SerializeToString()


def with_onnx(folder, run, raw):
    (folder / ONNX).write_bytes(raw)
    resigned(folder, run)
    return folder


def test_a_portable_generator_of_this_plan(mine, run, plan, monkeypatch):
    with_onnx(mine, run, model(plan=plan.hash, schema_hash=plan.schema_hash))
    found = verify(mine)
    assert found.onnx == "agrees"
    assert any(ONNX in sentence for sentence in proven(found))
    monkeypatch.setattr(onnx_file.importlib.util, "find_spec", lambda _: None)
    found = verify(mine)  # where neither onnx nor onnxruntime is installed
    assert found.onnx == "not looked at"
    assert any(ONNX in sentence for sentence in not_proven(found))


def test_one_of_another_plan_or_that_says_nothing(mine, run, plan):
    for said in ({"plan": "ab" * 32, "schema_hash": plan.schema_hash}, {"plan": plan.hash}, {}):
        with_onnx(mine, run, model(**said))
        with pytest.raises(DisagreementError):
            verify(mine)


def test_one_that_cannot_be_read(mine, run):
    pytest.importorskip("onnx")
    with_onnx(mine, run, b"\xff" * 100)
    with pytest.raises(DamagedGeneratorError):
        verify(mine)

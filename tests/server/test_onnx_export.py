"""generator.onnx gives torch's numbers, says all that a sampler needs, and is refused if damaged."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch

from common.errors import ExportError, StorageError
from common.modalities.tabular import encode
from common.sampler.arrays import interpolate, sample_arrays
from common.sampler.errors import FileError
from common.sampler.form import OPERATORS, check_form
from common.sampler.sampling import sample
from common.sampler.session import FORMAT, ArrayFile, TableFile, load, parse
from common.schema import Channel, ImageSchema, SignalSchema
from server import onnx_export
from server.onnx_export import TOLERANCE, export_onnx
from tests import released, toy, toy_arrays

ROOT = Path(__file__).resolve().parents[2]
LABEL = toy_arrays.DIGITS.label
ARRAYS = {
    "grey 28": (toy_arrays.DIGITS, {}),
    "colour 48, enlarged": (
        ImageSchema(kind="image", name="i", label=LABEL, size=48, channels=3),
        {"categories": 3, "factors": 2},
    ),
    "convolutional 32": (
        ImageSchema(kind="image", name="i", label=LABEL, size=32, channels=1),
        {"generator": "convolutional"},
    ),
    "signal": (toy_arrays.WAVES, {}),
    "convolutional signal of an odd length": (
        SignalSchema(
            kind="signal",
            name="s",
            label=LABEL,
            sampling_rate=100,
            length=187,
            channels=(
                Channel(name="a", unit="mV", bounds=(-2, 3)),
                Channel(name="b", unit="", bounds=(0, 1)),
            ),
        ),
        {"generator": "convolutional"},
    ),
}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    generator = released.table()
    path = tmp_path_factory.mktemp("release") / "generator.onnx"
    export_onnx(generator, path)
    return generator, path


@pytest.mark.parametrize("schema", [released.MIXED, toy.SCHEMA], ids=["mixed", "toy"])
def test_a_table_gives_the_same_probabilities_as_torch(schema, tmp_path):
    generator = released.table(schema, seed=4)
    export_onnx(generator, tmp_path / "generator.onnx")
    found = load(tmp_path)
    assert isinstance(found, TableFile)
    random = np.random.default_rng(9)
    latents, conditions = random.integers(32, size=300), found.table.grid()[random.integers(6, size=300)]
    apart = np.abs(found.network(latents, conditions) - generator.chances(latents, conditions)).max()
    assert apart <= TOLERANCE
    assert np.ptp(generator.chances(latents, conditions), axis=0).max() > 0.1  # the inputs do matter
    here, there = (
        sample(found.table, network, 400, seed=2).plain() for network in (found.network, generator.chances)
    )
    assert pd.DataFrame(here).equals(pd.DataFrame(there))
    assert found.table.constraints == generator.table.constraints
    assert len(encode(generator.sample(100, {}, 0), schema)) == 100


@pytest.mark.parametrize("name", ARRAYS)
def test_images_and_signals_give_the_same_values_as_torch(name, tmp_path):
    schema, model = ARRAYS[name]
    generator = released.arrays(schema, **model)
    export_onnx(generator, tmp_path / "generator.onnx")
    found = load(tmp_path / "generator.onnx")
    assert isinstance(found, ArrayFile)
    noise, labels = found.kind.points(70, np.random.default_rng(1)), np.arange(70) % schema.classes
    theirs = generator.values(noise, labels)
    assert np.abs(found.network(noise, labels) - theirs).max() <= TOLERANCE
    assert theirs.std(axis=0).max() > 0.01
    made = sample_arrays(found.kind, found.network, 20, balance=schema.label.name, seed=1)
    assert made.values.shape == (20, *schema.shape)
    assert (
        np.bincount(made.labels, minlength=schema.classes).tolist() == [20 // schema.classes] * schema.classes
    )
    low, high = np.array(found.kind.bounds).T.reshape(2, -1, *[1] * (len(schema.shape) - 1))
    assert (made.values >= low).all()
    assert (made.values <= high).all()
    again = sample_arrays(found.kind, generator.values, 20, balance=schema.label.name, seed=1)
    assert np.abs(made.values.astype(float) - again.values).max() <= 1
    between = interpolate(found.kind, found.network, 3, 0)
    assert between.shape == (schema.classes, 3, *schema.shape)


def test_the_noise_of_infogan_begins_with_its_codes():
    schema, model = ARRAYS["colour 48, enlarged"]
    noise = released.arrays(schema, **model).kind.points(500, np.random.default_rng(0))
    assert np.array_equal(np.unique(noise[:, :3]), [0, 1])
    assert (noise[:, :3].sum(1) == 1).all()
    assert np.abs(noise[:, 3:5]).max() <= 1 < np.abs(noise[:, 5:]).max()


def test_it_is_one_file_that_says_everything_and_holds_no_pickle(table):
    generator, path = table
    assert [file.name for file in path.parent.iterdir()] == ["generator.onnx"]
    model = onnx.load(path)
    assert all(not tensor.external_data for tensor in model.graph.initializer)
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(about["format"]) == FORMAT
    assert about["schema"] == generator.schema.model_dump_json()
    assert json.loads(about["schema_hash"]) == generator.schema.hash
    for key in ("epsilon", "delta", "unit", "plan"):
        assert json.loads(about[key]) == generator.facts[key]
    assert json.loads(about["noise"]) == 5.0
    session = onnxruntime.InferenceSession(path)
    assert {end.name: end.shape[0] for end in session.get_inputs()} == {
        "latent": "batch",
        "conditions": "batch",
    }


def test_a_network_that_differs_is_not_written(tmp_path, monkeypatch):
    generator = released.table()
    built = onnx_export.table_model

    def slightly_off(network, *rest):
        with torch.no_grad():
            network.output.bias[0] += 1e-3
        try:
            return built(network, *rest)
        finally:
            with torch.no_grad():
                network.output.bias[0] -= 1e-3

    monkeypatch.setattr(onnx_export, "table_model", slightly_off)
    with pytest.raises(ExportError, match="differs from the generator"):
        export_onnx(generator, tmp_path / "generator.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "generator.onnx").mkdir()
    with pytest.raises(StorageError):
        export_onnx(released.table(), tmp_path / "generator.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["generator.onnx"]


def changed(raw, **metadata):
    model = onnx.load_from_string(raw)
    about = {entry.key: entry.value for entry in model.metadata_props}
    about |= {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    onnx.helper.set_model_props(model, {key: value for key, value in about.items() if value != "null"})
    return model.SerializeToString()


def column(raw, **change):
    columns = json.loads({e.key: e.value for e in onnx.load_from_string(raw).metadata_props}["columns"])
    columns[3] |= change
    return columns


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:0],
        lambda raw: b"no model" + raw[:9],
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:-40],
        lambda raw: changed(raw, format="fedcgan-onnx-0"),
        lambda raw: changed(raw, format=None),
        lambda raw: changed(raw, schema=released.MIXED.model_dump_json().replace("2019", "2018")),
        lambda raw: changed(raw, prior=[1.0]),
        lambda raw: changed(raw, prior="[NaN, 1, 1, 1, 1, 1]"),
        lambda raw: changed(raw, prior=[-1, 2, 0, 0, 0, 0]),
        lambda raw: changed(raw, shares=[1.0] * 10),
        lambda raw: changed(raw, groups="[" * 5000 + "]" * 5000),
        lambda raw: changed(raw, widths=[1] * 10),
        lambda raw: changed(raw, latents=0),
        lambda raw: changed(raw, epsilon="true or not"),
        lambda raw: changed(raw, columns=None),
        lambda raw: changed(raw, columns=[]),
        lambda raw: changed(raw, columns=column(raw, counts=[5, 0, 5])),
        lambda raw: changed(raw, columns=column(raw, decimals=400)),
        lambda raw: changed(raw, columns=column(raw, size=9)),
        lambda raw: changed(raw, columns=column(raw, name=None)),
        lambda raw: changed(raw, order=list(range(9, -1, -1))),
        lambda raw: changed(raw, order=[0] * 10),
    ],
)
def test_damaged_and_foreign_files_are_typed_errors(table, damage, tmp_path):
    (tmp_path / "generator.onnx").write_bytes(damage(table[1].read_bytes()))
    with pytest.raises(FileError) as caught:
        load(tmp_path)
    assert caught.value.code == "storage"
    assert caught.value.hint


def test_a_model_of_somebody_else_is_refused_and_so_are_tensors_outside_the_file(
    table, tmp_path, monkeypatch
):
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch"]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "other", ends[:1], ends[1:])
    other = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(FileError):
        parse(other.SerializeToString())
    onnx.helper.set_model_props(other, {e.key: e.value for e in onnx.load(table[1]).metadata_props})
    with pytest.raises(FileError, match="none of ours"):  # our metadata, another network
        parse(other.SerializeToString())
    model = onnx.load(table[1])
    (tmp_path / "secret").write_bytes(bytes(1 << 16))
    tensor = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")
    monkeypatch.chdir(tmp_path)
    onnxruntime.InferenceSession(model.SerializeToString())  # it would read the other file
    with pytest.raises(FileError) as caught:
        parse(model.SerializeToString())
    assert "outside the file" in str(caught.value.__cause__)


@pytest.mark.parametrize("operator", ["Loop", "ConstantOfShape", "Resize"])
def test_operators_that_no_generator_has_are_refused(table, operator):
    model = onnx.load(table[1])
    model.graph.node[0].op_type = operator
    with pytest.raises(ValueError, match="operator"):
        check_form(model.SerializeToString())
    model = onnx.load(table[1])
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("body", onnx.GraphProto()))
    with pytest.raises(ValueError, match="attribute"):
        check_form(model.SerializeToString())
    used = {node.op_type for node in onnx.load(table[1]).graph.node}
    check_form(table[1].read_bytes())
    assert used <= OPERATORS


def test_sizes_come_before_contents(table, tmp_path, monkeypatch):
    monkeypatch.setattr("common.sampler.session.MOST_BYTES", 1000)
    with pytest.raises(FileError, match="more than 1000 bytes"):
        load(table[1])
    with pytest.raises(FileError, match="cannot be read"):
        load(tmp_path / "nothing.onnx")


def test_the_ten_lines_of_the_documentation_draw_a_table(table, monkeypatch):
    text = (ROOT / "docs" / "sampling.md").read_text()
    lines = re.search(r"```python\n(import json.*?)```", text, re.DOTALL)[1]
    assert len([line for line in lines.splitlines() if line]) == 10
    monkeypatch.chdir(table[1].parent)
    names = {}
    exec(lines, names)
    frame = pd.DataFrame(names["table"])
    assert len(frame) == 1000
    generator = table[0]
    assert set(frame.columns) == set(generator.schema.names)
    assert set(frame.diagnosis) <= {"none", "mild", "bad"}
    assert frame.ward.between(0, 900).all()
    assert np.array_equal(frame.ward, frame.ward.round(1))
    assert frame.smoker.isna().any()
    free = generator.schema.model_copy(update={"constraints": ()})
    days = {name: pd.to_datetime(frame[name], unit="D") for name in ("admitted", "discharged")}
    whole = frame.assign(**days, visits=frame.visits.astype(int))[free.names]
    assert len(encode(whole, free)) == 1000  # every value is one of the schema's
    shares = frame.groupby(["diagnosis", "sex"]).size() / 1000
    combinations = [(d, s) for d in ("none", "mild", "bad") for s in "fm"]
    prior = dict(zip(combinations, generator.prior, strict=True))
    assert all(abs(prior[key] - share) < 0.07 for key, share in shares.items())

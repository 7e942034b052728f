"""Signals in and out of files: what fits comes back whole, what does not is a typed error without values."""

import io
import json
import pickle
import warnings
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from common.columns import CategoryColumn
from common.errors import (
    ColumnError,
    DataError,
    FedcganError,
    IdentifiedError,
    MissingPackageError,
    MissingValueError,
    SamplingRateError,
    ShapeError,
    UnreadableFileError,
    ValueNotAllowedError,
)
from common.modalities import recordings, signal_output
from common.modalities.signal_files import read_signals
from common.modalities.signal_output import SOURCE, figure, is_marked, write_npz, write_parquet
from common.schema import Channel, SignalSchema

RATE = 360.0
SECRET = 4.987654  # a sample that no message may show


def schema(channels=2, length=128, subject=None, classes=("normal", "ectopic"), **changes):
    return SignalSchema(
        name="beats",
        kind="signal",
        subject=subject,
        **{"sampling_rate": RATE, **changes},
        length=length,
        label=CategoryColumn(name="rhythm", categories=classes, condition=True),
        channels=tuple(Channel(name=f"lead {n}", unit="mV", bounds=(-5, 5)) for n in range(channels)),
    )


def signals(count=6, channels=2, length=128):
    values = np.random.default_rng(0).uniform(-4, 4, (count, channels, length)).astype(np.float32)
    values[0, 0, 0] = SECRET
    return values


def npz(path, values=None, **changes):
    values = signals() if values is None else values
    arrays = {"x": values, "y": np.array(["normal", "ectopic"] * len(values))[: len(values)], **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def parquet(path, values=None, **changes):
    values = signals() if values is None else values
    columns = {f"lead {n}": list(values[:, n]) for n in range(values.shape[1])}
    columns |= {"rhythm": (["normal", "ectopic"] * len(values))[: len(values)], **changes}
    pq.write_table(pa.table({k: v for k, v in columns.items() if v is not None}), path, row_group_size=4)
    return path


def edf(path, values, rate=RATE, unit="mV", names=None, **patient):
    edfio = pytest.importorskip("edfio", reason="the extra edf is not installed")
    path.parent.mkdir(exist_ok=True, parents=True)
    exact = values.shape[1] / rate
    duration = round(exact, 6)  # the header has 8 characters for it
    made = [
        edfio.EdfSignal(
            row, values.shape[1] / duration, label=name, physical_dimension=unit, physical_range=(-6, 6)
        )
        for row, name in zip(values, names or [f"lead {n}" for n in range(len(values))], strict=True)
    ]
    step = 1.0 if exact.is_integer() else duration
    edfio.Edf(made, patient=edfio.Patient(**patient), data_record_duration=step).write(path)
    return path


def wfdb(path, values, rate=RATE, unit="mV"):
    package = pytest.importorskip("wfdb", reason="the extra wfdb is not installed")
    path.parent.mkdir(exist_ok=True, parents=True)
    count = len(values)
    names = [f"lead {n}" for n in range(count)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # wfdb 4.3 writes with what pandas 3.1 deprecates
        package.wrsamp(
            path.stem,
            rate,
            [unit] * count,
            names,
            p_signal=values.T.astype(float),
            fmt=["16"] * count,
            adc_gain=[5000.0] * count,
            baseline=[0] * count,
            write_dir=str(path.parent),
        )
    return path


def index(folder, **columns):
    pd.DataFrame(columns).to_csv(folder / "index.csv", index=False)
    return folder / "index.csv"


def refused(kind, path, wanted, file=None, **options):
    """The message and hint of the error; it names the file and shows no sample, subject or label of it."""
    with pytest.raises(kind) as caught:
        read_signals(path, wanted, **options)
    assert type(caught.value) is kind
    text = f"{caught.value.message} {caught.value.hint}"
    assert str(file or path) in caught.value.message
    assert not any(secret in text for secret in ("4.98", "Doe", "flutter", "p-17"))
    return text


@pytest.mark.parametrize(("channels", "length"), [(1, 128), (3, 1201), (12, 128)])
def test_npz_and_parquet_come_back_as_written(tmp_path, channels, length):
    values, wanted = signals(6, channels, length), schema(channels, length)
    for path in (npz(tmp_path / "a.npz", values), parquet(tmp_path / "a.parquet", values)):
        read = read_signals(path, wanted)
        assert read.values.dtype == np.float32
        assert np.array_equal(read.values, values)
        assert read.labels.dtype == np.int64
        assert read.labels.tolist() == [0, 1] * 3
        assert read.subjects is None


def test_one_channel_may_be_two_dimensional_and_integers_are_labels_and_samples(tmp_path):
    values = np.random.default_rng(0).integers(-5, 6, (4, 128), dtype=np.int16)
    path = npz(tmp_path / "a.npz", values, y=np.array([7, 3, 3, 7]), subject=np.array([12, 12, 5, 6]))
    read = read_signals(path, schema(1, classes=(3, 7), subject="person"))
    assert read.values.shape == (4, 1, 128)
    assert np.array_equal(read.values[:, 0], values)
    assert read.labels.tolist() == [1, 0, 0, 1]
    assert read.subjects.tolist() == ["12", "12", "5", "6"]


def test_bounds_hold_for_values_of_either_precision(tmp_path):
    values = np.full((2, 1, 128), 0.1)
    wanted = SignalSchema.model_validate(
        schema(1).model_dump() | {"channels": [{"name": "lead 0", "unit": "mV", "bounds": (-0.1, 0.1)}]}
    )
    assert len(read_signals(npz(tmp_path / "a.npz", values), wanted)) == 2
    assert len(read_signals(npz(tmp_path / "a.npz", values.astype(np.float32)), wanted)) == 2


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 128)]
)
def test_parquet_lists_of_every_kind(tmp_path, kind):
    values = signals(9)
    leads = {f"lead {n}": pa.array(list(values[:, n]), kind) for n in range(2)}
    people = [f"p{n}" for n in range(9)]
    table = pa.table({**leads, "rhythm": pa.array(["ectopic"] * 9).dictionary_encode(), "person": people})
    pq.write_table(table.append_column("sampling_rate", pa.array([RATE] * 9)), tmp_path / "a.parquet")
    read = read_signals(tmp_path / "a.parquet", schema(subject="person"))
    assert np.array_equal(read.values, values)
    assert read.labels.tolist() == [1] * 9
    assert read.subjects.tolist() == people


@pytest.mark.parametrize("write", [npz, parquet])
def test_values_that_no_schema_allows(tmp_path, write):
    path = tmp_path / f"a.{write.__name__}"
    for bad in (np.nan, np.inf):
        values = signals()
        values[2, 1, 7] = bad
        text = refused(MissingValueError, write(path, values), schema())
        assert "record 3, channel 'lead 1'" in text
        assert "(1 such records)" in text
    values = signals()
    values[4:, 0, 3] = 9.5
    text = refused(ValueNotAllowedError, write(path, values), schema())
    assert "record 5, channel 'lead 0'" in text
    assert "(2 such records)" in text
    assert "clip" in text
    assert "9.5" not in text
    label = "y" if write is npz else "rhythm"
    odd = np.array(["normal"] * 5 + ["flutter"])
    assert "record 6" in refused(ValueNotAllowedError, write(path, **{label: odd}), schema())


def test_npz_of_another_size_rate_or_unit(tmp_path):
    path = tmp_path / "a.npz"
    refused(ShapeError, npz(path, signals(length=100)), schema())
    refused(ShapeError, npz(path, signals(channels=3)), schema())
    refused(ShapeError, npz(path, signals().transpose(0, 2, 1)), schema())
    refused(ShapeError, npz(path, signals().astype(complex)), schema())
    refused(ShapeError, npz(path, y=np.array(["normal"] * 5)), schema())
    refused(ShapeError, npz(path, channels=np.array(["lead 1", "lead 0"])), schema())
    refused(SamplingRateError, npz(path, sampling_rate=250.0), schema())
    refused(SamplingRateError, npz(path, sampling_rate=np.array(["360"])), schema())
    refused(SamplingRateError, npz(path, units=np.array(["mV", "V"])), schema())
    refused(SamplingRateError, npz(path, units=np.array(["mV"])), schema())
    refused(DataError, npz(path, signals()[:0]), schema())
    refused(ColumnError, npz(path, y=None), schema())
    refused(ColumnError, npz(path), schema(subject="person"))
    refused(MissingValueError, npz(path, subject=np.array(["p-17", ""] * 3)), schema(subject="person"))
    facts = {"sampling_rate": np.float32(RATE), "units": np.array(["mV", "mV"]), "other": np.zeros(3)}
    assert len(read_signals(npz(path, **facts), schema())) == 6


def test_npz_that_is_no_npz_or_more(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    whole = npz(path).read_bytes()
    for damaged in (b"", whole[:300], whole[: len(whole) // 2], whole[:200] + b"??" + whole[202:]):
        path.write_bytes(damaged)
        refused(UnreadableFileError, path, schema())
    objects = np.array([signals(), None], object)
    text = refused(UnreadableFileError, npz(path, objects, y=np.array(["normal"] * 2)), schema())
    assert "objects" in text
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", pickle.dumps({"a": 1}))
    refused(UnreadableFileError, path, schema())
    path.write_bytes(pickle.dumps([1]))
    refused(UnreadableFileError, path, schema())
    monkeypatch.setattr(signal_output, "LIMIT", 1000)
    refused(UnreadableFileError, npz(path), schema())


def test_a_header_that_promises_gigabytes_is_refused_before_they_are_made(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 33, 2, 128)}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("x.npy", header.getvalue())
        file.writestr("y.npy", header.getvalue())
    refused(UnreadableFileError, tmp_path / "a.npz", schema())


def test_parquet_of_another_size_rate_or_type(tmp_path):
    path = tmp_path / "a.parquet"
    mixed = [row[: 128 - 3 * (n == 4)] for n, row in enumerate(signals()[:, 1])]
    text = refused(ShapeError, parquet(path, **{"lead 1": mixed}), schema())
    assert "record 5" in text
    holes = [None if n == 4 else row for n, row in enumerate(signals()[:, 1])]
    assert "record 5" in refused(ShapeError, parquet(path, **{"lead 1": holes}), schema())
    lacking = [[*row[:127].tolist(), None if n == 1 else 0.0] for n, row in enumerate(signals()[:, 1])]
    assert "record 2" in refused(MissingValueError, parquet(path, **{"lead 1": lacking}), schema())
    refused(ShapeError, parquet(path, **{"lead 1": [[["a"]]] * 6}), schema())
    refused(ShapeError, parquet(path, **{"lead 1": [1.0] * 6}), schema())
    refused(ColumnError, parquet(path, **{"lead 1": None}), schema())
    refused(ColumnError, parquet(path), schema(subject="person"))
    rates = parquet(path, sampling_rate=[RATE] * 3 + [250.0] * 3)
    assert "record 4" in refused(SamplingRateError, rates, schema())
    assert "record 6" in refused(
        SamplingRateError, parquet(path, sampling_rate=[RATE] * 5 + [None]), schema()
    )
    refused(ValueNotAllowedError, parquet(path, rhythm=[["normal"]] * 6), schema())
    refused(UnreadableFileError, parquet(path, rhythm=[["normal", "flutter"]] * 6), schema())
    refused(ValueNotAllowedError, parquet(path, rhythm=["normal"] * 5 + [None]), schema())
    refused(MissingValueError, parquet(path, person=["p-17"] * 5 + [None]), schema(subject="person"))
    empty = {f"lead {n}": pa.array([], pa.list_(pa.float32())) for n in range(2)}
    refused(DataError, parquet(path, signals()[:0], **empty), schema())
    path.write_bytes(parquet(path).read_bytes()[:-200])
    refused(UnreadableFileError, path, schema())


def test_paths_that_hold_no_signals(tmp_path):
    refused(DataError, tmp_path / "none.npz", schema())
    (tmp_path / "a.txt").write_text("4.98")
    refused(DataError, tmp_path / "a.txt", schema())
    refused(DataError, tmp_path, schema())  # a folder without recordings


@pytest.mark.parametrize("write", [edf, wfdb])
@pytest.mark.parametrize(("channels", "length"), [(1, 128), (2, 1201), (12, 128)])
def test_recordings_in_folders_of_categories(tmp_path, write, channels, length):
    values = signals(4, channels, length)
    ending = "edf" if write is edf else "hea"
    for number, category in enumerate(["ectopic", "normal", "ectopic", "normal"]):
        write(tmp_path / category / f"r{number}.{ending}", values[number])
    (tmp_path / "normal" / "notes.txt").write_text("passed over")
    read = read_signals(tmp_path, schema(channels, length))
    assert read.labels.tolist() == [0, 0, 1, 1]
    assert np.allclose(read.values, values[[1, 3, 0, 2]], atol=3e-4)
    write(tmp_path / "flutters" / f"r.{ending}", values[0])
    with pytest.raises(ValueNotAllowedError, match="flutters"):
        read_signals(tmp_path, schema(channels, length))


@pytest.mark.parametrize("write", [edf, wfdb])
def test_a_csv_cuts_records_out_of_recordings_and_picks_channels_by_name(tmp_path, write):
    long = signals(1, 3, 1440)[0]
    ending = "edf" if write is edf else "hea"
    write(tmp_path / "sub" / f"r1.{ending}", long)
    write(tmp_path / f"r2.{ending}", long[::-1])
    paths = [f"sub/r1.{ending}", f"r2.{ending}", f"sub/r1.{ending}"]
    path = index(
        tmp_path,
        path=paths,
        rhythm=["normal", "ectopic", "ectopic"],
        person=["007", "1", "007"],
        start=[1312, 5, 0],
    )
    wanted = schema(2, subject="person")
    read = read_signals(tmp_path, wanted)
    assert np.allclose(read.values[0], long[:2, 1312:], atol=3e-4)
    assert np.allclose(read.values[1], long[::-1][:2, 5:133], atol=3e-4)
    assert np.allclose(read.values[2], long[:2, :128], atol=3e-4)
    assert read.labels.tolist() == [0, 1, 1]
    assert read.subjects.tolist() == ["007", "1", "007"]
    index(tmp_path, path=paths, rhythm=["normal"] * 3, person=["p-17"] * 3, start=[0, 1313, 0])
    assert "record 2 of" in refused(ShapeError, path, wanted)
    index(tmp_path, path=paths, rhythm=["normal"] * 3, person=["p-17"] * 3)
    assert "start" in refused(ShapeError, path, wanted)
    for start in ("", "-1", "1.5", "x"):
        index(tmp_path, path=paths, rhythm=["normal"] * 3, person=["1"] * 3, start=["0", start, "0"])
        assert "record 2" in refused(ValueNotAllowedError, path, wanted)


@pytest.mark.parametrize("write", [edf, wfdb])
def test_recordings_of_another_rate_unit_length_or_channels(tmp_path, write):
    file = tmp_path / "normal" / ("r.edf" if write is edf else "r.hea")
    values = signals()[0]
    refused(SamplingRateError, write(file, values, rate=256) and tmp_path, schema(), file)
    refused(SamplingRateError, write(file, values, unit="uV") and tmp_path, schema(), file)
    refused(ShapeError, write(file, values[:, :127]) and tmp_path, schema(), file)
    refused(ShapeError, write(file, values[:1]) and tmp_path, schema(), file)
    write(file, np.where(values == values[1, 5], 5.5, values))
    refused(ValueNotAllowedError, tmp_path, schema(), file)
    refused(ColumnError, tmp_path, schema(subject="person"))


def test_a_missing_sample_of_wfdb(tmp_path):
    values = signals()[0]
    values[1, 9] = np.nan
    wfdb(tmp_path / "normal" / "r.hea", values)
    refused(MissingValueError, tmp_path, schema(), tmp_path / "normal" / "r.hea")


@pytest.mark.parametrize("unit", ["uV", "\N{MICRO SIGN}V", "\N{GREEK SMALL LETTER MU}V"])
def test_edf_spells_micro_with_a_u(tmp_path, unit):
    edf(tmp_path / "normal" / "r.edf", signals()[0], unit="uV")
    channels = [{"name": f"lead {n}", "unit": unit, "bounds": (-5, 5)} for n in range(2)]
    read = read_signals(tmp_path, SignalSchema.model_validate(schema().model_dump() | {"channels": channels}))
    assert len(read) == 1


def test_damaged_recordings(tmp_path):
    file = edf(tmp_path / "normal" / "r.edf", signals()[0])
    whole = file.read_bytes()
    zero = whole[: 768 - 2 * 152] + b" " * 16 + whole[768 - 2 * 152 + 16 :]
    for damaged in (b"", whole[:100], whole[:500], whole[:-1], whole[: len(whole) // 2], zero, whole + b"12"):
        file.write_bytes(damaged)
        refused(UnreadableFileError, tmp_path, schema(), file)
    file.unlink()
    header = wfdb(file.with_suffix(".hea"), signals()[0])
    data = file.with_suffix(".dat")
    text, samples = header.read_text(), data.read_bytes()
    data.write_bytes(samples[:-20])
    refused(UnreadableFileError, tmp_path, schema(), header)
    data.unlink()
    refused(UnreadableFileError, tmp_path, schema(), header)
    data.write_bytes(samples)
    (tmp_path / "r.dat").write_bytes(samples)
    for changed in (
        "",
        "?",
        text.replace("r.dat", "../r.dat"),
        text.replace("r.dat", str(tmp_path / "r.dat")),
    ):
        header.write_text(changed)
        refused(UnreadableFileError, tmp_path, schema(), header)


def test_edf_that_names_the_patient(tmp_path):
    file = edf(tmp_path / "normal" / "r.edf", signals()[0], name="Doe", code="p-17", sex="F")
    text = refused(IdentifiedError, tmp_path, schema(), file)
    assert "the patient's code, the patient's name" in text
    assert len(read_signals(tmp_path, schema(), allow_identified=True)) == 1
    free = bytearray(file.read_bytes())
    free[8:88] = b"Doe, Jane".ljust(80)  # plain EDF has one free text
    file.write_bytes(free)
    assert "identification" in refused(IdentifiedError, tmp_path, schema(), file)
    edf(file, signals()[0], sex="F")
    assert len(read_signals(tmp_path, schema())) == 1


@pytest.mark.parametrize(
    "name", ["../r.edf", "sub/../../r.edf", "{outside}", "", "link.edf", "none.edf", "a\0b"]
)
def test_a_csv_stays_in_its_folder(tmp_path, name):
    outside = edf(tmp_path / "r.edf", signals()[0])
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "link.edf").symlink_to(outside)
    path = index(folder, path=[name.format(outside=outside)], rhythm=["normal"])
    refused(DataError, path, schema())


def test_a_csv_without_its_columns(tmp_path):
    edf(tmp_path / "r.edf", signals()[0])
    path = tmp_path / "index.csv"
    for content, kind in (
        ("path,rhythm\nr.edf,flutter\n", ValueNotAllowedError),
        ("path\nr.edf\n", ColumnError),
        ("path,path,rhythm\nr.edf,r.edf,normal\n", ColumnError),
        ("path,rhythm\n", DataError),
        ("path,rhythm\nr.edf,normal,4.98\n", UnreadableFileError),
        ("", UnreadableFileError),
    ):
        path.write_text(content)
        refused(kind, path, schema())
    path.write_text("path,rhythm,person\nr.edf,normal\n")
    refused(MissingValueError, path, schema(subject="person"))
    path.write_text("\ufeffpath,rhythm\nr.edf,normal\n", "utf-8")
    assert len(read_signals(tmp_path, schema())) == 1
    (tmp_path / "other.csv").write_text("")
    refused(DataError, tmp_path, schema())


@pytest.mark.parametrize(("extra", "ending"), [("edf", "edf"), ("wfdb", "hea")])
def test_a_format_whose_package_is_absent(tmp_path, monkeypatch, extra, ending):
    def absent(name):
        raise ImportError(name)

    (tmp_path / "normal").mkdir()
    (tmp_path / "normal" / f"r.{ending}").write_bytes(b"")
    monkeypatch.setattr(recordings.importlib, "import_module", absent)
    with pytest.raises(MissingPackageError) as caught:
        read_signals(tmp_path, schema())
    assert caught.value.hint == f"pip install 'fedcgan[{extra}]'"


@given(
    st.binary(max_size=600), st.integers(0, 1500), st.sampled_from(["npz", "parquet", "edf", "hea", "csv"])
)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_signals_or_a_typed_error(tmp_path, noise, place, ending):
    """Noise alone, and noise written over a part of a good file."""
    folder = tmp_path / ending / "normal"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"r.{ending}"
    write = {"npz": npz, "parquet": parquet}.get(ending)
    if write:
        write(file)
    elif ending in ("edf", "hea"):
        (edf if ending == "edf" else wfdb)(file, signals()[0])
    else:
        file.write_text("path,rhythm,start\nr.edf,normal,3\n")
    whole = file.read_bytes()
    for content in (noise, whole[:place] + noise + whole[place + len(noise) :]):
        file.write_bytes(content)
        try:
            read = read_signals(folder.parent if ending in ("edf", "hea") else file, schema())
        except FedcganError:
            continue
        assert read.values.shape[1:] == (2, 128)


@pytest.mark.parametrize(("channels", "classes"), [(1, ("normal", "ectopic")), (12, (1, 2, 3))])
@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_generated_signals_are_marked_and_readable(tmp_path, channels, classes, ending):
    wanted = schema(channels, classes=classes, subject="person")
    values, labels = signals(6, channels), np.arange(6) % len(classes)
    path = tmp_path / f"made.{ending}"
    write = write_npz if ending == "npz" else write_parquet
    write(values, labels, wanted, path, {"plan": "abc", "synthetic": "false"})
    assert is_marked(path)
    refused(ColumnError, path, wanted)  # no mark makes up for a subject: it would make everybody many people
    wanted = wanted.model_copy(update={"subject": None})
    read = read_signals(path, wanted)
    assert np.array_equal(read.values, values)
    assert np.array_equal(read.labels, labels)
    if ending == "npz":
        lines = np.load(path)["synthetic"].tolist()
        assert {"plan: abc", "synthetic: true", f"digital-source-type: {SOURCE}"} <= set(lines)
    else:
        facts = json.loads(pq.read_schema(path).metadata[b"synthetic"])
        assert facts["plan"] == "abc"
        assert facts["synthetic"] == "true"
        assert pd.read_parquet(path).rhythm.tolist() == [classes[code] for code in labels]
        odd = SignalSchema.model_validate(
            wanted.model_dump() | {"channels": [c.model_dump() | {"unit": "V"} for c in wanted.channels]}
        )
        refused(SamplingRateError, path, odd)
    with pytest.raises(ShapeError):
        write(values, labels[:-1], wanted, path, {})
    assert not is_marked(npz(tmp_path / "real.npz"))
    assert not is_marked(tmp_path / "none.parquet")


@pytest.mark.parametrize("channels", [1, 12])
def test_a_picture_of_generated_signals_is_marked(tmp_path, channels):
    wanted = schema(channels, classes=("$normal_", "fast", "slow"))
    figure(signals(12, channels).reshape(3, 4, channels, 128), wanted, tmp_path / "a.png", {"plan": "äß∂"})
    with Image.open(tmp_path / "a.png") as image:
        assert image.text["Synthetic"] == "true"
        assert image.text["Software"] == "fedcgan"
        assert image.text["digital-source-type"] == SOURCE
        assert image.text["plan"] == "äß∂"
    assert is_marked(tmp_path / "a.png")
    with pytest.raises(ShapeError):
        figure(signals(12, channels)[None], wanted, tmp_path / "b.png", {})

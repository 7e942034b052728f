"""Files of synthetic records that say what they are, in the way that tools of their format read.

Parquet: key-value metadata; DICOM: (0008,001C) Synthetic Data = YES and ImageType DERIVED\\SECONDARY; EDF:
the header's recording field; CSV has no room for it and gets a file beside it. PNG and npz: ``image_output``
and ``signal_output``.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..arrays import SOURCE_TYPE, Arrays
from ..durable import write_whole
from ..modalities.described import described
from ..sampler.output import arrow_type
from ..schema import ImageSchema, SignalSchema, TableSchema

MOST_EXAMPLES = 200
"""Records that are also written as DICOM or EDF, a file each; the npz has all of them."""

_EACH = 8  # of one class
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def write_sidecar(path: Path, facts: dict[str, Any]) -> None:
    """Write ``NAME.provenance.json`` beside a file that has no room for a mark. Raises StorageError."""
    content = {**facts, "file": path.name, "synthetic": True, "digital_source_type": SOURCE_TYPE}
    text = json.dumps({**content, "software": "fedcgan"}, indent=2) + "\n"
    beside = path.with_name(path.name + ".provenance.json")
    write_whole(beside, lambda temporary: temporary.write_text(text, "utf-8"))


def write_parquet(frame: pd.DataFrame, schema: TableSchema, path: Path, facts: dict[str, Any]) -> None:
    """Write a table in the schema's types, whose metadata has the mark under ``synthetic``.

    Raises StorageError.
    """
    mark = {**facts, "synthetic": True, "digital_source_type": SOURCE_TYPE, "software": "fedcgan"}
    types = [(column.name, arrow_type(pa, described(column))) for column in schema.columns]
    table = pa.Table.from_pandas(frame[[name for name, _ in types]], preserve_index=False)
    marked = table.cast(pa.schema(types)).replace_schema_metadata({"synthetic": json.dumps(mark)})
    write_whole(path, lambda temporary: pq.write_table(marked, temporary))


def examples(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of the first few records of each class, in order: int64[at most MOST_EXAMPLES]."""
    order = np.argsort(labels, kind="stable")
    _, first, counts = np.unique(labels[order], return_index=True, return_counts=True)
    rank = np.arange(len(labels)) - np.repeat(first, counts)
    return np.sort(order[rank < _EACH])[:MOST_EXAMPLES]


def write_dicoms(arrays: Arrays, schema: ImageSchema, folder: Path, facts: dict[str, Any]) -> int:
    """Write 000001.dcm … of examples. Returns how many; none where pydicom is not installed."""
    if importlib.util.find_spec("pydicom") is None:
        return 0
    folder.mkdir(parents=True)
    places = examples(arrays.labels)
    for number, place in enumerate(places, 1):
        value = str(schema.label.categories[arrays.labels[place]])
        _write_dicom(arrays.values[place], value, folder / f"{number:06d}.dcm", number, facts)
    return len(places)


def _write_dicom(
    image: NDArray[np.uint8], value: str, path: Path, number: int, facts: dict[str, Any]
) -> None:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, generate_uid

    said = [str(facts["plan"]), str(number)]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(_SECONDARY_CAPTURE)
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=said)
    meta.TransferSyntaxUID = UID(_EXPLICIT_LITTLE_ENDIAN)
    one = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    one.SOPClassUID, one.SOPInstanceUID = _SECONDARY_CAPTURE, meta.MediaStorageSOPInstanceUID
    one.SyntheticData = "YES"
    one.ImageType = ["DERIVED", "SECONDARY"]
    one.DerivationDescription = (
        f"Synthetic, drawn from a generative model (fedcgan); plan {facts['plan'][:12]}, "
        f"epsilon {facts['epsilon']:g}, delta {facts['delta']:g}, {facts['unit']}"
    )
    one.Modality, one.ConversionType = "OT", "WSD"
    one.SeriesDescription = f"synthetic, {value}"[:64]
    one.StudyInstanceUID = generate_uid(entropy_srcs=[said[0], "study"])
    one.SeriesInstanceUID = generate_uid(entropy_srcs=[said[0], "series"])
    one.PatientName = one.PatientID = one.PatientBirthDate = one.PatientSex = ""
    one.StudyDate = one.StudyTime = one.AccessionNumber = one.ReferringPhysicianName = one.StudyID = ""
    one.Manufacturer, one.SeriesNumber, one.InstanceNumber = "fedcgan", 1, number
    one.SamplesPerPixel, one.Rows, one.Columns = image.shape
    one.PhotometricInterpretation = "MONOCHROME2" if len(image) == 1 else "RGB"
    if len(image) > 1:
        one.PlanarConfiguration = 0
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 8, 8, 7, 0
    one.BurnedInAnnotation = "NO"
    pixels = image.transpose(1, 2, 0).tobytes()
    one.PixelData = pixels + b"\0" * (len(pixels) % 2)
    write_whole(path, lambda temporary: one.save_as(temporary, enforce_file_format=True))


def write_edfs(arrays: Arrays, schema: SignalSchema, folder: Path, facts: dict[str, Any]) -> int:
    """Write 000001.edf … of examples. Returns how many; none where edfio is not installed, or where EDF has
    no whole number of data records for signals of this length.
    """
    if importlib.util.find_spec("edfio") is None:
        return 0
    from edfio import Edf, EdfSignal, Recording

    recording = Recording(
        equipment_code="fedcgan", additional=("synthetic", f"plan_{facts['plan'][:12]}", "see_manifest")
    )
    places, made = examples(arrays.labels), []
    try:
        for place in places:
            signals = [
                EdfSignal(
                    np.clip(arrays.values[place, row].astype(np.float64), *channel.bounds),
                    schema.sampling_rate,
                    label=_ascii(channel.name, 16),
                    physical_dimension=_ascii(channel.unit, 8),
                    physical_range=channel.bounds,
                )
                for row, channel in enumerate(schema.channels)
            ]
            made.append(Edf(signals, recording=recording))
    except ValueError:
        return 0
    folder.mkdir(parents=True)
    for number, one in enumerate(made, 1):
        write_whole(folder / f"{number:06d}.edf", one.write)
    return len(made)


def _ascii(text: str, most: int) -> str:
    return text.encode("ascii", "replace").decode()[:most]

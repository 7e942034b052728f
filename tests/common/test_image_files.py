"""Images from outside: what fits is read exactly, everything else is refused by name and without content."""

import builtins
import contextlib
import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from common import errors
from common.columns import CategoryColumn
from common.modalities import dicom_files, image_files
from common.modalities.image_files import folder_name, read_images
from common.schema import ImageSchema

SECRET = "sarcoidosis"  # a label that no schema here allows; it must be in no message


def schema(channels=1, categories=("normal", "pneumonia"), subject=None):
    label = CategoryColumn(name="finding", categories=categories)
    return ImageSchema(name="x", kind="image", size=28, channels=channels, label=label, subject=subject)


def pixels(seed=0, shape=(28, 28)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def put(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options) if isinstance(image, np.ndarray) else image.save(path)
    return path


def refused(kind, path, wanted=None, *, names, **options):
    """The message of this error; it names these and nothing of the records."""
    with pytest.raises(kind) as caught:
        read_images(path, wanted or schema(), **options)
    assert type(caught.value) is kind
    assert all(str(name) in caught.value.message for name in names), caught.value.message
    assert SECRET not in caught.value.message + caught.value.hint
    assert "[[" not in caught.value.message
    return caught.value


# --- a folder for each class


def test_a_folder_for_each_class_is_read_in_sorted_order(tmp_path):
    images = {name: pixels(seed) for seed, name in enumerate(["b.png", "a.png", "c.PNG"])}
    for name, image in images.items():
        put(tmp_path / "pneumonia" / name, image)
    put(tmp_path / "normal" / "z.png", pixels(9))
    for stray in (".DS_Store", "normal/Thumbs.db", "normal/.hidden.png", "desktop.ini"):
        (tmp_path / stray).write_bytes(b"x")
    read = read_images(tmp_path, schema())
    assert read.values.shape == (4, 1, 28, 28)
    assert read.values.dtype == np.uint8
    assert read.labels.tolist() == [0, 1, 1, 1]
    assert read.subjects is None
    expected = [pixels(9), images["a.png"], images["b.png"], images["c.PNG"]]
    assert np.array_equal(read.values[:, 0], expected)


def test_colours_stay_in_order_and_palettes_become_colours(tmp_path):
    image = pixels(1, (28, 28, 3)) & 0xC0
    put(tmp_path / "normal" / "1.png", image)
    put(tmp_path / "normal" / "2.png", Image.fromarray(image).quantize(256))
    put(tmp_path / "normal" / "3.jpg", np.full((28, 28, 3), (200, 100, 50), np.uint8), quality=95)
    values = read_images(tmp_path, schema(3)).values
    assert np.array_equal(values[0], image.transpose(2, 0, 1))
    assert np.array_equal(values[1], values[0])
    assert np.abs(values[2].mean((1, 2)) - (200, 100, 50)).max() < 3


def test_a_jpeg_is_turned_upright_as_its_camera_says(tmp_path):
    image = np.zeros((28, 28), np.uint8)
    image[:14] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    put(tmp_path / "normal" / "1.jpeg", image, exif=exif)
    read = read_images(tmp_path, schema()).values[0, 0]
    assert read[:10].max() < 10
    assert read[-10:].min() > 245


def test_black_and_white_is_grey(tmp_path):
    put(tmp_path / "normal" / "1.png", Image.fromarray(pixels() > 128))
    assert np.array_equal(read_images(tmp_path, schema()).values[0, 0], (pixels() > 128) * np.uint8(255))


def test_integer_categories_and_names_no_file_can_have(tmp_path):
    names = ("a/b", "..", "50%", "50%25", "CON", "con.x:y", "x.", ".y", "é ü", "aux")
    assert len({folder_name(name) for name in names}) == len(names)
    assert not any(set('/\\:*?"<>|') & set(folder_name(name)) for name in names)
    for name in names:
        put(tmp_path / "t" / folder_name(name) / "1.png", pixels())
    assert sorted(read_images(tmp_path / "t", schema(categories=names)).labels) == list(range(len(names)))
    put(tmp_path / "i" / "7" / "1.png", pixels())
    assert read_images(tmp_path / "i", schema(categories=(3, 7))).labels.tolist() == [1]


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_categories_have_different_folders(one, other):
    assert (folder_name(one) == folder_name(other)) == (one == other)
    assert folder_name(one) not in {".", ".."}
    assert "/" not in folder_name(one)


def test_what_is_no_class_and_no_image_is_refused(tmp_path):
    refused(errors.DataError, tmp_path / "nowhere", names=["nowhere"])
    refused(errors.DataError, tmp_path, names=[tmp_path])
    put(tmp_path / "other" / "1.png", pixels())
    assert "normal" in refused(errors.ValueNotAllowedError, tmp_path, names=["other"]).hint
    (tmp_path / "f" / "normal").mkdir(parents=True)
    (tmp_path / "f" / "normal" / "a.gif").write_bytes(b"GIF89a")
    refused(errors.UnreadableFileError, tmp_path / "f", names=["a.gif"])
    refused(errors.UnreadableFileError, tmp_path / "f" / "normal" / "a.gif", names=["a.gif"])
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "notes.txt").write_text(SECRET)
    refused(errors.UnreadableFileError, tmp_path / "g", names=["notes.txt"])
    (tmp_path / "h" / "normal" / "deeper.png").mkdir(parents=True)
    refused(errors.UnreadableFileError, tmp_path / "h", names=["deeper.png"])


def test_folders_do_not_say_whose_image_it_is(tmp_path):
    put(tmp_path / "normal" / "1.png", pixels())
    assert "CSV" in refused(errors.ColumnError, tmp_path, schema(subject="who"), names=["who"]).hint


# --- pictures that do not fit


def sixteen_bits(path, colour):
    """A PNG of 16 bits a value, by hand: Pillow writes none in colour."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = b"\0" + bytes(28 * 2 * (3 if colour else 1))
    parts = chunk(b"IHDR", struct.pack(">IIBBBBB", 28, 28, 16, 2 if colour else 0, 0, 0, 0))
    parts += chunk(b"IDAT", zlib.compress(row * 28)) + chunk(b"IEND", b"")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


@pytest.mark.parametrize(
    ("channels", "image"),
    [
        (1, Image.new("RGB", (28, 28))),
        (1, Image.new("P", (28, 28))),
        (1, Image.new("LA", (28, 28))),
        (3, Image.new("L", (28, 28))),
        (3, Image.new("RGBA", (28, 28))),
        (1, Image.new("L", (28, 32))),
        (1, Image.new("L", (64, 64))),
        (1, Image.new("I;16", (28, 28))),
    ],
    ids=lambda value: value if isinstance(value, int) else f"{value.mode}{value.size}",
)
def test_other_sizes_colours_and_depths_are_refused(tmp_path, channels, image):
    fitting = np.zeros((28, 28) if channels == 1 else (28, 28, 3), np.uint8)
    put(tmp_path / "normal" / "1.png", fitting)  # a mixed folder: one fits, one does not
    put(tmp_path / "normal" / "2.png", image)
    assert refused(errors.ShapeError, tmp_path, schema(channels), names=["2.png"]).hint


def test_the_message_names_both_sizes_and_the_hint_how_to_resize(tmp_path):
    put(tmp_path / "normal" / "1.png", np.zeros((32, 30), np.uint8))
    assert "resize" in refused(errors.ShapeError, tmp_path, names=["1.png", "30x32", "28x28"]).hint


def test_transparency_of_a_palette_cmyk_and_several_pictures_are_refused(tmp_path):
    palette = Image.fromarray(pixels(1, (28, 28, 3))).quantize(16)
    (tmp_path / "a" / "normal").mkdir(parents=True)
    palette.save(tmp_path / "a" / "normal" / "p.png", transparency=0)
    refused(errors.ShapeError, tmp_path / "a", schema(3), names=["p.png", "alpha"])
    put(tmp_path / "b" / "normal" / "c.jpg", Image.new("CMYK", (28, 28)))
    refused(errors.ShapeError, tmp_path / "b", schema(3), names=["c.jpg"])
    (tmp_path / "c" / "normal").mkdir(parents=True)
    frames = [Image.fromarray(pixels(seed)) for seed in range(2)]
    frames[0].save(tmp_path / "c" / "normal" / "m.png", save_all=True, append_images=frames[1:])
    refused(errors.ShapeError, tmp_path / "c", names=["m.png", "several"])


@pytest.mark.parametrize("colour", [False, True])
def test_sixteen_bits_are_never_narrowed_silently(tmp_path, colour):
    sixteen_bits(tmp_path / "normal" / "deep.png", colour)
    wanted = schema(3 if colour else 1)
    refused(errors.ShapeError, tmp_path, wanted, names=["deep.png", "16 bits"])


def test_a_truncated_or_altered_png_is_refused_wherever_it_is_cut(tmp_path):
    file = put(tmp_path / "normal" / "1.png", pixels())
    whole = file.read_bytes()
    data = whole.index(b"IDAT") + 4
    for cut in (0, 7, 20, data + 10, len(whole) // 2, len(whole) - 13):
        file.write_bytes(whole[:cut])
        refused(errors.UnreadableFileError, tmp_path, names=["1.png"])
    for place in (data, data + 40, len(whole) - 30, len(whole) - 18):  # the last: zlib's own checksum
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refused(errors.UnreadableFileError, tmp_path, names=["1.png"])


def test_a_truncated_jpeg_and_another_format_under_its_name_are_refused(tmp_path):
    file = put(tmp_path / "normal" / "1.jpg", pixels())
    file.write_bytes(file.read_bytes()[:-200])
    refused(errors.UnreadableFileError, tmp_path, names=["1.jpg"])
    Image.fromarray(pixels()).save(file, format="BMP")
    refused(errors.UnreadableFileError, tmp_path, names=["1.jpg"])


@pytest.mark.parametrize("side", [12_000, 20_000])  # Pillow warns of the first, refuses the second
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, side):
    file = put(tmp_path / "normal" / "1.png", pixels())
    whole = bytearray(file.read_bytes())
    whole[16:24] = struct.pack(">II", side, side)
    whole[29:33] = struct.pack(">I", zlib.crc32(whole[12:29]))
    file.write_bytes(whole)
    refused(errors.ShapeError, tmp_path, names=["1.png"])


def test_too_many_bytes_are_refused(tmp_path, monkeypatch):
    put(tmp_path / "normal" / "1.png", pixels())
    monkeypatch.setattr(dicom_files, "FILE_LIMIT", 100)
    refused(errors.UnreadableFileError, tmp_path, names=["1.png", "100 bytes"])
    monkeypatch.setattr(image_files, "TOTAL_LIMIT", 100)
    refused(errors.DataError, tmp_path, names=[tmp_path, "1 images"])


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=40, deadline=None)
def test_random_bytes_are_no_picture(tmp_path_factory, content, png):
    file = tmp_path_factory.mktemp("r") / "normal" / "1.png"
    file.parent.mkdir()
    file.write_bytes((b"\x89PNG\r\n\x1a\n" if png else b"\xff\xd8\xff") + content)
    with pytest.raises(errors.DataError, match=r"1\.png"):
        read_images(file.parent.parent, schema())


# --- CSV


def csv(tmp_path, *lines, header="path,finding,who"):
    put(tmp_path / "images" / "1.png", pixels(1))
    put(tmp_path / "images" / "2.png", pixels(2))
    (tmp_path / "labels.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return tmp_path / "labels.csv"


def test_a_csv_keeps_its_order_and_says_whose_image_it_is(tmp_path):
    path = csv(tmp_path, "images/2.png,pneumonia,007", "images\\1.png,normal,7")
    read = read_images(path, schema(subject="who"))
    assert np.array_equal(read.values[:, 0], [pixels(2), pixels(1)])
    assert read.labels.tolist() == [1, 0]
    assert read.subjects.tolist() == ["007", "7"]
    assert read_images(path, schema()).subjects is None


def test_a_csv_with_faults_is_refused_with_its_row(tmp_path):
    good = "images/1.png,normal,a"
    wanted = schema(subject="who")
    path = csv(tmp_path, good, f"images/2.png,{SECRET},b")
    refused(errors.ValueNotAllowedError, path, wanted, names=["labels.csv row 2"])
    for bad in (",normal,a", "images/1.png,,a", "images/1.png,normal,", "images/1.png,normal"):
        refused(errors.MissingValueError, csv(tmp_path, good, bad), wanted, names=["labels.csv row 2"])
    refused(errors.UnreadableFileError, csv(tmp_path, "images/3.png,normal,a"), wanted, names=["3.png"])
    refused(errors.UnreadableFileError, csv(tmp_path, "images,normal,a"), wanted, names=["images"])
    refused(errors.ColumnError, csv(tmp_path, good, header="path,label,who"), wanted, names=["finding"])
    twice = csv(tmp_path, "images/1.png,normal,a", header="path,finding,finding")
    refused(errors.ColumnError, twice, names=["labels.csv", "finding"])
    refused(errors.DataError, csv(tmp_path), wanted, names=["labels.csv"])
    refused(errors.UnreadableFileError, csv(tmp_path, good + ",more"), wanted, names=["labels.csv"])
    for content in (b"", b"\xff\xfe\x00", b'path,finding\n"'):
        path.write_bytes(content)
        with pytest.raises(errors.DataError, match=r"labels\.csv"):
            read_images(path, schema())


@pytest.mark.parametrize(
    "path",
    ["../out.png", "images/../../out.png", "/etc/out.png", "C:\\out.png", "..\\out.png", "link/out.png"],
)
def test_a_csv_reaches_nothing_outside_its_folder(tmp_path, path):
    put(tmp_path / "out.png", pixels())
    table = csv(tmp_path / "in", f"{path},normal,a")
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    caught = refused(errors.ValueNotAllowedError, table, names=["labels.csv row 1", "'path'"])
    assert "out.png" not in caught.message


# --- npz


def npz(tmp_path, **arrays):
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    return tmp_path / "x.npz"


@pytest.mark.parametrize(
    ("channels", "shape"),
    [(1, (28, 28)), (1, (28, 28, 1)), (1, (1, 28, 28)), (3, (28, 28, 3)), (3, (3, 28, 28))],
)
def test_an_npz_in_any_order_of_axes(tmp_path, channels, shape):
    images = pixels(3, (5, *shape))
    path = npz(tmp_path, x=images, y=np.array([7, 3, 3, 7, 3]), subject=np.array(list("aabbc")))
    read = read_images(path, schema(channels, (3, 7), "who"))
    last = images.transpose(0, 3, 1, 2) if shape[-1] == channels != 28 else images.reshape(5, -1, 28, 28)
    assert np.array_equal(read.values, last)
    assert read.values.flags.c_contiguous
    assert read.labels.tolist() == [1, 0, 0, 1, 0]
    assert read.subjects.tolist() == list("aabbc")


X, Y = pixels(4, (2, 28, 28)), np.array(["normal", "pneumonia"])


@pytest.mark.parametrize(
    ("kind", "arrays", "named"),
    [
        (errors.ColumnError, {"x": X}, "'y'"),
        (errors.ColumnError, {"y": Y}, "'x'"),
        (errors.ColumnError, {"x": X, "y": Y}, "'subject'"),
        (errors.ShapeError, {"x": X.astype(float), "y": Y}, "float64"),
        (errors.ShapeError, {"x": X[:, 1:], "y": Y}, "27"),
        (errors.ShapeError, {"x": np.uint8(1), "y": Y}, "x"),
        (errors.ShapeError, {"x": X, "y": Y[:1]}, "y"),
        (errors.ShapeError, {"x": X, "y": np.array([0.0, 1.0])}, "y is float64"),
        (errors.ValueNotAllowedError, {"x": X, "y": np.array(["normal", SECRET])}, "row 2"),
        (errors.MissingValueError, {"x": X, "y": np.array(["normal", ""])}, "row 2"),
        (errors.MissingValueError, {"x": X, "y": Y, "subject": np.array(["", "b"])}, "row 1"),
        (errors.UnreadableFileError, {"x": X, "y": Y.astype(object)}, "y holds Python objects"),
        (errors.UnreadableFileError, {"x": X.astype(object), "y": Y}, "x holds Python objects"),
        (errors.DataError, {"x": X[:0], "y": Y[:0], "subject": Y[:0]}, "no images"),
    ],
)
def test_an_npz_that_does_not_fit_is_refused(tmp_path, kind, arrays, named):
    refused(kind, npz(tmp_path, **arrays), schema(subject="who"), names=["x.npz", named])


def test_an_npz_that_declares_too_much_is_refused_before_it_is_unpacked(tmp_path):
    header = io.BytesIO()
    declared = {"descr": "|u1", "fortran_order": False, "shape": (1 << 40, 28, 28)}
    np.lib.format.write_array_header_1_0(header, declared)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue())
    refused(errors.UnreadableFileError, tmp_path / "x.npz", names=["x.npz", "declares"])


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_an_altered_npz_is_read_unchanged_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("n")
    path = npz(folder, x=X, y=Y)
    whole = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole[: data.draw(st.sampled_from([len(whole), place]))])
    with contextlib.suppress(errors.DataError):  # and no other error
        read = read_images(path, schema())
        assert np.array_equal(read.values[:, 0], X)
        assert read.labels.tolist() == [0, 1]


@given(st.binary(max_size=400))
@example(b"PK\x05\x06" + bytes(18))
@settings(max_examples=60, deadline=None)
def test_random_bytes_are_no_npz_and_no_array(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("r") / "x.npz"
    path.write_bytes(content)
    with pytest.raises(errors.DataError, match=r"x\.npz"):
        read_images(path, schema())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + content)
    with pytest.raises(errors.DataError, match=r"x\.npz"):
        read_images(path, schema())


# --- DICOM


def dicom(path, values=None, **tags):
    pydicom = pytest.importorskip("pydicom")
    values = np.arange(784, dtype=np.uint16).reshape(28, 28) if values is None else values
    file = pydicom.Dataset()
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = tags.pop("syntax", pydicom.uid.ExplicitVRLittleEndian)
    file.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    file.SOPInstanceUID = pydicom.uid.generate_uid()
    file.PatientName = file.PatientID = ""
    file.Rows, file.Columns, file.SamplesPerPixel = *values.shape[:2], 1
    file.PhotometricInterpretation = "MONOCHROME2"
    file.BitsAllocated = file.BitsStored = 8 * values.itemsize
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(values.dtype.kind == "i")
    file.PixelData = values.tobytes()
    for name, value in tags.items():
        setattr(file, name, value)
    file.HighBit = file.BitsStored - 1
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save_as(path, enforce_file_format=True)
    return file


def grey(tmp_path, values=None, **tags):
    dicom(tmp_path / "normal" / "1.dcm", values, **tags)
    return read_images(tmp_path, schema()).values[0, 0].astype(int)


def test_dicom_maps_the_declared_range_and_never_the_images_own(tmp_path):
    values = np.arange(784, dtype=np.uint16).reshape(28, 28)
    assert np.array_equal(grey(tmp_path, values, BitsStored=12), np.rint(values / 4095 * 255))
    assert np.array_equal(grey(tmp_path, values), np.rint(values / 65535 * 255))
    assert np.array_equal(grey(tmp_path, pixels()), pixels())
    spare = values | 0xF000  # the four spare bits may hold an overlay
    assert np.array_equal(grey(tmp_path, spare, BitsStored=12), np.rint(values / 4095 * 255))
    inverted = grey(tmp_path, pixels(), PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(inverted, 255 - pixels())
    signed = values.astype(np.int16) - 400
    assert np.array_equal(grey(tmp_path, signed, BitsStored=12), np.rint((signed + 2048) / 4095 * 255))


def test_dicom_applies_rescale_window_and_tables(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    values = np.arange(784, dtype=np.uint16).reshape(28, 28)
    hounsfield = {"BitsStored": 12, "RescaleSlope": 2, "RescaleIntercept": -1024}
    assert np.array_equal(grey(tmp_path, values, **hounsfield), np.rint(values / 4095 * 255))
    window = grey(tmp_path, values, WindowCenter=[40, 999], WindowWidth=[400, 9], **hounsfield)
    ramp = np.clip((values * 2.0 - 1024 - 39.5) / 399 + 0.5, 0, 1) * 255
    assert np.abs(window - ramp).max() <= 0.5 + 1e-6
    table = pydicom.Dataset()
    table.LUTDescriptor = [1000, 0, 10]
    table.LUTData = np.arange(999, -1, -1, dtype=np.uint16).tobytes()
    mapped = grey(tmp_path, values, BitsStored=12, VOILUTSequence=[table])
    assert np.array_equal(mapped, np.rint((999 - values.astype(int)) / 1023 * 255))


def test_dicom_in_colour(tmp_path):
    image = pixels(5, (28, 28, 3))
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    dicom(tmp_path / "normal" / "1.dcm", image, **tags)
    assert np.array_equal(read_images(tmp_path, schema(3)).values[0], image.transpose(2, 0, 1))
    refused(errors.ShapeError, tmp_path, names=["1.dcm", "RGB"])


NAMING = """PatientName PatientID PatientBirthDate OtherPatientIDs PatientAddress AccessionNumber
    InstitutionName ReferringPhysicianName OperatorsName StationName"""


@pytest.mark.parametrize("tag", NAMING.split())
def test_dicom_that_says_whose_it_is_is_refused_unless_told(tmp_path, tag):
    value = "19700101" if tag.endswith("Date") else "Zyxwv"
    dicom(tmp_path / "normal" / "1.dcm", pixels(), **{tag: value})
    caught = refused(errors.IdentifiedError, tmp_path, names=["1.dcm", tag])
    assert value not in caught.message + caught.hint
    assert np.array_equal(read_images(tmp_path, schema(), allow_identified=True).values[0, 0], pixels())


def test_private_nested_and_burned_in_identity_is_found(tmp_path):
    path = tmp_path / "normal" / "1.dcm"
    file = dicom(path, pixels())
    file.private_block(0x0009, "Zyxwv", create=True).add_new(1, "LO", "Zyxwv")
    file.save_as(path, enforce_file_format=True)
    caught = refused(errors.IdentifiedError, tmp_path, names=["1.dcm", "(0009,1001)"])
    assert "Zyxwv" not in caught.message
    inner = type(file)()
    inner.PatientID = "Zyxwv"
    dicom(path, pixels(), ReferencedImageSequence=[inner])
    refused(errors.IdentifiedError, tmp_path, names=["PatientID"])
    read_images(tmp_path, schema(), allow_identified=True)
    dicom(path, pixels(), BurnedInAnnotation="YES")
    refused(errors.IdentifiedError, tmp_path, names=["BurnedInAnnotation"])
    refused(errors.IdentifiedError, tmp_path, names=["BurnedInAnnotation"], allow_identified=True)


@pytest.mark.parametrize(
    ("kind", "tags"),
    [
        (errors.ShapeError, {"NumberOfFrames": 2}),
        (errors.ShapeError, {"Rows": 14}),
        (errors.ShapeError, {"PhotometricInterpretation": "PALETTE COLOR"}),
        (errors.ShapeError, {"BitsAllocated": 32, "BitsStored": 32}),
        (errors.UnreadableFileError, {"PixelData": bytes(100)}),
        (errors.UnreadableFileError, {"RescaleSlope": -1, "RescaleIntercept": 0}),
        (errors.UnreadableFileError, {"WindowCenter": 5, "WindowWidth": 0}),
        (errors.UnreadableFileError, {"syntax": "1.2.840.10008.1.2.1.99"}),
    ],
)
def test_dicom_that_does_not_fit_is_refused(tmp_path, kind, tags):
    dicom(tmp_path / "normal" / "1.dcm", **tags)
    refused(kind, tmp_path, names=["1.dcm"])


def test_broken_dicom_is_refused(tmp_path):
    path = tmp_path / "normal" / "1.dcm"
    dicom(path)
    whole = path.read_bytes()
    for content in (b"", b"no DICOM", whole[:200], whole[:-300]):
        path.write_bytes(content)
        refused(errors.UnreadableFileError, tmp_path, names=["1.dcm"])


def test_without_pydicom_the_hint_says_what_to_install(tmp_path, monkeypatch):
    dicom(tmp_path / "normal" / "1.dcm")
    found = builtins.__import__

    def absent(name, *rest):
        if name.startswith("pydicom"):
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    assert "fedcgan[dicom]" in refused(errors.MissingPackageError, tmp_path, names=["1.dcm"]).hint

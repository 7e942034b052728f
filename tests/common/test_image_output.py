"""Synthetic images: every file says what it is, and reads back as it was made."""

import errno
import struct
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from common import errors
from common.columns import CategoryColumn
from common.modalities import image_output
from common.modalities.image_files import read_images
from common.modalities.image_output import (
    SOURCE_TYPE,
    grid,
    is_marked,
    write_folder,
    write_grid,
    write_npz,
    write_png,
)
from common.schema import ImageSchema

FACTS = {"Plan": "ab" * 32, "Seed": "7", "Synthetic": "false"}  # the last cannot be had


def schema(channels=1, categories=("normal", "a/b: 50%")):
    label = CategoryColumn(name="finding", categories=categories)
    return ImageSchema(name="x", kind="image", size=28, channels=channels, label=label)


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def chunks(path):
    """(kind, body) of every chunk of a PNG."""
    content, place = path.read_bytes(), 8
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        yield content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        place += length + 12


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_carries_the_mark_byte_for_byte_and_the_pixels(tmp_path, channels):
    image = pixels(channels, 28, 28)
    write_png(image, tmp_path / "new" / "1.png", FACTS)
    found = list(chunks(tmp_path / "new" / "1.png"))
    texts = [body for kind, body in found if kind == b"tEXt"]
    assert sorted(texts) == sorted(
        [b"Software\0fedcgan", b"Synthetic\0true", b"Plan\0" + b"ab" * 32, b"Seed\0" + b"7"]
    )
    (xmp,) = [body for kind, body in found if kind == b"iTXt"]
    start = b"XML:com.adobe.xmp\0\0\0\0\0"  # uncompressed, no language, no translated keyword
    assert xmp.startswith(start)
    kinds = [kind for kind, _ in found]
    assert kinds.index(b"iTXt") < kinds.index(b"IDAT")
    root = ElementTree.fromstring(xmp[len(start) :].decode())
    (term,) = root.iter("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert (
        term.text == SOURCE_TYPE == ("http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia")
    )
    with Image.open(tmp_path / "new" / "1.png") as read:
        assert read.text["Software"] == "fedcgan"
        assert read.text["Plan"] == FACTS["Plan"]
        assert np.array_equal(np.atleast_3d(np.asarray(read)).transpose(2, 0, 1), image)
    assert is_marked(tmp_path / "new" / "1.png")


def test_what_is_not_ours_is_not_marked(tmp_path):
    Image.fromarray(pixels(28, 28)).save(tmp_path / "1.png")
    np.savez(tmp_path / "1.npz", x=pixels(2, 28, 28))
    np.savez(tmp_path / "2.npz", synthetic=np.array(["Synthetic=false"]))
    assert not any(is_marked(path) for path in tmp_path.iterdir())
    np.savez(tmp_path / "3.npz", synthetic=np.array([None], dtype=object))
    (tmp_path / "2.png").write_bytes(b"")
    for name in ("3.npz", "2.png", "nowhere.png", "nowhere.npz"):
        with pytest.raises(errors.UnreadableFileError, match=name):
            is_marked(tmp_path / name)


@given(
    arrays(np.uint8, array_shapes(min_dims=5, max_dims=5, max_side=4), elements=st.integers(0, 254)),
    st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_a_grid_shows_every_image_in_its_place_and_white_elsewhere(images, border):
    sheet = grid(images, border)
    rows, columns, channels, height, width = images.shape
    tall, wide = height + border, width + border
    assert sheet.shape == (channels, rows * tall + border, columns * wide + border)
    assert sheet.dtype == np.uint8
    for row in range(rows):
        for column in range(columns):
            top, left = row * tall + border, column * wide + border
            there = sheet[:, top : top + height, left : left + width]
            assert np.array_equal(there, images[row, column])
            there[:] = 255
    assert (sheet == 255).all()


def test_a_grid_is_written_with_the_mark(tmp_path):
    images = pixels(2, 3, 3, 28, 28)
    write_grid(images, tmp_path / "grid.png", FACTS, border=1)
    with Image.open(tmp_path / "grid.png") as read:
        assert np.array_equal(np.asarray(read).transpose(2, 0, 1), grid(images, 1))
    assert is_marked(tmp_path / "grid.png")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_reads_back(tmp_path, channels):
    images, labels = pixels(5, channels, 28, 28), np.array([1, 0, 1, 1, 0])
    write_folder(images, labels, schema(channels), tmp_path / "out", FACTS)
    files = sorted((tmp_path / "out").rglob("*.png"))
    assert [file.name for file in files] == [f"{i:06d}.png" for i in (1, 2, 3, 1, 2)]
    assert all(is_marked(file) for file in files)
    read = read_images(tmp_path / "out", schema(channels))
    order = np.argsort(-labels, kind="stable")  # "a%2Fb..." sorts before "normal"
    assert np.array_equal(read.labels, labels[order])
    assert np.array_equal(read.values, images[order])


def test_a_folder_is_whole_or_not_there(tmp_path, monkeypatch):
    images, labels = pixels(3, 1, 28, 28), np.array([0, 0, 1])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "old.png").write_bytes(b"")
    with pytest.raises(errors.StorageError, match="not empty"):
        write_folder(images, labels, schema(), tmp_path / "full", FACTS)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["old.png"]
    saved = []

    def full_disk(*given):
        if saved:
            raise OSError(errno.ENOSPC, "No space left on device")
        saved.append(given)

    with monkeypatch.context() as patch:
        patch.setattr(image_output, "_save", full_disk)
        with pytest.raises(errors.StorageError, match="No space"):
            write_folder(images, labels, schema(), tmp_path / "out", FACTS)
        with pytest.raises(errors.StorageError, match="No space"):
            write_png(images[0], tmp_path / "1.png", FACTS)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    (tmp_path / "out").mkdir()  # an empty one may be there
    write_folder(images, labels, schema(), tmp_path / "out", FACTS)
    assert len(read_images(tmp_path / "out", schema())) == 3


@pytest.mark.parametrize("categories", [("normal", "a/b: 50%"), (3, 7)])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_npz_reads_back_and_says_what_it_is(tmp_path, channels, categories):
    images, labels = pixels(4, channels, 28, 28), np.array([1, 0, 1, 1])
    wanted = schema(channels, categories)
    write_npz(images, labels, wanted, tmp_path / "x.npz", FACTS)
    read = read_images(tmp_path / "x.npz", wanted)
    assert np.array_equal(read.values, images)
    assert np.array_equal(read.labels, labels)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as content:
        assert sorted(content) == ["synthetic", "x", "y"]
        assert content["y"].tolist() == [categories[label] for label in labels]
        assert {"Software=fedcgan", "Synthetic=true", "Seed=7"} <= set(content["synthetic"].tolist())
        assert "Synthetic=false" not in content["synthetic"]
    assert is_marked(tmp_path / "x.npz")
    assert zipfile.ZipFile(tmp_path / "x.npz").testzip() is None
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]

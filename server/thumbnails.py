"""The last samples of a run in letters: rows of a table, images in half blocks, curves in dots."""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from rich.console import Group, RenderableType
from rich.segment import Segment, Segments
from rich.style import Style
from rich.table import Table
from rich.text import Text

from common.plain_text import plain
from common.schema import ImageSchema, Schema, TableSchema

_BORDER = 2  # pixels between the images of a gallery
_LEGIBLE = 12  # pixels of an image; below, fewer are shown
_COLOURED = 48  # by which a curve differs from grey axes and letters, of 255
_WIDEST = 18  # letters of a column

_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""Of a braille letter, by row and column (Unicode 16, section 21.1)."""


def preview(path: Path, schema: Schema, width: int, lines: int) -> RenderableType | None:
    """The samples of a look in at most so many letters; None if the file cannot be shown.

    path: what ``Looked`` names; images and signals have a row for each class, as ``array_output`` writes them
    """
    try:
        if isinstance(schema, TableSchema):
            return _rows(path, width, lines)
        with Image.open(path) as image:
            sheet = np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError, ValueError, csv.Error):
        return None
    return (
        _images(sheet, schema, width, lines)
        if isinstance(schema, ImageSchema)
        else _dots(sheet, width, lines)
    )


def _rows(path: Path, width: int, lines: int) -> RenderableType:
    """As many rows and columns as there is room for, and how many columns there are besides."""
    with path.open(newline="", encoding="utf-8") as file:
        heading, *rows = [[plain(cell) for cell in row] for row in islice(csv.reader(file), lines)]
    letters = [
        min(_WIDEST, max(len(row[place]) for row in (heading, *rows) if place < len(row)))
        for place in range(len(heading))
    ]
    more = " +99"
    room = np.cumsum(np.array(letters) + 2)
    shown = len(letters) if room[-1] - 2 <= width else int((room <= width - len(more)).sum())
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name, size in zip(heading[:shown], letters, strict=False):
        table.add_column(name, width=size, no_wrap=True, overflow="ellipsis")
    if shown < len(heading):
        table.add_column(f"+{len(heading) - shown}", no_wrap=True)
    for row in rows:
        table.add_row(*row[:shown])
    return table


def _images(sheet: NDArray[np.uint8], schema: ImageSchema, width: int, lines: int) -> RenderableType:
    """The first image of each class, as large as they all fit; the first few classes if that is too small."""
    names = [str(category) for category in schema.label.categories]
    lines -= 1  # what they are
    size, columns = _fit(len(names), schema.size, width, lines)
    rows = max(1, (lines + 1) // ((size + 1) // 2 + 1))
    names = names[: columns * rows]
    step = schema.size + _BORDER
    parts: list[RenderableType] = [_note(names, len(schema.label.categories), schema.label.name, width)]
    for first in range(0, len(names), columns):
        tiles = []
        for place in range(first, min(first + columns, len(names))):
            top = _BORDER + place * step
            tile = sheet[top : top + schema.size, _BORDER : _BORDER + schema.size]
            tiles.append(np.asarray(Image.fromarray(tile).resize((size, size), Image.Resampling.BOX)))
        parts.append(_half_blocks(tiles))
    return Group(*parts)


def _note(names: list[str], count: int, label: str, width: int) -> Text:
    rest = f", and {count - len(names)} more" if len(names) < count else ""
    text = Text(
        f"one of each {plain(label)}: {', '.join(map(plain, names))}{rest}", style="dim", no_wrap=True
    )
    text.truncate(width, overflow="ellipsis")
    return text


def _fit(count: int, size: int, width: int, lines: int) -> tuple[int, int]:
    """Pixels of an image, and how many lie beside each other. Two pixels are a letter's height."""
    for pixels in range(min(size, 2 * lines), min(_LEGIBLE, size, 2 * lines) - 1, -1):
        columns = max(1, (width + 1) // (pixels + 1))
        rows = -(-count // columns)
        if rows * ((pixels + 1) // 2 + 1) - 1 <= lines:
            return pixels, columns
    pixels = max(2, min(_LEGIBLE, size, 2 * lines, width))
    return pixels, max(1, (width + 1) // (pixels + 1))


def _half_blocks(tiles: list[NDArray[np.uint8]]) -> Segments:
    """Images uint8[size, size, 3] beside each other: a letter is two pixels, its colour and its ground."""
    segments: list[Segment] = []
    for top in range(0, len(tiles[0]), 2):
        for tile in tiles:
            lower = tile[min(top + 1, len(tile) - 1)]
            for upper, below in zip(tile[top], lower, strict=True):
                style = Style(color=_colour(upper), bgcolor=_colour(below))
                segments.append(Segment("▀", style))
            segments.append(Segment(" "))
        segments.append(Segment.line())
    segments.append(Segment.line())
    return Segments(segments)


def _colour(pixel: NDArray[np.uint8]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*pixel)


def _dots(sheet: NDArray[np.uint8], width: int, lines: int) -> RenderableType | None:
    """The left of a figure's coloured curves, a dot for each part of it that a curve runs through."""
    curve = sheet.max(-1).astype(int) - sheet.min(-1) > _COLOURED
    scale = max(1, -(-len(curve) // (4 * lines)))  # pixels of a dot
    curve = curve[:, : 2 * width * scale]
    tall, wide = -(-len(curve) // (4 * scale)), -(-curve.shape[1] // (2 * scale))
    padded = np.zeros((tall * 4 * scale, wide * 2 * scale), bool)
    padded[: len(curve), : curve.shape[1]] = curve
    dots = padded.reshape(tall, 4, scale, wide, 2, scale).any((2, 5))  # [tall, 4, wide, 2]
    letters = 0x2800 + (dots * _DOTS[None, :, None, :]).sum((1, 3))
    drawn = ["".join(map(chr, row)) for row in letters]
    return Group(*(Text(line, style="cyan", no_wrap=True) for line in drawn if line.strip("⠀")))

"""Pictures of images and signals: samples of every class, overlays and spectra."""

from __future__ import annotations

import base64
import io
from itertools import islice, product
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from ..arrays import Arrays
from ..modalities.image_output import mark
from ..schema import ImageSchema, SignalSchema
from .groups import plain
from .svg import MUTED, REFERENCE, SYNTHETIC, axes, inline, sheet

_CLASSES = 24  # of images shown at most
_IMAGES, _VALUES = 12, 900_000  # images of a class, and values of all, which bounds the page
_PANELS = 24  # pairs of a class and a channel
_CURVES = 8  # of a class and channel
_SAMPLES = 240  # of a curve shown
_WIDTH = 330
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def strips(arrays: Arrays, schema: ImageSchema, facts: dict[str, str] | None) -> list[dict[str, Any]]:
    """A row of images for each class: label, how many, and a PNG as a data address.

    facts: what synthetic images say of themselves; None for real ones
    """
    classes = schema.label.categories[:_CLASSES]
    fit = _VALUES // (len(classes) * schema.channels * schema.size**2)
    found = []
    for code, value in enumerate(classes):
        mine = arrays.values[arrays.labels == code][: min(_IMAGES, max(1, fit))]
        if len(mine):
            source, size = _png(mine, facts)
            found.append(
                {
                    "label": plain(str(value)),
                    "count": len(mine),
                    "source": source,
                    "width": size[0],
                    "height": size[1],
                }
            )
    return found


def _png(images: NDArray[np.uint8], facts: dict[str, str] | None) -> tuple[str, tuple[int, int]]:
    """Images [count, channels, height, width] side by side, a pixel apart."""
    from PIL import Image

    count, channels, height, width = images.shape
    row = np.full((height, count * (width + 1) - 1, channels), 255, np.uint8)
    for place, image in enumerate(images):
        row[:, place * (width + 1) : place * (width + 1) + width] = image.transpose(1, 2, 0)
    picture = Image.fromarray(row[:, :, 0] if channels == 1 else row)
    raw = io.BytesIO()
    picture.save(raw, "PNG", optimize=True, pnginfo=None if facts is None else mark(facts))
    return "data:image/png;base64," + base64.b64encode(raw.getvalue()).decode(), picture.size


def _panels(schema: SignalSchema) -> list[tuple[int, int, str]]:
    """Class, channel and a caption of each panel: as many as fit."""
    names = [plain(str(value)) for value in schema.label.categories]
    every = product(enumerate(names), enumerate(schema.channels))
    found = ((code, place, f"{name} · {plain(channel.name)}") for (code, name), (place, channel) in every)
    return list(islice(found, _PANELS))


def overlays(synthetic: Arrays, real: Arrays | None, schema: SignalSchema) -> list[tuple[str, Markup]]:
    """For each class and channel some curves over one another, real ones in grey, with a caption."""
    found = []
    for code, place, caption in _panels(schema):
        ours = synthetic.values[synthetic.labels == code][:_CURVES, place]
        theirs = None if real is None else real.values[real.labels == code][:_CURVES, place]
        figure = _curves(ours, theirs, schema, plain(schema.channels[place].unit, 20))
        beside = "" if theirs is None else f" over {len(theirs)} real ones"
        text = f"{len(ours)} synthetic signals{beside}, {schema.length} samples each."
        found.append((caption, inline(figure, f"signal-{code}-{place}", f"Signals of {caption}", text)))
    return found


def _curves(
    ours: NDArray[np.float32], theirs: NDArray[np.float32] | None, schema: SignalSchema, unit: str
) -> Any:
    figure = sheet(_WIDTH, 168)
    cell = axes(figure, 42, 38, 8, 8)
    step = max(1, schema.length // _SAMPLES)
    seconds = np.arange(schema.length)[::step] / schema.sampling_rate
    for signals, colour, strength in ((theirs, REFERENCE, 0.7), (ours, SYNTHETIC, 0.65)):
        for signal in signals if signals is not None else ():
            cell.plot(seconds, signal[::step], color=colour, alpha=strength, linewidth=1.1)
    cell.set_xlim(seconds[0], seconds[-1])
    cell.set_xlabel("seconds", labelpad=1)
    cell.set_ylabel(unit, labelpad=2)
    cell.grid(axis="y")
    cell.locator_params(nbins=5)
    return figure


def spectra(found: dict[str, Any], schema: SignalSchema) -> list[tuple[str, Markup]]:
    """Mean power over frequency for each class and channel, on a logarithmic scale."""
    pictures = []
    for code, place, caption in _panels(schema):
        ours, theirs = (_of(found[side], code, place) for side in ("synthetic", "reference"))
        if ours is None:
            continue
        figure = sheet(_WIDTH, 168)
        cell = axes(figure, 42, 38, 8, 8)
        if theirs is not None:
            cell.plot(found["frequencies"], theirs, color=REFERENCE, linewidth=2.4)
        cell.plot(found["frequencies"], ours, color=SYNTHETIC, linewidth=1.6)
        _logarithmic(cell, [*ours, *(theirs or ())])
        cell.set_xlabel("Hz", labelpad=1)
        cell.grid(axis="y")
        cell.locator_params(axis="x", nbins=6)
        peak = found["frequencies"][int(np.argmax(ours))]
        text = f"Most power of synthetic signals is at {peak:g} hertz."
        pictures.append((caption, inline(figure, f"spectrum-{code}-{place}", f"Spectrum of {caption}", text)))
    return pictures


def _of(side: Any, code: int, place: int) -> list[float] | None:
    return None if side is None or side[code] is None else side[code][place]


def _logarithmic(cell: Any, values: list[float]) -> None:
    """A logarithmic scale with a tick for every few powers of ten."""
    top = np.log10(max(*values, 1e-12))
    low = max(top - 8, np.log10(max(min(values), 1e-12)))
    cell.set_yscale("log")
    ends = int(np.floor(low)), int(np.ceil(top))
    step = max(1, (ends[1] - ends[0]) // 4)
    powers = list(range(ends[0], ends[1] + 1, step))
    cell.set_yticks(
        [10.0**power for power in powers],
        ["10" + str(power).translate(_RAISED) for power in powers],
        color=MUTED,
    )
    cell.minorticks_off()
    cell.set_ylim(10.0 ** ends[0], 10.0 ** ends[1])
    cell.set_ylabel("power", labelpad=1)


def shares(names: list[str], ours: list[float], theirs: list[float] | None, real: int) -> dict[str, Any]:
    """Class shares in the form of a column, to be drawn like one. real: how many real records"""
    sampling = None if theirs is None else [(part * (1 - part) / max(real, 1)) ** 0.5 for part in theirs]
    return {
        "column": "classes",
        "number": False,
        "unit": "",
        "labels": names,
        "synthetic": ours,
        "reference": theirs,
        "deviation": sampling,
        "distance": None if theirs is None else float(np.abs(np.subtract(ours, theirs)).sum() / 2),
    }

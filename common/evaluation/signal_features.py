"""Plain features of signals: the numbers by which real and generated records are compared.

Spectra are periodograms of the signal without its mean, not windowed, one-sided and scaled so that all power
together is the variance (Parseval). Mean and median frequency as in Phinyomark et al. 2012; skewness and
kurtosis are the moments of the sample (kurtosis minus 3), as scipy.stats gives them by default.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..arrays import Arrays
from ..schema import SignalSchema

BANDS = (0.0, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Borders of four public bands, as parts of the Nyquist frequency: three octaves below it, and what is left.

A frequency on a border belongs to the band below it. The powers of the bands add up to the variance.
"""

FEATURES = (
    "mean",
    "variance",
    "rms",
    "skewness",
    "kurtosis",
    "crest_factor",  # largest magnitude over RMS
    "spectral_centroid",  # Hz, the mean frequency, weighted by power
    "median_frequency",  # Hz, the lowest with half of the power at it or below
    "power_below_eighth",  # of the Nyquist frequency; unit of the signal, squared
    "power_eighth_to_quarter",
    "power_quarter_to_half",
    "power_above_half",
)
"""Names of the features of one channel, in order."""

_AT_ONCE = 1 << 21  # values; keeps spectra of many signals out of memory


def features(signals: NDArray[np.floating], sampling_rate: float) -> NDArray[np.float64]:
    """Features ``float64[records, channels * len(FEATURES)]``: all of the first channel, then of the next.

    signals: [records, channels, length] in their units, of float32's range; sampling_rate: in Hz. Where a
    feature would be 0/0, as for constant signals, it is 0; all are finite if the signals are.
    """
    records, channels, length = signals.shape
    flat = signals.reshape(records * channels, length)
    result = np.empty((len(flat), len(FEATURES)))
    step = max(1, _AT_ONCE // length)
    for start in range(0, len(flat), step):
        result[start : start + step] = _features(flat[start : start + step].astype(np.float64), sampling_rate)
    return result.reshape(records, channels * len(FEATURES))


def _features(x: NDArray[np.float64], sampling_rate: float) -> NDArray[np.float64]:
    """Features of signals [signals, length], ``float64[signals, len(FEATURES)]``."""
    mean = x.mean(axis=1)
    constant = x.max(axis=1) == x.min(axis=1)
    centred = np.where(constant[:, None], 0.0, x - mean[:, None])  # exactly: a mean may be off by rounding
    variance = (centred**2).mean(axis=1)
    standard = _ratio(centred, np.sqrt(variance)[:, None])
    kurtosis = (standard**4).mean(axis=1) - 3
    rms = np.sqrt((x**2).mean(axis=1))
    frequencies, power = _spectrum(centred, sampling_rate)
    total = power.sum(axis=1)
    running = power.cumsum(axis=1)
    median = frequencies[(running >= running[:, -1:] / 2).argmax(axis=1)]
    bands = np.digitize(frequencies / (sampling_rate / 2), BANDS[1:-1], right=True)
    columns = [
        mean,
        variance,
        rms,
        (standard**3).mean(axis=1),
        np.where(variance > 0, kurtosis, 0.0),
        _ratio(np.abs(x).max(axis=1), rms),
        _ratio(power @ frequencies, total),
        np.where(total > 0, median, 0.0),
        *(power[:, bands == band].sum(axis=1) for band in range(len(BANDS) - 1)),
    ]
    return np.stack(columns, axis=1)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """above / below, and 0 where below is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _spectrum(
    centred: NDArray[np.float64], sampling_rate: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies in Hz, and the one-sided power [signals, frequencies]; it adds up to the variance."""
    length = centred.shape[1]
    power = (np.abs(np.fft.rfft(centred, axis=1)) / length) ** 2
    power[:, 0] = 0.0  # rounding left of the mean
    power[:, 1 : (length + 1) // 2] *= 2  # the Nyquist frequency, if there is one, has no mirror image
    return np.asarray(np.fft.rfftfreq(length, 1 / sampling_rate), np.float64), power


def table(real: Arrays, generated: Arrays, schema: SignalSchema) -> pd.DataFrame:
    """Mean and standard deviation of each feature by class and channel, real and generated side by side.

    One row for each class, channel and feature; NaN where a side has no record of the class. It tells about
    real records: only where these may be seen, at a site or in a simulation.
    """
    sides = [(side, features(side.values, schema.sampling_rate)) for side in (real, generated)]
    channels = [channel.name for channel in schema.channels]
    parts = []
    for code, category in enumerate(schema.label.categories):
        part = pd.DataFrame(
            {
                schema.label.name: category,
                "channel": np.repeat(np.array(channels, object), len(FEATURES)),
                "feature": np.tile(np.array(FEATURES, object), len(channels)),
            }
        )
        for name, (side, values) in zip(("real", "generated"), sides, strict=True):
            of_class = values[side.labels == code]
            absent = np.full(values.shape[1], np.nan)
            part[f"{name}_mean"] = of_class.mean(axis=0) if len(of_class) else absent
            part[f"{name}_std"] = of_class.std(axis=0) if len(of_class) else absent
        parts.append(part)
    return pd.concat(parts, ignore_index=True)

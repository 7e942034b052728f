"""Spectra and autocorrelation of real and synthetic signals, class by class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..arrays import Arrays
from ..schema import SignalSchema
from .figures import Figure

_BOOTSTRAP = 200
_FLOOR = 1e-6  # of power, over that of the channel's bounds: quieter is silence
_SEED = 20_240_609

Values = NDArray[np.float64]


def spectral_figures(
    training: Arrays, holdout: Arrays, synthetic: Arrays, schema: SignalSchema
) -> tuple[Figure, ...]:
    """Distance of mean log spectra and of mean autocorrelations, for each class that all three have.

    The reference is as many training as synthetic records of the class, against held-out ones.
    """
    kinds: tuple[tuple[str, str, str, Callable[[Arrays, SignalSchema], Values]], ...] = (
        (
            "spectrum",
            "Distance of spectra",
            "Root mean square difference of mean log power spectra, in dB",
            _log_spectrum,
        ),
        (
            "autocorrelation",
            "Distance of autocorrelations",
            "Root mean square difference of mean autocorrelations, up to a quarter of the length",
            _autocorrelation,
        ),
    )
    figures = []
    for name, title, how, view in kinds:
        for code, category in enumerate(schema.label.categories):
            sides = [side.take(side.labels == code) for side in (synthetic, training, holdout)]
            if min(len(side) for side in sides) < 2:
                continue
            made, real, held = (view(side, schema) for side in sides)
            value, low, high = _apart(made, held)
            figures.append(
                Figure(
                    name=f"{name}/{schema.label.name}={category}",
                    title=f"{title}, {schema.label.name} = {category}",
                    value=value,
                    low=low,
                    high=high,
                    reference=_apart(real[: len(made)], held)[0],
                    better="lower",
                    source="records",
                    how=f"{how}, all channels. Interval: bootstrap over records.",
                )
            )
    return tuple(figures)


def _log_spectrum(signals: Arrays, schema: SignalSchema) -> Values:
    """Decibels over the power of the bounds: float64[records, channels * frequencies], without the mean."""
    scaled = _scaled(signals, schema)
    power = np.abs(np.fft.rfft(scaled - scaled.mean(2, keepdims=True), axis=2)[:, :, 1:]) ** 2
    decibels = 10 * np.log10(power / scaled.shape[2] + _FLOOR)
    return np.asarray(decibels.reshape(len(signals), -1), np.float64)


def _autocorrelation(signals: Arrays, schema: SignalSchema) -> Values:
    """float64[records, channels * lags], 0 for a constant signal; by the Wiener-Khinchin theorem."""
    scaled = _scaled(signals, schema)
    length = scaled.shape[2]
    centred = scaled - scaled.mean(2, keepdims=True)
    spectrum = np.abs(np.fft.rfft(centred, 2 * length, axis=2)) ** 2
    products = np.fft.irfft(spectrum, axis=2)[:, :, : max(2, length // 4)]
    zero = products[:, :, :1]
    found = np.divide(products, zero, out=np.zeros_like(products), where=zero > _FLOOR)
    return found[:, :, 1:].reshape(len(signals), -1)


def _scaled(signals: Arrays, schema: SignalSchema) -> Values:
    """Between -1 and 1, by the bounds."""
    low, high = np.array([channel.bounds for channel in schema.channels]).T[:, :, None]
    return np.asarray((signals.values - (low + high) / 2) / ((high - low) / 2), np.float64)


def _apart(left: Values, right: Values) -> tuple[float, float, float]:
    """Root mean square difference of means, with a basic bootstrap interval."""
    random = np.random.default_rng(_SEED)
    value = _rms(left.mean(0) - right.mean(0))
    means = [
        random.multinomial(len(side), np.full(len(side), 1 / len(side)), _BOOTSTRAP) @ side / len(side)
        for side in (left, right)
    ]
    again = np.sqrt(np.square(means[0] - means[1]).mean(1))
    low, high = np.quantile(again, [0.025, 0.975])
    return value, max(0.0, float(2 * value - high)), max(value, float(2 * value - low))


def _rms(values: Values) -> float:
    return float(np.sqrt(np.square(values).mean()))

"""Small charts of a dashboard, drawn as SVG at once: curves with a target, bars, a line in a row of text.

Only shapes are SVG, stretched to whatever width there is; all text around them is HTML, so that it stays
readable on a phone. Colours are classes of ``dashboard.css``: the pages' policy allows no style of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from .nice import decimated, ends_of, tick

_KINDS = ("first", "second", "third")
MOST_SERIES = len(_KINDS)

_FIGURE = Markup(
    '<figure class="plot"><figcaption class="head">{title}</figcaption>'
    '<div class="area"><div class="y" aria-hidden="true">{ticks}</div>'
    '<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{about}" focusable="false">'
    "{shapes}</svg>"
    '<div class="x" aria-hidden="true"><span>{first}</span><span>{unit}</span><span>{last}</span></div></div>'
    '<ul class="keys">{keys}</ul></figure>'
)
_KEY = Markup('<li><span class="key {kind}"></span>{label} <strong>{said}</strong></li>')


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A curve. x, y: numbers of equal length, x increasing; what is not finite is left out

    said: its last value as people read it, with its unit; by default the number alone
    """

    label: str
    x: ArrayLike
    y: ArrayLike
    said: str | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of ``bars``.

    value: at least 0; said: as people read it; kind: passed, inconclusive, failed or nothing, for its colour
    """

    label: str
    value: float
    said: str
    kind: str = ""


def curves(
    title: str,
    series: Sequence[Series],
    *,
    unit: str,
    target: tuple[float, str] | None = None,
    steps: bool = False,
    from_zero: bool = True,
    ends: tuple[str, str] | None = None,
) -> Markup:
    """At most three curves over one axis, with a dashed line at ``target`` (value, its name).

    unit: of the axis below ("round"); steps: a staircase, for what stays until it is added to
    from_zero: the axis at the left begins at 0 if nothing is below; ends: of the axis below in words, for
    times. Raises ValueError for more curves.
    """
    if len(series) > MOST_SERIES:
        raise ValueError(f"at most {MOST_SERIES} curves")
    found = [(one, *_finite(one)) for one in series]
    every_x = np.concatenate([x for _, x, _ in found] or [np.zeros(0)])
    every_y = np.concatenate([y for _, _, y in found] + ([np.array([target[0]])] if target else []))
    left, right = (float(every_x.min()), float(every_x.max())) if len(every_x) else (0.0, 1.0)
    ticks = ends_of(every_y, from_zero)
    low, high = ticks[0], ticks[-1]

    def place(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        return (x - left) / max(right - left, 1e-12) * 100, (high - y) / (high - low) * 100

    shapes = [Markup('<path class="rule" d="M0 {0}H100"/>').format(_short(one)) for one in _heights(ticks)]
    keys: list[Markup] = []
    for kind, (one, x, y) in zip(_KINDS, found, strict=False):
        if len(x):
            shapes.append(_curve(kind, *place(*decimated(x, y)), steps))
        last = one.said if one.said is not None else (tick(float(y[-1])) if len(y) else "no value yet")
        keys.append(_KEY.format(kind=kind, label=one.label, said=last))
    if target is not None:
        height = _short((high - target[0]) / (high - low) * 100)
        shapes.append(Markup('<path class="target" d="M0 {0}H100"/>').format(height))
        keys.append(_KEY.format(kind="target", label=target[1], said=tick(target[0])))
    return _FIGURE.format(
        title=title,
        about=f"{title}, {_words(found, unit)}",
        ticks=_spans([tick(one) for one in reversed(ticks)]),
        shapes=Markup("").join(shapes),
        first=ends[0] if ends else tick(left),
        last=ends[1] if ends else tick(right),
        unit=unit,
        keys=Markup("").join(keys),
    )


def bars(title: str, rows: Sequence[Bar], *, mark: tuple[float, str] | None = None) -> Markup:
    """A bar a row, all on one scale, with a line at ``mark`` (value, its name); a table to screen readers."""
    most = max([one.value for one in rows] + ([mark[0]] if mark else []) + [1e-12])
    line = ""
    if mark is not None:
        line = Markup('<path class="mark" d="M{0} 0V10"/>').format(_short(98 * mark[0] / most))
    found = [
        Markup(
            '<tr><th scope="row">{0}</th><td><svg viewBox="0 0 100 10" preserveAspectRatio="none" '
            'aria-hidden="true" focusable="false"><rect class="rest" width="100" height="10"/>'
            '<rect class="fill {1}" width="{2}" height="10"/>{3}</svg></td><td class="n">{4}</td></tr>'
        ).format(one.label, one.kind, _short(98 * max(one.value, 0.0) / most), line, one.said)
        for one in rows
    ]
    name = Markup(' <span class="aside">line: {0}</span>').format(mark[1]) if mark else ""
    head = Markup('<table class="bars"><caption>{0}{1}</caption><tbody>').format(title, name)
    return head + Markup("").join(found) + Markup("</tbody></table>")


def _finite(one: Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(one.x, np.float64), np.asarray(one.y, np.float64)
    kept = np.isfinite(x) & np.isfinite(y)
    return x[kept], y[kept]


def _curve(kind: str, x: NDArray[Any], y: NDArray[Any], steps: bool) -> Markup:
    end = f"M{_short(x[-1])} {_short(y[-1])}h0"
    return Markup('<path class="line {0}" d="{1}"/><path class="end {0}" d="{2}"/>').format(
        kind, _path(x, y, steps), end
    )


def _path(x: NDArray[Any], y: NDArray[Any], steps: bool) -> str:
    if steps:  # along first, then up: a value holds until the next one
        x, y = np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]
    return "M" + "L".join(f"{_short(a)} {_short(b)}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def _heights(ticks: Sequence[float]) -> list[float]:
    return [100 * place / (len(ticks) - 1) for place in range(len(ticks))]


def _spans(texts: Sequence[str]) -> Markup:
    return Markup("").join(Markup("<span>{0}</span>").format(text) for text in texts)


def _words(found: Sequence[tuple[Series, NDArray[Any], NDArray[Any]]], unit: str) -> str:
    said = [
        f"{one.label} from {tick(float(y[0]))} to {tick(float(y[-1]))}"
        if len(y)
        else f"{one.label}: no value"
        for one, _, y in found
    ]
    return f"by {unit}: " + "; ".join(said)


def _short(value: float) -> str:
    assert math.isfinite(value)
    return f"{value:.2f}".rstrip("0").rstrip(".")

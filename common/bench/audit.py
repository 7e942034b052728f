"""An audit of privacy that can fail: attacks on the product, and on broken builds that they must catch.

Five attacks run against the product's own functions. Each gives a lower bound on epsilon; together they hold
with ``CONFIDENCE`` (each fails with at most (1 - CONFIDENCE) / 5, Bonferroni). The same attacks then run
against builds with a known fault. docs/audit.md says what this proves, and what it cannot.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from rich.table import Table

from ..errors import ConfigError, PrivacyError
from ..terminal import output
from ..versions import versions
from . import audit_gradients, audit_local, audit_sums
from .audit_settings import DELTA, Finding

CONFIDENCE = 0.95
"""Of each sum; costlier attacks take fixed fractions of it. Fewer make the audit weaker, never unsound."""

_RANGE = (1.5, 2.5)
"""Of epsilon: with the default trials every control is caught with probability above 0.999 in it."""

Attack = Callable[[float], Finding]
"""From the probability with which its bound may fail to what it found."""


def attacks(epsilon: float, trials: int, seed: int) -> tuple[dict[str, Attack], dict[str, Attack]]:
    """The attacks on the product, and the same ones on broken builds."""
    one_run = partial(audit_gradients.one_run, target=epsilon, canaries=trials // 10, seed=seed)
    epoch = partial(audit_gradients.epoch, trials=max(40, trials // 200))
    sums = partial(audit_sums.audit, target=epsilon, trials=trials, seed=seed)
    local = partial(audit_local.audit, target=epsilon, trials=max(20, trials // 10), seed=seed)

    def attack(audit: Callable[..., Finding], **build: object) -> Attack:
        return lambda failure: audit(**build, failure=failure)

    parts = {
        "one_run": attack(one_run, build=audit_gradients.SOUND),
        "moments": attack(sums, build=audit_sums.SOUND, subject=False),
        "moments_of_subject": attack(sums, build=audit_sums.SOUND, subject=True),
        "local": attack(local, realised=False),
        "epoch": attack(epoch, build=audit_gradients.SOUND),
    }
    controls = {
        "no_clipping": attack(one_run, build=audit_gradients.no_clipping),
        "noise_divided_by_3": attack(sums, build=audit_sums.NOISE_DIVIDED_BY_3, subject=False),
        "shuffling_counted_as_poisson": attack(epoch, build=audit_gradients.shuffled),
        "realised_size_fake_batch": attack(local, realised=True),
        "one_site_without_noise": attack(sums, build=audit_sums.ONE_SITE_WITHOUT_NOISE, subject=False),
        "histogram_not_charged": attack(sums, build=audit_sums.HISTOGRAM_NOT_CHARGED, subject=False),
        "subject_rows_not_clipped_together": attack(sums, build=audit_sums.ROWS_NOT_TOGETHER, subject=True),
    }
    return parts, controls


def measure(epsilon: float, trials: int, seed: int, *, only: tuple[str, ...] | None = None) -> dict[str, Any]:
    """All findings, as JSON-ready content; judged by ``judge``.

    epsilon: what each attacked plan is calibrated for; trials: of the cheapest attack; seed: of made-up
    records and of who is a canary, never of noise; only: names of controls, all if not given
    Raises ConfigError for an epsilon at which the controls would prove nothing.
    """
    if not _RANGE[0] <= epsilon <= _RANGE[1]:
        raise ConfigError(
            f"epsilon {epsilon:g} is outside {_RANGE[0]:g} .. {_RANGE[1]:g}",
            hint="the mechanisms are the same at every epsilon, but broken builds are not told for sure",
        )
    torch.set_num_threads(1)  # as in a simulation: the networks are small
    start = time.perf_counter()
    parts, controls = attacks(epsilon, trials, seed)
    failure = (1.0 - CONFIDENCE) / len(parts)
    sound = {name: attack(failure) for name, attack in parts.items()}
    broken = {name: attack(failure) for name, attack in controls.items() if only is None or name in only}
    return {
        "claimed_epsilon": max(found.claimed_epsilon for found in sound.values()),
        "lower_bound": max(found.lower_bound for found in sound.values()),
        "delta": DELTA,
        "confidence": CONFIDENCE,
        "parts": {name: _row(found) for name, found in sound.items()},
        "controls": {name: {**_row(found), "caught": found.refuted} for name, found in broken.items()},
        "seconds": round(time.perf_counter() - start, 1),
        "trials": trials,
        "seed": seed,
        "machine": {"cores": os.cpu_count(), **versions()},
    }


def _row(found: Finding) -> dict[str, Any]:
    return {
        "claimed_epsilon": round(found.claimed_epsilon, 4),
        "lower_bound": round(found.lower_bound, 4),
        "delta": found.delta,
        "observed": found.observed,
    }


def judge(result: dict[str, Any]) -> None:
    """Raise PrivacyError if the product leaks more than it claims, or a broken build was not caught."""
    leaks = [
        f"{name}: at least {row['lower_bound']:g}, claimed {row['claimed_epsilon']:g}"
        for name, row in result["parts"].items()
        if row["lower_bound"] > row["claimed_epsilon"]
    ]
    if leaks:
        raise PrivacyError(
            "the audit refutes the claimed epsilon (" + "; ".join(leaks) + ")",
            hint="with a sound build once in some thousand audits: repeat it; twice, and the build is broken",
        )
    if missed := [name for name, row in result["controls"].items() if not row["caught"]]:
        raise PrivacyError(
            "the audit did not catch broken builds: " + ", ".join(missed),
            hint="its silence about the product means nothing then; give it more --trials",
        )


def print_table(result: dict[str, Any]) -> None:
    """Claims beside lower bounds, first of the product, then of the broken builds."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "claimed", "at least", "delta", ""):
        table.add_column(heading, justify="right" if heading in ("claimed", "at least", "delta") else "left")
    rows = [(name, row, "") for name, row in result["parts"].items()]
    rows += [
        (f"broken: {name}", row, "caught" if row["caught"] else "NOT CAUGHT")
        for name, row in result["controls"].items()
    ]
    for name, row, verdict in rows:
        figures = (f"{row['claimed_epsilon']:.3f}", f"{row['lower_bound']:.3f}", f"{row['delta']:g}")
        table.add_row(name.replace("_", " "), *figures, verdict)
    output.print(table)
    output.print(
        f"{result['seconds']:.0f} s; all lower bounds of the product hold together with "
        f"{result['confidence']:.0%} confidence",
        highlight=False,
    )

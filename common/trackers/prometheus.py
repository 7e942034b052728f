"""Runs as Prometheus reads them, in its text format. Public facts only: a run's log holds no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median
from typing import get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..events import SiteState, State
from ..run_view import RunView
from ..run_words import latest, warnings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

METRICS = {
    "run_info": "A run: its modality, schedule and unit of privacy. Always 1",
    "run_state": "1 for the state that the run is in, 0 for the others",
    "run_started_timestamp_seconds": "When the run was begun, UTC",
    "run_updated_timestamp_seconds": "Of the run's last event, UTC",
    "epsilon_spent": "Epsilon of the release, spent so far",
    "epsilon_target": "Epsilon that the run is planned for",
    "delta": "Delta that the run is planned for",
    "phase": "1 for the phase that goes on, 0 for those that are over",
    "phase_done": "Units of a phase that are done",
    "phase_units": "Units of a phase",
    "phase_left_seconds": "To the end of this phase, by how it went so far",
    "sites": "Sites of the plan",
    "sites_least": "Sites without which a sum is not opened",
    "site_state": "1 for the state that a site is in, 0 for the others",
    "site_answer_seconds": "That a site took for its latest answers, median",
    "site_straggling": "1 if a site takes much longer than the others, or did not answer in time",
    "site_missed_sums": "Sums that a site is not in",
    "sums": "Sums that were opened",
    "bytes": "Of all messages, from all sites (up) and to them (down)",
    "sum_seconds": "From the first question of the last sum to its opening",
    "sum_contributors": "Sites in the last sum",
    "fit_loss": "Of the generator against the released sums",
    "fakes_told": "Share of synthetic records that the discriminator tells",
    "generator_steps": "Of the generator in one step of the discriminator, on average",
    "alarms": "Alarms of the last look at the generator: collapse, balance",
}
"""Names without ``fedcgan_``, and what they mean."""

COUNTERS = frozenset({"site_missed_sums", "sums", "bytes"})
"""Those that only grow; their names end in ``_total``."""

_RUN = ("run", "plan")
_LABELS = {
    "run_info": ("modality", "schedule", "unit"),
    "run_state": ("state",),
    "phase": ("phase",),
    "phase_done": ("phase",),
    "phase_units": ("phase",),
    "site_state": ("site", "state"),
    "site_answer_seconds": ("site",),
    "site_straggling": ("site",),
    "site_missed_sums": ("site",),
    "bytes": ("direction",),
}

_Sample = tuple[str, tuple[str, ...], float]


def metrics_text(views: Mapping[str, RunView], states: Mapping[str, State] | None = None) -> str:
    """The metrics of these runs, by the hash of their plans.

    states: of runs of which somebody knows better than their log, as nobody was left to write it
    """
    registry = CollectorRegistry()
    registry.register(_Runs(views, states or {}))
    return generate_latest(registry).decode()


class _Runs(Collector):
    def __init__(self, views: Mapping[str, RunView], states: Mapping[str, State]) -> None:
        self._views, self._states = views, states

    def collect(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for name, meaning in METRICS.items():
            kind = CounterMetricFamily if name in COUNTERS else GaugeMetricFamily
            families[name] = kind(f"fedcgan_{name}", meaning, labels=(*_RUN, *_LABELS.get(name, ())))
        for plan, view in self._views.items():
            run = (view.began.run if view.began else "", plan[:12])
            for name, labels, value in _of_run(view, self._states.get(plan, view.state)):
                families[name].add_metric((*run, *labels), value)
        yield from families.values()


def _of_run(view: RunView, state: State) -> Iterator[_Sample]:
    yield from (("run_state", (one,), one == state) for one in get_args(State))
    if view.began is None or view.started is None or view.updated is None:
        return
    began = view.began
    yield "run_info", (began.modality, began.schedule, began.unit), 1
    yield "run_started_timestamp_seconds", (), view.started.timestamp()
    yield "run_updated_timestamp_seconds", (), view.updated.timestamp()
    yield "epsilon_spent", (), view.epsilon
    yield "epsilon_target", (), began.target
    yield "delta", (), began.delta
    yield "sites", (), len(began.sites)
    yield "sites_least", (), began.least
    yield from _phases(view, state)
    yield from _sites(view)
    yield from _sums(view)
    yield from _generator(view)


def _phases(view: RunView, state: State) -> Iterator[_Sample]:
    for name, phase in latest(view).items():
        going = phase is view.phase and not phase.ended and state in ("waiting", "running")
        yield "phase", (name,), going
        passed = phase is not view.phase  # some phases do not say that they are done: the next one begins
        yield "phase_done", (name,), phase.total if passed else phase.done
        yield "phase_units", (name,), phase.total
    if view.eta_seconds is not None:
        yield "phase_left_seconds", (), view.eta_seconds


def _sites(view: RunView) -> Iterator[_Sample]:
    slow = set(view.stragglers)
    for name, site in view.sites.items():
        for one in (*get_args(SiteState), "unknown"):
            yield "site_state", (name, one), one == site.state
        if site.answered:
            yield "site_answer_seconds", (name,), median(site.answered)
        yield "site_straggling", (name,), name in slow
        yield "site_missed_sums", (name,), site.missed


def _sums(view: RunView) -> Iterator[_Sample]:
    yield "sums", (), view.sums
    yield "bytes", ("up",), view.up
    yield "bytes", ("down",), view.down
    if view.last_sum is not None:
        yield "sum_seconds", (), view.last_sum.seconds
        yield "sum_contributors", (), view.last_sum.contributors


def _generator(view: RunView) -> Iterator[_Sample]:
    for name in ("fit_loss", "fakes_told"):
        curve = view.curves.get(name)
        if curve is not None and curve.last is not None:
            yield name, (), curve.last
    if view.looks and view.looks[-1].generator_steps is not None:
        yield "generator_steps", (), view.looks[-1].generator_steps
    yield "alarms", (), len(warnings(view))

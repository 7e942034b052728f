"""A run for MLflow: parameters, numbers, samples as artefacts. Where to, MLFLOW_TRACKING_URI says."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import MissingPackageError, StorageError
from .told import Facts, Number, Sample, Sentence, Stands, Told

_PLAN, _EVENTS = "fedcgan.plan", "fedcgan.events"
_BATCH = 900  # of the 1000 entries that MLflow takes at once
_STATES = {
    "waiting": "RUNNING",
    "running": "RUNNING",
    "finished": "FINISHED",
    "failed": "FAILED",
    "stopped": "KILLED",
    "interrupted": "KILLED",
}
_SILENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


class MLflow:
    """Writes to the one run of an experiment that is tagged with the plan's hash; a tag says how far it is.

    MLflow calls nobody but its tracking server: its telemetry is off. Without MLFLOW_TRACKING_URI the store
    is MLflow's own default, a file in the current folder. Raises MissingPackageError, StorageError.
    """

    def __init__(self, experiment: str, run: str, plan: str) -> None:
        os.environ.update(_SILENT)  # read when it is imported
        try:
            import mlflow.entities
            from mlflow import MlflowClient
        except ImportError as error:
            raise MissingPackageError(
                "the package mlflow-skinny is not installed", hint="pip install 'fedcgan[mlflow]'"
            ) from error
        self._entities = mlflow.entities
        with _answering():
            self._client = MlflowClient()
            self._run = self._found(experiment, run, plan)
            self.place = f"{self._client.tracking_uri}, run {self._run}"

    def known(self) -> int:
        """As ``Tracker`` promises."""
        with _answering():
            return int(self._client.get_run(self._run).data.tags.get(_EVENTS, 0))

    def tell(self, told: list[Told], events: int) -> None:
        """As ``Tracker`` promises. Files first: what is cut off is told again, under the same names."""
        metrics: list[Any] = []
        with _answering():
            for one in told:
                if isinstance(one, Number):
                    at = int(one.time.timestamp() * 1000)
                    metrics.append(self._entities.Metric(one.name, float(one.value), at, one.step))
                else:
                    self._one(one)
            done = [self._entities.RunTag(_EVENTS, str(events))]
            for first in range(0, max(1, len(metrics)), _BATCH):
                part = metrics[first : first + _BATCH]
                last = first + _BATCH >= len(metrics)
                self._client.log_batch(self._run, metrics=part, tags=done if last else [])

    def close(self) -> None:
        """As ``Tracker`` promises."""

    def _one(self, told: Facts | Sample | Sentence | Stands) -> None:
        match told:
            case Facts():
                params = [self._entities.Param(name, value) for name, value in told.values.items()]
                self._client.log_batch(self._run, params=params)
            case Sample() if told.path.exists():
                self._client.log_artifact(self._run, str(told.path), "samples")
            case Sentence():
                name = f"{told.about}/{told.place}-{told.time:%H%M%S%f}.txt"
                self._client.log_text(self._run, told.text, name)
            case Stands():
                state = _STATES[told.state]
                if told.text:
                    self._client.set_tag(self._run, "fedcgan.ending", told.text)
                if state == "RUNNING":
                    self._client.update_run(self._run, state)
                else:
                    at = int(told.time.timestamp() * 1000)
                    self._client.set_terminated(self._run, state, at)

    def _found(self, experiment: str, run: str, plan: str) -> str:
        known = self._client.get_experiment_by_name(experiment)
        number = known.experiment_id if known else self._client.create_experiment(experiment)
        runs = self._client.search_runs([number], f"tags.`{_PLAN}` = '{plan}'")
        made = runs[0] if runs else self._client.create_run(number, run_name=run, tags={_PLAN: plan})
        return str(made.info.run_id)


@contextmanager
def _answering() -> Iterator[None]:
    """What MLflow raises becomes an error of ours; what it and its database only remark on is left out."""
    from mlflow.exceptions import MlflowException

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            yield
    except MlflowException as error:
        first = error.message.splitlines()[0] if error.message else type(error).__name__
        raise StorageError(f"MLflow: {first}", hint="is MLFLOW_TRACKING_URI right?") from error

"""The phases of a run: enrol, keys, measure, fit, train. Checkpointed after every step.

Takes ``send(messages) -> replies``, so the whole protocol runs without Flower in a test.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contributions import MeasureEncoding, TrainEncoding, TrainState
from common.crypto.identity import Identity
from common.crypto.packing import Integers, Packing, Quantiser
from common.errors import ConfigError, StepLostError, StorageError
from common.events import emit
from common.modalities.layout import Layout
from common.models.pair import Pair, to_vector
from common.plan import MEASURE_STEP, MOST_ATTEMPTS, Plan, attempt, train_step
from common.privacy.accounting import epsilon
from common.schema import Schema

from .aggregation import SecureSum
from .asking import Asking, Send
from .checkpoint import Checkpoint
from .enrolment import enrol, make_keys
from .fit import fit
from .moments import Moments, estimate
from .opening import PendingSum


class Coordinator:
    """One run of a plan, resumable after any step.

    Guarantees: sees records only through sums that were opened by ``threshold`` key-holders and already
    carry the full noise; everything computed from them here is post-processing.
    """

    def __init__(self, plan: Plan, schema: Schema, identity: Identity, send: Send, folder: Path) -> None:
        if schema.hash != plan.schema_hash:
            raise ConfigError("the schema is not the one of the plan")
        self._plan = plan
        self._schema = schema
        self._layout = Layout.of(schema)
        self._checkpoint = Checkpoint.load_or_new(folder, plan.hash)
        state = self._checkpoint
        self._asking = Asking(plan, identity, send, state.traffic, state.trouble)
        self._sum = SecureSum(self._asking, self._keep, state.pending, state.garbage)

    def run(self) -> Checkpoint:
        """Run what is not done yet; the finished state. Raises StorageError if another one runs it."""
        with self._alone():
            return self._run()

    def _run(self) -> Checkpoint:
        state = self._checkpoint
        if not state.enrolled:
            self._enrol()
        if state.moments is None:
            self._measure()
        if state.parameters is None:
            self._fit()
        while state.rounds_done < self._plan.train.rounds:
            self._train(state.rounds_done + 1)
        return state

    def _enrol(self) -> None:
        with self._phase("keys"):
            emit("enrol", 0, 1, 0.0)
            enrolled = enrol(self._asking, self._schema)
            emit("keys", 0, 1, 0.0)
            attested = make_keys(self._asking, self._sum, enrolled)
            emit("keys", 1, 1, 0.0)
        self._checkpoint.attested = [raw.hex() for raw in attested]
        self._checkpoint.enrolled = True
        self._checkpoint.pending = None
        self._checkpoint.save()

    def _measure(self) -> None:
        with self._phase("measure"):
            emit("measure", 0, 1, 0.0)
            encoding = MeasureEncoding(self._schema, self._plan)
            total, _ = self._opened(MEASURE_STEP, b"", encoding)
            emit("measure", 1, 1, self._spent(0))
        self._checkpoint.moments = total
        self._checkpoint.save()

    def _fit(self) -> None:
        with self._phase("fit"):
            pair = Pair.new(self._layout, self._plan.model, self._plan.seed)
            fit(
                pair.generator,
                self.moments,
                self._layout,
                self._plan.measure,
                self._plan.seed,
                self._spent(0),
            )
        self._checkpoint.parameters = pair.to_vector()
        self._checkpoint.average = to_vector(pair.generator)
        self._checkpoint.save()

    def _train(self, number: int) -> None:
        plan, state = self._plan, self._checkpoint
        assert state.parameters is not None
        assert state.average is not None
        with self._phase("train"):
            emit("train", number - 1, plan.train.rounds, self._spent(number - 1))
            moments = self.moments
            shared = TrainState(
                parameters=state.parameters,
                singles=moments.singles,
                pairs=moments.pairs,
                prior=moments.prior,
            )
            encoding = TrainEncoding(self._schema, plan)
            total, contributors = self._opened(train_step(number), shared.to_bytes(), encoding)
            state.parameters = (state.parameters + total / contributors).astype(np.float32)
            generator = state.parameters[: len(state.average)]
            decay = plan.train.average_decay
            state.average = (decay * state.average + (1 - decay) * generator).astype(np.float32)
            emit("train", number, plan.train.rounds, self._spent(number))
        state.rounds_done = number
        state.save()

    @property
    def moments(self) -> Moments:
        """What the measure phase released, made consistent."""
        assert self._checkpoint.moments is not None
        features = MeasureEncoding(self._schema, self._plan).features
        return estimate(self._checkpoint.moments, self._layout, features)

    def _opened(
        self, step: str, state: bytes, encoding: MeasureEncoding | TrainEncoding
    ) -> tuple[NDArray[np.float64], int]:
        """The opened sum of real values, and how many sites it holds."""
        self._sum.attested = [bytes.fromhex(raw) for raw in self._checkpoint.attested]
        integers, contributors = self._attempt(step, state, encoding.packing)
        quantiser = Quantiser(encoding.limit, encoding.packing.max_value)
        self._checkpoint.pending = None  # gone from the file with the step's own save
        self._checkpoint.contribution_bytes += self._sum.contribution_bytes
        self._sum.contribution_bytes = 0
        self._checkpoint.values_sent += encoding.packing.count * contributors
        return quantiser.sum_to_values(integers, contributors), contributors

    def _attempt(self, step: str, state: bytes, packing: Packing) -> tuple[Integers, int]:
        """The sum of a step; under a new step id, charged anew, only if the old one is lost."""
        while True:
            number = self._checkpoint.attempts.get(step, 1)
            try:
                return self._sum(attempt(step, number), state, packing)
            except StepLostError:
                if number == MOST_ATTEMPTS:
                    raise
                self._checkpoint.attempts[step] = number + 1
                self._checkpoint.save()

    def _keep(self, pending: PendingSum | None) -> None:
        self._checkpoint.pending = pending
        self._checkpoint.save()

    def _spent(self, rounds: int) -> float:
        """Epsilon of the released model so far, every attempt counted."""
        return epsilon(self._plan.charged(self._checkpoint.attempts, rounds), self._plan.privacy.delta)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two coordinators of one run would decide two sums of one step."""
        folder = self._checkpoint.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / ".lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StorageError(
                    f"another coordinator runs in {folder}", hint="wait for it, or stop it"
                ) from error
            yield

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = self._checkpoint.seconds
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start

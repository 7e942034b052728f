"""The phases of a run: enrol, keys, count, measure, fit, train, evaluate. Checkpointed after every step.

Takes ``send(messages) -> replies``, so the whole protocol runs without Flower in a test.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contributions import encoding, family_of, layout_of
from common.crypto.identity import Identity
from common.crypto.packing import Integers, Packing
from common.errors import ConfigError, StepLostError, StorageError
from common.events import figure, stage
from common.models.family import Family
from common.models.pair import to_vector
from common.phases import EveryStep
from common.plan import COUNT_STEP, EVALUATE_STEP, MEASURE_STEP, MOST_ATTEMPTS, Plan, attempt, train_step
from common.privacy.accounting import epsilon
from common.schema import Schema
from common.states import EvaluateState, MeasureState, StepState

from . import adversary, watch
from .aggregation import SecureSum
from .asking import Asking, Send
from .checkpoint import Checkpoint
from .enrolment import enrol, make_keys
from .measured import Measured, measured, trained_on
from .opening import PendingSum
from .release import shown_records
from .released import released_grouping


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
        self._checkpoint = Checkpoint.load_or_new(folder, plan.hash)
        state = self._checkpoint
        self._asking = Asking(plan, identity, send, state.traffic, state.trouble)
        self._sum = SecureSum(self._asking, self._keep, state.pending, state.garbage)

    @property
    def reached(self) -> int:
        """Steps that are done: it grows while a run gets on."""
        state = self._checkpoint
        done = (
            state.enrolled,
            state.counts is not None,
            state.moments is not None,
            state.parameters is not None,
            state.evaluation is not None,
        )
        return sum(done) + state.rounds_done

    def run(self) -> Checkpoint:
        """Run what is not done yet; the finished state. Raises StorageError if another one runs it."""
        with self._alone():
            return self._run()

    def _run(self) -> Checkpoint:
        state = self._checkpoint
        if not state.enrolled:
            self._enrol()
        if self._plan.count and state.counts is None:
            self._count()
        if state.moments is None:
            self._measure()
        if state.parameters is None:
            self._fit()
        while state.rounds_done < self._plan.rounds:
            self._train(state.rounds_done + 1)
        if self._plan.release.evaluate and state.evaluation is None:
            self._evaluate()
        return state

    def _enrol(self) -> None:
        with self._phase("keys"):
            stage("enrol", 0, 1, 0.0)
            enrolled = enrol(self._asking, self._schema)
            stage("keys", 0, 1, 0.0)
            attested = make_keys(self._asking, self._sum, enrolled)
            stage("keys", 1, 1, 0.0)
        self._checkpoint.attested = [raw.hex() for raw in attested]
        self._checkpoint.enrolled = True
        self._checkpoint.pending = None
        self._checkpoint.save()

    def _count(self) -> None:
        with self._phase("measure"):
            stage("count", 0, 1, 0.0)
            total, contributors = self._opened(COUNT_STEP, b"")
        self._checkpoint.counts, self._checkpoint.counted_by = total, contributors
        self._checkpoint.save()

    def _measure(self) -> None:
        with self._phase("measure"):
            stage("measure", 0, 1, 0.0)
            total, contributors = self._opened(MEASURE_STEP, self.measure_state())
            stage("measure", 1, 1, self._spent(0))
        self._checkpoint.moments, self._checkpoint.measured_by = total, contributors
        self._checkpoint.save()

    def measure_state(self) -> bytes:
        """What a site needs to know for step ``measure``: how a table's codes are grouped."""
        if self._plan.count is None:
            return b""
        grouping = released_grouping(self._plan, self._schema, self._checkpoint)
        return MeasureState(grouping=grouping).to_bytes()

    def _fit(self) -> None:
        with self._phase("fit"):
            self.measured.fit(self._family.generator, self._spent(0), self._checkpoint.path.parent)
        self._checkpoint.parameters = self._family.to_vector()
        self._checkpoint.average = to_vector(self._family.generator)
        self._checkpoint.save()
        self._look("fit")

    def _look(self, step: str) -> None:
        """Leave samples, and what the monitor says of them, beside the checkpoint."""
        watch.look(step, self._plan, self._schema, self._checkpoint, self.measured)

    def _train(self, number: int) -> None:
        with self._phase("train"):
            stage("train", number - 1, self._plan.rounds, self._spent(number - 1))
            if isinstance(self._plan.train, EveryStep):
                self._step(number, self._plan.train)
            else:
                self._average(number)
            stage("train", number, self._plan.rounds, self._spent(number))
        self._checkpoint.rounds_done = number
        self._checkpoint.save()
        if watch.due(number, self._plan.rounds):
            self._look(train_step(number))

    def _evaluate(self) -> None:
        """How the records to be released do at the sites: of those that will lie in the release."""
        with self._phase("evaluate"):
            spent = self._spent(self._plan.rounds)
            stage("evaluate", 0, 1, spent)
            shown = EvaluateState(
                rows=shown_records(self._plan, self._schema, self._checkpoint), judge=self._judge()
            )
            total, contributors = self._opened(EVALUATE_STEP, shown.to_bytes())
            self._checkpoint.evaluation, self._checkpoint.evaluated_by = total, contributors
            stage("evaluate", 1, 1, spent)
        self._checkpoint.save()

    def _judge(self) -> StepState | None:
        """The networks that records entered, as training left them: sites attack the release with them."""
        if not self._plan.rounds:
            return None
        assert self._checkpoint.parameters is not None
        entered = self._checkpoint.parameters[self._family.free_count :]
        return StepState.from_bytes(self.measured.step_state(entered), self._schema)

    def _step(self, number: int, train: EveryStep) -> None:
        """One step of D from a secure sum of gradients, and steps of G."""
        state, family = self._checkpoint, self._family
        assert state.parameters is not None
        assert state.average is not None
        before = state.adversary or adversary.Adversary.start(state.parameters, state.average)
        entered = before.parameters[family.free_count :]
        total, _ = self._opened(train_step(number), self.measured.step_state(entered))
        after = adversary.step(
            before,
            total,
            number,
            family,
            layout_of(self._schema),
            self._trained_on,
            train,
            self._plan.seed,
        )
        state.adversary, state.parameters, state.average = after, after.parameters, after.average
        figure("fakes_told", number, after.accuracy)

    def _average(self, number: int) -> None:
        """One round of schedule ``local``: the mean of the sites' updates."""
        state, train = self._checkpoint, self._plan.train
        assert state.parameters is not None
        assert state.average is not None
        assert train is not None
        shared = self._trained_on.round_state(state.parameters)
        total, contributors = self._opened(train_step(number), shared)
        state.parameters = (state.parameters + total / contributors).astype(np.float32)
        generator = state.parameters[: len(state.average)]
        decay = train.average_decay
        state.average = (decay * state.average + (1 - decay) * generator).astype(np.float32)

    @cached_property
    def measured(self) -> Measured:
        """What the measure phase released, made consistent."""
        return measured(self._plan, self._schema, self._checkpoint)

    @cached_property
    def _trained_on(self) -> Measured:
        return trained_on(self._plan, self._schema, self._checkpoint)

    @cached_property
    def _family(self) -> Family:
        return family_of(self._schema, self._plan)

    def _opened(self, step: str, state: bytes) -> tuple[NDArray[np.float64], int]:
        """The opened sum of real values, and how many sites it holds."""
        travels = encoding(step, self._schema, self._plan)
        self._sum.attested = [bytes.fromhex(raw) for raw in self._checkpoint.attested]
        integers, contributors = self._attempt(step, state, travels.packing)
        self._checkpoint.pending = None  # gone from the file with the step's own save
        self._checkpoint.contribution_bytes += self._sum.contribution_bytes
        self._checkpoint.values_sent += travels.packing.count * contributors
        return travels.sum_to_values(integers, contributors), contributors

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

"""The vault: messages in, messages out. It alone reads records, keys and the ledger, and makes the rules.

It runs the site's own installed code; whatever carries its messages can deliver, delay or lose them
and nothing more.
"""

from __future__ import annotations

import re
from pathlib import Path

from common.contributions import encoding
from common.crypto.parameters import MOST_HOLDERS
from common.crypto.secret_file import read_secret, write_secret
from common.crypto.stopwatch import timed
from common.errors import (
    AlreadyOpenedError,
    BudgetExceededError,
    ConfigError,
    FedcganError,
    ForeignSumError,
    ForeignTagError,
    MalformedMessageError,
    NotApprovedError,
    NotEnoughSitesError,
    ProtocolError,
    TooFewRecordsError,
    TooManyRecordsError,
)
from common.events import Answered, Declined
from common.holdout import Split
from common.limits import check_plan
from common.plain_text import plain
from common.plan import ENROL_STEP, EVALUATE_STEP, KEYS_STEP, PROOF_STEP, Plan
from common.protocol import frames
from common.protocol.messages import (
    LARGEST,
    Contribute,
    Contribution,
    Enrol,
    KeyCommit,
    KeyConfirm,
    KeyDeal,
    Message,
    Open,
    Propose,
    Refused,
)
from common.rehearsal import made_up_records
from common.schema import Schema

from . import admission, contribution, opening, outcomes, standing
from .answers import Answers
from .data import check_sides, load_records, note_sides
from .device import Device
from .enrolment import Keys
from .noted import note
from .outbox import NAME_KIND, Outbox
from .protection import encrypt_update
from .site import Site

_STEP = re.compile(r"[a-z][a-z0-9-]{0,63}")
_STEPS_OF_ENROLMENT = {  # so that none of them can be had twice under another name
    Enrol.kind: ENROL_STEP,
    KeyCommit.kind: KEYS_STEP,
    KeyDeal.kind: KEYS_STEP,
    KeyConfirm.kind: PROOF_STEP,
}


SHOWN = "shown"
"""Of a run's folder: the synthetic records that this site evaluated, as they were sent."""

SIDES = "sides"
"""Likewise: a hash of the records that are held out, the same from the first step to the last."""

_LONGEST = 1000  # letters of a line of the log, which a stranger may have chosen
_MADE_UP = 1 << 24  # values of a rehearsal, whatever its plan says

_KINDS = {*_STEPS_OF_ENROLMENT, Contribute.kind, Open.kind}


class Vault:
    """One site's vault.

    Guarantees: acts only on messages that the coordinator of an approved plan signed; answers a step
    once; charges the ledger before a contribution exists; opens one sum of a step, and only what is the
    sum of at least ``min_contributors`` signed contributions, with its own among them if it made one.
    Every refusal is typed and says nothing about a record's value. Raises CryptoError without an identity.
    """

    def __init__(self, folder: Path) -> None:
        self.site = Site(folder)
        self.identity = self.site.identity  # lost, nothing can be answered, not even by a refusal
        self.outbox = Outbox(folder)
        self._records: dict[str, Split] = {}

    def handle(self, raw: bytes) -> bytes:
        """Answer one message; a refusal is an answer, too. Raises OutboxError or OSError:
        then nothing may leave."""
        plan, step = "", ""
        try:
            frame = frames.read(raw, LARGEST)
            plan, step = frame.header.plan, frame.header.step
            if not _STEP.fullmatch(step):
                raise MalformedMessageError("a step id of another form")
            with self.site.locked():
                standing.check(self.site.folder)
                reply = self._answer(frame, raw)
                standing.check(self.site.folder)  # the steward may have said stop meanwhile
                if frame.header.kind != Propose.kind:
                    self.site.check_approved(frame.header.plan)
        except FedcganError as error:
            self.site.log.warning("refused %r: %s", step, error.code)
            self.site.log.warning("%s", plain(f"{error.message} {error.hint}")[:_LONGEST])
            note(self.site.folder, Declined(plan=plan[:64], step=step[:64], code=error.code))
            reply = self._signed(_for_the_wire(error), plan, step)
        except Exception as error:  # what went wrong stays here; its text could quote a record
            self.site.log.error("failed %r: %s", step, _where(error))
            failure = Refused(code="internal", message="the site failed", hint="its log says where: site.log")
            reply = self._signed(failure, plan, step)
        self._note(reply)
        return reply

    def name(self) -> bytes:
        """What a courier may know: whose it is."""
        name = self.site.name.encode()
        self.outbox.note(name, kind=NAME_KIND, plan="", step="")
        return name

    def _note(self, reply: bytes) -> None:
        """Write down what is about to leave; if that fails, it does not leave. Raises OutboxError."""
        header = frames.read(reply, len(reply)).header
        self.outbox.note(reply, kind=header.kind, plan=header.plan, step=header.step)

    def _signed(self, message: Message, plan: str, step: str) -> bytes:
        body = message.to_bytes()
        frame = frames.sign(self.identity, message.kind, plan, step, self.site.name, body)
        return frame.to_bytes()

    def _answer(self, frame: frames.Frame, raw: bytes) -> bytes:
        header = frame.header
        if header.kind == Propose.kind:
            where = admission.proposed(self.site, frame)
            return self._signed(where, header.plan, header.step)
        plan = self.site.approved(header.plan)
        coordinator = plan.federation.coordinator
        frames.check(frame, coordinator.identity, plan=plan.hash, sender=coordinator.name)
        if plan.federation.identity_of(self.site.name) != self.identity.public:
            raise NotApprovedError("this site is not in the roster of the plan")
        run = self.site.run_folder(plan.hash)
        answers, slot = Answers(run), _slot(frame)
        if (known := answers.recall(slot, header.step, raw)) is not None:
            if header.kind == Contribute.kind:  # a crash may have come between keeping and writing it down
                outcomes.note_answer(self.site.ledger_of(plan), known, plan, header.step)
            return known
        if header.kind == Contribute.kind:
            # the ceremony and all steps before this one are over
            Keys(run, plan, self.site.name, self.identity).forget()
            answers.shorten(header.step)
        message = self._act(header.kind, header.step, frame.body, plan, run)
        reply = self._signed(message, plan.hash, header.step)
        answers.keep(slot, header.step, raw, reply)
        if header.kind == Contribute.kind:
            outcomes.note_answer(self.site.ledger_of(plan), reply, plan, header.step)
        self.site.log.info("answered %s %s, %d bytes", header.kind, header.step, len(reply))
        if not plan.rehearsal:
            answer = Answered(plan=plan.hash, step=header.step, message=header.kind, bytes=len(reply))
            note(self.site.folder, answer)
        return reply

    def _act(self, kind: str, step: str, body: bytes, plan: Plan, run: Path) -> Message:
        keys = Keys(run, plan, self.site.name, self.identity)
        if kind in _STEPS_OF_ENROLMENT and step != _STEPS_OF_ENROLMENT[kind]:
            raise MalformedMessageError(f"{kind!r} belongs to step {_STEPS_OF_ENROLMENT[kind]!r}")
        if kind == Enrol.kind:
            return self._enrol(Enrol.from_bytes(body), plan, keys)
        if kind == KeyCommit.kind:
            commit = KeyCommit.from_bytes(body)
            write_secret(run / "enrolled", body)
            return keys.commit(commit)
        if kind == KeyDeal.kind:
            enrolled = KeyCommit.from_bytes(read_secret(run / "enrolled"))
            return keys.deal(KeyDeal.from_bytes(body), enrolled.enrolled)
        if kind == KeyConfirm.kind:
            return keys.confirm(KeyConfirm.from_bytes(body))
        if kind == Contribute.kind:
            return self._contribute(Contribute.from_bytes(body), step, plan, keys)
        if kind == Open.kind:
            return opening.opened(Open.from_bytes(body), step, plan, keys, self.site.name)
        raise MalformedMessageError(f"there is no message {kind!r} in step {step!r}")

    def _enrol(self, request: Enrol, plan: Plan, keys: Keys) -> Message:
        """Check everything that could stop the run later, before anything is spent."""
        if request.plan != plan.to_json():
            raise NotApprovedError("the plan sent is not the plan approved")
        schema = Schema.from_json(request.table)
        if schema.hash != plan.schema_hash:
            raise ConfigError("the schema sent is not the schema of the plan")
        if plan.privacy.unit != schema.unit:
            raise ConfigError(
                f"the plan protects {plan.privacy.unit!r}, the schema needs {schema.unit!r}",
                hint="a schema that names a subject is for plans that protect the subject",
            )
        check_plan(plan, schema)
        write_secret(keys.folder / "schema.json", request.table)
        self._load(plan, keys.folder)
        ledger, cap = self.site.ledger_of(plan), self.site.cap_of(plan)
        ledger.check(plan.mechanisms, cap, plan.hash, plan.privacy.unit)
        return keys.enrol()

    def _load(self, plan: Plan, run: Path) -> tuple[Schema, Split]:
        schema = Schema.from_json(read_secret(run / "schema.json"))
        if plan.hash not in self._records:
            split = self._read(schema, plan)
            if plan.release.evaluate is not None and not plan.rehearsal:
                entries = self.site.ledger_of(plan).entries()
                begun = any(entry.plan == plan.hash for entry in entries)
                (check_sides if begun else note_sides)(split, run / SIDES)
            self._records = {plan.hash: split}
        return schema, self._records[plan.hash]

    def _read(self, schema: Schema, plan: Plan) -> Split:
        if plan.rehearsal:  # never real ones: nobody approved it
            return made_up_records(plan, schema, _MADE_UP)
        allowed = self.site.policy.allow_identified
        key = self.site.holdout_key
        return load_records(self.site.records, schema, plan, key, allow_identified=allowed)

    def _contribute(self, request: Contribute, step: str, plan: Plan, keys: Keys) -> Message:
        device = Device.of("auto" if plan.rehearsal else self.site.policy.device)
        task = contribution.task(step, plan, device)
        if Answers(keys.folder).opened(step):
            raise AlreadyOpenedError(f"step {step!r} was opened without us, it takes no contribution now")
        schema, records = self._load(plan, keys.folder)
        joint = keys.joint(request.attested)
        ledger = self.site.ledger_of(plan)
        receipt = ledger.charge(
            outcomes.cost(task.mechanism, step, plan, ledger),
            plan=plan.hash,
            step=step,
            cap=self.site.cap_of(plan),
            unit=plan.privacy.unit,
            sensitivity=outcomes.l2_sensitivity(step, plan),
        )
        with outcomes.failures(ledger, plan, step):
            update = task.run(records, schema, plan, request.state, receipt)
            if task.step == EVALUATE_STEP:  # for this site's own report
                write_secret(keys.folder / SHOWN, request.state)
            encrypted = encrypt_update(update, encoding(task.step, schema, plan).packing, joint)
            with timed("encrypt"):
                tag = keys.group().seal(encrypted.ciphertext[:, 1], plan.hash, step, self.site.name)
                return Contribution(ciphertext=encrypted.to_bytes(), tag=tag)


def _slot(frame: frames.Frame) -> str:
    """Under which name an answer is kept: a sum is opened once for each set of key-holders."""
    if frame.header.kind not in _KINDS:
        raise MalformedMessageError("a coordinator says no such thing")
    if frame.header.kind != Open.kind:
        return frame.header.kind
    openers = Open.from_bytes(frame.body).openers
    if not all(0 < opener <= MOST_HOLDERS for opener in openers):
        raise NotEnoughSitesError("the key-holders that are to open are none of ours")
    return "-".join([Open.kind, *map(str, sorted(openers))])


def _for_the_wire(error: FedcganError) -> Refused:
    """What a refusal may say outside: a sentence only where it is about plans, messages or public bounds.

    Rows, columns and paths stay in the site's own log.
    """
    public = (ProtocolError, ForeignSumError, BudgetExceededError, TooFewRecordsError, TooManyRecordsError)
    if isinstance(error, public):
        about = error.site if isinstance(error, ForeignTagError) else ""
        return Refused(code=error.code, message=error.message, hint=error.hint, about=about)
    return Refused(code=error.code, message="the site cannot take part", hint="its site.log says why")


def _where(error: BaseException) -> str:
    """Type and place of an unexpected error, without its text."""
    trace, place = error.__traceback__, "?"
    while trace is not None:
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}"

"""The vault: messages in, messages out. It alone reads records, keys and the ledger, and makes the rules.

It runs the site's own installed code; whatever carries its messages can deliver, delay or lose them
and nothing more.
"""

from __future__ import annotations

import re
from pathlib import Path

from common.contributions import encoding
from common.crypto.encrypted import half_from_bytes
from common.crypto.parameters import MOST_HOLDERS
from common.crypto.proof import proof_packing
from common.crypto.ring import to_bytes
from common.crypto.secret_file import read_secret, write_secret
from common.crypto.stopwatch import timed
from common.errors import (
    AlreadyOpenedError,
    BudgetExceededError,
    ConfigError,
    CountedTwiceError,
    FedcganError,
    ForeignSumError,
    ForeignTagError,
    MalformedMessageError,
    NotApprovedError,
    NotEnoughSitesError,
    OwnMissingError,
    ProtocolError,
    SignatureError,
    TooFewRecordsError,
    TooManyRecordsError,
)
from common.limits import check_plan
from common.plan import ENROL_STEP, KEYS_STEP, MOST_ATTEMPTS, PROOF_STEP, Plan, attempt, attempted
from common.protocol import frames
from common.protocol.messages import (
    LARGEST,
    Contribute,
    Contribution,
    Enrol,
    KeyCommit,
    KeyConfirm,
    KeyConfirmed,
    KeyDeal,
    Message,
    Open,
    Opened,
    Refused,
)
from common.records import Records
from common.schema import Schema

from . import contribution, outcomes
from .answers import Answers
from .data import load_records
from .enrolment import Keys
from .protection import encrypt_update
from .site import Site

_STEP = re.compile(r"[a-z][a-z0-9-]{0,63}")
_STEPS_OF_ENROLMENT = {  # so that none of them can be had twice under another name
    Enrol.kind: ENROL_STEP,
    KeyCommit.kind: KEYS_STEP,
    KeyDeal.kind: KEYS_STEP,
    KeyConfirm.kind: PROOF_STEP,
}


_KINDS = {*_STEPS_OF_ENROLMENT, Contribute.kind, Open.kind}


class Vault:
    """One site's vault.

    Guarantees: acts only on messages that the coordinator of an approved plan signed; answers a step
    once; charges the ledger before a contribution exists; opens one sum of a step, and only what is the
    sum of at least ``min_contributors`` signed contributions, with its own among them if it made one.
    Every refusal is typed and says nothing about a record's value.
    """

    def __init__(self, folder: Path) -> None:
        self.site = Site(folder)
        self._records: dict[str, Records] = {}

    def handle(self, raw: bytes) -> bytes:
        """Answer one message; a refusal is an answer, too."""
        plan, step = "", ""
        try:
            frame = frames.read(raw, LARGEST)
            plan, step = frame.header.plan, frame.header.step
            if not _STEP.fullmatch(step):
                raise MalformedMessageError("a step id of another form")
            with self.site.locked():
                return self._answer(frame, raw)
        except FedcganError as error:
            self.site.log.warning("refused %r: %s", step, error.code)
            self.site.log.warning("%s %s", error.message, error.hint)
            refusal = _for_the_wire(error)
        except Exception as error:  # what went wrong stays here; its text could quote a record
            self.site.log.error("failed %r: %s", step, _where(error))
            refusal = Refused(code="internal", message="the site failed", hint="its log says where: site.log")
        return self._signed(refusal, plan, step)

    def _signed(self, message: Message, plan: str, step: str) -> bytes:
        body = message.to_bytes()
        frame = frames.sign(self.site.identity, message.kind, plan, step, self.site.name, body)
        return frame.to_bytes()

    def _answer(self, frame: frames.Frame, raw: bytes) -> bytes:
        header = frame.header
        plan = self.site.approved(header.plan)
        coordinator = plan.federation.coordinator
        frames.check(frame, coordinator.identity, plan=plan.hash, sender=coordinator.name)
        if plan.federation.identity_of(self.site.name) != self.site.identity.public:
            raise NotApprovedError("this site is not in the roster of the plan")
        run = self.site.run_folder(plan.hash)
        answers, slot = Answers(run), _slot(frame)
        if (known := answers.recall(slot, header.step, raw)) is not None:
            if header.kind == Contribute.kind:  # a crash may have come between keeping and writing it down
                outcomes.note_answer(self.site.ledger, known, plan, header.step)
            return known
        if header.kind == Contribute.kind:
            # the ceremony and all steps before this one are over
            Keys(run, plan, self.site.name, self.site.identity).forget()
            answers.shorten(header.step)
        message = self._act(header.kind, header.step, frame.body, plan, run)
        reply = self._signed(message, plan.hash, header.step)
        answers.keep(slot, header.step, raw, reply)
        if header.kind == Contribute.kind:
            outcomes.note_answer(self.site.ledger, reply, plan, header.step)
        self.site.log.info("answered %s %s, %d bytes", header.kind, header.step, len(reply))
        return reply

    def _act(self, kind: str, step: str, body: bytes, plan: Plan, run: Path) -> Message:
        keys = Keys(run, plan, self.site.name, self.site.identity)
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
            return self._open(Open.from_bytes(body), step, plan, keys)
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
        self.site.ledger.check(plan.mechanisms, self.site.policy.cap, plan.hash, plan.privacy.unit)
        return keys.enrol()

    def _load(self, plan: Plan, run: Path) -> tuple[Schema, Records]:
        schema = Schema.from_json(read_secret(run / "schema.json"))
        if plan.hash not in self._records:
            site, allowed = self.site, self.site.policy.allow_identified
            self._records = {plan.hash: load_records(site.records, schema, plan, allow_identified=allowed)}
        return schema, self._records[plan.hash]

    def _contribute(self, request: Contribute, step: str, plan: Plan, keys: Keys) -> Message:
        task = contribution.task(step, plan)
        if Answers(keys.folder).opened(step):
            raise AlreadyOpenedError(f"step {step!r} was opened without us, it takes no contribution now")
        schema, records = self._load(plan, keys.folder)
        joint = keys.joint(request.attested)
        receipt = self.site.ledger.charge(
            task.mechanism,
            plan=plan.hash,
            step=step,
            cap=self.site.policy.cap,
            unit=plan.privacy.unit,
            sensitivity=outcomes.l2_sensitivity(step, plan),
        )
        with outcomes.failures(self.site.ledger, plan, step):
            update = task.run(records, schema, plan, request.state, receipt)
            encrypted = encrypt_update(update, encoding(task.step, schema, plan).packing, joint)
            with timed("encrypt"):
                tag = keys.group().seal(encrypted.ciphertext[:, 1], plan.hash, step, self.site.name)
                return Contribution(ciphertext=encrypted.to_bytes(), tag=tag)

    def _open(self, request: Open, step: str, plan: Plan, keys: Keys) -> Message:
        """Give our partial decryption of a sum, after all checks."""
        federation = plan.federation
        if self.site.name not in federation.holders:
            raise NotApprovedError("this site holds no share of the key")
        openers = tuple(request.openers)
        distinct = {opener for opener in openers if 1 <= opener <= federation.key_holders}
        if not len(distinct) == len(openers) == federation.threshold or keys.index not in distinct:
            raise NotEnoughSitesError(
                f"{federation.threshold} distinct key-holders open a sum together, each for itself"
            )
        self._refuse_abandoned(step, keys.folder)
        summands = self._check_summands(request.seals, step, plan)
        if len(request.tags) != len(summands):
            raise ForeignSumError("as many tags as contributions are needed")
        tags = dict(zip(summands, request.tags, strict=True))
        if step == PROOF_STEP:
            packing = proof_packing(len(federation.sites))
        else:
            schema = Schema.from_json(read_secret(keys.folder / "schema.json"))
            packing = encoding(contribution.task(step, plan).step, schema, plan).packing
        with timed("open"):
            c1 = half_from_bytes(request.c1, packing.chunks)
            keys.group().check(c1, tags, plan.hash, step)
            Answers(keys.folder).open_once(step, b"".join((request.c1, *request.seals)))
            return Opened(partial=to_bytes(keys.partial(c1, openers, step)))

    def _refuse_abandoned(self, step: str, run: Path) -> None:
        planned, number = attempted(step)
        later = range(number + 1, MOST_ATTEMPTS + 1)
        if any(Answers(run).exists(Contribute.kind, attempt(planned, again)) for again in later):
            raise AlreadyOpenedError(f"step {step!r} was abandoned for another attempt")

    def _check_summands(self, seals: list[bytes], step: str, plan: Plan) -> list[str]:
        """Enough distinct sites of the roster contributed to this very step, we among them: who."""
        kind = KeyConfirmed.kind if step == PROOF_STEP else Contribution.kind
        own = (KeyConfirm.kind if step == PROOF_STEP else Contribute.kind, step)
        senders: list[str] = []
        for raw in seals:
            seal = frames.read(raw, 4096)
            header = seal.header
            identity = plan.federation.identity_of(header.sender)
            if identity is None or (header.kind, header.step) != (kind, step):
                raise SignatureError("a summand is not a contribution of the roster to this step")
            frames.check(seal, identity, plan=plan.hash, sender=header.sender, with_body=False)
            if header.sender in senders:
                raise CountedTwiceError(f"{header.sender} is counted twice in one sum")
            senders.append(header.sender)
        if len(senders) < plan.federation.min_contributors:
            raise NotEnoughSitesError(
                f"{len(senders)} contributions, the plan demands {plan.federation.min_contributors}"
            )
        answered = Answers(self.site.run_folder(plan.hash)).seal(*own)
        if answered is not None and answered not in seals:
            raise OwnMissingError("our own contribution is not in this sum")
        return senders


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

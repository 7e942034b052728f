"""A run of a federation as its coordinator keeps it: runs/HASH/.

plan.json schema.toml   what the sites approve
conditions.json         how long is waited for whom, and which Flower node belongs to which site
status.json             how far it is, for people and programs
coordinator/            the checkpoint
release/                what leaves, once it is finished
"""

from __future__ import annotations

import fcntl
import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self, TypeVar

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from common.crypto.identity import Identity
from common.durable import write_whole
from common.errors import ConfigError, FederationError, StorageError
from common.events import SiteState, State
from common.plan import Plan
from common.schema import Schema

from .federation import FederationFolder

_MODEL = ConfigDict(frozen=True, extra="forbid")

_Model = TypeVar("_Model", bound=BaseModel)

_BEGINS = 600.0  # seconds in which whoever starts a run has begun, or said that it failed
_PROBED = 2.0  # seconds for which somebody may look whether the run is conducted


class Conditions(BaseModel):
    """How a run is conducted; nothing of it changes what is computed.

    nodes: SHA-256 of each site's Flower key (PEM SubjectPublicKeyInfo); identity: file of the coordinator's
    key; answer_seconds: for one message, then a site is late; approval_seconds: for all sites to approve;
    return_seconds: for sites to come back if too few are online
    """

    model_config = _MODEL
    nodes: dict[str, str]
    identity: str
    answer_seconds: float
    approval_seconds: float
    return_seconds: float

    @classmethod
    def of(
        cls,
        federation: FederationFolder,
        names: Iterable[str],
        *,
        answer: float,
        approval: float,
        away: float,
    ) -> Self:
        """The conditions for those of these sites that are members still. Times in seconds."""
        keys = {m.name: m.node_key for m in federation.members() if m.state == "admitted"}
        return cls(
            nodes={name: node_digest(key) for name in names if (key := keys.get(name)) is not None},
            identity=str(federation.identity_file.absolute()),
            answer_seconds=answer,
            approval_seconds=approval,
            return_seconds=away,
        )


class SiteStatus(BaseModel):
    """state: pending, until the site approved; since: when it came to be in this state"""

    model_config = _MODEL
    state: Literal["unknown", SiteState]
    since: AwareDatetime


class Failure(BaseModel):
    """Why a run ended."""

    model_config = _MODEL
    code: str
    message: str
    hint: str


class Status(BaseModel):
    """How far a run is. Public facts only.

    done of total units of the phase; epsilon: spent so far, of target; eta_seconds: to the end of this
    phase
    """

    model_config = _MODEL
    version: Literal[1] = 1
    plan: str
    run: str
    state: State
    phase: str = ""
    done: int = 0
    total: int = 0
    epsilon: float = 0.0
    target: float
    started: AwareDatetime
    updated: AwareDatetime
    eta_seconds: float | None = None
    sites: dict[str, SiteStatus]
    failure: Failure | None = None


class RunFolder:
    """One run. Raises typed errors for files that are missing or damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def make(cls, federation: FederationFolder, plan: Plan, conditions: Conditions) -> Self:
        """A folder for a plan of this federation. Raises StorageError if the plan was run already."""
        folder = federation.folder / "runs" / plan.hash
        if (folder / "plan.json").exists():
            raise StorageError(
                f"plan {plan.hash[:12]} was started already",
                hint=f"fedcgan resume {plan.hash[:12]}, or make a new plan",
            )
        return cls.made(folder, plan, federation.schema, conditions)

    @classmethod
    def made(cls, folder: Path, plan: Plan, schema: Schema, conditions: Conditions) -> Self:
        """A new run in ``folder``; with its plan it is whole."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "schema.toml").write_text(schema.to_toml(), "utf-8")
        run = cls(folder)
        run.keep(conditions)
        run.write(first_status(plan))
        write_whole(folder / "plan.json", lambda path: path.write_bytes(plan.to_json()))
        return run

    @classmethod
    def find(cls, federation: FederationFolder, known: str | None) -> Self:
        """The run whose plan's hash begins so; the latest if nothing is given. Raises FederationError."""
        plans = (federation.folder / "runs").glob("*/plan.json")
        found = [path.parent for path in plans if cls(path.parent).deployed]  # a bundle has a plan, too
        if known is not None:
            found = [folder for folder in found if len(known) >= 6 and folder.name.startswith(known)]
            if len(found) != 1:
                raise FederationError(
                    f"{len(found)} runs of this federation begin with {known!r}",
                    hint="six digits or more of the hash of its plan",
                )
        if not found:
            raise FederationError("this federation has no run yet", hint="fedcgan run PLAN.json")
        return cls(max(found, key=lambda folder: (folder / "plan.json").stat().st_mtime_ns))

    @property
    def deployed(self) -> bool:
        """Whether this is a run of a federation, and not of a simulation."""
        return self._conditions.exists()

    @property
    def plan(self) -> Plan:
        """The plan. Raises ConfigError."""
        return Plan.from_json((self.folder / "plan.json").read_bytes())

    @property
    def schema(self) -> Schema:
        """Its schema. Raises SchemaError."""
        return Schema.load(self.folder / "schema.toml")

    @property
    def conditions(self) -> Conditions:
        """How it is conducted. Raises StorageError."""
        return _read(Conditions, self._conditions)

    def keep(self, conditions: Conditions) -> None:
        """Replace the conditions."""
        write_whole(self._conditions, lambda path: path.write_text(conditions.model_dump_json(indent=1)))

    @property
    def identity(self) -> Identity:
        """The coordinator's signing key. Raises FederationError."""
        path = Path(self.conditions.identity)
        if not path.exists():  # never made anew: the sites know one key
            raise FederationError(
                f"there is no {path}", hint="was the federation moved? fedcgan resume finds it"
            )
        return Identity.load_or_create(path)

    @property
    def status(self) -> Status:
        """How far it is; ``interrupted`` if nobody conducts it who should. Raises StorageError."""
        status = _read(Status, self._status)
        begun = bool(status.phase) or (datetime.now(UTC) - status.updated).total_seconds() > _BEGINS
        if status.state in ("waiting", "running") and begun and not self.is_conducted():
            return status.model_copy(update={"state": "interrupted"})
        return status

    def write(self, status: Status) -> None:
        """Replace the status."""
        write_whole(self._status, lambda path: path.write_text(status.model_dump_json(indent=1)))

    def number(self, flower_run: int | None) -> None:
        """Keep Flower's number of the run; None if it has none now."""
        path = self.folder / "flower_run"
        if flower_run is None:
            path.unlink(missing_ok=True)
        else:
            write_whole(path, lambda new: new.write_text(str(flower_run)))

    @property
    def flower_run(self) -> int | None:
        """Flower's number of the run, None before it was started."""
        path = self.folder / "flower_run"
        return int(path.read_text()) if path.exists() else None

    def is_conducted(self) -> bool:
        """Whether a process conducts the run now."""
        with open(self.folder / ".conducted", "a") as file:
            try:  # shared, so that two who look do not take each other for a conductor
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Conduct it as the only one. Raises StorageError."""
        deadline = time.monotonic() + _PROBED
        with open(self.folder / ".conducted", "a") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() > deadline:
                        raise StorageError(
                            f"the run in {self.folder} is under way", hint="fedcgan watch shows it"
                        ) from error
                    time.sleep(0.02)
            yield

    @property
    def _status(self) -> Path:
        return self.folder / "status.json"

    @property
    def _conditions(self) -> Path:
        return self.folder / "conditions.json"


def folder_of_simulation(out: Path) -> Path:
    """The folder of a simulation's run, beside its release, not in it: it holds records and keys of sites."""
    return out.with_name(out.name + ".run")


def first_status(plan: Plan) -> Status:
    """Before anything has happened."""
    now = datetime.now(UTC)
    return Status(
        plan=plan.hash,
        run=plan.run,
        state="waiting",
        target=plan.privacy.epsilon,
        started=now,
        updated=now,
        sites={name: SiteStatus(state="unknown", since=now) for name in plan.federation.names},
    )


def node_digest(node_key: str) -> str:
    """By which a node is known to SuperLink. node_key: OpenSSH line. Raises ConfigError."""
    try:
        key = load_ssh_public_key(node_key.encode())
    except ValueError as error:
        raise ConfigError("a node's key cannot be read") from error
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def _read(kind: type[_Model], path: Path) -> _Model:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StorageError(f"{path} is missing or damaged", hint="restore it from a backup") from error

"""Every decoder of bytes that come from outside, and the one rule for all: only typed errors come out."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from client.answers import Answers
from client.vault import Vault
from common.crypto import encrypted
from common.crypto.identity import verify
from common.earlier import Earlier
from common.errors import FedcganError, RefusedError
from common.errors.sampling import typed
from common.limits import check_plan
from common.modalities.array_files import read_arrays
from common.plan import ENROL_STEP, KEYS_STEP, MEASURE_STEP, PROOF_STEP, Plan
from common.privacy.ledger import Ledger
from common.protocol import frames, messages, records
from common.release_files import DESCRIPTION, WEIGHTS
from common.released import load_release
from common.sampler.sampling import sample
from common.sampler.session import TableFile, parse
from common.schema import Schema
from common.states import ArrayRoundState, EvaluateState, MeasureState, RoundState, StepState
from server.checkpoint import Checkpoint
from server.continued import Sums

from .world import SITE, Of, World

LIMIT = 1 << 30
CONTEXT = b"context"


class FindingError(AssertionError):
    """A decoder let something else than a typed error out."""


@dataclass(frozen=True)
class Decoder:
    """decode: must return or raise FedcganError; seeds: bytes that it takes."""

    decode: Callable[[World, bytes], object]
    seeds: Callable[[World], list[bytes]]


def feed(decode: Callable[[World, bytes], object], world: World, raw: bytes) -> bool:
    """Whether the bytes were taken. Raises FindingError if they were neither taken nor refused."""
    try:
        decode(world, raw)
    except FedcganError:
        return False
    except Exception as error:
        start = raw[:200].hex()
        raise FindingError(f"{type(error).__name__}: {error}; {len(raw)} bytes, {start}") from error
    return True


def _message(kind: type[messages.Message]) -> Decoder:
    seed = {"contribution": "small", "key-confirmed": "small-proof"}.get(kind.kind, kind.kind)
    return Decoder(lambda _, raw: kind.from_bytes(raw), lambda world: [world.body(seed)])


def _onnx(world: World, raw: bytes) -> None:
    """A file from anybody, and a few records of it."""
    with typed():
        found = parse(raw)
        assert isinstance(found, TableFile)
        sample(found.table, found.network, 3)


def _recalled(world: World, raw: bytes) -> None:
    """A damaged file in a site's own folder."""
    folder = world.scratch("stored answer")
    (folder / "answers").mkdir(exist_ok=True)
    path = folder / "answers" / "measure.contribute"
    path.write_bytes(raw)
    path.chmod(0o600)
    Answers(folder).recall("contribute", "measure", b"request")


def _handled(world: World, vault: Vault, sent: bytes) -> None:
    """A vault answers everything, in a frame it signed; what goes wrong inside it is a typed refusal."""
    answer = frames.read(vault.handle(sent), LIMIT)
    frames.check(answer, vault.site.identity.public, plan=answer.header.plan, sender=SITE)
    if answer.header.kind == messages.Refused.kind:
        refused = messages.Refused.from_bytes(answer.body)
        if refused.code == "internal":
            raise FindingError((vault.site.folder / "site.log").read_text().splitlines()[-1])
        raise FedcganError(refused.code)


def _vault(kind: str, step: str) -> Decoder:
    """The vault, asked by its own coordinator with a body that could be anything."""

    def decode(world: World, body: bytes) -> None:
        plan = world.run.plan
        name = plan.federation.coordinator.name
        frame = frames.sign(world.federation.identity, kind, plan.hash, step, name, body)
        _handled(world, world.vault(kind), frame.to_bytes())

    return Decoder(decode, lambda world: [world.body(kind)])


def _asked(world: World, raw: bytes) -> None:
    """The coordinator takes any answer of a site; a wrong one is that site's trouble."""
    asking = world.federation.asking()
    asking = type(asking)(asking.plan, asking.identity, lambda sent: dict.fromkeys(sent, raw))
    request = messages.Contribute(state=b"", attested=[])
    replies = asking(MEASURE_STEP, {SITE: request}, messages.Contribution.kind)
    if set(replies.good) | set(replies.bad) != {SITE} or len(asking.trouble) != len(replies.bad):
        raise FindingError("an answer was lost")
    for error in replies.bad.values():
        if not isinstance(error, RefusedError):  # a refusal is an answer that was understood
            raise error


def _refusal(world: World, body: bytes) -> None:
    site = world.federation.vaults[SITE].site
    kind, plan = messages.Refused.kind, world.run.plan.hash
    _asked(world, frames.sign(site.identity, kind, plan, MEASURE_STEP, SITE, body).to_bytes())


def _framed(world: World, raw: bytes) -> None:
    frame = frames.read(raw, LIMIT)
    plan = world.run.plan
    identity = world.federation.vaults[SITE].site.identity.public
    frames.check(frame, identity, plan=plan.hash, sender=SITE)


def _verified(_: World, raw: bytes) -> None:
    verify(raw[:64].decode("latin-1"), raw[128:], raw[64:128])


def _record(_: World, raw: bytes) -> None:
    """Flower's records as another app could fill them."""
    shape = tuple(raw[2 : 2 + raw[1] % 4]) if len(raw) > 1 else ()
    if raw[:1] in {b"", b"\x00"}:
        records.from_record(RecordDict({"frame": ConfigRecord({"frame": raw})}))
    elif raw[:1] == b"\x01":
        records.from_record(RecordDict())
    else:
        stype = records.STYPE if raw[0] % 2 else raw[:4].decode("latin-1")
        array = Array("uint8", (len(raw),) if raw[0] % 3 else shape, stype, raw)
        records.from_record(RecordDict({"frame": ArrayRecord({"frame" if raw[0] % 5 else "other": array})}))


def _written(name: str, world: World, content: bytes) -> Any:
    path = world.scratch(name) / name
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def _ledger(world: World, lines: bytes, head: bytes) -> Ledger:
    path = _written("ledger.jsonl", world, lines)
    path.with_suffix(".head").write_bytes(head)
    return Ledger(path, world.vault("ledger").site.policy.dataset)


def _release(world: World, description: bytes, weights: bytes) -> None:
    folder = world.scratch("release")
    (folder / DESCRIPTION).write_bytes(description)
    (folder / WEIGHTS).write_bytes(weights)
    load_release(folder)


def _of(kind: str, use: Callable[[Of, bytes], object], seed: Callable[[Of], bytes]) -> Decoder:
    """The same of images or signals."""
    return Decoder(lambda w, raw: use(w.arrays[kind], raw), lambda w: [seed(w.arrays[kind])])


def _released(of: Of, raw: bytes) -> None:
    """A release to go on from, its description altered."""
    folder = of.folder.with_name(f"altered-{of.folder.name}")
    if not folder.exists():
        shutil.copytree(of.release, folder)
    (folder / DESCRIPTION).write_bytes(raw)
    found = Earlier.load(folder)
    found.check_schema(of.schema)
    found.check_plan(of.plan)


def _file(of: Of, raw: bytes) -> None:
    """A site's records."""
    path = of.folder / "altered.npz"
    path.write_bytes(raw)
    read_arrays(path, of.schema)


def _limits(world: World, raw: bytes) -> None:
    """A plan that was approved, held against schemas of all kinds."""
    plan, refused = Plan.from_json(raw), []
    for schema in (world.run.schema, *(of.schema for of in world.arrays.values())):
        try:
            check_plan(plan, schema)
        except FedcganError as error:
            refused.append(error)
    if len(refused) == 3:
        raise refused[0]


def _of_arrays(kind: str) -> dict[str, Decoder]:
    name = f"{kind}s"
    return {
        f"schema of {name}": _of(
            kind, lambda _, raw: Schema.from_json(raw).hash, lambda of: of.schema.model_dump_json().encode()
        ),
        f"schema file of {name}": Decoder(
            lambda w, raw: Schema.load(_written("schema.toml", w, raw)),
            lambda w: [w.arrays[kind].schema.to_toml().encode()],
        ),
        f"plan of {name}": _of(
            kind, lambda _, raw: Plan.from_json(raw).mechanisms, lambda of: of.plan.to_json()
        ),
        f"{name}: step state": _of(
            kind, lambda of, raw: StepState.from_bytes(raw, of.schema), lambda of: of.step_state
        ),
        f"{name}: evaluate state": _of(
            kind,
            lambda of, raw: EvaluateState.from_bytes(raw, of.schema, 3, judged=True),
            lambda of: of.evaluate_state,
        ),
        f"{name}: round state": _of(
            kind,
            lambda of, raw: ArrayRoundState.from_bytes(raw, of.features.layout, of.features.count),
            lambda of: of.round_state,
        ),
        f"{name}: sums": _of(
            kind, lambda of, raw: Sums.from_bytes(raw, of.schema, of.plan), lambda of: of.sums
        ),
        f"release of {name}": _of(kind, _released, lambda of: (of.release / DESCRIPTION).read_bytes()),
        f"file of {name}": _of(kind, _file, lambda of: of.file),
    }


def _weights(world: World, raw: bytes) -> None:
    """Weights whose hash is right: whoever can replace a release can replace both files."""
    description = json.loads((world.release / DESCRIPTION).read_bytes())
    description["weights_sha256"] = hashlib.sha256(raw).hexdigest()
    _release(world, json.dumps(description).encode(), raw)


def _checkpoint(world: World, raw: bytes) -> None:
    Checkpoint.load_or_new(_written("checkpoint.safetensors", world, raw).parent, world.run.plan.hash)


def _sealed(world: World) -> list[bytes]:
    return [world.peer.public + world.peer.seal(world.agreement.public, CONTEXT, bytes(32))]


_KINDS = (
    messages.Enrol,
    messages.Enrolled,
    messages.KeyCommit,
    messages.KeyCommitted,
    messages.KeyDeal,
    messages.KeyDealt,
    messages.KeyConfirm,
    messages.KeyConfirmed,
    messages.Contribute,
    messages.Contribution,
    messages.Open,
    messages.Opened,
    messages.Refused,
)

DECODERS: dict[str, Decoder] = {
    "frame": Decoder(_framed, lambda w: [w.frames["small"], w.frames["attested"], w.frames["enrolled"]]),
    **{f"message {kind.kind}": _message(kind) for kind in _KINDS},
    "update": Decoder(lambda _, raw: encrypted.EncryptedUpdate.from_bytes(raw, 1), lambda _: [bytes(245760)]),
    "half": Decoder(lambda _, raw: encrypted.half_from_bytes(raw, 1), lambda _: [bytes(122880)]),
    "piece": Decoder(lambda _, raw: encrypted.piece_from_bytes(raw), lambda w: [w.key[:184320]]),
    "share": Decoder(lambda _, raw: encrypted.share_from_bytes(raw), lambda _: [bytes(122880)]),
    "key": Decoder(lambda _, raw: encrypted.key_from_bytes(raw), lambda w: [w.key]),
    "box": Decoder(lambda w, raw: w.agreement.open(raw[:32], CONTEXT, raw[32:]), _sealed),
    "pair key": Decoder(lambda w, raw: w.agreement.pair_key(raw, CONTEXT), lambda w: [w.peer.public]),
    "tag": Decoder(
        lambda w, raw: w.group.check(w.zeros, {SITE: raw}, "plan", "step"),
        lambda w: [w.group.seal(w.zeros, "plan", "step", SITE)],
    ),
    "signature": Decoder(
        _verified,
        lambda w: [w.federation.identity.public.encode() + w.federation.identity.sign(b"text") + b"text"],
    ),
    "measure state": Decoder(
        lambda w, raw: MeasureState.from_bytes(raw, w.run.schema), lambda w: [w.states["MeasureState"]]
    ),
    "step state": Decoder(
        lambda w, raw: StepState.from_bytes(raw, w.run.schema), lambda w: [w.states["StepState"]]
    ),
    "evaluate state": Decoder(
        lambda w, raw: EvaluateState.from_bytes(raw, w.run.schema, 3, judged=True),
        lambda w: [w.states["EvaluateState"]],
    ),
    "round state": Decoder(
        lambda w, raw: RoundState.from_bytes(raw, w.run.schema, w.features),
        lambda w: [w.states["RoundState"]],
    ),
    "plan": Decoder(lambda _, raw: Plan.from_json(raw).mechanisms, lambda w: [w.run.plan.to_json()]),
    "schema": Decoder(
        lambda _, raw: Schema.from_json(raw).hash, lambda w: [w.run.schema.model_dump_json().encode()]
    ),
    "schema file": Decoder(
        lambda w, raw: Schema.load(_written("schema.toml", w, raw)),
        lambda w: [w.run.schema.to_toml().encode()],
    ),
    "record": Decoder(_record, lambda _: [bytes([first, 3, 3]) for first in range(30)]),
    "vault": Decoder(
        lambda w, raw: _handled(w, w.vault("raw"), raw), lambda w: [w.frames["enrol"], w.frames["contribute"]]
    ),
    "vault enrol": _vault("enrol", ENROL_STEP),
    "vault key-commit": _vault("key-commit", KEYS_STEP),
    "vault key-deal": _vault("key-deal", KEYS_STEP),
    "vault key-confirm": _vault("key-confirm", PROOF_STEP),
    "vault contribute": _vault("contribute", MEASURE_STEP),
    "vault open": _vault("open", MEASURE_STEP),
    "answer": Decoder(_asked, lambda w: [w.frames["small"], w.frames["refused"]]),
    "refusal": Decoder(_refusal, lambda w: [w.body("refused")]),
    "ledger": Decoder(lambda w, raw: _ledger(w, raw, w.ledger_head).entries(), lambda w: [w.ledger]),
    "ledger head": Decoder(lambda w, raw: _ledger(w, w.ledger, raw).entries(), lambda w: [w.ledger_head]),
    "stored answer": Decoder(
        _recalled,
        lambda w: [msgpack.packb((hashlib.sha256(b"request").digest(), bytes(32), w.frames["small"]))],
    ),
    "release": Decoder(
        lambda w, raw: _release(w, raw, (w.release / WEIGHTS).read_bytes()),
        lambda w: [(w.release / DESCRIPTION).read_bytes()],
    ),
    "generator.onnx": Decoder(_onnx, lambda w: [w.onnx]),
    "weights": Decoder(_weights, lambda w: [(w.release / WEIGHTS).read_bytes()]),
    **_of_arrays("image"),
    **_of_arrays("signal"),
    "plan's limits": Decoder(
        _limits, lambda w: [w.run.plan.to_json(), *(of.plan.to_json() for of in w.arrays.values())]
    ),
    "table: sums": Decoder(lambda w, raw: Sums.from_bytes(raw, w.run.schema, w.run.plan), lambda w: [w.sums]),
    "checkpoint": Decoder(_checkpoint, lambda w: [w.checkpoint]),
}

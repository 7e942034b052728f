"""What a plan will cost, before anybody starts: bytes, seconds, memory, precision, headroom.

Bytes, precision and headroom are arithmetic. Seconds and memory are measured here and now: the plan's own
steps run once on made-up records, through the same code as in a run.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from ..contributions import Encoding, LocalSum, NoisySum, encoding
from ..crypto import ring
from ..crypto.packing import Packing
from ..crypto.parameters import (
    FAILURE_BITS,
    HIDING_BITS,
    STANDARD_MODULUS_BITS,
    largest_sites,
    modulus_bits,
)
from ..crypto.ring import SLOT_BITS, N
from ..crypto.threshold import CIPHERTEXT_SHAPE, PARTIAL_SHAPE, PIECE_SHAPE
from ..phases import Local
from ..plan import Plan
from ..privacy.accounting import epsilon, rounded_up
from ..privacy.ledger import Cap, Ledger
from ..processes import peak_bytes
from ..rehearsal import made_up_records
from ..schema import Schema
from .he import sum_seconds
from .made_up import fit_steps, made_up_states

_FRAME = 300  # header, signature and field names of a message
_SEAL = 250
_TAG = 44
_FIT_STEPS = 20  # timed, beside a fit of one step: what a fit does once is counted once


def estimate(plan: Plan, schema: Schema) -> dict[str, Any]:
    """Everything as JSON-ready content; docs/simulate.md says what each key means."""
    torch.set_num_threads(1)  # as in a simulation: the networks are small
    states = made_up_states(plan, schema)
    encodings = {step: encoding(step, schema, plan) for step in states}
    sums = {
        step.split("-")[0]: _sum(plan, encodings[step], plan.rounds if "-" in step else 1, len(state))
        for step, state in states.items()
    }
    bytes_ = _bytes(plan, sums)
    seconds = _seconds(plan, schema, encodings, states)
    received = len(plan.federation.sites) * max(entry["upload_bytes"] for entry in sums.values())
    here = peak_bytes()
    return {
        "plan": plan.hash,
        "epsilon": rounded_up(epsilon(plan.charged({}, plan.rounds), plan.privacy.delta)),
        "epsilon_views": {
            view: rounded_up(epsilon(plan.charged_in_view(view, {}, plan.rounds), plan.privacy.delta))
            for view in plan.views
        },
        "sites": len(plan.federation.sites),
        "rounds": plan.rounds,
        "sums": sums,
        "bytes": bytes_,
        "seconds": seconds,
        "memory_bytes": {"site": here, "coordinator": here + 2 * received},
        "headroom": _headroom(plan),
    }


def _sum(plan: Plan, travels: Encoding, times: int, state: int) -> dict[str, Any]:
    """One kind of sum: what a site sends and receives in it, and how finely values travel.

    state: bytes of public state that the coordinator sends with the request
    """
    packing = travels.packing
    sites = len(plan.federation.sites)
    upload = packing.chunks * ring.byte_length(*CIPHERTEXT_SHAPE) + _FRAME + _TAG
    partial = packing.chunks * ring.byte_length(*PARTIAL_SHAPE)
    return {
        "times": times,
        "values": packing.count,
        "ciphertexts": packing.chunks,
        "field_bits": packing.field_bits,
        "levels": packing.max_value + 1,
        "noise_steps": _noise_steps(plan, travels),
        "field_use": round(sites * packing.max_value / (1 << packing.field_bits), 5),
        "upload_bytes": upload,
        "upload_ratio_float32": round(upload / (4 * packing.count), 3),
        "request_bytes": state + sites * _SEAL + _FRAME,
        "opening_upload_bytes": partial + _FRAME,
        "opening_request_bytes": partial + sites * (_SEAL + _TAG) + _FRAME,
    }


def _bytes(plan: Plan, sums: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Of a whole run: a key-holder that opens every sum, and the coordinator."""
    federation = plan.federation
    sites, holders = len(federation.sites), federation.key_holders
    piece, share = ring.byte_length(*PIECE_SHAPE), ring.byte_length(*PARTIAL_SHAPE)
    box = 32 + share + 28
    proof = ring.byte_length(*CIPHERTEXT_SHAPE)
    keys_up = piece + holders * box + (sites - holders) * 60 + proof + share
    keys_down = holders * (piece + box) + share + sites * (4 * _SEAL + _TAG)
    up = keys_up + sum(s["times"] * (s["upload_bytes"] + s["opening_upload_bytes"]) for s in sums.values())
    down = keys_down + sum(
        s["times"] * (s["request_bytes"] + s["opening_request_bytes"]) for s in sums.values()
    )
    into = sum(
        s["times"] * (sites * s["upload_bytes"] + federation.threshold * s["opening_upload_bytes"])
        for s in sums.values()
    )
    return {
        "site_up": up,
        "site_down": down,
        "coordinator_in": into + holders * keys_up + (sites - holders) * proof,
    }


def _headroom(plan: Plan) -> dict[str, Any]:
    federation = plan.federation
    return {
        "hiding_bits": round(federation.noise.hiding_bits, 2),
        "hiding_bits_needed": HIDING_BITS,
        "largest_sites": largest_sites(federation.key_holders, federation.threshold),
        "failure_probability": 2.0**-FAILURE_BITS,
        "modulus_bits": modulus_bits(),
        "modulus_bits_allowed": STANDARD_MODULUS_BITS[N],
        "plaintext_slot_bits": SLOT_BITS,
    }


def _noise_steps(plan: Plan, travels: Encoding) -> float:
    """Standard deviation of a sum's noise in steps of its grid."""
    if isinstance(travels, NoisySum):
        return round(travels.grid.noise * travels.grid.steps, 2)
    assert isinstance(travels, LocalSum)
    assert isinstance(plan.train, Local)
    return round(travels.packing.max_value / 2 / plan.train.update_limit, 2)


def _seconds(
    plan: Plan, schema: Schema, encodings: dict[str, Encoding], states: dict[str, bytes]
) -> dict[str, float]:
    """Seconds of this machine, one core: a site's part, the coordinator's, and everybody's in one process."""
    sites, least = len(plan.federation.sites), plan.federation.threshold
    times: Counter[Packing] = Counter()
    for step, travels in encodings.items():
        times[travels.packing] += plan.rounds if "-" in step else 1
    cost = sum_seconds(plan.federation, dict(times))
    local = _local_seconds(plan, schema, states)
    fit_seconds = _fit_seconds(plan, schema)
    contribute, opening = cost.contribute + local, cost.open
    coordinator = sites * cost.add + cost.combine + fit_seconds
    return {
        "keys": round(cost.ceremony, 2),
        "site_local": round(local, 2),
        "site_encryption": round(cost.contribute + opening, 2),
        "coordinator_sums": round(sites * cost.add + cost.combine, 2),
        "coordinator_fit": round(fit_seconds, 2),
        "one_process": round(cost.ceremony + sites * contribute + least * opening + coordinator, 1),
        "federation_without_network": round(cost.ceremony + contribute + opening + coordinator, 1),
    }


def _local_seconds(plan: Plan, schema: Schema, states: dict[str, bytes]) -> float:
    """A site's own computing in the whole run, on as many made-up records as it must at least hold."""
    records = made_up_records(plan, schema)
    task = import_module("client.contribution").task
    seconds = 0.0
    with tempfile.TemporaryDirectory() as folder:
        dataset = uuid.uuid4().hex
        ledger = Ledger(Path(folder) / "ledger.jsonl", dataset)
        ledger.create()
        for step, state in states.items():
            work = task(step, plan)
            receipt = ledger.charge(
                work.mechanism,
                plan=plan.hash,
                step=step,
                cap=Cap(epsilon=plan.privacy.epsilon, delta=plan.privacy.delta),
                unit=plan.privacy.unit,
                sensitivity=1.0,
            )
            once = _timed(lambda: work.run(records, schema, plan, state, receipt))  # noqa: B023
            seconds += once * (plan.rounds if "-" in step else 1)
    return seconds


def _fit_seconds(plan: Plan, schema: Schema) -> float:
    """The coordinator's fit: what it does once, and its steps."""
    one, more = (fit_steps(plan, schema, steps) for steps in (1, 1 + _FIT_STEPS))
    first = _timed(one)
    step = max(0.0, _timed(more) - first) / _FIT_STEPS
    return first + (plan.measure.fit_steps - 1) * step


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start

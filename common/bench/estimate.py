"""What a plan will cost, before anybody starts: bytes, seconds, memory, precision, headroom.

Bytes, precision and headroom are arithmetic. Seconds and memory are measured here and now: the plan's own
steps run once on made-up records, through the same code as in a run.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..contributions import MeasureEncoding, TrainEncoding, TrainState
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
from ..modalities.layout import Layout
from ..modalities.tabular import Codes
from ..models.pair import Pair
from ..plan import MEASURE_STEP, Plan, train_step
from ..privacy.accounting import epsilon, rounded_up
from ..privacy.ledger import Cap, Ledger
from ..schema import Schema
from .he import sum_seconds

_FRAME = 300  # header, signature and field names of a message
_SEAL = 250
_TAG = 44
_FIT_STEPS = 20  # timed; the rest of the fit is as many times that


def estimate(plan: Plan, schema: Schema) -> dict[str, Any]:
    """Everything as JSON-ready content; docs/simulate.md says what each key means."""
    measure, train = MeasureEncoding(schema, plan), TrainEncoding(schema, plan)
    torch.set_num_threads(1)  # as in a simulation: the networks are small
    noise = plan.measure.noise_multiplier * measure.features.l2_sensitivity
    sums = {"measure": _sum(plan, measure.packing, 1, plan.measure.limit / noise, 0)}
    if plan.train.rounds:
        state = len(_made_up_state(plan, schema))
        sums["train"] = _sum(plan, train.packing, plan.train.rounds, plan.train.update_limit, state)
    bytes_ = _bytes(plan, sums)
    seconds = _seconds(plan, schema, measure, train)
    received = len(plan.federation.sites) * max(entry["upload_bytes"] for entry in sums.values())
    here = _peak_bytes()
    return {
        "plan": plan.hash,
        "epsilon": rounded_up(epsilon(plan.mechanisms, plan.privacy.delta)),
        "sites": len(plan.federation.sites),
        "rounds": plan.train.rounds,
        "sums": sums,
        "bytes": bytes_,
        "seconds": seconds,
        "memory_bytes": {"site": here, "coordinator": here + 2 * received},
        "headroom": _headroom(plan),
    }


def _sum(plan: Plan, packing: Packing, times: int, limit_over_noise: float, state: int) -> dict[str, Any]:
    """One kind of sum: what a site sends and receives in it, and how finely values travel.

    state: bytes of public state that the coordinator sends with the request
    """
    sites = len(plan.federation.sites)
    upload = packing.chunks * ring.byte_length(*CIPHERTEXT_SHAPE) + _FRAME + _TAG
    partial = packing.chunks * ring.byte_length(*PARTIAL_SHAPE)
    return {
        "times": times,
        "values": packing.count,
        "ciphertexts": packing.chunks,
        "field_bits": packing.field_bits,
        "levels": packing.max_value + 1,
        "rounding_over_noise": round(limit_over_noise / packing.max_value, 5),
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


def _seconds(plan: Plan, schema: Schema, measure: MeasureEncoding, train: TrainEncoding) -> dict[str, float]:
    """Seconds of this machine, one core: a site's part, the coordinator's, and everybody's in one process."""
    sites, least, rounds = len(plan.federation.sites), plan.federation.threshold, plan.train.rounds
    times = [(measure.packing, 1), (train.packing, rounds)]
    cost = sum_seconds(plan.federation, {packing: count for packing, count in times if count})
    local = _local_seconds(plan, schema)
    fit = _fit_seconds(plan, schema)
    contribute, opening = cost.contribute + local, cost.open
    coordinator = sites * cost.add + cost.combine + fit
    return {
        "keys": round(cost.ceremony, 2),
        "site_local": round(local, 2),
        "site_encryption": round(cost.contribute + opening, 2),
        "coordinator_sums": round(sites * cost.add + cost.combine, 2),
        "coordinator_fit": round(fit, 2),
        "one_process": round(cost.ceremony + sites * contribute + least * opening + coordinator, 1),
        "federation_without_network": round(cost.ceremony + contribute + opening + coordinator, 1),
    }


def _local_seconds(plan: Plan, schema: Schema) -> float:
    """A site's own computing in the whole run, on as many made-up records as it must at least hold."""
    random = np.random.default_rng(0)
    codes: Codes = np.stack([random.integers(0, size, plan.min_records) for size in schema.sizes], axis=1)
    state = _made_up_state(plan, schema)
    task = import_module("client.contribution").task
    steps = [MEASURE_STEP] + [train_step(1)] * bool(plan.train.rounds)
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.jsonl")
        ledger.create()
        for step in steps:
            work = task(step, plan)
            cap = Cap(epsilon=plan.privacy.epsilon, delta=plan.privacy.delta)
            receipt = ledger.charge(work.mechanism, plan=plan.hash, step=step, cap=cap)
            seconds.append(_timed(lambda: work.run(codes, schema, plan, state, receipt)))  # noqa: B023
    return seconds[0] + sum(seconds[1:]) * plan.train.rounds


def _made_up_state(plan: Plan, schema: Schema) -> bytes:
    layout = Layout.of(schema)
    combinations = int(np.prod(layout.conditions))
    return TrainState(
        parameters=Pair.new(layout, plan.model, plan.seed).to_vector(),
        singles=np.zeros(layout.width),
        pairs=np.zeros((layout.width, layout.width)),
        prior=np.full(combinations, 1 / combinations),
    ).to_bytes()


def _fit_seconds(plan: Plan, schema: Schema) -> float:
    layout = Layout.of(schema)
    combinations = int(np.prod(layout.conditions))
    singles = np.concatenate([np.full(size, 1 / size) for size in layout.sizes])
    moments = import_module("server.moments").Moments(
        total=float(plan.min_records),
        singles=singles,
        pairs=np.outer(singles, singles),
        prior=np.full(combinations, 1 / combinations),
        single_trust=1.0,
    )
    short = plan.measure.model_copy(update={"fit_steps": _FIT_STEPS})
    generator = Pair.new(layout, plan.model, plan.seed).generator
    fit: Callable[..., None] = import_module("server.fit").fit
    seconds = _timed(lambda: fit(generator, moments, layout, short, plan.seed, 0.0))
    return seconds * plan.measure.fit_steps / _FIT_STEPS


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _peak_bytes() -> int:
    """The most memory this process has held, with one site's work done in it."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table for people."""

    name: str
    value: str
    meaning: str


def rows(result: dict[str, Any]) -> list[Row]:
    """The estimate in words."""
    seconds, memory, headroom = result["seconds"], result["memory_bytes"], result["headroom"]
    lines = [
        Row(
            f"sum: {name}",
            f"{entry['times']} x {entry['ciphertexts']} ciphertexts",
            f"{entry['values']:,} values of {entry['field_bits']} bits, {entry['levels']:,} levels; rounding "
            f"{entry['rounding_over_noise']:.1%} of the noise; {entry['upload_ratio_float32']:.2f} x float32",
        )
        for name, entry in result["sums"].items()
    ]
    return [
        Row("epsilon", f"{result['epsilon']:.4g}", "of the whole plan"),
        *lines,
        Row("a site sends", _mega(result["bytes"]["site_up"]), "keys, contributions, openings"),
        Row("a site receives", _mega(result["bytes"]["site_down"]), "if it opens every sum"),
        Row("the coordinator receives", _mega(result["bytes"]["coordinator_in"]), "from all sites"),
        Row(
            "a site computes",
            f"{seconds['site_local'] + seconds['site_encryption']:.1f} s",
            f"{seconds['site_encryption']:.1f} s of it encryption; this machine, one core",
        ),
        Row(
            "the coordinator computes",
            f"{seconds['coordinator_fit'] + seconds['coordinator_sums']:.1f} s",
            f"{seconds['coordinator_fit']:.1f} s of it the fit",
        ),
        Row("a simulation takes", f"{seconds['one_process']:.0f} s", "all parties one after the other"),
        Row("memory", _mega(memory["site"]), f"of a site; coordinator {_mega(memory['coordinator'])}"),
        Row(
            "headroom",
            f"{headroom['hiding_bits'] - headroom['hiding_bits_needed']:.1f} bits spare",
            f"for up to {headroom['largest_sites']} sites; failure below 2^-{FAILURE_BITS} a run",
        ),
        Row(
            "security",
            "128 bits",
            f"modulus of {headroom['modulus_bits']} bits, {headroom['modulus_bits_allowed']} are allowed",
        ),
    ]


def _mega(count: int) -> str:
    return f"{count / 1e6:.1f} MB"

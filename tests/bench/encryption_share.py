"""What encryption costs the demo: the same run with the secure sum and with a plain float32 sum.

    python -m tests.bench.encryption_share --pairs 3

The plain sum exists only here. It replaces both halves of the secure sum in one process: sites send
float32, the server adds, no keys are made and nothing is opened. Runs alternate; ratios are by pair.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np

from client.enrolment import Keys
from common.bench.kept import made
from common.config import Release
from common.contributions import encoding
from common.protocol.messages import Contribute, Contribution
from server import demo
from server.rounds import Coordinator
from server.simulate import simulate


class PlainUpdate:
    """A noised update as float32: what a federation without encryption would send."""

    def __init__(self, update, *_):
        self._integers = update.integers

    @property
    def ciphertext(self) -> np.ndarray:
        return np.zeros((1, 2), np.uint64)

    def to_bytes(self) -> bytes:
        return self._integers.astype(np.float32).tobytes()


class NoTag:
    """Nothing is opened, so nothing has to be proved about it."""

    def seal(self, *_) -> bytes:
        return b""


def plain_sum(coordinator, step, state):
    """The server's half: ask once, add."""
    travels = encoding(step, coordinator._schema, coordinator._plan)
    sites = coordinator._plan.federation.names
    request = Contribute(state=state, attested=[])
    replies = coordinator._asking(step, dict.fromkeys(sites, request), Contribution.kind).good
    vectors = [
        np.frombuffer(Contribution.from_bytes(reply.body).ciphertext, np.float32)
        for reply in replies.values()
    ]
    coordinator._checkpoint.contribution_bytes += sum(len(r.to_bytes()) for r in replies.values())
    coordinator._checkpoint.values_sent += travels.packing.count * len(vectors)
    total = np.sum(vectors, axis=0, dtype=np.float64)
    return travels.sum_to_values(total, len(vectors)), len(vectors)


def run(encrypted: bool) -> dict:
    """The report of one run, with the processor seconds it took: wall clock on shared machines is noisy."""
    start = time.process_time()
    report = simulate_once(encrypted)
    return {**report, "cpu_seconds": time.process_time() - start}


def simulate_once(encrypted: bool, *, evaluated: bool = True, **changes: object) -> dict:
    frame, schema = demo.records()
    config = demo.config(0)
    config = config.model_copy(update={"training": config.training.model_copy(update=changes)})
    if not evaluated:
        config = config.model_copy(update={"release": Release(evaluate_share=0.0)})
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "release"
        if encrypted:
            return simulate(config, frame, schema, out, resume=False).report
        with (
            patch("client.vault.encrypt_update", PlainUpdate),
            patch("server.rounds.make_keys", lambda *_: []),
            patch.object(Keys, "joint", lambda *_: None),
            patch.object(Keys, "group", lambda _: NoTag()),
            patch.object(Coordinator, "_opened", plain_sum),
        ):
            return simulate(config, frame, schema, out, resume=False).report


def compare(encrypted: dict, plain: dict) -> dict:
    """One pair of runs, encrypted first in each list."""
    both = (encrypted, plain)
    return {
        "wall_seconds": [report["wall_seconds"] for report in both],
        "cpu_seconds": [round(report["cpu_seconds"], 2) for report in both],
        "wall_ratio": round(encrypted["wall_seconds"] / plain["wall_seconds"], 4),
        "cpu_ratio": round(encrypted["cpu_seconds"] / plain["cpu_seconds"], 4),
        "steady_ratio": round(in_fits(encrypted) / in_fits(plain), 4),
        "seconds": [report["seconds"] for report in both],
        "encryption_share": encrypted["encryption_share"],
        "upload_ratio_float32": encrypted["upload_ratio_float32"],
        "tvd2": [report["tvd2"] for report in both],
        "tstr_auc": [report["tstr_auc"] for report in both],
    }


def in_fits(report: dict) -> float:
    """All phases in units of the fit, which is the same work in both runs: the machine's drift cancels."""
    return sum(report["seconds"].values()) / report["seconds"]["fit"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    pairs = asked.pairs
    simulate_once(True, fit_steps=1)  # so that no counted run pays for imports and first uses
    rows = []
    for number in range(pairs):
        order = (True, False) if number % 2 == 0 else (False, True)
        reports = {encrypted: run(encrypted) for encrypted in order}
        rows.append(compare(reports[True], reports[False]))
        sys.stderr.write(json.dumps(rows[-1]) + "\n")
    summary = {
        "median_wall_ratio": median(row["wall_ratio"] for row in rows),
        "median_steady_ratio": median(row["steady_ratio"] for row in rows),
        "median_cpu_ratio": median(row["cpu_ratio"] for row in rows),
        "pairs": rows,
    }
    if asked.keep:
        command = f"python -m tests.bench.encryption_share --pairs {pairs}"
        made("encryption", summary, command).write(asked.keep)
    sys.stdout.write(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""What a run has reached, in one file that is replaced whole after every step.

Holds what was released, opened sums and the models computed from them, and a sum of ciphertexts on
its way to be opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from common.durable import write_whole
from common.errors import StorageError

from .adversary import Adversary
from .asking import Trouble
from .opening import PendingSum

_PUBLIC = (
    "enrolled",
    "rounds_done",
    "attempts",
    "attested",
    "garbage",
    "trouble",
    "seconds",
    "traffic",
    "contribution_bytes",
    "values_sent",
    "counted_by",
    "measured_by",
    "evaluated_by",
)
_ARRAYS = ("counts", "moments", "parameters", "average", "evaluation")
_OPTIMISER = ("first", "second")
_VERSION = 4  # of the file; a change of its fields or of what they mean needs another
_ANEW = "restore it from a backup, or make a new plan; a simulation starts again without --resume"
_LIMIT = 4 << 30  # bytes: a sum of the largest contributions, and the models


@dataclass(kw_only=True)
class Checkpoint:
    """State of a run between steps.

    counts: opened histograms, float64; moments: opened sum of feature maps, float64; parameters: generator
    and discriminator, float32; average: exponential average of the generator; evaluation: opened counts of
    how its records do, float64; adversary: networks and optimisers between two steps of schedule
    ``every-step``; pending: a sum that was decided and is not opened yet; attempts: at steps that were lost;
    attested: every site's word for the joint key, hexadecimal; garbage: key-holders whose partial decryptions
    were wrong; trouble: what sites did not do; seconds: wall clock by phase; traffic: bytes by site;
    counted_by, measured_by, evaluated_by: how many sites' noise counts, moments and evaluation hold
    """

    path: Path
    plan: str
    enrolled: bool = False
    rounds_done: int = 0
    attempts: dict[str, int] = field(default_factory=dict)
    attested: list[str] = field(default_factory=list)
    garbage: list[str] = field(default_factory=list)
    trouble: list[Trouble] = field(default_factory=list)
    pending: PendingSum | None = None
    counts: NDArray[np.float64] | None = None
    moments: NDArray[np.float64] | None = None
    parameters: NDArray[np.float32] | None = None
    average: NDArray[np.float32] | None = None
    evaluation: NDArray[np.float64] | None = None
    adversary: Adversary | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    traffic: dict[str, dict[str, int]] = field(default_factory=dict)
    contribution_bytes: int = 0
    values_sent: int = 0
    counted_by: int = 0
    measured_by: int = 0
    evaluated_by: int = 0

    @classmethod
    def load_or_new(cls, folder: Path, plan: str) -> Checkpoint:
        """The checkpoint in ``folder``; a fresh one if there is none. Raises StorageError."""
        path = folder / "checkpoint.safetensors"
        if not path.exists():
            return cls(path=path, plan=plan)
        try:
            if path.stat().st_size > _LIMIT:
                raise ValueError(f"more than {_LIMIT} bytes")
            with safe_open(path, framework="numpy") as file:
                public: dict[str, Any] = json.loads(file.metadata()["fedcgan"])
                if (version := public.pop("version", None)) != _VERSION:
                    raise StorageError(
                        f"the checkpoint {path} is of version {version}, this program reads {_VERSION}",
                        hint="finish the run with the version of fedcgan that it was begun with",
                    )
                stored = set(file.keys())
                arrays = {name: file.get_tensor(name) for name in _ARRAYS if name in stored}
                pending = _pending(public.pop("pending"), file.get_tensor) if "sum" in stored else None
                public["trouble"] = [Trouble(**one) for one in public["trouble"]]
                training = public.pop("training", None)
                optimiser = [file.get_tensor(name) for name in _OPTIMISER] if training else []
            state = cls(path=path, pending=pending, **public, **arrays)
            if training:
                state.adversary = Adversary(
                    arrays["parameters"], optimiser[0], optimiser[1], arrays["average"], **training
                )
        except _DAMAGE as error:
            raise StorageError(f"the checkpoint {path} is damaged", hint=_ANEW) from error
        if state.plan != plan:
            raise StorageError(
                f"the checkpoint {path} belongs to another plan",
                hint=_ANEW,
            )
        return state

    def save(self) -> None:
        """Replace the file. Raises StorageError."""
        public = {name: getattr(self, name) for name in _PUBLIC} | {"plan": self.plan, "version": _VERSION}
        public["trouble"] = [asdict(one) for one in self.trouble]
        arrays = {name: a for name in _ARRAYS if (a := getattr(self, name)) is not None}
        if (training := self.adversary) is not None:
            arrays |= {name: getattr(training, name) for name in _OPTIMISER}
            public["training"] = {name: getattr(training, name) for name in ("accuracy", "generator_steps")}
        if (decided := self.pending) is not None:
            arrays["sum"] = decided.ciphertext
            public["pending"] = {
                "step": decided.step,
                "summands": decided.summands,
                "seals": [seal.hex() for seal in decided.seals],
                "tags": [tag.hex() for tag in decided.tags],
                "carried": decided.carried,
            }
        metadata = {"fedcgan": json.dumps(public)}
        tensors = arrays or {"empty": np.zeros(1)}
        write_whole(self.path, lambda path: save_file(tensors, path, metadata))


_DAMAGE = (SafetensorError, KeyError, TypeError, ValueError, AttributeError, RecursionError, OSError)


def _pending(public: dict[str, Any], tensor: Callable[[str], Any]) -> PendingSum:
    return PendingSum(
        step=public["step"],
        summands=public["summands"],
        seals=[bytes.fromhex(seal) for seal in public["seals"]],
        tags=[bytes.fromhex(tag) for tag in public["tags"]],
        ciphertext=tensor("sum"),
        carried=public["carried"],
    )

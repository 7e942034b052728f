"""A verified bundle on a terminal, and as JSON."""

from __future__ import annotations

from typing import Any

from ..terminal import output
from .verification import Verified
from .words import attention, not_proven, proven


def facts(verified: Verified) -> dict[str, Any]:
    """What a command says with ``--json``."""
    manifest = verified.manifest
    return {
        "manifest": manifest.hash,
        "run": manifest.run,
        "plan": manifest.plan,
        "schema": manifest.schema_hash,
        "coordinator": {**manifest.coordinator.model_dump(), "fingerprint": verified.fingerprint},
        "signer_checked": verified.pinned,
        "sites": [party.model_dump() for party in manifest.sites],
        "signatures": {"needed": manifest.signatures, "by": list(verified.signed)},
        "epsilon": manifest.epsilon,
        "epsilon_recomputed": verified.claims.epsilon,
        "epsilon_views_recomputed": verified.claims.views,
        "delta": manifest.delta,
        "unit": manifest.unit,
        "gate": manifest.gate,
        "override": manifest.override,
        "simulated": manifest.simulated,
        "made": manifest.made,
        "files": len(manifest.files),
        "attention": attention(verified),
        "proven": proven(verified),
        "not_proven": not_proven(verified),
    }


def show(verified: Verified) -> None:
    """The same for people."""
    manifest = verified.manifest
    line(f"release of run {manifest.run}, made {manifest.made}, manifest {manifest.hash}")
    line(f"coordinator's fingerprint   {verified.fingerprint}")
    for sentence in attention(verified):
        output.print("[bold yellow]attention[/]", end="  ")
        line(sentence)
    for heading, sentences in (("proven", proven(verified)), ("not proven", not_proven(verified))):
        output.print(f"\n[bold]{heading}[/]")
        for sentence in sentences:
            line("  " + sentence)


def line(text: str) -> None:
    """A sentence as it stands: somebody else's words are no markup and no control characters."""
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    output.print(shown, markup=False, highlight=False, soft_wrap=True)

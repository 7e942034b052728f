"""The estimate of a plan in words, a line for each thing that it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..crypto.parameters import FAILURE_BITS


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
            f"{entry['values']:,} values of {entry['field_bits']} bits, {entry['levels']:,} levels; noise of "
            f"{entry['noise_steps']:.0f} steps; {entry['upload_ratio_float32']:.2f} x float32",
        )
        for name, entry in result["sums"].items()
    ]
    return [
        Row("epsilon", f"{result['epsilon']:.4g}", "of the whole plan, against colluders as planned"),
        Row("", f"{result['epsilon_views']['released']:.4g}", "against who sees only the release"),
        Row(
            "", f"{result['epsilon_views']['all_others']:.4g}", "against all other sites, without encryption"
        ),
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

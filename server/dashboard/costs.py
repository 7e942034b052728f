"""An estimate as a coordinator reads it: privacy by view, hours, bytes, memory."""

from __future__ import annotations

from typing import Any

from common.evidence.formats import number, size

from .spans import about

_VIEWS = {
    "released": "for who sees only the release",
    "curious_site": "for a curious site",
    "collusion": "for colluding sites, as planned",
    "all_others": "if all other sites collude and encryption is no help",
}


def costs(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Rows of (what, how much). result: of ``common.bench.estimate.estimate``"""
    seconds, memory, bytes_ = result["seconds"], result["memory_bytes"], result["bytes"]
    site = seconds["site_local"] + seconds["site_encryption"]
    coordinator = seconds["coordinator_fit"] + seconds["coordinator_sums"]
    rows = [("ε, the whole plan", number(result["epsilon"], 3))]
    rows += [(f"ε {said}", number(result["epsilon_views"][view], 3)) for view, said in _VIEWS.items()]
    return [
        *rows,
        ("Time without network, at least", about(seconds["federation_without_network"])),
        ("A site computes", about(site)),
        ("The coordinator computes", about(coordinator)),
        ("A site sends", size(bytes_["site_up"])),
        ("A site receives", size(bytes_["site_down"])),
        ("The coordinator receives", size(bytes_["coordinator_in"])),
        ("Memory of a site", size(memory["site"])),
        ("Memory of the coordinator", size(memory["coordinator"])),
    ]

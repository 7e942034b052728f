"""The systems of the league: how each is run, and what it is told beside what its privacy accounts for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import ConfigError

_BINS = "bins of numbers (20 quantiles of the training table, as the scores use)"
_COUNT = _BINS + "; which categories occur; the number of records"
_SHARES = _COUNT + "; the exact shares of every category, by which it chooses what to train on"


@dataclass(frozen=True, slots=True)
class System:
    """One that makes synthetic tables.

    program: in ``common/bench/peers``, or none if it is ours; arguments: of it
    requirements: file beside it, of an environment of its own; none: it is run by our interpreter
    private: whether it is asked for an epsilon; outside: what it knows of the records outside its accounting
    """

    name: str
    title: str
    source: str
    outside: str
    program: str | None = None
    arguments: tuple[str, ...] = ()
    requirements: str | None = None
    private: bool = True


OURS = (
    System(
        name="fedcgan",
        title="fedcgan, a federation",
        source="this program: secure sums with shared noise, then the fit; no site shows its records",
        outside="nothing: the schema's public cuts, or bins bought from its budget",
    ),
    System(
        name="fedcgan-same-bins",
        title="fedcgan, a federation told the same bins as its peers",
        source="the first row again, with the bins of numbers as peers get them: like beside like",
        outside=_BINS,
    ),
    System(
        name="fedcgan-pooled",
        title="fedcgan, pooled records",
        source="the same recipe where one curator holds all records and adds the noise",
        outside="nothing: the schema's public cuts, or bins bought from its budget",
    ),
    System(
        name="fedcgan-pooled-same-bins",
        title="fedcgan, pooled records and the same bins as its peers",
        source="both at once: what peers have, one trusted curator who is told the bins",
        outside=_BINS,
    ),
)
"""Played unless left out."""

PEERS = (
    System(
        name="independent",
        title="independent columns",
        source="this program's baseline: each column's histogram with geometric noise (Ghosh et al. 2009)",
        outside=_BINS,
        program="run_independent.py",
    ),
    System(
        name="mst",
        title="MST (private-pgm)",
        source="McKenna, Miklau, Sheldon 2021, on mbi 2.0.0 (Apache-2.0); in our words",
        outside=_BINS,
        program="run_mst.py",
        requirements="private-pgm.txt",
    ),
    System(
        name="aim",
        title="AIM (private-pgm)",
        source="McKenna, Mullins, Sheldon, Miklau 2022, on mbi 2.0.0 (Apache-2.0); in our words",
        outside=_BINS,
        program="run_aim.py",
        requirements="private-pgm.txt",
    ),
    System(
        name="smartnoise-mst",
        title="MST (SmartNoise)",
        source="smartnoise-synth 1.0.8 (MIT)",
        outside=_COUNT,
        program="run_smartnoise.py",
        arguments=("mst",),
        requirements="smartnoise.txt",
    ),
    System(
        name="dpctgan",
        title="DPCTGAN (SmartNoise)",
        source="smartnoise-synth 1.0.8 (MIT)",
        outside=_SHARES,
        program="run_smartnoise.py",
        arguments=("dpctgan",),
        requirements="smartnoise.txt",
    ),
    System(
        name="patectgan",
        title="PATE-CTGAN (SmartNoise)",
        source="smartnoise-synth 1.0.8 (MIT)",
        outside=_SHARES,
        program="run_smartnoise.py",
        arguments=("patectgan",),
        requirements="smartnoise.txt",
    ),
    System(
        name="dp-cgans",
        title="dp-cgans",
        source="Sun et al. 2023, dp-cgans 0.3.0 (MIT); it takes no epsilon",
        outside="everything: as coded, its noise is not calibrated to any bound on what a record can change",
        program="run_dp_cgans.py",
        requirements="dp-cgans.txt",
        private=False,
    ),
    System(
        name="ctgan",
        title="CTGAN, not private",
        source="Xu et al. 2019, ctgan 0.12.1 (Business Source License 1.1), for reference",
        outside="everything: it has no privacy",
        program="run_ctgan.py",
        requirements="ctgan.txt",
        private=False,
    ),
)

NAMES = tuple(system.name for system in PEERS)


def chosen(names: Sequence[str], ours: bool = True) -> list[System]:
    """Ours if wanted, then peers of these names in the order of ``PEERS``; all peers for none.

    Raises ConfigError for an unknown name.
    """
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise ConfigError(f"the league has no peer {unknown[0]!r}", hint="peers: " + ", ".join(NAMES))
    return [*(OURS if ours else ()), *(peer for peer in PEERS if not names or peer.name in names)]

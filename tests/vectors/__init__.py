"""Known answers and expected refusals, written by the naive implementation alone.

small.json      single functions; secrets and small results in hex, large ones as SHA-256 of their wire form
sums.json       two whole runs, from their seeds to their openings
refusals.json   what must be refused, and with which error code (null: it must be accepted)

``python -m tests.vectors.make`` writes them; ``cases`` says how a refusal case is played; ``real`` puts the
package behind the same functions as ``tests.naive.wire``.
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def load(name: str) -> Any:
    """One of the files."""
    return json.loads((FOLDER / f"{name}.json").read_text())

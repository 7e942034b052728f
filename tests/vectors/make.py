"""``python -m tests.vectors.make`` rewrites the vectors. Only the naive implementation is asked."""

import json
from functools import cache
from typing import Any

from tests.naive.federation import Run

from . import FOLDER, refusals, small


@cache
def runs() -> dict[str, Run]:
    """The runs of sums.json by name."""
    return {
        "three": Run("fedcgan/vectors/three", holders=3, threshold=2, sites=3, bits=20, count=2 * 8191 + 50),
        "five": Run("fedcgan/vectors/five", holders=5, threshold=3, sites=5, bits=18, count=1000, absent=2),
    }


OPENERS = {"three": [(1, 2), (3, 1), (2, 3)], "five": [(1, 3, 4), (2, 4, 5)]}


def files() -> dict[str, Any]:
    """Content of every file by its name."""
    return {
        "small": small.vectors(),
        "sums": {name: small.describe(run, OPENERS[name]) for name, run in runs().items()},
        "refusals": refusals.cases(),
    }


def text(content: Any) -> str:
    """As it stands in the file."""
    return json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    for name, content in files().items():
        (FOLDER / f"{name}.json").write_text(text(content))

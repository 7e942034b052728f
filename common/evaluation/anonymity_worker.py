"""What runs in anonymeter's own interpreter: reads a question from standard input, answers with counts.

It imports nothing of this project, which that interpreter need not have.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any


def main() -> None:
    """The question: columns of training, holdout and synthetic records, secret, attacks, seed."""
    import pandas as pd
    from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator

    warnings.simplefilter("ignore")
    asked = json.load(sys.stdin)
    ori, control, syn = (pd.DataFrame(asked[name]) for name in ("training", "holdout", "synthetic"))
    count, columns, secret = asked["attacks"], list(ori.columns), asked["secret"]
    halves = (columns[::2], columns[1::2])
    rest = [name for name in columns if name != secret]
    several = min(4, len(columns))
    singling = SinglingOutEvaluator(
        ori=ori,
        syn=syn,
        control=control,
        n_attacks=count,
        n_cols=several,
        max_attempts=50 * count,
        seed=asked["seed"],
    )
    linking = LinkabilityEvaluator(ori=ori, syn=syn, control=control, n_attacks=count, aux_cols=halves)
    inferring = InferenceEvaluator(
        ori=ori, syn=syn, control=control, aux_cols=rest, secret=secret, regression=False, n_attacks=count
    )
    answer = [
        _counts(
            "singling-out",
            "Singled out by conditions that describe one synthetic record (anonymeter)",
            f"Conditions on {several} columns.",
            count,
            singling.evaluate(mode="multivariate"),
        ),
        _counts(
            "linkability",
            "Two halves of the columns linked through one synthetic record (anonymeter)",
            "Columns in turn belong to either half.",
            count,
            linking.evaluate(n_jobs=1),
        ),
        _counts(
            "inference",
            "A column inferred from all others through the nearest synthetic record (anonymeter)",
            f"The column is {secret}.",
            count,
            inferring.evaluate(n_jobs=1),
        ),
    ]
    sys.stdout.write(json.dumps(answer))


def _counts(name: str, title: str, how: str, count: int, evaluated: Any) -> dict[str, Any]:
    found = evaluated.results()
    return {
        "name": name,
        "title": title,
        "how": how,
        "hits": int(found.n_success),
        "tries": count,
        "control_hits": min(count, round(float(found.n_control))),
        "controls": count,
    }


if __name__ == "__main__":
    main()

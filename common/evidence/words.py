"""Sentences of the page that do not depend on a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..evaluation.figures import Criterion
from ..privacy.mechanism import Unit
from ..release_terms import Task
from ..schema import ArraySchema, ImageSchema, Schema
from .formats import bound

NOT_EVALUATED = "not evaluated"

OBSERVERS = {
    "released": "Everybody who sees what is published, and the coordinator alone",
    "curious_site": "One site that takes part and knows its own share of the noise",
    "collusion": "As many sites as the plan allows for, pooling all they saw with the coordinator",
    "all_others": "Everybody but one site, were the encryption of no use",
}
"""Who looks, for each of ``Plan.views``."""

VERDICTS = {
    "passed": ("Passed", "No criterion of the privacy gate found more than the plan allows."),
    "failed": ("Failed", "At least one criterion of the privacy gate found more than the plan allows."),
    "inconclusive": (
        "Inconclusive",
        "No criterion failed, but at least one could not have seen what it looks for: "
        "the noise, or the number of records, hides it.",
    ),
    NOT_EVALUATED: (
        "Not evaluated",
        "Nothing was measured on records for this page. The guarantee of differential privacy holds "
        "all the same; it does not rest on such tests.",
    ),
    "information": ("Information", "Shown without a threshold."),
}
"""Of the gate and of a criterion: a word, and what it means."""

GATE_NOTES = (
    "Thresholds were fixed in the plan, before anything was trained.",
    "Resolution is the smallest true value that would have been seen in 19 of 20 cases.",
    "Held-out records are real ones that nothing was trained on. An attack that names them as readily as "
    "those trained on has found out nothing about who took part.",
    "The distance to the closest record, often shown as a privacy score, decides nothing: it hardly moves "
    "when one record in ten is copied word for word, so no threshold on it would protect anybody.",
)

STEPS = (
    "count: numbers of single values; measure: of pairs of values, or features of images and signals; train: "
    "steps on records; evaluate: how synthetic records do, for the gate and the figures below."
)
"""What the steps of a plan are."""

AUC = (
    "AUC is how often a model puts a record for which the answer is yes above one for which it is no: 0.5 is "
    "guessing, 1 is perfect."
)


def task(asked: Task | None) -> str:
    """What the models of an evaluation predict; empty if that is the label, or nothing."""
    if asked is None:
        return ""
    said = f"is above {asked.above:g}" if asked.above is not None else f"is {asked.equals}"
    unseen = f", without seeing {', '.join(asked.exclude)}" if asked.exclude else ""
    return f"The models predict whether {asked.target} {said}{unseen}. {AUC}"


_EVALUATED = {
    "trained_on_estimated": "{} {} trained on (estimated)",
    "held_out_estimated": "{} {} held out of training (estimated)",
    "synthetic_shown": "{} synthetic records",
    "training": "{} records trained on",
    "held_out": "{} held-out records",
    "synthetic": "{} synthetic records",
}


def evaluated(records: Mapping[str, int], unit: Unit) -> list[str]:
    """On how many of what an evaluation rests."""
    return [
        _EVALUATED.get(name, "{} " + name.replace("_", " ")).format(f"{value:,}", whom(unit))
        for name, value in records.items()
    ]


def least_copies(criteria: Sequence[Criterion]) -> str:
    """What a gate that did not fail may have missed, where that is known."""
    for one in criteria:
        if one.name == "copies" and one.resolution is not None and one.verdict != "failed":
            return (
                "Verbatim copies would have been seen in 19 of 20 cases if they were "
                f"{bound(one.resolution)} of the synthetic records; fewer may have gone unnoticed."
            )
    return ""


def kind(schema: Schema) -> str:
    """What is synthesised, in the plural."""
    if isinstance(schema, ImageSchema):
        return "images"
    return "signals" if isinstance(schema, ArraySchema) else "records"


def whom(unit: Unit) -> str:
    """Whom the guarantee protects, in the plural."""
    return "people" if unit == "add/remove one subject" else "records"


def not_covered(unit: Unit) -> list[str]:
    """What the guarantee and the tests leave open."""
    protected = "one person's records" if unit == "add/remove one subject" else "one record"
    twice = (
        "Somebody whose records are at two sites has two guarantees, whose ε add up."
        if unit == "add/remove one subject"
        else "Somebody with several records has as many guarantees, whose ε add up."
    )
    return [
        f"The guarantee is about {protected}. What is true of the whole population, and can be learnt "
        "without any one of them, is not hidden; it is what the data are for.",
        twice,
        "ε counts this run and those it continues. Other runs on the same records are in each site's own "
        "ledger, not on this page.",
        "The schema (names, categories, bounds, bins) was declared by people and is public. Nobody checked "
        "that it gives nothing away.",
        "That a site took part, when, and how many bytes it sent, is not protected.",
        "More curious sites than the plan allows for, or sites that do not add the noise they promised, "
        "weaken the guarantee: see the last row of the budget.",
        "Synthetic records follow what was measured: shares, pairs of columns, bounded features. What "
        "only three or more columns tell together, and very rare cases, may be wrong. They are no substitute "
        "for real records where a decision about a person rests on them.",
        "Whether a law treats these files as personal data is not said here. This page gives numbers.",
    ]

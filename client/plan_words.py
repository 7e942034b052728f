"""A plan in plain words, for a data steward who knows no machine learning.

Every number in it comes from the plan, the schema or the site's own ledger; what is promised is what
docs/privacy.md and SECURITY.md promise.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from common.errors import FedcganError, PrivacyTargetError
from common.phases import ArrayMeasure, EveryStep, Local, Measure, Views
from common.plain_text import plain, size
from common.plan import COUNT_STEP, EVALUATE_STEP, MEASURE_STEP, MOST_ATTEMPTS, Plan
from common.privacy.accounting import epsilon
from common.schema import ImageSchema, Schema

from .plan_costs import Budget, Leaving, leaving


@dataclass(frozen=True, slots=True)
class Part:
    """Sentences on one question. warnings: what speaks against an approval"""

    topic: str
    sentences: list[str]
    warnings: list[str] = field(default_factory=list)


def words(plan: Plan, schema: Schema | None, site: str, spent: Budget | None) -> list[Part]:
    """The plan as a steward reads it. site: this site's name; schema: None if it is not known here."""
    return [
        _about(plan, schema),
        _who(plan, site),
        _computed(plan, schema),
        _leaves(plan, schema),
        _opens(plan, site),
        _protected(plan, schema),
        _costs(plan, spent),
    ]


def _about(plan: Plan, schema: Schema | None) -> Part:
    named = f"'{plain(schema.name)}' ({plan.schema_hash[:12]})" if schema else plan.schema_hash[:12]
    said = [f"Run '{plain(plan.run)}', plan {plan.hash}.", f"Schema {named}."]
    warnings = [] if schema else ["The schema is not known here, so that sizes are not."]
    if plan.rehearsal:
        said.append(
            "It is a rehearsal: every site makes up records. No real record is read, and the ledger of the "
            "real records is not charged."
        )
    if plan.continues:
        runs = plan.continues.runs
        said.append(
            f"It goes on from a finished release that rests on {len(runs)} run(s), the last of them plan "
            f"{runs[-1].plan[:12]}: sums over new records are added to sums that are public already."
        )
    return Part("the plan", said, warnings)


def _who(plan: Plan, site: str) -> Part:
    federation = plan.federation
    said = [
        f"Coordinator: {federation.coordinator.name} (key {federation.coordinator.identity[:16]}…).",
        f"{len(federation.sites)} sites take part, each with its key: "
        + ", ".join(f"{party.name} ({party.identity[:16]}…)" for party in federation.sites)
        + ". Only the coordinator's word ties names to keys: ask the others whether these are theirs.",
        f"At least {federation.min_contributors} of them must contribute to a sum before it may be opened.",
        f"A site must hold at least {plan.min_records:,} and at most {plan.max_records:,} {_noun(plan)}s. A "
        "refusal says that it holds fewer or more, never how many."
        + (
            f" Those that it keeps out of training, about {plan.release.holdout:.0%}, do not count."
            if plan.release.holdout
            else ""
        ),
    ]
    here = site in federation.names
    return Part("who", said, [] if here else [f"This site, {site}, is not among them."])


def _computed(plan: Plan, schema: Schema | None) -> Part:
    said = []
    if plan.count:
        said.append(
            f"Step {COUNT_STEP!r}: how often each value, or each range of values, of every column occurs. "
            + _noise(plan, plan.count.noise_multiplier)
        )
    said += [_measured(plan, schema) + " " + _noise(plan, plan.measure.noise_multiplier), *_trained(plan)]
    said += _evaluated(plan)
    said.append(
        f"A step that was lost may be asked for again, {MOST_ATTEMPTS} times in all; each time is charged in "
        "full, and stays within the cap."
    )
    return Part("what is computed from the records", said)


_NEAR = "two columns at most {} apart in the schema, or of a column and a condition,"


def _measured(plan: Plan, schema: Schema | None) -> str:
    measure = plan.measure
    if isinstance(measure, Measure):
        split = ", ".join(map(plain, measure.split))
        apart = f", apart for each combination of {split}" if split else ""
        which = "two columns" if measure.neighbours is None else _NEAR.format(measure.neighbours)
        return (
            f"Step {MEASURE_STEP!r}: how often each pair of values of {which} occurs together{apart}; "
            "values are grouped by the noisy first step."
        )
    assert isinstance(measure, ArrayMeasure)
    what = "image" if isinstance(schema, ImageSchema) else "record"
    return (
        f"Step {MEASURE_STEP!r}: for each class the sum over all {what}s of a list of bounded numbers: how "
        f"their coarse structure ({measure.coefficients} frequencies of each axis and channel) goes "
        f"together, and {measure.plain} + {measure.windowed} random waves of it." + _views(measure.views)
    )


def _views(views: Views | None) -> str:
    if views is None:
        return ""
    flipped = "mirrored, " if views.flip else ""
    return (
        f" Each is the mean over {views.count} random views ({flipped}turned by at most {views.rotate:g} "
        f"degrees, moved by at most {views.shift} pixels)."
    )


def _noise(plan: Plan, multiplier: float) -> str:
    federation = plan.federation
    share = "the whole noise" if federation.shares == 1 else f"1/{federation.shares} of its variance"
    return (
        f"Noise of the sum, by the parts of {federation.shares} site(s) alone: {multiplier:.3g} times the "
        f"most that one {_noun(plan)} can change it; this site adds {share}."
    )


def _trained(plan: Plan) -> list[str]:
    train = plan.train
    if train is None:
        return ["Nothing else: the generator is fitted to these noisy sums by the coordinator."]
    one = "" if _noun(plan) == "record" else " and with one of its rows"
    sampled = f"every {_noun(plan)} enters with probability {train.sample_rate:g}{one}, drawn anew"
    if isinstance(train, EveryStep):
        return [
            f"{train.rounds} training steps ({train.objective.family}): in each {sampled}, and what leaves "
            f"is the sum of how each would change the networks, cut to length {train.max_grad_norm:g}. "
            + _noise(plan, train.noise_multiplier)
        ]
    assert isinstance(train, Local)
    return [
        f"{train.rounds} training rounds ({train.objective.family}): in each this site trains a "
        f"discriminator for {train.local_steps} steps, in which {sampled}; what each changes is cut to "
        f"length {train.max_grad_norm:g}, and noise of {train.noise_multiplier:.3g} times that length, the "
        f"whole of it, is added here. A generator then takes {train.generator_steps} steps that read no "
        "record. What leaves is how far both have moved."
    ]


def _evaluated(plan: Plan) -> list[str]:
    """What is measured for the release, on records that training did not see and on those it did."""
    if (evaluate := plan.release.evaluate) is None:
        return ["Nothing is measured for the release: no number in it says how well it does on records."]
    noun, task = _noun(plan), evaluate.task
    asked = "its class" if task is None else f"'{plain(task.target)}'"
    probe = "" if task is None and plan.count else f", how well a model learnt from them predicts {asked}"
    return [
        f"Step {EVALUATE_STEP!r}: this site is shown {evaluate.records:,} synthetic records that are to be "
        f"released, and counts, in ranges: how near the nearest of them is to each {noun} trained on and to "
        f"each {noun} held out{probe}, and which values those held out have. "
        + _noise(plan, evaluate.noise_multiplier)
    ]


def _leaves(plan: Plan, schema: Schema | None) -> Part:
    said = [
        "What is computed from records leaves only with noise, as encrypted integers. Its size does not "
        "depend on the records; how long this site works for it does."
    ]
    warnings = []
    if schema is not None:
        try:
            said += [_sizes(entry) for entry in leaving(plan, schema)]
        except FedcganError as error:
            warnings.append(f"This plan cannot be run: {plain(error.message)}.")
    said.append(
        "Besides: what it takes to make the keys, and refusals. A refusal is a code, and a sentence if it is "
        "about plans, messages or public bounds; one for the budget says what was spent and the cap. All "
        "that left is listed in the outbox."
    )
    return Part("what leaves this site", said, warnings)


def _sizes(entry: Leaving) -> str:
    often = "once" if entry.times == 1 else f"{entry.times} times"
    return (
        f"Step {entry.step!r}, {often}: {entry.numbers:,} numbers in {entry.ciphertexts} ciphertexts, about "
        f"{size(entry.bytes)} each time; about {size(entry.opening_bytes)} more from a key-holder that opens."
    )


def _opens(plan: Plan, site: str) -> Part:
    federation = plan.federation
    holders, needed = federation.holders, federation.threshold
    said = [
        f"{len(holders)} sites hold a share of the key, nobody the key: {', '.join(holders)}. Any {needed} "
        "of them open a sum together, fewer open nothing."
    ]
    if site in holders:
        said.append(
            "This site holds a share. It can be asked to help open a sum of known numbers, which proves the "
            "keys, and one sum of each step or attempt at it. It does so only if at least "
            f"{federation.min_contributors} sites signed contributions to it, this site's own is among them "
            "if it made one, and what is to be opened is their sum."
        )
    else:
        said.append("This site holds no share and is never asked to open anything.")
    said.append(
        f"A single contribution could be opened by {needed} or more key-holders together, or by a "
        "coordinator and one site that both break the protocol. It carries this site's own noise alone: see "
        "'everybody but this site' below."
    )
    return Part("who can open what", said)


def _protected(plan: Plan, schema: Schema | None) -> Part:
    federation, promised = plan.federation, plan.privacy
    subject = plain(schema.subject) if schema and schema.subject else ""
    rows = f" (all rows here with the same '{subject}')" if subject else ""
    said = [
        f"Protected is one {_noun(plan)}{rows}: whether it is among the records shows in all that the run "
        "releases only as far as ε and δ allow. Smaller is better.",
        f"Promised: ε {promised.epsilon:g} at δ {promised.delta:g}, against the coordinator with up to "
        f"{federation.collusion} sites, all of whom follow the protocol and pool what they saw.",
    ]
    seen = {view: _epsilon(plan, view) for view in plan.views}
    said += [f"{_VIEWS[view]}: ε {_number(value)}." for view, value in seen.items()]
    said.append("Somebody with records at two sites has two such guarantees, whose ε add up.")
    cost, warnings = seen["collusion"], []
    if cost is None or cost > promised.epsilon * (1 + 1e-6):
        warnings.append(f"The plan promises ε {promised.epsilon:g}, but its steps cost ε {_number(cost)}.")
    return Part("privacy", said, warnings)


_VIEWS = {
    "released": "Somebody who sees only what is published, or the coordinator alone",
    "curious_site": "One other site, which knows its own noise",
    "collusion": "The coordinator with as many sites as the plan allows for; this is what is charged",
    "all_others": "Everybody but this site, were the encryption of no use",
}


def _epsilon(plan: Plan, view: str) -> float | None:
    try:
        return epsilon(plan.charged_in_view(view, {}, plan.rounds), plan.privacy.delta)
    except PrivacyTargetError:
        return None


def _number(value: float | None) -> str:
    return "beyond computing" if value is None else f"{value:.3f}"


def _costs(plan: Plan, spent: Budget | None) -> Part:
    if spent is None:
        return Part("this site's budget", ["Not known here."])
    if plan.rehearsal:
        return Part("this site's budget", [f"A rehearsal costs nothing; ε spent stays {spent.now:.3f}."])
    said = [f"ε spent so far on these records: {spent.now:.3f} of {spent.cap:g} (δ {spent.delta:g})."]
    if spent.after is None:
        return Part("this site's budget", said, [f"The plan does not fit: {spent.problem}."])
    said.append(f"After this plan: {spent.after:.3f} of {spent.cap:g}.")
    return Part("this site's budget", said)


def _noun(plan: Plan) -> str:
    return plan.privacy.unit.split()[-1]

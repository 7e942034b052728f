"""A plan in words: every number is the plan's own, and what speaks against a plan is said."""

import json
import re

import pytest

from client.plan_changes import changes
from client.plan_costs import Budget, budget, leaving
from client.plan_words import words
from client.site import Site
from common.contributions import encoding
from common.plain_text import plain, size
from common.plan import Plan
from common.privacy.ledger import Cap
from common.protocol import frames
from tests import toy, toy_arrays
from tests.federation import LocalFederation

SITE = "site-east"
FITS = Budget(now=0.0, after=1.0, cap=3.0, delta=1e-5)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return toy.run_folder(tmp_path_factory.mktemp("words") / "run")


def said(plan, schema, spent=FITS, site=SITE) -> str:
    parts = words(plan, schema, site, spent)
    return "\n".join(line for part in parts for line in (part.topic, *part.sentences, *part.warnings))


def warnings(plan, schema, spent=FITS, site=SITE) -> str:
    return "\n".join(line for part in words(plan, schema, site, spent) for line in part.warnings)


def altered(plan: Plan, place: str, value: object) -> Plan:
    """The plan with one field changed, unchecked: as somebody could write it."""
    content = json.loads(plan.to_json())
    *path, last = place.split(".")
    inner = content
    for key in path:
        inner = inner[key]
    assert inner[last] != value
    inner[last] = value
    return Plan.from_json(json.dumps(content).encode())


NUMBERS = [
    ("federation.min_contributors", 4, "At least 4 of them"),
    ("federation.collusion", 1, "up to 1 sites"),
    ("federation.threshold", 4, "Any 4 of them open a sum"),
    ("privacy.epsilon", 7.25, "ε 7.25 at"),
    ("privacy.delta", 3e-6, "δ 3e-06"),
    ("count.noise_multiplier", 17.5, "17.5 times the most"),
    ("measure.noise_multiplier", 13.5, "13.5 times the most"),
    ("measure.split", ["sex"], "apart for each combination of sex"),
    ("train.rounds", 7, "7 training rounds"),
    ("train.local_steps", 11, "for 11 steps"),
    ("train.sample_rate", 0.0375, "probability 0.0375"),
    ("train.noise_multiplier", 5.5, "5.5 times that length"),
    ("train.max_grad_norm", 0.625, "length 0.625"),
    ("train.generator_steps", 13, "13 steps that read no record"),
    ("min_records", 57, "at least 57 "),
    ("max_records", 1757, "at most 1,757 "),
    ("run", "another run", "'another run'"),
]


@pytest.mark.parametrize(("place", "value", "words_for_it"), NUMBERS, ids=[place for place, *_ in NUMBERS])
def test_the_words_quote_the_plan(run, place, value, words_for_it):
    plan = altered(run.plan, place, value)
    assert words_for_it in said(plan, run.schema)
    assert words_for_it not in said(run.plan, run.schema)  # negative control


def test_the_words_name_everybody(run):
    text = said(run.plan, run.schema)
    for name in run.plan.federation.names:
        assert name in text
    assert run.plan.hash in text
    assert "all rows here with the same 'patient'" in text


def test_the_sizes_are_those_of_what_leaves(run, tmp_path):
    """Compared with the contributions of a real run."""
    federation = LocalFederation(toy.run_folder(tmp_path / "run"))
    seen = {}

    def weigh(site: str, raw: bytes) -> bytes:
        header = frames.read(raw, 1 << 30).header
        if site == SITE and header.kind == "contribution":
            seen.setdefault(header.step.partition("-")[0], len(raw))
        return raw

    federation.after = weigh
    federation.coordinator().run()
    entries = leaving(federation.plan, federation.run.schema)
    assert [entry.step for entry in entries] == ["count", "measure", "train"] == list(seen)
    for entry in entries:
        assert abs(entry.bytes - seen[entry.step]) < 200
    assert [entry.times for entry in entries] == [1, 1, federation.plan.rounds]
    packing = encoding("count", federation.run.schema, federation.plan).packing
    assert (entries[0].numbers, entries[0].ciphertexts) == (packing.count, packing.chunks)


def test_a_plan_that_costs_more_than_it_promises_is_called_so(run):
    assert "promises" not in warnings(run.plan, run.schema)
    cheap = altered(run.plan, "privacy.epsilon", 0.5)
    assert "promises ε 0.5, but its steps cost ε 3.0" in warnings(cheap, run.schema)
    endless = altered(run.plan, "train.local_steps", 2**31 - 1)
    assert "its steps cost ε beyond computing" in warnings(endless, run.schema)


def test_a_plan_that_cannot_be_run_is_called_so_and_built_by_nobody(run):
    huge = altered(run.plan, "model.generator_hidden", [65536, 65536, 65536])
    assert "cannot be run" in warnings(huge, run.schema)
    assert "cannot be run" not in warnings(run.plan, run.schema)


def test_a_plan_without_this_site_is_called_so(run):
    assert "is not among them" in warnings(run.plan, run.schema, site="site-elsewhere")
    assert "is not among them" not in warnings(run.plan, run.schema)


def test_only_a_key_holder_may_be_asked_to_open(run):
    fewer = altered(run.plan, "federation.key_holders", 3)
    outside = fewer.federation.names[-1]
    assert "is never asked to open" in said(fewer, run.schema, site=outside)
    assert "is never asked to open" not in said(fewer, run.schema)


def test_a_rehearsal_is_called_so(run):
    text = said(altered(run.plan, "rehearsal", True), run.schema)
    assert "No real record is read" in text
    assert "A rehearsal costs nothing" in text
    assert "rehearsal" not in said(run.plan, run.schema)


def test_the_budget_is_the_ledgers(run, tmp_path):
    site = Site(toy.run_folder(tmp_path / "run").folder / "sites" / SITE)
    fresh = budget(site, run.plan)
    assert (fresh.now, fresh.cap, fresh.problem) == (0.0, 3.0, "")
    assert fresh.after == pytest.approx(3.0, abs=0.01)
    assert site.ledger.entries() == []  # nothing was charged
    site.ledger.charge(
        run.plan.measure.mechanism,
        plan="0" * 64,
        step="measure",
        cap=Cap(epsilon=3.0, delta=1e-5),
        unit=run.plan.privacy.unit,
        sensitivity=1.0,
    )
    spent = budget(site, run.plan)
    assert spent.now > 1
    assert spent.after is None
    assert f"ε spent so far on these records: {spent.now:.3f} of 3" in said(run.plan, run.schema, spent)
    assert "does not fit: epsilon would go from" in warnings(run.plan, run.schema, spent)


def test_images_have_words_of_their_own(tmp_path):
    run = toy_arrays.run_folder(tmp_path / "run", *toy_arrays.of("image"))
    text = said(run.plan, run.schema, site=run.plan.federation.names[0])
    assert f"{run.plan.measure.coefficients} frequencies" in text
    assert "'count'" not in text


def test_texts_of_others_cannot_rewrite_the_terminal(run):
    sly = "run\x1b[2J\u202e\r\n[bold]ok"
    plan = altered(run.plan, "run", sly)
    text = said(plan, run.schema)
    assert sly not in text
    assert "run\\u001b[2J\\u202e\\u000d\\u000a[bold]ok" in text
    assert plain("grün 患者") == "grün 患者"
    assert not any(c in "".join(c.sentence for c in changes(run.plan, plan)) for c in "\x1b\r\u202e")


def test_sizes_for_people():
    assert [size(n) for n in (0, 999, 1500, 245_760, 3e6, 7e9)] == [
        "0 bytes",
        "999 bytes",
        "1.5 kB",
        "246 kB",
        "3.0 MB",
        "7.0 GB",
    ]


def leaves(content, place=""):
    """Every field of a plan that holds a value of its own."""
    for key, value in content.items():
        here = f"{place}.{key}" if place else key
        if isinstance(value, dict):
            yield from leaves(value, here)
        else:
            yield here, value


def other(value):
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    return None


@pytest.mark.filterwarnings("ignore:Pydantic serializer")
def test_no_field_changes_unseen(run):
    """Whatever is altered, at least one line says so, under the field's name."""
    tried = 0
    for place, value in leaves(json.loads(run.plan.to_json())):
        if place == "federation.sites" or (changed := other(value)) is None:
            continue
        after = run.plan.model_copy(deep=True)
        *path, last = place.split(".")
        inner = after
        for key in path:
            inner = getattr(inner, key)
        object.__setattr__(inner, last, changed)
        found = changes(run.plan, after)
        parties = place.startswith("federation.coordinator")
        assert found, place
        assert found[-1].field == ("federation.coordinator" if parties else place)
        tried += 1
    assert tried > 40
    assert changes(run.plan, run.plan) == []  # negative control


def test_parts_that_come_and_go_are_seen(run):
    without = run.plan.model_copy(update={"train": None})
    assert [change.field for change in changes(run.plan, without)] == ["train"]
    assert "→ none" in changes(run.plan, without)[0].sentence
    assert "none →" in changes(without, run.plan)[0].sentence


def test_who_joins_leaves_or_has_another_key_is_named(run):
    federation = run.plan.federation
    first, *rest = federation.sites
    stranger = first.model_copy(update={"name": "site-new", "identity": "7" * 64})
    again = rest[0].model_copy(update={"identity": "8" * 64})
    changed = federation.model_copy(update={"sites": (stranger, again, *rest[1:])})
    after = run.plan.model_copy(update={"federation": changed})
    lines = [change.sentence for change in changes(run.plan, after)]
    assert "sites that are new: site-new" in lines
    assert f"sites that are gone: {first.name}" in lines
    assert f"sites with another key than before: {again.name}" in lines
    assert any(line.startswith("key-holders: ") for line in lines)


@pytest.mark.parametrize(
    ("place", "value", "direction"),
    [
        ("privacy.epsilon", 9.0, "protects less"),
        ("privacy.epsilon", 1.0, "protects more"),
        ("federation.min_contributors", 4, "protects more"),
        ("train.noise_multiplier", 0.5, "protects less"),
        ("measure.noise_multiplier", 50.0, "protects more"),
        ("train.rounds", 9, "spends more"),
        ("seed", 1, ""),
    ],
)
def test_a_change_says_what_it_means(run, place, value, direction):
    (change,) = changes(run.plan, altered(run.plan, place, value))
    assert (change.field, change.direction) == (place, direction)
    assert change.sentence.endswith(f"({direction})" if direction else "1")


def test_numbers_that_differ_are_said_differently(run):
    noise = run.plan.measure.noise_multiplier
    after = altered(run.plan, "measure.noise_multiplier", noise + 1e-13)
    (change,) = changes(run.plan, after)
    old, new = change.sentence.partition(": ")[2].partition(" (")[0].split(" → ")
    assert old != new


def test_long_numbers_are_said_shortly(run):
    after = altered(run.plan, "measure.noise_multiplier", 2.5233531342769853)
    (change,) = changes(run.plan, after)
    assert re.search(r": \d\.\d{4} → 2\.5234 \(protects more\)$", change.sentence)

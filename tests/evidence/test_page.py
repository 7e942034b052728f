"""The page: whole in itself, nothing hostile lives in it, every number is in its JSON twin."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from common.arrays import Arrays
from common.columns import CategoryColumn, NumberColumn
from common.errors import NotShareableError, TooFewRecordsError
from common.evidence import array_pictures, formats, svg
from common.evidence.content import ReportContent
from common.evidence.page import render
from common.evidence.reference import Reference
from common.evidence.twin import to_json
from common.modalities.grouping import Grouping
from common.privacy.accounting import epsilon, rounded_up
from common.schema import Channel, TableSchema
from tests import toy, toy_arrays
from tests.evidence import made
from tests.evidence.conftest import REASON

KINDS = pytest.mark.parametrize("kind", ["table", "image", "signal"])
_NUMBER = re.compile(r"\d")


class Read(HTMLParser):
    """Elements with their attributes, and the text of cells that hold a number."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.cells, self.text, self._inside = [], [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag == "td" and "n" in (dict(attrs).get("class") or "").split()

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "td"

    def handle_data(self, data):
        self.text.append(data)
        if self._inside and _NUMBER.search(data):
            self.cells.append(data.strip())


def said(page):
    return " ".join(" ".join(Read(page).text).split())


@KINDS
def test_the_page_is_whole_in_itself(pages, kind):
    page = pages[kind]
    read = Read(page)
    assert page.startswith("<!DOCTYPE html>")
    assert "://" not in re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", page)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & {
        tag for tag, _ in read.elements
    }
    for _, attributes in read.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "xmlns"]
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    assert "@import" not in page
    assert len(page) < 500_000


@KINDS
def test_ids_differ_and_everything_pointed_to_is_there(pages, kind):
    elements = Read(pages[kind]).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    pointed = [a.get("href", "#main")[1:] for _, a in elements] + [
        one for _, a in elements for one in (a.get("aria-labelledby") or "main").split()
    ]
    pointed += [
        match for _, a in elements for match in re.findall(r"url\(#([^)]+)\)", a.get("clip-path") or "")
    ]
    assert set(pointed) <= set(ids)


def numbers(twin):
    if isinstance(twin, dict):
        for value in twin.values():
            yield from numbers(value)
    elif isinstance(twin, list):
        for value in twin:
            yield from numbers(value)
    elif isinstance(twin, int | float) and not isinstance(twin, bool):
        yield twin


def forms(twin):
    """Every way in which the page may write a number of the twin."""
    found = set()
    for value in numbers(twin):
        found |= {formats.number(value), formats.number(value, 4), formats.percent(value), str(value)}
        found.add(formats.bound(value))
        if isinstance(value, int):
            found |= {formats.count(value), formats.size(value)}
    return found


@KINDS
def test_every_number_of_the_tables_is_in_the_twin(contents, pages, kind):
    content, page = contents[kind], pages[kind]
    twin = json.loads(json.dumps(to_json(content)))
    known = forms(twin)
    cells = [part for cell in Read(page).cells for part in cell.split(" to ")]
    assert len(cells) > 40
    assert [cell for cell in cells if cell not in known] == []
    twin["budget"]["observers"][0]["epsilon"] += 1.0  # and a number that the twin does not have is missed
    assert [cell for cell in cells if cell not in forms(twin)] != []


def test_the_same_run_gives_the_same_bytes(contents, pages):
    assert render(contents["signal"]) == pages["signal"]
    assert to_json(contents["signal"])["evidence_version"] == 1


def hostile_schema():
    age, smoker, cost, grade, _, sex = toy.SCHEMA.columns
    return TableSchema(
        name="</title><script>alert(1)</script>",
        description='"><img src=x onerror=alert(1)> {{ 7 * 7 }} {% raw %}',
        columns=(
            NumberColumn(**{**age.model_dump(), "name": made.HOSTILE, "unit": "</svg><script>"}),
            smoker.model_copy(update={"name": "$x^2$ \\frac{", "categories": ("]]>\x0b\x1b", "<!--")}),
            cost.model_copy(update={"name": "\u202egnp.exe", "unit": "&amp;"}),
            grade.model_copy(update={"name": "'\"><svg onload=alert(1)>"}),
            CategoryColumn(name="diagnosis", categories=("</style>", "x" * 300, "大\ufffe"), condition=True),
            sex.model_copy(update={"name": "a\x00b"}),
        ),
    )


def test_nothing_of_a_schema_a_person_or_a_site_becomes_markup():
    override = "</blockquote><script>alert(2)</script>\x07 because"
    content = made.content(schema=hostile_schema(), override=override)
    evaluation = content.evaluation.model_copy(
        update={
            "fidelity": (
                content.evaluation.fidelity[0].model_copy(
                    update={"title": made.HOSTILE, "how": "a\u202eb\x1b"}
                ),
            )
        }
    )
    trouble = [{"step": made.HOSTILE, "site": made.HOSTILE, "code": "</code>"}]
    run = {**content.run, "trouble": trouble, "versions": {made.HOSTILE: "<b>"}}
    fields = {name: getattr(content, name) for name in ReportContent.__dataclass_fields__}
    page = render(ReportContent(**fields | {"evaluation": evaluation, "run": run}))
    read = Read(page)
    assert "<script" not in page
    assert [tag for tag, _ in read.elements if tag in ("script", "b", "img")] == []
    assert not [a for _, attributes in read.elements for a in attributes if a.startswith("on")]
    assert page.count("<title>") == 1
    assert made.HOSTILE in said(page)  # said, not run
    assert "{{ 7 * 7 }}" in said(page)
    assert "$x^2$" in said(page)
    assert not set(page) & {"\x00", "\x07", "\x0b", "\x1b", "\u202e", "\ufffe"}


def test_a_page_to_be_shared_shows_nothing_that_was_not_paid_for():
    reference = Reference("records", Grouping.of_itself(toy.SCHEMA), records=toy.records())
    with pytest.raises(NotShareableError, match="real records"):
        made.content(reference=reference)
    disguised = Reference("released material", Grouping.of_itself(toy.SCHEMA), records=toy.records())
    with pytest.raises(NotShareableError, match="real records"):
        made.content(reference=disguised)
    private = made.evaluation(private=True)
    with pytest.raises(NotShareableError, match="private"):
        made.content(evaluation=private)
    with pytest.raises(NotShareableError, match="tvd1"):
        made.content(evaluation=private.model_copy(update={"shareable": True}))
    quality = {**made.content("signal").run, "tvd1": 0.0123456, "records": {"training": 969_696}}
    page = render(made.content("signal", run=quality))  # what a simulation alone can know stays out
    assert "0.0123" not in page
    assert "969" not in said(page)


def test_the_two_pages_say_which_they_are(pages):
    shared, private = said(pages["table"]), said(pages["private"])
    ours, theirs = (
        "This page may be shared: what it says of real records was paid for",
        "This page shows real records. It stays at the site.",
    )
    assert ours in shared
    assert theirs not in shared
    assert theirs in private
    assert ours not in private


@pytest.mark.parametrize(
    ("kind", "word"),
    [("signal", "Passed"), ("table", "Failed"), ("image", "Inconclusive"), ("bare", "Not evaluated")],
)
def test_the_first_page_has_the_verdict_as_a_word_and_the_reason_of_an_override(pages, kind, word):
    page = pages[kind]
    first = said(page[page.index('id="summary"') : page.index('id="privacy"')])
    words = {"Passed", "Failed", "Inconclusive", "Not evaluated"}
    assert {one for one in words if one in first} == {word}
    assert ("Released against the privacy gate." in first) == (kind == "table")
    assert (REASON in first) == (kind == "table")


def test_without_an_evaluation_or_a_meaning_it_says_so(pages):
    text = said(pages["bare"])
    assert "was not worked out for this page" in text
    assert "No quality was measured" in text
    assert "at most 5.3 %" in said(pages["signal"])


def test_nothing_claims_what_a_law_decides(pages):
    for page in pages.values():
        assert not re.search(r"anonym|complian|GDPR|HIPAA", page, re.IGNORECASE)


def test_spending_ends_where_the_report_does(contents):
    content = contents["table"]
    spending = to_json(content)["spending"]
    assert spending[-1]["epsilon"] == content.run["epsilon"]
    assert [one["step"] for one in spending] == list(content.plan.steps)
    once = rounded_up(epsilon(content.plan.charged({}, content.plan.rounds), content.plan.privacy.delta))
    assert once < content.run["epsilon"]  # the step that was tried twice is charged twice
    assert (np.diff([one["epsilon"] for one in spending]) > 0).all()


def test_a_wide_table_stays_small():
    random = np.random.default_rng(0)
    columns = [NumberColumn(name=f"value_{n}", bounds=(0, 1000), decimals=0, bins=16) for n in range(17)]
    label = CategoryColumn(name="outcome", categories=("good", "bad"), condition=True)
    schema = TableSchema(name="wide", columns=(*columns, label))
    frame = pd.DataFrame({c.name: random.integers(0, 1001, 400) for c in columns}).assign(outcome="good")
    cells = [np.minimum(np.arange(c.size) // 8, 15) for c in columns]
    groups = np.concatenate([*cells, [0, 1]])
    reference = Reference("records", Grouping(groups, np.ones(len(groups))), records=frame)
    plan = made.content().plan
    wide = ReportContent(
        run=made.report(plan),
        plan=plan,
        schema=schema,
        evaluation=made.evaluation(private=True),
        meaning=(),
        override=None,
        synthetic=frame,
        reference=reference,
        private=True,
    )
    assert 200_000 < len(render(wide)) < 1_500_000


def test_large_images_and_many_channels_stay_small():
    random = np.random.default_rng(0)
    large = toy_arrays.DIGITS.model_copy(update={"size": 128, "channels": 3})
    noise = Arrays(random.integers(0, 256, (60, 3, 128, 128), np.uint8), np.arange(60) % 10)
    images = array_pictures.strips(noise, large, None)
    assert len(images) == 10
    assert 400_000 < sum(len(one["source"]) for one in images) < 1_500_000
    channels = tuple(Channel(name=f"lead {n}", unit="mV", bounds=(-2, 2)) for n in range(12))
    label = CategoryColumn(name="kind", categories=tuple(range(20)))
    wide = toy_arrays.WAVES.model_copy(update={"channels": channels, "label": label, "length": 64})
    signals = Arrays(random.normal(size=(40, 12, 64)).astype(np.float32), np.arange(40) % 20)
    with svg.drawing():
        panels = array_pictures.overlays(signals, None, wide)
    assert len(panels) == 24


def test_classes_without_a_record_leave_a_page():
    one = toy_arrays.digits()
    content = made.content("image", synthetic=one.take(one.labels == 3))
    assert "12 synthetic images of class 3" in render(content)
    with pytest.raises(TooFewRecordsError):
        made.content("image", synthetic=one.take(one.labels == 10))


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0539, "5.4 %"), (0.00881, "0.89 %"), (0.0501, "5.1 %"), (0.05, "5.0 %"), (1, "100.0 %")],
)
def test_what_nothing_exceeds_is_never_rounded_down(value, shown):
    assert formats.bound(value) == shown
    assert float(shown.removesuffix(" %")) >= 100 * value

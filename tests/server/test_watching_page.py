"""The page about watching says what the events and trackers are, and nothing that they are not."""

import re
from pathlib import Path
from typing import get_args

from common.events import RunEvent, SiteEvent, SiteState, State
from common.trackers import told

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "watching.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \|$", PAGE, re.MULTILINE)


def fields(union) -> dict[str, list[str]]:
    """The fields of every kind, without those that all have."""
    return {
        model.model_fields["kind"].default: [
            name for name in model.model_fields if name not in ("version", "time", "kind")
        ]
        for model in get_args(get_args(union)[0])
    }


def test_the_tables_of_events_are_the_models():
    split = PAGE.index("### Of a site")
    for part, union in ((PAGE[:split], RunEvent), (PAGE[split:], SiteEvent)):
        rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| [^|]* \|$", part, re.MULTILINE)
        assert {kind: re.findall(r"`(\w+)`", cell) for kind, cell in rows} == fields(union)


def test_every_state_is_named():
    texts = {kind: text for kind, _, text in ROWS}
    assert set(re.findall(r"`(\w+)`", texts["state"])) == set(get_args(State))
    assert set(re.findall(r"`(\w+)`", texts["site"])) == set(get_args(SiteState))


def test_every_number_of_a_tracker_is_named():
    source = Path(told.__file__).read_text()
    names = set(re.findall(r'"((?:privacy|sums|fit|train|look)/\w+)"', source))
    assert len(names) > 5
    assert names == set(re.findall(r"`((?:privacy|sums|fit|train|look)/\w+)`", PAGE))

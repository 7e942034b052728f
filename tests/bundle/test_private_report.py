"""A site's own report on a release: exact, of its own records, for its steward alone."""

import json
import shutil
import stat

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from client import cli
from client.private_report import private_report
from client.signing import signable
from client.site import Site
from client.vault import SHOWN
from common.errors import DisagreementError, NotShareableError, TooFewRecordsError
from common.evidence.content import ReportContent
from common.states import EvaluateState
from tests import toy

SITE = "site-east"


@pytest.fixture
def site(run, tmp_path):
    """A copy of a simulated site, to do things to."""
    shutil.copytree(run / "sites" / SITE, tmp_path / SITE)
    return tmp_path / SITE


def test_a_steward_reads_what_the_site_alone_may_see(whole, site, plan):
    said = CliRunner().invoke(cli.app, ["report", str(whole), "--site", str(site), "--json"])
    told = json.loads(said.output)["data"]
    page, evaluation = told["page"], told["evaluation"]
    assert stat.S_IMODE((site / "reports").stat().st_mode) == 0o700
    written = next((site / "reports").iterdir())
    assert str(written) == page
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert "stays at the site" in written.read_text()
    assert not evaluation["shareable"]
    assert {one["source"] for one in evaluation["gate"]["criteria"]} == {"records"}
    records = pd.read_parquet(site / "records.parquet")
    assert evaluation["records"]["training"] + evaluation["records"]["held_out"] == len(records)
    names = {one["name"] for one in evaluation["utility"]}
    assert "auc.boosting" in names
    assert told["gate"] in ("passed", "inconclusive")
    assert sorted(path.name for path in site.iterdir() if path.name.startswith("tmp")) == []


def test_its_figures_are_on_no_page_to_be_shared(whole, site, tmp_path):
    """Negative control of the page's rule: the same content, not called private, is refused."""
    checked = signable(whole, Site(site))
    made = private_report(checked, tmp_path)
    claims = checked.verified.claims
    with pytest.raises(NotShareableError):
        ReportContent(
            run=claims.report,
            plan=claims.plan,
            schema=claims.schema,
            evaluation=made.evaluation,
            meaning=(),
            override=None,
            synthetic=toy.records(10),
            reference=None,
            private=False,
        )


def test_other_records_than_the_site_evaluated_are_noticed(whole, site, plan, tmp_path):
    shown = site / "runs" / plan.hash / SHOWN
    count = plan.release.evaluate.records
    honest = EvaluateState.from_bytes(shown.read_bytes(), toy.SCHEMA, count, judged=False)
    rows = honest.rows.copy()
    rows[17] = np.roll(rows, 1, axis=0)[17]
    shown.write_bytes(EvaluateState(rows=rows, judge=None).to_bytes())
    with pytest.raises(DisagreementError, match="not those that this site evaluated"):
        private_report(signable(whole, Site(site)), tmp_path)


def test_without_enough_records_nothing_is_said(whole, site, tmp_path):
    frame = pd.read_parquet(site / "records.parquet")
    frame.head(20).to_parquet(site / "records.parquet", index=False)
    with pytest.raises(TooFewRecordsError):
        private_report(signable(whole, Site(site)), tmp_path)

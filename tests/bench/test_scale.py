"""``fedcgan bench scale`` with few sites: figures of a whole run, and ledgers that were looked at."""

import json
import tomllib

import pytest

from common.bench import scale
from common.errors import FedcganError, LedgerError
from common.plan import Plan
from common.privacy.ledger import Cap, Ledger


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scale")
    return folder, scale.measure_in(folder, 4, "every-step")


def test_a_small_federation_is_measured(measured):
    _, result = measured
    assert (result["sites"], result["rounds"], result["trouble"]) == (4, 3, 0)
    assert result["ledgers"] == {"checked": 4, "charges": 5, "epsilon": result["epsilon"]}
    parts = {name: seconds for name, seconds in result["seconds"].items() if name != "whole"}
    assert set(parts) == {"start", "keys", "measure", "fit", "train", "prepare_and_release"}
    assert sum(parts.values()) == pytest.approx(result["seconds"]["whole"], abs=0.1)
    assert result["peak_bytes"] > 50 << 20
    assert result["bytes"]["holder_up"] > 100_000
    assert result["bytes"]["other_up"] == 0  # all four hold a share of the key
    json.dumps(result)
    scale.print_table(result)


def test_a_ledger_that_holds_more_than_the_plan_is_noticed(measured):
    """Negative control of the check."""
    folder, result = measured
    run = scale.run_of(folder)
    assert scale.checked_ledgers(run, result["epsilon"]) == result["ledgers"]
    with pytest.raises(LedgerError, match="the report says"):
        scale.checked_ledgers(run, 1.0)
    plan = Plan.from_json((run / "plan.json").read_bytes())
    site = run / "sites" / plan.federation.names[1]
    Ledger(site / "ledger.jsonl", tomllib.loads((site / "policy.toml").read_text())["dataset"]).charge(
        plan.measure.mechanism,
        plan="0" * 64,
        step="measure",
        cap=Cap(epsilon=20.0, delta=1e-5),
        unit=plan.privacy.unit,
        sensitivity=1.0,
    )
    with pytest.raises(LedgerError, match="site-2"):
        scale.checked_ledgers(run, result["epsilon"])


def test_a_simulation_that_cannot_be_says_why(tmp_path):
    (tmp_path / "scale-run.toml").write_text("sites = 3")
    with pytest.raises(FedcganError, match="config"):
        scale.simulated(tmp_path)

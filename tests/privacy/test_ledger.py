"""The ledger: on disk before anything leaves, never under-counted, never silently altered."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest

from common.errors import BudgetExceededError, LedgerError, PrivacyError, ReplayError
from common.privacy.ledger import Cap, Ledger, Receipt
from common.privacy.mechanism import GaussianSum, SampledGaussian
from common.privacy.update import PrivateUpdate

CAP = Cap(epsilon=3.0, delta=1e-5)
RECORD = "add/remove one record"
TERMS = {"cap": CAP, "unit": RECORD, "sensitivity": 1.0}
DATASET = "d" * 32
SUM = GaussianSum(noise_multiplier=2.0)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "ledger.jsonl", DATASET)
    made.create()
    return made


def test_a_charge_is_on_disk_when_it_returns(ledger):
    receipt = ledger.charge(SUM, plan="p", step="measure", **TERMS)
    assert (receipt.plan, receipt.step) == ("p", "measure")
    assert [e.step for e in Ledger(ledger.path, DATASET).entries()] == ["measure"]
    assert 1.5 < ledger.spent(CAP.delta) < 2.5


def test_a_charge_pays_for_one_answer(ledger):
    ledger.charge(SUM, plan="p", step="measure", **TERMS)
    ledger.charge(SUM, plan="p", step="measure", **TERMS)  # crashed in between: nothing had left
    ledger.answered(b"ciphertext", plan="p", step="measure")
    with pytest.raises(ReplayError, match="stored answer is gone"):
        ledger.charge(SUM, plan="p", step="measure", **TERMS)
    assert len(ledger.entries()) == 1


def test_the_same_step_is_charged_once_and_never_as_something_else(ledger):
    for _ in range(2):
        ledger.charge(SUM, plan="p", step="measure", **TERMS)
    assert len(ledger.entries()) == 1
    with pytest.raises(ReplayError):
        ledger.charge(GaussianSum(noise_multiplier=3.0), plan="p", step="measure", **TERMS)
    ledger.charge(GaussianSum(noise_multiplier=5.0), plan="q", step="measure", **TERMS)
    assert len(ledger.entries()) == 2


def test_the_cap_is_enforced_before_anything_is_written(ledger):
    ledger.charge(SUM, plan="p", step="measure", **TERMS)
    before = ledger.path.read_bytes()
    with pytest.raises(BudgetExceededError, match=r"from 1\.9\d+ to \d\.\d+, the cap is 3"):
        ledger.charge(GaussianSum(noise_multiplier=1.0), plan="p", step="again", **TERMS)
    with pytest.raises(BudgetExceededError):
        ledger.check([GaussianSum(noise_multiplier=1.0)], CAP, "another plan", RECORD)
    assert ledger.path.read_bytes() == before


def test_composition_reaches_over_plans(ledger):
    step = SampledGaussian(noise_multiplier=1.2, sample_rate=0.02, steps=10)
    spent = []
    for number in range(3):
        ledger.charge(step, plan=f"plan-{number}", step="train-0001", **TERMS)
        spent.append(ledger.spent(CAP.delta))
    assert spent == sorted(spent)
    assert spent[0] < spent[2]


@pytest.mark.parametrize("damage", ["flip", "drop", "swap", "head", "empty"])
def test_an_altered_ledger_is_refused(ledger, damage):
    for number in range(3):
        ledger.charge(GaussianSum(noise_multiplier=9.0), plan="p", step=f"s-{number}", **TERMS)
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    if damage == "flip":
        lines[2] = lines[2].replace(b"9.0", b"8.0")
    elif damage == "drop":
        del lines[2]
    elif damage == "swap":
        lines[1], lines[2] = lines[2], lines[1]
    elif damage == "head":
        lines[0] = lines[0].replace(b"2", b"1")
    else:
        lines = []
    ledger.path.write_bytes(b"".join(lines))
    for attempt in (ledger.entries, lambda: ledger.charge(SUM, plan="p", step="new", **TERMS)):
        with pytest.raises(LedgerError):
            attempt()


def test_a_missing_ledger_is_not_an_empty_one(tmp_path):
    with pytest.raises(LedgerError, match="no ledger"):
        Ledger(tmp_path / "ledger.jsonl", DATASET).charge(SUM, plan="p", step="s", **TERMS)


def test_a_line_cut_by_a_crash_is_no_charge(ledger):
    ledger.charge(SUM, plan="p", step="measure", **TERMS)
    whole, head = ledger.path.read_bytes(), head_of(ledger).read_bytes()
    ledger.charge(GaussianSum(noise_multiplier=9.0), plan="p", step="next", **TERMS)
    half = ledger.path.read_bytes()[:-20]
    ledger.path.write_bytes(half)
    head_of(ledger).write_bytes(head)  # the head follows the line
    assert [e.step for e in ledger.entries()] == ["measure"]
    assert ledger.path.read_bytes() == half  # who only reads repairs nothing
    ledger.answered(b"answer", plan="p", step="measure")
    assert ledger.path.read_bytes().startswith(whole)
    assert [e.step for e in ledger.entries()] == ["measure"]


def test_a_head_that_is_behind_is_brought_up_by_who_writes_next(ledger):
    ledger.charge(SUM, plan="p", step="measure", **TERMS)
    head, behind = head_of(ledger), head_of(ledger).read_bytes()
    ledger.charge(GaussianSum(noise_multiplier=9.0), plan="p", step="next", **TERMS)
    head.write_bytes(behind)
    assert [e.step for e in ledger.entries()] == ["measure", "next"]
    assert head.read_bytes() == behind
    ledger.charge(GaussianSum(noise_multiplier=9.0), plan="p", step="next", **TERMS)  # nothing to add
    assert head.read_bytes() != behind


def test_readers_wait_for_who_writes_and_not_for_each_other(ledger):
    ledger.charge(SUM, plan="p", step="measure", **TERMS)
    with ledger._locked("rb"):
        assert len(ledger.entries()) == 1
    with ThreadPoolExecutor(1) as pool:
        with ledger._locked():
            reading = pool.submit(ledger.entries)
            assert not wait([reading], timeout=0.3).done
        assert len(reading.result(timeout=30)) == 1


def head_of(ledger):
    return ledger.path.with_suffix(".head")


@pytest.mark.parametrize(
    "damage", ["cut at a line end", "cut in a line", "older copy", "head gone", "head altered"]
)
def test_a_ledger_that_ends_too_early_is_refused(ledger, damage):
    ledger.charge(SUM, plan="p", step="measure", **TERMS)
    older = ledger.path.read_bytes()
    ledger.charge(GaussianSum(noise_multiplier=9.0), plan="p", step="next", **TERMS)
    if damage == "cut in a line":
        ledger.path.write_bytes(ledger.path.read_bytes()[:-20])
    elif damage.startswith("head"):
        head_of(ledger).unlink()
        if damage == "head altered":
            head_of(ledger).write_text('{"lines": 1, "last": "' + "0" * 64 + '"}')
    else:
        ledger.path.write_bytes(older)
    for attempt in (ledger.entries, lambda: ledger.charge(SUM, plan="p", step="new", **TERMS)):
        with pytest.raises(LedgerError):
            attempt()


def test_a_crash_between_line_and_head_loses_no_charge(ledger, monkeypatch):
    """At every boundary of the two writes the charge is either not there at all, or counted."""
    ledger.charge(SUM, plan="p", step="measure", **TERMS)
    for dying in ("line", "head"):
        step = f"dies-at-{dying}"

        def die(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            if dying == "head":
                patch.setattr(Ledger, "_write_head", die)
            else:
                patch.setattr(Ledger, "_append", die)
            with pytest.raises(KeyboardInterrupt):
                ledger.charge(GaussianSum(noise_multiplier=9.0), plan="p", step=step, **TERMS)
        counted = [entry.step for entry in ledger.entries()]
        assert (step in counted) == (dying == "head")
    ledger.charge(GaussianSum(noise_multiplier=9.0), plan="p", step="after", **TERMS)
    assert [entry.step for entry in ledger.entries()] == ["measure", "dies-at-head", "after"]


CHARGE_THEN_DIE = """
    import os, signal, sys
    from pathlib import Path
    from common.privacy.ledger import Cap, Ledger
    from common.privacy.mechanism import GaussianSum
    ledger = Ledger(Path(sys.argv[1]), "d" * 32)
    ledger.charge(GaussianSum(noise_multiplier=2.0), plan="p", step="s", cap=Cap(epsilon=3, delta=1e-5),
                  unit="add/remove one record", sensitivity=1.0)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_charge_survives_a_killed_process(ledger):
    script = textwrap.dedent(CHARGE_THEN_DIE)
    done = subprocess.run([sys.executable, "-c", script, str(ledger.path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [e.step for e in ledger.entries()] == ["s"]


CHARGE_MANY = """
    import sys
    from pathlib import Path
    from common.privacy.ledger import Cap, Ledger
    from common.privacy.mechanism import GaussianSum
    ledger = Ledger(Path(sys.argv[1]), "d" * 32)
    for number in range(20):
        ledger.charge(GaussianSum(noise_multiplier=90.0), plan=sys.argv[2], step=f"s-{number}",
                      cap=Cap(epsilon=3, delta=1e-5), unit="add/remove one record", sensitivity=1.0)
"""


def test_two_processes_cannot_lose_each_others_charges(ledger):
    script = textwrap.dedent(CHARGE_MANY)
    both = [
        subprocess.Popen([sys.executable, "-c", script, str(ledger.path), name], cwd=ROOT)
        for name in ("left", "right")
    ]
    assert [process.wait() for process in both] == [0, 0]
    assert len(ledger.entries()) == 40


def test_receipts_come_from_the_ledger_only_and_pay_once(ledger):
    with pytest.raises(LedgerError):
        Receipt(object(), "p", "s", SUM)
    receipt = ledger.charge(SUM, plan="p", step="s", **TERMS)
    PrivateUpdate(np.zeros(2, np.int64), receipt)
    with pytest.raises(LedgerError, match="used already"):
        PrivateUpdate(np.zeros(2, np.int64), receipt)
    for forged in (None, "receipt", json.dumps({"plan": "p"})):
        with pytest.raises(PrivacyError):
            PrivateUpdate(np.zeros(2, np.int64), forged)
    assert os.stat(ledger.path).st_size > 0

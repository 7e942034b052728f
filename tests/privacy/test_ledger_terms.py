"""What a ledger is bound to: one data set, one unit, one cap; and what else its lines say."""

import pytest

from common.errors import (
    BudgetExceededError,
    ForeignLedgerError,
    LedgerError,
    MixedUnitsError,
    PrivacyError,
)
from common.privacy import accounting
from common.privacy.accounting import epsilon
from common.privacy.entries import Chain
from common.privacy.ledger import Cap, Ledger
from common.privacy.mechanism import GaussianSum, SampledGaussian

CAP = Cap(epsilon=3.0, delta=1e-5)
RECORD, SUBJECT = "add/remove one record", "add/remove one subject"
TERMS = {"cap": CAP, "unit": RECORD, "sensitivity": 1.0}
DATASET = "d" * 32
SUM = GaussianSum(noise_multiplier=2.0)


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "ledger.jsonl", DATASET)
    made.create()
    return made


def foreign(ledger):
    return Ledger(ledger.path, "e" * 32)


BAD = {
    "missing": (lambda ledger: ledger.path.unlink() or ledger, RECORD, "privacy-ledger", "backup"),
    "damaged": (
        lambda ledger: ledger.path.write_bytes(b"[]\n") and ledger,
        RECORD,
        "privacy-ledger",
        "backup",
    ),
    "of another version": (
        lambda ledger: ledger.path.write_bytes(b'{"ledger":1,"dataset":"x","unit":"y"}\n') and ledger,
        RECORD,
        "privacy-ledger",
        "backup",
    ),
    "of another data set": (foreign, RECORD, "ledger-foreign", "bring back"),
    "of another unit": (lambda ledger: ledger, SUBJECT, "unit-mixed", "agree on a plan with unit"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_ledger_that_cannot_be_charged_says_so_and_what_to_do(ledger, case):
    ledger.charge(SUM, plan="p", step="measure", **TERMS)
    spoil, unit, code, hint = BAD[case]
    spoilt = spoil(ledger)
    before = ledger.path.read_bytes() if ledger.path.exists() else None
    attempts = (
        lambda: spoilt.charge(
            GaussianSum(noise_multiplier=9.0), plan="q", step="s", **TERMS | {"unit": unit}
        ),
        lambda: spoilt.check([GaussianSum(noise_multiplier=9.0)], CAP, "q", unit),
    )
    for attempt in attempts:
        with pytest.raises(PrivacyError) as caught:
            attempt()
        assert caught.value.code == code
        assert hint in caught.value.hint
        assert (ledger.path.read_bytes() if ledger.path.exists() else None) == before


def test_what_those_tests_spoil_is_what_stops_the_charge(ledger):
    """Negative control: the same calls on the ledger as it was are accepted."""
    ledger.charge(SUM, plan="p", step="measure", **TERMS)
    ledger.check([GaussianSum(noise_multiplier=9.0)], CAP, "q", RECORD)
    ledger.charge(GaussianSum(noise_multiplier=9.0), plan="q", step="s", **TERMS)
    assert {entry.unit for entry in ledger.entries()} == {RECORD}


def test_a_ledger_of_subjects_takes_no_rows(ledger):
    subjects = TERMS | {"unit": SUBJECT, "sensitivity": 2.5}
    ledger.charge(SUM, plan="p", step="measure", **subjects)
    assert [(entry.unit, entry.sensitivity) for entry in ledger.entries()] == [(SUBJECT, 2.5)]
    with pytest.raises(MixedUnitsError, match="nothing was charged"):
        ledger.charge(GaussianSum(noise_multiplier=9.0), plan="q", step="s", **TERMS)
    ledger.charge(GaussianSum(noise_multiplier=9.0), plan="q", step="s", **subjects)


def test_the_ledger_of_other_records_is_not_even_read(ledger):
    ledger.charge(SUM, plan="p", step="measure", **TERMS)
    for attempt in (foreign(ledger).entries, foreign(ledger).outcomes, lambda: foreign(ledger).spent(1e-5)):
        with pytest.raises(ForeignLedgerError):
            attempt()


def test_a_lost_ledger_is_not_founded_anew(ledger):
    ledger.create()
    ledger.charge(SUM, plan="p", step="measure", **TERMS)
    ledger.path.unlink()
    with pytest.raises(LedgerError, match="it is gone, its head is not"):
        ledger.create()
    ledger.path.with_suffix(".head").unlink()
    ledger.create()  # negative control: a folder in which there never was one


def test_outcomes_are_written_once_and_change_no_charge(ledger):
    ledger.ended("failed", plan="p", step="measure", reason="storage")
    ledger.ended("finished", plan="p")
    assert ledger.outcomes() == []  # nothing was charged, so nothing ended
    ledger.charge(SUM, plan="p", step="measure", **TERMS)
    spent = ledger.spent(CAP.delta)
    ledger.ended("failed", plan="p", step="measure", reason="storage")
    ledger.charge(SUM, plan="p", step="measure", **TERMS)  # a step that failed may be tried again
    for _ in range(2):
        ledger.ended("failed", plan="p", step="measure", reason="storage")
        ledger.answered(b"ciphertext", plan="p", step="measure")
        ledger.ended("finished", plan="p")
        ledger.ended("finished", plan="another")
    found = [(line.step, line.outcome, line.reason) for line in Ledger(ledger.path, DATASET).outcomes()]
    assert found == [("measure", "failed", "storage"), ("", "finished", "")]
    assert (len(ledger.entries()), ledger.spent(CAP.delta)) == (1, spent)


def altered(ledger) -> None:
    """One digit of a line that was read before; the length stays."""
    raw = ledger.path.read_bytes()
    ledger.path.write_bytes(raw.replace(b'"noise_multiplier":7.0', b'"noise_multiplier":8.0'))


def test_a_line_that_was_read_before_is_still_verified(ledger, monkeypatch):
    for number in range(3):
        mechanism = GaussianSum(noise_multiplier=6.0 + number)
        ledger.charge(mechanism, plan="p", step=f"s-{number}", **TERMS)
    assert len(ledger.entries()) == 3
    raw = ledger.path.read_bytes()
    known = Chain.read(raw)
    assert Chain.read(raw, known) is known  # nothing is parsed twice
    altered(ledger)
    with pytest.raises(LedgerError, match="line 4 does not follow"):
        ledger.entries()
    with monkeypatch.context() as patch:  # negative control: a reader that trusts the length
        patch.setattr(Chain, "read", lambda raw, known: known._extended(raw[known.size :], known.digest))
        ledger.entries()


def charge_until_refused(ledger, step) -> int:
    """How many charges of seven steps fit below the epsilon of seventy."""
    cap = Cap(epsilon=epsilon([step] * 10, CAP.delta), delta=CAP.delta)
    for number in range(80):
        try:
            ledger.charge(step, plan="p", step=f"s-{number}", **TERMS | {"cap": cap})
        except BudgetExceededError:
            return number
    return 80


def test_the_cap_is_used_up_to_the_last_step_and_no_further(ledger, tmp_path, monkeypatch):
    step = SampledGaussian(noise_multiplier=1.2, sample_rate=0.02, steps=7)
    assert charge_until_refused(ledger, step) == 10
    other = Ledger(tmp_path / "other" / "ledger.jsonl", DATASET)
    other.create()

    def rounded_down(mechanisms, *_):
        return tuple(m.model_copy(update={"steps": max(1, m.steps // 50 * 50)}) for m in mechanisms)

    monkeypatch.setattr(accounting, "_dominating", rounded_down)  # negative control
    assert charge_until_refused(other, step) > 10

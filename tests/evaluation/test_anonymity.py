"""anonymeter, where there is one: copies are linked, fresh draws are not; else the reason is said."""

import stat
import sys
from pathlib import Path

import pytest

from common.evaluation.anonymity import VARIABLE, attacks, interpreter
from tests.evaluation.test_gate import MADE_UP, made_up

HAS = interpreter()


def broken(folder: Path, body: str) -> Path:
    """An interpreter that is none."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def parts():
    return tuple(made_up(60, seed) for seed in (1, 2, 3))


def test_without_it_the_reason_is_said(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    if interpreter() is None:
        assert VARIABLE in attacks(*parts(), MADE_UP)
    monkeypatch.setenv(VARIABLE, "/nowhere/python")
    assert "cannot be started" in attacks(*parts(), MADE_UP)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("exec sleep 20", "longer than 0.5 seconds"),
        ("echo not-json", "no usable answer"),
        ("echo 'ValueError: secret 42' >&2; exit 1", "anonymeter failed: ValueError"),
        ('echo \'[{"name": "x"}]\'', "anonymeter failed"),
    ],
)
def test_what_goes_wrong_is_a_reason_and_quotes_no_value(tmp_path, body, reason):
    found = attacks(*parts(), MADE_UP, python=broken(tmp_path, body), seconds=0.5 if "sleep" in body else 60)
    assert isinstance(found, str)
    assert reason in found
    assert "42" not in found


def test_an_interpreter_without_it_fails_with_a_name(tmp_path):
    python = broken(tmp_path, f'exec "{sys.executable}" -S "$@"')  # -S: no installed packages
    assert attacks(*parts(), MADE_UP, python=python) == "anonymeter failed: ModuleNotFoundError"


@pytest.mark.skipif(HAS is None, reason=f"no interpreter with anonymeter; {VARIABLE} may name one")
def test_copies_are_linked_and_fresh_draws_are_not():
    training, holdout, fresh = (made_up(300, seed) for seed in (1, 2, 3))
    copied = fresh.copy()
    copied[:150] = training[:150]
    clean, leaking = (attacks(training, holdout, made, MADE_UP) for made in (fresh, copied))
    assert not isinstance(clean, str), clean
    assert not isinstance(leaking, str), leaking
    assert [one.name for one in clean] == ["singling-out", "linkability", "inference"]
    excess = {
        name: [one.hits / one.tries - one.control_hits / one.controls for one in found]
        for name, found in (("clean", clean), ("leaking", leaking))
    }
    assert max(excess["clean"]) < 0.1
    assert excess["leaking"][1] > 0.3

"""Plans on the command line: one that was made stays what it is, one that cannot be read has a hint."""

import json

import pytest

from common.plan import Plan
from tests import toy
from tests.typed import typed

from .conducted import RUN, admitted
from .invitations import federation


@pytest.mark.parametrize("named", [True, False])
def test_a_plan_is_not_written_over(tmp_path, monkeypatch, named):
    made, _ = admitted(tmp_path, toy.HOSPITALS[:3])
    (tmp_path / "run.toml").write_text(RUN.format(threshold=2, least=3))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ("plan.json" if named else "toy.plan.json")
    asked = ["plan", "new", "run.toml", "--federation", made.folder, *(("-o", path) if named else ())]
    first = typed(*asked)
    assert first.returncode == 0, first.stderr
    raw = path.read_bytes()
    second = typed(*asked, "--json")
    error = json.loads(second.stdout)["error"]
    assert (second.returncode, error["code"]) == (6, "storage")
    assert path.name in error["message"]
    assert "--out" in error["hint"]
    assert path.read_bytes() == raw
    assert Plan.from_json(raw).hash in first.stdout


def test_what_is_no_plan_has_a_hint(tmp_path):
    (tmp_path / "none.json").write_text("{}")
    made = federation(tmp_path / "federation")
    for path, says in ((tmp_path / "none.json", "not a plan"), (tmp_path / "absent.json", "cannot be read")):
        done = typed("run", path, "--federation", made.folder, "--json")
        error = json.loads(done.stdout)["error"]
        assert (done.returncode, error["code"]) == (2, "config")
        assert says in error["message"]
        assert "fedcgan plan new" in error["hint"]
    for option in (("--federation", made.folder), ("--detach",), ("--answer-within", "5m")):
        done = typed("run", tmp_path / "run.toml", *option, "--json")
        error = json.loads(done.stdout)["error"]
        assert (done.returncode, error["code"]) == (2, "config")
        assert option[0] in error["message"]
        assert "fedcgan plan new" in error["hint"]
    done = typed("plan", "estimate", tmp_path / "absent.toml", "--json")
    assert json.loads(done.stdout)["error"]["hint"]

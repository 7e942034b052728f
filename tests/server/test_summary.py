"""What is printed after a run, whatever was measured in it."""

import pytest

from server.simulate import Outcome
from server.summary import print_summary

RUN = {
    "epsilon": 3.0,
    "delta": 1e-5,
    "unit": "add/remove one record",
    "sites": ["a", "b", "c"],
    "threshold": 2,
    "key_holders": 3,
    "encryption_share": None,
    "wall_seconds": 1.0,
    "upload_ratio_float32": 2.0,
    "trouble": [],
}
TABLE = {"tvd1": 0.1, "tvd1_real": 0.1, "tvd2": 0.2, "tvd2_real": 0.2, "tstr_auc": None, "records": {}}
IMAGES = {"accuracy": 0.9, "accuracy_real": 0.9, "macro_f1": 0.9, "macro_f1_real": 0.9}
COUNTED = {"records": {"synthetic": 12345}}


@pytest.mark.parametrize("measured", [True, False])
@pytest.mark.parametrize(("file", "scores"), [("synthetic.csv", TABLE), ("synthetic.npz", IMAGES)])
def test_a_run_ends_in_words(tmp_path, capsys, file, scores, measured):
    """Also one that held nobody out, so that nothing was measured."""
    (tmp_path / file).touch()
    if measured:
        (tmp_path / "evaluation.json").touch()
    report = {**RUN, **(scores | COUNTED if measured else {})}
    print_summary(Outcome(tmp_path, report, {"sex": "female"}))
    said = capsys.readouterr().out
    assert file in said
    assert ("12345" in said, "evaluation.json" in said) == (measured, measured)
    assert ("nothing was measured" in said) == (not measured)
    assert ("--where sex=female" in said) == (file == "synthetic.csv")
    assert f"fedcgan release {tmp_path}" in said

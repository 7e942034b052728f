"""Splitting by subject, and files that are written whole or not at all."""

import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from common.config import Sites
from common.errors import ConfigError, DataError
from common.modalities.tabular import encode
from common.simulation.split import assign, hold_out
from common.tables import read_table
from tests import toy

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("split", ["iid", "dirichlet"])
def test_subjects_stay_together(split):
    frame = toy.records()
    sites = Sites(count=4, split=split, column="diagnosis" if split == "dirichlet" else None, alpha=0.5)
    names, numbers = assign(frame, "patient", sites, np.random.default_rng(0))
    assert len(names) == 4
    assert set(numbers) <= set(range(4))
    assert (pd.Series(numbers).groupby(frame.patient).nunique() == 1).all()


def test_held_out_people_are_not_in_training():
    frame = toy.records()
    held = hold_out(frame, "patient", 0.2, np.random.default_rng(0))
    assert not set(frame.patient[held]) & set(frame.patient[~held])
    assert abs(held.mean() - 0.2) < 0.02


def test_dirichlet_skews_and_iid_does_not():
    frame = toy.records(4000)

    def spread(**kind):
        _, numbers = assign(frame, "patient", Sites(count=4, **kind), np.random.default_rng(0))
        shares = pd.crosstab(numbers, frame.diagnosis, normalize="index")
        return float(shares.std().max())

    assert spread(split="dirichlet", column="diagnosis", alpha=0.3) > 3 * spread(split="iid")


def test_a_column_that_does_not_give_the_promised_sites_is_refused():
    sites = Sites(count=5, split="column", column="hospital")
    with pytest.raises(ConfigError, match="4 sites"):
        assign(toy.records(), "patient", sites, np.random.default_rng(0))


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"a,b\n1,2,3\n4,5,6,7\n", b"\xff\xfe\x00"])
def test_files_that_are_no_tables(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    try:
        frame = read_table(path, toy.SCHEMA)
    except DataError:
        return
    with pytest.raises(DataError):
        encode(frame, toy.SCHEMA)


def test_a_parquet_file_that_is_none(tmp_path):
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(DataError):
        read_table(path)


FULL_DISK = """
    import resource, sys
    from pathlib import Path
    import pandas as pd
    from common.errors import StorageError
    from common.tables import write_table
    frame = pd.DataFrame({"x": range(100_000)})
    path = Path(sys.argv[1])
    path.write_text("what was there before")
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    try:
        write_table(frame, path)
    except StorageError as error:
        print(error.code, error.hint)
"""


def test_a_full_disk_is_a_typed_error_and_leaves_what_was_there(tmp_path):
    """The operating system refuses to let the file grow, as a full disk does."""
    path = tmp_path / "out.csv"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL_DISK), str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("storage free some space"), done.stderr
    assert path.read_text() == "what was there before"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]
    assert resource.RLIMIT_FSIZE is not None

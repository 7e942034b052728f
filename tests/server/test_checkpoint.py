"""What a run has reached is kept whole, or not at all, and read only by a program that knows its form."""

import numpy as np
import pytest

from common.errors import StorageError
from server import checkpoint
from server.checkpoint import Checkpoint


def kept(folder) -> Checkpoint:
    state = Checkpoint.load_or_new(folder, "plan")
    state.counts = np.arange(3.0)
    state.attempts["count"] = 2
    state.save()
    return state


def test_it_is_read_as_it_was_kept(tmp_path):
    kept(tmp_path)
    again = Checkpoint.load_or_new(tmp_path, "plan")
    assert again.attempts == {"count": 2}
    assert np.array_equal(again.counts, np.arange(3.0))


def test_one_of_another_version_is_refused(tmp_path, monkeypatch):
    kept(tmp_path)
    version = checkpoint._VERSION
    monkeypatch.setattr(checkpoint, "_VERSION", version + 1)
    with pytest.raises(StorageError, match=f"is of version {version}, this program reads {version + 1}"):
        Checkpoint.load_or_new(tmp_path, "plan")
    kept_now = Checkpoint.load_or_new(tmp_path / "new", "plan")
    kept_now.save()
    assert Checkpoint.load_or_new(tmp_path / "new", "plan").plan == "plan"
    monkeypatch.setattr(checkpoint, "_VERSION", version)
    assert Checkpoint.load_or_new(tmp_path, "plan").attempts == {"count": 2}


def test_half_a_file_is_refused(tmp_path):
    path = kept(tmp_path).path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StorageError, match="damaged"):
        Checkpoint.load_or_new(tmp_path, "plan")


def test_a_crash_while_it_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    state = kept(tmp_path)

    def crash(tensors, path, metadata):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_file", crash)
    state.attempts["count"] = 3
    with pytest.raises(KeyboardInterrupt):
        state.save()
    assert Checkpoint.load_or_new(tmp_path, "plan").attempts == {"count": 2}

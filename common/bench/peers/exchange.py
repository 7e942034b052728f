"""What every program here reads and leaves in the folder it is given: numpy and the standard library only."""

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np


def read():
    """The task (a dict), the training codes int64[records, columns] (label last), and further arguments.

    Of the task: columns, sizes (codes of each), label, epsilon, delta, seed, records (wanted), minutes
    """
    folder = Path(sys.argv[1])
    task = json.loads((folder / "task.json").read_text("utf-8"))
    with np.load(folder / "train.npz", allow_pickle=False) as file:
        return task, file["codes"], sys.argv[2:]


def write(codes, packages, notes):
    """Leave synthetic codes, int64[records, columns], versions of packages, and notes on the run."""
    folder = Path(sys.argv[1])
    np.savez(folder / "synthetic.npz", codes=np.asarray(codes).astype(np.int64))
    found = {"python": sys.version.split()[0], **{name: _version(name) for name in packages}}
    (folder / "notes.json").write_text(json.dumps({"versions": found, "notes": notes}), "utf-8")


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"

"""A run for TensorBoard: numbers, samples and sentences in event files, a folder for each run."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..durable import write_whole
from ..errors import MissingPackageError, StorageError
from ..plain_text import plain
from .told import Facts, Number, Sample, Sentence, Stands, Told


class TensorBoard:
    """Writes to LOGDIR/RUN-PLAN/; how far it is lies in fedcgan.json there.

    plan: its hash. Raises MissingPackageError, StorageError.
    """

    def __init__(self, logdir: Path, run: str, plan: str) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingPackageError(
                "the package tensorboard is not installed", hint="pip install 'fedcgan[tensorboard]'"
            ) from error
        self.folder = logdir / (re.sub(r"[^\w.-]", "_", run) + f"-{plan[:8]}")
        self._state = self.folder / "fedcgan.json"
        self._open: Callable[[str], Any] = SummaryWriter
        self._writer: Any = None  # a new file for every one, even if nothing is written

    def known(self) -> int:
        """As ``Tracker`` promises."""
        try:
            return int(json.loads(self._state.read_bytes())["events"])
        except FileNotFoundError:
            return 0
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"{self._state} cannot be read", hint=f"remove {self.folder} and export the run again"
            ) from error

    def tell(self, told: list[Told], events: int) -> None:
        """As ``Tracker`` promises."""
        try:
            self._writer = self._writer or self._open(str(self.folder))
            for one in told:
                self._one(one)
            self._writer.flush()
        except OSError as error:
            raise StorageError(f"{self.folder} cannot be written: {error.strerror}") from error
        written = json.dumps({"events": events})
        write_whole(self._state, lambda path: path.write_text(written, "utf-8"))

    def close(self) -> None:
        """As ``Tracker`` promises."""
        if self._writer is not None:
            self._writer.close()

    def _one(self, told: Told) -> None:
        match told:
            case Number():
                at = told.time.timestamp()
                self._writer.add_scalar(told.name, told.value, told.step, at)
            case Sample():
                self._sample(told)
            case Facts():
                rows = [["", ""], *([name, value] for name, value in told.values.items())]
                self._text("run", _table(rows), 0, None)
            case Sentence():
                self._text(told.about, f"{told.place}: {told.text}", told.step, told.time.timestamp())
            case Stands():
                text = f"{told.state}: {told.text}" if told.text else told.state
                self._text("state", text, 0, told.time.timestamp())

    def _sample(self, sample: Sample) -> None:
        at = sample.time.timestamp()
        try:
            if sample.path.suffix == ".csv":
                with sample.path.open(newline="", encoding="utf-8") as file:
                    self._text("samples", _table(list(csv.reader(file))), sample.step, at)
                return
            with Image.open(sample.path) as image:
                pixels = np.asarray(image.convert("RGB"))
        except (OSError, ValueError, csv.Error):
            return  # an old one that somebody removed
        self._writer.add_image("samples", pixels, sample.step, at, "HWC")

    def _text(self, tag: str, text: str, step: int, at: float | None) -> None:
        self._writer.add_text(tag, text, step, at)


def _table(rows: list[list[str]]) -> str:
    """As Markdown."""
    cells = [[plain(cell).replace("|", "\\|") for cell in row] for row in rows]
    heading, *rest = cells or [[""]]
    return "\n".join("| " + " | ".join(row) + " |" for row in (heading, ["---"] * len(heading), *rest))

"""The list of what left: durable before the bytes leave, whole over crashes, silent on content."""

import hashlib
import io
import os
import stat
from multiprocessing import get_context
from pathlib import Path

import pytest

from client import outbox as module
from client.outbox import Outbox
from common.errors import OutboxError

PROCESSES = get_context("forkserver")
PLAN = "a" * 64


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path)


def note(outbox: Outbox, raw: bytes = b"frame", **changes):
    return outbox.note(raw, **{"kind": "contribution", "plan": PLAN, "step": "count", **changes})


def test_a_line_says_what_left_and_not_what_was_in_it(outbox):
    sent = note(outbox, b"secret content")
    assert list(outbox.lines()) == [sent]
    assert (sent.kind, sent.plan, sent.step, sent.bytes) == ("contribution", PLAN, "count", 14)
    assert sent.sha256 == hashlib.sha256(b"secret content").hexdigest()
    path = outbox.folder / "outbox.jsonl"
    assert b"secret" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_texts_of_strangers_are_not_kept(outbox):
    sent = note(outbox, kind="\x1b[2J", plan="../" * 9, step="DROP\n{}")
    assert (sent.kind, sent.plan, sent.step) == ("other", "", "")
    assert len((outbox.folder / "outbox.jsonl").read_bytes().splitlines()) == 1


def test_the_line_is_synced_before_note_returns(outbox, monkeypatch):
    """And the new file's name; a note that syncs nothing would leave both lists empty."""
    synced, honest = [], os.fsync

    def watched(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        synced.append((path, path.endswith(".jsonl") and (outbox.folder / "outbox.jsonl").read_bytes()))
        honest(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    note(outbox)
    whole = (outbox.folder / "outbox.jsonl").read_bytes()
    assert synced == [(str(outbox.folder / "outbox.jsonl"), whole), (str(outbox.folder), False)]


@pytest.mark.parametrize("kept", [0, 1, 40, -1])
def test_half_a_last_line_is_a_power_cut(outbox, kept):
    first, path = note(outbox), outbox.folder / "outbox.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:kept])
    assert list(outbox.lines()) == [first]
    second = note(outbox, b"other")
    assert list(outbox.lines()) == [first, second]


def test_a_line_that_is_finished_while_it_is_read_is_no_damage(outbox, monkeypatch):
    first, path = note(outbox), outbox.folder / "outbox.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])

    class Behind(io.BufferedReader):
        """Of a file whose writer goes on as soon as half a line was read."""

        def __next__(self):
            line = super().__next__()
            if not line.endswith(b"\n"):
                os.write(writer, whole[40:])
            return line

    writer = os.open(path, os.O_WRONLY | os.O_APPEND)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, mode: Behind(io.FileIO(path, mode)))
        assert list(outbox.lines()) == [first]
    os.close(writer)
    assert list(outbox.lines()) == [first, first]


def test_a_damaged_line_before_the_last_is_no_power_cut(outbox):
    for _ in range(3):
        note(outbox)
    path = outbox.folder / "outbox.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged in (lines[1][:40] + b"\n", b"\n", lines[1].replace(b'"bytes":5', b'"bytes":-5')):
        path.write_bytes(lines[0] + damaged + lines[2])
        with pytest.raises(OutboxError, match="line 2"):
            list(outbox.lines())
    path.write_bytes(b"".join(lines))
    assert len(list(outbox.lines())) == 3  # negative control


def test_a_tail_that_is_no_line_of_ours_stops_the_site(outbox):
    note(outbox)
    with (outbox.folder / "outbox.jsonl").open("ab") as file:
        file.write(b"x" * 5000)
    with pytest.raises(OutboxError, match="no line of ours"):
        note(outbox)


def test_full_files_are_put_aside_and_read_in_order(outbox, monkeypatch):
    monkeypatch.setattr(module, "FULL", 700)
    sent = [note(outbox, bytes([number])) for number in range(40)]
    names = sorted(path.name for path in outbox.folder.glob("outbox*.jsonl"))
    assert len(names) > 10  # also beyond one digit
    assert list(outbox.lines()) == sent
    (outbox.folder / "outbox-2.jsonl").unlink()
    with pytest.raises(OutboxError, match=r"outbox-2.jsonl, it is missing"):
        list(outbox.lines())
    with pytest.raises(OutboxError):
        note(outbox)


def test_a_cut_in_a_full_file_is_damage(outbox, monkeypatch):
    monkeypatch.setattr(module, "FULL", 1)
    note(outbox)
    note(outbox)
    path = outbox.folder / "outbox-1.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(OutboxError, match="cut off"):
        list(outbox.lines())


def _note_many(folder, name: str) -> None:
    module.FULL = 3000
    for number in range(50):
        note(Outbox(folder), f"{name}{number}".encode(), step=name)


def test_processes_do_not_mix_their_lines(outbox):
    workers = [PROCESSES.Process(target=_note_many, args=(outbox.folder, name)) for name in ("one", "two")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    lines = list(outbox.lines())
    for name in ("one", "two"):
        expected = [hashlib.sha256(f"{name}{number}".encode()).hexdigest() for number in range(50)]
        assert [line.sha256 for line in lines if line.step == name] == expected


def test_a_full_disk_is_no_note(outbox, monkeypatch):
    note(outbox)
    honest = os.write
    monkeypatch.setattr(os, "write", lambda file, content: honest(file, content[:10]))
    with pytest.raises(OSError, match="No space"):
        note(outbox)
    monkeypatch.undo()
    note(outbox)
    assert len(list(outbox.lines())) == 2

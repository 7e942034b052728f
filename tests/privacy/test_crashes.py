"""Dead at every fsync: no answer is ever without its charge, and the site goes on by itself.

A process is killed just before or just after its k-th fsync, or the power is cut there: then only what was
synced is left. For every k, until the operation completes.
"""

import os
import shutil
import signal
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import pytest

from client.answers import Answers
from client.site import Site
from client.vault import Vault
from client.verification import verify
from common.crypto.secret_file import write_secret
from common.errors import LedgerError
from common.privacy import ledger as ledgers
from common.privacy.ledger import Cap, Ledger
from common.privacy.mechanism import GaussianSum
from common.protocol import frames
from common.protocol.messages import Contribute, Contribution, Refused
from tests import toy
from tests.federation import LocalFederation

PROCESSES = get_context("forkserver")  # clean processes, in which everything is imported already
PROCESSES.set_forkserver_preload([__name__])
WAYS = ["killed before", "killed after", "power cut"]
TERMS = {"cap": Cap(epsilon=3.0, delta=1e-5), "unit": "add/remove one record", "sensitivity": 1.0}
SUM = GaussianSum(noise_multiplier=2.0)


class Disk:
    """What a power cut would leave of the files in a folder: contents after an fsync of the file, names
    after an fsync of their folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept = {path: path.read_bytes() for path in self._files(folder.rglob("*"))}
        self._synced = {path.stat().st_ino: content for path, content in self.kept.items()}

    @staticmethod
    def _files(paths):
        return [path for path in paths if path.is_file()]

    def synced(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        if path.is_dir():
            self.kept = {known: content for known, content in self.kept.items() if known.parent != path}
            for file in self._files(path.iterdir()):
                self.kept[file] = self._synced.get(file.stat().st_ino, b"")
        else:
            self._synced[path.stat().st_ino] = path.read_bytes()
            if path in self.kept:
                self.kept[path] = path.read_bytes()

    def pending(self, path: Path, kept: bytes) -> None:
        """What was last written to this file is not on the disk yet; that is still ``kept``."""
        self.kept[path] = self._synced[path.stat().st_ino] = kept

    def cut(self) -> None:
        for path in self._files(self.folder.rglob("*")):
            if path not in self.kept:
                path.unlink()
        for path, content in self.kept.items():
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)
                path.chmod(0o600)


def die_at(number: int, way: str, folder: Path) -> None:
    """From now on this process dies at its ``number``-th fsync."""
    honest, calls, disk = os.fsync, count(1), Disk(folder)

    def dying(descriptor: int) -> None:
        now = next(calls) == number
        if now and way == "power cut":
            disk.cut()
        if now and way != "killed after":
            os.kill(os.getpid(), signal.SIGKILL)
        honest(descriptor)
        disk.synced(descriptor)
        if now:
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = dying


def perform(operation, folder: Path, number: int, way: str) -> None:
    """In a process of its own: dies, or ends with what left the site beside the folder."""
    die_at(number, way, folder)
    folder.with_suffix(".left").write_bytes(operation(folder))


def crashes(operation, template: Path, scratch: Path, way: str):
    """The folder after a crash at each fsync in turn; the last one is that of the completed operation."""
    for number in count(1):
        folder = scratch / str(number) / template.name
        shutil.copytree(template, folder)
        process = PROCESSES.Process(target=perform, args=(operation, folder, number, way))
        process.start()
        process.join(60)
        assert process.exitcode in (0, -signal.SIGKILL)
        yield folder
        if process.exitcode == 0:
            assert number > 9, "an operation of fewer fsyncs: nothing was tried"
            assert folder.with_suffix(".left").exists()
            return


def of(folder: Path) -> Ledger:
    return Ledger(folder / "ledger.jsonl", "d" * 32)


def charge_and_answer(folder: Path) -> bytes:
    """What a vault does with its ledger and its answers, and nothing else."""
    ledger = of(folder)
    ledger.charge(SUM, plan="p", step="s", **TERMS)
    write_secret(folder / "answer", b"answer")
    ledger.answered(b"answer", plan="p", step="s")
    ledger.ended("finished", plan="p")
    return b"answer"


def answer_and_charge(folder: Path) -> bytes:
    """The negative control: the other way round."""
    write_secret(folder / "answer", b"answer")
    return charge_and_answer(folder)


def check_ledger(folder: Path) -> None:
    """Opens, covers the answer if there is one; another try completes it at the price of one."""
    charged = [entry.step for entry in of(folder).entries()]
    if (folder / "answer").exists() or folder.with_suffix(".left").exists() or of(folder).answers():
        assert charged == ["s"]
    if not of(folder).answers():
        charge_and_answer(folder)
    of(folder).ended("finished", plan="p")
    ledger = of(folder)
    assert [entry.step for entry in ledger.entries()] == ["s"]
    assert [len(ledger.answers()), len(ledger.outcomes())] == [1, 1]


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crashes") / "site"
    of(folder).create()
    return folder


def check_all(check, operation, template: Path, scratch: Path, way: str) -> None:
    for folder in crashes(operation, template, scratch, way):
        check(folder)


@pytest.mark.parametrize("way", WAYS)
def test_no_crash_leaves_an_answer_without_its_charge(empty, tmp_path, way):
    check_all(check_ledger, charge_and_answer, empty, tmp_path, way)


def test_an_answer_before_its_charge_is_noticed(empty, tmp_path):
    with pytest.raises(AssertionError):
        check_all(check_ledger, answer_and_charge, empty, tmp_path, "killed before")


def test_a_line_that_was_not_synced_is_before_anybody_relies_on_it(empty, tmp_path):
    """Killed between write and fsync, charged again (the line is there), power cut: still charged."""
    folder = next(crashes(charge_and_answer, empty, tmp_path, "killed before"))
    assert len(of(folder).path.read_bytes().splitlines()) == 2
    disk = Disk(folder)
    disk.pending(of(folder).path, (empty / "ledger.jsonl").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        honest = os.fsync
        patch.setattr(os, "fsync", lambda file: (honest(file), disk.synced(file)))
        of(folder).charge(SUM, plan="p", step="s", **TERMS)
    disk.cut()
    assert [entry.step for entry in of(folder).entries()] == ["s"]


class ReachedError(Exception):
    """The message that the test waited for was about to be delivered."""


def reach_contribution(folder: Path) -> tuple[LocalFederation, Path, bytes]:
    """A federation after the ceremony, a site's folder, and the first question about its records."""
    federation = LocalFederation(toy.run_folder(folder / "run"))
    name = federation.plan.federation.names[0]
    question = []

    def stop_at_contribution(site: str, raw: bytes) -> bytes:
        if site == name and frames.read(raw, 1 << 30).header.kind == Contribute.kind:
            question.append(raw)
            raise ReachedError
        return raw

    federation.before = stop_at_contribution
    with pytest.raises(ReachedError):
        federation.coordinator().run()
    return federation, federation.site_folder(name), question[0]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    return reach_contribution(tmp_path_factory.mktemp("crashes"))[1:]


def handle(raw: bytes, folder: Path) -> bytes:
    return Vault(folder).handle(raw)


def handle_and_charge(raw: bytes, folder: Path) -> bytes:
    """The negative control: a vault that keeps its answer and then pays for it."""
    honest, later = Ledger.charge, []

    def charge(ledger, mechanism, **terms):
        later.append(partial(honest, ledger, mechanism, **terms))
        return ledgers.Receipt(ledgers._MAKER, terms["plan"], terms["step"], mechanism)

    keep = Answers.keep

    def keep_and_charge(answers, *stored):
        keep(answers, *stored)
        later.pop()()

    Ledger.charge, Answers.keep = charge, keep_and_charge
    return handle(raw, folder)


def check_vault(raw: bytes, folder: Path) -> None:
    """Every answer that exists is charged; another try is answered or refused, always in the same way."""
    site = Site(folder)
    verify(site)
    replies = [Vault(folder).handle(raw) for _ in range(2)]
    left = folder.with_suffix(".left")
    if left.exists():
        replies.append(left.read_bytes())
    read = [frames.read(reply, 1 << 30) for reply in replies]
    assert {frame.header.kind for frame in read} == {Contribution.kind}, Refused.from_bytes(read[0].body)
    assert len({*replies}) == 1
    found = verify(site)
    assert (found.charges, found.answers, found.stored, found.unanswered) == (1, 1, 1, [])


@pytest.mark.parametrize("way", WAYS)
def test_no_crash_of_a_vault_leaves_an_answer_without_its_charge(asked, tmp_path, way):
    template, raw = asked
    check_all(partial(check_vault, raw), partial(handle, raw), template, tmp_path, way)


def test_a_vault_that_pays_later_is_noticed(asked, tmp_path):
    template, raw = asked
    with pytest.raises(LedgerError, match="the ledger does not know it"):
        check_all(
            partial(check_vault, raw), partial(handle_and_charge, raw), template, tmp_path, "killed before"
        )

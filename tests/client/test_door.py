"""The vault's door: who may come in, what may be said there, and that nothing leaves unwritten."""

import grp
import hashlib
import os
import select
import shutil
import socket
import stat
import struct
import tempfile
import threading
import time
import tracemalloc
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import pytest

from client import door as module
from client import standing
from client.courier import ask
from client.door import GREETING, Door, alone
from client.outbox import Outbox
from client.vault import Vault
from common.crypto.identity import Identity
from common.errors import StorageError
from common.plan import COUNT_STEP, ENROL_STEP
from common.protocol import frames
from common.protocol.messages import LARGEST, Contribute, Contribution, Enrol, Enrolled, Refused
from server.enrolment import enrol, make_keys
from tests import toy
from tests.federation import LocalFederation

SITE, STRANGER = "site-north", 65534
PROCESSES = get_context("forkserver")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A run before anything happened, and one with keys."""
    return toy.run_folder(tmp_path_factory.mktemp("door") / "run")


@pytest.fixture
def folder():
    """Short: the path of a socket has 107 bytes at most."""
    made = Path(tempfile.mkdtemp(prefix="door-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def site(template, folder):
    shutil.copytree(template.folder / "sites" / SITE, folder / SITE)
    (folder / "courier").mkdir()
    return folder / SITE


def opened(site, users=None, kind=Vault) -> str:
    """A door in a thread that ends with the tests; the path of its socket."""
    users = frozenset({os.geteuid()}) if users is None else users
    door = Door(kind(site), site.parent / "courier", users)
    threading.Thread(target=door.serve, daemon=True).start()
    path = site.parent / "courier" / module.SOCKET
    wait(lambda: path.is_socket() and reachable(path))
    return str(path)


def wait(is_so, what="it"):
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.01)


def reachable(path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        return caller.connect_ex(str(path)) == 0


def called(path, *said: bytes) -> socket.socket:
    caller = socket.socket(socket.AF_UNIX)
    caller.connect(path)  # with a timeout it would not wait for room
    caller.settimeout(30)
    for part in said:
        caller.sendall(part)
    return caller


def length(count: int) -> bytes:
    return struct.pack(">Q", count)


def heard(caller: socket.socket) -> bytes:
    """Everything until the vault closes the door; empty also if it slams it."""
    found = b""
    try:
        while part := caller.recv(1 << 16):
            found += part
    except ConnectionResetError:
        pass
    return found


def log(site) -> str:
    path = site / "site.log"
    return path.read_text() if path.exists() else ""


def sent(site) -> list[str]:
    return [line.kind for line in Outbox(site).lines()]


def signed(run, message, step) -> bytes:
    identity = Identity.load_or_create(run.folder / "coordinator" / "identity.key")
    sender = run.plan.federation.coordinator.name
    return frames.sign(identity, message.kind, run.plan.hash, step, sender, message.to_bytes()).to_bytes()


def enrolment(run) -> bytes:
    return signed(
        run, Enrol(plan=run.plan.to_json(), table=run.schema.model_dump_json().encode()), ENROL_STEP
    )


def read(run, raw: bytes):
    """A site's answer, its signature checked."""
    frame = frames.read(raw, LARGEST)
    frames.check(frame, run.plan.federation.identity_of(SITE), plan=frame.header.plan, sender=SITE)
    kinds = {kind.kind: kind for kind in (Enrolled, Refused, Contribution)}
    return kinds[frame.header.kind].from_bytes(frame.body)


def test_an_honest_courier_gets_the_name_answers_and_typed_refusals(template, site):
    path = opened(site)
    assert ask(path, b"") == SITE.encode()
    assert isinstance(read(template, ask(path, enrolment(template))), Enrolled)
    assert read(template, ask(path, b"nonsense")).code == "protocol-malformed"
    altered = enrolment(template)[:-1] + b"?"
    assert read(template, ask(path, altered)).code == "protocol-signature"
    assert sent(site) == ["name", "enrolled", "refused", "refused"]


def test_several_questions_of_one_caller(site):
    with called(opened(site), GREETING, length(0), length(0)) as caller:
        caller.shutdown(socket.SHUT_WR)
        assert heard(caller) == 2 * (length(len(SITE)) + SITE.encode())


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"fedcgan vault 2\n" + length(0),
        b"GET / HTTP/1.1\r\nHost: vault\r\n\r\n",
        GREETING[:-3],
        GREETING + b"\0\0\0",
        GREETING + length(100) + b"a beginning",
        GREETING + length(LARGEST) + b"a beginning",
        GREETING + b"\xff" * 8 + b"x" * 64,
        GREETING + length(LARGEST + 1),
    ],
    ids=["nothing", "version", "http", "greeting", "length", "frame", "long-frame", "huge", "too-long"],
)
def test_what_is_no_message_gets_no_answer(site, said):
    path = opened(site)
    tracemalloc.start()
    try:
        with called(path, said) as caller:
            caller.shutdown(socket.SHUT_WR)
            assert heard(caller) == b""
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 8 << 20  # whatever length was claimed
    assert sent(site) == []
    assert ask(path, b"") == SITE.encode()  # and the next one is served


def test_a_length_beyond_the_limit_is_refused_before_the_message_comes(site):
    with called(opened(site), GREETING, length(LARGEST + 1)) as caller:
        assert heard(caller) == b""  # it closed, we did not
    wait(lambda: "turned away at the door" in log(site), "the line in the log")


def drip(caller: socket.socket) -> None:
    for _ in range(900):
        caller.sendall(b"x")
        time.sleep(0.05)


def test_who_speaks_one_byte_at_a_time_does_not_hold_the_door(site, monkeypatch):
    """Each byte comes in time, the message does not. A patience for each byte would wait for ever."""
    path = opened(site)
    monkeypatch.setattr(module, "_PATIENCE", 0.5)
    with called(path, GREETING, length(1000)) as slow:
        answers = []
        honest = threading.Thread(target=lambda: answers.append(ask(path, b"")))
        honest.start()
        with pytest.raises(OSError, match=r"pipe|reset"):
            drip(slow)
        honest.join(30)
    assert answers == [SITE.encode()]


class Talkative(Vault):
    """More than fits into a socket."""

    def name(self) -> bytes:
        return b"x" * (8 << 20)


def test_who_does_not_listen_does_not_hold_the_door(site, monkeypatch):
    path = opened(site, kind=Talkative)
    monkeypatch.setattr(module, "_PATIENCE", 0.5)
    with called(path, GREETING, length(0)) as deaf:
        wait(lambda: select.select([deaf], [], [], 0)[0], "the beginning of the answer")
        assert len(ask(path, b"")) == 8 << 20
        assert len(heard(deaf)) < 8 << 20


def test_more_callers_than_there_is_room_for_wait_outside(site):
    path = opened(site)
    with ExitStack() as others:
        waiting = [others.enter_context(called(path, GREETING)) for _ in range(module._CALLERS)]
        late = others.enter_context(called(path, GREETING, length(0)))
        assert select.select([late], [], [], 0.5)[0] == []
        waiting.pop().close()
        assert late.recv(100) != b""


def test_who_asks_for_ever_is_slowed_down(site, monkeypatch):
    """Each message leaves lines on the site's disk, also a refused one."""
    pauses = []
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pauses.append))
    monkeypatch.setattr(module, "_PACE", 1000.0)
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    path = opened(site)
    for _ in range(6):
        ask(path, b"nonsense")
    assert [pause > 0 for pause in pauses] == [False, False, False, False, True, True]


def test_a_user_who_is_not_ours_is_turned_away(site):
    path = opened(site, users=frozenset({os.geteuid() + 1}))
    with called(path) as caller:
        assert heard(caller) == b""
    wait(lambda: f"user {os.geteuid()} was turned away" in log(site), "the line in the log")
    assert sent(site) == []


def as_stranger(path: str) -> str:
    """What a process of another user gets at the door: its answer, or the name of an error."""
    out, into = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            try:
                said = ask(path, b"", patience=-1.0).decode()
            except OSError as error:
                said = type(error.__context__ or error).__name__
            os.write(into, said.encode())
        finally:
            os._exit(0)
    os.close(into)
    os.waitpid(child, 0)
    with os.fdopen(out, "rb") as file:
        return file.read().decode()


@as_root
def test_another_user_is_turned_away_by_number_whatever_the_modes_say(site, folder):
    folder.chmod(0o755)
    path = opened(site)
    assert as_stranger(path) == "PermissionError"  # by the socket's mode
    os.chmod(path, 0o666)
    turned_away = {"ConnectionError", "ConnectionResetError", "BrokenPipeError"}
    assert as_stranger(path) in turned_away  # it had connected
    assert f"user {STRANGER} was turned away" in log(site)
    assert sent(site) == []


@as_root
def test_the_couriers_user_is_let_in(site, folder):
    """The negative control of the test above, with the modes that joining sets."""
    folder.chmod(0o755)
    courier = folder / "courier"
    os.chown(courier, 0, STRANGER)
    courier.chmod(0o2750)
    path = opened(site, users=frozenset({0, STRANGER}))
    assert Path(path).stat().st_gid == STRANGER
    assert as_stranger(path) == SITE
    with pytest.raises(PermissionError):
        taken_over(courier)


def taken_over(courier: Path) -> None:
    """The courier's user puts a socket of its own in the place of the vault's."""
    effective = os.geteuid(), os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(STRANGER)
    os.seteuid(STRANGER)
    try:
        (courier / module.SOCKET).unlink()
    finally:
        os.seteuid(effective[0])
        os.setegid(effective[1])
        os.setgroups(effective[2])


def test_the_socket_is_for_owner_and_group(site):
    status = os.stat(opened(site))
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o660
    assert (status.st_uid, grp.getgrgid(status.st_gid).gr_gid) == (os.geteuid(), os.getegid())


def test_what_lies_in_the_sockets_place_is_replaced(site, folder):
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(folder / "courier" / module.SOCKET))
    stale.close()  # nobody listens, the file stays
    assert ask(opened(site), b"") == SITE.encode()


def test_a_second_vault_is_refused_and_the_first_one_goes_on(site, folder):
    path = opened(site)
    with pytest.raises(StorageError, match="another vault"):
        Door(Vault(site), folder / "courier", frozenset()).serve()
    assert ask(path, b"") == SITE.encode()


@as_root
def test_root_who_only_looks_does_not_lock_the_vaults_user_out(site):
    """``site dry-run`` looks as root, before it starts the vault as another user."""
    os.chown(site, STRANGER, STRANGER)
    with alone(site):
        pass
    lock = site / ".vault.lock"
    assert (lock.stat().st_uid, stat.S_IMODE(lock.stat().st_mode)) == (STRANGER, 0o600)


def test_the_lock_is_not_made_through_a_link(site, folder):
    (site / ".vault.lock").symlink_to(folder / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), alone(site):
        pass
    assert not (folder / "elsewhere").exists()


def test_everything_that_left_has_its_line(template, site):
    path = opened(site)
    answers = [ask(path, raw) for raw in (b"", enrolment(template), b"nonsense", enrolment(template))]
    lines = list(Outbox(site).lines())
    assert [line.sha256 for line in lines] == [hashlib.sha256(raw).hexdigest() for raw in answers]
    assert [line.bytes for line in lines] == [len(raw) for raw in answers]


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x" * 5000)


@pytest.mark.parametrize("spoil", [directory, damaged])
def test_nothing_leaves_that_cannot_be_written_down(template, site, spoil):
    path, outbox = opened(site), site / "outbox.jsonl"
    first = ask(path, enrolment(template))
    whole = outbox.read_bytes()
    spoil(outbox)
    for question in (b"", b"nonsense", enrolment(template)):
        with called(path, GREETING, length(len(question)), question) as caller:
            assert heard(caller) == b""
        with pytest.raises(ConnectionError, match="does not answer"):
            ask(path, question, patience=-1.0)
    wait(lambda: log(site).count("nothing leaves") == 6, "the lines in the log")
    shutil.rmtree(outbox) if outbox.is_dir() else outbox.unlink()
    outbox.write_bytes(whole)
    assert ask(path, enrolment(template)) == first  # negative control: it was for the list alone


def _serve(site: Path) -> None:
    Door(Vault(site), site.parent / "courier", frozenset({os.geteuid()})).serve()


def test_a_vault_that_was_killed_says_the_same_when_it_is_back(template, site):
    path, question = str(site.parent / "courier" / module.SOCKET), enrolment(template)
    vault = PROCESSES.Process(target=_serve, args=(site,), daemon=True)
    vault.start()
    first = ask(path, question)
    vault.kill()
    vault.join()
    with pytest.raises(ConnectionError):  # negative control: it is really gone
        ask(path, question, patience=-1.0)
    answers = []
    courier = threading.Thread(target=lambda: answers.append(ask(path, question)))
    courier.start()
    vault = PROCESSES.Process(target=_serve, args=(site,), daemon=True)
    vault.start()
    courier.join(120)
    vault.kill()
    vault.join()
    assert answers == [first]
    assert sent(site) == ["enrolled", "enrolled"]


@pytest.fixture
def keyed(template, folder):
    """The run with keys; a site's vault, and the request of the first sum."""
    shutil.copytree(template.folder, folder / "run")
    run = type(template)(folder / "run", template.plan, template.schema)
    federation = LocalFederation(run)
    asking = federation.asking()
    attested = make_keys(asking, federation.secure_sum(), enrol(asking, run.schema))
    request = signed(run, Contribute(state=b"", attested=attested), COUNT_STEP)
    return federation.vaults[SITE], request


def late(vault, what) -> None:
    """Do something once the answer is made and before it has left."""
    honest = vault._answer

    def answer(frame, raw):
        made = honest(frame, raw)
        what()
        return made

    vault._answer = answer


def test_a_pause_in_the_middle_of_a_step_lets_nothing_out(template, keyed):
    vault, request = keyed
    folder, before = vault.site.folder, len(sent(vault.site.folder))
    late(vault, lambda: standing.pause(folder, "a question"))
    assert read(template, vault.handle(request)).code == "site-paused"
    assert [charge.step for charge in vault.site.ledger.entries()] == [COUNT_STEP]  # it was in the middle
    assert sent(folder)[before:] == ["refused"]
    standing.unpause(folder)
    answer = Vault(folder).handle(request)  # negative control: the answer had been there
    assert isinstance(read(template, answer), Contribution)
    assert sent(folder)[before:] == ["refused", "contribution"]


def test_a_withdrawal_in_the_middle_of_a_step_lets_nothing_out_and_leaves_no_key(template, keyed):
    vault, request = keyed
    folder, before = vault.site.folder, len(sent(vault.site.folder))
    leaving = threading.Thread(target=standing.withdraw, args=(folder, "we leave"))

    def leave() -> None:
        leaving.start()  # it waits for the end of this message
        wait((folder / "withdrawn").exists, "the mark")

    late(vault, leave)
    assert read(template, vault.handle(request)).code == "site-withdrawn"
    leaving.join(60)
    assert sent(folder)[before:] == ["refused"]
    assert not list(folder.glob("runs/*/*.key*"))
    assert read(template, Vault(folder).handle(request)).code == "site-withdrawn"


def test_all_messages_are_answered_by_one_thread(template, site):
    threads = set()

    class Watched(Vault):
        def handle(self, raw: bytes) -> bytes:
            threads.add(threading.get_ident())
            return super().handle(raw)

    path = opened(site, kind=Watched)
    callers = [threading.Thread(target=ask, args=(path, enrolment(template))) for _ in range(5)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert len(threads) == 1


def test_a_message_that_was_answered_is_not_kept_beside_the_next(site):
    path, size = opened(site), 8 << 20
    ask(path, b"x")
    tracemalloc.start()
    try:
        ask(path, bytes(size))
        wait(lambda: tracemalloc.get_traced_memory()[0] < size // 2, "the end of the message")
    finally:
        tracemalloc.stop()

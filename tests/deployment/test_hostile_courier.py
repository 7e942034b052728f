"""A coordinator that sends its own program in place of the courier: what it gets from the site is nothing.

The real programs of Flower run it at two sites: one whose courier is another user, and one whose courier is
the vault's own, where the same program reads the records.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import flwr
import pytest

from client.courier import ask
from client.outbox import Outbox
from client.site import Site
from common.bench.loopback import SCHEMA, Loopback
from common.crypto.identity import Identity
from common.launch import command
from common.plan import COUNT_STEP, ENROL_STEP, Plan
from common.protocol import frames
from common.protocol.messages import Contribute, Enrol

from . import takes_minutes

STRANGER = 65534
APART, TOGETHER = "site-1", "site-2"
PACKAGES = Path(flwr.__file__).parents[1]
RIGHTS = {"user": STRANGER, "group": STRANGER, "extra_groups": []}
REFUSED_AT_THE_DOOR = {"say garbage", "say nothing of ours", "replay altered", "unsigned", "self-signed"}

pytestmark = [
    takes_minutes,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start programs of two users"),
]


@pytest.fixture
def programs(open_folder):
    """Flower's programs for a user who cannot enter our own environment."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    known = [Path(sys.executable).resolve(), Path("/usr/bin") / version, Path("/usr/local/bin") / version]
    interpreter = next(filter(usable, known), None)
    if interpreter is None:
        pytest.skip(f"no {version} with {PACKAGES} that user {STRANGER} can run")
    made = open_folder / "programs"
    making = [interpreter, "-I", "-m", "venv", "--without-pip", "--symlinks", made]
    subprocess.run(making, check=True, timeout=60)
    (made / "lib" / version / "site-packages" / "ours.pth").write_text(f"{PACKAGES}\n")
    for name in ("flower-supernode", "flower-superexec", "flwr-clientapp"):
        script = (Path(sys.executable).parent / name).read_text().partition("\n")[2]
        (made / "bin" / name).write_text(f"#!{made}/bin/python\n{script}")
        (made / "bin" / name).chmod(0o755)
    return made / "bin"


def usable(interpreter: Path) -> bool:
    looking = f"import sys; sys.path.insert(0, {str(PACKAGES)!r}); import flwr.clientapp"
    try:
        done = subprocess.run(
            [interpreter, "-I", "-c", looking],
            cwd="/",
            capture_output=True,
            timeout=60,
            check=False,
            **RIGHTS,
        )
    except OSError:
        return False
    return done.returncode == 0


class Attacked(Loopback):
    """One site with two users, one with one, and a third that never comes."""

    def __init__(self, folder: Path, programs: Path) -> None:
        super().__init__(folder, 3, courier_user=f"{STRANGER}:{STRANGER}", absent=("site-3",))
        self._programs = programs
        (folder / "drop").mkdir()
        (folder / "drop").chmod(0o777)

    def start(self, who: str) -> None:
        if who == "coordinator":
            for name in self.names:  # as the vault's user keeps them
                (self.folder / f"{name}.parquet").chmod(0o600)
            shutil.rmtree(self.folder / "site-3")
            super().start(who)
            return
        given = ["--courier-programs", str(self._programs)]
        if who == TOGETHER:
            subprocess.run(["chown", "-R", "0:0", self.folder / f"{who}.courier"], check=True)
            given = ["--same-user"]
        with open(self.folder / f"{who}.log", "ab") as log:
            self._running[who] = subprocess.Popen(
                [*command(), "site", "start", str(self.folder / who), *given],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def send_hostile_program(self) -> None:
        """As a coordinator can: the app bundle is made of this folder."""
        bundle = self.federation / "flower" / "fedcgan" / "fedcgan_courier.py"
        nodes = self.federation / "flower" / "nodes.json"
        self.wait(lambda: nodes.exists() and len(json.loads(nodes.read_text())) == 3, "no node may connect")
        assert "def carry" in bundle.read_text()
        shutil.copyfile(Path(__file__).with_name("hostile_app.py"), bundle)

    def sign(self, plan: Plan) -> None:
        """What a coordinator can sign, too: messages of a plan that nobody approved."""
        identity = Identity.load_or_create(self.federation / "identity.key")
        enrol = Enrol(plan=plan.to_json(), table=SCHEMA.model_dump_json().encode())
        contribute = Contribute(state=b"", attested=[])
        signed = {
            f"{message.kind} {step}": frames.sign(
                identity, message.kind, plan.hash, step, "coordinator", message.to_bytes()
            )
            .to_bytes()
            .hex()
            for message, step in (
                (enrol, ENROL_STEP),
                (contribute, COUNT_STEP),
                (contribute, "../../count"),
            )
        }
        given = {"plan": plan.hash, "body": contribute.to_bytes().hex(), "signed": signed}
        for name in (APART, TOGETHER):
            (self.folder / "drop" / f"{name}.frames").write_text(json.dumps(given))

    def took(self, name: str) -> dict:
        """What the hostile program says that it got at a site."""
        drop = self.folder / "drop"
        self.wait(lambda: list(drop.glob(f"{name}-*.json")), f"{name} ran no hostile program", 240)
        return json.loads(sorted(drop.glob(f"{name}-*.json"))[0].read_text())


def test_whatever_runs_in_the_couriers_place_gets_nothing(open_folder, programs):
    with Attacked(open_folder, programs) as federation:
        path, plan_hash = federation.plan()
        federation.send_hostile_program()
        federation.sign(Plan.from_json(path.read_bytes()))
        before = files(open_folder / APART)
        federation.of("run", str(path), "--detach")
        apart, together = federation.took(APART), federation.took(TOGETHER)

        assert apart["user"] == STRANGER
        assert [name for name, how in apart["took"].items() if how == "took"] == []
        assert apart["took"]["find the vault"] == "nothing"  # there was one to attack
        for name in REFUSED_AT_THE_DOOR | {name for name in apart["took"] if name.startswith("signed ")}:
            assert apart["took"][name] == "nothing", name  # an answer came, and it was a refusal
        assert len(apart["took"]) > 45

        check_site(federation, plan_hash, before)

        # negative control: the very program, with the vault's rights
        assert together["user"] == os.geteuid()
        assert {name for name, how in together["took"].items() if how == "took"} >= {
            "read identity.key",
            "read policy.toml",
            "read records",
            "list site",
        }


def check_site(federation, plan_hash, before) -> None:
    """The site is as it was, plus a proposed plan; its vault still serves the honest."""
    folder = federation.folder / APART
    site = Site(folder)
    assert site.ledger.entries() == []
    assert not (folder / "runs").exists()
    assert (folder / "proposed" / f"{plan_hash}.json").exists()
    assert not (folder / "approved").exists()
    assert {path: what for path, what in files(folder).items() if path in before} == before
    assert {path.stat().st_uid for path in folder.rglob("*")} == {0}
    assert ask(str(folder.with_name(f"{APART}.courier") / "vault.sock"), b"") == APART.encode()
    log = (folder / "site.log").read_text()
    for code in ("protocol-malformed", "protocol-signature", "protocol-not-approved"):
        assert code in log
    assert "turned away at the door" in log
    assert {line.kind for line in Outbox(folder).lines()} == {"name", "refused", "standing"}


def files(folder: Path) -> dict[str, bytes]:
    """What a stranger could have changed: everything that only the steward changes."""
    names = ("identity.key", "policy.toml", "ledger.jsonl", "ledger.head", "membership.json", "ca.crt")
    return {name: (folder / name).read_bytes() for name in names}

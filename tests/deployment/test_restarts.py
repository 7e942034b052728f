"""kill -9 of every kind of process of a federation, at random times of one run that waits for a late site."""

import json
import os
import random
import signal
import time

import pandas as pd

from client.site import Site
from client.verification import verify
from common.bench.loopback import Loopback, LoopbackError, made_up
from common.plan import Plan, attempted
from common.privacy.accounting import epsilon
from common.protocol.messages import Open
from server.run_folder import RunFolder

from . import takes_minutes

OF_SITES = ("vault", "supernode", "superexec", "clientapp")
KINDS = (
    *(f"site/{kind}" for kind in OF_SITES),
    *("serverapp", "superlink", "superexec", "edge"),  # of the coordinator
    *("start of site", "start of coordinator"),  # what looks after the others
)
PATIENCE = 900.0


class Chaos:
    """Kills one process of each kind, in random order and at random times."""

    def __init__(self, federation, seed):
        self.federation, self.seed = federation, seed
        self.random = random.Random(seed)
        self.left = self.random.sample(KINDS, len(KINDS))
        self.killed = []
        self.next = time.monotonic() + self.random.uniform(0, 10)

    def strike(self, phase):
        """One kill, if it is time, of the first kind of which there is a process."""
        if time.monotonic() < self.next:
            return
        for kind in self.left:
            if self._kill(kind):
                self.left.remove(kind)
                self.killed.append((kind, phase))
                self.next = time.monotonic() + self.random.uniform(1, 10)
                return

    def _kill(self, kind) -> bool:
        if kind.startswith("start of"):
            names = ["coordinator"] if kind.endswith("coordinator") else self.federation.names
            name = self.random.choice(names)
            self.federation.kill(name)
            self.federation.start(name)  # as systemd would
            return True
        found = []
        for name, pids in self.federation.processes().items():
            of_site, _, own = name.rpartition("/")
            if own == kind.rpartition("/")[2] and bool(of_site) == kind.startswith("site/"):
                found += pids
        if not found:
            return False
        os.kill(self.random.choice(found), signal.SIGKILL)
        return True


def go_on(federation, run, seen) -> str:
    """The phase of the run; it is taken up again if nobody conducts it any more."""
    status = run.status
    if not seen or seen[-1] != (status.state, status.phase):
        seen.append((status.state, status.phase))
    if status.state in ("failed", "interrupted"):
        assert status.failure is None or status.failure.code != "internal", (seen, status)
        try:
            federation.of("resume", "--detach")
        except LoopbackError as error:  # SuperLink is just being started again
            seen.append(str(error))
            time.sleep(2)
    return status.state if status.state == "finished" else status.phase


@takes_minutes
def test_every_kind_of_process_is_killed_and_the_run_completes(open_folder):
    seed = int(os.environ.get("FEDCGAN_CHAOS_SEED", random.SystemRandom().randrange(10**6)))
    with Loopback(open_folder, 3, absent=("site-3",)) as federation:
        path, plan_hash = federation.plan(schedule="every-step", rounds=2, sample_rate=0.1)
        federation.of("run", str(path), "--detach", "--answer-within", "3m")
        run, seen = RunFolder(federation.federation / "runs" / plan_hash), []
        federation.wait(lambda: run.status.sites["site-3"].state == "gone", "the late site is not missed")
        federation.start("site-3")
        federation.approve(plan_hash)
        chaos = Chaos(federation, seed)
        deadline = time.monotonic() + PATIENCE
        while (phase := go_on(federation, run, seen)) != "finished":
            assert time.monotonic() < deadline, (seed, chaos.killed, seen, run.status)
            chaos.strike(phase)
            time.sleep(0.3)
        story = (seed, chaos.killed, seen)
        assert len(chaos.killed) >= len(KINDS) - 1, story  # the last one may come too late
        plan = Plan.from_json(path.read_bytes())
        check_ledgers(federation, plan, run, story)
        check_quality(federation, run, story)


def check_ledgers(federation, plan, run, story):
    """What was charged at the sites is what the report says, or more; no step was opened for two sums."""
    report = json.loads((run.folder / "release" / "report.json").read_text())
    sums = {}
    for name in federation.names:
        site = Site(federation.folder / name)
        verify(site)  # the chain is whole, and every stored answer was charged
        charges = [charge for charge in site.ledger.entries() if charge.plan == plan.hash]
        steps = [charge.step for charge in charges]
        assert len(set(steps)) == len(steps), (story, steps)
        assert {attempted(step)[0] for step in steps} == set(plan.steps), story
        spent = epsilon([charge.mechanism for charge in charges], plan.privacy.delta)
        assert spent >= report["epsilon"] - 1e-3, story
        answers = site.run_folder(plan.hash) / "answers"
        given = {path.stem for path in answers.glob(f"*.{Open.kind}-*")}
        opened = {path.stem: path.read_bytes() for path in answers.glob("*.opened")}
        assert given <= set(opened), story
        for step, digest in opened.items():
            assert sums.setdefault(step, digest) == digest, (story, step)


def check_quality(federation, run, story):
    """The synthetic records look like the sites': sums that were lost or counted twice would not."""
    drawn = pd.read_csv(run.folder / "release" / "synthetic.csv")
    real = pd.concat([made_up(number) for number in range(len(federation.names))])
    facts = json.loads((run.folder / "release" / "generator.json").read_text())
    assert abs(facts["records_estimated"] - len(real) // 2) < 150, story
    for column in ("smoker", "outcome"):
        away = drawn[column].value_counts(normalize=True) - real[column].value_counts(normalize=True)
        assert away.abs().sum() / 2 < 0.12, story

"""kill -9 of every kind of process of a federation, at random times of one run."""

import json
import os
import random
import signal
import time

import pandas as pd

from client.answers import Answers
from client.site import Site
from client.verification import verify
from common.bench.loopback import Loopback, made_up
from common.plan import Plan, attempted
from common.privacy.accounting import epsilon
from common.protocol.messages import Open

KINDS = ("vault", "supernode", "clientapp", "serverapp", "superlink", "superexec", "edge")
SEED = random.SystemRandom().randrange(10**6)
PATIENCE = 900.0


def kill_one(federation, kind, choice) -> bool:
    """kill -9 of a process of this kind, if there is one now."""
    found = [
        pid
        for name, pids in federation.processes().items()
        if name.rpartition("/")[2] == kind
        for pid in pids
    ]
    if not found:
        return False
    os.kill(choice.choice(found), signal.SIGKILL)
    return True


def go_on(federation) -> str:
    """The state of the run; taken up again if nobody conducts it any more."""
    state = federation.status()["state"]
    if state in ("failed", "interrupted"):
        federation.of("resume", "--detach")
    return state


def test_every_kind_of_process_is_killed_and_the_run_completes(open_folder):
    choice = random.Random(SEED)
    kinds = list(KINDS)
    choice.shuffle(kinds)
    with Loopback(open_folder, 3) as federation:
        path, plan_hash = federation.plan(schedule="every-step", rounds=2, sample_rate=0.1)
        federation.of("run", str(path), "--detach")
        federation.approve(plan_hash)
        killed = []
        deadline = time.monotonic() + PATIENCE
        while (state := go_on(federation)) != "finished":
            assert time.monotonic() < deadline, (SEED, killed, federation.status())
            if kinds and kill_one(federation, kinds[0], choice):
                killed.append((kinds.pop(0), state))
                time.sleep(choice.uniform(1, 8))
            time.sleep(0.3)
        plan = Plan.from_json(path.read_bytes())
        run = federation.federation / "runs" / plan_hash
        report = json.loads((run / "release" / "report.json").read_text())
        assert len(killed) >= len(KINDS) - 2, (SEED, killed)  # the run may end before the last ones
        check_ledgers(federation, plan, report, killed)
        check_quality(federation, run)


def check_ledgers(federation, plan, report, killed):
    """What was charged at the sites is what the report says, or more; no step was opened for two sums."""
    for name in federation.names:
        site = Site(federation.folder / name)
        verify(site)  # the chain is whole, and every stored answer was charged
        charges = [charge for charge in site.ledger.entries() if charge.plan == plan.hash]
        steps = [charge.step for charge in charges]
        assert len(set(steps)) == len(steps), (SEED, killed, steps)
        assert {attempted(step)[0] for step in steps} == set(plan.steps)
        spent = epsilon([charge.mechanism for charge in charges], plan.privacy.delta)
        assert spent >= report["epsilon"] - 1e-3
        answers = Answers(site.run_folder(plan.hash))
        opened = {path.stem for path in (site.run_folder(plan.hash) / "answers").glob("*.opened")}
        given = {path.stem for path in (site.run_folder(plan.hash) / "answers").glob(f"*.{Open.kind}-*")}
        assert given <= opened | {"proof"}, (SEED, killed)
        assert answers is not None


def check_quality(federation, run):
    """The synthetic records look like the sites': sums that were lost or counted twice would not."""
    drawn = pd.read_csv(run / "release" / "synthetic.csv")
    real = pd.concat([made_up(number) for number in range(len(federation.names))])
    estimated = json.loads((run / "release" / "generator.json").read_text())["records_estimated"]
    assert abs(estimated - real.patient.nunique()) < 150
    for column in ("smoker", "outcome"):
        away = drawn[column].value_counts(normalize=True) - real[column].value_counts(normalize=True)
        assert away.abs().sum() / 2 < 0.12

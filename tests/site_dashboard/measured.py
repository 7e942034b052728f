"""How long each page takes at a site that has done much: ``python -m tests.site_dashboard.measured``.

100,000 lines of outbox, 100,000 events, a ledger of 4,000 charges, each with its answer, over ten plans of
which the last waits. Figures for docs/dashboard-site.md; no test.
"""

import hashlib
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from client.answers import Answers
from client.dashboard.application import NAV, make
from client.proposals import Proposals
from client.site import Site
from common.events import Answered as AnswerLeft
from common.plan import Plan
from common.privacy.entries import Answered, Charge, Outcome, encoded
from common.privacy.mechanism import SampledGaussian
from tests import toy
from tests.web.browser import served
from tests.web.inside import Inside

CHARGES, LINES, PLANS = 4_000, 100_000, 10
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def plans_of(run) -> list[Plan]:
    return [run.plan.model_copy(update={"run": f"run {number}"}) for number in range(PLANS + 1)]


def ledger(site: Site, plans: list[Plan]) -> None:
    """Nine parts DP-SGD, as schedule every-step charges it."""
    lines = [encoded({"ledger": 2, "dataset": site.policy.dataset})]

    def write(kind, **facts):
        previous = hashlib.sha256(lines[-1]).hexdigest()
        when = (BEGAN + timedelta(minutes=len(lines))).isoformat(timespec="seconds")
        entry = kind(sequence=len(lines), previous=previous, time=when, **facts)
        lines.append(encoded(entry.model_dump()))

    unit = plans[0].privacy.unit
    for number in range(CHARGES):
        plan, step = plans[number * PLANS // CHARGES].hash, f"train-{number % (CHARGES // PLANS) + 1:04d}"
        paid = SampledGaussian(noise_multiplier=2.0 + plans[0].seed, sample_rate=0.01, steps=1)
        write(Charge, plan=plan, step=step, mechanism=paid, unit=unit, sensitivity=1.0)
        raw = step.encode()
        write(Answered, plan=plan, step=step, answer=hashlib.sha256(raw).hexdigest())
        Answers(site.folder / "runs" / plan).keep("contribute", step, b"asked", raw)
        if (number + 1) % (CHARGES // PLANS) == 0:
            write(Outcome, plan=plan, step="", outcome="finished", reason="")
    (site.folder / "ledger.jsonl").write_bytes(b"".join(lines))
    head = {"lines": len(lines) - 1, "last": hashlib.sha256(lines[-1]).hexdigest()}
    (site.folder / "ledger.head").write_bytes(encoded(head))


def lists(site: Site, plans: list[Plan]) -> None:
    """Outbox and events."""
    with open(site.folder / "outbox.jsonl", "w") as outbox, open(site.folder / "events.jsonl", "w") as events:
        for number in range(LINES):
            when, plan = BEGAN + timedelta(minutes=number), plans[number * PLANS // LINES].hash
            step, kind = f"train-{number % 4000 + 1:04d}", ("contribution", "opened")[number % 2]
            digest = hashlib.sha256(str(number).encode()).hexdigest()
            outbox.write(
                f'{{"time":"{when.isoformat()}","kind":"{kind}","plan":"{plan}","step":"{step}",'
                f'"bytes":246033,"sha256":"{digest}"}}\n'
            )
            event = AnswerLeft(time=when, plan=plan, step=step, message="contribute", bytes=246_033)
            events.write(event.model_dump_json() + "\n")
    (site.folder / "events.jsonl").replace(site.folder / "events-1.jsonl")


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="measured-"))
    run = toy.run_folder(folder / "run")
    site, plans = Site(folder / "run" / "sites" / "site-east"), plans_of(run)
    for plan in plans:
        Proposals(site.folder).propose(plan, run.schema.model_dump_json().encode())
    for plan in plans[:-1]:
        Proposals(site.folder).approve(plan.hash)
    policy = site.folder / "policy.toml"
    policy.write_text(policy.read_text().replace("epsilon_cap = 3.0", "epsilon_cap = 10.0"))
    ledger(site, plans)
    lists(site, plans)
    with served(lambda port: make(site.folder, read_only=False, port=port)) as (web, _):
        began = time.perf_counter()
        web.app.state.site.warm()
        sys.stdout.write(f"warm up, before the link is shown: {time.perf_counter() - began:.2f} s\n")
        with Inside(web) as inside:
            waiting = f"/plans/{plans[-1].hash}"
            pages = [path for _, path in NAV] + [
                waiting,
                "/outbox?page=1000",
                f"/outbox?plan={plans[3].hash}",
            ]
            for page in pages:
                times = []
                for _ in range(6):
                    began = time.perf_counter()
                    assert inside.get(page).status_code == 200, page
                    times.append(1000 * (time.perf_counter() - began))
                sys.stdout.write(
                    f"{page[:24]:24} first {times[0]:6.0f} ms, then {median(times[1:]):6.0f} ms\n"
                )
            began = time.perf_counter()
            while "hx-trigger" in inside.get("/budget/part").text:
                time.sleep(0.05)
            sys.stdout.write(f"chain verified {time.perf_counter() - began:.2f} s later\n")


if __name__ == "__main__":
    main()

"""How long each page takes of a run with many sites: ``python -m tests.dashboard.measured``.

200 sites, 100,000 events of schedule ``every-step``; a new event before each request. Figures for
docs/dashboard-coordinator.md; no test.
"""

import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from common.config import Federation, Sites
from common.event_log import run_log
from common.events import Looked, Measured, SiteStands, Stage, Summed, Turned
from common.planning import make_plan, stand_in
from server.dashboard.application import dashboard
from server.dashboard.places import find
from server.recorded import began
from server.run_folder import RunFolder
from tests import toy
from tests.web.browser import served
from tests.web.inside import Inside

SITES, EVENTS, REPEATS = 200, 100_000, 7
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def history(plan):
    """Rounds in which a few sites are busy and ready again, and one sum is opened."""
    names, rounds = plan.federation.names, EVENTS // 9
    for number in range(1, rounds + 1):
        when = BEGAN + timedelta(seconds=20 * number)
        done = number * 2000 // rounds
        for place in range(3):
            site = names[(3 * number + place) % SITES]
            yield SiteStands(time=when, site=site, state="busy")
            yield SiteStands(time=when + timedelta(seconds=5), site=site, state="ready")
        step = f"train-{done:04}"
        yield Summed(
            time=when, step=step, contributors=199, missing=names[:1], up=10**8, down=10**7, seconds=9.5
        )
        yield Stage(time=when, phase="train", done=done, total=2000, epsilon=3 * number / rounds)
        yield Measured(time=when, name="fakes_told", step=done, value=0.7)
        if number % 200 == 0:
            yield Looked(time=when, step=step, samples="")


def main() -> None:
    out = Path(tempfile.mkdtemp(prefix="measured-")) / "large"
    folder = out.with_name("large.run")
    (folder / "sites").mkdir(parents=True)
    config = toy.config(sites=Sites(count=SITES), federation=Federation(threshold=11))
    plan = make_plan(config, toy.SCHEMA, stand_in(config), "large-000000000000")
    (folder / "schema.toml").write_text(toy.SCHEMA.to_toml())
    (folder / "plan.json").write_bytes(plan.to_json())
    log = run_log(folder)
    log.append(began(plan, toy.SCHEMA))
    log.append(Turned(time=BEGAN, state="running"))
    with open(folder / "events.jsonl", "a") as file:
        file.writelines(event.model_dump_json() + "\n" for event in history(plan))
    shown = find(out)
    serving = served(lambda port: dashboard(shown, None, read_only=False, port=port))
    with RunFolder(folder).alone(), serving as (web, _):
        start = time.perf_counter()
        with Inside(web) as inside:
            first = 1e3 * (time.perf_counter() - start)
            sys.stdout.write(f"the first page, for which the log is folded: {first:.0f} ms\n")
            run = f"/runs/{plan.hash[:12]}"
            for path in ("/", run, f"{run}/sites", "/releases", "/playground"):
                timed(inside, path, log)


def timed(inside, path, log) -> None:
    """One page, several times, each with something new to show."""
    times = []
    for number in range(REPEATS):
        log.append(Stage(phase="train", done=number, total=2000, epsilon=3.0))
        time.sleep(0.5)  # until the run is looked at anew
        start = time.perf_counter()
        assert inside.get(path).status_code == 200, path
        times.append(1e3 * (time.perf_counter() - start))
    sys.stdout.write(f"{path}: {median(times):.0f} ms ({min(times):.0f} - {max(times):.0f})\n")


if __name__ == "__main__":
    main()

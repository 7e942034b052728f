"""Start, stop, go on: what the command line does, in a thread, so that no page waits for SuperLink."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from common.errors import ConfigError
from common.plan import Plan
from common.web.application import Form, see_other

from ..run_folder import RunFolder
from ..starting import Times, begin, make_run, renew, stop
from .desk import Desk
from .places import key_of

STARTING = "The run is being started; SuperLink takes some seconds."


def start(desk: Desk, plan: Plan, times: Times) -> str:
    """Make the run of a plan and start it. Returns its key. Raises as ``make_run``."""
    run = make_run(desk.federation, plan, times)
    _begin(desk, run, key_of(plan.hash))
    return key_of(plan.hash)


def add(desk: Desk) -> None:
    """Register them."""

    @desk.web.action("/runs/{key}/stop")
    def stopped(request: Request, form: Form) -> Response:
        del form
        run, engine = desk.runs.get(request.path_params["key"]), desk.engine
        if engine is None or not run.place.deployed:
            raise ConfigError("a simulation ends where it was started", hint="Ctrl-C in its terminal")
        folder = RunFolder(run.place.folder)
        desk.jobs.begin(run.key, "The run is being stopped.", lambda: stop(folder, engine))
        return see_other(f"/runs/{run.key}")

    @desk.web.action("/runs/{key}/resume")
    def resumed(request: Request, form: Form) -> Response:
        del form
        run = desk.runs.get(request.path_params["key"])
        if desk.engine is None or not run.place.deployed:
            raise ConfigError(
                "a simulation goes on where it was started", hint="fedcgan simulate CONFIG --resume"
            )
        folder = RunFolder(run.place.folder)
        renew(desk.federation, folder)
        if not folder.is_conducted():
            _begin(desk, folder, run.key)
        return see_other(f"/runs/{run.key}")


def _begin(desk: Desk, run: RunFolder, key: str) -> None:
    engine = desk.engine
    assert engine is not None
    logs = desk.federation.folder / "flower"
    desk.jobs.begin(key, STARTING, lambda: begin(run, engine, logs))

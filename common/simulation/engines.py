"""Two engines for one run folder: everything in this process, or Flower's simulation engine on Ray.

Both drive the real ServerApp and ClientApp, named as Flower names them, with real Flower messages.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

SERVER_APP, CLIENT_APP = "server.app", "client.app"

Engine = Literal["inproc", "ray"]


def run(engine: Engine, folder: Path, sites: int) -> None:
    """Run the plan in ``folder`` with ``sites`` nodes. Typed errors of the coordinator come out here."""
    os.environ["FEDCGAN_RUN"] = str(folder.resolve())
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if engine == "inproc":
        _run_inproc(folder, sites)
    else:
        _run_ray(sites)


def _run_inproc(folder: Path, sites: int) -> None:
    import torch
    from flwr.app import Context, RecordDict

    from .inproc import RUN_ID, InProcessGrid

    torch.set_num_threads(1)  # the networks are small: threads would wait for each other

    run_config = {"run-dir": str(folder.resolve())}
    grid = InProcessGrid(import_module(CLIENT_APP).app, sites, run_config)
    context = Context(RUN_ID, 1, {}, RecordDict(), dict(run_config))
    import_module(SERVER_APP).app(grid, context)


def _run_ray(sites: int) -> None:
    from flwr.serverapp import ServerApp
    from flwr.simulation import run_simulation

    source = str(Path(import_module(SERVER_APP).__file__ or "").resolve().parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join([source, *_python_path()])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    failure: list[BaseException] = []
    app = ServerApp()

    @app.main()
    def main(grid: Any, context: Any) -> None:
        try:
            import_module(SERVER_APP).app(grid, context)
        except BaseException as error:  # Flower logs and forgets it; the caller must see it
            failure.append(error)

    run_simulation(
        app,
        import_module(CLIENT_APP).app,
        num_supernodes=sites,
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {"include_dashboard": False, "log_to_driver": False},
        },
    )
    if failure:
        raise failure[0]


def _python_path() -> Iterable[str]:
    return [entry for entry in sys.path if entry]

"""A whole federation on this machine: every command as people give it, every process the real one."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
import tomli_w

from ..columns import CategoryColumn, NumberColumn
from ..errors import FedcganError
from ..launch import command
from ..processes import children, command_line
from ..schema import TableSchema
from .slow_network import SlowNetwork

SCHEMA = TableSchema(
    name="loopback",
    subject="patient",
    columns=(
        NumberColumn(name="age", bounds=(0, 100), decimals=0, cuts=(20, 40, 60, 80), unit="years"),
        CategoryColumn(name="smoker", categories=("no", "yes")),
        CategoryColumn(name="grade", categories=(1, 2, 3), ordered=True),
        CategoryColumn(name="outcome", categories=("well", "ill"), condition=True),
    ),
)
_RECORDS = 400
_PATIENCE = 600.0


class LoopbackError(FedcganError):
    """A command of the federation on this machine failed."""

    code = "loopback"


class Loopback:
    """A coordinator and ``sites`` sites with made-up records, joined and admitted; started by ``with``.

    folder: an empty one; rehearse: with every site that comes online; courier_user: another user, for root;
    absent: sites that are not started by ``with``; rows: made-up ones of a site, two a patient
    round_trip, megabits: of every site's link to the coordinator, see ``SlowNetwork``; not slowed if None
    The edge is nginx, or none where there is no nginx.
    """

    def __init__(
        self,
        folder: Path,
        sites: int,
        *,
        rehearse: bool = False,
        courier_user: str | None = None,
        absent: tuple[str, ...] = (),
        rows: int = _RECORDS,
        round_trip: float | None = None,
        megabits: float | None = None,
    ) -> None:
        self.folder = folder
        self._rows = rows
        self.names = [f"site-{number}" for number in range(1, sites + 1)]
        self.federation = folder / "federation"
        self._courier_user = courier_user
        self._rehearse = rehearse
        self._absent = absent
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._port, self._link_port = _free_ports(2)
        slow = round_trip is not None or megabits is not None
        self._network = SlowNetwork(self._port, round_trip or 0.0, megabits) if slow else None

    def __enter__(self) -> Self:
        try:
            self._found()
            self.start("coordinator")
            for name in self.names:
                if name not in self._absent:
                    self.start(name)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._running):
            self.end(name)
        if self._network is not None:
            self._network.stop()

    def ask(self, *arguments: str, patience: float = _PATIENCE) -> dict[str, Any]:
        """One command with ``--json``: its data. Raises LoopbackError with what it said."""
        done = subprocess.run(  # noqa: S603 (no shell)
            [*command(), *arguments, "--json"],
            cwd=self.folder,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=patience,
            check=False,
        )
        try:
            said = json.loads(done.stdout)
        except ValueError as error:
            raise LoopbackError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}") from error
        if said["status"] != "ok":
            problem = said["error"]
            raise LoopbackError(f"{' '.join(arguments)}: {problem['code']}: {problem['message']}")
        data: dict[str, Any] = said["data"]
        return data

    def of(self, *arguments: str, patience: float = _PATIENCE) -> dict[str, Any]:
        """A command of the coordinator."""
        return self.ask(*arguments, "--federation", str(self.federation), patience=patience)

    def start(self, who: str) -> None:
        """Start the coordinator's programs or a site's."""
        rehearse = "--rehearse" if self._rehearse else "--no-rehearse"
        same = [] if self._courier_user else ["--same-user"]
        arguments = {
            "coordinator": ["federation", "start", "--federation", str(self.federation), rehearse],
        }.get(who, ["site", "start", str(self.folder / who), *same])
        with open(self.folder / f"{who}.log", "ab") as log:
            self._running[who] = subprocess.Popen(  # noqa: S603 (no shell)
                [*command(), *arguments],
                cwd=self.folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self, who: str) -> None:
        """End them as a person would."""
        process = self._running.pop(who)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self, who: str) -> None:
        """kill -9 of what looks after the coordinator's or a site's programs."""
        process = self._running.pop(who)
        process.kill()
        process.wait()

    def plan(self, *, least: int | None = None, small: bool = True, **training: Any) -> tuple[Path, str]:
        """A plan of all sites: its file and its hash.

        least: sites that a sum needs, all if None; small: networks and a fit of seconds, not the usual ones
        """
        enough = {} if least is None else {"min_contributors": least}
        model = {"latent": 8, "generator_hidden": [16], "discriminator_hidden": [16]} if small else {}
        fit = {"fit_steps": 40} if small else {}
        wanted = {
            "name": "loopback",
            "federation": {"threshold": len(self.names) // 2 + 1, **enough},
            "privacy": {"epsilon": 3.0, "delta": 1e-5},
            "model": model,
            "training": {"records_per_site": self._rows // 4, **fit, **training},
        }
        number = len(list(self.folder.glob("run-*.toml"))) + 1
        path = self.folder / f"run-{number}.toml"
        path.write_text(tomli_w.dumps(wanted), "utf-8")
        out = self.folder / f"plan-{number}.json"
        return out, self.of("plan", "new", str(path), "-o", str(out))["plan"]

    def approve(self, plan: str, patience: float = _PATIENCE) -> None:
        """Every steward approves, as soon as the plan has come to the site."""
        for name in self.names:
            proposed = self.folder / name / "proposed" / f"{plan}.json"
            self.wait(proposed.exists, f"{name} has not been asked", patience)
            self.ask("site", "approve", str(self.folder / name), plan)

    def status(self) -> dict[str, Any]:
        """Of the latest run."""
        return self.of("status")

    def wait(self, is_so: Any, otherwise: str, patience: float = _PATIENCE) -> None:
        """Until ``is_so()``. Raises LoopbackError."""
        deadline = time.monotonic() + patience
        while not is_so():
            if time.monotonic() > deadline:
                raise LoopbackError(otherwise)
            time.sleep(0.2)

    def processes(self) -> dict[str, list[int]]:
        """Process ids by what they are: superlink, superexec, edge, serverapp; SITE/ and vault, supernode,
        superexec, clientapp."""
        found: dict[str, list[int]] = {}
        known = children()
        for who, process in self._running.items():
            for pid in _tree(process.pid, known):
                if (kind := _kind(pid)) is not None:
                    key = kind if who == "coordinator" else f"{who}/{kind}"
                    found.setdefault(key, []).append(pid)
        return found

    def _found(self) -> None:
        schema = self.folder / "schema.toml"
        schema.write_text(SCHEMA.to_toml(), "utf-8")
        edge = "nginx" if shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin") else "none"
        made = ["federation", "init", str(self.federation), "--name", "loopback", "--schema", str(schema)]
        made += ["--address", f"localhost:{self._port}", "--edge", edge]
        self.ask(*made, *(["--link-port", str(self._link_port)] if edge == "nginx" else []))
        if self._network is not None:
            self._network.start()
        for number, name in enumerate(self.names):
            records = self.folder / f"{name}.parquet"
            made_up(number, self._rows).to_parquet(records)
            records.chmod(0o600)
            self.of("federation", "invite", name)
            joined = ["site", "join", f"{name}.kit.zip", "--records", str(records)]
            user = ["--courier-user", self._courier_user] if self._courier_user else []
            self.ask(*joined, "--epsilon-cap", "1000", "--delta", "1e-5", *user)
            self.of("federation", "admit", f"{name}.reply.json")
            if self._network is not None:
                self._lead_astray(self.folder / name, self._network.port)

    def _lead_astray(self, site: Path, port: int) -> None:
        """Have a site connect to another port of this machine, where a relay is."""
        path = site / "membership.json"
        path.write_text(path.read_text("utf-8").replace(f"localhost:{self._port}", f"localhost:{port}"))


def made_up(seed: int, rows: int = _RECORDS) -> pd.DataFrame:
    """Records of nobody, two rows a patient, in which columns depend on each other."""
    random = np.random.default_rng(seed)
    age = random.integers(0, 101, rows)
    ill = random.random(rows) < age / 120
    return pd.DataFrame(
        {
            "patient": np.arange(rows) // 2,
            "age": age,
            "smoker": np.where(random.random(rows) < 0.2 + 0.3 * ill, "yes", "no"),
            "grade": random.integers(1, 4, rows),
            "outcome": np.where(ill, "ill", "well"),
        }
    )


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}


def _free_ports(count: int) -> list[int]:
    """Below those that the system gives to callers: what is started again must find its port free."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as one:
            if port not in found and one.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found


_KINDS = {
    "flower-superlink": "superlink",
    "flower-supernode": "supernode",
    "flower-superexec": "superexec",
    "flwr-serverapp": "serverapp",
    "flwr-clientapp": "clientapp",
    "nginx": "edge",
}


def _kind(pid: int) -> str | None:
    """What a process is, by its command line."""
    words = command_line(pid)
    for word in words[:3]:
        name = Path(word).name.split(":")[0]
        if name in _KINDS:
            return _KINDS[name]
    return "vault" if ("site", "vault") in pairwise(words) else None


def _tree(pid: int, known: dict[int, list[int]]) -> list[int]:
    found = [pid]
    for child in known.get(pid, []):
        found += _tree(child, known)
    return found

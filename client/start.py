"""A site at work: its vault, and a SuperNode that carries messages to it, each as a user of its own."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from common.errors import ConfigError, NotJoinedError, RehearsalError
from common.launch import QUIET_FLOWER, command
from common.supervision import Program, Supervisor
from common.terminal import say

from .door import SOCKET, Door, alone
from .membership import Membership, courier_folder
from .ownership import Owner, Owners
from .record_files import holding
from .rehearsals import Rehearsed, rehearsals
from .site import Site


def start(folder: Path, same_user: bool, programs: Path | None = None) -> None:
    """Run both until SIGTERM or SIGINT; what dies is started again.

    same_user: that the courier may have the vault's rights: whatever the coordinator sends then reads records
    programs: folder of the courier's ``flower-supernode``, if its environment is another one than ours
    Raises NotJoinedError; ConfigError if the two are one user and that was not allowed, if they are two and
    we are not root, or if the courier's could read the records.
    """
    site = _supervised(folder, same_user, programs)
    say(
        f"{folder.absolute().name}: vault and courier are running; logs: {folder}/site.log, courier.log; "
        "Ctrl-C ends both"
    )
    site.run()


def dry_run(folder: Path, same_user: bool, patience: float, programs: Path | None = None) -> Rehearsed:
    """Run both until a rehearsal with the coordinator is over: the whole protocol, on made-up records.

    Raises as ``start``; RehearsalError if none is over in ``patience`` seconds, StorageError if the site is
    at work already: then it rehearses whenever its courier has connected.
    """
    site, before = _supervised(folder, same_user, programs), set(rehearsals(folder))
    with alone(folder):
        pass
    deadline = time.monotonic() + patience
    found: list[Rehearsed] = []

    def look() -> None:
        found.extend(one for one in rehearsals(folder) if one not in before and one.finished)
        if found or time.monotonic() > deadline:
            site.stop()

    say("waiting for the coordinator's rehearsal; it begins within a minute after we are online")
    site.run(look)
    if not found:
        raise RehearsalError(
            "no rehearsal was over in time",
            hint=f"does the coordinator run 'fedcgan federation start'? See {folder}/site.log, courier.log",
        )
    return found[0]


def _supervised(folder: Path, same_user: bool, programs: Path | None) -> Supervisor:
    membership, courier = Membership.load(folder), courier_folder(folder)
    vault_owner, courier_owner = _owner(folder), _owner(courier / "flower")
    _check_users(vault_owner, courier_owner, same_user)
    if vault_owner.user != courier_owner.user and os.geteuid() != 0:
        raise ConfigError(
            "only root can start programs of two users",
            hint="sudo fedcgan site start ..., or one service each: fedcgan site vault, fedcgan site courier",
        )
    if vault_owner.user != courier_owner.user:
        Owners(vault_owner, courier_owner).check()  # a backup may have given its folder to root
        if (open_to_it := courier_owner.reaches(holding(Site(folder).records))) is not None:
            raise ConfigError(
                f"the courier's user {courier_owner.user} can read the records, {open_to_it}",
                hint=f"so could code that the network brings: chmod -R go= {open_to_it}",
            )
    ours = Owner.ours()
    vault = _vault(folder, None if vault_owner == ours else vault_owner, same_user)
    rights = None if courier_owner == ours else courier_owner
    # of the courier's own folder root reads nothing: what lies there may be a link to anything
    carrier = _courier(courier, membership.address, folder / "courier.log", rights, programs)
    return Supervisor([vault, carrier], lambda text: say(f"{membership.site}: {text}"))


def serve_vault(folder: Path, same_user: bool) -> None:
    """The vault alone, in this process, until it is ended.

    same_user: as for ``start``. Raises NotJoinedError, StorageError, ConfigError.
    """
    from .vault import Vault

    Membership.load(folder)
    courier = courier_folder(folder)
    ours, theirs = Owner.ours(), _owner(courier / "flower")
    _check_users(ours, theirs, same_user)
    Door(Vault(folder), courier, frozenset({ours.user, theirs.user})).serve()


def keep_courier(courier: Path) -> None:
    """The SuperNode of the site with this courier's folder, until SIGTERM or SIGINT; it has our output.

    Raises NotJoinedError.
    """
    try:
        address = (courier / "flower" / "address").read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise NotJoinedError(
            f"{courier} is not a courier's folder", hint="fedcgan site join makes it"
        ) from error
    Supervisor([_courier(courier, address, None, None, None)], say).run()


def _check_users(vault: Owner, courier: Owner, same_user: bool) -> None:
    if vault.user == courier.user and not same_user:
        raise ConfigError(
            "vault and courier have the same user: code that the network brings could read the records",
            hint="join again as root with --courier-user, or say --same-user, for tests with made-up records",
        )


def _vault(folder: Path, owner: Owner | None, same_user: bool) -> Program:
    allowed = ("--same-user",) if same_user else ()
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "CUDA_VISIBLE_DEVICES") if name in os.environ}
    return Program(
        name="vault",
        command=(*command(), "site", "vault", *allowed, str(folder.absolute())),
        environment={**kept, "HOME": str(folder.absolute()), "OMP_NUM_THREADS": _threads(), **QUIET_FLOWER},
        folder=folder,
        log=folder / "vault.log",
        user=owner.user if owner else None,
        group=owner.group if owner else None,
    )


def _courier(
    courier: Path, address: str, log: Path | None, owner: Owner | None, programs: Path | None
) -> Program:
    """The SuperNode. Of the environment it gets a path and no more."""
    courier = courier.absolute()
    flower = courier / "flower"
    programs = programs.absolute() if programs else Path(sys.executable).parent
    home = flower / "home"
    return Program(
        name="courier",
        command=(
            *(str(programs / "flower-supernode"), "--superlink", address),
            *("--root-certificates", str(flower / "ca.crt")),
            *("--auth-supernode-private-key", str(flower / "node.key")),
            *("--host", "127.0.0.1"),
            *("--node-config", f'vault="{courier / SOCKET}"'),
        ),
        port="--port",  # for what SuperNode and its own processes say to each other on this machine
        child="flower-superexec",  # it starts what carries a message; SuperNode waits for it for ever
        advice="the coordinator lets it in once it was admitted, and a minute after it was killed",
        environment={
            "PATH": os.pathsep.join((str(programs), os.defpath)),
            "HOME": str(flower),
            "FLWR_HOME": str(home),
            "OMP_NUM_THREADS": "1",
            "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.5",
            **QUIET_FLOWER,
        },
        folder=flower,
        log=log,
        user=owner.user if owner else None,
        group=owner.group if owner else None,
    )


def _owner(folder: Path) -> Owner:
    try:
        status = folder.stat()
    except OSError as error:
        raise NotJoinedError(f"there is no {folder}", hint="fedcgan site join makes it") from error
    return Owner(status.st_uid, status.st_gid)


def _threads() -> str:
    """Few are enough for these networks; more wait for each other where several sites share a machine."""
    return os.environ.get("OMP_NUM_THREADS", "1")

"""Checks of the machine a site runs on: clock, disk, memory, device, and the courier beside the vault.

Each is quick, changes nothing and needs no network.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from datetime import datetime
from pathlib import Path

from common.authority import valid_at
from common.crypto.parameters import MOST_OPENINGS
from common.limits import array_claims
from common.modalities.array_layout import ArrayLayout
from common.phases import ArrayMeasure
from common.plain_text import size
from common.plan import Plan
from common.schema import ArraySchema, Schema

from .device import Device, free_memory
from .finding import Finding
from .membership import Membership, courier_folder, load_authority
from .ownership import SHARED_MODE
from .plan_costs import leaving

_KEYS = 8 << 20  # bytes of a run's keys, and of what was said to make them
_A_STEP = 1 << 15  # bytes that stay of a step once it is over: names, hashes, lines of ledger and outbox
_SPARE = 1 << 30  # bytes of a disk below which one should look after it
_PROCESS = 700 << 20  # bytes of a vault's process before it has work, libraries included
_AT_ONCE = 4  # copies of a contribution while it is made, stored and sent
_DOUBLE = 8


def clock(folder: Path, membership: Membership | None, now: datetime) -> Finding:
    """Whether this machine's time can be right: certificates are refused by a wrong one."""
    if membership is None:
        return Finding("clock", "skipped", "no membership says when the site joined")
    authority = load_authority(folder)
    shown = f"this machine's clock shows {now.isoformat(timespec='seconds')}"
    if now < membership.joined:
        return Finding.failed("clock", f"{shown}, the site joined at {membership.joined}", "set the clock")
    if not valid_at(authority, now):
        until = f"{authority.not_valid_before_utc} to {authority.not_valid_after_utc}"
        return Finding.failed(
            "clock",
            f"{shown}, the federation's certificate authority is valid from {until}",
            "set the clock, or ask the coordinator whether the certificate was renewed",
        )
    synchronised = _synchronised()
    if synchronised is False:
        return Finding(
            "clock", "warning", f"{shown}, and is not synchronised", "timedatectl set-ntp true, or the like"
        )
    known = "" if synchronised else "; whether it is synchronised could not be told"
    return Finding("clock", "ok", shown + known)


def _synchronised() -> bool | None:
    """Whether something keeps the clock right; None where systemd cannot say."""
    command = shutil.which("timedatectl")
    if command is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            [command, "show", "--property=NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"yes": True, "no": False}.get(done.stdout.strip())


def disk(folder: Path, plan: Plan, schema: Schema) -> Finding:
    """Whether a run's answers fit: a site keeps those of the current step whole. Raises as ``leaving``."""
    entries = leaving(plan, schema)
    steps = sum(entry.times for entry in entries)
    largest = max(2 * entry.bytes + MOST_OPENINGS * entry.opening_bytes for entry in entries)
    needed, free = _KEYS + largest + steps * _A_STEP, shutil.disk_usage(folder).free
    sentence = f"{size(free)} are free, the run needs about {size(needed)}"
    if free < needed:
        return Finding.failed("disk", sentence, f"free some space where {folder} lies")
    if free < needed + _SPARE:
        return Finding("disk", "warning", sentence, "a full disk stops the run, cleanly")
    return Finding("disk", "ok", sentence)


def memory(plan: Plan, schema: Schema) -> Finding:
    """Whether a run's largest arrays fit; gradients take as much as there is. Raises as ``leaving``."""
    sent = max(entry.bytes + entry.opening_bytes for entry in leaving(plan, schema))
    numbers = 0
    if isinstance(schema, ArraySchema) and isinstance(plan.measure, ArrayMeasure):
        numbers = sum(claim for _, claim, _ in array_claims(plan.measure, ArrayLayout.of(schema)))
    needed, free = _PROCESS + _AT_ONCE * sent + _DOUBLE * numbers, free_memory()
    sentence = f"{size(free)} are free, the run needs about {size(needed)} beside the records"
    if free < needed:
        return Finding(
            "memory", "warning", sentence, "end other programs, or give the vault's container more"
        )
    return Finding("memory", "ok", sentence)


def device(name: str) -> Finding:
    """What the site would compute on. name: as in the policy. Raises ConfigError if there is none such."""
    import torch

    place = Device.of(name).place
    if place.type == "cuda":
        return Finding("device", "ok", f"GPU: {torch.cuda.get_device_name(place)}")
    return Finding("device", "ok", f"CPU, {os.cpu_count()} cores; no GPU is used")


def courier(folder: Path, membership: Membership | None) -> Finding:
    """Whether the courier's folder is there and keeps others out, and the vault's keeps the courier out."""
    beside = courier_folder(folder)
    flower, socket = beside / "flower", beside / "vault.sock"
    if membership is None and not beside.is_dir():
        return Finding("courier", "skipped", "a simulated site has no courier")
    for path in (beside, flower):
        if not path.is_dir():
            return Finding.failed("courier", f"there is no folder {path}", "restore it, or join anew")
    for path, forbidden in ((beside, 0o027), (flower, 0o077), (socket, 0o007)):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & forbidden:
            mode = f"{stat.S_IMODE(path.stat().st_mode):o}"
            return Finding.failed(
                "courier", f"{path} is open to others (mode {mode})", f"chmod o=,g-w {path}"
            )
    waits = "the vault listens" if socket.is_socket() else "the vault does not run now"
    shared, theirs = beside.stat(), flower.stat()
    if theirs.st_uid == folder.stat().st_uid:
        return Finding(
            "courier",
            "warning",
            f"courier and vault are the same user ({waits})",
            "whoever takes over the courier, which runs code from the network, could read the records: "
            "join with --courier-user, or run them in two containers",
        )
    if shared.st_gid != theirs.st_gid or shared.st_mode & SHARED_MODE != SHARED_MODE:
        return Finding.failed(
            "courier",
            f"the courier could not come to the vault's socket: {beside} has mode "
            f"{stat.S_IMODE(shared.st_mode):o} and group {shared.st_gid}",
            f"as root: chgrp {theirs.st_gid} {beside}; chmod {SHARED_MODE:o} {beside}; start the vault again",
        )
    return Finding("courier", "ok", f"the courier is another user than the vault ({waits})")

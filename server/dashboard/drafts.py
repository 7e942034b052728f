"""Plans that were made and not started: FOLDER/plans/NAME-HASH.plan.json."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException

from common.durable import write_whole
from common.errors import FedcganError
from common.plan import Plan

from ..federation import FederationFolder
from .places import key_of


class Drafts:
    """Of a federation; also plans that somebody else put into the folder."""

    def __init__(self, federation: FederationFolder) -> None:
        self._folder = federation.folder / "plans"

    def all(self) -> dict[str, Plan]:
        """By the beginnings of their hashes, newest first. What is no plan of ours is left out."""
        paths = sorted(self._folder.glob("*.plan.json"), key=lambda one: one.stat().st_mtime_ns, reverse=True)
        found = (self._read(path) for path in paths)
        return {key_of(plan.hash): plan for plan in found if plan is not None}

    def get(self, key: str) -> Plan:
        """One of them. Raises HTTPException (404)."""
        plan = self.all().get(key)
        if plan is None:
            raise HTTPException(404)
        return plan

    def keep(self, plan: Plan) -> Path:
        """Write it. Raises StorageError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / f"{plan.run.rpartition('-')[0] or 'run'}-{key_of(plan.hash)}.plan.json"
        write_whole(path, lambda temporary: temporary.write_bytes(plan.to_json()))
        return path

    @staticmethod
    def _read(path: Path) -> Plan | None:
        try:
            return Plan.from_json(path.read_bytes().strip())
        except (OSError, FedcganError):
            return None

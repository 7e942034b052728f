"""The federation: who is in it, how they stand; invite, admit, shut out."""

from __future__ import annotations

import secrets
import threading
import time
from datetime import timedelta
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from common.errors import ConfigError, FedcganError
from common.join_reply import JoinReply
from common.web.answers import download
from common.web.application import Form, see_other
from common.web.forms import whole_number

from . import journey
from .connections import Connections
from .desk import Desk
from .readiness import certificate, sites
from .spans import about, day

_KEPT = 3600.0  # seconds for which a kit waits to be downloaded
_DAYS, _MOST_DAYS = 14, 90


class Kits:
    """Kits that were made and not fetched yet. They hold a PIN: in memory only, and handed out once."""

    def __init__(self) -> None:
        self._kits: dict[str, tuple[str, bytes, float]] = {}
        self._lock = threading.Lock()

    def keep(self, site: str, content: bytes) -> str:
        """Returns by what name it can be fetched."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            self._kits = {k: one for k, one in self._kits.items() if one[0] != site}
            self._kits[key] = (site, content, time.monotonic())
        return key

    def waiting(self, site: str) -> str | None:
        """Under what name a kit of this site waits."""
        with self._lock:
            fresh = (k for k, one in self._kits.items() if one[0] == site and self._fresh(one[2]))
            return next(fresh, None)

    def fetch(self, key: str) -> tuple[str, bytes]:
        """The site and its kit, which is forgotten. Raises HTTPException (404)."""
        with self._lock:
            found = self._kits.pop(key, None)
        if found is None or not self._fresh(found[2]):
            raise HTTPException(404)
        return found[0], found[1]

    @staticmethod
    def _fresh(since: float) -> bool:
        return time.monotonic() - since < _KEPT


def add(desk: Desk) -> None:
    """Register them."""
    web, kits = desk.web, Kits()
    assert desk.engine is not None
    connections = Connections(desk.engine)

    def page(request: Request, error: FedcganError | None = None, **said: Any) -> Response:
        status = 400 if error else 200
        content = {"days": _DAYS, "form": said.pop("form", {}), "part": said.pop("part", ""), **said}
        content |= {"about": _about(desk), **_members(desk, connections)}
        return web.page(request, "sites.html.j2", status, error=error, **content)

    @web.get("/")
    def home(request: Request) -> Response:
        return page(request)

    @web.get("/members")
    def members(request: Request) -> Response:
        return web.fragment(request, "part-members.html.j2", **_members(desk, connections))

    @web.get("/sites/{name}")
    def site(request: Request, name: str) -> Response:
        return web.page(request, "site.html.j2", **_site(desk, connections, kits, name))

    @web.action("/invite")
    def invite(request: Request, form: Form) -> Response:
        name = form.get("name", "").strip()
        try:
            file = desk.federation.invite(name, timedelta(days=_days(form.get("days", ""))))
        except FedcganError as error:
            return page(request, error, form=form, part="invite")
        kits.keep(name, file.to_bytes())
        return see_other(f"/sites/{name}")

    @web.action("/kits/{key}")
    def kit(request: Request, form: Form) -> Response:
        del form
        name, content = kits.fetch(request.path_params["key"])
        return download(content, f"{name}.kit.zip", "application/zip")

    @web.action("/admit")
    def admit(request: Request, form: Form) -> Response:
        told = form.get("fingerprint", "").strip()
        try:
            reply = JoinReply.parsed(form.get("reply", "").strip().encode(), "what was pasted")
            member = desk.federation.admit(reply, told or None)
        except FedcganError as error:
            return page(request, error, form=form, part="admit")
        return see_other(f"/sites/{member.name}")

    @web.action("/sites/{name}/revoke")
    def revoke(request: Request, form: Form) -> Response:
        name = request.path_params["name"]
        try:
            if form.get("sure") != name:
                raise ConfigError(f"write {name} to confirm", hint="its keys are never taken again")
            desk.federation.revoke(name)
        except FedcganError as error:
            content = _site(desk, connections, kits, name)
            return web.page(request, "site.html.j2", 400, **{**content, "error": error, "form": form})
        return see_other(f"/sites/{name}")


def _about(desk: Desk) -> list[tuple[str, str]]:
    settings = desk.federation.settings
    return [("Address", settings.address), ("Schema", desk.federation.schema.name)]


def _members(desk: Desk, connections: Connections) -> dict[str, Any]:
    known, run = connections.known(), desk.runs.latest()
    sentence = ""
    if run is not None:
        with run.lock:
            found, sentence = sites(desk.federation, desk.members, known, run), journey.sentence(run)
    else:
        found = sites(desk.federation, desk.members, known, None)
    age = "not asked yet" if known.age is None else f"asked {about(known.age)} ago"
    ready = sum(one.word == "ready" for one in found)
    return {
        "sites": found,
        "ready": ready,
        "age": age,
        "silent": known.error,
        "certificate": certificate(desk.federation),
        "run": run,
        "sentence": sentence,
    }


def _site(desk: Desk, connections: Connections, kits: Kits, name: str) -> dict[str, Any]:
    found = next((one for one in _members(desk, connections)["sites"] if one.name == name), None)
    if found is None:
        raise HTTPException(404)
    member = desk.federation.member(name)
    facts = [("Invited", day(member.invited))]
    facts += [("Admitted", day(member.admitted))] if member.admitted else []
    print_of = desk.federation.fingerprint(member) if member.identity else ""
    kit = kits.waiting(name) if member.state == "invited" else None
    content = {"site": found, "member": member, "facts": facts, "fingerprint": print_of, "kit": kit}
    return {**content, "expires": day(member.expires), "error": None, "form": {}}


def _days(text: str) -> int:
    days = whole_number(text)
    if days is None or not 1 <= days <= _MOST_DAYS:
        raise ConfigError(f"a kit can be answered for 1 to {_MOST_DAYS} days", hint=f"{_DAYS} is usual")
    return days

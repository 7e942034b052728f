"""Releases: what the gate says, making one, what a verification proves, counter-signatures, files to keep."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from common.bundle.archive import write_zip
from common.bundle.contents import FolderContents, chunks, opened
from common.bundle.words import attention, not_proven, proven
from common.errors import FedcganError, GateFailedError
from common.web.answers import document, file_name
from common.web.application import Form, see_other
from common.web.forms import whole_number

from .commands import Command
from .desk import Desk
from .runs import Run
from .verdicts import outlook

_PAGE = "report.html"  # of a bundle
_LONGEST_PAGE = 64 << 20  # bytes


def add(desk: Desk) -> None:
    """Register them."""
    web = desk.web

    def page(request: Request, run: Run, error: FedcganError | None = None, **said: Any) -> Response:
        content = {"run": run, "form": {}, "part": "", "outlook": outlook(run), **said}
        content |= {"job": desk.jobs.get(f"release {run.key}"), "playground": desk.playground(run)}
        content["bundles"] = [path.name for path in run.place.bundles]
        return web.page(request, "release.html.j2", 400 if error else 200, error=error, **content)

    @web.get("/releases")
    def releases(request: Request) -> Response:
        runs = desk.runs.all()
        for run in runs:
            run.look()
        return web.page(request, "releases.html.j2", runs=[run for run in runs if run.state == "finished"])

    @web.get("/releases/{key}")
    def release(request: Request, key: str) -> Response:
        return page(request, _finished(desk, key))

    @web.get("/releases/{key}/job")
    def job(request: Request, key: str) -> Response:
        found = desk.jobs.get(f"release {key}")
        answer = web.fragment(request, "release-job.html.j2", job=found, run=_finished(desk, key))
        if found is not None and not found.busy:
            answer.headers["HX-Refresh"] = "true"
        return answer

    @web.get("/releases/{key}/{number}/evidence")
    def evidence(request: Request, key: str, number: int) -> Response:
        del request
        contents = opened(_bundle(desk, key, number))
        if _PAGE not in contents.sizes:
            raise HTTPException(404)
        with contents.open(_PAGE) as source:
            content = b"".join(chunks(source, _LONGEST_PAGE))
        return document(content)

    @web.get("/releases/{key}/{number}/zip")
    def archive(request: Request, key: str, number: int) -> Response:
        del request
        run = _finished(desk, key)
        return _zip(_bundle(desk, key, number), f"{file_name(run.name)}-{key}.bundle.zip")

    @web.get("/releases/{key}/{number}/verified")
    def verified(request: Request, key: str, number: int) -> Response:
        return web.fragment(request, "verified.html.j2", **_verified(desk, _bundle(desk, key, number)))

    @web.get("/releases/{key}/{number}")
    def bundle(request: Request, key: str, number: int) -> Response:
        found = _verified(desk, _bundle(desk, key, number))
        return page(request, _finished(desk, key), shown=number, found=found)

    @web.action("/releases/{key}/make")
    def make(request: Request, form: Form) -> Response:
        run = _finished(desk, request.path_params["key"])
        try:
            work = _release(run, form)
        except FedcganError as error:
            return page(request, run, error, form=form, part="make")
        desk.jobs.begin(f"release {run.key}", "The release is being packed, signed and verified.", work)
        return see_other(f"/releases/{run.key}")

    @web.action("/releases/{key}/{number}/countersign")
    def countersign(request: Request, form: Form) -> Response:
        from ..countersigning import add as add_signatures

        run = _finished(desk, request.path_params["key"])
        path = _bundle(desk, run.key, whole_number(request.path_params["number"]))
        with tempfile.TemporaryDirectory(prefix="fedcgan-") as folder:
            file = Path(folder) / "pasted.signature.json"
            file.write_text(form.get("signature", "").strip(), "utf-8")  # its one form has no end of line
            try:
                add_signatures(path, [file])
            except FedcganError as error:
                error.message = error.message.replace(str(file), "what was pasted")
                return page(request, run, error, form=form, part="countersign")
        return see_other(f"/releases/{run.key}")


def _release(run: Run, form: Form) -> Callable[[], object]:
    """What makes the bundle, as the command line does. Raises GateFailedError where a reason is needed."""
    reason, licence = " ".join(form.get("override", "").split()), form.get("licence", "").strip()
    found = outlook(run)
    if found.verdict not in (None, "passed") and not reason:
        raise GateFailedError(found.said, hint="who answers for it can write why it is released all the same")
    arguments = [str(run.place.folder if run.place.deployed else run.place.release), "--zip"]
    arguments += [f"--override={reason}"] if reason else []
    arguments += [f"--license={licence}"] if licence else []
    arguments += ["--public-records"] if form.get("public") == "yes" and not run.place.deployed else []
    return Command("release", *arguments).run


def _finished(desk: Desk, key: str) -> Run:
    run = desk.runs.get(key)
    if run.state != "finished":
        raise HTTPException(404)
    return run


def _bundle(desk: Desk, key: str, number: int | None) -> Path:
    bundles = _finished(desk, key).place.bundles
    if number is None or not 0 <= number < len(bundles):
        raise HTTPException(404)
    return bundles[number]


def _verified(desk: Desk, path: Path) -> dict[str, Any]:
    """What can be proven, in words; or what is wrong."""
    from common.bundle.verification import verify

    signer = None if desk.shown.federation is None else desk.federation.identity.public
    try:
        found = verify(path, signer=signer, complete=False)
    except FedcganError as error:
        return {"wrong": error}
    said = {"attention": attention(found), "proven": proven(found), "not_proven": not_proven(found)}
    missing = max(0, found.manifest.signatures - len(found.signed))
    return {
        "wrong": None,
        "manifest": found.manifest,
        "missing": missing,
        "fingerprint": found.fingerprint,
        **said,
    }


def _zip(path: Path, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if path.is_file():
        return FileResponse(path, media_type="application/zip", headers=headers)
    folder = tempfile.TemporaryDirectory(prefix="fedcgan-")
    made = Path(folder.name) / "bundle.zip"
    try:
        write_zip(FolderContents(path), made)
    except FedcganError:
        folder.cleanup()
        raise
    after = BackgroundTask(folder.cleanup)
    return FileResponse(made, media_type="application/zip", headers=headers, background=after)

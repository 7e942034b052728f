"""A small dashboard: a page, a live part, an action, faults. What it was told is in ``web.app.state``."""

from pathlib import Path

from starlette.requests import Request

from common.errors import NotApprovedError
from common.web import charts, live
from common.web.answers import document, download, see_other
from common.web.application import create, is_htmx

TEMPLATES = Path(__file__).parent / "templates"
NAV = (("Home", "/"), ("Runs", "/runs"), ("Playground", "/playground"))
CURVES = [
    charts.Series("Discriminator", [1, 2, 3], [1.2, 0.9, 0.7]),
    charts.Series("Generator", [1, 2], [0.4, 0.8]),
]


def dashboard(port, read_only=False, said="Calm."):
    web = create("Coordinator of heart", NAV, read_only=read_only, templates=TEMPLATES, port=port)
    web.app.state.decided, web.app.state.news = [], ()

    @web.get("/")
    def home(request: Request):
        drawn = [
            charts.curves("Losses", CURVES, unit="round"),
            charts.curves(
                "ε", [charts.Series("spent", [0, 1, 2], [0, 1, 2])], unit="round", target=(3, "promised")
            ),
            charts.bars(
                "Seconds", [charts.Bar("Turku", 8, "8 s"), charts.Bar("Lyon", 31, "31 s", "inconclusive")]
            ),
        ]
        rows = [
            ["Turku", "ready", "1,200"],
            ["Lyon", "<b>", "900"],
        ]
        return web.page(request, "home.html.j2", said=said, charts=drawn, rows=rows)

    @web.get("/runs/{number}")
    def run(request: Request, number: int):
        return web.page(request, "home.html.j2", said=number, charts=(), rows=())

    @web.get("/broken")
    def broken(request: Request):
        raise RuntimeError("a secret of the program")

    @web.get("/refused")
    def refused(request: Request):
        raise NotApprovedError("This plan is not approved here.", hint="approve it first")

    @web.get("/file")
    def file(request: Request):
        return download(b"1,2", 'a "b"\r\nX: y.csv', "text/csv")

    @web.get("/document")
    def released(request: Request):
        return document((TEMPLATES / "part.html.j2").read_bytes())

    @web.get("/live")
    def lively(request: Request):
        news = iter(web.app.state.news)
        return live.events(request, lambda: next(news, {}), every=0.02)

    @web.action("/decide")
    def decide(request, form):
        if form.get("reason") == "bad":
            raise NotApprovedError("This plan is not approved here.", hint="approve it first")
        web.app.state.decided.append(dict(form))
        if is_htmx(request):
            return web.fragment(request, "part.html.j2", reason=form["reason"])
        return see_other("/runs/7")

    @web.action("/runs/{number}/stop")
    def stop(request, form):
        web.app.state.decided.append((request.path_params["number"], form.all("site")))
        return see_other("/")

    return web

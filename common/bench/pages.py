"""Pages of documentation from results of benches: one template for each kind, and one page over all."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..durable import write_whole
from ..errors import ConfigError
from . import arrays_page, overview_page, profile_page, scale_page, speed_page
from .league import page as league_page
from .tax import page as tax_page

_TEMPLATES = Path(__file__).parent / "templates"

Content = Callable[[Sequence[Path], str], tuple[dict[str, Any], dict[str, str]]]
"""Of files of results and a prefix for pictures: what the template is given, and pictures by file name."""

_Page = tuple[str, Content]

_SCALE: _Page = ("scale.md.j2", scale_page.content)
_PAGES: dict[str, _Page | None] = {
    "league": ("league.md.j2", league_page.content),
    "tax": ("tax.md.j2", tax_page.content),
    "quality": ("arrays.md.j2", arrays_page.content),
    "speed": ("speed.md.j2", speed_page.content),
    "profile": ("profile.md.j2", profile_page.content),
    "scale": _SCALE,
    "deployment": _SCALE,
    **dict.fromkeys(overview_page.BENCHES),
}
"""By what results are of; none for those that only the page over all shows."""

_OVERVIEW = "benchmarks"
"""The page over all; others are named after it and their folder."""


def write_pages(results: Path, out: Path) -> list[Path]:
    """Write pages and their pictures; returns what was written. The same results give the same bytes.

    results: a folder of results for one page, then ``out`` is that page; or a folder of such folders, then it
    is the folder of their pages, and of ``benchmarks.md`` over all
    Raises ConfigError without results, with some of no known kind or of two pages; StorageError.
    """
    if any(results.glob("*.json")):
        page = _page_of(results)
        if page is None:
            raise ConfigError(f"{results} has no page of its own", hint="name the folder above")
        return _write(out, page, sorted(results.glob("*.json")))
    folders = sorted({path.parent for path in results.glob("*/*.json")})
    if not folders:
        raise ConfigError(f"{results} holds no results", hint="files of fedcgan bench ... --keep FILE")
    pages = {folder: _page_of(folder) for folder in folders}
    written = []
    for folder, page in pages.items():
        if page is not None:
            written += _write(out / f"{_OVERVIEW}-{folder.name}.md", page, sorted(folder.glob("*.json")))
    every = sorted(results.glob("*/*.json"))
    return [*written, *_write(out / f"{_OVERVIEW}.md", ("overview.md.j2", overview_page.content), every)]


def _write(out: Path, page: _Page, paths: Sequence[Path]) -> list[Path]:
    template, content = page
    given, pictures = content(paths, out.stem)
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown, every cell is escaped
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = code
    text = environment.get_template(template).render(given)
    out.parent.mkdir(parents=True, exist_ok=True)
    written = {out: text, **{out.parent / name: svg for name, svg in pictures.items()}}
    for path, what in written.items():
        write_whole(path, lambda temporary, what=what: temporary.write_text(what, "utf-8"))  # type: ignore[misc]
    return list(written)


def _page_of(folder: Path) -> _Page | None:
    """The page of all results of a folder."""
    kinds = {_kind_of(path) for path in folder.glob("*.json")}
    if unknown := sorted(kinds - set(_PAGES)):
        raise ConfigError(f"results of {unknown[0]!r} in {folder} have no page")
    pages = {_PAGES[kind] for kind in kinds}
    if len(pages) != 1:
        raise ConfigError(f"{folder} holds results of several kinds", hint="a folder for each page")
    return pages.pop()


def _kind_of(path: Path) -> str:
    try:
        said = json.loads(path.read_bytes())
        return str(said["bench"] if said["kind"] == "bench" else said["kind"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path.name} is no result of a bench") from error


def code(text: str) -> str:
    """A value as Markdown code, also inside a table."""
    return "`" + text.replace("`", "'").replace("|", "\\|").replace("\n", " ") + "`"

"""Pages of documentation from results of benches: one template for each kind, and one page over all."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..durable import write_whole
from ..errors import ConfigError
from . import arrays_page, overview_page, profile_page, speed_page
from .league import page as league_page
from .tax import page as tax_page

_TEMPLATES = Path(__file__).parent / "templates"

Content = Callable[[Sequence[Path], str], tuple[dict[str, Any], dict[str, str]]]
"""Of files of results and a prefix for pictures: what the template is given, and pictures by file name."""

_PAGES: dict[str, tuple[str, Content]] = {
    "league": ("league.md.j2", league_page.content),
    "tax": ("tax.md.j2", tax_page.content),
    "quality": ("arrays.md.j2", arrays_page.content),
    "speed": ("speed.md.j2", speed_page.content),
    "profile": ("profile.md.j2", profile_page.content),
}
"""By what the results are of."""

_OVERVIEW = "benchmarks"
"""The page over all; others are named after it and their folder."""


def write_pages(results: Path, out: Path) -> list[Path]:
    """Write pages and their pictures; returns what was written. The same results give the same bytes.

    results: a folder of results of one kind, then ``out`` is a page; or a folder of such folders, then it is
    the folder of a page for each of them whose kind has one, and of ``benchmarks.md`` over all
    Raises ConfigError without results, with some of no known kind or of two kinds; StorageError.
    """
    if any(results.glob("*.json")):
        kind = _kind(results)
        if kind not in _PAGES:
            raise ConfigError(f"results of {kind!r} have no page of their own", hint="name the folder above")
        return _write(out, *_PAGES[kind], sorted(results.glob("*.json")))
    folders = sorted(path.parent for path in {one.parent: one for one in results.glob("*/*.json")}.values())
    if not folders:
        raise ConfigError(f"{results} holds no results", hint="files of fedcgan bench ... --keep FILE")
    kinds = {folder: _kind(folder) for folder in folders}
    if unknown := sorted(set(kinds.values()) - set(_PAGES) - set(overview_page.BENCHES)):
        raise ConfigError(f"results of {unknown[0]!r} have no page")
    written = []
    for folder, kind in kinds.items():
        if kind in _PAGES:
            page = out / f"{_OVERVIEW}-{folder.name}.md"
            written += _write(page, *_PAGES[kind], sorted(folder.glob("*.json")))
    rest = sorted(path for folder in folders for path in folder.glob("*.json"))
    return [*written, *_write(out / f"{_OVERVIEW}.md", "overview.md.j2", overview_page.content, rest)]


def _write(page: Path, template: str, content: Content, paths: Sequence[Path]) -> list[Path]:
    given, pictures = content(paths, page.stem)
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
    page.parent.mkdir(parents=True, exist_ok=True)
    written = {page: text, **{page.parent / name: svg for name, svg in pictures.items()}}
    for path, what in written.items():
        write_whole(path, lambda temporary, what=what: temporary.write_text(what, "utf-8"))  # type: ignore[misc]
    return list(written)


def _kind(folder: Path) -> str:
    """What all results of a folder are of."""
    kinds = {_kind_of(path) for path in folder.glob("*.json")}
    if len(kinds) != 1:
        raise ConfigError(f"{folder} holds results of several kinds", hint="a folder for each kind")
    return kinds.pop()


def _kind_of(path: Path) -> str:
    try:
        said = json.loads(path.read_bytes())
        return str(said["bench"] if said["kind"] == "bench" else said["kind"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path.name} is no result of a bench") from error


def code(text: str) -> str:
    """A value as Markdown code, also inside a table."""
    return "`" + text.replace("`", "'").replace("|", "\\|").replace("\n", " ") + "`"

"""Pages of documentation from results of benches: one template for each kind of result."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..durable import write_whole
from ..errors import ConfigError
from .league import page as league_page
from .league.results import KIND as LEAGUE
from .scale_page import content as scale_content

_TEMPLATES = Path(__file__).parent / "templates"

Content = Callable[[Sequence[Path], str], tuple[dict[str, Any], dict[str, str]]]
"""Of files of results and a prefix for pictures: what the template is given, and pictures by file name."""

_SCALE: tuple[str, Content] = ("scale.md.j2", scale_content)
_KINDS: dict[str, tuple[str, Content]] = {
    LEAGUE: ("league.md.j2", league_page.content),
    "scale": _SCALE,
    "deployment": _SCALE,
}


def write_pages(folder: Path, out: Path) -> list[Path]:
    """Write the page of a folder's results, and its pictures beside it; returns what was written.

    The same results give the same bytes. Raises ConfigError without results, or with some of no known kind or
    of two kinds; StorageError.
    """
    paths = sorted(folder.glob("*.json"))
    kinds = {_KINDS[_kind(path)] for path in paths}
    if len(kinds) != 1:
        raise ConfigError(
            f"{folder} holds no results" if not kinds else f"{folder} holds results of several kinds",
            hint="a folder of fedcgan bench league",
        )
    template, content = kinds.pop()
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


def _kind(path: Path) -> str:
    try:
        read = json.loads(path.read_bytes())
        kind = read["bench"] if read["kind"] == "bench" else read["kind"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path.name} is no result of a bench") from error
    if kind not in _KINDS:
        raise ConfigError(f"{path.name} is of a kind that has no page: {kind!r}")
    return str(kind)


def code(text: str) -> str:
    """A value as Markdown code, also inside a table."""
    return "`" + text.replace("`", "'").replace("|", "\\|").replace("\n", " ") + "`"

"""What a browser sends with an action: fields of a form, urlencoded, and not many of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from .refusals import RefusalError

MOST_BYTES, MOST_FIELDS = 64 * 1024, 1000
TYPE = "application/x-www-form-urlencoded"

_EXTRA = "this program sends its forms itself; nothing else is accepted"


class Form(Mapping[str, str]):
    """Fields by name; of a field that occurs several times (check boxes), the last, or ``all`` of them."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs
        self._last = dict(pairs)

    def __getitem__(self, name: str) -> str:
        return self._last[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def all(self, name: str) -> list[str]:
        """Every value of a field, in order."""
        return [value for one, value in self._pairs if one == name]


def whole_number(text: str | None, digits: int = 6) -> int | None:
    """What a field or an address says, if it is a whole number of at most so many digits."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= digits):
        return None
    return int(text)


async def read_form(request: Request) -> Form:
    """The body as a form. Raises RefusalError if it is longer than ``MOST_BYTES``, or no form."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != TYPE:
        raise RefusalError(415, "content-type", "This is no form.", _EXTRA)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise RefusalError(
                413,
                "too-large",
                f"A form may have {MOST_BYTES // 1024} kB.",
                "paste less, or use the command line",
            )
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
        )
    except ValueError:  # UnicodeDecodeError among them
        raise RefusalError(400, "form", "This is no form.", _EXTRA) from None
    return Form([(name, value.replace("\r\n", "\n")) for name, value in pairs])

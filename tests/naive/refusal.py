"""The one error of the naive implementation: the stable code that the package gives for the same fault."""


class Refusal(Exception):  # noqa: N818
    """What arrived is refused. code: as in ``docs/errors.md``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def refuse_if(wrong: bool, code: str) -> None:
    """Raise Refusal(code) if something is wrong."""
    if wrong:
        raise Refusal(code)

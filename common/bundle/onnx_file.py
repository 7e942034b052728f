"""The portable generator of a bundle, if there is one: that it repeats what the manifest says."""

from __future__ import annotations

from ..errors import DamagedGeneratorError
from ..sampler.errors import FileError
from ..sampler.session import MOST_BYTES, NAME, parse
from .bundle import Bundle
from .claims import agree, repeated


def check_onnx(bundle: Bundle) -> bool:
    """Whether there is one; whoever draws from it sees its ε, and every file that is drawn bears it.

    Raises DamagedGeneratorError or DisagreementError.
    """
    if not bundle.has(NAME):
        return False
    try:
        facts = parse(bundle.read(NAME, MOST_BYTES)).facts
    except (FileError, MemoryError) as error:
        raise DamagedGeneratorError(f"{NAME} cannot be read") from error
    agree(NAME, facts, {**repeated(bundle.manifest), "schema_hash": bundle.manifest.schema_hash})
    return True

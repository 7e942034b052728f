"""What one check of a site found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from common.errors import FedcganError, NotReadyError

Verdict = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """verdict: only ``failed`` keeps a site from taking part; code: of the error, if it failed"""

    check: str
    verdict: Verdict
    sentence: str
    hint: str = ""
    code: str = ""

    @classmethod
    def failed(cls, check: str, sentence: str, hint: str) -> Finding:
        """Something to repair that is no error of its own."""
        return cls(check, "failed", sentence, hint, NotReadyError.code)

    @classmethod
    def of(cls, check: str, error: FedcganError) -> Finding:
        """A check that ended in a typed error."""
        return cls(check, "failed", error.message, error.hint, error.code)

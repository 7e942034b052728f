"""The only form in which something computed from records may go on towards the wire."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import PrivacyError
from .ledger import Receipt


@dataclass(frozen=True, slots=True)
class PrivateUpdate:
    """A noised vector of integers together with the ledger's receipt for it.

    integers: int64[count]

    Guarantees: cannot be built without an unused receipt; there is no codec for it, so it cannot
    be sent. Encryption turns it into the one thing that can.
    """

    integers: NDArray[np.int64]
    receipt: Receipt

    def __post_init__(self) -> None:
        if not isinstance(self.receipt, Receipt):
            raise PrivacyError("an update needs the ledger's receipt", hint="charge first")
        if self.integers.dtype != np.int64:
            raise PrivacyError("an update is made of integers: real values have no exact noise")
        self.receipt.use()

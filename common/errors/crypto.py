"""Keys, ciphertexts and sums that are not what they should be."""

from __future__ import annotations

from .base import FedcganError


class CryptoError(FedcganError):
    """Encryption, decryption or packing cannot be done safely."""

    code = "crypto"
    exit_code = 5


class HeadroomError(CryptoError):
    """A sum could wrap around; nothing was encrypted."""

    code = "crypto-headroom"


class NotASumError(CryptoError):
    """What was opened is not a sum of packed values: too few or wrong partial decryptions."""

    code = "crypto-not-a-sum"


class ForeignSumError(CryptoError):
    """What is to be opened is not the sum of the contributions; nothing was opened."""

    code = "crypto-foreign-sum"


class ForeignTagError(ForeignSumError):
    """The tag of one contribution is not its site's own for this step; nothing was opened."""

    code = "crypto-foreign-tag"

    def __init__(self, site: str) -> None:
        super().__init__(
            f"the tag of {site} is not its own for this step",
            hint="its contribution was altered or comes from another step; the sum must do without it",
        )
        self.site = site

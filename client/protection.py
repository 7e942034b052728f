"""From a private update to the encrypted one: quantise, pack, encrypt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.crypto.bfv import PublicKey, encrypt
from common.crypto.encrypted import EncryptedUpdate
from common.crypto.packing import Integers, Packing, Quantiser
from common.crypto.stopwatch import timed
from common.csprng import Csprng
from common.privacy.update import PrivateUpdate


def encrypt_update(
    update: PrivateUpdate, limit: NDArray[np.float64], packing: Packing, key: PublicKey
) -> EncryptedUpdate:
    """Encrypt a noised update, clipped to the public ``limit`` and rounded at random.

    Guarantees: takes only what the ledger paid for; refuses non-finite values and lost headroom.
    Raises HeadroomError.
    """
    with timed("encrypt"):
        quantiser = Quantiser(limit, packing.max_value)
        integers = quantiser.to_integers(update.values, Csprng())
        return EncryptedUpdate(encrypt(key, packing.pack(integers)))


def encrypt_known(values: Integers, packing: Packing, key: PublicKey) -> EncryptedUpdate:
    """Encrypt public constants: the proof that a new key opens sums."""
    with timed("encrypt"):
        return EncryptedUpdate(encrypt(key, packing.pack(values)))

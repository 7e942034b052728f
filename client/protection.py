"""From a private update to the encrypted one: pack, encrypt."""

from __future__ import annotations

from common.crypto.bfv import PublicKey, encrypt
from common.crypto.encrypted import EncryptedUpdate
from common.crypto.packing import Integers, Packing
from common.crypto.stopwatch import timed
from common.privacy.update import PrivateUpdate


def encrypt_update(update: PrivateUpdate, packing: Packing, key: PublicKey) -> EncryptedUpdate:
    """Encrypt a noised update.

    Guarantees: takes only what the ledger paid for; refuses lost headroom. Raises HeadroomError.
    """
    with timed("encrypt"):
        return EncryptedUpdate(encrypt(key, packing.pack(update.integers)))


def encrypt_known(values: Integers, packing: Packing, key: PublicKey) -> EncryptedUpdate:
    """Encrypt public constants: the proof that a new key opens sums."""
    with timed("encrypt"):
        return EncryptedUpdate(encrypt(key, packing.pack(values)))

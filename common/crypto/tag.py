"""Proof that what is to be opened is the sum of what the sites contributed, in no extra message.

The sites share a key K that the server never sees. For each step they expand it to a vector r; a site
attaches <r, c1_i> mod each data prime, sealed so that only sites read it. A key-holder accepts c1 if

    <r, c1> = sum_i <r, c1_i>   mod each data prime.

Inner products are linear, so the true sum passes. Any other c1 differs from it by a vector d != 0 modulo
some prime q, and <r, d> = 0 has probability at most 2 / 2**60 over r, which the server does not know: it
sees neither K nor the tags (Carter and Wegman 1981, universal hashing). Only c1 is tagged, because a
partial decryption depends on nothing else. A site that helps the server undoes this: it can share K, or send
as its contribution whatever makes the sum what the two want opened (SECURITY.md).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..errors import ForeignSumError, ForeignTagError
from .ring import DATA_LEVEL, DATA_PRIMES, N, Residues
from .secret_file import read_secret, write_secret

PIECE_BYTES = 32
_WORD = 8
_LOW_30 = np.uint64((1 << 30) - 1)


class GroupKey:
    """The sites' common key of one run: a hash of a secret piece of every key-holder."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return "GroupKey(secret)"

    @classmethod
    def of(cls, pieces: list[bytes], plan: str) -> GroupKey:
        """K = HKDF(pieces): unpredictable if one piece is, secret until a site shows it to the server."""
        derive = HKDF(hashes.SHA256(), 32, salt=None, info=b"fedcgan/v1/group-key/" + plan.encode())
        return cls(derive.derive(b"".join(pieces)))

    def seal(self, c1: Residues, plan: str, step: str, site: str) -> bytes:
        """The tag of one contribution, uint64[chunks, 2, N], readable by sites only: 44 bytes."""
        tag = b"".join(value.to_bytes(_WORD, "big") for value in self._inner_product(c1, plan, step))
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher(plan, step, site).encrypt(nonce, tag, None)

    def check(self, c1: Residues, boxes: dict[str, bytes], plan: str, step: str) -> None:
        """Raise ForeignSumError unless ``c1`` is the sum of the contributions behind ``boxes``."""
        expected = [0] * len(DATA_PRIMES)
        for site, box in boxes.items():
            try:
                tag = self._cipher(plan, step, site).decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], None)
            except (InvalidTag, ValueError) as error:
                raise ForeignTagError(site) from error
            if len(tag) != _WORD * len(DATA_PRIMES):
                raise ForeignTagError(site)
            for index in range(len(DATA_PRIMES)):
                expected[index] += int.from_bytes(tag[_WORD * index :][:_WORD], "big")
        found = self._inner_product(c1, plan, step)
        if found != [value % q for value, q in zip(expected, DATA_PRIMES, strict=True)]:
            raise ForeignSumError(
                "what is to be opened is not the sum of the contributions",
                hint="the coordinator swapped, dropped or altered one; nothing was opened",
            )

    def _inner_product(self, c1: Residues, plan: str, step: str) -> list[int]:
        """<r, c1> modulo each data prime; r is expanded anew for every plan and step."""
        key = self._derive(f"vector/{plan}/{step}")
        stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
        totals = [0] * len(DATA_PRIMES)
        for chunk in c1:
            words = np.frombuffer(stream.update(bytes(_WORD * chunk.size)), "<u8") & _LOW_60
            r = words.reshape(len(DATA_PRIMES), N)
            products = DATA_LEVEL.mul(np.where(r >= DATA_LEVEL.q, r - DATA_LEVEL.q, r), chunk)
            low, high = (products & _LOW_30).sum(1), (products >> np.uint64(30)).sum(1)
            for index in range(len(DATA_PRIMES)):
                totals[index] += int(low[index]) + (int(high[index]) << 30)
        return [total % q for total, q in zip(totals, DATA_PRIMES, strict=True)]

    def _cipher(self, plan: str, step: str, site: str) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(self._derive(f"tag/{plan}/{step}/{site}"))

    def _derive(self, label: str) -> bytes:
        info = b"fedcgan/v1/" + label.encode()
        return HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(self._secret)

    def save(self, path: Path) -> None:
        """Keep the key in a file of mode 0600."""
        write_secret(path, self._secret)

    @classmethod
    def load(cls, path: Path) -> GroupKey:
        """Read a key written by ``save``."""
        return cls(read_secret(path))


_LOW_60 = np.uint64((1 << 60) - 1)
_NONCE_BYTES = 12

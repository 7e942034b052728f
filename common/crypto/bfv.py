"""The BFV scheme as TenSEAL's SEAL gives it: the only module that calls it, a benchmark's baseline aside.

Ciphertexts live in NTT form as plain arrays ``uint64[chunks, 2, primes, N]``, so that sums and
partial decryptions are element-wise, and ours. SEAL samples every secret and every encryption, transforms,
decodes and decides on security (128 bits by its own check, Albrecht et al. 2018).
"""

from __future__ import annotations

import os
import struct
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import tenseal.sealapi as seal
import zstandard
from numpy.typing import NDArray

from ..errors import CryptoError
from .ring import (
    DATA_LEVEL,
    DATA_PRIMES,
    KEY_LEVEL,
    KEY_PRIMES,
    PLAIN_MODULUS,
    SLOT_BITS,
    N,
    Residues,
)

_STREAM_HEADER = struct.Struct("<HBBBBHQ")
_STREAM_MAGIC, _SEAL_VERSION, _UNCOMPRESSED, _ZSTD = 0xA15E, (4, 3), 0, 2


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The joint encryption key: ``b = -(a s + e)`` in NTT form at the key level.

    b, a: uint64[3, N]
    """

    b: Residues
    a: Residues


@cache
def _context() -> Any:
    parameters = seal.EncryptionParameters(seal.SCHEME_TYPE.BFV)
    parameters.set_poly_modulus_degree(N)
    parameters.set_coeff_modulus(seal.CoeffModulus.Create(N, [p.bit_length() for p in KEY_PRIMES]))
    parameters.set_plain_modulus(seal.PlainModulus.Batching(N, SLOT_BITS))
    context = seal.SEALContext(parameters, True, seal.SEC_LEVEL_TYPE.TC128)
    primes = tuple(m.value() for m in context.key_context_data().parms().coeff_modulus())
    plain = parameters.plain_modulus().value()
    if not context.parameters_set() or primes != KEY_PRIMES or plain != PLAIN_MODULUS:
        raise CryptoError(
            "this build of SEAL does not give the agreed parameters",
            hint="install the pinned tenseal: pip install 'tenseal==0.3.18'",
        )
    return context


# SEAL objects cross into numpy by SEAL's own streams: a 16-byte header and the object, whose
# polynomials lie at its end. On Linux the stream goes through an anonymous memory file, never a disk.

_local = threading.local()


class _MemoryFile:
    """Closed when its thread ends."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("fedcgan")

    def __del__(self) -> None:
        os.close(self.descriptor)


@contextmanager
def _stream_file() -> Iterator[tuple[int, str]]:
    if hasattr(os, "memfd_create"):
        if not hasattr(_local, "file"):
            _local.file = _MemoryFile()
        yield _local.file.descriptor, f"/proc/self/fd/{_local.file.descriptor}"
    else:  # no memory files outside Linux: a private temporary file, removed at once
        with tempfile.NamedTemporaryFile() as file:
            yield file.fileno(), file.name


def _dump(thing: Any) -> bytes:
    with _stream_file() as (descriptor, path):
        thing.save(path)
        size = os.fstat(descriptor).st_size
        raw = os.pread(descriptor, size, 0)
        os.ftruncate(descriptor, 0)
    body = raw[_STREAM_HEADER.size :]
    return zstandard.ZstdDecompressor().decompressobj().decompress(body) if raw[5] == _ZSTD else body


def _load(kind: Any, body: bytes) -> Any:
    header = _STREAM_HEADER.pack(
        _STREAM_MAGIC,
        _STREAM_HEADER.size,
        *_SEAL_VERSION,
        _UNCOMPRESSED,
        0,
        len(body) + _STREAM_HEADER.size,
    )
    thing = kind()
    with _stream_file() as (descriptor, path):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, header + body, 0)
        thing.load(_context(), path)
        os.ftruncate(descriptor, 0)
    return thing


def _split(thing: Any, *shape: int) -> tuple[bytes, Residues]:
    """A SEAL object as (its description, its polynomials)."""
    body = _dump(thing)
    size = int(np.prod(shape)) * 8
    return body[:-size], np.frombuffer(body, np.uint64, offset=len(body) - size).reshape(shape)


@dataclass(frozen=True, slots=True)
class _Templates:
    """Descriptions that turn bare polynomials back into SEAL objects."""

    public_key: bytes
    ciphertext: bytes
    ciphertext_ntt: bytes


@cache
def _templates() -> _Templates:
    generator = seal.KeyGenerator(_context())
    public_key = seal.PublicKey()
    generator.create_public_key(public_key)
    plain, cipher = seal.Plaintext(), seal.Ciphertext()
    seal.BatchEncoder(_context()).encode([1] * N, plain)
    seal.Encryptor(_context(), public_key).encrypt(plain, cipher)
    coefficients = _split(cipher, 2, len(DATA_PRIMES), N)[0]
    seal.Evaluator(_context()).transform_to_ntt_inplace(cipher)
    return _Templates(
        public_key=_split(public_key, 2, len(KEY_PRIMES), N)[0],
        ciphertext=coefficients,
        ciphertext_ntt=_split(cipher, 2, len(DATA_PRIMES), N)[0],
    )


def sample_key_pair() -> tuple[Residues, Residues]:
    """A fresh secret ``s`` and ``-e``, both sampled by SEAL, in NTT form at the key level.

    Returns (s, minus_e), each uint64[3, N]. SEAL publishes ``b' = -(a' s + e)`` for an ``a'`` of
    its own; adding ``a' s`` leaves ``-e``, so no sampler of ours touches a key. (a', b') is dropped.
    """
    generator = seal.KeyGenerator(_context())
    public_key = seal.PublicKey()
    generator.create_public_key(public_key)
    _, secret = _split(generator.secret_key(), len(KEY_PRIMES), N)
    _, (b, a) = _split(public_key, 2, len(KEY_PRIMES), N)
    return secret, KEY_LEVEL.add(b, KEY_LEVEL.mul(a, secret))


def encrypt(key: PublicKey, slots: NDArray[np.int64]) -> Residues:
    """Encrypt ``int64[chunks, N]`` in [0, t) to ``uint64[chunks, 2, 2, N]`` in NTT form."""
    body = _templates().public_key + np.stack([key.b, key.a]).tobytes()
    encryptor = seal.Encryptor(_context(), _load(seal.PublicKey, body))
    encoder, evaluator = seal.BatchEncoder(_context()), seal.Evaluator(_context())
    out = np.empty((len(slots), 2, len(DATA_PRIMES), N), np.uint64)
    for chunk, row in enumerate(slots):
        plain, cipher = seal.Plaintext(), seal.Ciphertext()
        encoder.encode(row.tolist(), plain)
        encryptor.encrypt(plain, cipher)
        evaluator.transform_to_ntt_inplace(cipher)
        out[chunk] = _split(cipher, 2, len(DATA_PRIMES), N)[1]
    return out


def add(ciphertexts: Iterable[Residues]) -> Residues:
    """Homomorphic sum of ``uint64[chunks, 2, 2, N]`` whose residues are in range. Raises CryptoError."""
    iterator = iter(ciphertexts)
    if (total := next(iterator, None)) is None:
        raise CryptoError("there is nothing to add")
    for ciphertext in iterator:
        if ciphertext.shape != total.shape:
            raise CryptoError("ciphertexts of different lengths cannot be added")
        total = DATA_LEVEL.add(total, ciphertext)
    return total


def small_to_ntt(coefficients: NDArray[np.int64]) -> Residues:
    """Signed polynomials ``int64[chunks, N]`` to ``uint64[chunks, 2, N]`` in NTT form.

    SEAL transforms two of them at a time, as the halves of a ciphertext.
    """
    evaluator = seal.Evaluator(_context())
    moduli = np.array(DATA_PRIMES, np.int64)[:, None]
    lifted = np.mod(coefficients[:, None, :], moduli).astype(np.uint64)
    out = np.empty((len(lifted) + 1) // 2 * 2 * lifted[0].size, np.uint64).reshape(-1, 2, *lifted[0].shape)
    for number, pair in enumerate(out):
        pair[0] = lifted[2 * number]
        pair[1] = lifted[min(2 * number + 1, len(lifted) - 1)]
        cipher = _load(seal.Ciphertext, _templates().ciphertext + pair.tobytes())
        evaluator.transform_to_ntt_inplace(cipher)
        out[number] = _split(cipher, *pair.shape)[1]
    return out.reshape(-1, *lifted[0].shape)[: len(lifted)]


def decode(opened: Residues) -> NDArray[np.int64]:
    """Slots ``int64[chunks, N]`` of ``c0 + c1 s`` given as ``uint64[chunks, 2, N]`` in NTT form.

    SEAL decodes under a throw-away key d, for which (opened - d, 1) is an encryption of the same.
    """
    dummy = seal.KeyGenerator(_context()).secret_key()
    d = _split(dummy, len(KEY_PRIMES), N)[1][: len(DATA_PRIMES)]
    one = np.ones_like(d)
    decryptor, encoder = seal.Decryptor(_context(), dummy), seal.BatchEncoder(_context())
    evaluator = seal.Evaluator(_context())
    out = np.empty((len(opened), N), np.int64)
    for chunk, polynomial in enumerate(opened):
        cipher = _to_seal(np.stack([DATA_LEVEL.sub(polynomial, d), one]))
        evaluator.transform_from_ntt_inplace(cipher)
        plain = seal.Plaintext()
        decryptor.decrypt(cipher, plain)
        out[chunk] = np.array(encoder.decode_uint64(plain), np.int64)
    return out


def _to_seal(chunk: Residues) -> Any:
    """One ciphertext ``uint64[2, 2, N]`` as a SEAL object; SEAL refuses residues out of range."""
    try:
        return _load(seal.Ciphertext, _templates().ciphertext_ntt + chunk.tobytes())
    except (RuntimeError, ValueError) as error:
        raise CryptoError("this is not a ciphertext of our ring") from error

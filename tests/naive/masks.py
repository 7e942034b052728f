"""Pairwise masks: mask_j = sum_(m > j) PRG(P_jm) - sum_(m < j) PRG(P_mj) over the other openers m."""

import hashlib
from collections.abc import Mapping, Sequence

from .cipher import Half
from .ring import DATA_PRIMES, N, add, sub, to_bytes
from .streams import Stream, hkdf


def mask(
    index: int, pairs: Mapping[int, bytes], openers: Sequence[int], plan: str, step: str, c1: Half
) -> Half:
    """The mask of one opener; those of all openers of the same c1 add up to zero."""
    names = ",".join(str(opener) for opener in sorted(openers))
    info = f"fedcgan/v1/mask/{plan}/{step}/{names}/{hashlib.sha256(to_bytes(c1)).hexdigest()}"
    total = [[[0] * N for _ in DATA_PRIMES] for _ in c1]
    for other in openers:
        if other != index:
            sign = add if other > index else sub
            stream = expand(hkdf(pairs[other], info.encode()), len(c1))
            total = [sign(so_far, part) for so_far, part in zip(total, stream, strict=True)]
    return total


def expand(key: bytes, chunks: int) -> Half:
    """Uniform residues: those of the first prime for all chunks, then those of the second."""
    stream = Stream(key)
    drawn = [stream.below(q, chunks * N) for q in DATA_PRIMES]
    return [[words[chunk * N : (chunk + 1) * N] for words in drawn] for chunk in range(chunks)]

"""BFV with a joint key: encrypt, add, open in parts, decode (Fan and Vercauteren 2012, Mouchet et al. 2021).

Here one encrypts at the level of the data primes. SEAL does it at the key level and then drops the last
prime, which leaves less noise; both are ciphertexts of the same scheme and add up.
"""

from collections.abc import Mapping, Sequence
from functools import reduce

from .batching import decode, encode
from .keys import lagrange
from .refusal import refuse_if
from .ring import DATA_PRIMES, N, Poly, Q, Row, T, add, from_ntt, mul, scale, to_ntt
from .streams import Stream, small, ternary

Half = list[Poly]
Ciphertext = list[list[Poly]]


def encrypt(key: tuple[Poly, Poly], slots: list[Row], seed: str, label: str) -> Ciphertext:
    """(c0, c1) = (b u + e1 + round(Q m / t), a u + e2) for every chunk; u, e1, e2 made up from the seed."""
    b, a = (part[: len(DATA_PRIMES)] for part in key)
    out = []
    for number, chunk in enumerate(slots):
        u = to_ntt(ternary(seed, f"{label}/{number}/u"))
        e1, e2 = (small(seed, f"{label}/{number}/{name}") for name in ("e1", "e2"))
        message = [(Q * m + T // 2) // T for m in encode(chunk)]
        c0 = add(mul(b, u), to_ntt([e + m for e, m in zip(e1, message, strict=True)]))
        out.append([c0, add(mul(a, u), to_ntt(e2))])
    return out


def add_all(ciphertexts: Sequence[Ciphertext]) -> Ciphertext:
    """The homomorphic sum."""
    refuse_if(not ciphertexts or len({len(c) for c in ciphertexts}) != 1, "crypto")
    return [
        [reduce(add, parts) for parts in zip(*chunks, strict=True)]
        for chunks in zip(*ciphertexts, strict=True)
    ]


def partial(
    share: Poly,
    index: int,
    c1: Half,
    openers: Sequence[int],
    threshold: int,
    smudging: int,
    stream: Stream,
    mask: Half | None,
) -> Half:
    """d_j = lambda_j S_j c1 + e + mask_j, every coefficient of e uniform in [-smudging, smudging)."""
    apart = len(set(openers)) == len(openers) == threshold
    refuse_if(not apart or index not in openers, "protocol-not-enough-sites")
    factor = scale(lagrange(index, openers), share)
    drawn = stream.below(2 * smudging, len(c1) * N)
    noise = [[word - smudging for word in drawn[at : at + N]] for at in range(0, len(drawn), N)]
    out = [add(mul(factor, chunk), to_ntt(e)) for chunk, e in zip(c1, noise, strict=True)]
    return out if mask is None else [add(d, m) for d, m in zip(out, mask, strict=True)]


def combine(total: Ciphertext, partials: Mapping[int, Half], threshold: int) -> list[Row]:
    """Slots of c0 + sum_j d_j: round(t x / Q) mod t."""
    refuse_if(len(partials) < threshold, "protocol-not-enough-sites")
    refuse_if(any(len(half) != len(total) for half in partials.values()), "crypto")
    slots = []
    for number, (c0, _) in enumerate(total):
        opened = reduce(add, (half[number] for half in partials.values()), c0)
        slots.append(decode([(T * x + Q // 2) // Q % T for x in from_ntt(opened)]))
    return slots

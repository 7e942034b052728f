"""Z_q[X] / (X^N + 1) for every prime q of the modulus, its NTT, and residues as bytes.

NTT form: value i of a polynomial f is f(psi^(2 bitrev(i) + 1)) mod q, where psi is the smallest
primitive 2N-th root of unity mod q and bitrev reverses 13 bits.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from .refusal import refuse_if

N = 8192
DATA_PRIMES = (1152921504606683137, 1152921504606748673)
KEY_PRIMES = (*DATA_PRIMES, 1152921504606830593)
T = 72057594037616641
Q = DATA_PRIMES[0] * DATA_PRIMES[1]

Row = list[int]
Poly = list[Row]


@cache
def powers(q: int) -> Row:
    """psi^0, ..., psi^(2N - 1) mod q for the smallest psi with psi^N = -1."""
    candidates = (pow(x, (q - 1) // (2 * N), q) for x in range(2, 1000))
    some = next(root for root in candidates if pow(root, N, q) == q - 1)
    psi = min(pow(some, odd, q) for odd in range(1, 2 * N, 2))
    table = [1]
    for _ in range(2 * N - 1):
        table.append(table[-1] * psi % q)
    return table


def _exponents() -> Iterator[list[int]]:
    """X^N + 1 = X^N - psi^N in halves, level by level: X^n - r^2 = (X^(n/2) - r)(X^(n/2) + r), r = psi^(e/2).

    Yields e of all factors of a level; -r = psi^(e/2 + N).
    """
    level = [N]
    while len(level) < N:
        yield level
        level = [half for e in level for half in (e // 2, e // 2 + N)]


def ntt(f: Sequence[int], q: int) -> Row:
    """f of degree < N to its N values: f mod X^n - r^2 becomes low + r high and low - r high."""
    power, values, half = powers(q), [c % q for c in f], N
    for level in _exponents():
        half //= 2
        for block, e in enumerate(level):
            r = power[e // 2]
            for low in range(2 * half * block, 2 * half * block + half):
                rest = values[low + half] * r % q
                values[low + half] = values[low] - rest
                values[low] += rest
    return [value % q for value in values]


def inverse_ntt(values: Row, q: int) -> Row:
    """N values back to the coefficients, in [0, q): low = (left + right) / 2, high = (left - right) / 2r."""
    power, f, half = powers(q), list(values), 1
    for level in reversed(list(_exponents())):
        for block, e in enumerate(level):
            r = power[2 * N - e // 2]
            for low in range(2 * half * block, 2 * half * block + half):
                left, right = f[low], f[low + half]
                f[low] = left + right
                f[low + half] = (left - right) * r % q
        half *= 2
    nth = pow(N, -1, q)
    return [c * nth % q for c in f]


def to_ntt(f: Sequence[int], primes: Sequence[int] = DATA_PRIMES) -> Poly:
    """An integer polynomial, of any size and sign, in NTT form."""
    return [ntt(f, q) for q in primes]


def from_ntt(poly: Poly) -> Row:
    """The coefficients mod Q, in [0, Q), of a polynomial over the data primes (Chinese remainders)."""
    p, q = DATA_PRIMES
    rows = zip(inverse_ntt(poly[0], p), inverse_ntt(poly[1], q), strict=True)
    inverse = pow(p, -1, q)
    return [x + p * ((y - x) * inverse % q) for x, y in rows]


def _each(operation: Callable[[int, int], int], a: Poly, b: Poly) -> Poly:
    pairs = zip(KEY_PRIMES, a, b, strict=False)
    return [[operation(x, y) % q for x, y in zip(u, v, strict=True)] for q, u, v in pairs]


def add(a: Poly, b: Poly) -> Poly:
    """a + b."""
    return _each(lambda x, y: x + y, a, b)


def sub(a: Poly, b: Poly) -> Poly:
    """a - b."""
    return _each(lambda x, y: x - y, a, b)


def mul(a: Poly, b: Poly) -> Poly:
    """a b: in NTT form the ring product goes value by value."""
    return _each(lambda x, y: x * y, a, b)


def scale(factors: Sequence[int], a: Poly) -> Poly:
    """a times one constant for each prime."""
    return [[f * x % q for x in row] for f, q, row in zip(factors, KEY_PRIMES, a, strict=False)]


def _rows(nested: Any) -> Iterator[Row]:
    if isinstance(nested[0], int):
        yield nested
    else:
        for part in nested:
            yield from _rows(part)


def to_bytes(nested: Any) -> bytes:
    """All residues in order, 60 bits each, the lowest bits first: word k stands at bit 60 k."""
    pairs = ((row[at], row[at + 1]) for row in _rows(nested) for at in range(0, len(row), 2))
    return b"".join((low | high << 60).to_bytes(15, "little") for low, high in pairs)


def polys_from_bytes(raw: bytes, count: int, primes: Sequence[int] = DATA_PRIMES) -> list[Poly]:
    """``count`` polynomials: no byte more or less, every residue below its prime."""
    refuse_if(len(raw) != count * len(primes) * N // 2 * 15, "protocol-malformed")
    words: Row = []
    for start in range(0, len(raw), 15):
        pair = int.from_bytes(raw[start : start + 15], "little")
        words += (pair % (1 << 60), pair >> 60)
    rows = [words[start : start + N] for start in range(0, len(words), N)]
    polys = [rows[start : start + len(primes)] for start in range(0, len(rows), len(primes))]
    for poly in polys:
        for q, row in zip(primes, poly, strict=True):
            refuse_if(max(row) >= q, "protocol-malformed")
    return polys

"""N slots as one plaintext polynomial mod t: slots are values of it (Smart and Vercauteren 2014).

The first half of the slots are the values at psi^(3^j), the second half those at psi^(-3^j), j = 0, 1, ...;
so that sums of polynomials are sums of slots.
"""

from functools import cache

from .ring import N, Row, T, inverse_ntt, ntt


def bitrev(number: int) -> int:
    """13 bits in reversed order."""
    return int(f"{number:013b}"[::-1], 2)


@cache
def places() -> Row:
    """Where in the NTT form slot j stands: value i is taken at psi^(2 bitrev(i) + 1)."""
    first, second, power = [], [], 1
    for _ in range(N // 2):
        first.append(bitrev((power - 1) // 2))
        second.append(bitrev((2 * N - power - 1) // 2))
        power = power * 3 % (2 * N)
    return first + second


def encode(slots: Row) -> Row:
    """Slots in [0, t) to coefficients in [0, t)."""
    values = [0] * N
    for place, slot in zip(places(), slots, strict=True):
        values[place] = slot
    return inverse_ntt(values, T)


def decode(plaintext: Row) -> Row:
    """Coefficients to slots."""
    values = ntt(plaintext, T)
    return [values[place] for place in places()]

"""The smudging bound S: the largest number of three binary digits and zeros with tau S + B <= Q / 2t - 2^20.

|s|^2 <= 2kN/3 + k^2 sqrt(N * 64 ln 2 / 2)              except with probability 2^-64
B, the noise of an honest sum,
  = 2n + sqrt(n |s|^2 (42 ln 2 + ln(2^20 N)) / 2)        except with probability 2^-41 in a whole run
"""

from math import ceil, log, sqrt

from .ring import N, Q, T


def smudging(sites: int, holders: int, threshold: int) -> int:
    """S."""
    norm = ceil(2 * holders * N / 3 + holders**2 * sqrt(N * 64 * log(2) / 2))
    tail = 42 * log(2) + log(2**20 * N)
    honest = ceil(2 * sites + sqrt(sites * norm * tail / 2))
    room = (Q // (2 * T) - 2**20 - honest) // threshold
    unit = 2 ** (room.bit_length() - 3)
    return room // unit * unit

"""The keyed linear tag: <r, c1> mod each data prime, with r known to the sites only."""

from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from .cipher import Half
from .refusal import Refusal, refuse_if
from .ring import DATA_PRIMES, N, Row
from .streams import Stream, hkdf


def group_key(pieces: Sequence[bytes], plan: str) -> bytes:
    """K = HKDF(pieces of all key-holders, in their order)."""
    return hkdf(b"".join(pieces), f"fedcgan/v1/group-key/{plan}".encode())


def inner_product(group: bytes, c1: Half, plan: str, step: str) -> Row:
    """<r, c1> mod each data prime; r: 60 bits of a word each, chunk by chunk, prime by prime."""
    stream = Stream(hkdf(group, f"fedcgan/v1/vector/{plan}/{step}".encode()))
    totals = [0] * len(DATA_PRIMES)
    for chunk in c1:
        for number, row in enumerate(chunk):
            r = [word % 2**60 for word in stream.words(N)]
            totals[number] += sum(x * y for x, y in zip(r, row, strict=True))
    return [total % q for total, q in zip(totals, DATA_PRIMES, strict=True)]


def _box(group: bytes, plan: str, step: str, site: str) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(hkdf(group, f"fedcgan/v1/tag/{plan}/{step}/{site}".encode()))


def seal(group: bytes, c1: Half, plan: str, step: str, site: str, nonce: bytes) -> bytes:
    """nonce || box of the two values, 8 bytes each, big-endian."""
    tag = b"".join(value.to_bytes(8, "big") for value in inner_product(group, c1, plan, step))
    return nonce + _box(group, plan, step, site).encrypt(nonce, tag, None)


def check(group: bytes, c1: Half, boxes: Mapping[str, bytes], plan: str, step: str) -> None:
    """<r, c1> = sum_i <r, c1_i>, or a refusal."""
    expected = [0] * len(DATA_PRIMES)
    for site, box in boxes.items():
        try:
            tag = _box(group, plan, step, site).decrypt(box[:12], box[12:], None)
        except (InvalidTag, ValueError) as error:
            raise Refusal("crypto-foreign-tag") from error
        expected = [so_far + int.from_bytes(tag[8 * k :][:8], "big") for k, so_far in enumerate(expected)]
    found = inner_product(group, c1, plan, step)
    wrong = any((x - y) % q for x, y, q in zip(found, expected, DATA_PRIMES, strict=True))
    refuse_if(wrong, "crypto-foreign-sum")

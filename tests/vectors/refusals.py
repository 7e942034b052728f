"""What stands in refusals.json: an input, who has to look at it, and the error code it must give."""

from typing import Any

import msgpack

from tests.naive import boxes, federation, frames
from tests.naive.ring import DATA_PRIMES, KEY_PRIMES, N

from .small import PLAN, secret

Case = dict[str, Any]
STEP, SITES = federation.STEP, ("site-1", "site-2", "site-3")
MALFORMED, SIGNATURE, HEADROOM = "protocol-malformed", "protocol-signature", "crypto-headroom"
WRONG_PLAN = "protocol-wrong-plan"
NOT_A_SUM, FEW, CRYPTO = "crypto-not-a-sum", "protocol-not-enough-sites", "crypto"
FOREIGN_SUM, FOREIGN_TAG = "crypto-foreign-sum", "crypto-foreign-tag"


def cases() -> list[Case]:
    """refusals.json."""
    kinds = (_frames, _messages, _elements, _packings, _boxes, _openings, _shares, _tags)
    return [case for kind in kinds for case in kind()]


def _case(what: str, name: str, error: str | None, **content: Any) -> Case:
    return {"name": f"{what}: {name}", "what": what, **content, "error": error}


def _flip(raw: bytes, bit: int) -> bytes:
    return (int.from_bytes(raw, "big") ^ (1 << bit)).to_bytes(len(raw), "big")


def _frames() -> list[Case]:
    private, body = secret("identity"), b"body" * 5
    good = frames.sign(private, "contribution", PLAN, STEP, "north", body)
    head, signature, _ = msgpack.unpackb(good)
    digest = msgpack.unpackb(head)[5]

    def frame(name: str, error: str | None, raw: bytes, **content: Any) -> Case:
        expected = {
            "identity": frames.public(private),
            "plan": PLAN,
            "sender": "north",
            "with_body": True,
            "limit": 2000,
        }
        return _case("frame", name, error, raw=raw.hex(), **(expected | content))

    def packed(*parts: Any) -> bytes:
        return bytes(msgpack.packb(parts))

    def headed(*fields: Any) -> bytes:
        return packed(msgpack.packb(fields), signature, body)

    unlabelled = frames.Ed25519PrivateKey.from_private_bytes(private).sign(head)
    return [
        frame("as it was signed", None, good),
        frame("its seal", None, frames.seal(good), with_body=False),
        frame("cut by one byte", MALFORMED, good[:-1]),
        frame("cut in its header", MALFORMED, good[:60]),
        frame("empty", MALFORMED, b""),
        frame("one byte too many", MALFORMED, good + b"\0"),
        frame("longer than allowed", MALFORMED, good, limit=len(good) - 1),
        frame("another version", MALFORMED, headed(2, "contribution", PLAN, STEP, "north", digest)),
        frame("five fields", MALFORMED, headed(1, "contribution", PLAN, STEP, "north")),
        frame("seven fields", MALFORMED, headed(1, "contribution", PLAN, STEP, "north", digest, 0)),
        frame("bytes for a text", MALFORMED, headed(1, b"contribution", PLAN, STEP, "north", digest)),
        frame("text for the digest", MALFORMED, headed(1, "contribution", PLAN, STEP, "north", "digest")),
        frame("a header of over 1024 bytes", MALFORMED, headed(1, "a" * 1100, PLAN, STEP, "north", digest)),
        frame("a text of 65 bytes", MALFORMED, headed(1, "contribution", PLAN, "a" * 65, "north", digest)),
        frame("a digest of 31 bytes", MALFORMED, headed(1, "contribution", PLAN, STEP, "north", digest[1:])),
        frame("true for version 1", MALFORMED, headed(True, "contribution", PLAN, STEP, "north", digest)),
        frame("a header in another form", MALFORMED, packed(b"\x96\xd0" + head[1:], signature, body)),
        frame("no header", MALFORMED, packed(0, signature, body)),
        frame("text for the body", MALFORMED, packed(head, signature, "body")),
        frame("two parts", MALFORMED, packed(head, signature)),
        frame("one bit of the signature", SIGNATURE, packed(head, _flip(signature, 77), body)),
        frame("one bit of the body", SIGNATURE, packed(head, signature, _flip(body, 3))),
        frame("another kind", SIGNATURE, headed(1, "opened", PLAN, STEP, "north", digest)),
        frame("another step", SIGNATURE, headed(1, "contribution", PLAN, "measure", "north", digest)),
        frame("a signature of 63 bytes", MALFORMED, packed(head, signature[:-1], body)),
        frame("signed without the label", SIGNATURE, packed(head, unlabelled, body)),
        frame("signed by another", SIGNATURE, good, identity=frames.public(secret("stranger"))),
        frame("of another plan", WRONG_PLAN, good, plan="0" * 64),
        frame("of another sender", SIGNATURE, good, sender="south"),
        frame("a seal for a frame", SIGNATURE, frames.seal(good)),
    ]


def _messages() -> list[Case]:
    def message(
        name: str, error: str | None, content: Any, kind: str = "contribution", tail: str = ""
    ) -> Case:
        return _case("message", name, error, kind=kind, raw=msgpack.packb(content).hex() + tail)

    whole = {"ciphertext": b"c", "tag": b"t"}
    return [
        message("whole", None, whole),
        message("a field too few", MALFORMED, {"tag": b"t"}),
        message("a field too many", MALFORMED, whole | {"values": b"v"}),
        message("text for bytes", MALFORMED, whole | {"tag": "t"}),
        message("of another kind", MALFORMED, whole, kind="opened"),
        message("an array", MALFORMED, list(whole.values())),
        message("a byte too many", MALFORMED, whole, tail="00"),
    ]


def _elements() -> list[Case]:
    """All residues zero but one, in so many bytes more or less."""

    def element(
        name: str, error: str | None, kind: str, *, longer: int = 0, word: int = 0, value: int = 0
    ) -> Case:
        content = {"kind": kind, "chunks": 1, "longer": longer, "word": word, "value": hex(value)}
        return _case("element", f"{kind} {name}", error, **content)

    out = []
    for kind, rows in (
        ("ciphertext", 2 * DATA_PRIMES),
        ("half", DATA_PRIMES),
        ("share", DATA_PRIMES),
        ("piece", KEY_PRIMES),
    ):
        last = len(rows) * N - 1
        out += [
            element("one byte short", MALFORMED, kind, longer=-1),
            element("one byte long", MALFORMED, kind, longer=1),
            element("a polynomial long", MALFORMED, kind, longer=len(DATA_PRIMES) * N // 2 * 15),
            element("empty", MALFORMED, kind, longer=-len(rows) * N // 2 * 15),
            element("largest residues", None, kind, word=last, value=rows[-1] - 1),
            element("first residue is its prime", MALFORMED, kind, value=rows[0]),
            element("last residue is its prime", MALFORMED, kind, word=last, value=rows[-1]),
            element("a word of ones", MALFORMED, kind, word=N, value=2**60 - 1),
        ]
    return out


def _packings() -> list[Case]:
    def layout(*numbers: int) -> Case:
        return _case("pack", f"layout {numbers}", HEADROOM, layout=numbers, values=[0])

    def values(name: str, error: str | None, numbers: list[int]) -> Case:
        return _case("pack", name, error, layout=(14, 3, 2), values=numbers)

    def slots(
        name: str, error: str | None, *changes: tuple[int, int], contributors: int = 2, chunks: int = 1
    ) -> Case:
        content = {"layout": (18, 3, 4), "contributors": contributors, "chunks": chunks, "changes": changes}
        return _case("unpack", name, error, **content)

    largest = (2**18 - 2) // 3
    return [
        layout(1, 1, 1),
        layout(56, 1, 1),
        layout(14, 0, 1),
        layout(14, 3, 0),
        layout(2, 3, 1),
        values("largest values", None, [(2**14 - 2) // 3, 0]),
        values("a value over the largest", HEADROOM, [(2**14 - 2) // 3 + 1, 0]),
        values("a negative value", HEADROOM, [0, -1]),
        values("a value too many", HEADROOM, [0, 0, 0]),
        slots("a sum", None, (1, 2 * largest)),
        slots("a slot that counts another number", NOT_A_SUM, (0, 3)),
        slots("an empty slot 0", NOT_A_SUM, (0, 0)),
        slots("a field over what two can add", NOT_A_SUM, (1, 2 * largest + 1)),
        slots("a high field over what two can add", NOT_A_SUM, (9, (2 * largest + 1) << 36)),
        slots("bits above the last field", NOT_A_SUM, (8191, 1 << 54)),
        slots("more contributors than sites", NOT_A_SUM, (0, 4), contributors=4),
        slots("no contributors", NOT_A_SUM, (0, 0), contributors=0),
        slots("a chunk too many", NOT_A_SUM, chunks=2),
    ]


def _boxes() -> list[Case]:
    alice, bob, context = (
        secret("agreement/alice"),
        secret("agreement/bob"),
        boxes.box_context(PLAN, "alice", "bob"),
    )
    good = boxes.seal(alice, boxes.public(bob), context, b"share", federation.NONCE)

    def box(name: str, error: str | None, raw: bytes = good, **content: bytes) -> Case:
        whole = {"private": bob, "peer": boxes.public(alice), "context": context, "box": raw} | content
        return _case("box", name, error, **{field: value.hex() for field, value in whole.items()})

    return [
        box("for its receiver", None),
        box("opened by another", SIGNATURE, private=secret("agreement/carol")),
        box("from another", SIGNATURE, peer=boxes.public(secret("agreement/carol"))),
        box("in the other direction", SIGNATURE, context=boxes.box_context(PLAN, "bob", "alice")),
        box("of another plan", SIGNATURE, context=boxes.box_context("0" * 64, "alice", "bob")),
        box("one bit", SIGNATURE, _flip(good, 40)),
        box("one bit of the nonce", SIGNATURE, _flip(good, 8 * len(good) - 1)),
        box("cut", SIGNATURE, good[:-1]),
        box("cut in its nonce", SIGNATURE, good[:5]),
        box("a key of 31 bytes", SIGNATURE, peer=bytes(31)),
        box("a key of small order", SIGNATURE, peer=bytes(32)),
    ]


def _openings() -> list[Case]:
    """Partial decryptions of the run ``three`` for one sum; what differs from an honest opening is named."""

    def part(holder: int, openers: tuple[int, ...] = (1, 2), **change: Any) -> Case:
        return {"holder": holder, "openers": openers, **change}

    def opening(name: str, error: str | None, *parts: Case, **change: Any) -> Case:
        return _case("opening", name, error, run="three", parts=parts, **change)

    return [
        opening("by two", None, part(1), part(2)),
        opening("too few", FEW, part(1)),
        opening("none", FEW),
        opening("three where two are due", FEW, part(1, (1, 2, 3)), part(2, (1, 2, 3)), part(3, (1, 2, 3))),
        opening("one of another subset", NOT_A_SUM, part(1), part(3, (1, 3))),
        opening("one for another subset", NOT_A_SUM, part(1), part(2, (2, 3))),
        opening("a mask is missing", NOT_A_SUM, part(1), part(2, unmasked=True)),
        opening("no masks, and they cancel anyway", None, part(1, unmasked=True), part(2, unmasked=True)),
        opening("one for another step", NOT_A_SUM, part(1), part(2, step="train-0002")),
        opening("one is garbage", NOT_A_SUM, part(1), part(2, garbage=True)),
        opening("one is turned by a place", NOT_A_SUM, part(1), part(2, turned=True)),
        opening("one is a chunk short", CRYPTO, part(1), part(2, chunks=1)),
        opening("another sum", NOT_A_SUM, part(1), part(2), summands=["site-1", "site-2"]),
        opening("another number of contributors", NOT_A_SUM, part(1), part(2), contributors=2),
    ]


def _shares() -> list[Case]:
    def partial(name: str, error: str | None, holder: int, *openers: int) -> Case:
        return _case("partial", name, error, run="three", holder=holder, openers=openers)

    def deal(threshold: int, holders: int) -> Case:
        return _case(
            "deal", f"{threshold} of {holders}", CRYPTO, run="three", threshold=threshold, holders=holders
        )

    return [
        partial("below the threshold", FEW, 1, 1),
        partial("one twice", FEW, 1, 1, 1),
        partial("without oneself", FEW, 1, 2, 3),
        deal(0, 3),
        deal(4, 3),
        _case("sum", "of nothing", CRYPTO, chunks=[]),
        _case("sum", "of different lengths", CRYPTO, chunks=[2, 1]),
    ]


def _tags() -> list[Case]:
    """The tags of the run ``three``: which boxes stand under which names, for the sum of which sites."""

    def tags(name: str, error: str | None, *, boxes_of: tuple[str, ...] = SITES, **change: Any) -> Case:
        whole = {"summands": SITES, "boxes": dict(zip(SITES, boxes_of, strict=False)), "step": STEP}
        return _case("tags", name, error, run="three", **(whole | change))

    return [
        tags("the sum", None),
        tags("a sum without one", FOREIGN_SUM, summands=SITES[:2]),
        tags("one counted twice", FOREIGN_SUM, summands=(*SITES, "site-1")),
        tags("a single contribution", FOREIGN_SUM, summands=SITES[:1]),
        tags("one residue more by one", FOREIGN_SUM, plus_one=17),
        tags("the last residue more by one", FOREIGN_SUM, plus_one=4 * N - 1),
        tags("a tag too few", FOREIGN_SUM, boxes_of=SITES[:2]),
        tags("tags exchanged", FOREIGN_TAG, boxes_of=("site-2", "site-1", "site-3")),
        tags("of another step", FOREIGN_TAG, step="train-0002"),
        tags("of another plan", FOREIGN_TAG, plan="0" * 64),
        tags("another group key", FOREIGN_TAG, group=secret("group").hex()),
        tags("one bit", FOREIGN_TAG, flip=99),
        tags("cut", FOREIGN_TAG, cut=40),
        tags("cut in its nonce", FOREIGN_TAG, cut=3),
    ]

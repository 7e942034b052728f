"""How a case of refusals.json is played, by either implementation."""

from functools import cache
from typing import Any

from tests.naive import federation
from tests.naive.federation import Run
from tests.naive.ring import DATA_PRIMES, KEY_PRIMES, N, to_bytes
from tests.naive.streams import Stream

from .make import runs

Case = dict[str, Any]
ROWS = {"ciphertext": 4, "half": len(DATA_PRIMES), "share": len(DATA_PRIMES), "piece": len(KEY_PRIMES)}
CHUNK = len(DATA_PRIMES) * N // 2 * 15


def play(implementation: Any, case: Case) -> None:
    """Do what the case describes; what is wrong raises an error with a ``code``."""
    {
        "frame": _frame,
        "message": lambda who, it: who.parse(it["kind"], bytes.fromhex(it["raw"])),
        "element": _element,
        "pack": lambda who, it: who.pack(it["layout"], it["values"]),
        "unpack": _unpack,
        "box": _box,
        "opening": _opening,
        "partial": _partial,
        "deal": _deal,
        "sum": lambda who, it: who.add([bytes(2 * CHUNK * chunks) for chunks in it["chunks"]]),
        "tags": _tags,
    }[case["what"]](implementation, case)


def _frame(who: Any, case: Case) -> None:
    raw = bytes.fromhex(case["raw"])
    who.read(raw, case["limit"])  # what is malformed is noticed here
    expected = (case["identity"], case["plan"], case["sender"], case["with_body"])
    who.check(raw, case["limit"], *expected)


def _element(who: Any, case: Case) -> None:
    words = ROWS[case["kind"]] * N
    number = int(case["value"], 16) << (60 * case["word"])
    raw = number.to_bytes(words // 2 * 15, "little")
    longer = case["longer"]
    who.decode(case["kind"], raw + bytes(longer) if longer >= 0 else raw[:longer], case["chunks"])


def _unpack(who: Any, case: Case) -> None:
    slots = [[case["contributors"]] + [0] * (N - 1) for _ in range(case["chunks"])]
    for place, value in case["changes"]:
        slots[0][place] = value
    who.unpack(case["layout"], slots, case["contributors"])


def _box(who: Any, case: Case) -> None:
    content = who.unseal(*(bytes.fromhex(case[field]) for field in ("private", "peer", "context", "box")))
    assert content == b"share"


@cache
def _masked(who: Any, run: Run, holder: int, openers: tuple[int, ...], step: str, unmasked: bool) -> bytes:
    c1 = to_bytes(run.c1)
    mask = bytes(len(c1))
    if not unmasked:
        mask = who.mask(holder, run.pairs(holder), openers, run.plan, step, c1)
    share, key = to_bytes(run.shares[holder - 1]), run.noise_key(holder, openers)
    return who.partial(share, holder, c1, openers, run.threshold, run.smudging, key, mask)


def _opening(who: Any, case: Case) -> None:
    run = runs()[case["run"]]
    partials = {}
    for part in case["parts"]:
        chosen = (tuple(part["openers"]), part.get("step", federation.STEP), part.get("unmasked", False))
        raw = _masked(who, run, part["holder"], *chosen)[: part.get("chunks", 2) * CHUNK]
        if part.get("turned"):
            raw = raw[15:] + raw[:15]
        if part.get("garbage"):
            stream = Stream(bytes(32))
            raw = to_bytes([[stream.below(q, N) for q in DATA_PRIMES] for _ in run.c1])
        partials[part["holder"]] = raw
    total = to_bytes(run.total)
    if "summands" in case:
        total = who.add([to_bytes(run.ciphertexts[run.summands.index(name)]) for name in case["summands"]])
    slots = who.combine(total, partials, run.threshold, run.layout.chunks)
    found = who.unpack(tuple(run.layout), slots, case.get("contributors", len(run.summands)))
    assert found == run.clear_sum


def _partial(who: Any, case: Case) -> None:
    run, c1 = runs()[case["run"]], bytes(CHUNK)
    share = to_bytes(run.shares[case["holder"] - 1])
    who.partial(share, case["holder"], c1, case["openers"], run.threshold, run.smudging, bytes(32), c1)


def _deal(who: Any, case: Case) -> None:
    secret = to_bytes(runs()[case["run"]].secrets[0][0])
    who.deal(secret, case["threshold"], case["holders"], bytes(32))


def _tags(who: Any, case: Case) -> None:
    run = runs()[case["run"]]
    halves = [[c1 for _, c1 in run.ciphertexts[run.summands.index(name)]] for name in case["summands"]]
    words = [0] * (run.layout.chunks * len(DATA_PRIMES) * N)
    for half in halves:
        flat = [word for chunk in half for row in chunk for word in row]
        words = [x + y for x, y in zip(words, flat, strict=True)]
    if "plus_one" in case:
        words[case["plus_one"]] += 1
    c1 = to_bytes([word % DATA_PRIMES[place // N % 2] for place, word in enumerate(words)])
    boxes = {name: run.tags[sealed] for name, sealed in case["boxes"].items()}
    if "flip" in case:
        number = int.from_bytes(boxes["site-1"], "big") ^ (1 << case["flip"])
        boxes["site-1"] = number.to_bytes(len(boxes["site-1"]), "big")
    if "cut" in case:
        boxes["site-1"] = boxes["site-1"][: case["cut"]]
    group = bytes.fromhex(case.get("group", run.group.hex()))
    who.check_tags(group, c1, boxes, case.get("plan", run.plan), case["step"])

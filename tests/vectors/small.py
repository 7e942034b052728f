"""What stands in small.json and sums.json."""

from collections.abc import Sequence
from typing import Any

from tests.naive import boxes, federation, frames, keys, packing, proof, streams
from tests.naive.federation import NONCE, Run, digest, digest_of_integers
from tests.naive.ring import DATA_PRIMES, KEY_PRIMES, N, Row, to_ntt
from tests.naive.tags import inner_product

SEED = "fedcgan/vectors/small"
PLAN = streams.made_up(SEED, "plan").hex()


def secret(label: str) -> bytes:
    """32 bytes."""
    return streams.made_up(SEED, label)


def vectors() -> dict[str, Any]:
    """small.json."""
    return {
        "seed": SEED,
        "plan": PLAN,
        "primes": [hex(q) for q in KEY_PRIMES],
        "below": [_below(bound, count) for bound, count in ((10, 40), (1, 4), (2**62 + 1, 12), (2**63, 3))],
        "below_large": [_below_large(bound) for bound in (*DATA_PRIMES, 5 * 2**53)],
        "proof": [_proof("north", 3), _proof("south", 32)],
        "lagrange": [_lagrange(j, openers) for openers in ((1, 2), (3, 1, 7), (16, 2, 5)) for j in openers],
        "ntt": [_ntt(sparse) for sparse in ({0: 1}, {1: 1}, {0: -5, 3: 2**62, 8191: -(2**62)})],
        "packing": [_packing(*layout) for layout in ((14, 3, 100), (20, 2, 16_400), (55, 7, 5), (2, 1, 90))],
        "agreement": _agreement(),
        "frames": [_frame(b""), _frame(b"body" * 20)],
        "messages": [_message(kind) for kind in frames.MESSAGES],
    }


def values_of(layout: packing.Layout, label: str) -> Row:
    """Values for a layout: words of 8 bytes mod L + 1."""
    raw = streams.made_up(SEED, label, 8 * layout.count)
    words = [int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 8)]
    return [word % (layout.largest + 1) for word in words]


def _below(bound: int, count: int) -> dict[str, Any]:
    key = secret(f"below/{bound}")
    return {"key": key.hex(), "bound": bound, "values": streams.Stream(key).below(bound, count)}


def _below_large(bound: int) -> dict[str, Any]:
    key = secret(f"below/{bound}")
    drawn = streams.Stream(key).below(bound, 2 * N)
    return {"key": key.hex(), "bound": bound, "count": 2 * N, "sha256": digest_of_integers(drawn)}


def _proof(site: str, sites: int) -> dict[str, Any]:
    found = proof.values(PLAN, site, proof.layout(sites))
    return {"site": site, "sites": sites, "first": found[:4], "sha256": digest_of_integers(found)}


def _lagrange(index: int, openers: Sequence[int]) -> dict[str, Any]:
    found = [hex(factor) for factor in keys.lagrange(index, openers)]
    return {"index": index, "openers": openers, "factors": found}


def _ntt(sparse: dict[int, int]) -> dict[str, Any]:
    found = to_ntt([sparse.get(power, 0) for power in range(N)])
    coefficients = {str(power): value for power, value in sparse.items()}
    return {"coefficients": coefficients, "first": [hex(x) for x in found[0][:3]], "sha256": digest(found)}


def _packing(bits: int, sites: int, count: int) -> dict[str, Any]:
    layout = packing.Layout(bits, sites, count)
    slots = packing.pack(layout, values_of(layout, f"packing/{bits}"))
    flat = [slot for chunk in slots for slot in chunk]
    return {
        "layout": layout,
        "values": f"packing/{bits}",
        "chunks": len(slots),
        "first": flat[:3],
        "sha256": digest_of_integers(flat),
    }


def _agreement() -> dict[str, Any]:
    alice, bob = secret("agreement/alice"), secret("agreement/bob")
    content = secret("content")
    box_context = boxes.box_context(PLAN, "alice", "bob")
    pair_context = boxes.pair_context(PLAN, "bob", "alice")
    return {
        "alice": alice.hex(),
        "bob": bob.hex(),
        "alice_public": boxes.public(alice).hex(),
        "bob_public": boxes.public(bob).hex(),
        "pair_context": pair_context.decode(),
        "pair_key": boxes.pair_key(alice, boxes.public(bob), pair_context).hex(),
        "box_context": box_context.decode(),
        "content": content.hex(),
        "box": boxes.seal(alice, boxes.public(bob), box_context, content, NONCE).hex(),
    }


def _frame(body: bytes) -> dict[str, Any]:
    private = secret("identity")
    frame = frames.sign(private, "contribution", PLAN, federation.STEP, "north", body)
    return {
        "private": private.hex(),
        "identity": frames.public(private),
        "kind": "contribution",
        "step": federation.STEP,
        "sender": "north",
        "body": body.hex(),
        "header": frames.header("contribution", PLAN, federation.STEP, "north", body).hex(),
        "frame": frame.hex(),
        "seal": frames.seal(frame).hex(),
    }


def _message(kind: str) -> dict[str, Any]:
    fields = {name: secret(f"message/{name}") for name in frames.MESSAGES[kind]}
    body = frames.message(kind, fields)
    return {"kind": kind, "fields": {name: raw.hex() for name, raw in fields.items()}, "body": body.hex()}


def describe(run: Run, subsets: Sequence[Sequence[int]]) -> dict[str, Any]:
    """One run of sums.json."""
    openings = []
    for openers in subsets:
        made = {j: run.mask(j, openers) for j in openers}
        partials = {j: run.partial(j, openers, made[j]) for j in openers}
        assert run.open(partials) == run.clear_sum
        openings.append(
            {
                "openers": openers,
                "masks": {str(j): digest(mask) for j, mask in made.items()},
                "partials": {str(j): digest(partial) for j, partial in partials.items()},
            }
        )
    halves = [[c1 for _, c1 in ciphertext] for ciphertext in run.ciphertexts]
    tags = [inner_product(run.group, half, run.plan, federation.STEP) for half in halves]
    return {
        "seed": run.seed,
        "holders": run.holders,
        "threshold": run.threshold,
        "layout": run.layout,
        "plan": run.plan,
        "step": federation.STEP,
        "names": run.names,
        "summands": run.summands,
        "nonces": [nonce.hex() for nonce in run.nonces],
        "reference_seed": keys.reference_seed(run.plan, run.nonces).hex(),
        "reference": digest(run.a),
        "secrets": [digest(s) for s, _ in run.secrets],
        "pieces": [digest(piece) for piece in run.pieces],
        "commitments": [keys.commitment(piece).hex() for piece in run.pieces],
        "joint_key": digest(run.key),
        "dealt": [[digest(share) for share in received] for received in run.dealt],
        "shares": [digest(share) for share in run.shares],
        "pairs": {
            f"{i}-{j}": key.hex() for i in range(1, run.holders) for j, key in run.pairs(i).items() if j > i
        },
        "group": run.group.hex(),
        "ciphertexts": [digest(ciphertext) for ciphertext in run.ciphertexts],
        "tags": [[hex(value) for value in tag] for tag in tags],
        "boxes": {name: box.hex() for name, box in run.tags.items()},
        "total": digest(run.total),
        "smudging": hex(run.smudging),
        "openings": openings,
        "sum_first": run.clear_sum[:4],
        "sum": digest_of_integers(run.clear_sum),
    }

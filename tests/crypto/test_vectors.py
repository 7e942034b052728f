"""The package and the naive implementation agree with the vectors, byte for byte, and with each other."""

import ast
import sys
from collections.abc import Iterator
from functools import reduce
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import pytest

from client.enrolment import Keys
from common.crypto import packing, parameters, ring
from common.errors import FedcganError
from common.protocol.messages import Enrolled
from tests import vectors
from tests.naive import boxes, keys, noise
from tests.naive import ring as naive_ring
from tests.naive.federation import digest, digest_of_integers
from tests.naive.refusal import Refusal
from tests.naive.ring import N, to_bytes
from tests.naive.wire import Naive
from tests.vectors import cases, make, small
from tests.vectors.real import Real

SMALL, SUMS, REFUSALS = (vectors.load(name) for name in ("small", "sums", "refusals"))
ROOT = Path(__file__).resolve().parents[2]

both = pytest.mark.parametrize("who", [Naive, Real], ids=["naive", "real"])
every_run = pytest.mark.parametrize("name", SUMS)


def given(kind: str) -> pytest.MarkDecorator:
    """One test for each entry of this kind in small.json."""
    return pytest.mark.parametrize("case", SMALL[kind], ids=lambda case: str(list(case.values())[:2])[:60])


def test_the_files_are_what_the_naive_implementation_writes():
    for name, content in make.files().items():
        assert (vectors.FOLDER / f"{name}.json").read_text() == make.text(content), name


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).split(".")[0]


def test_the_naive_implementation_shares_nothing_with_the_package():
    allowed = set(sys.stdlib_module_names) | {"cryptography", "msgpack"}
    files = [*(ROOT / "tests" / "naive").glob("*.py")]
    assert len(files) > 10
    for path in files:
        assert set(imports(path)) <= allowed, path
    for file in ("make", "small", "refusals"):
        assert set(imports(vectors.FOLDER / f"{file}.py")) <= allowed | {"tests"}


def test_both_rings_have_the_same_numbers():
    assert SMALL["primes"] == [hex(q) for q in ring.KEY_PRIMES] == [hex(q) for q in naive_ring.KEY_PRIMES]
    assert (naive_ring.T, N) == (ring.PLAIN_MODULUS, ring.N)


@pytest.mark.parametrize("committee", [(3, 2, 2), (3, 3, 2), (10, 6, 4), (200, 7, 4), (32, 16, 9)])
def test_the_smudging_bound(committee):
    assert noise.smudging(*committee) == parameters.Noise(*committee).smudging


@both
@given("below")
def test_integers_below_a_bound(who, case):
    assert who.below(bytes.fromhex(case["key"]), case["bound"], len(case["values"])) == case["values"]


@both
@given("below_large")
def test_many_integers_below_a_bound(who, case):
    drawn = who.below(bytes.fromhex(case["key"]), case["bound"], case["count"])
    assert digest_of_integers(drawn) == case["sha256"]


@both
@given("proof")
def test_proof_values(who, case):
    values = who.proof_values(SMALL["plan"], case["site"], case["sites"])
    assert values[:4] == case["first"]
    assert digest_of_integers(values) == case["sha256"]


@both
@given("lagrange")
def test_lagrange_factors(who, case):
    assert [hex(factor) for factor in who.lagrange(case["index"], case["openers"])] == case["factors"]


@both
@given("ntt")
def test_ntt(who, case):
    assert (
        digest(who.to_ntt([case["coefficients"].get(str(power), 0) for power in range(N)])) == case["sha256"]
    )


@both
@given("packing")
def test_packing(who, case):
    layout = small.packing.Layout(*case["layout"])
    values = small.values_of(layout, case["values"])
    slots = who.pack(layout, values)
    assert len(slots) == case["chunks"]
    assert digest_of_integers([slot for chunk in slots for slot in chunk]) == case["sha256"]
    assert who.unpack(layout, slots, 1) == values
    if layout.sites > 1:
        doubled = [[2 * slot for slot in chunk] for chunk in slots]
        assert who.unpack(layout, doubled, 2) == [2 * value for value in values]


@both
def test_agreement(who):
    case = SMALL["agreement"]
    alice, bob, content, box = (bytes.fromhex(case[name]) for name in ("alice", "bob", "content", "box"))
    assert who.agreement(alice).hex() == case["alice_public"]
    assert who.agreement(bob).hex() == case["bob_public"]
    pair_context, box_context = case["pair_context"].encode(), case["box_context"].encode()
    assert who.pair_key(alice, who.agreement(bob), pair_context).hex() == case["pair_key"]
    assert who.pair_key(bob, who.agreement(alice), pair_context).hex() == case["pair_key"]
    assert who.unseal(bob, who.agreement(alice), box_context, box) == content


@both
@given("frames")
def test_frames(who, case):
    private, body = bytes.fromhex(case["private"]), bytes.fromhex(case["body"])
    assert who.identity(private) == case["identity"]
    frame = who.sign(private, case["kind"], SMALL["plan"], case["step"], case["sender"], body)
    assert frame.hex() == case["frame"]
    assert case["header"] in case["frame"]
    assert who.seal(frame).hex() == case["seal"]
    who.check(frame, len(frame), case["identity"], SMALL["plan"], case["sender"], True)


@both
@given("messages")
def test_messages(who, case):
    fields = {name: bytes.fromhex(value) for name, value in case["fields"].items()}
    assert who.message(case["kind"], fields).hex() == case["body"]
    assert who.parse(case["kind"], bytes.fromhex(case["body"])) == fields


@both
@every_run
def test_the_key(who, name):
    run, known = make.runs()[name], SUMS[name]
    a = who.reference(bytes.fromhex(known["reference_seed"]))
    assert digest(a) == known["reference"]
    secrets = [tuple(map(to_bytes, pair)) for pair in run.secrets]
    pieces = [who.public_piece(*pair, a) for pair in secrets]
    assert [digest(piece) for piece in pieces] == known["pieces"]
    assert [who.commitment(piece).hex() for piece in pieces] == known["commitments"]
    assert digest(who.joint_key(pieces, a)) == known["joint_key"]


@every_run
def test_the_shares(name):
    """The package; that the naive implementation gives these, the test of the files says."""
    who, run, known = Real, make.runs()[name], SUMS[name]
    dealt = [
        who.deal(to_bytes(s), run.threshold, run.holders, run.deal_key(holder))
        for holder, (s, _) in enumerate(run.secrets, start=1)
    ]
    assert [[digest(share) for share in shares] for shares in dealt] == known["dealt"]
    shares = [who.key_share(received) for received in zip(*dealt, strict=True)]
    assert [digest(share) for share in shares] == known["shares"]


@every_run
def test_any_threshold_of_shares_is_the_joint_secret(name):
    run = make.runs()[name]
    secret = reduce(naive_ring.add, (s[:2] for s, _ in run.secrets))
    assert {min(c, naive_ring.Q - c) for c in naive_ring.from_ntt(secret)} == set(range(run.holders + 1))
    for openers in combinations(range(1, run.holders + 1), run.threshold):
        terms = (naive_ring.scale(keys.lagrange(j, openers), run.shares[j - 1]) for j in openers)
        assert reduce(naive_ring.add, terms) == secret


@both
@every_run
def test_the_sum_and_its_tags(who, name):
    run, known = make.runs()[name], SUMS[name]
    raw = [to_bytes(ciphertext) for ciphertext in run.ciphertexts]
    assert [digest(one) for one in raw] == known["ciphertexts"]
    assert digest(who.add(raw)) == known["total"]
    pieces = [small.streams.made_up(run.seed, f"group/{i}") for i in range(1, run.holders + 1)]
    group = who.group_key(pieces, run.plan)
    assert group.hex() == known["group"]
    halves = [to_bytes([c1 for _, c1 in ciphertext]) for ciphertext in run.ciphertexts]
    tags = [who.inner_product(group, half, run.plan, known["step"]) for half in halves]
    assert [[hex(value) for value in tag] for tag in tags] == known["tags"]
    sealed = {site: bytes.fromhex(box) for site, box in known["boxes"].items()}
    who.check_tags(group, to_bytes(run.c1), sealed, run.plan, known["step"])


@every_run
def test_the_openings(name):
    """The package; that the naive implementation gives these, the test of the files says."""
    who, run, known = Real, make.runs()[name], SUMS[name]
    c1, total = to_bytes(run.c1), to_bytes(run.total)
    for opening in known["openings"]:
        openers, partials = tuple(opening["openers"]), {}
        for j in openers:
            pairs = {
                other: bytes.fromhex(known["pairs"]["{}-{}".format(*sorted((j, other)))])
                for other in range(1, run.holders + 1)
                if other != j
            }
            mask = who.mask(j, pairs, openers, run.plan, known["step"], c1)
            assert digest(mask) == opening["masks"][str(j)]
            share, key = to_bytes(run.shares[j - 1]), run.noise_key(j, openers)
            smudging = int(known["smudging"], 16)
            partials[j] = who.partial(share, j, c1, openers, run.threshold, smudging, key, mask)
            assert digest(partials[j]) == opening["partials"][str(j)]
        slots = who.combine(total, partials, run.threshold, run.layout.chunks)
        found = who.unpack(tuple(run.layout), slots, len(run.summands))
        assert digest_of_integers(found) == known["sum"]
        assert found == run.clear_sum


@pytest.mark.parametrize(("adder", "opener"), [(Naive, Real), (Real, Naive)], ids=["naive", "real"])
@every_run
def test_sums_of_both_kinds_of_ciphertexts_open_with_both_kinds_of_partials(adder, opener, name):
    """SEAL encrypts for every other site; key-holders alternate, and one side combines."""
    run = make.runs()[name]
    key, chunks = to_bytes(run.key), run.layout.chunks
    raw = [to_bytes(ciphertext) for ciphertext in run.ciphertexts]
    for site in range(0, len(raw), 2):
        raw[site] = Real.encrypt(key, Real.pack(tuple(run.layout), run.values[site]))
    total = adder.add(raw)
    half = len(total) // chunks // 2
    c1 = b"".join(total[half * place : half * (place + 1)] for place in range(1, 2 * chunks, 2))
    openers = tuple(range(run.holders, run.holders - run.threshold, -1))
    partials = {}
    for j in openers:
        who = (Naive, Real)[j % 2]
        mask = who.mask(j, run.pairs(j), openers, run.plan, "mixed", c1)
        share = to_bytes(run.shares[j - 1])
        partials[j] = who.partial(share, j, c1, openers, run.threshold, run.smudging, bytes([j] * 32), mask)
    slots = opener.combine(total, partials, run.threshold, chunks)
    assert opener.unpack(tuple(run.layout), slots, len(raw)) == run.clear_sum


def test_enrolment_writes_these_seeds_and_contexts():
    run = make.runs()["five"]
    plan = SimpleNamespace(hash=run.plan, federation=SimpleNamespace(names=run.names))
    site = Keys(ROOT, plan, "site-3", None)
    parties = {
        site: Enrolled(agreement=bytes(32), nonce=nonce)
        for site, nonce in zip(run.names, run.nonces, strict=True)
    }
    assert digest(ring.to_bytes(site._reference(parties))) == SUMS["five"]["reference"]
    assert site._pair("site-1") == boxes.pair_context(run.plan, "site-3", "site-1")
    assert site._pair("site-5") == boxes.pair_context(run.plan, "site-5", "site-3")
    assert site._context("site-2", "site-3") == boxes.box_context(run.plan, "site-2", "site-3")


@both
@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case["name"])
def test_what_is_refused_and_why(who, case):
    if case["error"] is None:
        cases.play(who, case)
        return
    with pytest.raises((Refusal, FedcganError)) as caught:
        cases.play(who, case)
    assert caught.value.code == case["error"]
    assert isinstance(caught.value, Refusal) == (who is Naive)


def test_layouts_say_the_same_of_themselves():
    for bits in range(2, 56):
        for sites in (1, 3, 1000):
            naive = small.packing.Layout(bits, sites, 50_000)
            if naive.largest < 1:
                continue
            real = packing.Packing(field_bits=bits, sites=sites, count=50_000)
            assert (real.max_value, real.per_slot, real.chunks) == (
                naive.largest,
                naive.per_slot,
                naive.chunks,
            )

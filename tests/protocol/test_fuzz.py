"""Every decoder of foreign bytes: only typed errors come out, and no memory goes in for mere claims."""

import datetime
import json
import tracemalloc

import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import MalformedMessageError
from common.plan import PLAN_LIMIT, Plan
from common.protocol import frames, messages
from common.schema import SCHEMA_LIMIT, Schema
from tests.fuzz.hostile import LIES, WHOLE, mutate
from tests.fuzz.table import DECODERS, FindingError, feed
from tests.fuzz.world import World, build

EVERY = pytest.mark.parametrize("name", DECODERS)
MEGABYTE = 1 << 20

integers = st.integers(0, 1 << 40)
changes = st.lists(st.tuples(integers, integers, integers), min_size=1, max_size=4)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.just(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.binary(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def few(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return build(tmp_path_factory.mktemp("fuzz"))


@EVERY
def test_honest_bytes_are_taken(world, name):
    """Or the fuzzers would only ever see the first check of a decoder."""
    decoder = DECODERS[name]
    taken = [feed(decoder.decode, world, seed) for seed in decoder.seeds(world)]
    assert any(taken)


@EVERY
@given(raw=st.binary(max_size=300))
@few(15)
def test_any_bytes(world, name, raw):
    feed(DECODERS[name].decode, world, raw)


@EVERY
@given(what=changes)
@few(30)
def test_altered_honest_bytes(world, name, what):
    decoder = DECODERS[name]
    feed(decoder.decode, world, mutate(decoder.seeds(world), what))


@EVERY
def test_bytes_that_lie(world, name):
    for raw in WHOLE:
        feed(DECODERS[name].decode, world, raw)


JSON = (
    "plan",
    "plan of images",
    "schema",
    "schema of images",
    "schema of signals",
    "plan's limits",
    "release",
    "release of images",
    "release of signals",
    "ledger",
)
BODIES = [name for name in DECODERS if name.startswith(("message", "vault ", "refusal"))]


@pytest.mark.parametrize("name", BODIES)
@given(content=st.data())
@few(20)
def test_bodies_of_the_right_shape_with_values_of_any_type(world, name, content):
    decoder = DECODERS[name]
    honest = msgpack.unpackb(decoder.seeds(world)[0])
    chosen = content.draw(st.sets(st.sampled_from(sorted(honest)), min_size=1))
    altered = {field: content.draw(values) if field in chosen else honest[field] for field in honest}
    feed(decoder.decode, world, msgpack.packb(altered, datetime=True))


@pytest.mark.parametrize("name", [name for name in DECODERS if name in JSON])
@given(content=st.data())
@few(60)
def test_json_with_values_of_any_type(world, name, content):
    decoder = DECODERS[name]
    seed = decoder.seeds(world)[0].splitlines() if name == "ledger" else decoder.seeds(world)
    lines = [json.loads(line) for line in seed]
    place = content.draw(st.sampled_from(lines))
    while True:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = content.draw(st.sampled_from(keys))
        if not isinstance(place[key], (dict, list)) or not place[key] or content.draw(st.booleans()):
            break
        place = place[key]
    place[key] = content.draw(plain)
    feed(decoder.decode, world, b"".join(json.dumps(line).encode() + b"\n" for line in lines))


TENSORS = (
    "groups",
    "entered",
    "parameters",
    "total",
    "singles",
    "pairs",
    "single_precision",
    "noise",
    "prior",
    "moments",
    "counts",
    "shares",
)


@pytest.mark.parametrize("name", [name for name in DECODERS if name.endswith((" state", " sums"))])
@given(
    header=st.dictionaries(
        st.sampled_from(TENSORS),
        st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(
                    ["F32", "F64", "F16", "BF16", "C64", "BOOL", "I32", "I64", "U8", "F4"]
                ),
                "shape": st.lists(st.integers(0, 4) | st.integers(0, 1 << 64), max_size=3),
                "data_offsets": st.lists(st.integers(0, 16), min_size=2, max_size=2),
            }
        ),
    )
)
@few(150)
def test_states_with_headers_of_any_kind(world, name, header):
    text = json.dumps(header).encode()
    for body in (b"", bytes(16)):
        feed(DECODERS[name].decode, world, len(text).to_bytes(8, "little") + text + body)


def peak_of(decode, world, raw) -> int:
    """The most bytes that were allocated at once while decoding."""
    tracemalloc.start()
    try:
        feed(decode, world, raw)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@EVERY
def test_nothing_is_allocated_for_a_claim(world, name):
    decoder = DECODERS[name]
    seeds = decoder.seeds(world)
    feed(decoder.decode, world, seeds[0])  # what is made once, on first use, is not for the claim
    for raw in WHOLE:
        assert peak_of(decoder.decode, world, raw) < 8 * len(raw) + 16 * MEGABYTE, raw[:40]
    for lie in LIES[:5]:
        for place in (1, 12, 40):
            raw = seeds[0][:place] + lie + seeds[0][place:]
            assert peak_of(decoder.decode, world, raw) < 8 * len(raw) + 16 * MEGABYTE, (lie, place)


KINDS = sorted(messages.Message.__subclasses__(), key=lambda kind: kind.kind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_kind_has_a_limit_that_its_honest_messages_keep(world, kind):
    assert len(world.body(kind.kind)) <= kind.limit <= messages.LARGEST
    if kind.limit < 64 * MEGABYTE:
        with pytest.raises(MalformedMessageError, match="at most"):
            kind.from_bytes(bytes(kind.limit + 1))


def test_the_largest_federation_fits_the_limits(world):
    """1024 sites, 16 key-holders: relayed frames of the longest names, whole pieces and boxes."""
    name, site = "n" * 64, world.federation.vaults["site-north"].site

    def frame(body: bytes) -> bytes:
        return frames.sign(site.identity, "k" * 16, "f" * 64, "s" * 64, name, body).to_bytes()

    enrolled = frame(messages.Enrolled(agreement=bytes(32), nonce=bytes(32)).to_bytes())
    committed = frame(messages.KeyCommitted(commitment=bytes(32)).to_bytes())
    piece, box = bytes(184320), bytes(12 + 32 + 122880 + 16)
    holders = {f"{i:064}": piece for i in range(16)}
    for message in (
        messages.KeyCommit(enrolled=[enrolled] * 1024),
        messages.KeyDeal(committed=[committed] * 16),
        messages.KeyDealt(piece=piece, boxes={f"{i:064}": box for i in range(1024)}),
        messages.KeyConfirm(
            enrolled=[enrolled] * 1024,
            committed=[committed] * 16,
            pieces=holders,
            boxes=dict.fromkeys(holders, box),
        ),
    ):
        raw = message.to_bytes()
        assert len(raw) <= message.limit, message.kind
        assert type(message).from_bytes(raw) == message


def test_plans_and_schemas_are_measured_before_they_are_parsed():
    for kind, limit in ((Plan, PLAN_LIMIT), (Schema, SCHEMA_LIMIT)):
        with pytest.raises(Exception, match="at most"):
            kind.from_json(b" " * (limit + 1))


def test_the_harness_catches_a_decoder_that_is_broken(world):
    """The control: an untyped error in a corner, and memory for a claim, do not go unseen."""

    def broken(_: World, raw: bytes) -> None:
        if raw[:1] not in {b"", b"\x00"}:
            _ = {}[raw[0]]

    @given(raw=st.binary(max_size=300))
    @few(50)
    def any_bytes(raw):
        feed(broken, world, raw)

    with pytest.raises(FindingError, match="KeyError"):
        any_bytes()
    claimed = peak_of(lambda _, raw: np.zeros(int.from_bytes(raw, "big")), world, b"\x7f\xff\xff\xff")
    assert claimed > 64 * MEGABYTE

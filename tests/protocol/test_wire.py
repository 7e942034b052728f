"""Frames and messages: whatever arrives, only typed errors come out."""

import msgpack
import pytest
from flwr.app import Array, ArrayRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from common.crypto.identity import Identity
from common.errors import FedcganError, MalformedMessageError, SignatureError, WrongPlanError
from common.protocol import frames, messages, records

PLAN = "a" * 64


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    return Identity.load_or_create(tmp_path_factory.mktemp("identity") / "key")


@pytest.fixture(scope="module")
def frame(identity):
    body = messages.Contribution(ciphertext=b"ciphertext", tag=b"tag").to_bytes()
    return frames.sign(identity, "contribution", PLAN, "measure", "north", body)


def checked(raw, identity):
    frame = frames.read(raw, 10_000)
    return frames.check(frame, identity.public, plan=PLAN, sender="north")


def test_a_frame_survives_the_wire(frame, identity):
    back = checked(frame.to_bytes(), identity)
    assert messages.Contribution.from_bytes(back.body).ciphertext == b"ciphertext"


def test_every_flipped_bit_is_refused(frame, identity):
    raw = frame.to_bytes()
    for position in range(len(raw)):
        altered = bytearray(raw)
        altered[position] ^= 1 << (position % 8)
        with pytest.raises(FedcganError):
            checked(bytes(altered), identity)


def test_every_truncation_is_refused(frame, identity):
    raw = frame.to_bytes()
    for length in range(len(raw)):
        with pytest.raises(FedcganError):
            checked(raw[:length], identity)


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_random_bytes_are_malformed(raw):
    with pytest.raises(MalformedMessageError):
        frames.read(raw, 10_000)


@given(st.recursive(st.none() | st.integers() | st.binary() | st.text(), st.lists, max_leaves=8))
@settings(max_examples=200, deadline=None)
def test_other_msgpack_is_malformed(content):
    try:
        raw = msgpack.packb(content)
    except OverflowError:
        return
    for kind in (messages.Contribution, messages.Open, messages.Enrolled, messages.KeyConfirm):
        with pytest.raises(MalformedMessageError):
            kind.from_bytes(raw)


def test_a_frame_over_its_limit_is_not_parsed(frame):
    with pytest.raises(MalformedMessageError, match="at most 10"):
        frames.read(frame.to_bytes(), 10)


@pytest.mark.parametrize(
    ("plan", "sender", "error"),
    [("b" * 64, "north", WrongPlanError), (PLAN, "south", SignatureError)],
)
def test_a_frame_of_another_plan_or_sender_is_refused(frame, identity, plan, sender, error):
    with pytest.raises(error):
        frames.check(frame, identity.public, plan=plan, sender=sender)


def test_a_seal_proves_the_contribution_without_repeating_it(frame, identity):
    seal = frames.read(frame.seal, 4096)
    frames.check(seal, identity.public, plan=PLAN, sender="north", with_body=False)
    assert seal.body == b""
    with pytest.raises(SignatureError, match="altered"):
        frames.check(seal, identity.public, plan=PLAN, sender="north")


def test_no_message_has_a_field_for_an_update_in_the_clear():
    """What a site sends back to a contribution is ciphertext; a new field must be argued for here."""
    fields = {name: set(kind.model_fields) for name, kind in site_answers().items()}
    assert fields == {
        "enrolled": {"agreement", "nonce"},
        "key-committed": {"commitment"},
        "key-dealt": {"piece", "boxes"},
        "key-confirmed": {"attested", "ciphertext", "tag"},
        "contribution": {"ciphertext", "tag"},
        "opened": {"asked", "partial"},
        "refused": {"code", "message", "hint", "about"},
    }


def site_answers():
    answers = (
        messages.Enrolled,
        messages.KeyCommitted,
        messages.KeyDealt,
        messages.KeyConfirmed,
        messages.Contribution,
        messages.Opened,
        messages.Refused,
    )
    return {kind.kind: kind for kind in answers}


def test_flower_records_carry_bytes_and_nothing_else():
    assert records.from_record(records.to_record(b"frame")) == b"frame"
    assert records.from_record(records.to_record(b"")) == b""
    foreign = RecordDict({"frame": ArrayRecord({"frame": Array("uint8", (3,), "numpy.ndarray", b"abc")})})
    for wrong in (RecordDict(), foreign):
        with pytest.raises(MalformedMessageError):
            records.from_record(wrong)


@pytest.mark.parametrize("code", ["", "[/foo]", "[red]x", "Upper", "a b", "a\n", "x" * 65])
def test_a_refusal_whose_code_is_no_code_is_malformed(code):
    """It stands in terminals, logs and reports."""
    said = {"code": code, "message": "m", "hint": "h", "about": ""}
    with pytest.raises(MalformedMessageError):
        messages.Refused.from_bytes(msgpack.packb(said))
    messages.Refused.from_bytes(msgpack.packb(said | {"code": "privacy-budget"}))  # negative control

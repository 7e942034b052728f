"""A coordinator in the middle of the key ceremony: it tries to read shares, choose the key, split sites."""

import pytest

from client import enrolment
from common.crypto.identity import AgreementKey, Identity
from common.crypto.ring import KEY_LEVEL, from_bytes, to_bytes
from common.crypto.threshold import PIECE_SHAPE
from common.errors import CryptoError, FedcganError, RefusedError
from common.protocol import frames
from common.protocol.messages import (
    Enrolled,
    KeyCommit,
    KeyConfirm,
    KeyDeal,
    KeyDealt,
    Message,
)
from tests import toy
from tests.adversarial.attacks import LIMIT
from tests.federation import LocalFederation

KINDS: dict[str, type[Message]] = {kind.kind: kind for kind in (KeyCommit, KeyDeal, KeyConfirm)}


class Middle:
    """The coordinator's key in the hands of somebody who changes what the sites are shown."""

    def __init__(self, federation: LocalFederation) -> None:
        self.federation = federation
        self.changes = {}
        self.replies = {}
        federation.before, federation.after = self._down, self._up

    def _down(self, site, raw):
        frame = frames.read(raw, LIMIT)
        if (change := self.changes.get(frame.header.kind)) is None:
            return raw
        message = change(site, KINDS[frame.header.kind].from_bytes(frame.body))
        header = frame.header
        return frames.sign(
            self.federation.identity,
            header.kind,
            header.plan,
            header.step,
            header.sender,
            message.to_bytes(),
        ).to_bytes()

    def _up(self, site, raw):
        self.replies[frames.read(raw, LIMIT).header.kind, site] = raw
        return raw


@pytest.fixture
def middle(tmp_path):
    return Middle(LocalFederation(toy.run_folder(tmp_path / "run")))


def refused(middle) -> str:
    with pytest.raises(FedcganError) as caught:
        middle.federation.coordinator()._enrol()
    for name in middle.federation.plan.federation.names:
        assert not list(middle.federation.run_folder(name).glob("answers/measure*"))
    error = caught.value
    return error.refusal_code if isinstance(error, RefusedError) else error.code


def own_key_for(victim, middle, identity, key):
    """Enrolment frames in which ``victim`` seems to have sent our own agreement key."""

    def forge(raw):
        header = frames.read(raw, LIMIT).header
        if header.sender != victim:
            return raw
        body = Enrolled(agreement=key.public, nonce=bytes(32)).to_bytes()
        return frames.sign(identity, header.kind, header.plan, header.step, victim, body).to_bytes()

    return lambda enrolled: [forge(raw) for raw in enrolled]


def put_in_the_middle(middle, tmp_path):
    """The classic: every site gets our agreement key for site-south."""
    identity = Identity.load_or_create(tmp_path / "stranger.key")
    key = AgreementKey()
    forged = own_key_for("site-south", middle, identity, key)
    middle.changes["key-commit"] = lambda _, m: m.model_copy(update={"enrolled": forged(m.enrolled)})
    middle.changes["key-confirm"] = lambda _, m: m.model_copy(update={"enrolled": forged(m.enrolled)})
    return key


def test_the_server_cannot_sit_between_two_sites(middle, tmp_path):
    put_in_the_middle(middle, tmp_path)
    assert refused(middle) == "protocol-signature"


def test_without_signed_agreement_keys_it_could(middle, tmp_path, monkeypatch):
    """Negative control: sites that do not verify relayed frames seal a share for the server."""
    key = put_in_the_middle(middle, tmp_path)
    honest = frames.check

    class Careless:
        def __getattr__(self, name):
            return getattr(frames, name)

        @staticmethod
        def check(frame, identity, **kwargs):
            return frame if frame.header.kind == "enrolled" else honest(frame, identity, **kwargs)

    monkeypatch.setattr(enrolment, "frames", Careless())
    with pytest.raises(FedcganError):
        middle.federation.coordinator()._enrol()  # site-south itself cannot open its boxes
    dealt = KeyDealt.from_bytes(frames.read(middle.replies["key-dealt", "site-north"], LIMIT).body)
    sender = Enrolled.from_bytes(frames.read(middle.replies["enrolled", "site-north"], LIMIT).body)
    context = f"{middle.federation.plan.hash}/site-north/site-south".encode()
    assert key.open(sender.agreement, context, dealt.boxes["site-south"])


def swapped(items: list[bytes]) -> list[bytes]:
    return [items[0], *items[2:], items[0]]


ATTACKS = {
    "a site missing from the roster": (
        "key-commit",
        lambda _, m: m.model_copy(update={"enrolled": m.enrolled[1:]}),
        "protocol-not-enough-sites",
    ),
    "a site twice, another not at all": (
        "key-commit",
        lambda _, m: m.model_copy(update={"enrolled": swapped(m.enrolled)}),
        "protocol-not-enough-sites",
    ),
    "a commitment missing": (
        "key-deal",
        lambda _, m: m.model_copy(update={"committed": m.committed[1:]}),
        "protocol-not-enough-sites",
    ),
    "another piece than was committed to": (
        "key-confirm",
        lambda _, m: m.model_copy(update={"pieces": m.pieces | {"site-east": other_piece(m)}}),
        "crypto",
    ),
    "a piece missing": (
        "key-confirm",
        lambda _, m: m.model_copy(update={"pieces": dict(list(m.pieces.items())[1:])}),
        "protocol-not-enough-sites",
    ),
    "boxes of two dealers exchanged": (
        "key-confirm",
        lambda _, m: m.model_copy(
            update={
                "boxes": dict(
                    zip(m.boxes, [*list(m.boxes.values())[1:], *list(m.boxes.values())[:1]], strict=True)
                )
            }
        ),
        "protocol-signature",
    ),
    "a box cut short": (
        "key-confirm",
        lambda _, m: m.model_copy(update={"boxes": {k: v[:-1] for k, v in m.boxes.items()}}),
        "protocol-signature",
    ),
}


def other_piece(message):
    piece = KEY_LEVEL.add(piece_of(message, "site-east"), KEY_LEVEL.constant(1))
    return to_bytes(piece)


def piece_of(message, site):
    return from_bytes(message.pieces[site], *PIECE_SHAPE)


@pytest.mark.parametrize("name", ATTACKS)
def test_what_is_altered_in_the_ceremony_is_refused(middle, name):
    kind, change, code = ATTACKS[name]
    middle.changes[kind] = change
    assert refused(middle) == code


def test_a_stale_share_of_another_run_is_refused(middle, tmp_path):
    """Boxes of a former ceremony of the same sites, replayed into this one."""
    other = Middle(LocalFederation(toy.run_folder(tmp_path / "former")))
    other.federation.coordinator()._enrol()
    stale = KeyDealt.from_bytes(frames.read(other.replies["key-dealt", "site-east"], LIMIT).body)
    middle.changes["key-confirm"] = lambda site, m: m.model_copy(
        update={"boxes": m.boxes | {"site-east": stale.boxes[site]}}
    )
    assert refused(middle) == "protocol-signature"


def test_enrolment_frames_of_another_run_are_refused(middle, tmp_path):
    other = Middle(LocalFederation(toy.run_folder(tmp_path / "former")))
    other.federation.coordinator()._enrol()
    old = [other.replies["enrolled", name] for name in other.federation.plan.federation.names]
    middle.changes["key-commit"] = lambda _, m: m.model_copy(update={"enrolled": old})
    assert refused(middle) == "protocol-wrong-plan"


def test_sites_that_were_shown_different_keys_do_not_start(middle, monkeypatch):
    """Whatever made two sites compute different joint keys, it is noticed before anything is spent."""
    original = enrolment.joint_key
    calls = []

    def split(pieces, a):
        calls.append(1)
        return original(pieces[:-1] if len(calls) == 2 else pieces, a)

    monkeypatch.setattr(enrolment, "joint_key", split)
    with pytest.raises(CryptoError, match="different joint keys"):
        middle.federation.coordinator()._enrol()

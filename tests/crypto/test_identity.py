"""Signatures and sealed boxes: what was altered or meant for another does not open."""

import pytest

from common.crypto.identity import AgreementKey, Identity, verify
from common.errors import CryptoError, SignatureError


def test_an_identity_is_made_once_and_kept_private(tmp_path):
    first = Identity.load_or_create(tmp_path / "identity.key")
    assert (tmp_path / "identity.key").stat().st_mode & 0o777 == 0o600
    assert Identity.load_or_create(tmp_path / "identity.key").public == first.public
    verify(first.public, b"message", first.sign(b"message"))
    (tmp_path / "identity.key").chmod(0o640)
    with pytest.raises(CryptoError, match="read by others"):
        Identity.load_or_create(tmp_path / "identity.key")


def test_altered_messages_and_foreign_signatures_are_refused(tmp_path):
    ours = Identity.load_or_create(tmp_path / "a")
    theirs = Identity.load_or_create(tmp_path / "b")
    signature = ours.sign(b"message")
    for public, message in ((ours.public, b"massage"), (theirs.public, b"message"), ("zz", b"message")):
        with pytest.raises(SignatureError):
            verify(public, message, signature)


def test_a_box_opens_only_for_its_receiver_in_its_context():
    alice, bob, eve = AgreementKey(), AgreementKey(), AgreementKey()
    box = alice.seal(bob.public, b"run/alice/bob", b"share")
    assert bob.open(alice.public, b"run/alice/bob", box) == b"share"
    flipped = bytes([box[0] ^ 1]) + box[1:]
    attempts = [
        (eve, alice.public, b"run/alice/bob", box),
        (bob, eve.public, b"run/alice/bob", box),
        (bob, alice.public, b"run/alice/eve", box),
        (bob, alice.public, b"run/alice/bob", flipped),
        (bob, alice.public, b"run/alice/bob", box[:-1]),
        (bob, alice.public, b"run/alice/bob", b""),
    ]
    for key, peer, context, content in attempts:
        with pytest.raises(SignatureError):
            key.open(peer, context, content)

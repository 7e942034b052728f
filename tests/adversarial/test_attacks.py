"""The real server and the real vaults with somebody between them, or in the coordinator's place.

Each attack has its own reason for being refused, nothing is opened, and beside the defence stands the same
attack on a vault without it, which succeeds.
"""

import zlib

import numpy as np
import pytest

from client.vault import Vault
from common.contributions import encoding
from common.crypto.encrypted import EncryptedUpdate
from common.crypto.packing import Packing
from common.crypto.ring import to_bytes
from common.crypto.tag import GroupKey
from common.errors import FedcganError, NotASumError, RefusedError
from common.plan import MEASURE_STEP
from common.privacy.integer_noise import NoiseGrid
from common.protocol import frames
from common.protocol.messages import Contribute, Contribution, Open, Opened
from server.aggregation import SecureSum
from tests.adversarial.attacks import LIMIT, ON_OPENING, ON_THE_WAY, Wiretap, total, with_c1


def code_of(error: FedcganError) -> str:
    return error.refusal_code if isinstance(error, RefusedError) else error.code


def contributed(federation) -> Wiretap:
    """All sites of another run contribute; nobody opens."""
    tap = Wiretap(federation)
    coordinator = federation.coordinator()
    tap.alter = lambda *_: None
    with pytest.raises(FedcganError):
        coordinator._measure()
    assert len(tap.sent) == 4
    return tap


@pytest.fixture
def integers(monkeypatch):
    """What the sites really encrypted, noise included, in the order they were asked."""
    sent = []
    original = NoiseGrid.to_integers
    monkeypatch.setattr(NoiseGrid, "to_integers", lambda *a: sent.append(original(*a)) or sent[-1])
    return sent


@pytest.mark.parametrize("name", ON_OPENING)
def test_a_coordinator_that_asks_for_something_else_gets_nothing(federations, name):
    federation, other, _ = federations
    attack, code = ON_OPENING[name]
    before = contributed(other)
    tap = Wiretap(federation)
    tap.alter = lambda _, request: attack(tap, request, before)
    with pytest.raises(FedcganError):
        federation.coordinator()._measure()
    assert set(tap.refusals) == {code}
    assert tap.partials == []
    tap.alter = None  # nothing is lost: the honest request is answered afterwards
    federation.coordinator()._measure()


@pytest.mark.parametrize("name", ON_THE_WAY)
def test_a_contribution_that_was_tampered_with_stops_the_sum(federations, name):
    federation, other, _ = federations
    alter, code = ON_THE_WAY[name]
    before = contributed(other)
    tap = Wiretap(federation)

    def relay(site, raw):
        kind = frames.read(raw, LIMIT).header.kind
        return alter(tap, before, raw) if (site, kind) == ("site-south", Contribution.kind) else raw

    tap.after = relay
    with pytest.raises(FedcganError) as caught:
        federation.coordinator()._measure()
    assert code_of(caught.value) == code
    assert tap.partials == []
    tap.after = lambda _, raw: raw
    federation.coordinator()._measure()


@pytest.mark.parametrize("name", [name for name in ON_THE_WAY if name != "of another run"])
def test_a_partial_decryption_that_was_tampered_with_is_that_sites_loss_alone(federation, name, integers):
    """The other key-holders open the same sum."""
    alter, code = ON_THE_WAY[name]
    tap = Wiretap(federation)

    def relay(site, raw):
        frame = frames.read(raw, LIMIT)
        if frame.header.kind != Opened.kind or site != first_asked(federation):
            return raw
        tap.sent.setdefault("site-east", raw)
        return alter(tap, tap, raw)

    tap.after = relay
    coordinator = federation.coordinator()
    opened = measured(coordinator)
    assert np.array_equal(opened, np.sum(integers, axis=0))
    trouble = {one.site: one.code for one in coordinator._checkpoint.trouble}
    expected = {"dropped": "no-answer", "another site's": "protocol-replay"}.get(name, code)
    if name == "another site's" and first_asked(federation) != "site-east":
        expected = "protocol-signature"
    assert trouble == {first_asked(federation): expected}


def first_asked(federation) -> str:
    """The key-holder that the measure step asks first."""
    holders = federation.plan.federation.holders
    return holders[zlib.crc32(MEASURE_STEP.encode()) % len(holders)]


def measured(coordinator) -> np.ndarray:
    """The opened integers of the measure step."""
    coordinator._sum.attested = [bytes.fromhex(raw) for raw in coordinator._checkpoint.attested]
    packing = encoding(MEASURE_STEP, coordinator._schema, coordinator._plan).packing
    return coordinator._sum(MEASURE_STEP, state_of(coordinator), packing)[0]


def state_of(coordinator) -> bytes:
    """What sites are sent with the measure step."""
    return coordinator.measure_state()


def test_a_replay_of_another_step_is_no_contribution(federation):
    tap = Wiretap(federation)
    kept = {}

    def relay(site, raw):
        header = frames.read(raw, LIMIT).header
        if header.kind == Contribution.kind:
            kept.setdefault((site, header.step), raw)
            return kept[site, MEASURE_STEP] if site == "site-west" else raw
        return raw

    tap.after = relay
    coordinator = federation.coordinator()
    coordinator._measure()
    coordinator._fit()
    with pytest.raises(FedcganError) as caught:
        coordinator._train(1)
    assert code_of(caught.value) == "protocol-replay"


def test_old_refusals_of_a_site_say_nothing_about_this_step(federation):
    """A relay that kept a signed refusal of another step cannot make the coordinator give this one up."""
    tap = Wiretap(federation)
    coordinator = federation.coordinator()
    stale = {}
    for site in federation.plan.federation.names:
        bad = tap.sign(Contribute(state=b"", attested=[]), step="train-0002")
        stale[site] = federation.vaults[site].handle(bad)
        assert frames.read(stale[site], LIMIT).header.kind == "refused"
    tap.after = lambda site, _: stale[site]
    with pytest.raises(FedcganError) as caught:
        coordinator._measure()
    assert code_of(caught.value) == "protocol-replay"
    assert coordinator._checkpoint.attempts == {}
    tap.after = lambda _, raw: raw
    federation.coordinator()._measure()


def test_two_different_sums_of_one_step_are_not_both_opened(lenient):
    """The coordinator shows half of the key-holders a sum without one site; both sums are true ones."""
    federation = lenient
    tap = Wiretap(federation)
    left_out = "site-west"

    def alter(site, request):
        if federation.plan.federation.names.index(site) % 2:
            return tap.sign(request)
        keep = [
            i for i, seal in enumerate(request.seals) if frames.read(seal, LIMIT).header.sender != left_out
        ]
        halves = {name: half for name, half in tap.halves.items() if name != left_out}
        fields = {
            "c1": to_bytes(total(halves)),
            "seals": [request.seals[i] for i in keep],
            "tags": [request.tags[i] for i in keep],
        }
        return tap.sign(request.model_copy(update=fields))

    tap.alter = alter
    with pytest.raises(FedcganError):
        federation.coordinator()._measure()
    assert tap.partials  # key-holders answered, each for a true sum, and the answers open neither
    tap.alter = None
    tap.refusals.clear()
    with pytest.raises(RefusedError) as refused:
        federation.coordinator()._measure()
    assert set(tap.refusals) >= {"protocol-replay"}  # each is bound to what it was shown first
    assert refused.value.refusal_code == "privacy-budget"  # another attempt would be another charge


class Liar(Vault):
    """A key-holder whose partial decryptions are well-formed and wrong."""

    def _act(self, kind, step, body, plan, run):
        honest = super()._act(kind, step, body, plan, run)
        if (kind, step) != (Open.kind, MEASURE_STEP):
            return honest
        return honest.model_copy(update={"partial": honest.partial[15:] + honest.partial[:15]})


def test_an_answer_for_other_openers_is_a_replay_and_no_lie_of_its_site(federation):
    """One key-holder is away, so another set is asked; a relay answers that by a site's old word."""
    tap, kept = Wiretap(federation), {}
    relayed = first_asked(federation)
    holders = federation.plan.federation.holders
    away = holders[(holders.index(relayed) + 1) % len(holders)]

    def relay(site, raw):
        if frames.read(raw, LIMIT).header.kind != Opened.kind:
            return raw
        return None if site == away else kept.setdefault(site, raw) if site == relayed else raw

    tap.after = relay
    coordinator = federation.coordinator()
    with pytest.raises(FedcganError) as caught:
        measured(coordinator)
    assert code_of(caught.value) == "protocol-replay"
    trouble = {(one.site, one.code) for one in coordinator._checkpoint.trouble}
    assert {(away, "no-answer"), (relayed, "protocol-replay")} <= trouble
    assert coordinator._checkpoint.garbage == []
    tap.after = lambda _, raw: raw
    assert len(measured(federation.coordinator()))


def test_a_garbage_partial_is_named_and_the_rest_open(federation, integers):
    liar = first_asked(federation)
    federation.vaults[liar] = Liar(federation.site_folder(liar))
    coordinator = federation.coordinator()
    assert np.array_equal(measured(coordinator), np.sum(integers, axis=0))
    state = coordinator._checkpoint
    assert [(one.site, one.code) for one in state.trouble] == [(liar, NotASumError.code)]
    assert state.garbage == [liar]
    coordinator._checkpoint.pending = None
    tap = Wiretap(federation)
    coordinator._opened(MEASURE_STEP, state_of(coordinator))
    assert liar not in {site for site, _ in tap.partials}  # asked last from then on


def test_two_garbage_partials_of_four_open_nothing(federation):
    for liar in federation.plan.federation.names[:2]:
        federation.vaults[liar] = Liar(federation.site_folder(liar))
    with pytest.raises(NotASumError):
        federation.coordinator()._measure()


def test_a_contribution_with_a_wrong_tag_is_named_and_left_out(lenient, monkeypatch, integers):
    """One site sends what is not its own for this step: key-holders name it, the sum is made without it."""
    federation = lenient
    original = GroupKey.seal

    def wrong(self, c1, plan, step, site):
        return original(self, c1, plan, "train-0001" if site == "site-south" else step, site)

    monkeypatch.setattr(GroupKey, "seal", wrong)
    coordinator = federation.coordinator()
    opened = measured(coordinator)
    names = federation.plan.federation.names
    rest = [row for name, row in zip(names, integers, strict=True) if name != "site-south"]
    assert np.array_equal(opened, np.sum(rest, axis=0))
    assert ("site-south", "crypto-foreign-tag") in {(t.site, t.code) for t in coordinator._checkpoint.trouble}


def test_without_the_tag_one_sites_contribution_would_be_opened(federation, monkeypatch, integers):
    """Negative control: the same attack on vaults that do not check what they open."""
    monkeypatch.setattr(GroupKey, "check", lambda *_: None)
    tap = Wiretap(federation)
    tap.alter = lambda _, request: with_c1(lambda t, _: t.halves["site-south"])(tap, request, tap)
    honest_open, honest_unpack = SecureSum.open, Packing.unpack_sum

    def steal(self, packing):
        stolen = EncryptedUpdate.from_bytes(tap.contributions["site-south"].ciphertext, 1).ciphertext
        object.__setattr__(self._pending, "ciphertext", stolen)
        return honest_open(self, packing)

    monkeypatch.setattr(SecureSum, "open", steal)
    monkeypatch.setattr(Packing, "unpack_sum", lambda self, slots, _: honest_unpack(self, slots, 1))
    opened = measured(federation.coordinator())
    position = federation.plan.federation.names.index("site-south")
    assert np.array_equal(opened, integers[position])


def test_only_signed_requests_of_the_coordinator_are_answered(federation):
    tap = Wiretap(federation)
    raw = tap.sign(Contribute(state=b"", attested=[]), sender="somebody")
    answer = frames.read(federation.vaults["site-north"].handle(raw), LIMIT)
    assert answer.header.kind == "refused"

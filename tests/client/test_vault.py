"""What a vault refuses: each attempt has its own reason, and nothing is opened or charged."""

import re
import shutil
from functools import reduce

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from client.enrolment import Keys
from client.site import Site
from client.vault import Vault
from common.crypto.bfv import encrypt
from common.crypto.encrypted import EncryptedUpdate, piece_from_bytes
from common.crypto.identity import Identity
from common.crypto.ring import DATA_LEVEL, N, to_bytes
from common.crypto.threshold import commitment
from common.errors import ConfigError, RefusedError
from common.plan import COUNT_STEP, MOST_ATTEMPTS, PROOF_STEP, Federation, attempt
from common.privacy.ledger import Cap, Ledger
from common.privacy.mechanism import GaussianSum
from common.protocol import frames
from common.protocol.messages import (
    ATTESTED,
    Contribute,
    Contribution,
    Enrol,
    KeyCommit,
    KeyCommitted,
    KeyConfirm,
    KeyDeal,
    KeyDealt,
    Message,
    Open,
    Opened,
    Refused,
)
from common.tables import write_table
from server.enrolment import enrol, make_keys
from tests import toy
from tests.federation import LocalFederation

ZERO = np.zeros((1, N), np.int64)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A federation with keys, before any record was touched."""
    run = toy.run_folder(tmp_path_factory.mktemp("vault") / "run")
    federation = LocalFederation(run)
    asking = federation.asking()
    attested = make_keys(asking, federation.secure_sum(), enrol(asking, run.schema))
    return run, attested


@pytest.fixture
def federation(template, tmp_path):
    run, attested = template
    shutil.copytree(run.folder, tmp_path / "run")
    federation = LocalFederation(type(run)(tmp_path / "run", run.plan, run.schema))
    federation.attested = attested
    return federation


def ask(federation, site: str, message: Message, step: str, *, identity=None, plan=None) -> Message:
    """One signed question to one site, and its answer."""
    raw = frames.sign(
        identity or federation.identity,
        message.kind,
        plan or federation.plan.hash,
        step,
        federation.plan.federation.coordinator.name,
        message.to_bytes(),
    ).to_bytes()
    answer = frames.read(federation.vaults[site].handle(raw), 1 << 30)
    kinds = {kind.kind: kind for kind in (Contribution, Opened, Refused)}
    return kinds[answer.header.kind].from_bytes(answer.body)


def contribute(federation, state=b"") -> Contribute:
    """The request of the first sum; the template's sites have attested their key."""
    return Contribute(state=state, attested=federation.attested)


def refusal(*args, **kwargs) -> str:
    answer = ask(*args, **kwargs)
    assert isinstance(answer, Refused), answer
    return answer.code


def contributions(federation):
    """The first message of a sum: replies and seals of all sites."""
    asking = federation.asking()
    request = contribute(federation)
    sites = federation.plan.federation.names
    return asking(COUNT_STEP, dict.fromkeys(sites, request), Contribution.kind).good


def keys_of(federation, site: str) -> Keys:
    """A site's keys, as only a test may have them."""
    return Keys(federation.run_folder(site), federation.plan, site, federation.vaults[site].site.identity)


def halves(replies) -> list[np.ndarray]:
    """c1 of each contribution."""
    bodies = [Contribution.from_bytes(frame.body) for frame in replies.values()]
    return [EncryptedUpdate.from_bytes(body.ciphertext, 1).ciphertext[:, 1] for body in bodies]


def opening(federation, replies, c1=None, **changes) -> Open:
    """The honest request to open, with some of it changed."""
    total = reduce(DATA_LEVEL.add, halves(replies)) if c1 is None else c1
    fields = {
        "c1": total if isinstance(total, bytes) else to_bytes(total),
        "seals": [frame.seal for frame in replies.values()],
        "tags": [Contribution.from_bytes(frame.body).tag for frame in replies.values()],
        "openers": [1, 2, 3],
    }
    return Open(**{**fields, **changes})


def spent(federation, site):
    return [entry.step for entry in federation.vaults[site].site.ledger.entries()]


def test_a_contribution_is_charged_once_however_often_it_is_asked(federation):
    first = ask(federation, "site-north", contribute(federation), COUNT_STEP)
    again = ask(federation, "site-north", contribute(federation), COUNT_STEP)
    assert first == again
    assert spent(federation, "site-north") == [COUNT_STEP]


def test_a_restarted_vault_gives_the_same_answer(federation):
    first = ask(federation, "site-north", contribute(federation), COUNT_STEP)
    federation.vaults["site-north"] = Vault(federation.site_folder("site-north"))
    assert ask(federation, "site-north", contribute(federation), COUNT_STEP) == first


def test_another_request_under_an_answered_step_is_a_replay(federation):
    ask(federation, "site-north", contribute(federation), COUNT_STEP)
    assert refusal(federation, "site-north", contribute(federation, b"x"), COUNT_STEP) == "protocol-replay"


def test_only_the_plans_coordinator_is_obeyed(federation, tmp_path):
    stranger = Identity.load_or_create(tmp_path / "stranger.key")
    code = refusal(federation, "site-north", contribute(federation), COUNT_STEP, identity=stranger)
    assert code == "protocol-signature"
    assert spent(federation, "site-north") == []


@pytest.mark.parametrize("plan", ["b" * 64, "../../etc/passwd", "", "x" * 64])
def test_only_approved_plans_run(federation, plan):
    code = refusal(federation, "site-north", contribute(federation), COUNT_STEP, plan=plan or "none")
    assert code == "protocol-not-approved"


@pytest.mark.parametrize("step", ["train-0003", "train-0000", "count-2", "measure-2", "proof"])
def test_only_the_plans_steps_run(federation, step):
    assert refusal(federation, "site-north", contribute(federation), step) == "protocol-malformed"
    assert spent(federation, "site-north") == []


@pytest.mark.parametrize("step", ["keys", "keys-2", "enrol-2"])
def test_enrolment_cannot_be_repeated_under_another_step(federation, step):
    """A second ceremony beside the first would deal with the same keys again."""
    site = federation.plan.federation.names[0]
    again = Enrol(plan=federation.plan.to_json(), table=federation.run.schema.model_dump_json().encode())
    assert refusal(federation, site, again, step) == "protocol-malformed"
    before = (federation.run_folder(site) / "group.key").read_bytes()
    commit = KeyCommit(enrolled=[])
    code = refusal(federation, site, commit, step)
    assert code == ("protocol-replay" if step == "keys" else "protocol-malformed")
    assert (federation.run_folder(site) / "group.key").read_bytes() == before


def test_two_openings_of_one_step_would_share_a_key_holder(federation):
    """So a plan whose threshold is not a majority of the key-holders cannot be made."""
    fields = federation.plan.federation.model_dump()
    with pytest.raises(ValidationError, match="two different sums"):
        Federation.model_validate(fields | {"threshold": 2, "key_holders": 4})


@pytest.mark.parametrize("step", ["../x", "A", "", "x" * 65])
def test_step_ids_cannot_name_other_files(federation, step):
    assert refusal(federation, "site-north", contribute(federation), step) == "protocol-malformed"


def test_bytes_that_are_no_frame_are_refused(federation):
    answer = frames.read(federation.vaults["site-north"].handle(b"nonsense"), 10_000)
    assert Refused.from_bytes(answer.body).code == "protocol-malformed"


def test_a_sum_opens_for_its_own_contributions(federation):
    replies = contributions(federation)
    assert isinstance(ask(federation, "site-north", opening(federation, replies), COUNT_STEP), Opened)


def test_too_few_contributions_are_not_opened(federation):
    replies = contributions(federation)
    honest = opening(federation, replies)
    few = honest.model_copy(update={"seals": honest.seals[:2], "tags": honest.tags[:2]})
    assert refusal(federation, "site-north", few, COUNT_STEP) == "protocol-not-enough-sites"


def test_one_contribution_counted_twice_is_not_opened(federation):
    replies = contributions(federation)
    seals = [f.seal for f in replies.values()]
    twice = opening(federation, replies, seals=[seals[0], seals[1], seals[1], seals[2]])
    assert refusal(federation, "site-north", twice, COUNT_STEP) == "protocol-counted-twice"


def test_a_sum_without_ones_own_contribution_is_not_opened(federation):
    replies = contributions(federation)
    others = [frame.seal for site, frame in replies.items() if site != federation.plan.federation.names[0]]
    without = opening(federation, replies, seals=others)
    first = federation.plan.federation.names[0]
    assert refusal(federation, first, without, COUNT_STEP) == "protocol-own-missing"


def test_seals_from_outside_the_roster_or_of_other_steps_do_not_count(federation, tmp_path):
    replies = contributions(federation)
    stranger = Identity.load_or_create(tmp_path / "stranger.key")
    own = federation.plan.federation
    forged = frames.sign(stranger, "contribution", federation.plan.hash, COUNT_STEP, own.names[1], b"")
    foreign = frames.sign(stranger, "contribution", federation.plan.hash, COUNT_STEP, "nobody", b"")
    seals = [frame.seal for frame in replies.values()]
    for bad in (forged.seal, foreign.seal):
        with_bad = opening(federation, replies, seals=[seals[0], bad, *seals[2:]])
        assert refusal(federation, own.names[0], with_bad, COUNT_STEP) == "protocol-signature"


def test_a_step_is_opened_once(federation):
    replies = contributions(federation)
    site = federation.plan.federation.names[0]
    first = ask(federation, site, opening(federation, replies), COUNT_STEP)
    assert ask(federation, site, opening(federation, replies), COUNT_STEP) == first
    reordered = opening(federation, replies, openers=[3, 2, 1])
    assert refusal(federation, site, reordered, COUNT_STEP) == "protocol-replay"
    fewer = dict(list(replies.items())[:3])
    assert refusal(federation, site, opening(federation, fewer, openers=[1, 2, 4]), COUNT_STEP) == (
        "protocol-opened"
    )


def test_one_sum_may_be_opened_again_with_others_but_not_without_end(federation, monkeypatch):
    replies = contributions(federation)
    site = federation.plan.federation.names[0]
    monkeypatch.setattr("client.answers.MOST_OPENINGS", 2)
    for openers in ([1, 2, 3], [1, 2, 4]):
        answer = ask(federation, site, opening(federation, replies, openers=openers), COUNT_STEP)
        assert isinstance(answer, Opened)
    third = opening(federation, replies, openers=[1, 3, 4])
    assert refusal(federation, site, third, COUNT_STEP) == "protocol-opened"


def test_a_step_that_was_tried_anew_is_not_opened_any_more(federation):
    replies = contributions(federation)
    site = federation.plan.federation.names[0]
    again = attempt(COUNT_STEP, 2)
    federation.vaults[site].site.ledger.charge(
        GaussianSum(noise_multiplier=1.0),
        plan="a" * 64,
        step="other",
        cap=Cap(epsilon=1e9, delta=1e-5),
        unit=federation.plan.privacy.unit,
        sensitivity=1.0,
    )
    assert refusal(federation, site, contribute(federation), again) == "privacy-budget"
    policy = federation.site_folder(site) / "policy.toml"
    policy.write_text(policy.read_text().replace("epsilon_cap = 3.0", "epsilon_cap = 1e6"))
    assert isinstance(ask(federation, site, contribute(federation), again), Contribution)
    assert spent(federation, site) == [COUNT_STEP, "other", again]
    assert refusal(federation, site, opening(federation, replies), COUNT_STEP) == "protocol-opened"
    beyond = attempt(COUNT_STEP, MOST_ATTEMPTS + 1)
    assert refusal(federation, site, contribute(federation), beyond) == "protocol-malformed"


def test_only_the_sum_of_the_contributions_is_opened(federation):
    """A coordinator that swaps, drops, doubles, scales or alters what is opened is refused each time."""
    replies = contributions(federation)
    parts = halves(replies)
    total = reduce(DATA_LEVEL.add, parts)
    first = federation.plan.federation.names[0]
    one_bit = total.copy()
    one_bit[0, 1, 77] ^= 1
    fakes = {
        "one site's alone": parts[1],
        "one dropped": reduce(DATA_LEVEL.add, parts[1:]),
        "one doubled": DATA_LEVEL.add(total, parts[0]),
        "scaled": DATA_LEVEL.add(total, total),
        "one bit": one_bit,
        "nothing": np.zeros_like(total),
        "an encryption of zero added": DATA_LEVEL.add(
            total, encrypt(keys_of(federation, first).joint(federation.attested), ZERO)[:, 1]
        ),
    }
    for name, fake in fakes.items():
        code = refusal(federation, first, opening(federation, replies, c1=fake), COUNT_STEP)
        assert code == "crypto-foreign-sum", name
    assert isinstance(ask(federation, first, opening(federation, replies), COUNT_STEP), Opened)


def test_tags_are_each_sites_own_for_this_step(federation):
    replies = contributions(federation)
    first = federation.plan.federation.names[0]
    honest = opening(federation, replies).tags
    flipped = bytes([honest[0][0] ^ 1]) + honest[0][1:]
    for tags in (honest[::-1], [flipped, *honest[1:]], [b"", *honest[1:]]):
        answer = ask(federation, first, opening(federation, replies, tags=tags), COUNT_STEP)
        assert (answer.code, answer.about) == ("crypto-foreign-tag", first)
    short = opening(federation, replies, tags=honest[:-1])
    assert refusal(federation, first, short, COUNT_STEP) == "crypto-foreign-sum"


def test_a_sum_and_tags_of_another_step_are_refused(federation):
    """Replaying the proof step's contributions under the first sum."""
    replies = contributions(federation)
    first = federation.plan.federation.names[0]
    group = keys_of(federation, first).group()
    total = reduce(DATA_LEVEL.add, halves(replies))
    names = federation.plan.federation.names
    old = [
        group.seal(part, federation.plan.hash, PROOF_STEP, n)
        for part, n in zip(halves(replies), names, strict=False)
    ]
    request = opening(federation, replies, c1=total, tags=old)
    assert refusal(federation, first, request, COUNT_STEP) == "crypto-foreign-tag"


@pytest.mark.parametrize("openers", [[1, 2], [1, 1, 2], [0, 1, 2], [1, 2, 9], [2, 3, 4], []])
def test_wrong_sets_of_openers_are_refused(federation, openers):
    replies = contributions(federation)
    request = opening(federation, replies, openers=openers)
    code = refusal(federation, federation.plan.federation.names[0], request, COUNT_STEP)
    assert code == "protocol-not-enough-sites"


def test_a_key_holder_that_did_not_contribute_opens_and_does_not_contribute_then(federation):
    names = federation.plan.federation.names
    asking = federation.asking()
    replies = asking(COUNT_STEP, dict.fromkeys(names[1:], contribute(federation)), Contribution.kind).good
    request = opening(federation, replies, openers=[1, 2, 3])
    assert isinstance(ask(federation, names[0], request, COUNT_STEP), Opened)
    assert refusal(federation, names[0], contribute(federation), COUNT_STEP) == "protocol-opened"
    assert spent(federation, names[0]) == []


def test_a_key_that_not_everybody_attested_is_not_used(federation, tmp_path):
    names = federation.plan.federation.names
    honest = federation.attested
    stranger = Identity.load_or_create(tmp_path / "stranger.key")
    forged = frames.sign(stranger, ATTESTED, federation.plan.hash, PROOF_STEP, names[0], b"k" * 32).to_bytes()
    site = federation.vaults[names[0]].site
    other = frames.sign(site.identity, ATTESTED, federation.plan.hash, PROOF_STEP, names[0], b"k" * 32)
    attempts = {
        "none": ([], "protocol-not-enough-sites"),
        "one missing": (honest[1:], "protocol-not-enough-sites"),
        "forged": ([forged, *honest[1:]], "protocol-signature"),
        "another key": ([other.to_bytes(), *honest[1:]], "protocol-signature"),
    }
    for name, (attested, code) in attempts.items():
        request = Contribute(state=b"", attested=attested)
        assert refusal(federation, names[1], request, COUNT_STEP) == code, name
    assert spent(federation, names[1]) == []


def test_a_coordinator_with_a_key_holder_cannot_choose_the_key(tmp_path):
    """The colluder commits anew after it has seen all pieces: nobody confirms what it did not deal after."""
    run = toy.run_folder(tmp_path / "run")
    federation = LocalFederation(run)
    asking, plan = federation.asking(), run.plan
    holders = plan.federation.holders
    enrolled = enrol(asking, run.schema)

    def exchange(step, requests, kind):
        replies = asking(step, requests, kind)
        return {site: frame.to_bytes() for site, frame in replies.good.items()}

    committed = exchange("keys", dict.fromkeys(holders, KeyCommit(enrolled=enrolled)), KeyCommitted.kind)
    deal = KeyDeal(committed=list(committed.values()))
    dealt = {
        site: KeyDealt.from_bytes(frame.body)
        for site, frame in asking("keys", dict.fromkeys(holders, deal), KeyDealt.kind).good.items()
    }
    colluder = federation.vaults[holders[0]].site.identity
    rogue = to_bytes(np.ones((3, N), np.uint64))
    second = KeyCommitted(commitment=commitment(piece_from_bytes(rogue)))
    committed[holders[0]] = frames.sign(
        colluder, KeyCommitted.kind, plan.hash, "keys", holders[0], second.to_bytes()
    ).to_bytes()
    victim = holders[1]
    confirm = KeyConfirm(
        enrolled=enrolled,
        committed=list(committed.values()),
        pieces={site: deal.piece for site, deal in dealt.items()} | {holders[0]: rogue},
        boxes={site: deal.boxes[victim] for site, deal in dealt.items()},
    )
    assert refusal(federation, victim, confirm, PROOF_STEP) == "protocol-signature"


def test_an_answer_kept_before_a_crash_is_written_down_when_it_is_sent(federation, monkeypatch):
    """The process died between keeping its answer and writing it into the ledger; then the answer is lost."""
    site = "site-north"
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "answered", lambda *_, **__: None)
        ask(federation, site, contribute(federation), COUNT_STEP)
    ask(federation, site, contribute(federation), COUNT_STEP)
    ask(federation, site, contribute(federation), COUNT_STEP)
    lines = (federation.site_folder(site) / "ledger.jsonl").read_text().splitlines()
    assert sum('"kind":"answered"' in line for line in lines) == 1
    shutil.rmtree(federation.run_folder(site) / "answers")
    assert refusal(federation, site, contribute(federation), COUNT_STEP) == "protocol-replay"


def test_a_lost_answer_is_not_computed_again_for_the_same_charge(federation):
    site = federation.plan.federation.names[0]
    ask(federation, site, contribute(federation), COUNT_STEP)
    shutil.rmtree(federation.run_folder(site) / "answers")
    assert refusal(federation, site, contribute(federation, b"x"), COUNT_STEP) == "protocol-replay"
    assert spent(federation, site) == [COUNT_STEP]


def test_a_sum_of_another_length_is_refused(federation):
    replies = contributions(federation)
    request = opening(federation, replies, c1=b"short")
    assert refusal(federation, "site-north", request, COUNT_STEP) == "protocol-malformed"


def test_an_exhausted_budget_refuses_before_the_run_starts(tmp_path):
    run = toy.run_folder(tmp_path / "run")
    policy = tmp_path / "run" / "sites" / "site-south" / "policy.toml"
    policy.write_text(policy.read_text().replace("epsilon_cap = 3.0", "epsilon_cap = 1.0"))
    federation = LocalFederation(run)
    with pytest.raises(
        RefusedError, match=r"site-south refused: epsilon would go from 0 to 3.*cap is 1"
    ) as e:
        federation.coordinator().run()
    assert e.value.refusal_code == "privacy-budget"
    assert all(spent(federation, site) == [] for site in run.plan.federation.names)


@pytest.mark.parametrize(
    ("breakage", "code"),
    [
        (lambda f: f.assign(age=f.age.astype(float).where(f.index != 7)), "data-missing"),
        (lambda f: f.assign(age=np.where(np.arange(len(f)) == 7, 101, f.age)), "data-value"),
        (lambda f: f.assign(diagnosis=np.where(np.arange(len(f)) == 7, "fatal", f.diagnosis)), "data-value"),
        (lambda f: f.drop(columns="cost"), "data-columns"),
        (lambda f: f.assign(name="x"), "data-columns"),
        (lambda f: f.head(99), "data-too-few"),
    ],
)
def test_bad_records_stop_the_run_and_say_where_but_not_what(tmp_path, breakage, code):
    run = toy.run_folder(tmp_path / "run")
    federation = LocalFederation(run)
    path = federation.site_folder("site-east") / "records.parquet"
    frame = pd.read_parquet(path).head(150)
    write_table(breakage(frame), path)
    with pytest.raises(RefusedError) as caught:
        federation.coordinator().run()
    assert caught.value.refusal_code == code
    text = caught.value.message + caught.value.hint
    log = (federation.site_folder("site-east") / "site.log").read_text()
    if code == "data-value":
        assert "row 8" in log
        assert "row" not in text
    for secret in ("101", "fatal", "name", "cost"):
        assert secret not in text.replace("site.log", "")
    assert "101" not in log
    assert "'fatal'" not in log
    assert all(spent(federation, site) == [] for site in run.plan.federation.names)


@pytest.mark.parametrize(("where", "charged"), [("task", []), ("histograms", [COUNT_STEP])])
def test_an_unexpected_failure_says_nothing_about_records(federation, monkeypatch, where, charged):
    def explode(*_args):
        raise RuntimeError("patient 4711 earns 31337")

    monkeypatch.setattr(f"client.contribution.{where}", explode)
    answer = ask(federation, "site-north", contribute(federation), COUNT_STEP)
    assert isinstance(answer, Refused)
    assert answer.code == "internal"
    text = (federation.site_folder("site-north") / "site.log").read_text() + str(answer)
    assert "4711" not in text
    assert "RuntimeError at test_vault.py" in text
    assert spent(federation, "site-north") == charged
    ledger = federation.vaults["site-north"].site.ledger
    assert [(line.step, line.outcome, line.reason) for line in ledger.outcomes()] == [
        (step, "failed", "internal") for step in charged
    ]
    # digits of a hash may be the same
    assert not re.search(r"\b(4711|31337)\b", ledger.path.read_text())


def test_a_policy_with_unknown_fields_is_refused(federation):
    path = federation.site_folder("site-north") / "policy.toml"
    path.write_text(path.read_text() + "noise = false\n")
    with pytest.raises(ConfigError, match="noise"):
        _ = Site(federation.site_folder("site-north")).policy


def test_of_earlier_steps_only_the_fact_is_kept(tmp_path):
    """A site's disk does not grow with the rounds, and an old request is not computed anew."""
    federation = LocalFederation(toy.run_folder(tmp_path / "run"))
    asked = {}
    honest = federation.send

    def remember(frames_by_site):
        for site, raw in frames_by_site.items():
            header = frames.read(raw, 1 << 30).header
            asked[header.kind, header.step, site] = raw
        return honest(frames_by_site)

    federation.send = remember
    federation.coordinator().run()
    for site, vault in federation.vaults.items():
        stored = (federation.run_folder(site) / "answers").glob("*")
        large = {path.name.split(".")[0] for path in stored if path.stat().st_size > 1000}
        assert large == {"keys", "proof", "train-0002"}
        answer = frames.read(vault.handle(asked["contribute", COUNT_STEP, site]), 1 << 30)
        assert Refused.from_bytes(answer.body).code == "protocol-replay"
        again = frames.read(vault.handle(asked["contribute", "train-0002", site]), 1 << 30)
        assert again.header.kind == "contribution"

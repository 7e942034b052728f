"""What a relay or a coordinator that breaks the protocol can try, as functions on what passes by."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from common.crypto.bfv import encrypt
from common.crypto.encrypted import EncryptedUpdate, key_from_bytes
from common.crypto.ring import DATA_LEVEL, N, to_bytes
from common.crypto.secret_file import read_secret
from common.plan import MEASURE_STEP
from common.protocol import frames
from common.protocol.messages import Contribution, Message, Open, Opened, Refused
from tests.federation import LocalFederation

LIMIT = 1 << 30


class Wiretap:
    """Sees every frame; keeps the contributions, notes which partial decryptions were given."""

    def __init__(self, federation: LocalFederation) -> None:
        self.federation = federation
        self.sent: dict[str, bytes] = {}
        self.partials: list[tuple[str, bytes]] = []
        self.refusals: list[str] = []
        self.after: Callable[[str, bytes], bytes | None] = lambda _, raw: raw
        self.alter: Callable[[str, Open], bytes | None] | None = None
        federation.before, federation.after = self._down, self._up

    @property
    def contributions(self) -> dict[str, Contribution]:
        return {
            site: Contribution.from_bytes(frames.read(raw, LIMIT).body) for site, raw in self.sent.items()
        }

    @property
    def halves(self) -> dict[str, np.ndarray]:
        """c1 of each contribution."""
        return {
            site: EncryptedUpdate.from_bytes(body.ciphertext, 1).ciphertext[:, 1]
            for site, body in self.contributions.items()
        }

    @property
    def seals(self) -> dict[str, bytes]:
        return {site: frames.read(raw, LIMIT).seal for site, raw in self.sent.items()}

    def sign(self, message: Message, **changes: str) -> bytes:
        """As the coordinator, which an attacker may be, signs."""
        plan = self.federation.plan
        fields = {
            "kind": message.kind,
            "plan": plan.hash,
            "step": MEASURE_STEP,
            "sender": plan.federation.coordinator.name,
        } | changes
        return frames.sign(self.federation.identity, body=message.to_bytes(), **fields).to_bytes()

    def _down(self, site: str, raw: bytes) -> bytes | None:
        frame = frames.read(raw, LIMIT)
        if self.alter is None or (frame.header.kind, frame.header.step) != (Open.kind, MEASURE_STEP):
            return raw
        return self.alter(site, Open.from_bytes(frame.body))

    def _up(self, site: str, raw: bytes) -> bytes | None:
        header = frames.read(raw, LIMIT).header
        if header.kind == Contribution.kind and header.step == MEASURE_STEP:
            self.sent.setdefault(site, raw)
        if header.kind == Opened.kind and header.step == MEASURE_STEP:
            self.partials.append((site, raw))
        if header.kind == Refused.kind:
            self.refusals.append(Refused.from_bytes(frames.read(raw, LIMIT).body).code)
        return self.after(site, raw)


def zero_encryption(federation: LocalFederation) -> np.ndarray:
    """c1 of an encryption of zero under the joint key: anybody can make one."""
    raw = read_secret(federation.run_folder(federation.plan.federation.names[0]) / "joint.key")
    return encrypt(key_from_bytes(raw), np.zeros((1, N), np.int64))[:, 1]


def total(halves: dict[str, np.ndarray]) -> np.ndarray:
    return reduce(DATA_LEVEL.add, halves.values())


Alteration = Callable[[Wiretap, Open, Wiretap], bytes]


def with_c1(make: Callable[[Wiretap, Wiretap], np.ndarray]) -> Alteration:
    """An honest request but for what is to be opened."""
    return lambda tap, request, other: tap.sign(request.model_copy(update={"c1": to_bytes(make(tap, other))}))


def with_fields(make: Callable[[Wiretap, Open, Wiretap], dict[str, object]]) -> Alteration:
    """An honest request but for some fields."""
    return lambda tap, request, other: tap.sign(request.model_copy(update=make(tap, request, other)))


def _one_bit(tap: Wiretap, other: Wiretap) -> np.ndarray:
    altered = total(tap.halves)
    altered[0, 1, 77] ^= 1
    return altered


def _without(site_number: int) -> Callable[[Wiretap, Wiretap], np.ndarray]:
    def make(tap: Wiretap, other: Wiretap) -> np.ndarray:
        halves = tap.halves
        del halves[tap.federation.plan.federation.names[site_number]]
        return total(halves)

    return make


def _summand_twice(tap: Wiretap, request: Open, other: Wiretap) -> dict[str, object]:
    return {"seals": [*request.seals[:3], request.seals[2]], "tags": [*request.tags[:3], request.tags[2]]}


def _stranger(tap: Wiretap, request: Open, other: Wiretap) -> dict[str, object]:
    """A member of the roster whose identity the relay made up."""
    header = frames.read(request.seals[1], LIMIT).header
    fields = {"kind": header.kind, "plan": header.plan, "step": header.step, "sender": header.sender}
    forged = frames.sign(tap.federation.identity, body=b"", **fields)
    return {"seals": [request.seals[0], forged.seal, *request.seals[2:]]}


ON_OPENING: dict[str, tuple[Alteration, str]] = {
    "a bit flipped": (with_c1(_one_bit), "crypto-foreign-sum"),
    "one site's alone": (with_c1(lambda tap, _: tap.halves["site-north"]), "crypto-foreign-sum"),
    "one dropped from the sum": (with_c1(_without(1)), "crypto-foreign-sum"),
    "one counted twice in the sum": (
        with_c1(lambda tap, _: DATA_LEVEL.add(total(tap.halves), tap.halves["site-north"])),
        "crypto-foreign-sum",
    ),
    "scaled": (
        with_c1(lambda tap, _: DATA_LEVEL.add(total(tap.halves), total(tap.halves))),
        "crypto-foreign-sum",
    ),
    "an encryption of zero added": (
        with_c1(lambda tap, _: DATA_LEVEL.add(total(tap.halves), zero_encryption(tap.federation))),
        "crypto-foreign-sum",
    ),
    "the sum of another run, under other keys": (
        with_c1(lambda _, other: total(other.halves)),
        "crypto-foreign-sum",
    ),
    "mixed keys": (
        with_c1(lambda tap, other: DATA_LEVEL.add(_without(1)(tap, other), other.halves["site-south"])),
        "crypto-foreign-sum",
    ),
    "truncated": (with_fields(lambda _, request, __: {"c1": request.c1[:-15]}), "protocol-malformed"),
    "another length": (with_fields(lambda _, request, __: {"c1": request.c1 * 2}), "protocol-malformed"),
    "a tag of another run": (
        with_fields(
            lambda _, request, other: {"tags": [other.contributions["site-south"].tag, *request.tags[1:]]}
        ),
        "crypto-foreign-tag",
    ),
    "tags exchanged": (
        with_fields(lambda _, request, __: {"tags": request.tags[::-1]}),
        "crypto-foreign-tag",
    ),
    "a tag missing": (with_fields(lambda _, request, __: {"tags": request.tags[:-1]}), "crypto-foreign-sum"),
    "a site counted twice": (with_fields(_summand_twice), "protocol-counted-twice"),
    "too few": (
        with_fields(lambda _, request, __: {"seals": request.seals[:3], "tags": request.tags[:3]}),
        "protocol-not-enough-sites",
    ),
    "a forged roster": (with_fields(_stranger), "protocol-signature"),
    "seals of another run": (
        with_fields(lambda _, __, other: {"seals": list(other.seals.values())}),
        "protocol-wrong-plan",
    ),
    "fewer openers than the threshold": (
        with_fields(lambda _, request, __: {"openers": request.openers[:2]}),
        "protocol-not-enough-sites",
    ),
    "another plan": (lambda tap, request, _: tap.sign(request, plan="b" * 64), "protocol-not-approved"),
    "another sender": (lambda tap, request, _: tap.sign(request, sender="site-north"), "protocol-signature"),
    "another step": (lambda tap, request, _: tap.sign(request, step="train-0001"), "protocol-signature"),
    "a step of no plan": (lambda tap, request, _: tap.sign(request, step="measure-2"), "protocol-signature"),
}


def flipped(raw: bytes) -> bytes:
    """One bit inside the ciphertext."""
    middle = len(raw) // 2
    return raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :]


ON_THE_WAY: dict[str, tuple[Callable[[Wiretap, Wiretap, bytes], bytes | None], str]] = {
    "a bit flipped": (lambda _, __, raw: flipped(raw), "protocol-signature"),
    "truncated": (lambda _, __, raw: raw[:-100], "protocol-malformed"),
    "another length": (lambda _, __, raw: raw + bytes(100), "protocol-malformed"),
    "emptied": (lambda _, __, ___: b"", "protocol-malformed"),
    "dropped": (lambda _, __, ___: None, "protocol-not-enough-sites"),
    "another site's": (lambda tap, _, __: tap.sent["site-east"], "protocol-signature"),
    "of another run": (lambda _, other, __: other.sent["site-south"], "protocol-wrong-plan"),
}

"""Have key-holders open a sum that was decided: ask a set, combine, ask another set if that fails."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from common.crypto import ring, threshold
from common.crypto.encrypted import half_from_bytes
from common.crypto.packing import Integers, Packing
from common.crypto.parameters import MOST_OPENINGS
from common.crypto.ring import Residues
from common.crypto.stopwatch import timed
from common.errors import (
    AlreadyOpenedError,
    FedcganError,
    ForeignTagError,
    NotASumError,
    NotEnoughSitesError,
    OwnMissingError,
    RefusedError,
    ReplayError,
    StepLostError,
)
from common.protocol.messages import Open, Opened

from .asking import Asking
from .openers import Holders, OpenerSearch

FINAL = (ReplayError.code, AlreadyOpenedError.code)
"""Refusals after which a site will never do its part in this step."""


@dataclass(frozen=True, slots=True)
class PendingSum:
    """A sum that was decided and is not opened yet.

    ciphertext: uint64[chunks, 2, 2, N]; seals, tags: of the summands, in their order; carried: bytes of their
    frames
    """

    step: str
    summands: list[str]
    seals: list[bytes]
    tags: list[bytes]
    ciphertext: Residues
    carried: int


@dataclass(frozen=True, slots=True)
class Opening:
    """One sum on its way to be opened.

    garbage: key-holders whose partial decryptions were wrong, asked last from then on
    """

    asking: Asking
    pending: PendingSum
    packing: Packing
    garbage: list[str]
    _refusals: dict[str, FedcganError] = field(default_factory=dict)

    def run(self) -> Integers:
        """The opened sum: int64[count].

        Raises StepLostError if too many key-holders will never open this step, else the refusal that decides
        (``crypto-foreign-tag`` with its site, ``protocol-own-missing``), NotASumError or NotEnoughSitesError.
        """
        federation, pending = self.asking.plan.federation, self.pending
        search = OpenerSearch(self._order(), federation.threshold)
        for number, openers in enumerate(search, start=1):
            if number > MOST_OPENINGS:
                break
            partials = self._partials(openers, search)
            if len(partials) < len(openers):
                continue
            try:
                with timed("combine"):
                    slots = threshold.combine(pending.ciphertext, partials, federation.threshold)
                    opened = self.packing.unpack_sum(slots, len(pending.summands))
            except NotASumError as error:
                search.failed(openers)
                self._refusals["the sum"] = error
                continue
            self._name(search.culprits(openers))
            return opened
        raise self._reason()

    def _order(self) -> Holders:
        """Whom to ask first: by the step, so that work is shared; those that contributed before others,
        those that were wrong before last."""
        holders = self.asking.plan.federation.holders
        start = zlib.crc32(self.pending.step.encode()) % len(holders)
        turn = [*range(start, len(holders)), *range(start)]
        turn.sort(key=lambda i: (holders[i] in self.garbage, holders[i] not in self.pending.summands))
        return tuple(index + 1 for index in turn)

    def _partials(self, openers: Holders, search: OpenerSearch) -> dict[int, Residues]:
        """Partial decryptions by key-holder; who gives none is not asked again."""
        pending, holders = self.pending, self.asking.plan.federation.holders
        request = Open(
            c1=ring.to_bytes(pending.ciphertext[:, 1]),
            seals=pending.seals,
            tags=pending.tags,
            openers=list(openers),
        )
        names, asked = {index: holders[index - 1] for index in openers}, request.digest
        replies = self.asking(pending.step, dict.fromkeys(names.values(), request), Opened.kind)
        self._refusals.update(replies.bad)
        partials = {}
        for index, name in names.items():
            try:
                body = Opened.from_bytes(replies.good[name].body)
                if body.asked != asked:
                    raise ReplayError(f"{name} opened for others", hint="its answer was replayed")
                partials[index] = half_from_bytes(body.partial, self.packing.chunks)
            except KeyError:
                search.absent(index)
            except FedcganError as error:
                self._refusals[name] = error
                self.asking.note(pending.step, name, error.code)
                search.absent(index)
        return partials

    def _name(self, culprits: Holders) -> None:
        for index in culprits:
            name = self.asking.plan.federation.holders[index - 1]
            self.asking.note(self.pending.step, name, NotASumError.code)
            if name not in self.garbage:
                self.garbage.append(name)

    def _reason(self) -> FedcganError:
        """Why too few key-holders opened."""
        federation, step = self.asking.plan.federation, self.pending.step
        one_is_honest = federation.key_holders - federation.threshold + 1
        refused = [error for error in self._refusals.values() if isinstance(error, RefusedError)]
        for site in self.pending.summands:
            blaming = [error for error in refused if (error.refusal_code, error.about) == (_TAG, site)]
            if len(blaming) >= one_is_honest:
                return blaming[0]
        lost = [error for error in refused if error.refusal_code in FINAL]
        if len(lost) >= one_is_honest:
            return StepLostError(
                f"{len(lost)} key-holders do not open {step} any more", hint="try it under another step id"
            )
        left_out = [error for error in refused if error.refusal_code == OwnMissingError.code]
        others = [error for error in self._refusals.values() if getattr(error, "about", "") == ""]
        if left_out and len(left_out) + len(lost) >= one_is_honest:
            return left_out[0]
        for error in others:
            return error
        return NotEnoughSitesError(
            f"fewer than {federation.threshold} key-holders opened {step}",
            hint="bring more key-holders online and resume",
        )


_TAG = ForeignTagError.code

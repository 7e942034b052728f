"""The secure sum, seen from the server: ask, add ciphertexts, ask to open, combine.

Exactly two messages to a site: ``Contribute`` and ``Open``. The server adds what it cannot read and
combines what only ``threshold`` key-holders together can produce.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from common.crypto import bfv, ring, threshold
from common.crypto.encrypted import EncryptedUpdate, half_from_bytes
from common.crypto.packing import Integers, Packing
from common.crypto.parameters import MOST_OPENINGS
from common.crypto.ring import Residues
from common.crypto.stopwatch import timed
from common.errors import (
    FedcganError,
    NotASumError,
    NotEnoughSitesError,
    RefusedError,
    ReplayError,
    StepLostError,
)
from common.protocol.messages import Contribute, Contribution, KeyConfirmed, Open, Opened

from .asking import Asking, Replies
from .openers import Holders, OpenerSearch


@dataclass(frozen=True, slots=True)
class PendingSum:
    """A sum that was decided and is not opened yet.

    ciphertext: uint64[chunks, 2, 2, N]; seals, tags: of the summands, in their order
    """

    step: str
    summands: list[str]
    seals: list[bytes]
    tags: list[bytes]
    ciphertext: Residues


class SecureSum:
    """Sums that nobody can open alone.

    Guarantees: holds no secret of the key (an import contract keeps it so); what comes out is the
    exact integer sum of the contributions, or a typed error. What is to be opened is decided once for
    each step and handed to ``keep`` before anybody is asked, so that a restarted coordinator goes on with
    the same sum, whoever is gone by then: a site opens one sum of a step.

    attested: every site's word for the joint key, which each site wants to see before it contributes;
    garbage: key-holders whose partial decryptions were wrong, asked last from then on
    """

    def __init__(
        self,
        asking: Asking,
        keep: Callable[[PendingSum | None], None],
        pending: PendingSum | None = None,
        garbage: list[str] | None = None,
    ) -> None:
        self.attested: list[bytes] = []
        self.contribution_bytes = 0
        self.garbage = [] if garbage is None else garbage
        self._asking = asking
        self._federation = asking.plan.federation
        self._keep = keep
        self._pending = pending
        self._opened: list[str] = []

    def __call__(self, step: str, state: bytes, packing: Packing) -> tuple[Integers, int]:
        """One secure sum: (int64[count], number of contributors).

        Raises StepLostError if only another attempt can help, NotEnoughSitesError or the first site's
        failure if the same step can be finished later; nothing is opened then.
        """
        excluded: dict[str, FedcganError] = {}
        while True:
            if self._pending is None or self._pending.step != step:
                self._gather(step, state, packing, excluded)
            try:
                return self.open(packing), len(self._opened)
            except _ForeignTagError as found:
                excluded[found.site] = found.refusal  # no honest key-holder opened: another sum may be
                self._decide(None)

    def _gather(self, step: str, state: bytes, packing: Packing, excluded: dict[str, FedcganError]) -> None:
        sites = [site for site in self._federation.names if site not in excluded]
        request = Contribute(state=state, attested=self.attested)
        replies = self._asking(step, dict.fromkeys(sites, request), Contribution.kind)
        replies.bad.update(excluded)
        self.contribution_bytes += sum(len(frame.to_bytes()) for frame in replies.good.values())
        self.add(step, replies, Contribution, packing)

    def add(
        self, step: str, replies: Replies, kind: type[Contribution | KeyConfirmed], packing: Packing
    ) -> PendingSum:
        """Add the ciphertexts of all good replies and decide on the sum, unless a crash came after that.

        Raises NotEnoughSitesError.
        """
        if self._pending is not None and self._pending.step == step:
            return self._pending
        self._require(step, replies)
        seals: dict[str, bytes] = {}
        tags: dict[str, bytes] = {}

        def ciphertexts() -> Iterator[Residues]:
            for site, frame in list(replies.good.items()):
                try:
                    body = kind.from_bytes(frame.body)
                    update = EncryptedUpdate.from_bytes(body.ciphertext, packing.chunks)
                except FedcganError as error:
                    replies.bad[site] = error
                    del replies.good[site]
                    self._asking.note(step, site, error.code)
                    continue
                seals[site], tags[site] = frame.seal, body.tag
                yield update.ciphertext

        with timed("add"):
            total = bfv.add(ciphertexts())
        self._require(step, replies)
        pending = PendingSum(step, list(seals), list(seals.values()), list(tags.values()), total)
        self._decide(pending)
        return pending

    def _decide(self, pending: PendingSum | None) -> None:
        self._pending = pending
        self._keep(pending)

    def _require(self, step: str, replies: Replies) -> None:
        """Enough contributions, or the reason why not."""
        least = self._federation.min_contributors
        if len(replies.good) >= least:
            return
        lost = sum(getattr(error, "refusal_code", "") == ReplayError.code for error in replies.bad.values())
        if len(self._federation.sites) - lost < least:
            raise StepLostError(
                f"{lost} sites answered {step} before and cannot again", hint="try it under another step id"
            )
        for error in replies.bad.values():
            raise error
        raise NotEnoughSitesError(
            f"{len(replies.good)} sites contributed to {step}, the plan demands {least}",
            hint="bring the missing sites online and resume",
        )

    def open(self, packing: Packing) -> Integers:
        """Have key-holders open the decided sum: int64[count]."""
        pending = self._pending
        assert pending is not None
        search = OpenerSearch(self._order(pending), self._federation.threshold)
        refusals: dict[str, FedcganError] = {}
        for number, openers in enumerate(search, start=1):
            if number > MOST_OPENINGS:
                break
            partials = self._partials(pending, openers, packing, search, refusals)
            if len(partials) < len(openers):
                continue
            try:
                with timed("combine"):
                    slots = threshold.combine(pending.ciphertext, partials, self._federation.threshold)
                    opened = packing.unpack_sum(slots, len(pending.summands))
            except NotASumError as error:
                search.failed(openers)
                refusals["sum"] = error
                continue
            self._name(pending.step, search.culprits(openers))
            self._pending, self._opened = None, pending.summands
            return opened
        raise self._not_opened(pending, refusals)

    def _partials(
        self,
        pending: PendingSum,
        openers: Holders,
        packing: Packing,
        search: OpenerSearch,
        refusals: dict[str, FedcganError],
    ) -> dict[int, Residues]:
        """Partial decryptions by key-holder; who gives none is not asked again."""
        names = {index: self._federation.holders[index - 1] for index in openers}
        request = Open(
            c1=ring.to_bytes(pending.ciphertext[:, 1]),
            seals=pending.seals,
            tags=pending.tags,
            openers=list(openers),
        )
        replies = self._asking(pending.step, dict.fromkeys(names.values(), request), Opened.kind)
        refusals.update(replies.bad)
        partials = {}
        for index, name in names.items():
            try:
                body = Opened.from_bytes(replies.good[name].body)
                partials[index] = half_from_bytes(body.partial, packing.chunks)
            except KeyError:
                search.absent(index)
            except FedcganError as error:
                refusals[name] = error
                self._asking.note(pending.step, name, error.code)
                search.absent(index)
        return partials

    def _order(self, pending: PendingSum) -> Holders:
        """Whom to ask first: by the step, so that work is shared; those that contributed before others,
        those that were wrong before last."""
        holders = self._federation.holders
        start = zlib.crc32(pending.step.encode()) % len(holders)
        turn = [*range(start, len(holders)), *range(start)]
        turn.sort(key=lambda i: (holders[i] in self.garbage, holders[i] not in pending.summands))
        return tuple(index + 1 for index in turn)

    def _name(self, step: str, culprits: Holders) -> None:
        for index in culprits:
            name = self._federation.holders[index - 1]
            self._asking.note(step, name, NotASumError.code)
            if name not in self.garbage:
                self.garbage.append(name)

    def _not_opened(self, pending: PendingSum, refusals: dict[str, FedcganError]) -> Exception:
        """The reason why too few key-holders opened."""
        enough = self._federation.key_holders - self._federation.threshold + 1
        for site in pending.summands:
            blaming = [e for e in refusals.values() if isinstance(e, RefusedError) and e.about == site]
            if len(blaming) >= enough:
                self._asking.note(pending.step, site, blaming[0].refusal_code)
                return _ForeignTagError(site, blaming[0])
        for error in refusals.values():
            return error
        return NotEnoughSitesError(
            f"fewer than {self._federation.threshold} key-holders opened {pending.step}",
            hint="bring more key-holders online and resume",
        )


class _ForeignTagError(Exception):
    """So many key-holders refuse the tag of one contribution that one of them is honest."""

    def __init__(self, site: str, refusal: FedcganError) -> None:
        super().__init__(site)
        self.site, self.refusal = site, refusal

"""The secure sum, seen from the server: ask, add ciphertexts, decide, have the sum opened.

Two kinds of message: ``Contribute`` to every site, ``Open`` to the key-holders that are asked. The server
adds what it cannot read and combines what only ``threshold`` key-holders together can produce.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from common.crypto import bfv
from common.crypto.encrypted import EncryptedUpdate
from common.crypto.packing import Integers, Packing
from common.crypto.ring import Residues
from common.crypto.stopwatch import timed
from common.errors import (
    FedcganError,
    ForeignTagError,
    NotEnoughSitesError,
    OwnMissingError,
    RefusedError,
    StepLostError,
)
from common.events import Summed, emit
from common.protocol.messages import Contribute, Contribution, KeyConfirmed

from .asking import Asking, Replies
from .opening import FINAL, Opening, PendingSum


class SecureSum:
    """Sums that nobody can open alone.

    Guarantees: holds no secret of the key (an import contract keeps it so); what comes out is the
    exact integer sum of the contributions, or a typed error. What is to be opened is decided for each
    step, anew only if too few would open it, and handed to ``keep`` before anybody is asked, so that a
    restarted coordinator goes on with the same sum, whoever is gone by then: a site opens one of a step.

    attested: every site's word for the joint key, which each site wants to see before it contributes;
    garbage: key-holders whose partial decryptions were wrong; contribution_bytes: of the last sum's frames
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
        self._told = (asking.carried("up"), asking.carried("down"))

    def __call__(self, step: str, state: bytes, packing: Packing) -> tuple[Integers, int]:
        """One secure sum: (int64[count], number of contributors).

        Raises StepLostError if only another attempt can help, NotEnoughSitesError or the first site's
        failure if the same step can be finished later; nothing is opened then.
        """
        excluded: dict[str, FedcganError] = {}
        missed, start = False, time.monotonic()
        while True:
            if self._pending is None or self._pending.step != step:
                self._gather(step, state, packing, excluded)
            try:
                opened, summands = self.open(packing)
            except RefusedError as refusal:
                # not opened by anybody honest, or not by enough: the step may have another sum
                if refusal.refusal_code == ForeignTagError.code and refusal.about:
                    excluded[refusal.about] = refusal
                    self._asking.note(step, refusal.about, refusal.refusal_code, refused=True)
                elif refusal.refusal_code == OwnMissingError.code and not missed:
                    missed = True
                else:
                    raise
                self._decide(None)
            else:
                self._tell(step, summands, time.monotonic() - start)
                return opened, len(summands)

    def open(self, packing: Packing) -> tuple[Integers, list[str]]:
        """Have key-holders open the decided sum: (int64[count], the sites it consists of)."""
        pending = self._pending
        assert pending is not None
        opened = Opening(self._asking, pending, packing, self.garbage).run()
        self._pending, self.contribution_bytes = None, pending.carried
        return opened, pending.summands

    def add(
        self, step: str, replies: Replies, kind: type[Contribution | KeyConfirmed], packing: Packing
    ) -> None:
        """Add the ciphertexts of all good replies and decide on the sum, unless a crash came after that.

        Raises NotEnoughSitesError.
        """
        if self._pending is not None and self._pending.step == step:
            return
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

        try:
            with timed("add"):
                total = bfv.add(ciphertexts())
        finally:
            self._require(step, replies)
        carried = sum(replies.good[site].length for site in seals)
        self._decide(PendingSum(step, list(seals), list(seals.values()), list(tags.values()), total, carried))

    def _tell(self, step: str, summands: list[str], seconds: float) -> None:
        up, down = self._asking.carried("up"), self._asking.carried("down")
        before, self._told = self._told, (up, down)
        emit(
            Summed(
                step=step,
                contributors=len(summands),
                missing=tuple(sorted(set(self._federation.names) - set(summands))),
                up=up - before[0],
                down=down - before[1],
                seconds=round(seconds, 3),
            )
        )

    def _gather(self, step: str, state: bytes, packing: Packing, excluded: dict[str, FedcganError]) -> None:
        sites = [site for site in self._federation.names if site not in excluded]
        request = Contribute(state=state, attested=self.attested)
        replies = self._asking(step, dict.fromkeys(sites, request), Contribution.kind)
        replies.bad.update(excluded)
        self.add(step, replies, Contribution, packing)

    def _decide(self, pending: PendingSum | None) -> None:
        self._pending = pending
        self._keep(pending)

    def _require(self, step: str, replies: Replies) -> None:
        """Enough contributions, and enough key-holders among them to open the sum; or the reason why not.

        A key-holder whose contribution came too late would refuse a sum without it.
        """
        federation = self._federation
        holders = [site for site in federation.holders if site in replies.good]
        if len(replies.good) >= federation.min_contributors and len(holders) >= federation.threshold:
            return
        lost = {site for site, error in replies.bad.items() if getattr(error, "refusal_code", "") in FINAL}
        able = set(federation.holders) - lost
        if (
            len(federation.sites) - len(lost) < federation.min_contributors
            or len(able) < federation.threshold
        ):
            raise StepLostError(
                f"{len(lost)} sites can no longer answer {step}", hint="try it under another step id"
            )
        for error in replies.bad.values():
            raise error
        raise NotEnoughSitesError(
            f"{len(replies.good)} sites contributed to {step}, {len(holders)} of them key-holders; the plan "
            f"demands {federation.min_contributors} and {federation.threshold}",
            hint="bring the missing sites online and resume",
        )

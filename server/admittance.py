"""Who may connect: SuperLink knows the keys of admitted members, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from common.errors import SuperLinkError

from .members import Member
from .nodes import Nodes
from .superlink import SuperLink


class Admittance:
    """Keeps SuperLink's registered nodes equal to the admitted members' current keys.

    said: what to do with a sentence for people
    """

    def __init__(self, link: SuperLink, nodes: Nodes, said: Callable[[str], None]) -> None:
        self._link, self._nodes, self._said = link, nodes, said

    def settle(self, members: Iterable[Member]) -> None:
        """First out, then in; one that fails does not keep the others from it.

        Raises the first SuperLinkError when all was tried: then it is to be called again.
        """
        wanted = {m.node_key: m.name for m in members if m.state == "admitted" and m.node_key is not None}
        there, failures = self._link.registered(), []
        for key, number in self._nodes.all().items():
            try:
                if key not in wanted and number in there:
                    self._link.unregister(number)
                    self._said(f"node {number} is shut out")
                if key not in wanted or number not in there:  # or SuperLink's database is a new one
                    self._nodes.drop(key)
            except SuperLinkError as error:
                failures.append(error)
        for key, name in wanted.items():
            try:
                if self._nodes.number(key) is None:
                    self._nodes.keep(key, self._registered(name, key))
                    self._said(f"{name} may connect")
            except SuperLinkError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _registered(self, name: str, key: str) -> int:
        """Register a node; if a crash came between that and writing its number down, find it."""
        try:
            return self._link.register(name, key)
        except SuperLinkError as error:
            unknown = self._link.registered() - set(self._nodes.all().values())
            if len(unknown) != 1 or "already" not in error.message:
                raise
            return unknown.pop()

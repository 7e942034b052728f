"""Flower's Grid in one process: every message is serialised and read back as on a network.

Uses Flower internals for that, so they are all in this file and flwr is pinned.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.task_identity import TaskIdentity

RUN_ID = 1
_FIRST_NODE = 1000


class InProcessGrid(Grid):
    """``nodes`` ClientApps that answer at once, one after the other."""

    def __init__(self, app: ClientApp, nodes: int, run_config: dict[str, Any]) -> None:
        TaskIdentity.run_id, TaskIdentity.task_id = RUN_ID, 1
        TaskIdentity.node_id = SUPERLINK_NODE_ID
        self._app = app
        self._contexts = {
            _FIRST_NODE + index: Context(
                RUN_ID,
                _FIRST_NODE + index,
                {"partition-id": index, "num-partitions": nodes},
                RecordDict(),
                dict(run_config),
            )
            for index in range(nodes)
        }
        self._replies: dict[str, Message] = {}

    def set_run(self, run: Any) -> None:
        """Nothing to set: there is one run."""

    @property
    def run(self) -> Any:
        """There is no SuperLink that knows this run."""
        raise NotImplementedError

    def create_message(self, *args: Any, **kwargs: Any) -> Message:
        """Deprecated in Flower; build a Message instead."""
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        """All nodes are online."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Deliver at once; ids of the messages, "" for an unknown node."""
        return [self._push(message) for message in messages]

    def _push(self, message: Message) -> str:
        context = self._contexts.get(message.metadata.dst_node_id)
        if context is None:
            return ""
        identifier, received = _over_the_wire(message)
        try:
            TaskIdentity.node_id = message.metadata.dst_node_id
            reply = self._app(received, context)
        except Exception as error:  # as a SuperNode does: the error's type crosses, not its traceback
            code = int(ErrorCode.CLIENT_APP_RAISED_EXCEPTION)
            reply = Message(Error(code, type(error).__name__), reply_to=received)
        finally:
            TaskIdentity.node_id = SUPERLINK_NODE_ID
        self._replies[identifier] = _over_the_wire(reply)[1]
        return identifier

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The answers to these messages, once."""
        return [self._replies.pop(i) for i in message_ids if i in self._replies]

    def send_and_receive(
        self,
        messages: Iterable[Message],
        *,
        timeout: float | None = None,  # noqa: ARG002
    ) -> Iterable[Message]:
        """Push, then pull: nobody is late in one process."""
        return self.pull_messages(self.push_messages(messages))


def _over_the_wire(message: Message) -> tuple[str, Message]:
    """Serialise every nested object and read it back: (message id, what arrives)."""
    identifier = message.object_id
    parts = {key: part.deflate() for key, part in get_all_nested_objects(message).items()}
    received = inflate_object_from_contents(identifier, parts)
    assert isinstance(received, Message)
    received.metadata.__dict__["_message_id"] = identifier
    return identifier, received

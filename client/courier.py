"""The courier: the whole of what a coordinator sends to a site's SuperNode to be executed there.

It hands a frame to the vault, through the vault's Unix socket, and brings the answer back. It needs nothing
but Flower and Python, reads no file, and works as a user who could not. Whatever runs in its place can
deliver, delay or lose messages and nothing more (docs/adr/0014-vault-and-courier.md).
"""

from __future__ import annotations

import socket
import struct
import time

from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

GREETING = b"fedcgan vault 1\n"
STYPE = "fedcgan.frame.v1"
_LENGTH = struct.Struct(">Q")
_PATIENCE = 300.0  # seconds for which a vault may be away: it is restarted by whoever started it
_PAUSE = 0.5

app = ClientApp()


@app.query()
def carry(message: Message, context: Context) -> Message:
    """One message to the vault and its answer back; an empty one asks whose vault it is."""
    frame = message.content.array_records["frame"]["frame"].data
    answer = ask(str(context.node_config["vault"]), frame)
    record = ArrayRecord({"frame": Array("uint8", (len(answer),), STYPE, answer)})
    return Message(RecordDict({"frame": record}), reply_to=message)


def ask(path: str, frame: bytes, patience: float = _PATIENCE) -> bytes:
    """The vault's answer. Asked again if the vault goes away meanwhile: it says the same again.

    Raises ConnectionError after ``patience`` seconds without a vault.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as vault:
                vault.connect(path)
                vault.sendall(GREETING + _LENGTH.pack(len(frame)))
                vault.sendall(frame)
                (length,) = _LENGTH.unpack(_read(vault, _LENGTH.size))
                return _read(vault, length)
        except OSError:
            if time.monotonic() > deadline:
                raise ConnectionError("the vault does not answer") from None
            time.sleep(_PAUSE)


def _read(vault: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = vault.recv(min(1 << 20, length - len(parts)))
        if not part:
            raise ConnectionError("the vault went away")
        parts += part
    return bytes(parts)

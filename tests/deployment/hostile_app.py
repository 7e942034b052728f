"""What a malicious coordinator sends to a SuperNode in place of the courier. Takes all it can get.

It stands alone, as the real one does; the test puts it into the app bundle. What succeeded is written to
``drop/NAME-PID.json``, beside the site's folder. As root, for the negative control, it only reads.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import struct
import time
from hashlib import sha256
from pathlib import Path

import msgpack
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

GREETING = b"fedcgan vault 1\n"
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206

app = ClientApp()


@app.query()
def take(message: Message, context: Context) -> Message:
    frame = message.content.array_records["frame"]["frame"].data
    vault = Path(str(context.node_config["vault"]))
    site = vault.parent.with_name(vault.parent.name.removesuffix(".courier"))
    drop = site.parent / "drop"
    took = {name: tried(attack) for name, attack in attacks(site, vault, drop, frame).items()}
    report = drop / f"{site.name}-{os.getpid()}.json"
    report.with_suffix(".new").write_text(json.dumps({"user": os.geteuid(), "took": took}))
    report.with_suffix(".new").rename(report)
    answer = said(vault, frame)  # the coordinator gets its answer: nobody shall notice
    record = ArrayRecord({"frame": Array("uint8", (len(answer),), "fedcgan.frame.v1", answer)})
    return Message(RecordDict({"frame": record}), reply_to=message)


def tried(attack) -> str:
    """``took``, or why not."""
    try:
        return "took" if attack() else "nothing"
    except Exception as error:
        return type(error).__name__


def attacks(site, vault, drop, frame):
    secrets = [
        "identity.key",
        "policy.toml",
        "ledger.jsonl",
        "ledger.head",
        "site.log",
        "vault.log",
        "outbox.jsonl",
        "membership.json",
    ]
    found = {f"read {name}": lambda name=name: (site / name).read_bytes() for name in secrets}
    found |= {
        "read records": lambda: site.with_suffix(".parquet").read_bytes(),
        "list site": lambda: os.listdir(site),
        "list runs": lambda: os.listdir(site / "runs"),
        "list proposed": lambda: os.listdir(site / "proposed"),
        "through a link": lambda: linked(vault.parent / "flower" / "link", site / "identity.key"),
        "by our own output": lambda: os.listdir("/proc/self/fd/1/.."),
    }
    if os.geteuid() == 0:
        return found
    process = vault_of(site)
    proc = Path("/proc") / str(process)
    found |= {
        "find the vault": lambda: process is None,  # the others would be idle
        "read memory": lambda: memory(proc),
        "read environment": (proc / "environ").read_bytes,
        "read maps": (proc / "maps").read_bytes,
        "list its files": lambda: os.listdir(proc / "fd"),
        "its working folder": lambda: os.listdir(proc / "cwd"),
        "its root": (proc / "root" / str(site / "policy.toml").lstrip("/")).read_bytes,
        "attach": lambda: traced(PTRACE_ATTACH, process),
        "seize": lambda: traced(PTRACE_SEIZE, process),
        "read its memory by call": lambda: copied(process),
        "ask it to stop": lambda: killed(process, 0),
        "stop it": lambda: killed(process, signal.SIGSTOP),
        "kill it": lambda: killed(process, signal.SIGKILL),
        "become root": lambda: os.setuid(0) is None,
        "write a ledger": lambda: (site / "ledger.jsonl").write_bytes(b""),
        "write an approval": lambda: (site / "approved" / ("0" * 64 + ".json")).write_bytes(b"{}"),
        "write a file": lambda: (site / "stranger").write_bytes(b"x"),
        "pause it": lambda: (site / "paused").write_bytes(b"{}"),
        "replace site": lambda: site.rename(site.with_name("gone")) is not None,
        "open its modes": lambda: site.chmod(0o777) is None,
        "remove the socket": lambda: vault.unlink() is None,
        "replace the socket": lambda: replaced(vault),
        "move the socket": lambda: vault.rename(vault.with_name("other")) is not None,
        "write beside the socket": lambda: vault.with_name("x").write_bytes(b"x"),
        "replace flower": lambda: (vault.parent / "flower").rename(vault.parent / "old") is not None,
        "open the socket to all": lambda: vault.chmod(0o777) is None,
        "say garbage": lambda: accepted(vault, os.urandom(1000)),
        "say nothing of ours": lambda: accepted(vault, msgpack.packb({"kind": "contribute"})),
        "replay altered": lambda: accepted(vault, frame[:-1] + bytes([frame[-1] ^ 1])),
        "ask in clear": lambda: said(vault, b"", greeting=b"GET / HTTP/1.0\r\n\r\n"),
        "a huge length": lambda: said(vault, b"x", length=1 << 62),
    }
    given = json.loads((drop / f"{site.name}.frames").read_text())
    plan, contribute = given["plan"], bytes.fromhex(given["body"])
    ours = Ed25519PrivateKey.generate().sign
    frames = {f"signed {name}": bytes.fromhex(raw) for name, raw in given["signed"].items()} | {
        "unsigned": framed("contribute", plan, "count", contribute, lambda _: b"\0" * 64),
        "self-signed": framed("contribute", plan, "count", contribute, ours),
        "self-signed proposal": framed("propose", plan, "propose", contribute, ours),
    }
    return found | {name: lambda raw=raw: accepted(vault, raw) for name, raw in frames.items()}


def framed(kind: str, plan: str, step: str, body: bytes, sign) -> bytes:
    head = msgpack.packb((1, kind, plan, step, "coordinator", sha256(body).digest()))
    return msgpack.packb((head, sign(b"fedcgan/v1/frame\x00" + head), body))


def accepted(vault: Path, frame: bytes) -> bool:
    """Whether the vault did anything but refuse."""
    answer = said(vault, frame)
    kind = msgpack.unpackb(msgpack.unpackb(answer)[0])[1]
    return kind != "refused"


def said(vault: Path, frame: bytes, greeting: bytes = GREETING, length: int | None = None) -> bytes:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(60)
        caller.connect(str(vault))
        caller.sendall(greeting + struct.pack(">Q", len(frame) if length is None else length) + frame)
        (size,) = struct.unpack(">Q", exactly(caller, 8))
        return exactly(caller, size)


def exactly(caller: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        if not (part := caller.recv(count - len(found))):
            raise EOFError
        found += part
    return found


def vault_of(site: Path) -> int | None:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"vault" in words and words[-2:-1] == [str(site).encode()]:
            return int(path.parent.name)
    return None


def memory(proc: Path) -> bytes:
    with (proc / "mem").open("rb") as file:
        return b"opened" + file.read(0)


def traced(request: int, process: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.ptrace(request, process, None, None) == 0


def copied(process: int) -> bool:
    class Piece(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    here = ctypes.create_string_buffer(16)
    ours = Piece(ctypes.cast(here, ctypes.c_void_p), 16)
    theirs = Piece(0x400000, 16)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.process_vm_readv(process, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0) >= 0:
        return True
    return ctypes.get_errno() != 1  # EPERM; any other error would mean that we may look


def killed(process: int, number: int) -> bool:
    os.kill(process, number)
    return True


def replaced(vault: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as own:
        path = vault.with_name(f"own-{time.monotonic_ns()}")
        own.bind(str(path))
        path.replace(vault)
    return True


def linked(link: Path, secret: Path) -> bytes:
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    return link.read_bytes()

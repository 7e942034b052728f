"""A slow link between sites and coordinator, on one machine: a relay that delivers late, and not too fast.

What comes in is kept for half the round trip, each way, and leaves no faster than the rate. Every connection
has a link of its own, as sites have; what TCP does on a long path (slow start, loss) is not in it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

_PIECE = 1 << 14
_WINDOW = 1 << 22  # bytes on their way in one direction of a connection: 4 MiB, as Linux allows by default


@dataclass(slots=True)
class Link:
    """One direction. latency: seconds; rate: bytes a second, None for no limit"""

    latency: float
    rate: float | None
    free: float = 0.0
    """When the last byte that came in will have left."""

    def due(self, now: float, size: int) -> float:
        """When so many bytes that come in now are delivered."""
        self.free = max(self.free, now) + (size / self.rate if self.rate else 0.0)
        return self.free + self.latency


@dataclass(slots=True)
class _Pipe:
    """Bytes on their way."""

    link: Link
    clock: Callable[[], float]
    pieces: deque[tuple[float, bytes]] = field(default_factory=deque)
    held: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    async def fill(self, source: asyncio.StreamReader) -> None:
        try:
            while piece := await source.read(_PIECE):
                self.pieces.append((self.link.due(self.clock(), len(piece)), piece))
                self.held += len(piece)
                self.changed.set()
                while self.held > _WINDOW:
                    await asyncio.sleep(0.001)
        except OSError:
            pass
        self.ended = True
        self.changed.set()

    async def drain(self, sink: asyncio.StreamWriter) -> None:
        try:
            while self.pieces or not self.ended:
                if not self.pieces:
                    self.changed.clear()
                    await self.changed.wait()
                    continue
                due, piece = self.pieces[0]
                await asyncio.sleep(max(0.0, due - self.clock()))
                self.pieces.popleft()
                self.held -= len(piece)
                sink.write(piece)
                await sink.drain()
            sink.write_eof()  # the other direction may go on
        except OSError:
            sink.close()


class SlowNetwork:
    """A port on 127.0.0.1 that leads to another one over a slow link, from ``start`` to ``stop``.

    round_trip: seconds; megabits: a second, each way, None for no limit
    """

    def __init__(self, to: int, round_trip: float, megabits: float | None) -> None:
        self.port = 0
        self._to, self._latency = to, round_trip / 2
        self._rate = None if megabits is None else megabits * 125_000
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        """Listen; then ``port`` says where."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Cut all connections. Does nothing before ``start``."""
        if self._ready.is_set():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._relay, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0))  # transports close in the next turn
        self._loop.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.close()
            return
        ways = [
            _Pipe(Link(self._latency, self._rate), self._loop.time),
            _Pipe(Link(self._latency, self._rate), self._loop.time),
        ]
        try:
            await asyncio.gather(
                *(ways[0].fill(reader), ways[0].drain(far_writer)),
                *(ways[1].fill(far_reader), ways[1].drain(writer)),
            )
        finally:
            writer.close()
            far_writer.close()

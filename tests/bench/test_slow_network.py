"""The relay that makes a link slow: what comes out is what went in, and when is arithmetic."""

import socket
import threading

import pytest

from common.bench.slow_network import Link, SlowNetwork


def test_a_link_delivers_after_its_latency_and_no_faster_than_its_rate():
    link = Link(latency=0.05, rate=1000.0)
    assert link.due(10.0, 500) == pytest.approx(10.55)
    assert link.due(10.0, 500) == pytest.approx(11.05)  # behind the first
    assert link.due(20.0, 100) == pytest.approx(20.15)  # the link was idle meanwhile
    assert Link(latency=0.05, rate=None).due(10.0, 10**9) == pytest.approx(10.05)


@pytest.mark.parametrize("megabits", [None, 800.0])
def test_bytes_pass_whole_and_in_order_both_ways(megabits):
    raw = bytes(range(256)) * 4000
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echo():
            peer, _ = server.accept()
            with peer:
                while piece := peer.recv(1 << 16):
                    peer.sendall(piece)

        echoing = threading.Thread(target=echo)
        echoing.start()
        network = SlowNetwork(server.getsockname()[1], 0.002, megabits)
        network.start()
        try:
            with socket.create_connection(("127.0.0.1", network.port)) as near:
                sending = threading.Thread(target=lambda: (near.sendall(raw), near.shutdown(socket.SHUT_WR)))
                sending.start()
                parts = []
                while piece := near.recv(1 << 16):
                    parts.append(piece)
                sending.join()
            echoing.join()
        finally:
            network.stop()
    assert b"".join(parts) == raw


def test_nobody_behind_it_is_a_connection_that_ends():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    network = SlowNetwork(port, 0.0, None)
    network.start()
    try:
        with socket.create_connection(("127.0.0.1", network.port)) as near:
            assert near.recv(1) == b""
    finally:
        network.stop()


def test_it_stops_with_a_connection_open():
    with socket.create_server(("127.0.0.1", 0)) as server:
        network = SlowNetwork(server.getsockname()[1], 0.0, None)
        network.start()
        with socket.create_connection(("127.0.0.1", network.port)) as near:
            peer, _ = server.accept()
            near.sendall(b"x")
            assert peer.recv(1) == b"x"
            network.stop()
            assert near.recv(1) == b""
            peer.close()

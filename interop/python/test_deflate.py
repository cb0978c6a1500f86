"""Compressed WebSocket messages, with aiohttp's implementation, through a proxy that counts bytes."""

import os
import socket
import threading

import pytest
import socketio

from conftest import URL, AsyncPeer, until

pytestmark = pytest.mark.skipif(not os.environ.get("INTEROP_DEFLATE"), reason="the server does not compress")
TAKEOVER = os.environ.get("INTEROP_DEFLATE") == "takeover"


class Proxy:
    """Passes one connection on and counts what goes each way."""

    def __init__(self):
        host, port = URL.removeprefix("http://").split(":")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.backend = (host, int(port))
        self.up = self.down = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.backend)
            threading.Thread(target=self.copy, args=(client, server, "up"), daemon=True).start()
            threading.Thread(target=self.copy, args=(server, client, "down"), daemon=True).start()

    def copy(self, source, target, way):
        try:
            while data := source.recv(65536):
                setattr(self, way, getattr(self, way) + len(data))
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.fixture
def proxy():
    proxy = Proxy()
    yield proxy
    proxy.listener.close()


@pytest.fixture
def connect(server, proxy):
    clients = []

    def connect(compress):
        client = AsyncPeer.run(socketio.AsyncClient, websocket_extra_options={"compress": compress})
        clients.append(client)
        AsyncPeer.run(client.connect, proxy.url, transports=["websocket"])
        return client

    yield connect
    for client in clients:
        AsyncPeer.run(client.disconnect)


def text(size, seed=0):
    return f"{seed} " + "what everybody says, again and again. " * (size // 38)


@pytest.mark.parametrize("bits", [9, 11, 15])
def test_messages_are_small_on_the_wire(connect, proxy, bits):
    client = connect(bits)
    assert client.eio.ws.compress
    before = (proxy.up, proxy.down)
    messages = [text(i * 300, i) for i in range(50)] + [text(20_000).encode()]
    for message in messages:
        assert AsyncPeer.run(client.call, "echo", (message,)) == message
    up, down = proxy.up - before[0], proxy.down - before[1]
    assert 100 < up < 60_000 and 100 < down < 60_000, (up, down, sum(map(len, messages)))


def test_without_compression_they_are_not(connect, proxy):
    client = connect(0)
    assert not client.eio.ws.compress
    before = (proxy.up, proxy.down)
    message = text(20_000)
    assert AsyncPeer.run(client.call, "echo", (message,)) == message
    until(lambda: proxy.up - before[0] > 19_000 and proxy.down - before[1] > 19_000, "plain messages")


def test_messages_of_all_sizes_stay_in_order(connect):
    client = connect(15)
    got = []
    client.on("echo", got.append)
    messages = [text((i * 37) % 5000, i) if i % 2 else os.urandom(i * 7) for i in range(200)]
    for message in messages:
        AsyncPeer.run(client.emit, "echo", message)
    until(lambda: len(got) == len(messages), "all echoes")
    assert got == messages

"""python-socketio 4.6: a client of Engine.IO 3 that is not JavaScript.

WIREBIRD_URL  the server, with older clients allowed, as http://127.0.0.1:PORT
"""

import os
import threading

import pytest
import socketio

URL = os.environ.get("WIREBIRD_URL", "").rstrip("/")
PATIENCE = 20


class Peer:
    """One client; `inbox` collects events."""

    def __init__(self, transports, query=""):
        self.client = socketio.Client(reconnection=False)
        self.inbox = []
        self.more = threading.Condition()
        for event in ["welcome", "echo", "tick", "question", "connect_error", "disconnect"]:
            self.client.on(event, lambda *args, event=event: self.add(event, args))
        self.client.connect(URL + query, transports=transports, namespaces=["/", "/other"])

    def add(self, event, args):
        with self.more:
            self.inbox.append((event, args))
            self.more.notify_all()
        return ("was", *args) if event == "question" else None

    def received(self, event, count=1):
        """The arguments of the first `count` events of a name, waited for."""
        with self.more:
            def found():
                return [args for name, args in self.inbox if name == event]
            assert self.more.wait_for(lambda: len(found()) >= count, PATIENCE), f"{count} {event} in {self.inbox}"
            return found()


@pytest.fixture(params=[["polling"], ["websocket"], ["polling", "websocket"]], ids=["polling", "websocket", "upgrade"])
def peer(request):
    peer = Peer(request.param, "?token=t%201")
    yield peer
    peer.client.disconnect()


def test_connects_and_says_who_it_is_in_the_query(peer):
    """F-PRO-02: credentials are in the query, and the public id is none of the client's secrets."""
    [(welcome,)] = peer.received("welcome")
    assert welcome["auth"] == {"token": "t 1"}
    assert welcome["sid"] != peer.client.eio.sid


def test_events_and_acknowledgements(peer):
    """F-PRO-02: text beyond ASCII, binary and nesting, in both namespaces and both ways."""
    sent = ("é€😀", b"\x00\x01\xff", {"a": [1, None, b"xy"]})
    assert peer.client.call("echo", sent) == sent
    assert peer.client.call("echo", "other", namespace="/other") == "other"
    peer.client.emit("echo", {"data": b"123"})
    assert peer.received("echo") == [({"data": b"123"},)]
    assert peer.client.call("ask", [1, b"2"]) == ("answer", "was")


def test_many_events_in_order(peer):
    """F-PRO-02, F-PRO-11: these clients drop connections whose replies have more than 16 packets."""
    assert peer.client.call("count", 500) == 500
    assert peer.received("tick", 500) == [(i,) for i in range(500)]


def test_an_idle_client_stays(peer):
    """F-PRO-02, F-PRO-07: the client pings every second, and would be closed after three without."""
    peer.client.sleep(4)
    assert peer.client.call("seq", 5) == 5
    assert not [event for event, _ in peer.inbox if event == "disconnect"]


def test_leaves(peer):
    """F-DIS-01: the server ends a connection."""
    peer.client.emit("kick_transport")
    peer.received("disconnect")


def test_a_refusal():
    """F-PRO-02: a namespace that does not exist is refused, and the others stay."""
    client = socketio.Client(reconnection=False)
    client.connect(URL, namespaces=["/", "/other"])
    refused = threading.Event()
    client.on("connect_error", lambda *args: refused.set(), namespace="/nope")
    client._send_packet(socketio.packet.Packet(socketio.packet.CONNECT, namespace="/nope"))
    assert refused.wait(PATIENCE)
    assert client.call("seq", 1) == 1
    client.disconnect()

"""The Python clients under test, behind one face.

`socketio.Client` and `socketio.AsyncClient` (on an event loop in a thread of its own) do the same
things here, so every test runs with both of them, in each transport mode:

    WIREBIRD_URL      the server, as http://127.0.0.1:PORT
    WIREBIRD_PARSER=msgpack  the clients speak MessagePack
    WIREBIRD_MODES    comma list of polling, websocket, upgrade (default: all)
    WIREBIRD_REFERENCE=node  the server is Node's: leave out what it is known to do wrong
"""

import asyncio
import inspect
import os
import threading
import time

import engineio
import pytest
import socketio

URL = os.environ.get("WIREBIRD_URL", "").rstrip("/")
TRANSPORTS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": ["polling", "websocket"]}
MODES = [mode for mode in os.environ.get("WIREBIRD_MODES", "").split(",") if mode] or list(TRANSPORTS)
PATIENCE = 20
SERIALIZER = os.environ.get("WIREBIRD_PARSER") or "default"

# A Python client takes at most 16 packets out of one polling response and drops the connection above
# that. One test keeps this limit, the others are not about it.
PACKETS_PER_PAYLOAD = engineio.payload.Payload.max_decode_packets


def until(condition, what):
    """Waits until `condition()` is truthy and returns its value."""
    end = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"not within {PATIENCE} s: {what() if callable(what) else what}")
        time.sleep(0.01)


class Peer:
    """One client. `inbox[namespace]` collects `(event, args)`, lifecycle events included."""

    def __init__(self, transports, options):
        self.transports = transports
        self.transport = transports[-1]
        self.inbox = {}
        self.pings = 0
        options = {"reconnection": False, "request_timeout": PATIENCE, "serializer": SERIALIZER, **options}
        self.client = self.make(options)
        self.count_pings()

    # -- what differs between the two clients

    def make(self, options):
        raise NotImplementedError

    def do(self, method, *args, **kwargs):
        raise NotImplementedError

    # -- what does not

    def connect(self, namespaces=("/",), query="", **options):
        for namespace in namespaces:
            self.listen(namespace)
        options.setdefault("wait_timeout", PATIENCE)
        self.do("connect", URL + query, namespaces=list(namespaces), transports=self.transports, **options)
        return self

    def listen(self, namespace):
        inbox = self.inbox.setdefault(namespace, [])
        self.client.on("*", lambda event, *args: inbox.append((event, args)), namespace=namespace)
        for event in ("connect", "disconnect", "connect_error"):
            self.client.on(event, lambda *args, event=event: inbox.append((event, args)), namespace=namespace)

    def emit(self, event, *args, namespace="/", callback=None):
        self.do("emit", event, args, namespace=namespace, callback=callback)

    def call(self, event, *args, namespace="/", timeout=PATIENCE):
        return self.do("call", event, args, namespace=namespace, timeout=timeout)

    def sid(self, namespace="/"):
        return self.client.get_sid(namespace)

    def received(self, event, namespace="/"):
        return [args for name, args in list(self.inbox[namespace]) if name == event]

    def wait_for(self, event, count=1, namespace="/"):
        until(lambda: len(self.received(event, namespace)) >= count,
              lambda: f"{count} x {event}; what came: {len(self.received(event, namespace))} of them, "
                      f"and at the end {self.inbox[namespace][-3:]}")
        return self.received(event, namespace)

    def server_reason(self, sid):
        """The reason with which the server's disconnect handler ran for `sid`; exactly once."""
        log = until(lambda: [entry for entry in self.call("disconnects") if entry[0] == sid], f"disconnect of {sid}")
        assert len(log) == 1, log
        return log[0][1]


class SyncPeer(Peer):
    # The synchronous client handles each incoming message in a thread of its own.
    ordered = False

    def make(self, options):
        return socketio.Client(**options)

    def do(self, method, *args, **kwargs):
        return getattr(self.client, method)(*args, **kwargs)

    def count_pings(self):
        receive = self.client.eio._receive_packet

        def counting(packet):
            self.pings += packet.packet_type == engineio.packet.PING
            return receive(packet)

        self.client.eio._receive_packet = counting

    def answer_late(self, event, seconds):
        def handler(*_):
            time.sleep(seconds)
            return "late"

        self.client.on(event, handler)


class AsyncPeer(Peer):
    ordered = True
    loop = None

    @classmethod
    def run(cls, function, *args, **kwargs):
        if cls.loop is None:
            cls.loop = asyncio.new_event_loop()
            threading.Thread(target=cls.loop.run_forever, daemon=True).start()

        async def go():
            result = function(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

        return asyncio.run_coroutine_threadsafe(go(), cls.loop).result(60)

    def make(self, options):
        return self.run(socketio.AsyncClient, **options)

    def do(self, method, *args, **kwargs):
        return self.run(getattr(self.client, method), *args, **kwargs)

    def count_pings(self):
        receive = self.client.eio._receive_packet

        async def counting(packet):
            self.pings += packet.packet_type == engineio.packet.PING
            return await receive(packet)

        self.client.eio._receive_packet = counting

    def answer_late(self, event, seconds):
        async def handler(*_):
            await asyncio.sleep(seconds)
            return "late"

        self.client.on(event, handler)


class Lab:
    """Opens clients of one kind in one mode, and closes them at the end of the test."""

    def __init__(self, kind, mode):
        self.kind = kind
        self.mode = mode
        self.peers = []

    def peer(self, **options):
        peer = self.kind(TRANSPORTS[self.mode], options)
        self.peers.append(peer)
        return peer

    def connect(self, namespaces=("/",), query="", options=None, **connect):
        return self.peer(**(options or {})).connect(namespaces, query, **connect)


    def close(self):
        for peer in self.peers:
            try:
                peer.client.reconnection = False
                peer.do("disconnect")
            except Exception:  # what the test left behind is not what is tested
                pass


VARIANTS = {f"{name}-{mode}": (kind, mode)
            for name, kind in (("sync", SyncPeer), ("async", AsyncPeer)) for mode in MODES}


@pytest.fixture
def server(monkeypatch):
    assert URL, "set WIREBIRD_URL to the address of the interop server"
    monkeypatch.setattr(engineio.payload.Payload, "max_decode_packets", 100_000)


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def lab(server, request):
    """One kind of client in one mode; the test runs with each."""
    lab = Lab(*request.param)
    yield lab
    lab.close()


@pytest.fixture
def labs(server):
    """All kinds and modes, for a test that waits long."""
    labs = [Lab(*variant) for variant in VARIANTS.values()]
    yield labs
    for lab in labs:
        lab.close()


@pytest.fixture
def not_on_node():
    if os.environ.get("WIREBIRD_REFERENCE") == "node":
        pytest.skip("known not to work with Node's server")

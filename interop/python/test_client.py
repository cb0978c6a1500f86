"""The essentials, with python-socketio's own clients."""

import random
import uuid

import engineio
import pytest
import socketio

from conftest import PACKETS_PER_PAYLOAD, until


def test_connect_then_welcome(lab):
    peer = lab.connect()
    ((welcome,),) = peer.wait_for("welcome")
    # These clients send an empty object when there is no auth.
    assert welcome["auth"] in (None, {})
    assert {**welcome, "auth": None} == {"sid": peer.sid(), "query_k": None, "auth": None}
    if peer.ordered:
        assert [event for event, _ in peer.inbox["/"]] == ["connect", "welcome"]


def test_auth_and_query(lab):
    auth = {"token": "t 1", "nested": {"list": [1, None, "é😀"]}}
    peer = lab.connect(query="/?k=v%20w%26%C3%BC", auth=auth)
    ((welcome,),) = peer.wait_for("welcome")
    assert welcome == {"sid": peer.sid(), "query_k": "v w&ü", "auth": auth}


def test_headers_of_the_handshake(lab):
    peer = lab.connect(headers={"User-Agent": "interop/1.0 (test)", "Cookie": "a=b; c=d"})
    handshake = peer.call("handshake")
    assert handshake["user_agent"] == "interop/1.0 (test)"
    assert handshake["cookie"] == "a=b; c=d"
    assert "127.0.0.1" in handshake["peer"] or "::1" in handshake["peer"]


def test_transport_on_both_sides(lab):
    peer = lab.connect()
    transport = peer.client.transport
    assert (transport() if callable(transport) else transport) == peer.transport
    assert peer.call("transport") == peer.transport


VALUES = {
    "simple": [None, True, False, "", [], {}, [[]], {"a": []}],
    "integers": [0, 1, -1, 2**31, -(2**31), 2**32, 2**53 - 1, -(2**53 - 1)],
    "floats": [0.1, -0.5, 0.1 + 0.2, 1e-7, 5e-324, 1.7976931348623157e308, 1 / 3],
    "escapes": ['"', "\\", "/", "\b\f\n\r\t", "\x00\x01\x1e\x1f\x7f", "2", '42["x"]', "b4AAA"],
    "unicode": ["é", "日本語", "العربية", "e\u0301", "\u2028\u2029\ufeff", "😀", "👩‍👩‍👧‍👦", "𝒳", "\U0010ffff", {"ключ": "😀", "": 0}],
    "large": ["x" * 100_000, "é😀" * 20_000, list(range(10_000))],
    "placeholder": [{"_placeholder": True, "num": 9}],
}


@pytest.mark.parametrize("name", VALUES)
def test_echo(lab, name):
    values = VALUES[name]
    peer = lab.connect()
    for value in values:
        assert peer.call("echo", value) == value
    if len(values) > 1:
        assert peer.call("echo", *values) == tuple(values)
    peer.emit("echo", *values)
    assert peer.wait_for("echo") == [tuple(values)]


def test_echo_without_arguments(lab):
    peer = lab.connect()
    assert peer.call("echo") is None
    peer.emit("echo")
    assert peer.wait_for("echo") == [()]


def test_echo_nested(lab):
    deep = "leaf"
    for i in range(40):
        deep = [deep] if i % 2 else {"k": deep}
    value = {"a": [1, "b", {"c": None, "d": [True, 0.5, {"e": deep}]}], "g": {}}
    assert lab.connect().call("echo", value) == value


def test_echo_keeps_every_digit(lab):
    rng = random.Random(7)
    numbers = [rng.uniform(-1, 1) * 10.0 ** rng.randint(-300, 300) for _ in range(500)]
    # A whole number may come back without its point.
    assert [float(number) for number in lab.connect().call("echo", numbers)] == numbers


@pytest.mark.parametrize("size", [0, 1, 3, 100_000, 900_000])
def test_binary(lab, size):
    if lab.mode == "polling" and size > 700_000:
        size = 700_000  # a polling body carries base64, and the limit is 1e6 bytes
    data = random.Random(size).randbytes(size)
    peer = lab.connect()
    assert peer.call("bin", data) == size
    assert peer.wait_for("bin") == [(data,)]


def test_binary_nested(lab):
    value = {"name": "é😀", "data": b"\x00\xff", "list": [1, b"", {"deeper": [b"abc", None]}]}
    peer = lab.connect()
    assert peer.call("echo", value, "between", [b"\x01"]) == (value, "between", [b"\x01"])


def test_ten_attachments(lab):
    value = [bytes([i]) * (1 + 50 * i) for i in range(10)]
    peer = lab.connect()
    assert peer.call("echo", *value) == tuple(value)
    assert peer.call("echo", {"all": value}) == {"all": value}


def test_questions_of_the_server(lab):
    peer = lab.connect()
    peer.client.on("question", lambda value: {"you": value})
    for value in (0, "é😀", [1, [2]], {"a": None}, b"bytes"):
        assert peer.call("ask", value) == ("answer", {"you": value})


def test_question_answered_too_late(lab):
    peer = lab.connect()
    peer.answer_late("question_ignored", 0.4)
    assert peer.call("ask_timeout") == "timeout"
    assert peer.call("echo", "unharmed") == "unharmed"


def test_acknowledgement_timeout(lab):
    peer = lab.connect()
    with pytest.raises(socketio.exceptions.TimeoutError):
        peer.call("fail", timeout=0.1)
    with pytest.raises(socketio.exceptions.TimeoutError):
        peer.call("slow", 300, timeout=0.05)
    assert peer.call("slow", 1) == 1


def test_failing_handlers_keep_the_connection(lab):
    peer = lab.connect()
    sid = peer.sid()
    answered = []
    for event in ("fail", "panic", "without a handler"):
        peer.emit(event, callback=answered.append)
        peer.emit(event)
    assert peer.call("echo", "after") == "after"
    assert answered == []
    assert peer.sid() == sid


def test_fallback(lab):
    peer = lab.connect()
    for event, *args in (("any-thing",), ("any-é 😀", 1, {"a": None}), ("any-bin", b"x")):
        answer = peer.call(event, *args)
        assert list(answer) == ["any", event, *args]


def test_one_thousand_in_flight(lab):
    peer = lab.connect()
    answers = []
    for i in range(1000):
        peer.emit("seq", i, callback=lambda answer, i=i: answers.append((i, answer)))
    until(lambda: len(answers) >= 1000, "1,000 acknowledgements")
    if not peer.ordered:
        answers.sort()
    assert answers == [(i, i) for i in range(1000)]


def test_thousands_of_events(lab):
    peer = lab.connect()
    # A client with a thread for each event may take so long for 5,000 that it misses the pings behind them.
    count = 5000 if peer.ordered else 2000
    answers = []
    peer.emit("count", count, callback=answers.append)
    ticks = [i for (i,) in peer.wait_for("tick", count)]
    until(lambda: answers == [count], "the acknowledgement")
    if not peer.ordered:
        ticks.sort()
    assert ticks == list(range(count))


def test_a_burst_with_the_clients_own_packet_limit(lab, monkeypatch, not_on_node):
    monkeypatch.setattr(engineio.payload.Payload, "max_decode_packets", PACKETS_PER_PAYLOAD)
    peer = lab.connect()
    sid = peer.sid()
    assert peer.call("count", 200) == 200
    peer.wait_for("tick", 200)
    assert peer.sid() == sid
    assert peer.received("disconnect") == []


def test_rooms(lab):
    a, b, c = lab.connect(), lab.connect(), lab.connect()
    room = f"room é😀 {uuid.uuid4()}"
    assert a.call("join", room) is True
    assert b.call("join", room) is True
    assert set(a.call("rooms")) == {a.sid(), room}
    assert a.call("room", room, "all") == "sent"
    assert a.wait_for("room_msg") == b.wait_for("room_msg") == [(room, "all")]
    a.call("to_others", room, b"others")
    assert b.wait_for("room_msg", 2)[1:] == [(room, b"others")]
    assert b.call("leave", room) is True
    c.call("room", room, "a only")
    assert a.wait_for("room_msg", 2)[1:] == [(room, "a only")]
    for peer in (b, c):
        peer.call("seq", 0)
    assert len(b.received("room_msg")) == 2
    assert c.received("room_msg") == []


def test_broadcast(lab):
    a, b, c = lab.connect(), lab.connect(), lab.connect()
    text = str(uuid.uuid4())
    a.emit("broadcast", text)
    for peer in (b, c):
        until(lambda: (text,) in peer.received("bcast"), "the broadcast")
    a.call("seq", 0)
    assert (text,) not in a.received("bcast")


def test_namespaces_on_one_connection(lab):
    peer = lab.connect(namespaces=("/", "/other", "/auth"), auth={"token": "secret", "name": "Ada"})
    assert len({peer.sid("/"), peer.sid("/other"), peer.sid("/auth"), peer.client.eio.sid}) == 4
    assert peer.wait_for("hello", namespace="/auth") == [("Ada",)]
    assert peer.call("echo", 1, "r") == (1, "r")
    assert peer.call("echo", 2, b"o", namespace="/other") == (2, b"o")


# Older clients do not notice a refusal of their only namespace: they wait as long as they are told to.
def test_refusal(lab):
    peer = lab.peer()
    with pytest.raises(socketio.exceptions.ConnectionError):
        peer.connect(namespaces=("/auth",), auth={"token": "wrong"}, wait_timeout=3)
    assert peer.wait_for("connect_error", namespace="/auth") == [({"message": "unauthorized!", "data": {"code": 401}},)]


def test_unknown_namespace(lab):
    peer = lab.peer()
    with pytest.raises(socketio.exceptions.ConnectionError):
        peer.connect(namespaces=("/nope",), wait_timeout=3)
    ((error,),) = peer.wait_for("connect_error", namespace="/nope")
    assert error["message"] == "Invalid namespace"


def test_the_server_disconnects(lab):
    peer, observer = lab.connect(), lab.connect()
    sid = peer.sid()
    peer.emit("kick_me")
    assert peer.wait_for("disconnect") == [("server disconnect",)]
    assert observer.server_reason(sid) == "server namespace disconnect"


def test_the_client_disconnects(lab):
    peer, observer = lab.connect(), lab.connect()
    sid = peer.sid()
    peer.do("disconnect")
    assert peer.wait_for("disconnect") == [("client disconnect",)]
    # Depends on what is read first: the packet, the end of the connection, or that of an aborted poll.
    assert observer.server_reason(sid) in ("client namespace disconnect", "transport close", "transport error")


def test_reconnection_after_the_server_closed_the_transport(lab):
    options = {"reconnection": True, "reconnection_delay": 0.05, "randomization_factor": 0}
    peer, observer = lab.connect(options=options), lab.connect()
    sid = peer.sid()
    peer.emit("kick_transport")
    if lab.mode == "polling":
        # A close packet is final for these clients, and polling cannot close without one.
        peer.wait_for("disconnect")
    else:
        peer.wait_for("connect", 2)
        assert peer.sid() != sid
        assert peer.call("echo", "back") == "back"
    assert observer.server_reason(sid) == "forced close"


def test_idle_over_several_heartbeats(labs):
    peers = [lab.connect() for lab in labs]  # all clients and modes at once
    sids = [peer.sid() for peer in peers]
    for peer, sid in zip(peers, sids):
        until(lambda: peer.pings >= 4, "four pings")
        assert peer.call("echo", "alive") == "alive"
        assert peer.sid() == sid
        assert peer.received("disconnect") == []


def test_over_the_limit(lab):
    peer, observer = lab.connect(), lab.connect()
    peer.emit("bin", bytes(1_100_000))
    peer.wait_for("disconnect")
    assert observer.call("echo", "unharmed") == "unharmed"

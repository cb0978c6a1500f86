"""What MessagePack has and JSON has not, with the clients' `serializer='msgpack'`."""

import datetime
import os
import struct

import msgpack
import pytest

from conftest import until

pytestmark = pytest.mark.skipif(os.environ.get("WIREBIRD_PARSER") != "msgpack", reason="the server speaks JSON")


def test_integers_of_64_bits(lab):
    numbers = [2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**64 - 1]
    assert lab.connect().call("echo", *numbers) == tuple(numbers)


def test_what_json_has_no_word_for(lab):
    assert lab.connect().call("echo", float("nan"), float("inf"), -float("inf")) == (None, None, None)


def test_keys_that_are_numbers(lab):
    assert lab.connect().call("echo", {1: "a", -2: "b"}) == {"1": "a", "-2": "b"}


def test_extensions_come_back(lab):
    sent = msgpack.ExtType(5, b"abc")
    assert lab.connect().call("echo", sent, [sent]) == (sent, [sent])


def test_timestamps_are_dates(lab):
    peer = lab.connect()
    moment = datetime.datetime(2024, 5, 6, 7, 8, 9, 10_000, datetime.timezone.utc)
    millis = round(moment.timestamp() * 1000)
    stamp = msgpack.Timestamp.from_datetime(moment)
    assert peer.call("text", stamp) == "2024-05-06T07:08:09.010Z"
    # As JavaScript writes dates.
    assert peer.call("echo", stamp) == msgpack.ExtType(0, struct.pack(">q", millis))
    assert peer.call("a day later", stamp) == msgpack.ExtType(0, struct.pack(">q", millis + 86_400_000))


def test_binary_of_the_server(lab):
    peer = lab.connect()
    peer.emit("echo", b"", {"list": [b"a", bytearray(b"b")]})
    assert peer.wait_for("echo") == [(b"", {"list": [b"a", b"b"]})]


def test_more_binary_than_one_packet_may_have(lab):
    peer, observer = lab.connect(), lab.connect()
    sid = peer.sid()
    peer.emit("echo", *[b"x"] * 11)
    until(lambda: peer.received("disconnect"), "the end")
    assert observer.server_reason(sid) == "parse error"

"""Runs cases of the Autobahn test suite against an Engine.IO server that echoes messages.

    fuzz.py SUITE URL PATTERN...      such as 1.* 7.9.* 12.1.1

The cases and what they make of the outcome are the suite's, the WebSocket client is autobahn. Only the layer above is
ours: the server speaks Engine.IO, so a text message of a case gets the `4` of an Engine.IO message in front of its
first fragment, what comes back loses it, and the server's first packet is passed over. Everything else, invalid frames
too, goes to the server as the case sends it. With --raw nothing is added: for servers that echo all messages.
"""
import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString
from twisted.python import log

import python2
from python2 import latin, raw

#: Outcomes that are no failure.
FINE = {"OK", "NON-STRICT", "INFORMATIONAL"}
TEXT = 1


class View:
    """What a case sees of its connection: the same, with strings for bytes."""

    def __init__(self, protocol, framed):
        self.__dict__.update(protocol=protocol, framed=framed, starts=False)

    def __getattr__(self, name):
        return getattr(self.protocol, name)

    def __setattr__(self, name, value):
        setattr(self.protocol, name, value)

    def front(self, text):
        return b"4" if text and self.framed else b""

    def sendFrame(self, opcode, payload="", payload_len=None, mask=None, **rest):
        payload, front = raw(payload), self.front(opcode == TEXT)
        if payload_len is not None:
            payload = (payload * (payload_len // len(payload) + 1))[:payload_len]
        self.protocol.sendFrame(opcode, front + payload, mask=mask and raw(mask), **rest)

    def sendMessage(self, payload, isBinary=False, **rest):
        # A case that was given up may still get an answer and go on.
        if self.protocol.state == self.protocol.STATE_OPEN:
            self.protocol.sendMessage(self.front(not isBinary) + raw(payload), isBinary, **rest)

    def beginMessage(self, isBinary=False, **rest):
        self.__dict__["starts"] = self.framed and not isBinary
        self.protocol.beginMessage(isBinary, **rest)

    def beginMessageFrame(self, length):
        self.protocol.beginMessageFrame(length + self.starts)

    def sendMessageFrameData(self, payload, sync=False):
        front = self.front(self.starts)
        self.__dict__["starts"] = False
        return self.protocol.sendMessageFrameData(front + raw(payload), sync)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        self.protocol.sendCloseFrame(code, reasonUtf8 and raw(reasonUtf8), isReply)


class Fuzzer(WebSocketClientProtocol):
    """The connection of one case."""

    def __init__(self, run, case):
        super().__init__()
        self.factory = run.factory
        self.run, self.case_class, self.connectionWasOpen = run, case, False
        self.txFrameStats = Counter()
        self.greeted = run.raw
        # Messages with compression are handled as bytes by the suite as well.
        self.as_bytes = case.__name__.startswith(("Case12_", "Case13_"))
        self.case = case(View(self, not run.raw))

    def logTxFrame(self, header, *_):
        self.txFrameStats[header.opcode] += 1

    def logRxFrame(self, *_):
        pass

    def logTxOctets(self, *_):
        pass

    def logRxOctets(self, *_):
        pass

    def enableWirelog(self, _):
        pass

    def onOpen(self):
        self.connectionWasOpen = True
        self.case.onOpen()

    def onMessage(self, payload, isBinary):
        if not isBinary and not self.run.raw:
            if not self.greeted:
                self.greeted = payload[:1] == b"0"
                assert self.greeted, payload[:40]
                return
            assert payload[:1] == b"4", payload[:40]
            payload = payload[1:]
        self.case.onMessage(payload if self.as_bytes else latin(payload), isBinary)

    def onPong(self, payload):
        self.case.onPong(latin(payload))

    def onClose(self, wasClean, code, reason):
        self.case.onClose(wasClean, code, reason)

    def connectionLost(self, reason):
        super().connectionLost(reason)
        self.case.onConnectionLost(self.failedByMe)
        self.run.ended(self.case)

    def later(self, delay, call):
        reactor.callLater(delay, lambda: self.state == self.STATE_CLOSED or call())

    def continueLater(self, delay, call, _tag=None):
        self.later(delay, call)

    def killAfter(self, delay):
        self.later(delay, self._fail_connection)

    def closeAfter(self, delay):
        # Long delays are time limits of cases that are about much data.
        self.later(delay if delay < 10 else delay * 10, self.sendClose)


class Run:
    """All cases that were asked for, several at a time."""

    def __init__(self, options, cases):
        self.raw, self.results, self.failed = options.raw, {}, False
        self.waiting = [case for case in cases if any(fits(pattern, name(case)) for pattern in options.patterns)]
        self.waiting.reverse()
        self.factory = WebSocketClientFactory(options.url)
        self.factory.logOctets = self.factory.logFrames = True
        # As the suite has it, but with time for machines that are busy.
        self.factory.setProtocolOptions(
            failByDrop=False, openHandshakeTimeout=30, closeHandshakeTimeout=10, serverConnectionDropTimeout=10)
        self.endpoint = clientFromString(reactor, f"tcp:{self.factory.host}:{self.factory.port}")
        self.under_way = 0
        for _ in range(options.jobs):
            self.next()

    def next(self):
        if self.waiting:
            case = self.waiting.pop()
            self.under_way += 1
            opened = self.endpoint.connect(Once(lambda: Fuzzer(self, case)))
            opened.addErrback(self.broke, case)
        elif not self.under_way and reactor.running:
            reactor.stop()

    def broke(self, why, case):
        print(f"{name(case)}: {why.getErrorMessage()}", file=sys.stderr)
        self.failed = True
        reactor.stop()

    def ended(self, case):
        self.results[name(type(case))] = {
            "behavior": case.behavior, "behaviorClose": case.behaviorClose, "result": case.result,
            "resultClose": case.resultClose, "description": re.sub(r"<.*", "", type(case).DESCRIPTION, flags=re.S).strip(),
        }
        self.under_way -= 1
        self.next()


class Once:
    """A factory for one connection."""

    def __init__(self, make):
        self.make = make

    def doStart(self):
        pass

    doStop = doStart

    def buildProtocol(self, _):
        return self.make()


def name(case):
    return ".".join(case.__name__.removeprefix("Case").split("_"))


def fits(pattern, name):
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name) is not None


def order(name):
    return [int(part) for part in name.split(".")]


def report(results):
    """Prints what was not simply right; whether nothing failed."""
    failures = 0
    for case in sorted(results, key=order):
        found = results[case]
        outcomes = {found["behavior"], found["behaviorClose"]}
        if outcomes == {"OK"}:
            continue
        fine = outcomes <= FINE
        failures += not fine
        why = "" if fine else f": {found['result']} {found['resultClose']} ({found['description']})"
        print(f"{case} {found['behavior']} / {found['behaviorClose']}{why}")
    counts = Counter(found["behavior"] for found in results.values())
    counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    print(f"autobahn: {len(results)} cases, {failures} failed ({counted})")
    return results and not failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("suite", type=Path)
    parser.add_argument("url")
    parser.add_argument("patterns", nargs="+")
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cases = python2.load(options.suite)
    # What goes wrong in a callback goes wrong for all.
    log.startLoggingWithObserver(lambda event: event["isError"] and print(log.textFromEventDict(event), file=sys.stderr), False)
    run = Run(options, cases.Cases)
    reactor.run()
    if options.json:
        options.json.write_text(json.dumps(run.results, indent=1))
    sys.exit(0 if report(run.results) and not run.failed and not run.waiting else 1)


main()

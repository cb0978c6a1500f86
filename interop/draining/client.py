"""A client of python-socketio that sends events with acknowledgements for as long as its input is open, and says what becomes
of them: a line of JSON for each thing that happens."""

import json
import sys
import threading

import socketio

url, transports = sys.argv[1], sys.argv[2].split(",")
over = threading.Event()
client = socketio.Client(reconnection_delay=0.05, reconnection_delay_max=0.2, randomization_factor=0)


def say(**what):
    print(json.dumps(what), flush=True)


@client.event
def connect():
    say(connected=client.get_sid())


@client.event
def disconnect(reason):
    say(disconnected=reason)


threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
client.connect(url, transports=transports)
while not over.wait(0.1):
    if not client.connected:
        continue
    say(sent=True)
    try:
        say(answered=client.call("work", 20, timeout=3))
    except socketio.exceptions.SocketIOError as error:
        say(failed=type(error).__name__)
client.disconnect()

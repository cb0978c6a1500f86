"""The benchmark's contract on Flask-SocketIO and gevent, with gevent-websocket."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

from flask import Flask  # noqa: E402
from flask_socketio import SocketIO, join_room  # noqa: E402

app = Flask(__name__)
socketio = SocketIO(app, async_mode="gevent")


@socketio.on("echo")
def echo(text):
    return text


@socketio.on("bin")
def bin_(data):
    return data


@socketio.on("join")
def join(name):
    join_room(name)


@socketio.on("cast")
def cast(payload):
    socketio.emit("msg", payload)


@socketio.on("room")
def room(name, payload):
    socketio.emit("msg", payload, to=name)


if __name__ == "__main__":
    socketio.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_output=False)

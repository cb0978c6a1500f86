"""The servers, and how each is started."""

import os
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("BENCH_STATE", BENCH / ".state"))
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", BENCH / "target"))


@dataclass(frozen=True)
class Server:
    key: str
    title: str
    # How it is built, see build.py.
    kind: str
    # The program and its arguments; the port is added.
    command: tuple
    dialect: str = "socketio"
    environment: dict = field(default_factory=dict)
    # Whether it belongs to a quick run.
    quick: bool = True
    # Rows that it cannot do.
    without: tuple = ()
    # So slow that rows with many thousands of clients are left out.
    slow: bool = False

    def can(self, row):
        return row.key not in self.without and not (self.slow and row.many)


def _rust(key, title, program, **more):
    return Server(key, title, "rust", (str(TARGET / "release" / program),), **more)


def _python(key, title, environment, program, **more):
    python = STATE / f"python-{environment}" / "bin" / "python"
    command = (str(python), str(BENCH / "servers" / "python" / program))
    return Server(key, title, f"python-{environment}", command, slow=True, **more)


_NODE = ("node", str(BENCH / "servers" / "node" / "server.mjs"))
_MEMORY = ("memory",)

ALL = [
    _rust("limit", "limit", "limit", dialect="limit", without=_MEMORY),
    _rust("limit_tokio", "limit on tokio", "limit_tokio", dialect="limit", without=("polling",)),
    _rust("wirebird", "Wirebird", "bench-wirebird"),
    _rust("wirebird-mimalloc", "Wirebird, mimalloc", "wirebird-mimalloc", quick=False),
    _rust("socketioxide", "socketioxide", "bench-socketioxide"),
    _rust("socketioxide-mimalloc", "socketioxide, mimalloc", "socketioxide-mimalloc", quick=False),
    # What `npm install socket.io` gives: the native addons of `ws` are optional, and not installed.
    Server(
        "node",
        "Node socket.io",
        "node",
        _NODE,
        environment={"WS_NO_BUFFER_UTIL": "1", "WS_NO_UTF_8_VALIDATE": "1"},
    ),
    Server("node-addons", "Node, ws addons", "node", _NODE, quick=False),
    _python("python-socketio", "python-socketio (uvicorn)", "asgi", "asgi.py"),
    _python("flask-socketio", "Flask-SocketIO (gevent)", "flask", "flask_gevent.py"),
]

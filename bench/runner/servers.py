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
    # In a full run: only these rows, and only every other repeat. Figures of slow peers need not be as sharp.
    only: tuple = ()
    seldom: bool = False
    # The least warm-up, in seconds.
    warmup: float = 0

    def can(self, row):
        return row.key not in self.without and not (self.slow and row.many)


def _rust(key, title, program, **more):
    return Server(key, title, "rust", (str(TARGET / "release" / program),), **more)


def _python(key, title, environment, program, **more):
    python = STATE / f"python-{environment}" / "bin" / "python"
    command = (str(python), str(BENCH / "servers" / "python" / program))
    return Server(key, title, f"python-{environment}", command, slow=True, seldom=True, **more)


_NODE = ("node", str(BENCH / "servers" / "node" / "server.mjs"))
_MEMORY = ("memory",)
# Where an allocator has something to do for each operation.
_ALLOCATING = ("echo", "echo16", "bin", "cast4", "polling", "connect", "memory")
# V8 compiles what it finds to be hot.
_JIT = 1.0

ALL = [
    _rust("limit", "limit", "limit", dialect="limit", without=_MEMORY),
    _rust("limit_tokio", "limit on tokio", "limit_tokio", dialect="limit", without=("polling",)),
    _rust("wirebird", "Wirebird", "bench-wirebird"),
    _rust("wirebird-mimalloc", "Wirebird, mimalloc", "wirebird-mimalloc", quick=False, only=_ALLOCATING),
    _rust("socketioxide", "socketioxide", "bench-socketioxide"),
    _rust("socketioxide-mimalloc", "socketioxide, mimalloc", "socketioxide-mimalloc", quick=False, only=_ALLOCATING),
    # What `npm install socket.io` gives: the native addons of `ws` are optional, and not installed.
    Server(
        "node",
        "Node socket.io",
        "node",
        _NODE,
        environment={"WS_NO_BUFFER_UTIL": "1", "WS_NO_UTF_8_VALIDATE": "1"},
        seldom=True,
        warmup=_JIT,
    ),
    Server("node-addons", "Node, ws addons", "node", _NODE, quick=False, seldom=True, warmup=_JIT),
    _python("python-socketio", "python-socketio (uvicorn)", "asgi", "asgi.py"),
    _python("flask-socketio", "Flask-SocketIO (gevent)", "flask", "flask_gevent.py"),
]

"""One run: a fresh server on its cores, the load generator on the others."""

import contextlib
import json
import os
import socket
import subprocess
import time

from .servers import STATE, TARGET

STARTING = 20
DEADLINE = 60


class Failed(Exception):
    """A run without a result."""


def measure(session, server, row, rate=None):
    """The load generator's report."""
    machine = session.machine
    cores = machine.server_cores[:1] if row.one_core else machine.server_cores
    with running(server, cores) as (process, port):
        clients = machine.clients(min(row.clients, session.most_clients or row.clients))
        seconds = session.seconds if row.mode != "memory" else max(0.5, session.seconds / 2)
        options = [*row.options, "--clients", str(clients), "--seconds", str(seconds)]
        options += ["--warmup", str(max(session.warmup, server.warmup))]
        if rate is not None:
            options += ["--rate", str(rate)]
        return load(machine, server, process, port, row.mode, options, DEADLINE)


def load(machine, server, process, port, mode, options, deadline):
    """Runs the load generator."""
    command = [
        *_pinned(machine.load_cores, TARGET / "release" / "bench-load"),
        *(mode, *options, "--dialect", server.dialect),
        *("--server", f"127.0.0.1:{port}", "--pid", str(process.pid)),
        *("--threads", str(min(2, len(machine.load_cores))), "--deadline", str(deadline)),
    ]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=deadline + 30)
    except subprocess.TimeoutExpired:
        raise Failed("the load generator hangs") from None
    if result.returncode:
        raise Failed(result.stderr.strip().removeprefix("bench-load: ").split("\n")[0])
    return json.loads(result.stdout)


def _pinned(cores, program):
    return ["taskset", "-c", ",".join(map(str, cores)), str(program)]


@contextlib.contextmanager
def running(server, cores):
    port = _free_port()
    log = STATE / "logs" / f"{server.key}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [*_pinned(cores, server.command[0]), *server.command[1:], str(port)]
    environment = {**os.environ, **server.environment, "PYTHONDONTWRITEBYTECODE": "1"}
    with log.open("wb") as output:
        # taskset becomes the server: its process id is the server's.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
    try:
        _wait(process, port)
        yield process, port
        if process.poll() is not None:
            raise Failed("the server has ended")
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _wait(process, port):
    end = time.monotonic() + STARTING
    while time.monotonic() < end:
        if process.poll() is not None:
            raise Failed("the server does not start")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise Failed("the server does not listen")

"""Builds and installs what is missing, without asking for more rights than the user has."""

import functools
import shutil
import subprocess
import sys

from .machine import say
from .servers import BENCH, STATE

SECONDS = 1800
_PYTHON = BENCH / "servers" / "python"
_NODE = BENCH / "servers" / "node"


def prepare(server):
    """Whether the server can be started."""
    try:
        _rust()
        if server.kind == "node":
            _node()
        elif server.kind.startswith("python-"):
            _venv(server.kind)
        return True
    except (OSError, subprocess.SubprocessError) as error:
        if server.kind == "rust":
            sys.exit(f"cannot build {server.title}: {error}")
        say(f"left out: {server.title}: {error}")
        return False


@functools.cache
def _rust():
    features = "bench-wirebird/mimalloc,bench-socketioxide/mimalloc"
    command = ["cargo", "build", "--quiet", "--release", "--locked", "--features", features]
    _call("building the load generator and the Rust servers", [*command, "--manifest-path", BENCH / "Cargo.toml"])


@functools.cache
def _node():
    if shutil.which("node") is None:
        raise OSError("node is not installed")
    installed = _NODE / "node_modules" / ".package-lock.json"
    lock = _NODE / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        # The addons come compiled.
        _call("npm ci", ["npm", "--prefix", _NODE, "ci", "--ignore-scripts", "--no-audit", "--no-fund"])


@functools.cache
def _venv(kind):
    place = STATE / kind
    wanted = (_PYTHON / f"requirements-{kind.removeprefix('python-')}.txt").read_bytes()
    mark = place / "requirements.txt"
    if mark.exists() and mark.read_bytes() == wanted:
        return
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    _call(f"python -m venv for {kind}", [sys.executable, "-m", "venv", place])
    requirements = place / "wanted.txt"
    requirements.write_bytes(wanted)
    pip = [place / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
    _call(f"pip install for {kind}", pip)
    requirements.rename(mark)


def _call(what, command):
    say(f"{what} …")
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS)
    if result.returncode:
        say(result.stdout[-4000:], result.stderr[-4000:])
        result.check_returncode()

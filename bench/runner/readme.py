"""Puts the figures of a full run into the READMEs."""

import copy
import os
from pathlib import Path

from . import table, targets

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- figures: written by bench/run -->", "<!-- end of figures -->"
# For those who want to know how fast it is; bench/README.md has all servers.
BESIDE = "limit", "wirebird", "socketioxide", "node", "python-socketio", "flask-socketio"


def show(session, chart):
    """Rewrites the part between the marks, where there is one."""
    few = copy.copy(session)
    few.servers = [server for server in session.servers if server.key in BESIDE]
    _replace(ROOT / "README.md", few, chart, [])
    _replace(ROOT / "bench" / "README.md", session, chart, targets.write(session)[2:])


def _replace(readme, session, chart, more):
    picture = os.path.relpath(chart, readme.parent)
    lines = [*table.origin(session), f"![server CPU per operation]({picture})", "", *table.cpu(session), *more]
    text = readme.read_text(encoding="utf-8")
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if mark and end:
        body = "\n".join(lines).strip()
        readme.write_text(f"{before}{BEGIN}\n{body}\n{END}{after}", encoding="utf-8")

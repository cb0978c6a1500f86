"""The table, as Markdown."""

from . import targets
from .rows import SCALING


def write(session, chart):
    others = [row for row in session.rows if not _is_cpu(row)]
    parts = [f"# Benchmarks, {session.machine.date}", "", *origin(session)]
    if len(others) < len(session.rows):
        parts += ["## Server CPU per operation", ""]
        parts += [f"Microseconds, user and system; in brackets the ratio to the limit.\n\n![chart]({chart})", ""]
        parts += cpu(session)
    parts += targets.write(session)
    if others:
        parts += ["## Other figures", ""] + _table(session, others, with_ratio=False)
    scaling = _scaling(session)
    if scaling:
        parts += ["## From one server core to two", ""] + scaling
    parts += ["## Notes", ""] + _notes(session)
    return "\n".join(parts) + "\n"


def origin(session):
    """Where the figures come from."""
    machine = session.machine
    ran = f"`{session.command}` on {machine.date}, on {machine.summary()}; {_runs(session)} of {session.seconds:g} s."
    return [f"{ran} How to read it: bench/README.md.", ""]


def cpu(session):
    """The main table."""
    return _table(session, [row for row in session.rows if _is_cpu(row)], with_ratio=True)


def _is_cpu(row):
    return row.figures[0][0] == "server_us"


def _runs(session):
    if session.repeats == 1:
        return "one run each"
    seldom = [server.title for server in session.servers if session.sparing and server.seldom]
    fewer = f" ({', '.join(seldom)}: {(session.repeats + 1) // 2})" if seldom else ""
    return f"medians of {session.repeats} interleaved runs{fewer}"


def _table(session, rows, with_ratio):
    lines = [["work", *(server.title for server in session.servers)]]
    for row in rows:
        for name, suffix, unit in row.figures:
            title = row.title + suffix + ("" if with_ratio else f", {unit}")
            cells = [_cell(session, row, server, name, with_ratio) for server in session.servers]
            if set(cells) != {"–"}:
                lines.append([title, *cells])
    lines.insert(1, ["---", *["---:"] * len(session.servers)])
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def _cell(session, row, server, name, with_ratio):
    value = session.median(row.key, server.key, name)
    if value is None:
        return "failed" if (row.key, server.key) in session.failures else "–"
    text = number(value)
    ratio = session.ratio(row.key, server.key, name) if with_ratio and server.key != "limit" else None
    if ratio is not None:
        text += f" ({ratio:.2f}×)" if ratio < 10 else f" ({ratio:.0f}×)"
    return text + ("\\*" if session.load_bound(row.key, server.key) else "")


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _scaling(session):
    lines = [["work", *(server.title for server in session.servers)]]
    for one, two, title in SCALING:
        cells = []
        for server in session.servers:
            factor = session.quotient((two, server.key), (one, server.key), "rate")
            cells.append("–" if factor is None else f"{factor:.2f}×" + ("\\*" if session.load_bound(two, server.key) else ""))
        if set(cells) != {"–"}:
            lines.append([title, *cells])
    if len(lines) == 1:
        return []
    lines.insert(1, ["---", *["---:"] * len(session.servers)])
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def _notes(session):
    notes = []
    keys = [(row, server) for row in session.rows for server in session.servers]
    if any(session.load_bound(row.key, server.key) for row, server in keys):
        notes.append(
            "\\* The load generator worked for more than 85 % of the time (latency: it sent late): it may have held the server up."
        )
    for row, server in keys:
        reports = session.reports.get((row.key, server.key), [])
        clients = {report["clients"] for report in reports if row.clients > 100} - {row.clients}
        if clients and server is session.servers[0]:
            notes.append(f"{row.title}: {min(clients):,} clients in place of {row.clients:,}.")
        reordered = session.reordered(row.key, server.key)
        if reordered:
            share = f"up to {100 * reordered:.1f} %"
            notes.append(f"{server.title}, {row.title}: {share} of the answers came after the answer to a later message.")
        failures = session.failures.get((row.key, server.key), [])
        if failures:
            total = len(failures) + len(reports)
            notes.append(f"{server.title}, {row.title}: {len(failures)} of {total} runs failed: {failures[0]}")
    return [f"* {note}" for note in notes] or ["None."]

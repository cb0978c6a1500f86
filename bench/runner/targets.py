"""What Wirebird is to reach, and whether it does, as Markdown."""

from .rows import SCALING

OURS, LIMIT, PEER = "wirebird", "limit", "socketioxide"
# Memory after a burst, to that of an idle client.
AFTER_BURST = 1.2
# The rate with two cores, to that with one.
FACTOR = 1.7
# A delivery to 20,000 clients, to one to 1,000.
MANY = 1.3


def write(session):
    lines = [
        f"| {work} | {target} | {measured} | {'yes' if met else '**no**'} |"
        for work, target, measured, met in (*_ratios(session), *_memory(session), *_others(session), *_scaling(session))
    ]
    if not lines:
        return []
    heading = ["## Targets", "", "Of Wirebird with the system's allocator; ratios are those to the limit.", ""]
    return [*heading, "| work | target | measured | met |", "| --- | ---: | ---: | --- |", *lines, ""]


def _mark(session, *rows_and_servers):
    return "\\*" if any(session.load_bound(*one) for one in rows_and_servers) else ""


def _ratios(session):
    for row in session.rows:
        ratio = session.ratio(row.key, OURS, "server_us")
        if row.target and ratio is not None:
            yield row.title, f"at most {row.target:g}×", f"{ratio:.2f}×", round(ratio, 2) <= row.target


def _memory(session):
    for row in session.rows:
        idle, burst = (session.median(row.key, OURS, name) for name in ("idle_kib", "burst_kib"))
        if not row.target or not idle or not burst:
            continue
        yield row.title, f"at most {row.target:g} KiB", f"{idle:.2f} KiB", round(idle, 2) <= row.target
        factor, allowed = burst / idle, 100 * AFTER_BURST - 100
        title = f"{row.title}, after 16 KiB were sent to each"
        yield title, f"at most {allowed:.0f} % over idle", f"{100 * factor - 100:+.0f} %", round(factor, 2) <= AFTER_BURST


def _others(session):
    ours, theirs = (session.median("latency", server, "latency_us.p99") for server in (OURS, PEER))
    if ours and theirs:
        mark = _mark(session, ("latency", OURS), ("latency", PEER))
        title = "p99 of the latency, each at half of its own rate"
        yield title, f"at most {PEER}'s {theirs:,.0f} µs", f"{ours:,.0f} µs{mark}", ours <= theirs
    growth = session.quotient(("cast20k", OURS), ("cast", OURS), "server_us")
    if growth is not None:
        allowed, limit = 100 * MANY - 100, session.quotient(("cast20k", LIMIT), ("cast", LIMIT), "server_us")
        measured = f"{100 * growth - 100:+.0f} %" + ("" if limit is None else f" (limit: {100 * limit - 100:+.0f} %)")
        title = "cost of a delivery, from 1,000 to 20,000 clients"
        yield title, f"at most +{allowed:.0f} %", measured, round(growth, 2) <= MANY


def _scaling(session):
    # Loopback itself may not scale: the limit's own factor is beside.
    for one, two, title in SCALING:
        ours, limit = (session.quotient((two, server), (one, server), "rate") for server in (OURS, LIMIT))
        if ours is not None:
            measured = f"{ours:.2f}×{_mark(session, (two, OURS))}"
            if limit is not None:
                measured += f" (limit: {limit:.2f}×{_mark(session, (two, LIMIT))})"
            yield f"from one core to two, {title}", f"at least {FACTOR:g}×", measured, round(ours, 2) >= FACTOR

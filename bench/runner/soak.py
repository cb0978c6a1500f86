"""The soak: idle clients for minutes, in two parts. In the first, clients are opened at a steady rate over one ping
interval, so that pings are spread over it as in reality. In the second, they are opened at once and hold their first
pongs back until all have been pinged, so that all pings that follow are due at the same time."""

from dataclasses import dataclass

from .machine import Machine, say
from .measure import load, running
from .servers import Server

# The ping interval of all servers here is the default one.
INTERVAL = 25
# The first ping is one interval after opening, and the second one interval after its pong; then there is some time left.
BURST_SECONDS = 2 * INTERVAL + 12
JITTER_MS = 100
GROWTH_PERCENT = 5


@dataclass
class Soak:
    machine: Machine
    server: Server
    wanted: int
    spread: dict
    burst: dict


def run(machine, server, wanted, seconds):
    clients = machine.clients(wanted)
    say(f"{clients:,} clients, opened over {INTERVAL} s and held for {seconds:g} s …")
    spread = _part(machine, server, "soak", clients, seconds, clients / INTERVAL)
    say(_line(spread))
    say(f"{clients:,} clients, opened at once and pinged at once, held for {BURST_SECONDS} s …")
    burst = _part(machine, server, "soak-burst", clients, BURST_SECONDS, 0)
    say(_line(burst))
    return Soak(machine, server, wanted, spread, burst)


def _part(machine, server, mode, clients, seconds, rate):
    with running(server, machine.server_cores) as (process, port):
        options = ["--clients", str(clients), "--seconds", str(seconds), "--rate", str(rate)]
        return load(machine, server, process, port, mode, options, deadline=seconds + INTERVAL + 60)


def _line(report):
    jitter = report["jitter_ms"]
    return (
        f"{report['connected']:,} of {report['clients']:,} stayed; heartbeat jitter p50 {jitter['p50']}, "
        f"p99 {jitter['p99']}, max {jitter['max']} ms"
    )


def failures(soak):
    """What must not happen, in words."""
    found = []
    for name, report in (("spread pings", soak.spread), ("pings at once", soak.burst)):
        lost = report["clients"] - report["connected"]
        if lost:
            found.append(f"{name}: {lost:,} clients were lost; the first: {report['error']}")
        if report["missing_pings"]:
            found.append(f"{name}: {report['missing_pings']:,} clients waited for a ping in vain")
        if not report["jitter_ms"]["count"]:
            found.append(f"{name}: no second ping: too short a time")
    return found


def growth(report):
    first, last = report["kib"][0][1], report["kib"][-1][1]
    return 100 * last / first - 100


def write(soak, command):
    machine, spread, burst = soak.machine, soak.spread, soak.burst
    failed = failures(soak)
    parts = [
        f"# Soak, {machine.date}",
        "",
        f"`{command}` on {machine.summary()}. {soak.server.title}: {spread['clients']:,} idle WebSocket clients, "
        f"connected to the namespace, which answer pings and do nothing else, held for {spread['seconds']:,.0f} s; "
        f"a ping {spread['ping_interval_ms'] / 1000:g} s after each pong. What is measured: bench/README.md.",
        "",
        "**Failed:** " + "; ".join(failed) + "." if failed else "No client was lost, and no ping.",
        "",
        "| what | pings spread | target | met | all pings at once |",
        "| --- | ---: | ---: | --- | ---: |",
        _row("clients that stayed", spread, burst, _stayed, "all", lambda report: _stayed(report).startswith("all")),
        _row("heartbeat jitter, p50", spread, burst, lambda report: f"{report['jitter_ms']['p50']:.1f} ms"),
        _row(
            "heartbeat jitter, p99",
            spread,
            burst,
            lambda report: f"{report['jitter_ms']['p99']:.1f} ms",
            f"under {JITTER_MS} ms",
            lambda report: report["jitter_ms"]["p99"] < JITTER_MS,
        ),
        _row("heartbeat jitter, max", spread, burst, lambda report: f"{report['jitter_ms']['max']:.1f} ms"),
        _row("pings that were judged", spread, burst, lambda report: f"{report['jitter_ms']['count']:,}"),
        _row("memory (PSS) of a client at the start", spread, burst, lambda report: f"{report['kib'][0][1]:.2f} KiB"),
        _row("at the end", spread, burst, lambda report: f"{report['kib'][-1][1]:.2f} KiB"),
        _row(
            "growth",
            spread,
            burst,
            lambda report: f"{growth(report):+.1f} %",
            f"at most {GROWTH_PERCENT} %",
            lambda report: growth(report) <= GROWTH_PERCENT,
        ),
        _row("the server's CPU, of one core", spread, burst, lambda report: f"{report['server_percent']:.1f} %"),
        _row("the load generator's CPU", spread, burst, lambda report: f"{report['load_percent']:.1f} %"),
        _row("seconds in which clients were opened", spread, burst, lambda report: f"{report['opening_seconds']:.1f}"),
        _row("seconds measured after that", spread, burst, lambda report: f"{report['seconds']:.0f}"),
        "",
        "## Memory over time",
        "",
        "| seconds since all clients were connected | " + " | ".join(f"{at:g}" for at, _ in spread["kib"]) + " |",
        "| --- |" + " ---: |" * len(spread["kib"]),
        "| KiB of a client | " + " | ".join(f"{kib:.2f}" for _, kib in spread["kib"]) + " |",
        "",
        "## Notes",
        "",
    ]
    if spread["clients"] != soak.wanted:
        parts.append(f"* {spread['clients']:,} clients in place of {soak.wanted:,}: no more files can be open.")
    parts.append(f"* At once: it took the clients {burst['released_ms']:,.0f} ms to send the pongs that they had held back.")
    return "\n".join(parts) + "\n"


def _stayed(report):
    stayed, all_of_them = report["connected"], report["clients"]
    return f"all {stayed:,}" if stayed == all_of_them else f"{stayed:,} of {all_of_them:,}"


def _row(title, spread, burst, figure, target="", met=None):
    verdict = "" if met is None else "yes" if met(spread) else "**no**"
    return f"| {title} | {figure(spread)} | {target} | {verdict} | {figure(burst)} |"

"""What is measured: one row of the table each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    key: str
    title: str
    # The load generator's mode and options.
    mode: str
    options: tuple = ()
    clients: int = 100
    # What the table shows of the report: (name in it, title, unit)
    figures: tuple = (("server_us", "", "µs"),)
    quick: bool = False
    # Many thousands of clients.
    many: bool = False
    # With one core less than the server otherwise has.
    one_core: bool = False
    # The rate is this share of the same server's figure `rate` in another row.
    rate_of: tuple = ()
    # Wirebird's target: at most this ratio to the limit; for memory, KiB of an idle client.
    target: float = 0


RATE = (("rate", "", "/s"),)
LATENCY = tuple(
    (f"latency_us.{name}", f", {name}", "µs") for name in ("p50", "p99", "p99.9")
)
MEMORY = (("idle_kib", "", "KiB"), ("burst_kib", ", after 16 KiB were sent to each", "KiB"))

ALL = [
    Row("echo", "acknowledged echo, 100 clients, 32 B", "echo", quick=True, target=1.3),
    Row("echo1k", "acknowledged echo, 1,000 clients, 1 KiB", "echo", ("--size", "1024"), 1000, target=1.3),
    Row("echo16", "acknowledged echo, 100 clients, 16 in flight each, 32 B", "echo", ("--in-flight", "16"), quick=True, target=2.5),
    Row("bin", "binary echo, 100 clients, 1 KiB", "bin", ("--size", "1024"), quick=True, target=1.4),
    Row("cast", "one broadcast to 1,000, a delivery", "cast", (), 1000, quick=True, target=1.2),
    Row("cast4", "4 broadcasts to 1,000 at a time, a delivery", "cast", ("--in-flight", "4"), 1000, quick=True, target=0.75),
    Row("cast5k", "one broadcast to 5,000, a delivery", "cast", (), 5000, target=1.2),
    Row("cast20k", "one broadcast to 20,000, a delivery", "cast", (), 20000, many=True),
    Row("room", "100 rooms of 10, a delivery", "room", (), 1000, target=1.25),
    Row("polling", "long-polling echo, 100 clients", "polling", quick=True, target=1.5),
    Row("connect", "a new WebSocket connection with CONNECT", "connect", (), 64, quick=True, target=2.0),
    Row("memory", "memory of an idle connection", "memory", (), 5000, MEMORY, quick=True, target=3.0),
    Row("max", "echoes with 400 clients", "echo", (), 400, RATE),
    Row("max1", "echoes with 400 clients, server on one core", "echo", (), 400, RATE, one_core=True),
    Row("castmax", "deliveries with 4 senders to 1,000", "cast", ("--in-flight", "4"), 1000, RATE),
    Row("castmax1", "deliveries with 4 senders to 1,000, server on one core", "cast", ("--in-flight", "4"), 1000, RATE, one_core=True),
    Row("latency", "latency of the echo at half of the rate with 400 clients", "latency", (), 100, LATENCY, rate_of=("max", 0.5)),
]

BY_KEY = {row.key: row for row in ALL}
# More cores, more work: the second row divided by the first.
SCALING = [("max1", "max", "echo"), ("castmax1", "castmax", "broadcast with 4 senders")]


def in_order(chosen):
    """In the order of the table, and with what they depend on."""
    keys = {row.key for row in chosen} | {row.rate_of[0] for row in chosen if row.rate_of}
    return [row for row in ALL if row.key in keys]

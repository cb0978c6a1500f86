"""All runs of one table, and what they found."""

import dataclasses
import json
import statistics
import time
from dataclasses import dataclass, field

from . import rows, servers
from .machine import Machine, say
from .measure import Failed, measure


@dataclass
class Session:
    command: str
    machine: Machine
    rows: list
    servers: list
    repeats: int
    seconds: float
    warmup: float
    # The most clients of a run: connecting must not take a quick run's time.
    most_clients: int = 0
    # Not every server in every row and repeat.
    sparing: bool = False
    # (row, server) -> reports and failures
    reports: dict = field(default_factory=dict)
    failures: dict = field(default_factory=dict)

    def run(self):
        began = time.monotonic()
        plan = list(self._plan())
        for done, (repeat, row, server) in enumerate(plan, 1):
            found = self._measure(row, server, repeat)
            elapsed = time.monotonic() - began
            left = elapsed / done * (len(plan) - done)
            say(f"[{done}/{len(plan)}, {elapsed:.0f} s, {left:.0f} s left] {row.key} {server.key}: {found}")

    def _plan(self):
        for repeat in range(self.repeats):
            for row in self.rows:
                # Whoever comes first in one repeat comes later in the next.
                turn = repeat % max(1, len(self.servers))
                for server in self.servers[turn:] + self.servers[:turn]:
                    spared = server.seldom and repeat % 2 or server.only and row.key not in server.only
                    if server.can(row) and not (self.sparing and spared):
                        yield repeat, row, server

    def _measure(self, row, server, repeat):
        rate = None
        key = (row.key, server.key)
        if row.rate_of:
            base = self.median(row.rate_of[0], server.key, "rate")
            if base is None:
                return "without a rate"
            rate = round(base * row.rate_of[1])
        try:
            report = measure(self, server, row, rate)
        except Failed as failure:
            self.failures.setdefault(key, []).append(str(failure))
            return f"failed: {failure}"
        report.update(repeat=repeat, given_rate=rate)
        self.reports.setdefault(key, []).append(report)
        figures = ", ".join(f"{_dig(report, name)} {unit}" for name, _, unit in row.figures)
        return figures + (" (held up by the load generator)" if report["load_bound"] else "")

    # ---- what was found ----

    def values(self, row, server, name):
        """By repeat."""
        reports = self.reports.get((row, server), [])
        found = {report["repeat"]: _dig(report, name) for report in reports}
        return {repeat: value for repeat, value in found.items() if value is not None}

    def median(self, row, server, name):
        values = self.values(row, server, name)
        return statistics.median(values.values()) if values else None

    def ratio(self, row, server, name):
        """To the limit."""
        return self.quotient((row, server), (row, "limit"), name)

    def quotient(self, over, under, name):
        """Of the figures of two rows and servers in the same repeat; the median of that."""
        dividends, divisors = self.values(*over, name), self.values(*under, name)
        quotients = [value / divisors[repeat] for repeat, value in dividends.items() if divisors.get(repeat)]
        return statistics.median(quotients) if quotients else None

    def load_bound(self, row, server):
        reports = self.reports.get((row, server), [])
        return 2 * sum(report["load_bound"] for report in reports) > len(reports)

    def reordered(self, row, server):
        """The largest share of answers that came after the answer to a later message."""
        return max((report.get("reordered", 0) for report in self.reports.get((row, server), [])), default=0)

    # ---- keeping it ----

    def save(self, path):
        data = dataclasses.asdict(self)
        data["rows"] = [row.key for row in self.rows]
        data["servers"] = [server.key for server in self.servers]
        for name in ("reports", "failures"):
            data[name] = [[*key, value] for key, value in getattr(self, name).items()]
        path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path):
        data = json.loads(path.read_text(encoding="utf-8"))
        data["machine"] = Machine(**data["machine"])
        data["rows"] = [rows.BY_KEY[key] for key in data["rows"]]
        data["servers"] = [server for server in servers.ALL if server.key in data["servers"]]
        for name in ("reports", "failures"):
            data[name] = {(row, server): value for row, server, value in data[name]}
        return cls(**data)


def _dig(report, name):
    """`latency_us.p99` is the entry `p99` of the entry `latency_us`, and `latency_us.p99.9` is `p99.9`."""
    first, _, rest = name.partition(".")
    value = report.get(first)
    return value.get(rest) if rest and isinstance(value, dict) else value

"""The machine, and which of its cores do what."""

import datetime
import os
import platform
import resource
import subprocess
import sys
from dataclasses import dataclass


@dataclass
class Machine:
    model: str
    cores: int
    kernel: str
    date: str
    server_cores: list
    load_cores: list
    files: int

    @classmethod
    def detect(cls, server_cores, load_cores):
        available = sorted(os.sched_getaffinity(0))
        each = min(2, max(1, len(available) // 2))
        server = _cores(server_cores) or available[:each]
        load = _cores(load_cores) or available[each : 2 * each] or available
        if set(server) & set(load):
            say("server and load generator share a core: the figures are of little use")
        elif len(server) < 2:
            say("too few cores for two each: one for the server, one for the load generator")
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        return cls(
            model=_model(),
            cores=os.cpu_count() or 1,
            kernel=f"{platform.system()} {platform.release().split('-')[0]}",
            date=datetime.date.today().isoformat(),
            server_cores=server,
            load_cores=load,
            files=files,
        )

    def summary(self):
        """What it is, and which cores did what."""
        return (
            f"{self.model}, {self.cores} cores, {self.kernel}. "
            f"Server on {_named(self.server_cores)}, load generator on {_named(self.load_cores)}"
        )

    def clients(self, wanted):
        """As many of them as files can be open, for server and load generator each."""
        return wanted if self.files < 0 else min(wanted, self.files - 200)


def _named(cores):
    return f"core{'s' if len(cores) > 1 else ''} {', '.join(map(str, cores))}"


def _cores(text):
    return [int(core) for core in text.split(",")] if text else None


def _model():
    try:
        lines = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return platform.machine()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    return facts.get("Model name", platform.machine()).strip()


def say(*words):
    """Progress, for people who watch."""
    print(*words, file=sys.stderr, flush=True)
